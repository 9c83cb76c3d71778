//! Framing: length-prefixed frames in a byte stream, after a preface. Holds one frame each way.

use alloc::boxed::Box;
use alloc::vec;

use crate::error::SessionError;
use crate::noise::TAG_LEN;
use crate::suite::{PREFACE_LEN, Suite};

/// Length of the length field before each frame, in bytes.
pub(crate) const LENGTH_LEN: usize = 2;
/// Size of each buffer during the handshake: its longest message, and one short frame behind it.
pub(crate) const HANDSHAKE_BUFFER_LEN: usize = 256;

/// Part of the stream that the next bytes belong to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stage {
    Preface,
    Length,
    Body(usize),
    /// A complete frame is in the buffer; no bytes are taken until it is read.
    Complete,
}

/// Reassembles frames from the stream. Holds one frame and takes no byte of the next, so the memory for a peer
/// does not depend on how much it sends.
pub(crate) struct Incoming {
    stage: Stage,
    buffer: Box<[u8]>,
    filled: usize,
    /// Shortest and longest frame that may come now, in bytes.
    allowed: (usize, usize),
    /// Set when the preface is complete.
    suite: Option<Suite>,
}

impl Incoming {
    pub(crate) fn new(stage: Stage) -> Self {
        Self {
            stage,
            buffer: vec![0; HANDSHAKE_BUFFER_LEN].into_boxed_slice(),
            filled: 0,
            allowed: (0, 0),
            suite: None,
        }
    }

    /// Takes bytes until a preface or a frame is complete, and returns how many.
    ///
    /// # Errors
    /// Those of [`Suite::read`], at the first wrong byte of the preface; [`SessionError::FrameLength`], before any
    /// byte of that frame is taken.
    pub(crate) fn fill(&mut self, bytes: &[u8]) -> Result<usize, SessionError> {
        let mut taken = 0;
        // Bounded: each iteration takes at least a byte or returns, or changes to a stage that does.
        loop {
            let wanted = match self.stage {
                Stage::Preface => PREFACE_LEN,
                Stage::Length => LENGTH_LEN,
                Stage::Body(len) => len,
                Stage::Complete => return Ok(taken),
            };
            taken += self.copy(bytes.get(taken..).unwrap_or_default(), wanted)?;
            // Before the preface is complete: a wrong first byte closes the connection at once.
            if self.stage == Stage::Preface {
                self.suite = Suite::read(self.buffer.get(..self.filled).unwrap_or_default())?;
            }
            if self.filled < wanted {
                return Ok(taken);
            }
            match self.stage {
                Stage::Preface => {
                    // Returns so that the caller can set the length of the first frame, which depends on the suite.
                    self.restart(Stage::Length);
                    return Ok(taken);
                }
                Stage::Length => self.begin_body()?,
                Stage::Body(_) | Stage::Complete => self.stage = Stage::Complete,
            }
        }
    }

    /// Copies bytes into the buffer until it holds `wanted`, and returns how many.
    fn copy(&mut self, available: &[u8], wanted: usize) -> Result<usize, SessionError> {
        let part = available.get(..wanted.saturating_sub(self.filled)).unwrap_or(available);
        let free = self.buffer.get_mut(self.filled..wanted).unwrap_or_default();
        free.get_mut(..part.len()).ok_or(SessionError::Internal)?.copy_from_slice(part);
        self.filled += part.len();
        Ok(part.len())
    }

    fn begin_body(&mut self) -> Result<(), SessionError> {
        let length = u16::from_be_bytes(*self.buffer.first_chunk().ok_or(SessionError::Internal)?);
        let (min, max) = self.allowed;
        if !(min..=max).contains(&usize::from(length)) {
            return Err(SessionError::FrameLength(length));
        }
        self.restart(Stage::Body(usize::from(length)));
        Ok(())
    }

    fn restart(&mut self, stage: Stage) {
        self.stage = stage;
        self.filled = 0;
    }

    /// Returns true if a frame is complete.
    pub(crate) fn is_complete(&self) -> bool {
        self.stage == Stage::Complete
    }

    /// Returns the suite of a preface, once, when it is complete.
    pub(crate) const fn take_suite(&mut self) -> Option<Suite> {
        self.suite.take()
    }

    /// The complete frame.
    pub(crate) fn frame(&self) -> &[u8] {
        self.buffer.get(..self.filled).unwrap_or_default()
    }

    pub(crate) fn next_frame(&mut self) {
        self.restart(Stage::Length);
    }

    /// Allows frames of exactly this length.
    pub(crate) const fn allow_only(&mut self, len: usize) {
        self.allowed = (len, len);
    }

    /// Allows transport messages of at least one byte and at most `len` with their tag.
    pub(crate) fn grow(&mut self, len: usize) {
        self.buffer = vec![0; len].into_boxed_slice();
        self.allowed = (TAG_LEN + 1, len);
        self.next_frame();
    }
}

/// Send buffer: encrypted frames that the socket has not accepted yet, in order.
pub(crate) struct Outgoing {
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Outgoing {
    pub(crate) fn new(len: usize) -> Self {
        Self { buffer: vec![0; len].into_boxed_slice(), start: 0, end: 0 }
    }

    pub(crate) fn pending(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    pub(crate) fn consume(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.end);
        // An empty buffer starts at the front again, so that most frames need no compaction.
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    pub(crate) fn has_room(&self, len: usize) -> bool {
        self.buffer.len().saturating_sub(self.pending().len()) >= len
    }

    /// Moves the pending bytes to the front of the buffer.
    fn compact(&mut self) {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
    }

    pub(crate) fn put(&mut self, bytes: &[u8]) -> Option<()> {
        self.compact();
        self.buffer.get_mut(self.end..)?.get_mut(..bytes.len())?.copy_from_slice(bytes);
        self.end += bytes.len();
        Some(())
    }

    /// Appends a frame: `write` puts a Noise message behind the pending bytes, its length goes before it.
    pub(crate) fn put_frame(
        &mut self,
        write: impl FnOnce(&mut [u8]) -> Result<usize, SessionError>,
    ) -> Result<(), SessionError> {
        self.compact();
        let free = self.buffer.get_mut(self.end..).unwrap_or_default();
        let (length, body) = free.split_first_chunk_mut::<LENGTH_LEN>().ok_or(SessionError::Internal)?;
        // The length is known only after `write`, so its two bytes are set last. `end` moves only on success: an error
        // leaves no half frame behind.
        let len = write(body)?;
        *length = u16::try_from(len).map_err(|_| SessionError::Internal)?.to_be_bytes();
        self.end += LENGTH_LEN + len;
        Ok(())
    }

    /// Enlarges the buffer to `len` for transport frames, keeping the pending bytes.
    pub(crate) fn grow(&mut self, len: usize) {
        let mut larger = Self::new(len.max(self.pending().len() + HANDSHAKE_BUFFER_LEN));
        // Succeeds: the new buffer is longer than the pending bytes.
        let _moved = larger.put(self.pending());
        *self = larger;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pending_bytes_keep_their_order_when_there_is_room_again() {
        let mut outgoing = Outgoing::new(8);
        outgoing.put(&[1, 2, 3, 4, 5, 6]).unwrap();
        outgoing.consume(4);
        assert!(outgoing.has_room(6) && !outgoing.has_room(7));
        outgoing.put(&[7, 8, 9]).unwrap();
        assert_eq!(outgoing.pending(), [5, 6, 7, 8, 9]);
        outgoing.consume(99);
        assert!(outgoing.pending().is_empty());
        assert_eq!(outgoing.put(&[0; 9]), None);
    }
}
