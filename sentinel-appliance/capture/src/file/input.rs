//! A bounded window over the bytes of a file.

use std::io::{ErrorKind, Read};

use super::error::FileFault;
use super::record::MAX_PIECE;

/// What is allocated at first. A larger piece grows the buffer once, to [`MAX_PIECE`].
const USUAL_BYTES: usize = 131_072;

/// Room before them for the start of a piece that goes on with the next read.
const FRONT_BYTES: usize = 16 * 1024;

/// The bytes of a file that are in memory now.
///
/// The source is a trait object: it is asked once for a hundred frames, and what is generic would be compiled again,
/// and slower, with every program that reads files.
pub(super) struct Input<'r> {
    source: Box<dyn Read + 'r>,
    buffer: Vec<u8>,
    /// The bytes not yet consumed are `buffer[start..end]`.
    start: usize,
    end: usize,
    /// Bytes of the file before `start`.
    offset: u64,
    /// Where the record that is being read begins.
    record: u64,
    at_end: bool,
}

impl<'r> Input<'r> {
    pub(super) fn new(source: impl Read + 'r) -> Self {
        Self {
            source: Box::new(source),
            buffer: vec![0; FRONT_BYTES + USUAL_BYTES],
            start: FRONT_BYTES,
            end: FRONT_BYTES,
            offset: 0,
            record: 0,
            at_end: false,
        }
    }

    /// What comes next is a new record.
    #[inline]
    pub(super) fn begin_record(&mut self) {
        self.record = self.offset;
    }

    /// Bytes of the file before the record that is being read.
    pub(super) fn record_offset(&self) -> u64 {
        self.record
    }

    /// The next `wanted` bytes, or as many as the file still has.
    ///
    /// Never reads on once they are there, so frames from a pipe do not wait for later ones.
    #[inline]
    pub(super) fn peek(&mut self, wanted: u32) -> Result<&[u8], FileFault> {
        let found = self.fill(wanted)?;
        Ok(self.front(found))
    }

    /// As [`Input::peek`], but all of `wanted` or [`FileFault::Truncated`].
    #[inline]
    pub(super) fn peek_all(&mut self, wanted: u32) -> Result<&[u8], FileFault> {
        let found = self.fill(wanted)?;
        if found < to_usize(wanted) {
            let found = u32::try_from(found).unwrap_or(u32::MAX);
            return Err(FileFault::Truncated { wanted, found });
        }
        Ok(self.front(found))
    }

    /// Reads until `wanted` bytes are in memory; says how many of them there are.
    #[inline]
    fn fill(&mut self, wanted: u32) -> Result<usize, FileFault> {
        let count = to_usize(wanted);
        if self.available() < count {
            self.fill_slowly(wanted)?;
        }
        Ok(count.min(self.available()))
    }

    #[cold]
    fn fill_slowly(&mut self, wanted: u32) -> Result<(), FileFault> {
        if wanted > MAX_PIECE {
            return Err(FileFault::BlockTooLong { length: wanted, most: MAX_PIECE });
        }
        let wanted = to_usize(wanted);
        self.make_room(wanted);
        while self.available() < wanted && !self.at_end {
            self.read_some()?;
        }
        Ok(())
    }

    /// The first `count` bytes in memory.
    #[inline]
    fn front(&self, count: usize) -> &[u8] {
        self.buffer.get(self.start..self.start + count).unwrap_or_default()
    }

    /// The bytes in memory, without reading.
    #[inline]
    pub(super) fn window(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Steps over `count` bytes that [`Input::peek`] returned.
    #[inline]
    pub(super) fn consume(&mut self, count: u32) {
        let count = to_usize(count).min(self.available());
        self.start += count;
        self.offset = self.offset.wrapping_add(u64::try_from(count).unwrap_or(u64::MAX));
    }

    /// Steps over `count` bytes however many they are, keeping none; [`FileFault::Truncated`] if the file ends first.
    pub(super) fn skip(&mut self, count: u32) -> Result<(), FileFault> {
        let mut left = count;
        loop {
            self.consume_up_to(&mut left);
            if left == 0 {
                return Ok(());
            }
            self.make_room(1);
            self.read_some()?;
            if self.at_end {
                return Err(FileFault::Truncated { wanted: count, found: count - left });
            }
        }
    }

    fn consume_up_to(&mut self, left: &mut u32) {
        let step = u32::try_from(self.available()).unwrap_or(u32::MAX).min(*left);
        self.consume(step);
        *left -= step;
    }

    #[inline]
    fn available(&self) -> usize {
        self.end - self.start
    }

    /// Makes `wanted` bytes from `start` on fit.
    ///
    /// What is left is moved to end at [`FRONT_BYTES`], and reading goes on behind it: so every read of a file asks for
    /// whole pages, which the kernel copies faster than parts of them.
    fn make_room(&mut self, wanted: usize) {
        let left = self.available();
        if self.end > FRONT_BYTES && (left == 0 || self.start + wanted > self.buffer.len()) {
            let start = FRONT_BYTES.saturating_sub(left);
            self.buffer.copy_within(self.start..self.end, start);
            (self.start, self.end) = (start, start + left);
        }
        if self.start + wanted > self.buffer.len() {
            self.buffer.resize(FRONT_BYTES + to_usize(MAX_PIECE), 0);
        }
    }

    fn read_some(&mut self) -> Result<(), FileFault> {
        let Some(room) = self.buffer.get_mut(self.end..) else { return Ok(()) };
        match self.source.read(room) {
            Ok(0) => self.at_end = true,
            Ok(count) => self.end += count.min(room.len()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(FileFault::Unreadable(error)),
        }
        Ok(())
    }
}

/// Lossless on every target: the sensor runs on 32-bit machines and larger.
#[inline]
pub(super) fn to_usize(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}
