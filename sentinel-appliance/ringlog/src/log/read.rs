//! Reading records in order.

use core::fmt;

use super::RingLog;
use crate::error::ReadError;
use crate::format::{BlockHeader, Packing};
use crate::pack::Unpacker;
use crate::pending::LENGTH_LEN;
use crate::record::RecordId;
use crate::ring::{Load, NextBlock, Walk};
use crate::storage::Storage;

/// Position of a reader: the number of the next record, 8 bytes. Reading with one cursor inflates each block once;
/// alternating between cursors inflates it again at each change.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Cursor {
    next: RecordId,
}

impl Cursor {
    /// Reads from record `from` on, or from the first one after it that is still in the log.
    #[must_use]
    pub const fn new(from: RecordId) -> Self {
        Self { next: from }
    }

    /// Number of the record that is read next, if it is still in the log.
    #[must_use]
    pub const fn position(&self) -> RecordId {
        self.next
    }
}

/// Block being read. Its packed records are in the buffer of the ring, so the block is valid only until that buffer is used
/// for anything else: every such use is preceded by [`Reader::invalidate`].
#[derive(Debug, Default)]
pub(super) struct Reader {
    unpacker: Unpacker,
    block: Option<Block>,
}

struct Block {
    walk: Walk,
    /// Record that the unpacker returns next.
    next: RecordId,
    header: BlockHeader,
}

impl fmt::Debug for Block {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Block({} of {}..{})", self.next, self.header.first, self.header.end())
    }
}

impl Reader {
    /// Drops the block, because the buffer of the ring is about to be overwritten.
    pub(super) fn invalidate(&mut self) {
        self.block = None;
    }

    /// Allocates the state for inflating.
    pub(super) fn preallocate(&mut self) {
        self.unpacker.begin(Packing::Deflated);
    }

    pub(super) fn release(&mut self) {
        self.invalidate();
        self.unpacker.release();
    }

    fn begin(&mut self, walk: Walk, header: BlockHeader) {
        self.unpacker.begin(header.packing);
        self.block = Some(Block { walk, next: header.first, header });
    }

    /// Unpacks the block up to record `wanted` and returns that record. `None` if the block does not contain it, or has been
    /// unpacked past it.
    fn record(&mut self, buffer: &[u8], wanted: RecordId) -> Option<&[u8]> {
        let block =
            self.block.as_mut().filter(|block| block.next <= wanted && wanted < block.header.end())?;
        let packed = buffer.get(..usize::try_from(block.header.sealed_len).ok()?)?;
        // Deflated records can be unpacked only in order, so those before are unpacked and dropped.
        while block.next < wanted {
            self.unpacker.record(packed)?;
            block.next = block.next.next();
        }
        let record = self.unpacker.record(packed)?;
        block.next = block.next.next();
        Some(record)
    }

    /// Returns true if the block in `buffer`, just opened, unpacks to the number and length of records in its header.
    pub(super) fn is_consistent(&mut self, buffer: &[u8], header: &BlockHeader) -> bool {
        self.invalidate();
        self.unpacker.begin(header.packing);
        let packed = usize::try_from(header.sealed_len).ok().and_then(|len| buffer.get(..len));
        let Some(packed) = packed else { return false };
        let mut raw_len = 0;
        for _ in 0..header.count {
            let Some(record) = self.unpacker.record(packed) else { return false };
            raw_len += LENGTH_LEN + record.len();
        }
        self.unpacker.is_at_end(packed) && u32::try_from(raw_len) == Ok(header.raw_len)
    }
}

impl<M: Storage, J: Storage<Error = M::Error>> RingLog<M, J> {
    /// Reads the next record at or after the cursor into `buf` ([`crate::MAX_RECORD`] bytes always suffice) and returns its
    /// number and length; `None` at the end. A number above the cursor's position means that the records between were evicted,
    /// damaged or sealed with an older key.
    ///
    /// # Errors
    /// - [`ReadError::Main`]: main cannot be read.
    /// - [`ReadError::TooSmall`]: the record does not fit into `buf`.
    ///
    /// The cursor stays where it was.
    pub fn read_next(
        &mut self,
        cursor: &mut Cursor,
        buf: &mut [u8],
    ) -> Result<Option<(RecordId, usize)>, ReadError<M::Error>> {
        let mut wanted = cursor.next;
        // Each iteration returns or advances by at least a record: a block that yields none is skipped.
        while wanted < self.pending.first() {
            if let Some(record) = self.reader.record(self.ring.buffer(), wanted) {
                match copy(record, buf) {
                    Ok(len) => {
                        cursor.next = wanted.next();
                        return Ok(Some((wanted, len)));
                    }
                    Err(error) => {
                        // The unpacker has consumed the record; without its block the next call inflates it again.
                        self.reader.invalidate();
                        return Err(error);
                    }
                }
            }
            wanted = self.load_block(wanted)?.max(wanted);
        }
        let id = wanted.max(self.pending.first());
        let Some(record) = self.pending.record(id) else { return Ok(None) };
        let len = copy(record, buf)?;
        cursor.next = id.next();
        Ok(Some((id, len)))
    }

    /// Loads the block that contains record `wanted`, or the first one after it. Returns the first number at or after
    /// `wanted` that may be in it.
    fn load_block(&mut self, wanted: RecordId) -> Result<RecordId, ReadError<M::Error>> {
        let (walk, from) = match self.reader.block.take() {
            // The block should contain the record and did not yield it: its content is damaged, skip the rest of it.
            Some(block) if block.next <= wanted && wanted < block.header.end() => {
                self.stats.damaged_blocks += 1;
                (Some(block.walk), block.header.end())
            }
            // The block was read to its end: continue behind it.
            Some(block) if block.next == wanted => (Some(block.walk), wanted),
            _ => (None, wanted),
        };
        let mut walk = walk.or_else(|| self.walk_towards(from));
        // Bounded by the blocks in the ring.
        while let Some(mut at) = walk.take() {
            if !at.has_key() {
                // Sealed to somebody else, between segments that can be read.
                walk = self.ring.after(&at.segment).map(|segment| self.ring.walk(segment, &self.key));
                continue;
            }
            at.wanted = from;
            match self.ring.next_block(&mut at, Load::Records).map_err(ReadError::Main)? {
                NextBlock::Valid { header, .. } => {
                    self.reader.begin(at, header);
                    return Ok(from.max(header.first));
                }
                NextBlock::Damaged { .. } => {
                    self.stats.damaged_blocks += 1;
                    walk = Some(at);
                }
                NextBlock::End => {
                    walk = self.ring.after(&at.segment).map(|segment| self.ring.walk(segment, &self.key));
                }
            }
        }
        Ok(self.pending.first())
    }

    /// Walk of the last readable segment that begins at or before `wanted`, or of the first readable one.
    fn walk_towards(&self, wanted: RecordId) -> Option<Walk> {
        let mut segment = self.ring.first_readable(&self.key)?;
        while let Some(after) = self.ring.after(&segment).filter(|after| after.first <= wanted) {
            segment = after;
        }
        Some(self.ring.walk(segment, &self.key))
    }
}

fn copy<E>(record: &[u8], buf: &mut [u8]) -> Result<usize, ReadError<E>> {
    buf.get_mut(..record.len()).ok_or(ReadError::TooSmall(record.len()))?.copy_from_slice(record);
    Ok(record.len())
}
