//! Limits of one sensor, by name.

/// A limit of which a sensor asked for more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Limit {
    /// Its alert numbers jump further than it can have raised alerts. Ends the session.
    Numbers,
    /// It names more runs than it can have begun. Ends the session.
    Runs,
    /// Its quota of stored bytes is used up. Ends the session.
    Quota,
    /// It connects more often than it may. The connection is rejected.
    Sessions,
    /// It sends alerts faster than it may. Nothing is read from it until its rate is kept.
    AlertRate,
    /// It sends gaps faster than it may. Nothing is read from it until its rate is kept.
    GapRate,
    /// It sends telemetry faster than it may. The excess is not stored.
    TelemetryRate,
}

impl Limit {
    /// Name in metrics, in the log and in the row of the sensor.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Numbers => "numbers",
            Self::Runs => "runs",
            Self::Quota => "quota",
            Self::Sessions => "sessions",
            Self::AlertRate => "alert_rate",
            Self::GapRate => "gap_rate",
            Self::TelemetryRate => "telemetry_rate",
        }
    }

    /// Sentence for the log.
    #[must_use]
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Numbers => "its alert numbers jump further than a sensor can raise alerts",
            Self::Runs => "it names more runs than a sensor can begin",
            Self::Quota => "it has used up its quota of stored bytes (--sensor-quota)",
            Self::Sessions => "it connects too often; two devices may share one key",
            Self::AlertRate => "it sends alerts too fast and is slowed down",
            Self::GapRate => "it sends gaps too fast and is slowed down",
            Self::TelemetryRate => "it sends telemetry too fast",
        }
    }

    /// Every limit: each has a series from the start, with zero.
    pub const ALL: [Self; 7] = [
        Self::Numbers,
        Self::Runs,
        Self::Quota,
        Self::Sessions,
        Self::AlertRate,
        Self::GapRate,
        Self::TelemetryRate,
    ];
}
