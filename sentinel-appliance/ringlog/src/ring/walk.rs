//! Reading the blocks of a segment in order.

use sentinel_seal::{Chain, Key, Opener, Sealed, TAG_LEN};

use super::{Ring, Segment, page_end, to_u32, to_usize};
use crate::format::{BlockHeader, SegmentBytes, SegmentHeader, SlotHeader, main_key};
use crate::key::{LogKey, Salt};
use crate::record::RecordId;
use crate::storage::{Storage, read_at};

/// Part of a block that [`Ring::next_block`] reads.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Load {
    /// Header only; the seal is not checked.
    Header,
    /// Whole block, opened: its packed records are then in the buffer.
    Records,
    /// Whole block, opened, and the hash chain after it.
    Chain,
}

/// Position in the blocks of one segment.
pub(crate) struct Walk {
    pub(crate) segment: Segment,
    slot: u32,
    /// Offset in the segment where the next block is looked for.
    offset: u32,
    /// Offset after the last byte that can belong to a block.
    end: u32,
    /// Lowest number that the next block may start with.
    pub(crate) next: RecordId,
    // A skipped block is not authenticated: a forged header can hide records from a reader, as erasing them
    // would, but cannot show a false one. Verification opens every block whose key it has.
    /// With [`Load::Records`], blocks that end before this record are skipped without opening them.
    pub(crate) wanted: RecordId,
    /// Key of the segment; `None` if it is sealed with an older key.
    key: Option<Key>,
    /// Opener of the last block; blocks of one opening of the log share their salt and so their key.
    opener: Option<(Salt, Opener)>,
}

impl Walk {
    pub(crate) const fn has_key(&self) -> bool {
        self.key.is_some()
    }

    pub(crate) const fn offset(&self) -> u32 {
        self.offset
    }
}

/// Result of [`Ring::next_block`].
#[derive(Debug)]
pub(crate) enum NextBlock {
    /// A block. Its seal is verified if it was loaded and the key of its epoch is known.
    Valid {
        header: BlockHeader,
        /// Offset in the segment of its first byte.
        offset: u32,
        /// Hash chain after it, with [`Load::Chain`].
        chain: Option<Chain>,
    },
    /// A valid block header whose block is incomplete, does not open or is out of order.
    Damaged { offset: u32 },
    /// No more blocks.
    End,
}

/// A block in the buffer.
struct Loaded {
    /// Hash chain after it, with [`Load::Chain`].
    chain: Option<Chain>,
}

impl<M: Storage> Ring<M> {
    /// Reads the header bytes of a slot.
    pub(crate) fn read_header(&mut self, slot: u32) -> Result<(SegmentBytes, SlotHeader), M::Error> {
        let mut bytes = [0; SegmentHeader::LEN];
        let at = self.position(slot, 0);
        let count = read_at(&mut self.storage, at, &mut bytes)?;
        let header = SegmentHeader::parse(bytes.get(..count).unwrap_or_default());
        Ok((bytes, header))
    }

    /// Starts at the first block of a segment, with the key that opens it if `key` is not newer.
    pub(crate) fn walk(&self, segment: Segment, key: &LogKey) -> Walk {
        Walk {
            segment,
            slot: self.slot(segment.epoch),
            offset: to_u32(segment.layout.header_len()),
            // In the open segment everything after the last block is left over from the segment that was here before.
            end: if self.is_open(&segment) { self.offset } else { self.geometry.segment_bytes() },
            next: segment.first,
            wanted: RecordId(0),
            key: self.key_of(&segment, key),
            opener: None,
        }
    }

    /// Goes to the next block.
    ///
    /// Blocks start at page boundaries. Where no valid block header starts, the walk continues at the next page and not at a
    /// computed length, so that damage to one block does not hide the blocks behind it. Blocks left over from an earlier use
    /// of the slot have another epoch and are skipped; those of a torn write of the same epoch were bound to another header
    /// or have another nonce and do not open.
    ///
    /// Record numbers never fall (`walk.next`): a valid header that goes back is a repeated or moved block.
    pub(crate) fn next_block(&mut self, walk: &mut Walk, load: Load) -> Result<NextBlock, M::Error> {
        let overhead = to_u32(BlockHeader::OVERHEAD);
        // Each iteration advances by at least a page: bounded by the pages of a segment.
        while walk.offset.saturating_add(overhead) <= walk.end {
            let offset = walk.offset;
            let mut bytes = [0; BlockHeader::LEN];
            let at = self.position(walk.slot, offset);
            // The storage may end within main, because it grows as segments are written.
            if read_at(&mut self.storage, at, &mut bytes)? == 0 {
                break;
            }
            walk.offset = page_end(offset + 1);
            let header = BlockHeader::decode(&bytes).filter(|header| header.epoch == walk.segment.epoch);
            let Some(header) = header else { continue };
            // The checksum needs no key, so the length may be forged; it is bounded before it is used.
            let room = walk.end.saturating_sub(offset).saturating_sub(overhead);
            if header.sealed_len > room || header.first < walk.next {
                return Ok(NextBlock::Damaged { offset });
            }
            let is_skipped = load == Load::Records && header.end() <= walk.wanted;
            let mut chain = None;
            if load != Load::Header && !is_skipped {
                match self.load(walk, &header, &bytes, offset, load)? {
                    Some(loaded) => chain = loaded.chain,
                    // `walk.offset` is the next page, not the end of the block: its length is not trusted.
                    None => return Ok(NextBlock::Damaged { offset }),
                }
            }
            walk.offset = page_end(offset + overhead + header.sealed_len);
            walk.next = header.end();
            if !is_skipped {
                return Ok(NextBlock::Valid { header, offset, chain });
            }
        }
        walk.offset = walk.end;
        Ok(NextBlock::End)
    }

    /// Reads the block at `offset` into the buffer and decrypts it there. `None` if it is cut off or its tag is wrong. A block
    /// sealed with an older key is loaded without checking its tag.
    fn load(
        &mut self,
        walk: &mut Walk,
        header: &BlockHeader,
        header_bytes: &[u8; BlockHeader::LEN],
        offset: u32,
        load: Load,
    ) -> Result<Option<Loaded>, M::Error> {
        let at = self.position(walk.slot, offset + to_u32(BlockHeader::LEN));
        let sealed_len = to_usize(header.sealed_len);
        let block = self.buffer.get_mut(..sealed_len + TAG_LEN).unwrap_or_default();
        if read_at(&mut self.storage, at, block)? < block.len() {
            return Ok(None);
        }
        let Some((records, tag)) = block.split_at_mut_checked(sealed_len) else { return Ok(None) };
        let Some(tag) = tag.first_chunk::<TAG_LEN>() else { return Ok(None) };
        // The chain covers the encrypted records, so that it can be verified without a key.
        let chain = match load {
            Load::Chain => Some(header.chain_before.link(&[header_bytes, records, tag])),
            Load::Header | Load::Records => None,
        };
        let Some(key) = &walk.key else { return Ok(Some(Loaded { chain })) };
        // Reuses the expanded AES key: the salt changes only where another opening of the log continued the segment.
        let opener = match walk.opener.take() {
            Some((salt, opener)) if salt == header.salt => opener,
            _ => Opener::new(&main_key(key, header.salt)),
        };
        let associated = BlockHeader::associated_data(&walk.segment.chain_after, header_bytes);
        let opened = opener.open(&associated, records, &Sealed { counter: header.counter, tag: *tag });
        // Kept also if the block did not open: the opener depends on key and salt alone.
        walk.opener = Some((header.salt, opener));
        Ok(opened.is_ok().then_some(Loaded { chain }))
    }
}
