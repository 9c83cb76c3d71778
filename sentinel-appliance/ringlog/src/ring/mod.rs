//! Main: the ring of segments, what is in it and where it ends.

use sentinel_seal::Chain;

use crate::account::Recovery;
use crate::error::OpenError;
use crate::format::{FoundHeader, SegmentHeader};
use crate::geometry::{Geometry, PAGE_BYTES};
use crate::key::{LogKey, Salt};
use crate::record::RecordId;
use crate::storage::Storage;
use crate::log::ChainHead;

mod walk;
mod write;

pub(crate) use walk::{Load, Step, Walk};
pub(crate) use write::Writer;

/// A segment whose header was read, or written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Segment {
    pub(crate) epoch: u64,
    pub(crate) first: RecordId,
    /// The chain before its header.
    pub(crate) previous: Chain,
    /// The chain after its header.
    pub(crate) binding: Chain,
}

#[derive(Debug)]
pub(crate) struct Ring<M> {
    pub(crate) storage: M,
    pub(crate) geometry: Geometry,
    /// By slot.
    segments: Vec<Option<Segment>>,
    /// The segment being filled.
    pub(crate) epoch: u64,
    /// Where its next block goes; 0 while not even its header is written.
    pub(crate) offset: u32,
    pub(crate) head: ChainHead,
    /// The block being written or read.
    pub(crate) buffer: Vec<u8>,
    pub(crate) writer: Option<Writer>,
}

pub(crate) const SEGMENT_HEADER: u32 = 128;
const _: () = assert!(SegmentHeader::LEN == 128, "the two constants are one");

pub(crate) fn to_u32(len: usize) -> u32 {
    // Lengths here are within a segment, at most 1 MiB.
    u32::try_from(len).unwrap_or(u32::MAX)
}

pub(crate) fn to_usize(len: u32) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX)
}

pub(crate) const fn page_end(offset: u32) -> u32 {
    offset.next_multiple_of(PAGE_BYTES)
}

impl<M: Storage> Ring<M> {
    /// Reads the segment headers, and the newest segment to find its end.
    pub(crate) fn open(
        storage: M,
        geometry: Geometry,
        key: LogKey,
        salt: Option<Salt>,
        recovery: &mut Recovery,
    ) -> Result<(Self, LogKey), OpenError<M::Error>> {
        let slots = to_usize(geometry.segments());
        let mut ring = Self {
            storage,
            geometry,
            segments: vec![None; slots],
            epoch: key.epoch(),
            offset: 0,
            head: ChainHead { next_id: RecordId(0), chain: Chain::START },
            // Not of zeros, which the system would hand out without memory behind them.
            buffer: vec![1; to_usize(geometry.segment_bytes())],
            writer: None,
        };
        let (key, newest_key) = ring.read_headers(key, recovery)?;
        if let Some(newest) = ring.newest() {
            ring.find_end(newest, &newest_key, recovery).map_err(OpenError::Main)?;
        }
        ring.writer = salt.map(|salt| Writer::new(newest_key, salt, 0));
        Ok((ring, key))
    }

    /// Fills the table. Gives the key as old as anything here may need it, and the key of the newest segment (or that of the
    /// next, if all segments are older than the key).
    fn read_headers(
        &mut self,
        mut key: LogKey,
        recovery: &mut Recovery,
    ) -> Result<(LogKey, LogKey), OpenError<M::Error>> {
        let mut found = Vec::with_capacity(self.segments.len());
        let mut later = None;
        for slot in 0..self.geometry.segments() {
            let (bytes, header) = self.read_header(slot).map_err(OpenError::Main)?;
            match header {
                FoundHeader::Blank => {}
                FoundHeader::Damaged => recovery.damaged_segments += 1,
                FoundHeader::Later(version) => {
                    later = Some(version);
                    recovery.damaged_segments += 1;
                }
                FoundHeader::Whole(header) if header.geometry != self.geometry => {
                    return Err(OpenError::Geometry { found: header.geometry });
                }
                FoundHeader::Whole(header) if self.slot(header.epoch) != slot => {
                    recovery.damaged_segments += 1;
                }
                FoundHeader::Whole(header) => found.push((header, bytes)),
            }
        }
        found.sort_unstable_by_key(|(header, _)| header.epoch);
        let mut forged = 0;
        let mut newest_key: Option<LogKey> = None;
        for (header, bytes) in &found {
            if header.epoch < key.epoch() {
                recovery.older_key_segments += 1;
            } else {
                let genuine = |key: &LogKey| {
                    let key = key.advance_to(header.epoch).ok()?;
                    header.is_genuine(bytes, key.key()).then_some(key)
                };
                let Some(reached) = genuine(newest_key.as_ref().unwrap_or(&key)) else {
                    recovery.damaged_segments += 1;
                    forged += 1;
                    continue;
                };
                if newest_key.is_none() {
                    // The journal may be some segments older than the oldest one here, if flushes failed half-way.
                    let floor = header.epoch.saturating_sub(u64::from(self.geometry.segments()));
                    key = key.advance_to(floor.max(key.epoch())).unwrap_or(key);
                }
                newest_key = Some(reached);
            }
            let (epoch, first, previous) = (header.epoch, header.first, header.previous);
            self.set(Segment { epoch, first, previous, binding: header.binding(bytes) });
        }
        self.drop_left_over(recovery);
        match (self.newest(), later) {
            (None, Some(version)) => Err(OpenError::Version(version)),
            (None, None) if forged > 0 => Err(OpenError::WrongKey),
            _ => {
                let newest_key = newest_key.unwrap_or_else(|| key.clone());
                Ok((key, newest_key))
            }
        }
    }

    /// A segment that the ring must have overwritten long ago came back: not part of the log.
    fn drop_left_over(&mut self, recovery: &mut Recovery) {
        let Some(newest) = self.newest() else { return };
        for slot in &mut self.segments {
            let age = slot.map_or(0, |segment| newest.epoch - segment.epoch);
            if age >= u64::from(self.geometry.segments()) {
                *slot = None;
                recovery.damaged_segments += 1;
            }
        }
    }

    /// Finds where the newest segment ends; a segment with a later key follows if this key does not open it.
    fn find_end(&mut self, newest: Segment, key: &LogKey, recovery: &mut Recovery) -> Result<(), M::Error> {
        self.head = ChainHead { next_id: newest.first, chain: newest.binding };
        self.epoch = newest.epoch.max(key.epoch());
        let mut walk = self.walk(newest, key);
        let mut end = 0;
        let mut torn = false;
        loop {
            match self.step(&mut walk, Load::Chain)? {
                Step::Block { header, chain, .. } => {
                    self.head = ChainHead { next_id: header.end(), chain: chain.unwrap_or(self.head.chain) };
                    end = walk.offset();
                    torn = false;
                }
                Step::Damaged { .. } => torn = true,
                Step::End => break,
            }
        }
        recovery.torn_writes += u32::from(torn);
        if end == 0 {
            // Only its header came through. The next block writes both.
            self.head.chain = newest.previous;
            recovery.torn_writes = recovery.torn_writes.max(1);
            self.clear(newest.epoch);
        }
        self.offset = if self.epoch == newest.epoch { end } else { 0 };
        Ok(())
    }

    pub(crate) fn slot(&self, epoch: u64) -> u32 {
        // The remainder is below a 32-bit number.
        u32::try_from(epoch % u64::from(self.geometry.segments())).unwrap_or(0)
    }

    pub(crate) fn set(&mut self, segment: Segment) {
        let slot = to_usize(self.slot(segment.epoch));
        if let Some(place) = self.segments.get_mut(slot) {
            *place = Some(segment);
        }
    }

    pub(crate) fn clear(&mut self, epoch: u64) {
        let slot = to_usize(self.slot(epoch));
        if let Some(place) = self.segments.get_mut(slot) {
            *place = None;
        }
    }

    /// What the log knows to lie in a slot.
    pub(crate) fn at(&self, slot: u32) -> Option<Segment> {
        self.segments.get(to_usize(slot)).copied().flatten()
    }

    /// The segment with the lowest epoch that is at least `epoch`.
    pub(crate) fn first_from(&self, epoch: u64) -> Option<Segment> {
        self.segments
            .iter()
            .flatten()
            .filter(|segment| segment.epoch >= epoch)
            .min_by_key(|s| s.epoch)
            .copied()
    }

    pub(crate) fn newest(&self) -> Option<Segment> {
        self.segments.iter().flatten().max_by_key(|segment| segment.epoch).copied()
    }

    /// The number after the last record of a segment.
    pub(crate) fn end_of(&self, segment: &Segment) -> RecordId {
        self.first_from(segment.epoch.saturating_add(1)).map_or(self.head.next_id, |after| after.first)
    }

    pub(crate) const fn geometry(&self) -> Geometry {
        self.geometry
    }

    pub(crate) const fn head(&self) -> ChainHead {
        self.head
    }

    pub(crate) const fn writer(&self) -> Option<&Writer> {
        self.writer.as_ref()
    }

    /// Epoch of the segment being filled.
    pub(crate) const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Whether the segment being filled has no block yet.
    pub(crate) const fn is_fresh(&self) -> bool {
        self.offset == 0
    }

    pub(crate) fn buffer(&self) -> &[u8] {
        &self.buffer
    }

    /// What the next block would destroy if it went into the segment being filled, or into the one after it.
    pub(crate) fn doomed(&self, in_next: bool) -> Option<Segment> {
        let epoch = if in_next { self.epoch.checked_add(1)? } else { self.epoch };
        self.at(self.slot(epoch)).filter(|segment| segment.epoch < epoch)
    }

    /// Where a byte of a slot lies in main.
    pub(crate) fn place(&self, slot: u32, offset: u32) -> u64 {
        u64::from(slot) * u64::from(self.geometry.segment_bytes()) + u64::from(offset)
    }

    /// The storage, to be changed behind the log's back.
    #[cfg(test)]
    pub(crate) fn storage_mut(&mut self) -> &mut M {
        &mut self.storage
    }

    pub(crate) fn into_storage(self) -> M {
        self.storage
    }
}
