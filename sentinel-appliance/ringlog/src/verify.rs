//! Checking the whole log.

use core::ops::Range;

use sentinel_seal::Chain;

use crate::record::RecordId;

/// Where main ended at some time. Kept elsewhere (at the collector, in a backup), it shows later whether main was rolled
/// back or rewritten.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Head {
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
