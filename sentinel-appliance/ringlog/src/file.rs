//! Storage in a file.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;

use embedded_io::{ErrorType, Read, Seek, SeekFrom, Write};

/// Storage in a file or block device. `flush` is `fdatasync`.
#[derive(Debug)]
pub struct FileStorage(File);

impl FileStorage {
    /// Opens `path` for reading and writing, and creates it with mode 0600 if it does not exist. It grows as segments are
    /// written.
    ///
    /// # Errors
    /// The [`io::Error`] of the operating system; no file was created or changed.
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(path).map(Self)
    }

    /// Opens `path` for reading. Writing to it fails.
    ///
    /// # Errors
    /// The [`io::Error`] of the operating system, for example `NotFound`.
    pub fn read_only(path: &Path) -> io::Result<Self> {
        File::open(path).map(Self)
    }
}

/// Wraps a file that is open for reading and writing.
impl From<File> for FileStorage {
    fn from(file: File) -> Self {
        Self(file)
    }
}

impl ErrorType for FileStorage {
    type Error = io::Error;
}

impl Read for FileStorage {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        retry(|| self.0.read(buf))
    }
}

impl Write for FileStorage {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match retry(|| self.0.write(buf))? {
            0 if !buf.is_empty() => Err(io::ErrorKind::WriteZero.into()),
            count => Ok(count),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }
}

impl Seek for FileStorage {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to.into())
    }
}

/// Repeats `call` as long as a signal interrupts it (`EINTR`).
fn retry(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cursor, Geometry, LogKey, Mode, OpenError, RecordId, RingLog, Salt};
    use sentinel_seal::Key;

    #[test]
    fn a_log_in_files_is_read_back_and_is_private_to_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let (main, journal) = (folder.path().join("main"), folder.path().join("journal"));
        let geometry = Geometry::new(16_384, 2).unwrap();
        let key = || LogKey::new(0, Key::from_bytes([1; 32]));
        let create = |salt| {
            let (main, journal) =
                (FileStorage::create(&main).unwrap(), FileStorage::create(&journal).unwrap());
            RingLog::open(main, journal, geometry, key(), Mode::Append(Salt([salt; 16]))).unwrap()
        };
        let (mut log, recovery) = create(1);
        assert!(recovery.is_new);
        for text in ["one", "two"] {
            log.append(text.as_bytes()).unwrap();
        }
        log.flush().unwrap();
        log.append(b"three").unwrap();
        drop(log);
        let (mut log, recovery) = create(2);
        assert_eq!((recovery.records, recovery.from_journal), (3, 1));

        // A second program reads beside the writer.
        let read = || (FileStorage::read_only(&main).unwrap(), FileStorage::read_only(&journal).unwrap());
        let (main_file, journal_file) = read();
        let (mut reader, _) =
            RingLog::open(main_file, journal_file, geometry, key(), Mode::ReadOnly).unwrap();
        let (mut cursor, mut buf) = (Cursor::new(RecordId(1)), [0; 8]);
        assert_eq!(reader.read_next(&mut cursor, &mut buf).unwrap(), Some((RecordId(1), 3)));
        assert_eq!(reader.read_next(&mut cursor, &mut buf).unwrap(), Some((RecordId(2), 5)));
        assert_eq!(&buf[..5], b"three");
        assert_eq!(log.append(b"four").unwrap(), RecordId(3));

        #[cfg(unix)]
        for path in [&main, &journal] {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        let (mut file, _) = read();
        assert!(file.write(b"x").is_err(), "opened for reading");
    }

    #[test]
    fn a_system_error_names_the_storage_that_failed() {
        let folder = tempfile::tempdir().unwrap();
        let storage = || FileStorage::from(File::open(folder.path()).unwrap());
        let geometry = Geometry::new(16_384, 2).unwrap();
        let key = LogKey::new(0, Key::from_bytes([1; 32]));
        let error = RingLog::open(storage(), storage(), geometry, key, Mode::ReadOnly).unwrap_err();
        assert!(matches!(error, OpenError::Main(_)));
        assert!(error.to_string().starts_with("log not readable: "), "{error}");
    }
}
