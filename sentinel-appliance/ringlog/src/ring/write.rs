//! Writing blocks to main.

use sentinel_seal::{Chain, Sealer, TAG_LEN};

use crate::account::Stats;
use crate::error::FlushError;
use crate::format::{BlockHeader, SegmentHeader, main_key};
use crate::geometry::Geometry;
use crate::key::{LogKey, Salt};
use crate::pack::Packer;
use crate::record::RecordId;
use super::{Ring, SEGMENT_HEADER, Segment, page_end, to_u32, to_usize};
use crate::storage::{Storage, write_at};
use crate::log::ChainHead;

/// What it takes to write.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) salt: Salt,
    /// The key of the segment being filled.
    pub(crate) key: LogKey,
    sealer: Sealer,
}

impl<M: Storage> Ring<M> {
    /// Bytes for packed records that the segment being filled has left.
    pub(crate) fn room(&self) -> usize {
        let used = to_usize(self.offset.max(SEGMENT_HEADER)) + BlockHeader::OVERHEAD;
        self.buffer.len().saturating_sub(used)
    }

    /// Bytes for packed records in an empty segment.
    pub(crate) fn capacity(geometry: Geometry) -> usize {
        to_usize(geometry.segment_bytes()) - SegmentHeader::LEN - BlockHeader::OVERHEAD
    }

    /// Whether `records` fit into the segment being filled.
    pub(crate) fn fits(&mut self, packer: &mut Packer, records: &[u8]) -> bool {
        let room = self.room();
        self.buffer.get_mut(..room).is_some_and(|out| packer.pack(records, out).is_some())
    }

    /// Lets the next block start a segment.
    pub(crate) fn begin_segment(&mut self) -> Result<(), FlushError<M::Error>> {
        if self.offset == 0 {
            return Ok(());
        }
        let writer = self.writer.as_mut().ok_or(FlushError::ReadOnly)?;
        let epoch = self.epoch.checked_add(1).ok_or(FlushError::Exhausted)?;
        let key = LogKey::new(epoch, writer.key.key().next());
        *writer = Writer::new(key, writer.salt, writer.sealer.next_counter());
        self.epoch = epoch;
        self.offset = 0;
        Ok(())
    }

    /// Writes `records` as one block at the end and makes it durable. `Ok(false)` if they do not fit.
    pub(crate) fn write_block(
        &mut self,
        packer: &mut Packer,
        records: &[u8],
        count: u32,
        first: RecordId,
        stats: &mut Stats,
    ) -> Result<bool, FlushError<M::Error>> {
        let lead = if self.is_fresh() { SegmentHeader::LEN } else { 0 };
        let start = lead + BlockHeader::LEN;
        let room = self.room();
        let Some(out) = self.buffer.get_mut(start..start + room) else { return Ok(false) };
        let Some((packing, len)) = packer.pack(records, out) else { return Ok(false) };

        let segment = if lead > 0 { self.seal_header(first)? } else { self.open_segment()? };
        let block = BlockHeader {
            packing,
            count,
            sealed_len: to_u32(len),
            raw_len: to_u32(records.len()),
            epoch: self.epoch,
            first,
            // The writer fills these two in.
            counter: 0,
            salt: Salt([0; 16]),
            previous: if lead > 0 { segment.binding } else { self.head.chain },
        };
        let writer = self.writer.as_mut().ok_or(FlushError::ReadOnly)?;
        let bytes = self.buffer.get_mut(lead..).unwrap_or_default();
        let chain = writer.seal_block(block, &segment, bytes).ok_or(FlushError::Exhausted)?;

        if lead > 0 {
            self.give_up_slot(stats);
        }
        let used = lead + BlockHeader::OVERHEAD + len;
        let end = page_end(self.offset + to_u32(used));
        self.put(end, stats)?;
        stats.blocks += 1;
        stats.sealed_bytes += u64::from(to_u32(used));
        if lead > 0 {
            stats.rotations += 1;
            self.set(segment);
        }
        self.offset = end;
        self.head = ChainHead { next_id: block.end(), chain };
        Ok(true)
    }

    /// Puts the header of the segment being begun into the buffer.
    fn seal_header(&mut self, first: RecordId) -> Result<Segment, FlushError<M::Error>> {
        let writer = self.writer.as_mut().ok_or(FlushError::ReadOnly)?;
        let previous = self.head.chain;
        let (geometry, epoch, salt) = (self.geometry, self.epoch, writer.salt);
        let mut header = SegmentHeader { geometry, epoch, first, counter: 0, salt, previous };
        let bytes = header.seal(&mut writer.sealer).ok_or(FlushError::Exhausted)?;
        if let Some(to) = self.buffer.first_chunk_mut() {
            *to = bytes;
        }
        Ok(Segment { epoch, first, previous, binding: header.binding(&bytes) })
    }

    /// The segment being filled, which is in the table since its first block was written.
    fn open_segment(&self) -> Result<Segment, FlushError<M::Error>> {
        self.at(self.slot(self.epoch)).ok_or(FlushError::Exhausted)
    }

    /// The oldest segment is overwritten from now on.
    fn give_up_slot(&mut self, stats: &mut Stats) {
        if let Some(doomed) = self.doomed(false) {
            stats.overwritten += self.end_of(&doomed).since(doomed.first);
            self.clear(self.epoch);
        }
    }

    /// Writes the buffer from the offset to `end`, and makes it durable.
    fn put(&mut self, end: u32, stats: &mut Stats) -> Result<(), FlushError<M::Error>> {
        let at = self.place(self.slot(self.epoch), self.offset);
        let len = end - self.offset;
        stats.main_bytes += u64::from(len);
        let bytes = self.buffer.get(..to_usize(len)).unwrap_or_default();
        write_at(&mut self.storage, at, bytes).and_then(|()| self.storage.flush()).map_err(FlushError::Main)
    }
}

impl Writer {
    pub(crate) fn new(key: LogKey, salt: Salt, counter: u64) -> Self {
        let sealer = Sealer::resume(&main_key(key.key(), salt), counter);
        Self { salt, key, sealer }
    }

    /// Seals the packed records that lie in `bytes` behind the room for their header: fills in the header and the tag, and
    /// zeros after it. Gives the chain after the block.
    fn seal_block(&mut self, mut block: BlockHeader, segment: &Segment, bytes: &mut [u8]) -> Option<Chain> {
        block.counter = self.sealer.next_counter();
        block.salt = self.salt;
        let header = block.encode();
        let (head, rest) = bytes.split_at_mut_checked(BlockHeader::LEN)?;
        let (text, rest) = rest.split_at_mut_checked(to_usize(block.sealed_len))?;
        let (tag, padding) = rest.split_at_mut_checked(TAG_LEN)?;
        head.copy_from_slice(&header);
        let sealed = self.sealer.seal(&BlockHeader::associated(&segment.binding, &header), text).ok()?;
        tag.copy_from_slice(&sealed.tag);
        padding.fill(0);
        Some(block.previous.link(&[&header, text, tag]))
    }
}
