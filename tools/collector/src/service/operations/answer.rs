//! Types of the answers of the operations.

/// Content of the answer to an operation that was done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Answer {
    /// 204: nothing is left to say.
    Nothing,
    /// 201: it exists from now on.
    Created,
    /// 200 with a JSON object of this name.
    Object(&'static str),
    /// 201 with a JSON object of this name.
    CreatedObject(&'static str),
    /// 204, or 200 with a JSON object of this name if there is something to say.
    ObjectOrNothing(&'static str),
    /// Server-sent events.
    Events,
    /// `OpenMetrics` text.
    Metrics,
    /// The description of the interface itself.
    Description,
}

impl Answer {
    /// Status of an operation that was done.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Nothing => 204,
            Self::Created | Self::CreatedObject(_) => 201,
            Self::Object(_) | Self::ObjectOrNothing(_) | Self::Events | Self::Metrics | Self::Description => {
                200
            }
        }
    }
}
