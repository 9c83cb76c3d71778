//! Restarts of the sensor since the machine started, by the way in which the run before each ended.
//!
//! They are kept in a file of the run directory, which is on a RAM disk, beside the boot id of the kernel: where the directory
//! outlives the machine, a file of another boot counts as none. Only the sensor's user can write it; what it says decides
//! nothing.

use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use sentinel_uplink::EndCause;

use crate::system::private_files::no_links;
use crate::terminal::log;

const FILE: &str = "restarts";
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// Longest file: the boot id, and a number for each of [`CAUSES`].
const MAX_BYTES: u64 = 256;
/// Causes in the order of the file, with their names for the operator.
pub(crate) const CAUSES: [&str; 4] = ["stopped", "killed", "power_lost", "watchdog"];

/// Restarts since the machine started.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Restarts {
    /// By cause, in the order of [`CAUSES`].
    pub(crate) counts: [u32; CAUSES.len()],
    /// Index in [`CAUSES`] of the latest one.
    latest: Option<usize>,
}

impl Restarts {
    /// Counts this start, and gives all since the machine started. The first is none; nor is one after a run that left no
    /// record of its end.
    pub(crate) fn count(run_dir: &Path, previous: Option<EndCause>) -> Self {
        let path = run_dir.join(FILE);
        let boot_id = std::fs::read_to_string(BOOT_ID).unwrap_or_default();
        let boot_id = boot_id.trim();
        let mut text = String::new();
        let file = no_links().read(true).open(&path);
        let _absent_at_first = file.and_then(|file| file.take(MAX_BYTES).read_to_string(&mut text));
        let mut restarts = Self::default();
        if let Some(counts) = parse(&text, boot_id) {
            restarts.counts = counts;
            restarts.latest = previous.map(index);
            if let Some(count) = restarts.latest.and_then(|index| restarts.counts.get_mut(index)) {
                *count = count.saturating_add(1);
            }
        }
        let [a, b, c, d] = restarts.counts;
        let text = format!("{boot_id} {a} {b} {c} {d}\n");
        let file = no_links().write(true).create(true).truncate(true).mode(0o600).open(&path);
        if let Err(error) = file.and_then(|mut file| file.write_all(text.as_bytes())) {
            log::warn(format_args!("{}: {error}; restarts are not counted", path.display()));
        }
        restarts
    }

    /// Number of restarts.
    pub(crate) fn total(&self) -> u32 {
        self.counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Name of the cause of the latest restart.
    pub(crate) fn latest(&self) -> Option<&'static str> {
        self.latest.and_then(|index| CAUSES.get(index).copied())
    }
}

fn index(cause: EndCause) -> usize {
    match cause {
        EndCause::Stopped => 0,
        EndCause::Killed => 1,
        EndCause::Fault => 3,
        _ => 2,
    }
}

/// Counts in `text`, if it is of the boot `boot_id`.
fn parse(text: &str, boot_id: &str) -> Option<[u32; CAUSES.len()]> {
    let mut words = text.strip_prefix(boot_id)?.split_whitespace();
    let mut counts = [0; CAUSES.len()];
    for count in &mut counts {
        *count = words.next()?.parse().ok()?;
    }
    Some(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_since_the_machine_started_are_counted_by_cause() {
        let directory = tempfile::tempdir().unwrap();
        let first = Restarts::count(directory.path(), Some(EndCause::PowerLost));
        assert_eq!((first.total(), first.latest()), (0, None), "the machine started, not the sensor alone");
        for (cause, name, counts) in [
            (EndCause::Killed, "killed", [0, 1, 0, 0]),
            (EndCause::Fault, "watchdog", [0, 1, 0, 1]),
            (EndCause::Killed, "killed", [0, 2, 0, 1]),
            (EndCause::Stopped, "stopped", [1, 2, 0, 1]),
        ] {
            let now = Restarts::count(directory.path(), Some(cause));
            assert_eq!((now.counts, now.latest()), (counts, Some(name)));
        }
        let file = directory.path().join(FILE);
        for other in ["", "no-boot 9 9 9 9\n", "\0\0", "9 9 9\n"] {
            std::fs::write(&file, other).unwrap();
            assert_eq!(Restarts::count(directory.path(), None).total(), 0, "{other:?}");
        }
    }

    #[test]
    fn a_link_in_place_of_the_file_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("target");
        std::fs::write(&target, "kept").unwrap();
        std::os::unix::fs::symlink(&target, directory.path().join(FILE)).unwrap();
        assert_eq!(Restarts::count(directory.path(), None).total(), 0);
        assert_eq!(std::fs::read_to_string(&target).unwrap(), "kept");
    }
}
