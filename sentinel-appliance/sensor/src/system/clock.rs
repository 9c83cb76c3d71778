//! The only place that reads a clock.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sentinel_units::{Timestamp, Uptime};

/// Monotonic time since the start of the program, and the time of day.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    /// Starts counting.
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

    /// As [`Clock::uptime`], to the nanosecond.
    #[expect(clippy::disallowed_methods, reason = "this is the module that the ban leaves")]
    pub(crate) fn elapsed(&self) -> Duration {
        Instant::now().saturating_duration_since(self.start)
    }

    /// The instant of an uptime, for timers.
    pub(crate) fn instant(&self, uptime: Uptime) -> Instant {
        self.start + uptime.since(Uptime::ZERO)
    }
}

/// Time of day, the clock that the kernel stamps packets with. Zero before 1970.
#[expect(clippy::disallowed_methods, reason = "this is the module that the ban leaves")]
pub(crate) fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_parts(since.as_secs(), since.subsec_nanos())
}
