//! Keys of a sensor, and signs that two devices use one.

use sentinel_units::Timestamp;

/// Role of a key that a sensor has proved.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeyRole {
    /// The key of the sensor.
    Current,
    /// The key that is to replace it.
    Next,
    /// A key that it had before.
    Replaced,
}

/// Relation of a run of a sensor to those before it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Lineage {
    /// It is the latest run, or continues it, or nothing is known that it contradicts.
    Continued,
    /// It continues a run that another one has continued: the files of the sensor were copied, or restored from a backup.
    Branched,
    /// A run, or a line of runs, that was over: two devices use the key.
    Returned,
}

/// Sign that two devices use the key of one sensor.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CopySign {
    /// A run came back after another one had taken its place.
    Runs,
    /// A key was used that the sensor had replaced.
    ReplacedKey,
    /// Two different alerts have the same number.
    Numbers,
}

impl CopySign {
    /// Every sign.
    pub const ALL: [Self; 3] = [Self::Runs, Self::ReplacedKey, Self::Numbers];

    /// Name in every interface.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Runs => "runs",
            Self::ReplacedKey => "replaced_key",
            Self::Numbers => "numbers",
        }
    }

    /// Meaning, as a clause.
    #[must_use]
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Runs => "two devices use its key in turn",
            Self::ReplacedKey => "a key that it had replaced is still in use",
            Self::Numbers => "two different alerts came with the same number",
        }
    }
}

/// Signs that two devices use the key of a sensor, since it was enrolled.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CopiedKey {
    /// Number of signs.
    pub signs: u64,
    /// [`CopySign::name`] of the latest one.
    pub sign: String,
    /// Observation, as text.
    pub detail: String,
    /// Its time.
    pub at: Timestamp,
}

impl CopiedKey {
    /// Advice to the operator.
    pub const REMEDY: &str = "revoke it and enroll the right device again, which gets another key";
}

/// Unclean runs that the operator has taken note of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Acknowledgement {
    /// Time of the latest.
    pub at: Timestamp,
    /// Name of the operator.
    pub by: String,
    /// Number of runs, over all times.
    pub runs: u64,
}
