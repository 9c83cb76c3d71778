//! Ends of the runs of a sensor.

/// Ends of the runs of a sensor, as far as it told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RunEnds {
    /// It did not tell: alerts after the last one received may or may not exist.
    Unreported,
    /// Each ended so that no alert can be lost unnoticed, or goes on.
    Clean,
    /// Of some runs it is not known whether there were later alerts: the power failed, or the end has not arrived.
    Unclean {
        /// The latest such run.
        boot: u32,
        /// First number of that run whose alert may have existed and is lost then.
        from: u64,
        /// Number of such runs.
        runs: u64,
    },
}

impl RunEnds {
    /// Number of runs of which it is not known whether there were later alerts.
    #[must_use]
    pub const fn unclean(&self) -> u64 {
        match self {
            Self::Unclean { runs, .. } => *runs,
            Self::Unreported | Self::Clean => 0,
        }
    }
}
