//! Appending blocks to main.
//!
//! A block is written in one run of whole pages, then the storage is flushed (barrier). A block in the open segment goes
//! behind the last one; no page that holds a good block is written again. The first block of a segment is written together
//! with the segment header over the oldest segment. A power cut leaves:
//!
//! | when | on flash | at the next opening |
//! |---|---|---|
//! | before the write | unchanged | main ends where it did |
//! | during it, open segment | any part of the new pages | header or tag of the block is wrong: main ends at the block before, the same pages are written again |
//! | during it, header torn | damaged header over the oldest segment | that segment is lost and counted as damaged; the slot is written again |
//! | during it, header good, block torn | new header, no good block | header and block are written again |
//! | after the flush | header and block | main ends after the block |
//!
//! In every case records that were flushed before survive, apart from those of the segment being overwritten. Each attempt
//! seals with a new nonce, because a failed write may have left the bytes of the previous attempt on flash.

use sentinel_seal::{Chain, Key, Sealer, TAG_LEN};

use super::{Ring, SEGMENT_HEADER_LEN, Segment, page_end, to_u32, to_usize};
use crate::account::Stats;
use crate::error::FlushError;
use crate::format::{BlockHeader, Layout, Packing, SegmentHeader, main_key, segment_key};
use crate::geometry::Geometry;
use crate::key::{LogKey, Salt};
use crate::pack::Packer;
use crate::record::{ChainHead, RecordId};
use crate::storage::{Storage, write_at};

/// Key and nonce counter for writing main.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) salt: Salt,
    /// Key of the open segment.
    pub(crate) key: LogKey,
    /// Key of that segment, derived from `key`.
    segment_key: Key,
    sealer: Sealer,
}

impl<M: Storage> Ring<M> {
    /// Bytes for packed records that are free in the open segment.
    pub(crate) fn free_len(&self) -> usize {
        // An unwritten segment (offset 0) gets its header together with the first block.
        let used = to_usize(self.offset.max(SEGMENT_HEADER_LEN)) + BlockHeader::OVERHEAD;
        self.buffer.len().saturating_sub(used)
    }

    /// Bytes for packed records in an empty segment.
    pub(crate) fn capacity(geometry: Geometry) -> usize {
        to_usize(geometry.segment_bytes()) - SegmentHeader::LEN - BlockHeader::OVERHEAD
    }

    /// Returns true if `records`, packed, fit into the open segment. Overwrites the buffer.
    pub(crate) fn fits(&mut self, packer: &mut Packer, records: &[u8]) -> bool {
        let free_len = self.free_len();
        self.buffer.get_mut(..free_len).is_some_and(|out| packer.pack(records, out).is_some())
    }

    /// Lets the next block start a new segment with the next key. Nothing is written yet; does nothing if the open segment
    /// has no block.
    pub(crate) fn begin_segment(&mut self) -> Result<(), FlushError<M::Error>> {
        if self.is_unwritten() {
            return Ok(());
        }
        let writer = self.writer.as_mut().ok_or(FlushError::ReadOnly)?;
        // The key of the previous epoch is dropped here. What remains readable is decided by the key of the log alone.
        let epoch = self.epoch.checked_add(1).ok_or(FlushError::Exhausted)?;
        let key = LogKey::new(epoch, writer.key.key().next());
        // The nonce counter continues across keys: one counter for all headers and blocks of an opening.
        *writer = Writer::new(key, Layout::V2, writer.salt, writer.sealer.next_counter());
        self.epoch = epoch;
        self.offset = 0;
        Ok(())
    }

    /// Writes `records` as one block at the end of main and makes it durable. `Ok(false)` if they do not fit into the open
    /// segment; then nothing was written.
    pub(crate) fn write_block(
        &mut self,
        packer: &mut Packer,
        records: &[u8],
        count: u32,
        first: RecordId,
        stats: &mut Stats,
    ) -> Result<bool, FlushError<M::Error>> {
        let is_first = self.is_unwritten();
        let Some((packing, len)) = self.pack(packer, records) else { return Ok(false) };
        // The header of a new segment precedes its first block in the buffer, so both go to the storage in
        // one write.
        let segment = if is_first { self.seal_header(first)? } else { self.open_segment()? };
        let block = BlockHeader {
            packing,
            count,
            sealed_len: to_u32(len),
            raw_len: to_u32(records.len()),
            epoch: self.epoch,
            first,
            // Counter and salt are set by the writer.
            counter: 0,
            salt: Salt([0; 16]),
            chain_before: if is_first { segment.chain_after } else { self.head.chain },
        };
        let chain = self.seal_block(block, &segment)?;
        // Before the write, because a failed write may have destroyed the segment that was in the slot.
        if is_first {
            self.evict(stats);
        }
        let used = self.lead_len() + BlockHeader::OVERHEAD + len;
        let end = self.write_buffer(used, stats)?;
        stats.blocks += 1;
        stats.sealed_bytes += u64::from(to_u32(used));
        stats.rotations += u64::from(is_first);
        self.advance_end(segment, end, ChainHead { next_id: block.end(), chain });
        Ok(true)
    }

    /// Makes the block that was just written part of main: adds its segment to the table if it is the first one there, and
    /// moves the end of main behind it.
    ///
    /// Called after the barrier only: after an error the offset is unchanged, and the next attempt writes the same pages.
    fn advance_end(&mut self, segment: Segment, end: u32, head: ChainHead) {
        if self.is_unwritten() {
            self.insert(segment);
        }
        self.offset = end;
        self.head = head;
    }

    /// Bytes of the buffer before the next block: the segment header, if the block is the first of its segment.
    const fn lead_len(&self) -> usize {
        if self.is_unwritten() { SegmentHeader::LEN } else { 0 }
    }

    /// Packs `records` into the buffer, behind the space for the headers. Returns packing and length; `None` if they do not
    /// fit.
    fn pack(&mut self, packer: &mut Packer, records: &[u8]) -> Option<(Packing, usize)> {
        let start = self.lead_len() + BlockHeader::LEN;
        let free_len = self.free_len();
        packer.pack(records, self.buffer.get_mut(start..start + free_len)?)
    }

    /// Seals the block in the buffer and returns the hash chain after it.
    fn seal_block(&mut self, block: BlockHeader, segment: &Segment) -> Result<Chain, FlushError<M::Error>> {
        let lead_len = self.lead_len();
        let writer = self.writer.as_mut().ok_or(FlushError::ReadOnly)?;
        let bytes = self.buffer.get_mut(lead_len..).unwrap_or_default();
        writer.seal_block(block, segment, bytes).ok_or(FlushError::Exhausted)
    }

    /// Puts the sealed header of the segment being begun at the start of the buffer.
    fn seal_header(&mut self, first: RecordId) -> Result<Segment, FlushError<M::Error>> {
        let writer = self.writer.as_mut().ok_or(FlushError::ReadOnly)?;
        let mut header = SegmentHeader {
            layout: Layout::V2,
            geometry: self.geometry,
            epoch: self.epoch,
            first,
            counter: 0,
            salt: writer.salt,
            chain_before: self.head.chain,
            origin: Some(self.origin),
            evidence: None,
        };
        let sealed = header.seal(&mut writer.sealer, &writer.segment_key, self.recipient.as_ref());
        let bytes = sealed.ok_or(FlushError::Exhausted)?;
        if let Some(to) = self.buffer.first_chunk_mut() {
            *to = bytes;
        }
        Ok(Segment::new(&header, &bytes))
    }

    /// Entry of the open segment, which is in the table since its first block was written.
    pub(super) fn open_segment(&self) -> Result<Segment, FlushError<M::Error>> {
        self.segment_in(self.slot(self.epoch)).ok_or(FlushError::Exhausted)
    }

    /// Removes the segment that the first block of the open segment overwrites, and counts its records.
    fn evict(&mut self, stats: &mut Stats) {
        if let Some(victim) = self.victim(false) {
            stats.overwritten += self.end_of(&victim).since(victim.first);
            self.remove(self.epoch);
        }
    }

    /// Writes the first `used` bytes of the buffer, and its padding to the end of a page, at the offset of the open segment, and
    /// makes them durable. Returns the offset behind them.
    fn write_buffer(&mut self, used: usize, stats: &mut Stats) -> Result<u32, FlushError<M::Error>> {
        let at = self.position(self.slot(self.epoch), self.offset);
        let end = page_end(self.offset + to_u32(used));
        let len = end - self.offset;
        // Nothing reaches a storage that cannot be opened for writing, and nothing is counted.
        self.storage.write(&[]).map_err(FlushError::Main)?;
        stats.main_bytes += u64::from(len);
        let bytes = self.buffer.get(..to_usize(len)).unwrap_or_default();
        // The barrier comes before anything that relies on the block: the end of main, and the reset of the
        // journal.
        write_at(&mut self.storage, at, bytes)
            .and_then(|()| self.storage.flush())
            .map_err(FlushError::Main)?;
        Ok(end)
    }
}

impl Writer {
    /// Writer for the segment of `key`, which has `layout`; `counter` was never used with it.
    pub(crate) fn new(key: LogKey, layout: Layout, salt: Salt, counter: u64) -> Self {
        let segment_key = segment_key(layout, key.key());
        let sealer = Sealer::resume(&main_key(&segment_key, salt), counter);
        Self { salt, key, segment_key, sealer }
    }

    /// Seals the packed records in `bytes`, which follow the space for their header: fills in header and tag, zeroes the
    /// padding, and returns the hash chain after the block. `None` if the sealer is exhausted.
    fn seal_block(&mut self, mut block: BlockHeader, segment: &Segment, bytes: &mut [u8]) -> Option<Chain> {
        block.counter = self.sealer.next_counter();
        block.salt = self.salt;
        let header = block.encode();
        let (head, remaining) = bytes.split_at_mut_checked(BlockHeader::LEN)?;
        let (records, remaining) = remaining.split_at_mut_checked(to_usize(block.sealed_len))?;
        let (tag, padding) = remaining.split_at_mut_checked(TAG_LEN)?;
        head.copy_from_slice(&header);
        let sealed =
            self.sealer.seal(&BlockHeader::associated_data(&segment.chain_after, &header), records).ok()?;
        tag.copy_from_slice(&sealed.tag);
        // The buffer holds bytes of the block before; padding must not carry plaintext to flash.
        padding.fill(0);
        Some(block.chain_before.link(&[&header, records, tag]))
    }
}
