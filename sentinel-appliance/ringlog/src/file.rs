//! Storage in a file.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;

use embedded_io::{ErrorType, Read, Seek, SeekFrom, Write};

/// Storage in a file or block device. `flush` is `fdatasync`.
pub struct FileStorage {
    /// `None` reads as empty.
    file: Option<File>,
    /// Way to open the file for writing, before the next write.
    reopen: Option<Reopen>,
    position: u64,
}

/// Opens a file for reading and writing.
pub type Reopen = Box<dyn FnMut() -> io::Result<File>>;

impl core::fmt::Debug for FileStorage {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(out, "FileStorage({:?}, {})", self.file, self.position)
    }
}

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
        options.open(path).map(Self::from)
    }

    /// Opens `path` for reading. Writing to it fails.
    ///
    /// # Errors
    /// The [`io::Error`] of the operating system, for example `NotFound`.
    pub fn read_only(path: &Path) -> io::Result<Self> {
        File::open(path).map(Self::from)
    }

    /// Storage that cannot be written now: a read-only file, or none, which reads as empty. Each write tries `reopen` first, and
    /// fails with its error, so that a disk that was full or read-only is used once it is not. What it opens must be the same file;
    /// without a file it must be an empty one.
    #[must_use]
    pub fn unwritable(file: Option<File>, reopen: Reopen) -> Self {
        Self { file, reopen: Some(reopen), position: 0 }
    }

    /// Opens the file for writing, if that was not possible before.
    fn open_for_writing(&mut self) -> io::Result<&mut File> {
        if let Some(reopen) = &mut self.reopen {
            let mut opened = reopen()?;
            let is_same = match &self.file {
                Some(before) => is_same_file(before, &opened)?,
                None => opened.metadata()?.len() == 0,
            };
            if !is_same {
                return Err(io::Error::other("the file is another one than at the start"));
            }
            opened.seek(io::SeekFrom::Start(self.position))?;
            (self.file, self.reopen) = (Some(opened), None);
        }
        self.file.as_mut().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

#[cfg(unix)]
fn is_same_file(one: &File, other: &File) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let (one, other) = (one.metadata()?, other.metadata()?);
    Ok((one.dev(), one.ino()) == (other.dev(), other.ino()))
}

#[cfg(not(unix))]
fn is_same_file(_: &File, _: &File) -> io::Result<bool> {
    Ok(false)
}

/// Wraps a file that is open for reading and writing.
impl From<File> for FileStorage {
    fn from(file: File) -> Self {
        Self { file: Some(file), reopen: None, position: 0 }
    }
}

impl ErrorType for FileStorage {
    type Error = io::Error;
}

impl Read for FileStorage {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match &mut self.file {
            Some(file) => retry(|| file.read(buf)),
            None => Ok(0),
        }
    }
}

impl Write for FileStorage {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let file = self.open_for_writing()?;
        match retry(|| file.write(buf))? {
            0 if !buf.is_empty() => Err(io::ErrorKind::WriteZero.into()),
            count => Ok(count),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &self.file {
            Some(file) => file.sync_data(),
            None => Ok(()),
        }
    }
}

impl Seek for FileStorage {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.position = match (&mut self.file, to) {
            (Some(file), to) => file.seek(to.into())?,
            (None, SeekFrom::Start(at)) => at,
            (None, _) => 0,
        };
        Ok(self.position)
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
    use crate::storage::{read_at, write_at};
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

    /// A log on a disk that was full or read-only at the start stayed in memory until the next start.
    #[test]
    fn a_storage_becomes_writable_when_its_file_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("main");
        let opener = |path: &Path| -> Reopen {
            let path = path.to_owned();
            Box::new(move || OpenOptions::new().read(true).write(true).open(&path))
        };
        let mut absent = FileStorage::unwritable(None, opener(&path));
        assert_eq!(read_at(&mut absent, 3, &mut [0; 4]).unwrap(), 0);
        assert_eq!(write_at(&mut absent, 3, b"x").unwrap_err().kind(), io::ErrorKind::NotFound);
        let mut foreign = FileStorage::unwritable(None, opener(&path));
        std::fs::write(&path, "").unwrap();
        write_at(&mut absent, 3, b"abc").unwrap();
        absent.flush().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"\0\0\0abc");
        assert!(write_at(&mut foreign, 0, b"x").is_err(), "a file with content was not there at the start");

        let mut same = FileStorage::unwritable(Some(File::open(&path).unwrap()), opener(&path));
        let mut text = [0; 3];
        assert_eq!(read_at(&mut same, 3, &mut text).unwrap(), 3);
        write_at(&mut same, 4, b"B").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"\0\0\0aBc");
        let mut other = FileStorage::unwritable(Some(File::open(&path).unwrap()), opener(&path));
        std::fs::rename(&path, folder.path().join("moved")).unwrap();
        std::fs::write(&path, "").unwrap();
        assert!(write_at(&mut other, 0, b"x").is_err(), "another file");
    }

    /// A read-only disk used up the daily limit of writes.
    #[test]
    fn what_a_storage_never_took_is_not_counted_as_written() {
        let refusing = || {
            let refuse: Reopen = Box::new(|| Err(io::ErrorKind::ReadOnlyFilesystem.into()));
            FileStorage::unwritable(None, refuse)
        };
        let geometry = Geometry::new(16_384, 2).unwrap();
        let key = LogKey::new(0, Key::from_bytes([1; 32]));
        let opened = RingLog::open(refusing(), refusing(), geometry, key, Mode::Append(Salt([1; 16])));
        let mut log = opened.unwrap().0;
        assert!(log.append(b"one").is_err(), "not journaled");
        assert!(log.flush().is_err());
        assert_eq!((log.stats().main_bytes, log.stats().write_errors, log.waiting()), (0, 2, 1));
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
