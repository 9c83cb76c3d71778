//! Reading records in order.

use core::fmt;

use crate::error::ReadError;
use crate::format::{BlockHeader, Packing};
use super::RingLog;
use crate::pack::Unpacker;
use crate::record::RecordId;
use crate::storage::Storage;
use crate::ring::{Load, Step, Walk};

/// A place in the log for reading on. Costs nothing to keep. Reading with one cursor inflates each block once; with
/// several in turns, again at each turn.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Cursor {
    next: RecordId,
}

impl Cursor {
    /// Reads from the record `from` on, or from the first one after it that is still there.
    #[must_use]
    pub const fn new(from: RecordId) -> Self {
        Self { next: from }
    }

    /// The record that is read next, if it is still there.
    #[must_use]
    pub const fn position(&self) -> RecordId {
        self.next
    }
}

/// The block that is being read. Its packed records lie in the ring's buffer.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    unpacker: Unpacker,
    block: Option<Block>,
}

struct Block {
    walk: Walk,
    /// The record that the unpacker gives next.
    next: RecordId,
    header: BlockHeader,
}

impl fmt::Debug for Block {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Block({} of {}..{})", self.next, self.header.first, self.header.end())
    }
}

impl Reader {
    /// The buffer is used for something else.
    pub(crate) fn forget(&mut self) {
        self.block = None;
    }

    /// Takes the memory for inflating.
    pub(crate) fn preallocate(&mut self) {
        self.unpacker.begin(Packing::Deflated);
    }

    pub(crate) fn release(&mut self) {
        self.forget();
        self.unpacker.release();
    }

    fn begin(&mut self, walk: Walk, header: BlockHeader) {
        self.unpacker.begin(header.packing);
        self.block = Some(Block { walk, next: header.first, header });
    }

    /// Unpacks records of the block up to `wanted` and gives that one. `None` if the block has it not.
    fn record(&mut self, buffer: &[u8], wanted: RecordId) -> Option<&[u8]> {
        let block =
            self.block.as_mut().filter(|block| block.next <= wanted && wanted < block.header.end())?;
        let packed = buffer.get(..usize::try_from(block.header.sealed_len).ok()?)?;
        while block.next < wanted {
            self.unpacker.record(packed)?;
            block.next = block.next.next();
        }
        let record = self.unpacker.record(packed)?;
        block.next = block.next.next();
        Some(record)
    }

    /// Whether the records of a block just opened are what its header says.
    pub(crate) fn is_sound(&mut self, buffer: &[u8], header: &BlockHeader) -> bool {
        self.forget();
        self.unpacker.begin(header.packing);
        let packed = usize::try_from(header.sealed_len).ok().and_then(|len| buffer.get(..len));
        let Some(packed) = packed else { return false };
        let mut raw_len = 0;
        for _ in 0..header.count {
            let Some(record) = self.unpacker.record(packed) else { return false };
            raw_len += crate::pending::LENGTH_BYTES + record.len();
        }
        self.unpacker.is_at_end(packed) && u32::try_from(raw_len) == Ok(header.raw_len)
    }
}

impl<M: Storage, J: Storage<Error = M::Error>> RingLog<M, J> {
    /// The next record at or after the cursor, into `buf` ([`crate::MAX_RECORD`] bytes are always enough), and its length;
    /// `None` at the end. A number higher than the cursor's position says that the records between are gone, damaged or
    /// sealed with an older key.
    ///
    /// # Errors
    /// [`ReadError::Main`], [`ReadError::TooSmall`]: the cursor stays where it was.
    pub fn read_next(
        &mut self,
        cursor: &mut Cursor,
        buf: &mut [u8],
    ) -> Result<Option<(RecordId, usize)>, ReadError<M::Error>> {
        let mut wanted = cursor.next;
        // Each round ends, or moves on by at least a record: a block that gives none is passed by.
        while wanted < self.pending.first() {
            if let Some(record) = self.reader.record(self.ring.buffer(), wanted) {
                match copy(record, buf) {
                    Ok(len) => {
                        cursor.next = wanted.next();
                        return Ok(Some((wanted, len)));
                    }
                    Err(error) => {
                        // It was taken off the block; the next call inflates the block again.
                        self.reader.forget();
                        return Err(error);
                    }
                }
            }
            wanted = self.find_block(wanted)?.max(wanted);
        }
        let id = wanted.max(self.pending.first());
        let Some(record) = self.pending.record(id) else { return Ok(None) };
        let len = copy(record, buf)?;
        cursor.next = id.next();
        Ok(Some((id, len)))
    }

    /// Opens the block that has the record `wanted`, or else the first one after it; gives the first record at or after
    /// `wanted` that may be there.
    fn find_block(&mut self, wanted: RecordId) -> Result<RecordId, ReadError<M::Error>> {
        // A block that has the record and did not give it is spoiled.
        let (walk, from) = match self.reader.block.take() {
            Some(block) if block.next <= wanted && wanted < block.header.end() => {
                self.stats.damaged_blocks += 1;
                (Some(block.walk), block.header.end())
            }
            Some(block) if block.next == wanted => (Some(block.walk), wanted),
            _ => (None, wanted),
        };
        let mut walk = walk.or_else(|| self.walk_towards(from));
        // Bounded by the blocks in the ring.
        while let Some(mut at) = walk.take() {
            at.wanted = from;
            match self.ring.step(&mut at, Load::Records).map_err(ReadError::Main)? {
                Step::Block { header, .. } => {
                    self.reader.begin(at, header);
                    return Ok(from.max(header.first));
                }
                Step::Damaged { .. } => {
                    self.stats.damaged_blocks += 1;
                    walk = Some(at);
                }
                Step::End => {
                    let next = self.ring.first_from(at.segment.epoch.saturating_add(1));
                    walk = next.map(|segment| self.ring.walk(segment, &self.key));
                }
            }
        }
        Ok(self.pending.first())
    }

    /// A way through the last readable segment that begins at or before `wanted`, or else the first one.
    fn walk_towards(&self, wanted: RecordId) -> Option<Walk> {
        let mut segment = self.ring.first_from(self.key.epoch())?;
        while let Some(after) =
            self.ring.first_from(segment.epoch.saturating_add(1)).filter(|s| s.first <= wanted)
        {
            segment = after;
        }
        Some(self.ring.walk(segment, &self.key))
    }
}

fn copy<E>(record: &[u8], buf: &mut [u8]) -> Result<usize, ReadError<E>> {
    buf.get_mut(..record.len()).ok_or(ReadError::TooSmall(record.len()))?.copy_from_slice(record);
    Ok(record.len())
}
