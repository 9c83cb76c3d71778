//! Bounded read buffer over the bytes of a file.

use std::io::{ErrorKind, Read};

use super::error::FileErrorReason;
use super::record::MAX_RECORD;

/// Initial size. A larger record grows the buffer once, to [`MAX_RECORD`].
const INITIAL_BYTES: usize = 131_072;

/// Room at the front for the start of a record whose other part comes with the next read.
const FRONT_BYTES: usize = 16 * 1024;

/// The window of the file that is in memory.
///
/// The source is a trait object: one dynamic call serves about a hundred frames, and generic code would be
/// compiled again, at lower optimisation, with every program that reads files.
pub(super) struct Input<'r> {
    source: Box<dyn Read + 'r>,
    buffer: Vec<u8>,
    /// The bytes not yet consumed are `buffer[start..end]`; `start <= end <= buffer.len()`.
    start: usize,
    end: usize,
    /// Bytes of the file before `start`.
    offset: u64,
    /// Offset in the file of the record that is being read, for errors.
    record: u64,
    at_end: bool,
}

// `#[inline]` marks what each format calls for every frame, so that it becomes part of `Reader::next`.
impl<'r> Input<'r> {
    pub(super) fn new(source: impl Read + 'r) -> Self {
        Self {
            source: Box::new(source),
            buffer: vec![0; FRONT_BYTES + INITIAL_BYTES],
            start: FRONT_BYTES,
            end: FRONT_BYTES,
            offset: 0,
            record: 0,
            at_end: false,
        }
    }

    /// Marks the start of a record.
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
    /// Does not read once they are in memory, so frames from a pipe do not wait for later ones.
    #[inline]
    pub(super) fn peek(&mut self, wanted: u32) -> Result<&[u8], FileErrorReason> {
        let found = self.fill(wanted)?;
        Ok(self.front(found))
    }

    /// The next `wanted` bytes, or [`FileErrorReason::Truncated`].
    #[inline]
    pub(super) fn peek_all(&mut self, wanted: u32) -> Result<&[u8], FileErrorReason> {
        let found = self.fill(wanted)?;
        if found < to_usize(wanted) {
            let found = u32::try_from(found).unwrap_or(u32::MAX);
            return Err(FileErrorReason::Truncated { wanted, found });
        }
        Ok(self.front(found))
    }

    /// Reads until `wanted` bytes are in memory or the file ends; returns the number of them that are.
    #[inline]
    fn fill(&mut self, wanted: u32) -> Result<usize, FileErrorReason> {
        let count = to_usize(wanted);
        if self.available() < count {
            self.fill_cold(wanted)?;
        }
        Ok(count.min(self.available()))
    }

    /// The part of [`Input::fill`] that reads: apart, so that the common case is inlined into the reader.
    #[cold]
    fn fill_cold(&mut self, wanted: u32) -> Result<(), FileErrorReason> {
        if wanted > MAX_RECORD {
            return Err(FileErrorReason::BlockTooLong { length: wanted, most: MAX_RECORD });
        }
        let wanted = to_usize(wanted);
        self.make_room(wanted);
        // Ends: each read adds a byte or more, or sets `at_end`; one that a signal interrupted is repeated.
        // Fewer than `wanted` bytes are there, so `make_room` has left space behind `end`, and a read of 0
        // bytes means the end of the file.
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

    /// All bytes in memory, without reading.
    #[inline]
    pub(super) fn window(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// All bytes in memory behind the first `count`; `None` if there are fewer.
    #[inline]
    pub(super) fn window_behind(&self, count: u32) -> Option<&[u8]> {
        self.buffer.get(self.start + to_usize(count)..self.end)
    }

    /// Advances over `count` bytes, for which [`Input::window_behind`] was not `None`, to the start of a record.
    #[inline]
    pub(super) fn begin_record_behind(&mut self, count: u32) {
        self.start += to_usize(count);
        self.offset = self.offset.wrapping_add(u64::from(count));
        self.record = self.offset;
    }

    /// Advances over `count` bytes that [`Input::peek`] returned.
    #[inline]
    pub(super) fn consume(&mut self, count: u32) {
        let count = to_usize(count).min(self.available());
        self.start += count;
        self.offset = self.offset.wrapping_add(u64::try_from(count).unwrap_or(u64::MAX));
    }

    /// Advances over `count` bytes, any number, without keeping them; [`FileErrorReason::Truncated`] if the
    /// file ends first.
    pub(super) fn skip(&mut self, count: u32) -> Result<(), FileErrorReason> {
        let mut remaining = count;
        loop {
            self.consume_up_to(&mut remaining);
            if remaining == 0 {
                return Ok(());
            }
            // Everything in memory is consumed here, so the buffer is refilled from its start.
            self.make_room(1);
            self.read_some()?;
            if self.at_end {
                return Err(FileErrorReason::Truncated { wanted: count, found: count - remaining });
            }
        }
    }

    fn consume_up_to(&mut self, remaining: &mut u32) {
        let step = u32::try_from(self.available()).unwrap_or(u32::MAX).min(*remaining);
        self.consume(step);
        *remaining -= step;
    }

    #[inline]
    fn available(&self) -> usize {
        self.end - self.start
    }

    /// Makes room for `wanted` bytes from `start` on.
    ///
    /// The remaining bytes are moved so that they end at [`FRONT_BYTES`], and the next read goes behind them:
    /// every read of a file is then of whole pages, which the kernel copies faster than parts of them.
    fn make_room(&mut self, wanted: usize) {
        let remaining = self.available();
        if self.end > FRONT_BYTES && (remaining == 0 || self.start + wanted > self.buffer.len()) {
            // More than FRONT_BYTES remain of a long record only; then they move to the very front, and the
            // next read is not aligned.
            let start = FRONT_BYTES.saturating_sub(remaining);
            self.buffer.copy_within(self.start..self.end, start);
            (self.start, self.end) = (start, start + remaining);
        }
        if self.start + wanted > self.buffer.len() {
            // Once at most: `start` is FRONT_BYTES or less here and no record exceeds MAX_RECORD, so this
            // size is enough.
            self.buffer.resize(FRONT_BYTES + to_usize(MAX_RECORD), 0);
        }
    }

    fn read_some(&mut self) -> Result<(), FileErrorReason> {
        let Some(room) = self.buffer.get_mut(self.end..) else { return Ok(()) };
        match self.source.read(room) {
            Ok(0) => self.at_end = true,
            // A source that reports more than it was given must not move `end` past the buffer.
            Ok(count) => self.end += count.min(room.len()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(FileErrorReason::Unreadable(error)),
        }
        Ok(())
    }
}

/// Lossless conversion: the sensor runs on machines of 32 bits and more.
#[inline]
pub(super) fn to_usize(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}
