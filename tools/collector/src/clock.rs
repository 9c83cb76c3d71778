//! Wall-clock time of this machine, in the type that packets use.

use std::time::{SystemTime, UNIX_EPOCH};

use sentinel_units::Timestamp;

/// The present time; the epoch if the machine's clock is before it.
#[must_use]
pub fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::ZERO.after(since_epoch)
}

/// Microseconds since the epoch as the store keeps them; saturates in the year 294247.
#[must_use]
pub fn to_micros(time: Timestamp) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

/// The reverse of [`to_micros`]; the epoch for negative values, which the store does not hold.
#[must_use]
pub fn from_micros(micros: i64) -> Timestamp {
    Timestamp::from_micros(u64::try_from(micros).unwrap_or_default())
}
