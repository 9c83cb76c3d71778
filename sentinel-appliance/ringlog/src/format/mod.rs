//! Byte layout of headers and the keys that seal them, as specified in `FORMAT.md`. All numbers are big-endian.

mod block;
mod bytes;
mod section;
mod segment;

use sentinel_seal::{Key, Label};

use crate::key::Salt;
use bytes::FieldWriter;

pub(crate) use block::{BlockHeader, Packing};
pub(crate) use section::{SECTION_MARK, SectionHeader, Tag, frame_associated_data};
pub(crate) use segment::{Layout, SegmentBytes, SegmentHeader, SlotHeader};

/// Version of the segments that this code writes. It reads version 1 as well.
pub(crate) const SEGMENT_VERSION: u16 = 2;
/// Version of the sections of the journal.
const SECTION_VERSION: u16 = 1;

const SEGMENT_KEY: Label = Label::new("sentinel ringlog segment v2");
const MAIN_KEY: Label = Label::new("sentinel ringlog main v1");
const JOURNAL_KEY: Label = Label::new("sentinel ringlog journal v1");

// Nonce uniqueness rests on these two derivations. A nonce is a counter that restarts at 0 at each opening (main) or at each
// section (journal) and is never read back from a storage. The salt, random for each opening, and the section number make
// the key differ whenever a counter restarts, so a power cut or a restored backup cannot repeat a (key, nonce) pair.

/// Secret of one segment, from which the keys of its openings are derived. In version 2 it is not the key of the epoch: a
/// recipient to whom it is wrapped can read this segment, and cannot derive the keys of later ones.
pub(crate) fn segment_key(layout: Layout, epoch_key: &Key) -> Key {
    match layout {
        Layout::V1 => epoch_key.clone(),
        Layout::V2 => epoch_key.derive(SEGMENT_KEY, &[]),
    }
}

/// Key that seals the header and blocks of one segment written during one opening.
pub(crate) fn main_key(segment_key: &Key, salt: Salt) -> Key {
    segment_key.derive(MAIN_KEY, &salt.0)
}

/// Key of one section of the journal.
pub(crate) fn journal_key(epoch_key: &Key, salt: Salt, section: u64) -> Key {
    let mut context = [0; 24];
    FieldWriter(&mut context).bytes(&salt.0).bytes(&section.to_be_bytes());
    epoch_key.derive(JOURNAL_KEY, &context)
}
