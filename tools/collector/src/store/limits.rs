//! Limits of what one sensor can make the store keep.

/// Limits that the writer enforces for each sensor. Those of numbers and runs are constants, see `alerts::account`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct StoreLimits {
    /// Estimated bytes of its rows from which on nothing more is stored of a sensor.
    pub sensor_bytes: u64,
}

/// 1 GiB: about six million alerts of one sensor.
impl Default for StoreLimits {
    fn default() -> Self {
        Self { sensor_bytes: 1 << 30 }
    }
}
