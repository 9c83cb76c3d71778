//! Finding the blocks of a segment and opening them.

use sentinel_seal::{Chain, Opener, Sealed, TAG_LEN};

use crate::format::{BlockHeader, FoundHeader, SegmentHeader, main_key};
use crate::key::{LogKey, Salt};
use crate::record::RecordId;
use super::{Ring, SEGMENT_HEADER, Segment, page_end, to_u32, to_usize};
use crate::storage::{Storage, read_at};

/// How much [`Ring::step`] does with a block.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Load {
    /// Looks at its header only.
    Header,
    /// Opens it: its packed records then lie in the buffer.
    Records,
    /// Opens it and computes the chain after it.
    Chain,
}

/// A way through the blocks of one segment.
pub(crate) struct Walk {
    pub(crate) segment: Segment,
    slot: u32,
    offset: u32,
    /// Nothing from here on is a block.
    end: u32,
    /// Blocks with earlier records are not taken.
    pub(crate) next: RecordId,
    /// With [`Load::Records`], blocks that end before this record are passed by without opening them.
    pub(crate) wanted: RecordId,
    /// `None` if the segment is sealed with an older key.
    key: Option<LogKey>,
    opener: Option<(Salt, Opener)>,
}

impl Walk {
    pub(crate) const fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// Where the next block is looked for.
    pub(crate) const fn offset(&self) -> u32 {
        self.offset
    }
}

/// What [`Ring::step`] came upon.
#[derive(Debug)]
pub(crate) enum Step {
    /// A block. Its seal was checked if it was opened and the key is there.
    Block {
        header: BlockHeader,
        /// Byte in the segment where it starts.
        offset: u32,
        /// The chain after it, if asked for.
        chain: Option<Chain>,
    },
    /// A block header whose block is not whole.
    Damaged { offset: u32 },
    /// No more blocks.
    End,
}

impl<M: Storage> Ring<M> {
    /// What stands at the start of a slot.
    pub(crate) fn read_header(
        &mut self,
        slot: u32,
    ) -> Result<([u8; SegmentHeader::LEN], FoundHeader), M::Error> {
        let mut bytes = [0; SegmentHeader::LEN];
        let at = self.place(slot, 0);
        let count = read_at(&mut self.storage, at, &mut bytes)?;
        let header = SegmentHeader::find(bytes.get(..count).unwrap_or_default());
        Ok((bytes, header))
    }

    /// A way through a segment, with the key that opens it if `key` reaches it.
    pub(crate) fn walk(&self, segment: Segment, key: &LogKey) -> Walk {
        let is_open = segment.epoch == self.epoch && self.offset > 0;
        Walk {
            segment,
            slot: self.slot(segment.epoch),
            offset: SEGMENT_HEADER,
            end: if is_open { self.offset } else { self.geometry.segment_bytes() },
            next: segment.first,
            wanted: RecordId(0),
            key: key.advance_to(segment.epoch).ok(),
            opener: None,
        }
    }

    /// Goes to the next block. Where none starts, it looks at the next page: blocks start at pages, and damage to one must
    /// not hide those behind it.
    pub(crate) fn step(&mut self, walk: &mut Walk, load: Load) -> Result<Step, M::Error> {
        let shortest = to_u32(BlockHeader::OVERHEAD);
        // Bounded by the pages of a segment.
        while walk.offset.saturating_add(shortest) <= walk.end {
            let offset = walk.offset;
            let mut bytes = [0; BlockHeader::LEN];
            let at = self.place(walk.slot, offset);
            let count = read_at(&mut self.storage, at, &mut bytes)?;
            if count == 0 {
                break;
            }
            walk.offset = page_end(offset + 1);
            let header = BlockHeader::decode(&bytes).filter(|header| header.epoch == walk.segment.epoch);
            let Some(header) = header else { continue };
            let room = walk.end.saturating_sub(offset).saturating_sub(shortest);
            if header.sealed_len > room || header.first < walk.next {
                return Ok(Step::Damaged { offset });
            }
            let end = page_end(offset + shortest + header.sealed_len);
            let is_wanted = load != Load::Records || header.end() > walk.wanted;
            let mut chain = None;
            if load != Load::Header && is_wanted {
                match self.load(walk, &header, &bytes, offset, load)? {
                    Some(after) => chain = after,
                    None => return Ok(Step::Damaged { offset }),
                }
            }
            walk.offset = end;
            walk.next = header.end();
            if !is_wanted {
                continue;
            }
            return Ok(Step::Block { header, offset, chain });
        }
        walk.offset = walk.end;
        Ok(Step::End)
    }

    /// Reads the block at `offset` and opens it. `None` if it is not whole; the chain after it if asked for.
    fn load(
        &mut self,
        walk: &mut Walk,
        header: &BlockHeader,
        header_bytes: &[u8; BlockHeader::LEN],
        offset: u32,
        load: Load,
    ) -> Result<Option<Option<Chain>>, M::Error> {
        let at = self.place(walk.slot, offset + to_u32(BlockHeader::LEN));
        let sealed_len = to_usize(header.sealed_len);
        let whole = self.buffer.get_mut(..sealed_len + TAG_LEN).unwrap_or_default();
        if read_at(&mut self.storage, at, whole)? < whole.len() {
            return Ok(None);
        }
        let Some((text, rest)) = whole.split_at_mut_checked(sealed_len) else { return Ok(None) };
        let Some(tag) = rest.first_chunk::<TAG_LEN>() else { return Ok(None) };
        let chain = match load {
            Load::Chain => Some(header.previous.link(&[header_bytes, text, tag])),
            Load::Header | Load::Records => None,
        };
        let Some(key) = &walk.key else { return Ok(Some(chain)) };
        let opener = match walk.opener.take() {
            Some((salt, opener)) if salt == header.salt => opener,
            _ => Opener::new(&main_key(key.key(), header.salt)),
        };
        let associated = BlockHeader::associated(&walk.segment.binding, header_bytes);
        let opened = opener.open(&associated, text, &Sealed { counter: header.counter, tag: *tag });
        walk.opener = Some((header.salt, opener));
        Ok(opened.is_ok().then_some(chain))
    }
}
