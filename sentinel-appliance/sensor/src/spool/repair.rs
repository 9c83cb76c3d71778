//! Start of the sensor from whatever its directories hold: it always watches.
//!
//! | found | what happens |
//! |---|---|
//! | damaged file ([`crate::system::damage`]) | moved aside, told by an alert, the status and the log; a new one takes its place |
//! | file that cannot be read, such as one of another user | left alone; its part is done without: alerts in memory only, or no uplink |
//! | directory that is full or read-only | alerts stay in memory; each later write tries again |
//! | file that another sensor has locked | refused: it is in use, not damaged |
//!
//! Key and log are moved aside one after the other. A kill in between leaves a log that the new key does not open, which the next
//! start moves aside too. What the journal holds is recovered if its key is good, whatever happened to the log.

use std::path::Path;

use sentinel_ringlog::{FileStorage, Geometry, LogKey, Mode, OpenError, Recovery, Reopen, Salt};
use sentinel_uplink::KeyPair;

use super::open::lock_file;
use super::{EvidencePolicy, JOURNAL_FILE, Log, MAIN_FILE, Spool, geometry, resize};
use crate::settings::Settings;
use crate::system::damage::{Damages, FileState, look, was_moved_aside};
use crate::system::keyring::Keyring;
use crate::system::keys::{self, COLLECTOR, Collector, LOG_KEY, SENSOR_KEY};
use crate::system::private_files::lock_directory;
use crate::terminal::failure::Failure;
use crate::terminal::log;

/// Openings of the log at most: each but the last moves main or the journal aside.
const MAX_OPENINGS: u32 = 4;

/// Contents of the directories of the sensor.
#[derive(Debug)]
pub(crate) struct State {
    /// `None` if the key of the sensor cannot be read or stored: then there is no uplink.
    pub(crate) keys: Option<Keyring>,
    pub(crate) collector: Option<Collector>,
    /// Reason why the sensor has no collector, other than that it was never enrolled.
    pub(crate) enrollment_problem: Option<String>,
    pub(crate) spool: Spool,
    pub(crate) recovery: Recovery,
}

/// Key of the log, for this run.
struct RunKey {
    key: LogKey,
    is_stored: bool,
    /// The file was there before.
    is_old: bool,
    /// Reason why it is not that of the log in the state directory, which must not be touched then.
    problem: Option<String>,
}

/// The log, open in some way.
struct OpenLog {
    log: Box<Log>,
    recovery: Recovery,
    /// Way in which it was opened, if not the usual one, for the operator.
    notice: Option<String>,
    /// Main and journal are in memory: what is on the storages was not read.
    is_memory_only: bool,
}

/// Reason why the log was not opened.
enum Refused {
    /// Main holds nothing that can be used.
    Main(String),
    /// The journal holds nothing that can be used.
    Journal(String),
    /// Main cannot be read.
    Unreadable(String),
    /// In use by another sensor, or wrong settings.
    Fatal(Failure),
}

/// Opens everything in the directories of the settings, and repairs what is damaged.
///
/// # Errors
/// Another sensor uses them, or there is no random number.
pub(crate) fn open(settings: &Settings) -> Result<State, Failure> {
    let state = &settings.state_dir;
    // Before anything is moved: a sensor that runs is not robbed of its files.
    let lock = lock_directory(state)?;
    let mut damages = Damages::default();
    damages.find_untold(state, &[SENSOR_KEY, LOG_KEY, COLLECTOR, MAIN_FILE]);
    damages.find_untold(&settings.run_dir, &[JOURNAL_FILE]);
    let (collector, enrollment_problem) = collector(state, &mut damages);
    let keys = keyring(state, &mut damages)?;
    let key = log_key(state, &mut damages)?;
    let had_file = matches!(look(&state.join(MAIN_FILE)), FileState::Good(()));
    let opened = open_log(settings, &key, &mut damages)?;
    // What a new log lacks was said when the old one was moved.
    let is_moved = damages.list().iter().any(|damage| damage.file == MAIN_FILE);
    if !opened.is_memory_only && !is_moved {
        note_partial(&opened.recovery, had_file && key.is_old, &mut damages);
    }
    if let Some(notice) = &opened.notice {
        log::warn(format_args!("{notice}"));
    }
    let policy = EvidencePolicy::new(settings, collector.as_ref().map(|collector| collector.key));
    // A key that stands in for one that cannot be read is not stored over it.
    let stored_epoch = (key.is_stored || key.problem.is_some()).then(|| key.key.epoch());
    let mut spool = Spool::begin(settings, opened.log, &opened.recovery, stored_epoch, policy, damages)?;
    (spool.notice, spool.lock) = (opened.notice, lock);
    Ok(State { keys, collector, enrollment_problem, spool, recovery: opened.recovery })
}

fn collector(state: &Path, damages: &mut Damages) -> (Option<Collector>, Option<String>) {
    let problem = match keys::stored_collector(state) {
        FileState::Good(collector) => return (Some(collector), None),
        FileState::Absent if was_moved_aside(state, COLLECTOR) => None,
        FileState::Absent => return (None, None),
        FileState::Damaged(problem) => {
            damages.move_aside(state, COLLECTOR, &problem).err().map(|error| error.to_string())
        }
        FileState::Unreadable(why) => Some(why),
    };
    let problem = match problem {
        None => "enrollment damaged: run 'sentinel enroll TOKEN'".to_owned(),
        Some(why) => format!("enrollment not readable: {}: {why}", state.join(COLLECTOR).display()),
    };
    log::warn(format_args!("{problem}"));
    (None, Some(problem))
}

/// Keys of the uplink: those of the files, or a new one if there is none.
fn keyring(state: &Path, damages: &mut Damages) -> Result<Option<Keyring>, Failure> {
    // Before a new key is made for want of one.
    let ring = match Keyring::finish_return(state) {
        Ok(()) => sensor_key(state, damages)?.map(|own| Keyring::beside(state, own)).transpose(),
        Err(failure) => Err(failure),
    };
    Ok(ring.unwrap_or_else(|failure| {
        log::error(format_args!("{failure}; no uplink until it can be read"));
        None
    }))
}

/// Key pair of the sensor: that of the file, or a new one if there is none. Without one that lasts, nothing is gained by
/// connecting: the collector knows the key in the file.
fn sensor_key(state: &Path, damages: &mut Damages) -> Result<Option<KeyPair>, Failure> {
    let failed = match keys::stored_sensor_key(state) {
        FileState::Good(pair) => return Ok(Some(pair)),
        FileState::Absent => None,
        FileState::Damaged(problem) => {
            damages.move_aside(state, SENSOR_KEY, &problem).err().map(|error| error.to_string())
        }
        FileState::Unreadable(why) => Some(why),
    };
    if let Some(why) = failed {
        log::error(format_args!(
            "{}: {why}; no uplink until it can be read",
            state.join(SENSOR_KEY).display()
        ));
        return Ok(None);
    }
    let pair = keys::new_sensor_key()?;
    match keys::store_sensor_key(state, &pair) {
        Ok(()) => Ok(Some(pair)),
        Err(failure) => {
            log::error(format_args!("{failure}; no uplink until a key can be stored"));
            Ok(None)
        }
    }
}

fn log_key(state: &Path, damages: &mut Damages) -> Result<RunKey, Failure> {
    let problem = match keys::stored_log_key(state) {
        FileState::Good(key) => return Ok(RunKey { key, is_stored: true, is_old: true, problem: None }),
        FileState::Absent => None,
        FileState::Damaged(problem) => {
            damages.move_aside(state, LOG_KEY, &problem).err().map(|error| error.to_string())
        }
        FileState::Unreadable(why) => Some(why),
    };
    let problem = problem.map(|why| format!("{}: {why}", state.join(LOG_KEY).display()));
    let key = keys::new_log_key()?;
    let is_stored = problem.is_none() && keys::store_log_key(state, &key).is_ok();
    Ok(RunKey { key, is_stored, is_old: false, problem })
}

/// Opens the log, moving aside what is in the way; in memory, if it cannot be opened at all.
fn open_log(settings: &Settings, key: &RunKey, damages: &mut Damages) -> Result<OpenLog, Failure> {
    if let Some(problem) = &key.problem {
        return in_memory(settings, &key.key, problem);
    }
    let mut problem = String::new();
    for _ in 0..MAX_OPENINGS {
        let (directory, file) = match open_or_resize(settings, &key.key) {
            Ok(opened) => return Ok(opened),
            Err(Refused::Fatal(failure)) => return Err(failure),
            Err(Refused::Unreadable(why)) => return in_memory(settings, &key.key, &why),
            Err(Refused::Main(what)) => {
                problem = what;
                (&settings.state_dir, MAIN_FILE)
            }
            Err(Refused::Journal(what)) => {
                problem = what;
                (&settings.run_dir, JOURNAL_FILE)
            }
        };
        if let Err(error) = damages.move_aside(directory, file, &problem) {
            problem = format!("{}: {problem}, and not moved aside: {error}", directory.join(file).display());
            break;
        }
    }
    in_memory(settings, &key.key, &problem)
}

/// Opens the log. One of another geometry is replaced; if that fails it is used as it is. Either is said in the notice.
fn open_or_resize(settings: &Settings, key: &LogKey) -> Result<OpenLog, Refused> {
    let wanted = geometry(settings).map_err(Refused::Fatal)?;
    let found = match open_with(settings, key, wanted)? {
        Ok(opened) => return Ok(opened),
        Err(found) => found,
    };
    let (geometry, notice) = match resize::resize(settings, key, found) {
        Ok(done) => (wanted, done),
        Err(failure) => (found, format!("log keeps its size, it could not be replaced: {failure}")),
    };
    match open_with(settings, key, geometry)? {
        Ok(opened) => Ok(OpenLog { notice: Some(opened.notice.unwrap_or(notice)), ..opened }),
        Err(_) => Err(Refused::Main("segments of different sizes".into())),
    }
}

/// Opens the log with a geometry. `Ok(Err(found))` if it has another one.
fn open_with(
    settings: &Settings,
    key: &LogKey,
    geometry: Geometry,
) -> Result<Result<OpenLog, Geometry>, Refused> {
    let (main_path, journal_path) = (settings.state_dir.join(MAIN_FILE), settings.run_dir.join(JOURNAL_FILE));
    if let FileState::Damaged(what) = look(&journal_path) {
        return Err(Refused::Journal(what));
    }
    match look(&main_path) {
        FileState::Damaged(what) => return Err(Refused::Main(what)),
        FileState::Unreadable(why) => return Err(Refused::Unreadable(why)),
        FileState::Absent | FileState::Good(()) => {}
    }
    let mut notice = None;
    let main = storage(&main_path, &mut notice)?;
    let journal = storage(&journal_path, &mut notice)?;
    let salt = salt().map_err(Refused::Fatal)?;
    match Log::open(main, journal, geometry, key.clone(), Mode::Append(salt)) {
        Ok((log, recovery)) if recovery.damaged_segments > 0 && !log.has_segments() => {
            Err(Refused::Main("no segment of it can be opened".into()))
        }
        Ok((_, recovery)) if recovery.journal_unreadable => {
            Err(Refused::Journal("it does not begin with a section of this log".into()))
        }
        Ok((log, recovery)) => {
            Ok(Ok(OpenLog { log: Box::new(log), recovery, notice, is_memory_only: false }))
        }
        Err(OpenError::Geometry { found }) => Ok(Err(found)),
        Err(error @ (OpenError::WrongKey | OpenError::Version(_))) => Err(Refused::Main(error.to_string())),
        Err(error) => Err(Refused::Unreadable(error.to_string())),
    }
}

/// Opens a file of the log for writing, or as far as that is possible now.
fn storage(path: &Path, notice: &mut Option<String>) -> Result<FileStorage, Refused> {
    let error = match lock_file(path) {
        Ok(file) => return Ok(FileStorage::from(file)),
        Err(error) => error,
    };
    let shown = path.display();
    if error.kind() == std::io::ErrorKind::WouldBlock {
        return Err(Refused::Fatal(Failure::new(format!("{shown}: {error}"))));
    }
    let mut options = crate::system::private_files::no_links();
    let file = match options.read(true).open(path) {
        Ok(file) => Some(file),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(Refused::Unreadable(format!("{shown}: {error}"))),
    };
    *notice = Some(format!("{shown}: {error}; alerts are in memory until it can be written"));
    let path = path.to_owned();
    Ok(FileStorage::unwritable(file, Box::new(move || lock_file(&path))))
}

/// A log in memory, beside one that is not touched.
fn in_memory(settings: &Settings, key: &LogKey, problem: &str) -> Result<OpenLog, Failure> {
    let nowhere = || {
        let refuse: Reopen = Box::new(|| Err(std::io::Error::other("not readable at the start")));
        FileStorage::unwritable(None, refuse)
    };
    let opened = Log::open(nowhere(), nowhere(), geometry(settings)?, key.clone(), Mode::Append(salt()?));
    let (log, recovery) = opened.map_err(Failure::new)?;
    let notice = format!("{problem}; alerts are in memory only, restart the sensor once it is mended");
    Ok(OpenLog { log: Box::new(log), recovery, notice: Some(notice), is_memory_only: true })
}

fn salt() -> Result<Salt, Failure> {
    let mut salt = [0; 16];
    keys::random(&mut salt)?;
    Ok(Salt(salt))
}

/// Records what a log lacks that is used as far as it is good. `is_used` if its file and its key were there before.
fn note_partial(recovery: &Recovery, is_used: bool, damages: &mut Damages) {
    let Recovery { damaged_segments, missing_records, is_rolled_back, is_new, .. } = *recovery;
    let mut note = |what: &str| damages.note(MAIN_FILE, what.to_owned());
    if is_rolled_back {
        note("older than its key: rolled back, wiped or cut off");
    } else if is_new && is_used {
        note("empty");
    }
    if damaged_segments > 0 || missing_records > 0 {
        note(&format!("unreadable segments {damaged_segments}, missing records {missing_records}"));
    }
}
