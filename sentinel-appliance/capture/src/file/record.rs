//! The limits of a capture file, and where a frame of it lies.

use std::ops::Range;

use sentinel_units::{LinkType, Timestamp};

/// The longest frame that is read; libpcap's limit too (`MAXIMUM_SNAPLEN`).
pub const MAX_FRAME: u32 = 262_144;

/// Interfaces that one section may describe. Merged files have one per file merged; each costs 24 bytes here.
pub const MAX_INTERFACES: usize = 1024;

/// The longest piece that must be whole in memory: the longest frame with its block header and options.
pub(super) const MAX_PIECE: u32 = MAX_FRAME + 65_536;

/// Where a frame lies in the input's window, and what the file says about it.
pub(super) struct Record {
    pub(super) at: Timestamp,
    pub(super) wire_len: u32,
    pub(super) link: LinkType,
    pub(super) interface: u16,
    pub(super) bytes: Range<usize>,
}
