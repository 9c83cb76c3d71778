//! A file as storage.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;

use embedded_io::{ErrorType, Read, Seek, SeekFrom, Write};

/// A file, or a block device, as storage. Flushing is `fdatasync`.
#[derive(Debug)]
pub struct FileStorage(File);

impl FileStorage {
    /// Opens `path` for reading and writing, and creates it if need be: readable and writable by its owner only. It grows
    /// as segments are written.
    ///
    /// # Errors
    /// What the operating system says.
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
    /// What the operating system says, for example that there is no such file.
    pub fn read_only(path: &Path) -> io::Result<Self> {
        File::open(path).map(Self)
    }
}

/// A file that is open for reading and writing.
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

/// Runs `call` again when a signal interrupted it.
fn retry(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}
