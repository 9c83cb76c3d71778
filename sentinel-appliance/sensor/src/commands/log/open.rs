//! Opening of a log for reading, and what is said about its damage.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sentinel_ringlog::{FileStorage, LogKey, Mode, Recovery, stored_geometry};

use super::Source;
use super::evidence::secret;
use crate::settings::Settings;
use crate::spool::{self, JOURNAL_FILE, Log, MAIN_FILE};
use crate::system::keys;
use crate::terminal::failure::Failure;
use crate::terminal::log;

/// Attempts to open a log whose end is torn: beside a running sensor that may be a write in progress.
const ATTEMPTS: u32 = 3;
const ATTEMPT_INTERVAL: Duration = Duration::from_millis(50);

/// Log open for reading, and what was found at opening.
pub(super) struct Opened {
    pub(super) log: Log,
    recovery: Recovery,
    has_evidence_key: bool,
}

pub(super) fn open(source: &Source, settings: &Settings) -> Result<Opened, Failure> {
    let mut opened = open_once(source, settings)?;
    for _ in 1..ATTEMPTS {
        if opened.recovery.torn_writes == 0 {
            break;
        }
        std::thread::sleep(ATTEMPT_INTERVAL);
        opened = open_once(source, settings)?;
    }
    Ok(opened)
}

fn open_once(source: &Source, settings: &Settings) -> Result<Opened, Failure> {
    let main_path = source.file.clone().unwrap_or_else(|| settings.state_dir.join(MAIN_FILE));
    let at = |error: &dyn std::fmt::Display| Failure::new(format!("{}: {error}", main_path.display()));
    let mut main = FileStorage::read_only(&main_path).map_err(|error| at(&error))?;
    let journal = journal(source, settings)?;
    // The file knows its sizes; those of the settings take effect at the next start of the sensor.
    let geometry = match stored_geometry(&mut main).map_err(|error| at(&error))? {
        Some(geometry) => geometry,
        None => spool::geometry(settings)?,
    };
    let key = log_key(source, settings);
    let opened = match &source.evidence_key {
        // With the private key the key of the device is welcome, not needed. It says nothing about another log.
        Some(path) => {
            let key = key.ok().filter(|_| source.file.is_none() || source.key.is_some());
            Log::open_evidence(main, journal, geometry, key, &secret(path)?)
        }
        None => Log::open(main, journal, geometry, key?, Mode::ReadOnly),
    };
    let (log, recovery) = opened.map_err(|error| at(&error))?;
    Ok(Opened { log, recovery, has_evidence_key: source.evidence_key.is_some() })
}

/// Key file that was named, or that of the sensor.
fn log_key(source: &Source, settings: &Settings) -> Result<LogKey, Failure> {
    let Some(path) = &source.key else { return keys::existing_log_key(&settings.state_dir) };
    let at = |what: &str| Failure::new(format!("{}: {what}", path.display()));
    let bytes = std::fs::read(path).map_err(|error| at(&error.to_string()))?;
    let bytes: [u8; LogKey::LEN] = bytes.try_into().map_err(|_| at("not a key file: want 40 bytes"))?;
    Ok(LogKey::from_bytes(&bytes))
}

/// Journal of the sensor. A copied log has none, and a RAM disk is empty after a restart of the machine.
fn journal(source: &Source, settings: &Settings) -> Result<FileStorage, Failure> {
    let path = settings.run_dir.join(JOURNAL_FILE);
    let path = if source.file.is_none() && path.exists() { path } else { PathBuf::from("/dev/null") };
    FileStorage::read_only(Path::new(&path))
        .map_err(|error| Failure::new(format!("{}: {error}", path.display())))
}

impl Opened {
    /// Says that delivered records were left out, which is no damage.
    pub(super) fn report_unreadable(&self) {
        let count = self.recovery.older_key_segments;
        if count > 0 && !self.has_evidence_key {
            log::warn(format_args!(
                "{count} segments are delivered and cannot be read with the key of this device; \
                 --evidence-key FILE reads those that are sealed to a key"
            ));
        } else if count > 0 {
            log::warn(format_args!("{count} segments are not sealed to this evidence key"));
        }
    }

    /// Says what was damaged; everything else was printed before.
    pub(super) fn damage(&self) -> Result<(), Failure> {
        let Recovery { torn_writes, damaged_segments, missing_records, is_rolled_back, .. } = self.recovery;
        let damaged_blocks = self.log.stats().damaged_blocks;
        let mut parts = Vec::new();
        for (count, what) in [
            (u64::from(damaged_segments), "damaged segments"),
            (damaged_blocks, "damaged blocks"),
            (u64::from(torn_writes), "ends of main or journal that are damaged or were not finished"),
            (missing_records, "records missing"),
        ] {
            if count > 0 {
                parts.push(format!("{count} {what}"));
            }
        }
        if is_rolled_back {
            parts.push("an older log than the key belongs to".into());
        }
        if parts.is_empty() {
            return Ok(());
        }
        Err(Failure::new(format!(
            "the log is damaged: {}; all else was printed, 'sentinel log verify' says where",
            parts.join(", ")
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::Spool;
    use crate::system::private_files::prepare_directory;
    use sentinel_alert::testing::sample;
    use sentinel_privilege::account::Account;
    use sentinel_ringlog::{Cursor, MAX_RECORD, RecordId};
    use sentinel_units::Uptime;

    /// Log with four alerts in main and four in the journal, besides the records about the run.
    fn written() -> (tempfile::TempDir, Settings) {
        let directory = tempfile::tempdir().unwrap();
        let settings = Settings {
            state_dir: directory.path().join("state"),
            run_dir: directory.path().join("run"),
            ..Settings::default()
        };
        prepare_directory(&settings.state_dir, Account::current()).unwrap();
        prepare_directory(&settings.run_dir, Account::current()).unwrap();
        let mut spool = Spool::open(&settings, keys::log_key(&settings.state_dir).unwrap()).unwrap().0;
        for number in 0..8 {
            spool.enqueue(&sample(), Uptime::ZERO);
            if number == 3 {
                spool.flush();
            }
        }
        (directory, settings)
    }

    /// Number of readable records, and the outcome of the command after it printed them.
    fn read(settings: &Settings) -> (u32, Result<(), String>) {
        let mut opened = open(&Source::default(), settings).unwrap();
        let (mut cursor, mut buffer, mut count) = (Cursor::new(RecordId(0)), [0; MAX_RECORD], 0);
        while opened.log.read_next(&mut cursor, &mut buffer).unwrap().is_some() {
            count += 1;
        }
        (count, opened.damage().map_err(|failure| failure.to_string()))
    }

    fn flip(path: &Path, at: usize) {
        let mut bytes = std::fs::read(path).unwrap();
        bytes[at] ^= 1;
        std::fs::write(path, bytes).unwrap();
    }

    /// One flipped byte of the journal: two of nine records, and exit code 0.
    #[test]
    fn damage_is_said_and_nothing_readable_is_lost() {
        let (_directory, settings) = written();
        let (all, outcome) = read(&settings);
        assert!(all > 8 && outcome.is_ok(), "{all}");
        let journal = settings.run_dir.join(JOURNAL_FILE);
        flip(&journal, 112 + 30);
        let (count, outcome) = read(&settings);
        assert!((5..all).contains(&count), "{count}");
        assert!(outcome.unwrap_err().contains("1 ends of main or journal"));
        std::fs::write(&journal, []).unwrap();
        flip(&settings.state_dir.join(MAIN_FILE), 256 + 130);
        let (count, outcome) = read(&settings);
        assert!((4..all).contains(&count), "all but the start record, whose block is damaged: {count}");
        assert!(outcome.unwrap_err().contains("the log is damaged"));
    }

    /// The commands refused a log of other sizes than the settings, which is what a change of the settings leaves.
    #[test]
    fn a_log_of_other_sizes_is_read() {
        let (_directory, mut settings) = written();
        let before = read(&settings);
        (settings.log_segment_kib, settings.log_segments) = (16, 3);
        assert_eq!((read(&settings), before.1.clone()), (before, Ok(())));
    }
}
