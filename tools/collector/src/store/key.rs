//! The key of the database, and files of mode 0600.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use super::StoreError;

/// Key of the database: 32 raw bytes, or a passphrase that `SQLCipher` stretches (PBKDF2).
pub struct DatabaseKey(String);

impl DatabaseKey {
    /// The key from `given` (the value of `SENTINEL_DB_KEY`), else from the file `key`, which is created
    /// with 32 random bytes if neither it nor `database` exists.
    ///
    /// # Errors
    /// [`StoreError::KeyEmpty`], [`StoreError::KeyMissing`], [`StoreError::KeyExposed`],
    /// [`StoreError::KeyMalformed`] and [`StoreError::Io`]; no file has been changed then.
    pub fn load(given: Option<&str>, key: &Path, database: &Path) -> Result<Self, StoreError> {
        // The environment first: with it the key need not be on the disk beside the database.
        if let Some(given) = given {
            if given.is_empty() {
                return Err(StoreError::KeyEmpty);
            }
            return Ok(Self::from_text(given));
        }
        if key.exists() {
            let text = read_private(key)?;
            let text = text.trim();
            if raw_key(text).is_none() {
                return Err(StoreError::KeyMalformed(key.into()));
            }
            return Ok(Self::from_text(text));
        }
        // A new key would not open it, and would hide that the old one is lost.
        if database.exists() {
            return Err(StoreError::KeyMissing { database: database.into(), key: key.into() });
        }
        let mut bytes = [0; 32];
        random(&mut bytes)?;
        let text = hex(&bytes);
        match write_private(key, format!("{text}\n").as_bytes()) {
            Ok(()) => Ok(Self::from_text(&text)),
            // Another process created it meanwhile: its key is the key.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Self::load(None, key, database),
            Err(error) => Err(StoreError::Io(key.into(), error)),
        }
    }

    /// 64 hexadecimal digits are the key itself, anything else is a passphrase.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        Self(raw_key(text).unwrap_or_else(|| text.into()))
    }

    /// The value for `PRAGMA key`.
    pub(super) fn pragma(&self) -> &str {
        &self.0
    }
}

/// Does not print the key.
impl fmt::Debug for DatabaseKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("DatabaseKey")
    }
}

fn raw_key(text: &str) -> Option<String> {
    (text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| format!("x'{text}'"))
}

/// Fills `bytes` from the random source of the system.
///
/// # Errors
/// [`StoreError::Io`] if the system has no random source.
pub fn random(bytes: &mut [u8]) -> Result<(), StoreError> {
    getrandom::fill(bytes).map_err(|error| StoreError::Io("getrandom".into(), io::Error::other(error)))
}

/// Lower-case hexadecimal digits of `bytes`.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes of an even number of hexadecimal digits.
#[must_use]
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|char| char.to_digit(16)).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    let (pairs, _) = digits.as_chunks::<2>();
    pairs.iter().map(|[high, low]| u8::try_from(high * 16 + low).ok()).collect()
}

/// Creates `directory` with mode 0700 if it does not exist.
///
/// # Errors
/// [`StoreError::Io`].
pub fn private_directory(directory: &Path) -> Result<(), StoreError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|error| StoreError::Io(directory.into(), error))
}

/// Reads a file that only its owner may read.
///
/// # Errors
/// [`StoreError::KeyExposed`] if the group or others may read it; [`StoreError::Io`].
pub fn read_private(path: &Path) -> Result<String, StoreError> {
    let wrap = |error| StoreError::Io(path.into(), error);
    let mode = fs::metadata(path).map_err(wrap)?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(StoreError::KeyExposed(path.into(), mode));
    }
    fs::read_to_string(path).map_err(wrap)
}

/// Creates a file of mode 0600 with these bytes. They are synchronised under a temporary name before the file gets
/// its own: a crash leaves no key or the complete key.
///
/// # Errors
/// Errors of the file system; `AlreadyExists` if the name is taken.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension(format!("new{}", std::process::id()));
    let result = (|| {
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::hard_link(&temporary, path)?; // fails if the name is taken, unlike rename
        if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
            File::open(directory)?.sync_all()?;
        }
        Ok(())
    })();
    let _ = fs::remove_file(&temporary);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_start_creates_a_private_key_and_the_second_reads_it() {
        let directory = tempfile::tempdir().unwrap();
        let (key, database) = (directory.path().join("db.key"), directory.path().join("db"));
        let first = DatabaseKey::load(None, &key, &database).unwrap();
        let second = DatabaseKey::load(None, &key, &database).unwrap();
        assert_eq!(first.pragma(), second.pragma());
        assert_eq!(first.pragma().len(), 3 + 64);
        assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "no temporary file stays");
        assert_eq!(format!("{first:?}"), "DatabaseKey");
    }

    #[test]
    fn a_database_without_its_key_gets_no_new_key() {
        let directory = tempfile::tempdir().unwrap();
        let (key, database) = (directory.path().join("db.key"), directory.path().join("db"));
        fs::write(&database, "x").unwrap();
        let error = DatabaseKey::load(None, &key, &database).unwrap_err();
        assert!(matches!(error, StoreError::KeyMissing { .. }), "{error}");
        assert!(!key.exists());
    }

    #[test]
    fn a_key_that_others_can_read_is_rejected() {
        let directory = tempfile::tempdir().unwrap();
        let key = directory.path().join("db.key");
        write_private(&key, b"00").unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
        let error = DatabaseKey::load(None, &key, &directory.path().join("db")).unwrap_err();
        assert!(error.to_string().contains("mode 0640"), "{error}");
    }

    #[test]
    fn a_key_is_never_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let key = directory.path().join("db.key");
        write_private(&key, b"first").unwrap();
        assert_eq!(write_private(&key, b"second").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&key).unwrap(), b"first");
    }

    #[test]
    fn hexadecimal_goes_both_ways() {
        assert_eq!(unhex("00ffA5"), Some(vec![0, 255, 0xa5]));
        assert_eq!(hex(&[0, 255, 0xa5]), "00ffa5");
        assert!(unhex("0").is_none() && unhex("0g").is_none());
    }
}
