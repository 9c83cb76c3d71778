//! Clocks: no other module reads one.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sentinel_units::{Timestamp, Uptime};

/// Monotonic time since the start of the program, and the time of day.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    /// Starts at zero.
    #[expect(clippy::disallowed_methods, reason = "this is the module that the ban leaves")]
    pub(crate) fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Time since the start.
    #[expect(clippy::disallowed_methods, reason = "this is the module that the ban leaves")]
    pub(crate) fn uptime(&self) -> Uptime {
        let elapsed = Instant::now().saturating_duration_since(self.start);
        Uptime::ZERO.after(elapsed)
    }

    /// Time since the start, to the nanosecond.
    #[expect(clippy::disallowed_methods, reason = "this is the module that the ban leaves")]
    pub(crate) fn elapsed(&self) -> Duration {
        Instant::now().saturating_duration_since(self.start)
    }

    /// Instant of an uptime, for timers.
    pub(crate) fn instant(&self, uptime: Uptime) -> Instant {
        self.start + uptime.since(Uptime::ZERO)
    }

    /// Time of day at the start.
    pub(crate) fn started_at(&self) -> Timestamp {
        let since = self.uptime().since(Uptime::ZERO);
        Timestamp::from_nanos(wall().as_nanos().saturating_sub(Timestamp::ZERO.after(since).as_nanos()))
    }
}

/// Time of day, from the clock that the kernel stamps packets with. Zero before 1970.
#[expect(clippy::disallowed_methods, reason = "this is the module that the ban leaves")]
pub(crate) fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_parts(since.as_secs(), since.subsec_nanos())
}
