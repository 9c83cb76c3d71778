//! Verification of the whole log: seals, hash chain, order and completeness.

use core::fmt;
use core::ops::Range;

use super::RingLog;
use crate::error::ReadError;
use crate::format::{BlockHeader, SlotHeader};
use crate::head::Head;
use crate::record::{ChainHead, RecordId};
use crate::ring::{Load, NextBlock, Segment, Walk};
use crate::storage::Storage;

/// One fault that [`RingLog::verify`] found.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Finding {
    /// A segment is absent although an older and a newer one are there.
    SegmentMissing {
        /// Number of the segment.
        epoch: u64,
    },
    /// The header of the segment in this slot is damaged.
    SegmentDamaged {
        /// Slot in main.
        slot: u32,
    },
    /// A segment is in a slot that its number does not belong to.
    SegmentMisplaced {
        /// Slot where it is.
        slot: u32,
        /// Number of the segment.
        epoch: u64,
    },
    /// A block is damaged, forged, or left over from an unfinished write.
    BlockDamaged {
        /// Number of the segment.
        epoch: u64,
        /// Offset of the block in the segment.
        offset: u32,
    },
    /// The hash chain is broken: what comes before this position is not what was there when it was written.
    ChainBroken {
        /// Number of the segment.
        epoch: u64,
        /// Offset in the segment.
        offset: u32,
    },
    /// Records are missing.
    RecordsMissing(Range<RecordId>),
    /// Main ends before a known head, or its chain does not contain that head.
    RolledBack {
        /// Records below this number were in main.
        expected: RecordId,
        /// Records below this number are in main now.
        found: RecordId,
    },
    /// The newest segment is of an earlier epoch than a known head or the key, or there is none: main was rolled back or wiped.
    EpochBehind {
        /// Epoch that main had reached.
        expected: u64,
        /// Epoch of the newest segment.
        found: Option<u64>,
    },
    /// The journal is damaged, or its last write was cut off.
    JournalDamaged {
        /// Byte at which reading ended.
        offset: u64,
    },
}

/// Summary of [`RingLog::verify`].
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Report {
    /// Segments visited.
    pub segments: u32,
    /// Of these, segments sealed with an older key: their chain was verified, their seals were not.
    pub older_key_segments: u32,
    /// Blocks whose seal was verified.
    pub blocks: u64,
    /// Records in these blocks.
    pub records: u64,
    /// Records in the journal that main does not hold yet.
    pub journal_records: u64,
    /// Findings reported to the caller. Zero means that the log is sound.
    pub findings: u64,
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SegmentMissing { epoch } => write!(out, "segment {epoch} is missing"),
            Self::SegmentDamaged { slot } => write!(out, "the segment in slot {slot} has a damaged header"),
            Self::SegmentMisplaced { slot, epoch } => {
                write!(out, "segment {epoch} does not belong in slot {slot}")
            }
            Self::BlockDamaged { epoch, offset } => {
                write!(out, "segment {epoch}, byte {offset}: a block is damaged or was not finished")
            }
            Self::ChainBroken { epoch, offset } => {
                write!(out, "segment {epoch}, byte {offset}: hash chain broken, earlier bytes were changed")
            }
            Self::RecordsMissing(ids) => {
                write!(out, "records {} to {} are missing", ids.start, ids.end.0.saturating_sub(1))
            }
            Self::RolledBack { expected, found } => {
                write!(out, "log rolled back or rewritten: went up to record {expected}, now {found}")
            }
            Self::EpochBehind { expected, found: Some(found) } => {
                write!(out, "log rolled back: went up to segment {expected}, now {found}")
            }
            Self::EpochBehind { expected, found: None } => {
                write!(out, "log wiped: went up to segment {expected}, now there is none")
            }
            Self::JournalDamaged { offset } => {
                write!(out, "the journal is damaged or was not finished at byte {offset}")
            }
        }
    }
}

/// Reports and counts findings, and checks off the heads that the chain must contain.
struct Inspector<'f> {
    each: &'f mut dyn FnMut(&Finding),
    report: Report,
    /// Heads not met yet: the one given by the caller, and the one recorded in the journal.
    heads: [Option<ChainHead>; 2],
}

impl Inspector<'_> {
    fn report(&mut self, finding: &Finding) {
        self.report.findings += 1;
        (self.each)(finding);
    }

    /// Checks that a segment follows `position`.
    fn begin_segment(&mut self, segment: &Segment, position: ChainHead) {
        self.report.segments += 1;
        self.reach(position);
        if segment.first > position.next_id {
            self.report(&Finding::RecordsMissing(position.next_id..segment.first));
        }
        if segment.chain_before != position.chain || segment.first < position.next_id {
            self.report(&Finding::ChainBroken { epoch: segment.epoch, offset: 0 });
        }
    }

    /// Checks off a head that equals the position reached.
    fn reach(&mut self, position: ChainHead) {
        for head in &mut self.heads {
            *head = head.filter(|head| *head != position);
        }
    }
}

impl<M: Storage, J: Storage<Error = M::Error>> RingLog<M, J> {
    /// Reads and checks everything: seals, hash chain, order, completeness. Reports each fault to `each`. `expected` is a
    /// [`Head`] stored outside the device; with it a log that was rolled back or rewritten is found, as long as the ring has
    /// not overwritten the position of that head.
    ///
    /// # Errors
    /// [`ReadError::Main`], [`ReadError::Journal`]: a storage cannot be read; findings before the failure were reported.
    pub fn verify(
        &mut self,
        expected: Option<&Head>,
        each: &mut dyn FnMut(&Finding),
    ) -> Result<Report, ReadError<M::Error>> {
        self.reader.invalidate();
        let heads = [expected.map(Head::position), self.journaled_end];
        let mut inspector = Inspector { each, report: Report::default(), heads };
        self.verify_epoch(expected, &mut inspector);
        self.verify_slots(&mut inspector)?;
        self.verify_chain(expected, &mut inspector)?;
        self.verify_journal(&mut inspector)?;
        Ok(inspector.report)
    }

    /// Compares the newest segment with what the key and a known head say about it.
    fn verify_epoch(&self, expected: Option<&Head>, inspector: &mut Inspector<'_>) {
        let found = self.ring.newest().map(|newest| newest.epoch);
        let by_key = self.given_epoch.filter(|_| self.is_behind_key());
        let by_head = expected
            .filter(|head| head.next_id > RecordId(0) && found.is_none_or(|found| found < head.epoch))
            .map(|head| head.epoch);
        if let Some(expected) = by_key.max(by_head) {
            inspector.report(&Finding::EpochBehind { expected, found });
        }
    }

    /// Compares the headers on the storage with the segment table.
    fn verify_slots(&mut self, inspector: &mut Inspector<'_>) -> Result<(), ReadError<M::Error>> {
        for slot in 0..self.ring.geometry().segments() {
            let (bytes, header) = self.ring.read_header(slot).map_err(ReadError::Main)?;
            match (self.ring.segment_in(slot), header) {
                (Some(known), SlotHeader::Valid(header))
                    if header.chain_after(&bytes) == known.chain_after => {}
                (None, SlotHeader::Valid(header)) if self.ring.slot(header.epoch) != slot => {
                    inspector.report(&Finding::SegmentMisplaced { slot, epoch: header.epoch });
                }
                (None, SlotHeader::Blank) => {
                    if let Some(epoch) = self.missing_epoch(slot) {
                        inspector.report(&Finding::SegmentMissing { epoch });
                    }
                }
                _ => inspector.report(&Finding::SegmentDamaged { slot }),
            }
        }
        Ok(())
    }

    /// Epoch that a blank slot should hold: the last one up to the newest segment that falls on it. `None` if that is before the
    /// first segment of this storage.
    fn missing_epoch(&self, slot: u32) -> Option<u64> {
        let newest = self.ring.newest()?;
        let segments = u64::from(self.ring.geometry().segments());
        // Distance from the newest epoch back to the last one that falls on this slot, 0 to S - 1.
        let back = (newest.epoch % segments + segments - u64::from(slot)) % segments;
        let epoch = newest.epoch.checked_sub(back)?;
        (epoch >= self.ring.origin()).then_some(epoch)
    }

    /// Follows the hash chain from the oldest segment to the end of main.
    fn verify_chain(
        &mut self,
        expected: Option<&Head>,
        inspector: &mut Inspector<'_>,
    ) -> Result<(), ReadError<M::Error>> {
        let oldest = self.ring.first_from(0);
        let start = oldest.map_or(ChainHead::START, |segment| ChainHead {
            next_id: segment.first,
            chain: segment.chain_before,
        });
        let mut position = start;
        let mut next = oldest;
        while let Some(segment) = next {
            self.verify_segment(segment, &mut position, inspector)?;
            next = self.ring.after(&segment);
        }
        let (end, found) = (self.ring.head(), position.next_id);
        inspector.reach(position);
        if found < end.next_id {
            inspector.report(&Finding::RecordsMissing(found..end.next_id));
        } else if oldest.is_some() && position.chain != end.chain {
            inspector.report(&Finding::RolledBack { expected: end.next_id, found });
        }
        for head in inspector.heads.into_iter().flatten() {
            // A head before the oldest segment cannot be checked any more.
            if head.next_id >= start.next_id {
                inspector.report(&Finding::RolledBack { expected: head.next_id, found });
            }
        }
        // Unless the segment that contained it is there, and begins behind it.
        if let Some(head) = expected.filter(|head| head.next_id < start.next_id)
            && oldest.is_some_and(|oldest| oldest.epoch <= head.epoch)
        {
            inspector.report(&Finding::RolledBack { expected: head.next_id, found });
        }
        Ok(())
    }

    /// Checks one segment. `position` is the end of what was checked before; it advances to the end of this segment.
    fn verify_segment(
        &mut self,
        segment: Segment,
        position: &mut ChainHead,
        inspector: &mut Inspector<'_>,
    ) -> Result<(), ReadError<M::Error>> {
        let epoch = segment.epoch;
        inspector.begin_segment(&segment, *position);
        *position = ChainHead { next_id: segment.first, chain: segment.chain_after };
        let mut walk = self.ring.walk(segment, &self.key);
        inspector.report.older_key_segments += u32::from(!walk.has_key());
        let end = self
            .ring
            .after(&segment)
            .map_or(self.ring.head(), |after| ChainHead { next_id: after.first, chain: after.chain_before });
        // Bytes behind the last block are left over from an older segment or from a write that was repeated, and are not
        // looked at.
        while *position != end {
            match self.ring.next_block(&mut walk, Load::Chain).map_err(ReadError::Main)? {
                NextBlock::Valid { header, offset, chain } => {
                    // Damage is reported and the chain followed all the same: one bad block is one finding, not one for
                    // every block behind it.
                    self.verify_block(&walk, &header, offset, position, inspector);
                    *position = ChainHead { next_id: header.end(), chain: chain.unwrap_or(position.chain) };
                }
                NextBlock::Damaged { offset } => inspector.report(&Finding::BlockDamaged { epoch, offset }),
                NextBlock::End => break,
            }
        }
        Ok(())
    }

    /// Checks the block in the buffer of the ring against the position before it.
    fn verify_block(
        &mut self,
        walk: &Walk,
        header: &BlockHeader,
        offset: u32,
        position: &ChainHead,
        inspector: &mut Inspector<'_>,
    ) {
        let epoch = walk.segment.epoch;
        // A head may lie at any block boundary, so each position is compared.
        inspector.reach(*position);
        if walk.has_key() {
            if !self.reader.is_consistent(self.ring.buffer(), header) {
                inspector.report(&Finding::BlockDamaged { epoch, offset });
            }
            inspector.report.blocks += 1;
            inspector.report.records += u64::from(header.count);
        }
        if header.first > position.next_id {
            inspector.report(&Finding::RecordsMissing(position.next_id..header.first));
        }
        if header.chain_before != position.chain {
            inspector.report(&Finding::ChainBroken { epoch, offset });
        }
    }

    /// Reads the journal again: everything that was written to it must still be there.
    fn verify_journal(&mut self, inspector: &mut Inspector<'_>) -> Result<(), ReadError<M::Error>> {
        if self.key.is_none() {
            return Ok(());
        }
        let (end, mut records) = (self.ring.head().next_id, 0);
        let mut count = |id: RecordId, _: &[u8]| records += u64::from(id >= end);
        let replay = self.journal.replay(&self.key, &mut count).map_err(ReadError::Journal)?;
        inspector.report.journal_records = records;
        // The comparison does not see a tear from before the opening, because the tail was set to where reading ended then.
        if self.is_journal_torn || self.journal.is_cut_short(&replay) {
            inspector.report(&Finding::JournalDamaged { offset: replay.tail() });
        }
        Ok(())
    }
}
