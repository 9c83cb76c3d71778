//! Keys and enrollment in the state directory. Files are 0600, the directory 0700.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sentinel_ringlog::LogKey;
use sentinel_seal::Key;
use sentinel_uplink::{KeyPair, PublicKey};
use zeroize::Zeroizing;

use crate::system::private_files::no_links;
use crate::terminal::failure::Failure;

const SENSOR_KEY: &str = "sensor.key";
const LOG_KEY: &str = "log.key";
const COLLECTOR: &str = "collector";
/// Bytes read of the enrollment: the longest address and key are far shorter.
const MAX_COLLECTOR_LEN: u64 = 1_024;

/// Address of the collector, and the public key that it must prove to own.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Collector {
    /// `host:port`
    pub(crate) address: String,
    pub(crate) key: PublicKey,
}

/// Key pair of the sensor, generated at first use.
pub(crate) fn sensor_key(state: &Path) -> Result<KeyPair, Failure> {
    let path = state.join(SENSOR_KEY);
    if let Some(bytes) = read_secret::<32>(&path)? {
        return Ok(KeyPair::from_bytes(&bytes));
    }
    let pair = KeyPair::generate().map_err(|error| Failure::new(format!("making a key: {error}")))?;
    write_private(&path, &*pair.secret_bytes())?;
    Ok(pair)
}

/// Key of the log, generated at first use.
pub(crate) fn log_key(state: &Path) -> Result<LogKey, Failure> {
    let path = state.join(LOG_KEY);
    if let Some(bytes) = read_secret::<{ LogKey::LEN }>(&path)? {
        return Ok(LogKey::from_bytes(&bytes));
    }
    let mut secret = Zeroizing::new([0; Key::LEN]);
    random(secret.as_mut_slice())?;
    let key = LogKey::new(0, Key::from_bytes(*secret));
    store_log_key(state, &key)?;
    Ok(key)
}

/// Key of the log; never generated, for commands that only read.
pub(crate) fn existing_log_key(state: &Path) -> Result<LogKey, Failure> {
    let path = state.join(LOG_KEY);
    match read_secret::<{ LogKey::LEN }>(&path)? {
        Some(bytes) => Ok(LogKey::from_bytes(&bytes)),
        None => Err(Failure::new(format!("{}: no such file; the sensor has not run yet", path.display()))),
    }
}

/// Stores the key of the log after it was advanced.
pub(crate) fn store_log_key(state: &Path, key: &LogKey) -> Result<(), Failure> {
    write_private(&state.join(LOG_KEY), Zeroizing::new(key.to_bytes()).as_slice())
}

/// Collector that this sensor is enrolled at, if any.
pub(crate) fn collector(state: &Path) -> Result<Option<Collector>, Failure> {
    let path = state.join(COLLECTOR);
    let mut text = String::new();
    match no_links().read(true).open(&path) {
        Ok(file) => {
            file.take(MAX_COLLECTOR_LEN).read_to_string(&mut text).map_err(|error| at(&path, &error))?
        }
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(at(&path, &error)),
    };
    let wrong =
        || Failure::new(format!("{}: want 'ADDRESS:PORT KEY' on one line; enroll again", path.display()));
    let (address, key) = text.trim().split_once(' ').ok_or_else(wrong)?;
    let key = key.parse().map_err(|_| wrong())?;
    Ok(Some(Collector { address: address.to_owned(), key }))
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
    file.read_exact(bytes.as_mut_slice()).map_err(|_| wrong("less"))?;
    match file.read(&mut [0]) {
        Ok(0) => Ok(Some(bytes)),
        _ => Err(wrong("more")),
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
        fs::rename(&beside, path)?;
        let directory = path.parent().unwrap_or(Path::new("."));
        fs::File::open(directory)?.sync_all()
    };
    write().map_err(|error| at(path, &error))
}

pub(crate) fn at(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("{}: {error}", path.display()))
}
