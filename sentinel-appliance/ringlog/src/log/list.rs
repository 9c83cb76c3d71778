//! Listing the segments.

use core::ops::Range;

use super::RingLog;
use crate::error::ReadError;
use crate::format::SlotHeader;
use crate::record::RecordId;
use crate::ring::{Load, NextBlock, Segment};
use crate::storage::Storage;
use sentinel_seal::Recipient;

/// State of a segment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SegmentState {
    /// Being filled.
    Open,
    /// Complete and readable.
    Sealed,
    /// Sealed with an older key than this log was opened with: the hash chain can be verified, records cannot be read.
    OlderKey,
    /// Its header is unreadable or forged.
    Damaged,
}

/// One segment, as [`RingLog::list`] describes it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SegmentInfo {
    /// Slot in main, from 0.
    pub slot: u32,
    /// Number of the segment, which is also the epoch of its key.
    pub epoch: u64,
    /// Numbers of its records.
    pub records: Range<RecordId>,
    /// Blocks in it.
    pub blocks: u32,
    /// Bytes used, padding included.
    pub bytes: u32,
    /// State of the segment.
    pub state: SegmentState,
    /// Public key to which it is sealed as evidence.
    pub sealed_to: Option<[u8; Recipient::LEN]>,
}

impl<M: Storage, J: Storage<Error = M::Error>> RingLog<M, J> {
    /// Passes each segment to `each`, oldest first, then slots with a damaged header (without records, with epoch 0). Only
    /// headers are read; seals are checked by [`Self::verify`].
    ///
    /// # Errors
    /// [`ReadError::Main`]: main cannot be read; `each` has seen the segments before the failure.
    pub fn list(&mut self, each: &mut dyn FnMut(&SegmentInfo)) -> Result<(), ReadError<M::Error>> {
        self.reader.invalidate();
        let mut next = self.ring.first_from(0);
        while let Some(segment) = next {
            each(&self.describe(segment)?);
            next = self.ring.after(&segment);
        }
        for slot in 0..self.ring.geometry().segments() {
            let (_, header) = self.ring.read_header(slot).map_err(ReadError::Main)?;
            if self.ring.segment_in(slot).is_none() && header != SlotHeader::Blank {
                let (records, state) = (RecordId(0)..RecordId(0), SegmentState::Damaged);
                each(&SegmentInfo { slot, epoch: 0, records, blocks: 0, bytes: 0, state, sealed_to: None });
            }
        }
        Ok(())
    }

    /// Counts the blocks of a segment and the bytes up to the end of the last one.
    fn describe(&mut self, segment: Segment) -> Result<SegmentInfo, ReadError<M::Error>> {
        let end = self.ring.end_of(&segment);
        let mut walk = self.ring.walk(segment, &self.key);
        let state = match (walk.has_key(), self.ring.is_open(&segment)) {
            (false, _) => SegmentState::OlderKey,
            (true, true) => SegmentState::Open,
            (true, false) => SegmentState::Sealed,
        };
        let (mut blocks, mut bytes) = (0, 0);
        while walk.next < end {
            match self.ring.next_block(&mut walk, Load::Header).map_err(ReadError::Main)? {
                NextBlock::Valid { .. } => {
                    blocks += 1;
                    bytes = walk.offset();
                }
                NextBlock::Damaged { .. } => {}
                NextBlock::End => break,
            }
        }
        let slot = self.ring.slot(segment.epoch);
        let (epoch, records, sealed_to) = (segment.epoch, segment.first..end, segment.recipient);
        Ok(SegmentInfo { slot, epoch, records, blocks, bytes, state, sealed_to })
    }
}
