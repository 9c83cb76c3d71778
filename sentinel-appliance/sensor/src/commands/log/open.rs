//! Opening of a log for reading, and what is said about its damage.

use std::io;
use std::path::Path;
use std::time::Duration;

use sentinel_ringlog::{FileStorage, LogKey, Mode, OpenError, Recovery, stored_geometry};
use zeroize::Zeroizing;

use super::Source;
use super::evidence::secret;
use crate::settings::Settings;
use crate::spool::{self, JOURNAL_FILE, Log, MAIN_FILE};
use crate::system::keys;
use crate::system::private_files::no_links;
use crate::terminal::count::count as counted;
use crate::terminal::failure::Failure;
use crate::terminal::log;

/// Reads as an empty file.
const NOTHING: &str = "/dev/null";
/// Attempts to open a log whose end is torn: beside a running sensor that may be a write in progress.
const ATTEMPTS: u32 = 3;
const ATTEMPT_INTERVAL: Duration = Duration::from_millis(50);

/// Log open for reading, and what was found at opening.
pub(super) struct Opened {
    pub(super) log: Log,
    recovery: Recovery,
    has_evidence_key: bool,
    /// Reason why no key opens it: then only the chain can be checked, and no record is readable.
    no_key: Option<String>,
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
    let storages = || -> Result<(FileStorage, FileStorage), Failure> {
        Ok((main_storage(source, &main_path).map_err(|error| at(&error))?, journal(source, settings)?))
    };
    // The file knows its sizes; those of the settings take effect at the next start of the sensor.
    let geometry = match stored_geometry(&mut storages()?.0).map_err(|error| at(&error))? {
        Some(geometry) => geometry,
        None => spool::geometry(settings)?,
    };
    let key = log_key(source, settings);
    let (main, journal) = storages()?;
    let mut no_key = None;
    let opened = match &source.evidence_key {
        // With the private key the key of the device is welcome, not needed. It says nothing about another log.
        Some(path) => {
            let key = key.ok().filter(|_| source.file.is_none() || source.key.is_some());
            Some(Log::open_evidence(main, journal, geometry, key, &secret(path)?))
        }
        None => match key.map(|key| Log::open(main, journal, geometry, key, Mode::ReadOnly)) {
            Ok(Err(error @ OpenError::WrongKey)) => {
                no_key = Some(at(&error).to_string());
                None
            }
            Ok(opened) => Some(opened),
            Err(failure) => {
                no_key = Some(failure.to_string());
                None
            }
        },
    };
    let opened = match opened {
        Some(opened) => opened,
        // Of another log, or damaged: what needs no key can still be checked.
        None => storages().map(|(main, journal)| Log::open_sealed(main, journal, geometry))?,
    };
    let (log, recovery) = opened.map_err(|error| at(&error))?;
    Ok(Opened { log, recovery, has_evidence_key: source.evidence_key.is_some(), no_key })
}

/// The log, or the file that the operator named. Links are followed for the latter only.
fn main_storage(source: &Source, path: &Path) -> io::Result<FileStorage> {
    if source.file.is_some() { FileStorage::read_only(path) } else { own_file(path) }
}

/// Opens a file of the sensor for reading: no link, which its user could have made to have root read another file.
fn own_file(path: &Path) -> io::Result<FileStorage> {
    no_links().read(true).open(path).map(FileStorage::from)
}

/// Key file that was named, or that of the sensor.
fn log_key(source: &Source, settings: &Settings) -> Result<LogKey, Failure> {
    let Some(path) = &source.key else { return keys::existing_log_key(&settings.state_dir) };
    let at = |what: &str| Failure::new(format!("{}: {what}", path.display()));
    let mut bytes = Zeroizing::new([0; keys::MAX_KEY_FILE_LEN]);
    // Named by the operator, so a link is followed.
    let file = std::fs::File::open(path).map_err(|error| at(&error.to_string()))?;
    let length = io::Read::read(&mut &file, bytes.as_mut_slice()).map_err(|error| at(&error.to_string()))?;
    keys::decode_log_key(bytes.get(..length).unwrap_or_default()).map_err(|what| at(&what))
}

/// Journal of the sensor. A copied log has none, and a RAM disk is empty after a restart of the machine.
fn journal(source: &Source, settings: &Settings) -> Result<FileStorage, Failure> {
    let path = settings.run_dir.join(JOURNAL_FILE);
    let opened = match own_file(&path) {
        _ if source.file.is_some() => FileStorage::read_only(Path::new(NOTHING)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => FileStorage::read_only(Path::new(NOTHING)),
        opened => opened,
    };
    opened.map_err(|error| Failure::new(format!("{}: {error}", path.display())))
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
            log::warn(format_args!("not sealed to this evidence key: {}", counted(count.into(), "segment")));
        }
    }

    /// Says why no seal was checked, if none was.
    pub(super) fn missing_key(&self) -> Result<(), Failure> {
        match &self.no_key {
            Some(why) => {
                Err(Failure::new(format!("{why}; no record is shown and no seal checked without its key")))
            }
            None => Ok(()),
        }
    }

    /// Says what was damaged; everything else was printed before.
    pub(super) fn damage(&self) -> Result<(), Failure> {
        self.missing_key()?;
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
pub(super) mod testing {
    use super::*;
    use crate::spool::Spool;
    use crate::system::private_files::prepare_directory;
    use sentinel_alert::testing::sample;
    use sentinel_privilege::account::Account;
    use sentinel_units::Uptime;

    /// Log with four alerts in main and four in the journal, besides the records about the run.
    pub(in crate::commands::log) fn written() -> (tempfile::TempDir, Settings) {
        let directory = tempfile::tempdir().unwrap();
        let settings = Settings {
            state_dir: directory.path().join("state"),
            run_dir: directory.path().join("run"),
            alert_daily_messages: 0,
            ..Settings::default()
        };
        prepare_directory(&settings.state_dir, Account::current()).unwrap();
        prepare_directory(&settings.run_dir, Account::current()).unwrap();
        let mut spool = Spool::open(&settings, &keys::log_key(&settings.state_dir).unwrap()).unwrap().0;
        for number in 0..8 {
            spool.enqueue(&sample(), Uptime::ZERO);
            if number == 3 {
                spool.flush();
            }
        }
        (directory, settings)
    }
}

#[cfg(test)]
mod tests {
    use super::testing::written;
    use super::*;
    use sentinel_ringlog::{Cursor, MAX_RECORD, RecordId};

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

    /// Files that were moved aside are evidence: with their key they are verified as before, without it their chain is.
    #[test]
    fn a_log_that_was_moved_aside_can_be_verified() {
        use crate::spool::repair;
        let (_directory, settings) = written();
        let (state, moved) = (&settings.state_dir, settings.state_dir.join("log.damaged"));
        let key = std::fs::read(state.join("log.key")).unwrap();
        flip(&state.join("log.key"), 20);
        let said = open(&Source::default(), &settings).unwrap().damage().unwrap_err().to_string();
        assert!(said.contains("log.key: damaged, wrong checksum; the next start"), "{said}");
        drop(repair::open(&settings).unwrap());

        let mut source = Source { file: Some(moved.clone()), ..Source::default() };
        let mut opened = open(&source, &settings).unwrap();
        let mut findings = Vec::new();
        let report = opened.log.verify(None, &mut |finding| findings.push(finding.clone())).unwrap();
        assert_eq!((report.findings, report.segments, report.older_key_segments), (0, 1, 1), "{findings:?}");
        let said = opened.missing_key().unwrap_err().to_string();
        assert!(said.contains("the key does not open this log"), "{said}");
        // The operator has a copy of the key. The one that was moved aside with it is of no use here.
        std::fs::write(state.join("copy"), key).unwrap();
        source.key = Some(state.join("copy"));
        let mut opened = open(&source, &settings).unwrap();
        let report = opened.log.verify(None, &mut |finding| panic!("{finding}")).unwrap();
        assert!(report.findings == 0 && report.records >= 5 && opened.missing_key().is_ok());
        // A changed byte is found, with and without the key.
        flip(&moved, 256 + 130);
        for key in [source.key.take(), None] {
            let source = Source { file: Some(moved.clone()), key, ..Source::default() };
            let mut opened = open(&source, &settings).unwrap();
            let report = opened.log.verify(None, &mut |_| {}).unwrap();
            assert!(report.findings > 0, "{:?}", source.key);
        }
    }

    /// Root reads the log of an unprivileged user: a link there would show root another file's bytes, or wait for a pipe.
    #[test]
    fn links_are_followed_only_in_paths_of_the_operator() {
        let (_directory, settings) = written();
        let elsewhere = settings.state_dir.join("elsewhere");
        std::fs::rename(settings.state_dir.join(MAIN_FILE), &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, settings.state_dir.join(MAIN_FILE)).unwrap();
        assert!(open(&Source::default(), &settings).is_err());
        let typed = Source { file: Some(settings.state_dir.join(MAIN_FILE)), ..Source::default() };
        assert!(open(&typed, &settings).unwrap().damage().is_ok());

        let (_directory, settings) = written();
        let journal = settings.run_dir.join(JOURNAL_FILE);
        std::fs::rename(&journal, settings.run_dir.join("elsewhere")).unwrap();
        std::os::unix::fs::symlink(settings.run_dir.join("elsewhere"), &journal).unwrap();
        assert!(open(&Source::default(), &settings).is_err());
    }
}
