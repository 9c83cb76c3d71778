//! Limits of capture files, and the location of a frame in the input.

use std::ops::Range;

use sentinel_units::{LinkType, Timestamp};

/// Longest frame that is read, as in libpcap (`MAXIMUM_SNAPLEN`).
pub const MAX_FRAME: u32 = 262_144;

/// Most interfaces in one pcapng section. Merged files have one per file merged; each costs 24 bytes here.
pub const MAX_INTERFACES: usize = 1024;

/// Longest record or block that is kept in memory: the longest frame with its block header and options.
pub(super) const MAX_RECORD: u32 = MAX_FRAME + 65_536;

/// A frame in the window of the input: the metadata, and the range of its bytes.
pub(super) struct Record {
    pub(super) at: Timestamp,
    pub(super) wire_len: u32,
    pub(super) link: LinkType,
    pub(super) interface: u16,
    pub(super) bytes: Range<usize>,
}
