//! Keys and enrollment in the state directory. Files are 0600, the directory 0700.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sentinel_ringlog::LogKey;
use sentinel_seal::{Chain, Key};
use sentinel_uplink::{KeyPair, PublicKey};
use zeroize::Zeroizing;

use crate::system::damage::{self, FileState};
use crate::system::private_files::no_links;
use crate::terminal::failure::Failure;

pub(crate) const SENSOR_KEY: &str = "sensor.key";
pub(crate) const LOG_KEY: &str = "log.key";
pub(crate) const COLLECTOR: &str = "collector";
/// Bytes read of the enrollment: the longest address and key are far shorter.
const MAX_COLLECTOR_LEN: usize = 1_024;
/// Bytes of the checksum behind a key, which tells damage from another key.
const CHECKSUM_LEN: usize = 16;
/// Longer than any key file.
pub(crate) const MAX_KEY_FILE_LEN: usize = 64;
const _: () = assert!(LogKey::LEN + CHECKSUM_LEN < MAX_KEY_FILE_LEN, "a longer file must show its length");

/// Address of the collector, and the public key that it must prove to own.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Collector {
    /// `host:port`
    pub(crate) address: String,
    pub(crate) key: PublicKey,
}

/// Key pair of the sensor in its file.
pub(crate) fn stored_sensor_key(state: &Path) -> FileState<KeyPair> {
    stored_key_pair(&state.join(SENSOR_KEY))
}

/// Key pair in a file.
pub(crate) fn stored_key_pair(path: &Path) -> FileState<KeyPair> {
    read_key::<32>(path).and_then(|bytes| Ok(KeyPair::from_bytes(&bytes)))
}

/// New key pair of the sensor, not stored.
pub(crate) fn new_sensor_key() -> Result<KeyPair, Failure> {
    KeyPair::generate().map_err(|error| Failure::new(format!("making a key: {error}")))
}

/// Stores the key pair of the sensor.
pub(crate) fn store_sensor_key(state: &Path, pair: &KeyPair) -> Result<(), Failure> {
    store_key_pair(&state.join(SENSOR_KEY), pair)
}

/// Stores a key pair in a file.
pub(crate) fn store_key_pair(path: &Path, pair: &KeyPair) -> Result<(), Failure> {
    write_key(path, &*pair.secret_bytes())
}

/// Key pair of the sensor, generated at first use. A damaged one is an error: only the start of the sensor replaces it.
pub(crate) fn sensor_key(state: &Path) -> Result<KeyPair, Failure> {
    if let Some(pair) = good(state, SENSOR_KEY, stored_sensor_key(state))? {
        return Ok(pair);
    }
    let pair = new_sensor_key()?;
    store_sensor_key(state, &pair)?;
    Ok(pair)
}

/// Key of the log in its file.
pub(crate) fn stored_log_key(state: &Path) -> FileState<LogKey> {
    read_key::<{ LogKey::LEN }>(&state.join(LOG_KEY)).and_then(|bytes| Ok(LogKey::from_bytes(&bytes)))
}

/// Key of a log in the content of its file.
///
/// # Errors
/// A text that says why it is no key.
pub(crate) fn decode_log_key(content: &[u8]) -> Result<LogKey, String> {
    decode_key::<{ LogKey::LEN }>(content).map(|bytes| LogKey::from_bytes(&bytes))
}

/// New key of the log, not stored.
pub(crate) fn new_log_key() -> Result<LogKey, Failure> {
    let mut secret = Zeroizing::new([0; Key::LEN]);
    random(secret.as_mut_slice())?;
    Ok(LogKey::new(0, Key::from_bytes(*secret)))
}

/// Key of the log, generated at first use.
#[cfg(test)]
pub(crate) fn log_key(state: &Path) -> Result<LogKey, Failure> {
    if let Some(key) = good(state, LOG_KEY, stored_log_key(state))? {
        return Ok(key);
    }
    let key = new_log_key()?;
    store_log_key(state, &key)?;
    Ok(key)
}

/// Key of the log; never generated, for commands that only read.
pub(crate) fn existing_log_key(state: &Path) -> Result<LogKey, Failure> {
    good(state, LOG_KEY, stored_log_key(state))?.ok_or_else(|| {
        let path = state.join(LOG_KEY);
        Failure::new(format!("{}: no such file; the sensor has not run yet", path.display()))
    })
}

/// Stores the key of the log after it was advanced.
pub(crate) fn store_log_key(state: &Path, key: &LogKey) -> Result<(), Failure> {
    write_key(&state.join(LOG_KEY), Zeroizing::new(key.to_bytes()).as_slice())
}

/// Collector in its file.
pub(crate) fn stored_collector(state: &Path) -> FileState<Collector> {
    let mut text = [0; MAX_COLLECTOR_LEN];
    let length = damage::read(&state.join(COLLECTOR), &mut text);
    length.and_then(|length| {
        let text = text.get(..length).and_then(|text| core::str::from_utf8(text).ok());
        let found = text.and_then(|text| text.trim().split_once(' ')).and_then(|(address, key)| {
            Some(Collector { address: address.to_owned(), key: key.parse().ok()? })
        });
        found.ok_or_else(|| "want 'ADDRESS:PORT KEY' on one line".into())
    })
}

/// Collector that this sensor is enrolled at, if any.
pub(crate) fn collector(state: &Path) -> Result<Option<Collector>, Failure> {
    good(state, COLLECTOR, stored_collector(state))
}

/// Content of a file, if it is there.
fn good<T>(state: &Path, name: &str, found: FileState<T>) -> Result<Option<T>, Failure> {
    let path = state.join(name);
    match found {
        FileState::Absent => Ok(None),
        FileState::Good(content) => Ok(Some(content)),
        FileState::Damaged(what) => Err(Failure::new(format!(
            "{}: damaged, {what}; the next start of the sensor moves it aside",
            path.display()
        ))),
        FileState::Unreadable(why) => Err(Failure::new(format!("{}: {why}", path.display()))),
    }
}

/// Key of N bytes in its file.
fn read_key<const N: usize>(path: &Path) -> FileState<Zeroizing<[u8; N]>> {
    let mut bytes = Zeroizing::new([0; MAX_KEY_FILE_LEN]);
    damage::read(path, bytes.as_mut_slice())
        .and_then(|length| decode_key(bytes.get(..length).unwrap_or_default()))
}

fn decode_key<const N: usize>(content: &[u8]) -> Result<Zeroizing<[u8; N]>, String> {
    let mut key = Zeroizing::new([0; N]);
    key.copy_from_slice(key_bytes(content, N)?);
    Ok(key)
}

/// Key of `length` bytes before its checksum. Files of earlier versions have no checksum.
fn key_bytes(content: &[u8], length: usize) -> Result<&[u8], String> {
    let wrong = || format!("{} bytes, not {}", content.len(), length + CHECKSUM_LEN);
    let (key, sum) = content.split_at_checked(length).ok_or_else(wrong)?;
    if sum.is_empty() || sum == checksum(key) {
        Ok(key)
    } else if sum.len() == CHECKSUM_LEN {
        Err("wrong checksum".into())
    } else {
        Err(wrong())
    }
}

fn write_key(path: &Path, key: &[u8]) -> Result<(), Failure> {
    let mut bytes = Zeroizing::new([0; MAX_KEY_FILE_LEN]);
    let sum = checksum(key);
    bytes.iter_mut().zip(key.iter().chain(&sum)).for_each(|(to, from)| *to = *from);
    write_private(path, bytes.get(..key.len() + CHECKSUM_LEN).unwrap_or_default())
}

fn checksum(key: &[u8]) -> [u8; CHECKSUM_LEN] {
    let chain = Chain::START.link(&[b"sentinel key file v1", key]);
    chain.as_bytes().first_chunk().copied().unwrap_or_default()
}

/// Mark of the file that names the collector: inode and time of writing, which each enrollment changes. `None` without the
/// file.
pub(crate) fn enrollment_stamp(state: &Path) -> Option<(u64, i64, i64)> {
    let about = fs::metadata(state.join(COLLECTOR)).ok()?;
    Some((about.ino(), about.mtime(), about.mtime_nsec()))
}

/// Stores the collector.
pub(crate) fn store_collector(state: &Path, collector: &Collector) -> Result<(), Failure> {
    let line = format!("{} {}\n", collector.address, collector.key);
    write_private(&state.join(COLLECTOR), line.as_bytes())
}

/// Fills `bytes` from the random number generator of the kernel.
pub(crate) fn random(bytes: &mut [u8]) -> Result<(), Failure> {
    getrandom::fill(bytes).map_err(|error| Failure::new(format!("random bytes: {error}")))
}

/// Random number from the kernel.
pub(crate) fn random_u64() -> Result<u64, Failure> {
    let mut bytes = [0; 8];
    random(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

/// Secret of N bytes in a file that nobody else can read; `None` if there is no file.
pub(crate) fn read_secret<const N: usize>(path: &Path) -> Result<Option<Zeroizing<[u8; N]>>, Failure> {
    let mut file = match no_links().read(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(at(path, &error)),
    };
    let mode = file.metadata().map_err(|error| at(path, &error))?.mode();
    if mode & 0o077 != 0 {
        return Err(Failure::new(format!(
            "{}: mode {:03o} lets others read this key; run 'chmod 600 {}'",
            path.display(),
            mode & 0o777,
            path.display()
        )));
    }
    let mut bytes = Zeroizing::new([0; N]);
    let wrong = |what: &str| {
        Failure::new(format!(
            "{}: {what} than {N} bytes; not a key file; restore it from a backup",
            path.display()
        ))
    };
    match file.read_exact(bytes.as_mut_slice()) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Err(wrong("less")),
        Err(error) => return Err(at(path, &error)),
        Ok(()) => {}
    }
    match file.read(&mut [0]) {
        Ok(0) => Ok(Some(bytes)),
        Ok(_) => Err(wrong("more")),
        Err(error) => Err(at(path, &error)),
    }
}

/// Makes a new file of mode 0600.
pub(crate) fn create_private(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let write = || -> std::io::Result<()> {
        let mut file = no_links().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(|error| at(path, &error))
}

/// Replaces a file with mode 0600 atomically: write beside it, sync, rename.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let mut beside = PathBuf::from(path);
    beside.set_extension("new");
    let write = || -> std::io::Result<()> {
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = no_links().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        damage::crash_point();
        fs::rename(&beside, path)?;
        damage::crash_point();
        let directory = path.parent().unwrap_or(Path::new("."));
        fs::File::open(directory)?.sync_all()
    };
    write().map_err(|error| at(path, &error))
}

pub(crate) fn at(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("{}: {error}", path.display()))
}
