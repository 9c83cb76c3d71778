//! Checking the whole log.

use core::ops::Range;

use sentinel_seal::Chain;

use crate::error::ReadError;
use crate::format::FoundHeader;
use super::RingLog;
use crate::record::RecordId;
use crate::ring::{Load, Segment, Step};
use crate::storage::Storage;

/// Where main ended at some time. Kept elsewhere (at the collector, in a backup), it shows later whether main was rolled
/// back or rewritten.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ChainHead {
    /// Records below this were in main.
    pub next_id: RecordId,
    /// The hash chain over all of main up to there.
    pub chain: Chain,
}

/// What can be done with a segment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SegmentState {
    /// Being filled.
    Open,
    /// Complete and readable.
    Sealed,
    /// Sealed with an older key than this log was opened with: chain-verifiable, not readable.
    OlderKey,
    /// Its header is unreadable or forged.
    Damaged,
}

/// One segment, for a listing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SegmentInfo {
    /// Place in main, from 0.
    pub slot: u32,
    /// Number of the segment and epoch of its key.
    pub epoch: u64,
    /// Its records.
    pub records: Range<RecordId>,
    /// Blocks in it.
    pub blocks: u32,
    /// Bytes used, padding included.
    pub bytes: u32,
    /// What can be done with it.
    pub state: SegmentState,
}

/// One thing that is wrong with the log.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Finding {
    /// A segment that should be there is not.
    SegmentMissing {
        /// Its number.
        epoch: u64,
    },
    /// The header of the segment in this slot is damaged.
    SegmentDamaged {
        /// Place in main.
        slot: u32,
    },
    /// A segment lies where it does not belong.
    SegmentMisplaced {
        /// Where it lies.
        slot: u32,
        /// Its number.
        epoch: u64,
    },
    /// A block is damaged, forged, or left over from a write that was cut off.
    BlockDamaged {
        /// The segment.
        epoch: u64,
        /// Byte in the segment where the block starts.
        offset: u32,
    },
    /// What comes before this point is not what was there when it was written.
    ChainBroken {
        /// The segment.
        epoch: u64,
        /// Byte in the segment.
        offset: u32,
    },
    /// Records are missing.
    RecordsMissing(Range<RecordId>),
    /// Main ends before the head that was remembered, or differs from it.
    RolledBack {
        /// Records below this were in main.
        expected: RecordId,
        /// Records below this are in main now.
        found: RecordId,
    },
    /// The journal is damaged, or its last write was cut off.
    JournalDamaged {
        /// Byte where reading it ended.
        offset: u64,
    },
}

/// What verifying found.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Report {
    /// Segments seen.
    pub segments: u32,
    /// Of these, segments sealed with an older key: their chain was checked, not their seal.
    pub older_key_segments: u32,
    /// Blocks whose seal is whole.
    pub blocks: u64,
    /// Records in these blocks.
    pub records: u64,
    /// Findings told to the caller. Zero means the log is sound.
    pub findings: u64,
}

/// A finding in one line, in words.
impl core::fmt::Display for Finding {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
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
                write!(
                    out,
                    "segment {epoch}, byte {offset}: what comes before is not what was written before"
                )
            }
            Self::RecordsMissing(ids) => {
                write!(out, "records {} to {} are missing", ids.start, ids.end.0.saturating_sub(1))
            }
            Self::RolledBack { expected, found } => {
                write!(out, "the log went up to record {expected} and differs or ends at {found} now")
            }
            Self::JournalDamaged { offset } => {
                write!(out, "the journal is damaged or was not finished at byte {offset}")
            }
        }
    }
}

/// Hears the findings and counts them.
struct Inspector<'f> {
    each: &'f mut dyn FnMut(&Finding),
    report: Report,
    /// Heads that must be met on the way: the one remembered elsewhere, and the one in the journal.
    heads: [Option<ChainHead>; 2],
}

impl Inspector<'_> {
    fn find(&mut self, finding: &Finding) {
        self.report.findings += 1;
        (self.each)(finding);
    }

    /// The chain has this value where the records below `next` are in main.
    fn pass(&mut self, next: RecordId, chain: Chain) {
        let here = ChainHead { next_id: next, chain };
        for head in &mut self.heads {
            *head = head.filter(|head| *head != here);
        }
    }
}

/// Where verifying stands: what the next header or block must follow.
struct Track {
    next: RecordId,
    chain: Chain,
}

impl<M: Storage, J: Storage<Error = M::Error>> RingLog<M, J> {
    /// Describes each segment, oldest first, then slots with a damaged header (without records, and with epoch 0).
    ///
    /// # Errors
    /// [`ReadError::Main`]: main cannot be read.
    pub fn list(&mut self, each: &mut dyn FnMut(&SegmentInfo)) -> Result<(), ReadError<M::Error>> {
        self.reader.forget();
        let mut epoch = 0;
        while let Some(segment) = self.ring.first_from(epoch) {
            let slot = self.ring.slot(segment.epoch);
            let end = self.ring.end_of(&segment);
            let mut walk = self.ring.walk(segment, &self.key);
            let is_open = segment.epoch == self.ring.epoch() && !self.ring.is_fresh();
            let state = match (walk.has_key(), is_open) {
                (false, _) => SegmentState::OlderKey,
                (true, true) => SegmentState::Open,
                (true, false) => SegmentState::Sealed,
            };
            let (mut blocks, mut bytes) = (0, 0);
            while walk.next < end {
                match self.ring.step(&mut walk, Load::Header).map_err(ReadError::Main)? {
                    Step::Block { .. } => {
                        blocks += 1;
                        bytes = walk.offset();
                    }
                    Step::Damaged { .. } => {}
                    Step::End => break,
                }
            }
            let records = segment.first..end;
            each(&SegmentInfo { slot, epoch: segment.epoch, records, blocks, bytes, state });
            let Some(after) = segment.epoch.checked_add(1) else { break };
            epoch = after;
        }
        for slot in 0..self.ring.geometry().segments() {
            let (_, header) = self.ring.read_header(slot).map_err(ReadError::Main)?;
            if self.ring.at(slot).is_none() && header != FoundHeader::Blank {
                let (records, state) = (RecordId(0)..RecordId(0), SegmentState::Damaged);
                each(&SegmentInfo { slot, epoch: 0, records, blocks: 0, bytes: 0, state });
            }
        }
        Ok(())
    }

    /// Reads and checks everything: seals, hash chain, order, completeness. Tells `each` what is wrong. `expected` is a
    /// [`ChainHead`] remembered elsewhere; it shows a log that was rolled back as long as the ring has not passed it.
    ///
    /// # Errors
    /// [`ReadError::Main`], [`ReadError::Journal`]: a storage cannot be read; findings so far were told.
    pub fn verify(
        &mut self,
        expected: Option<&ChainHead>,
        each: &mut dyn FnMut(&Finding),
    ) -> Result<Report, ReadError<M::Error>> {
        self.reader.forget();
        let heads = [expected.copied(), self.anchor];
        let mut inspector = Inspector { each, report: Report::default(), heads };
        self.verify_slots(&mut inspector)?;

        let oldest = self.ring.first_from(0);
        let mut track = oldest.map_or(Track { next: RecordId(0), chain: Chain::START }, |segment| Track {
            next: segment.first,
            chain: segment.previous,
        });
        let first = track.next;
        let mut at = oldest;
        while let Some(segment) = at {
            self.verify_segment(segment, &mut track, &mut inspector)?;
            at = segment.epoch.checked_add(1).and_then(|epoch| self.ring.first_from(epoch));
        }
        let end = self.ring.head();
        inspector.pass(track.next, track.chain);
        if track.next < end.next_id {
            inspector.find(&Finding::RecordsMissing(track.next..end.next_id));
        } else if oldest.is_some() && track.chain != end.chain {
            inspector.find(&Finding::RolledBack { expected: end.next_id, found: track.next });
        }
        for head in inspector.heads.into_iter().flatten() {
            // What the ring has passed cannot be checked any more.
            if head.next_id >= first {
                inspector.find(&Finding::RolledBack { expected: head.next_id, found: track.next });
            }
        }
        self.verify_journal(&mut inspector)?;
        Ok(inspector.report)
    }

    /// Compares the headers on the storage with what the log knows.
    fn verify_slots(&mut self, inspector: &mut Inspector<'_>) -> Result<(), ReadError<M::Error>> {
        let (oldest, newest) = (self.ring.first_from(0), self.ring.newest());
        let segments = u64::from(self.ring.geometry().segments());
        for slot in 0..self.ring.geometry().segments() {
            let (bytes, found) = self.ring.read_header(slot).map_err(ReadError::Main)?;
            match (self.ring.at(slot), found) {
                (Some(known), FoundHeader::Whole(header)) if header.binding(&bytes) == known.binding => {}
                (None, FoundHeader::Whole(header)) if self.ring.slot(header.epoch) != slot => {
                    inspector.find(&Finding::SegmentMisplaced { slot, epoch: header.epoch });
                }
                (None, FoundHeader::Blank) => {
                    let (Some(oldest), Some(newest)) = (oldest, newest) else { continue };
                    // The epoch that this slot should hold: the last one up to the newest that falls on it.
                    let back = (newest.epoch % segments + segments - u64::from(slot)) % segments;
                    let Some(epoch) = newest.epoch.checked_sub(back) else { continue };
                    if epoch > oldest.epoch || oldest.previous != Chain::START {
                        inspector.find(&Finding::SegmentMissing { epoch });
                    }
                }
                _ => inspector.find(&Finding::SegmentDamaged { slot }),
            }
        }
        Ok(())
    }

    fn verify_segment(
        &mut self,
        segment: Segment,
        track: &mut Track,
        inspector: &mut Inspector<'_>,
    ) -> Result<(), ReadError<M::Error>> {
        let epoch = segment.epoch;
        inspector.report.segments += 1;
        inspector.pass(track.next, track.chain);
        if segment.first > track.next {
            inspector.find(&Finding::RecordsMissing(track.next..segment.first));
        }
        if segment.previous != track.chain || segment.first < track.next {
            inspector.find(&Finding::ChainBroken { epoch, offset: 0 });
        }
        *track = Track { next: segment.first, chain: segment.binding };
        let mut walk = self.ring.walk(segment, &self.key);
        inspector.report.older_key_segments += u32::from(!walk.has_key());
        let after = self.ring.first_from(epoch.saturating_add(1)).filter(|after| after.epoch > epoch);
        let end =
            after.map_or(self.ring.head(), |after| ChainHead { next_id: after.first, chain: after.previous });
        // What lies behind the last block is left over from an older segment, or from a write that was done again.
        while (ChainHead { next_id: track.next, chain: track.chain }) != end {
            match self.ring.step(&mut walk, Load::Chain).map_err(ReadError::Main)? {
                Step::Block { header, offset, chain } => {
                    inspector.pass(track.next, track.chain);
                    let has_key = walk.has_key();
                    if has_key && !self.reader.is_sound(self.ring.buffer(), &header) {
                        inspector.find(&Finding::BlockDamaged { epoch, offset });
                    }
                    if header.first > track.next {
                        inspector.find(&Finding::RecordsMissing(track.next..header.first));
                    }
                    if header.previous != track.chain {
                        inspector.find(&Finding::ChainBroken { epoch, offset });
                    }
                    *track = Track { next: header.end(), chain: chain.unwrap_or(track.chain) };
                    if has_key {
                        inspector.report.blocks += 1;
                        inspector.report.records += u64::from(header.count);
                    }
                }
                Step::Damaged { offset } => inspector.find(&Finding::BlockDamaged { epoch, offset }),
                Step::End => break,
            }
        }
        Ok(())
    }

    /// Reads the journal again: everything that was in it must still be.
    fn verify_journal(&mut self, inspector: &mut Inspector<'_>) -> Result<(), ReadError<M::Error>> {
        let found = self.journal.replay(&self.key, &mut |_, _| ()).map_err(ReadError::Journal)?;
        if self.is_journal_torn || self.journal.lacks(&found) {
            inspector.find(&Finding::JournalDamaged { offset: found.tail() });
        }
        Ok(())
    }
}
