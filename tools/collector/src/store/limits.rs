//! Limits of what the store keeps.

use super::RetentionLimits;

/// Limits that the store keeps. Those of numbers and runs of a sensor are constants, see `alerts::account`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct StoreLimits {
    /// Estimated bytes of the rows of one sensor from which on nothing more is stored of it.
    pub sensor_bytes: u64,
    /// Age and size of what is kept of all sensors.
    pub retention: RetentionLimits,
}

/// 1 GiB of one sensor: about three million alerts. The retention of [`RetentionLimits::default`].
impl Default for StoreLimits {
    fn default() -> Self {
        Self { sensor_bytes: 1 << 30, retention: RetentionLimits::default() }
    }
}
