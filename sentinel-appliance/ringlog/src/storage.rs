//! Storage of main and journal.

use core::convert::Infallible;

use embedded_io::{ErrorType, Read, Seek, SeekFrom, Write};

/// Random-access byte storage: a file, a partition, memory.
///
/// It has no methods beyond those of `embedded-io`. The log relies on these properties:
/// - reading past the end returns 0 bytes; writing past the end extends the storage, unless it has a fixed size;
/// - `Write::flush` is a barrier: it returns when everything written is *durable*, so that a power cut does not undo it. The
///   log flushes main after each run of pages. It never flushes the journal, which must survive the program only;
/// - writes between two flushes may reach the medium in any order, completely or in part.
pub trait Storage: Read + Write + Seek {}

impl<T: Read + Write + Seek> Storage for T {}

/// Reads from `at` until `buf` is full or the storage ends. Returns the number of bytes read.
pub(crate) fn read_at<S: Storage>(storage: &mut S, at: u64, buf: &mut [u8]) -> Result<usize, S::Error> {
    storage.seek(SeekFrom::Start(at))?;
    let mut done = 0;
    while let Some(remaining) = buf.get_mut(done..).filter(|remaining| !remaining.is_empty()) {
        match storage.read(remaining)? {
            0 => break,
            count => done += count,
        }
    }
    Ok(done)
}

/// Writes all of `bytes` at `at`.
pub(crate) fn write_at<S: Storage>(storage: &mut S, at: u64, bytes: &[u8]) -> Result<(), S::Error> {
    storage.seek(SeekFrom::Start(at))?;
    storage.write_all(bytes)
}

/// Storage in memory, for tests and for a journal where there is no RAM disk.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RamStorage {
    bytes: Vec<u8>,
    position: u64,
}

impl RamStorage {
    /// Makes a storage that holds `bytes`.
    #[must_use]
    pub const fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, position: 0 }
    }

    /// Its content.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its content, mutable.
    pub const fn bytes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    fn start(&self) -> usize {
        usize::try_from(self.position).unwrap_or(usize::MAX)
    }

    fn advance(&mut self, count: usize) {
        self.position = self.position.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
    }
}

impl ErrorType for RamStorage {
    type Error = Infallible;
}

impl Read for RamStorage {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize, Self::Error> {
        let remaining = self.bytes.get(self.start()..).unwrap_or_default();
        let count = remaining.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..count), remaining.get(..count)) {
            to.copy_from_slice(from);
        }
        self.advance(count);
        Ok(count)
    }
}

impl Write for RamStorage {
    fn write(&mut self, buf: &[u8]) -> Result<usize, Self::Error> {
        let start = self.start();
        let end = start.saturating_add(buf.len());
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        if let Some(to) = self.bytes.get_mut(start..end) {
            to.copy_from_slice(buf);
        }
        self.advance(buf.len());
        Ok(buf.len())
    }

    fn flush(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }
}

impl Seek for RamStorage {
    fn seek(&mut self, to: SeekFrom) -> Result<u64, Self::Error> {
        let len = u64::try_from(self.bytes.len()).unwrap_or(u64::MAX);
        self.position = match to {
            SeekFrom::Start(at) => at,
            SeekFrom::End(by) => len.saturating_add_signed(by),
            SeekFrom::Current(by) => self.position.saturating_add_signed(by),
        };
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_past_the_end_are_short_and_writes_past_it_fill_with_zeros() {
        let mut storage = RamStorage::new(vec![1, 2, 3]);
        let mut buf = [9; 4];
        assert_eq!(read_at(&mut storage, 1, &mut buf), Ok(2));
        assert_eq!(buf, [2, 3, 9, 9]);
        assert_eq!(read_at(&mut storage, 50, &mut buf), Ok(0));
        write_at(&mut storage, 5, &[7, 8]).unwrap();
        assert_eq!(storage.bytes(), [1, 2, 3, 0, 0, 7, 8]);
        write_at(&mut storage, 0, &[4]).unwrap();
        assert_eq!(storage.bytes(), [4, 2, 3, 0, 0, 7, 8]);
        assert_eq!(storage.seek(SeekFrom::End(-2)), Ok(5));
        assert_eq!(storage.seek(SeekFrom::Current(-9)), Ok(0));
    }
}
