//! Pace of restarts: a supervisor that starts the sensor again at once must not do so without end at full speed, because every
//! start reads the log and writes a page to flash.
//!
//! A sensor that failed within [`MIN_RUN`] waits before it exits, and one that finds that the run before was killed that soon waits
//! before it starts. A run that lasted longer is followed at once.

use std::path::Path;
use std::time::Duration;

use sentinel_units::{Timestamp, Uptime};

use crate::system::clock;

/// Least time between two starts after a failure.
const MIN_RUN: Duration = Duration::from_secs(2);

/// Returns true if a service manager has started this process and will start it again. To be asked at the start: the system-call
/// filter of the sensor denies the question.
pub(crate) fn is_supervised() -> bool {
    // systemd says so, procd and others are the first process.
    std::env::var_os("NOTIFY_SOCKET").is_some()
        || rustix::process::getppid().is_some_and(rustix::process::Pid::is_init)
}

/// Waits after a failure, if the process ran less than [`MIN_RUN`].
pub(crate) fn wait_after_failure(uptime: Uptime) {
    std::thread::sleep(MIN_RUN.saturating_sub(uptime.since(Uptime::ZERO)));
}

/// Waits, if the run before ended without removing its socket, and had made it less than [`MIN_RUN`] ago.
pub(crate) fn wait_after_crash(socket: &Path) {
    let made = std::fs::symlink_metadata(socket).and_then(|file| file.modified());
    let Some(made) = made.ok().and_then(|made| made.duration_since(std::time::UNIX_EPOCH).ok()) else {
        return;
    };
    std::thread::sleep(rest(Timestamp::ZERO.after(made), clock::wall()));
}

/// Rest of [`MIN_RUN`] from `made` on. All of it if `made` is in the future: the clock was set back.
fn rest(made: Timestamp, now: Timestamp) -> Duration {
    MIN_RUN.saturating_sub(now.since(made))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_run_of_less_than_two_seconds_is_waited_for() {
        let at = |millis: u64| Timestamp::from_micros(1_700_000_000_000_000 + millis * 1_000);
        let rests = [0, 500, 2_000, 86_400_000].map(|now| rest(at(0), at(now)).as_millis());
        assert_eq!(rests, [2_000, 1_500, 0, 0]);
        assert_eq!(rest(at(5_000), at(0)), MIN_RUN);
    }
}
