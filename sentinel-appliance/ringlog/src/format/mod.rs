//! The bytes of headers, as in `FORMAT.md`. All numbers are big-endian.

use sentinel_seal::{Chain, Key, Label, Opener, Sealed, Sealer, TAG_LEN};

use crate::geometry::{Geometry, PAGE_BYTES};
use crate::key::Salt;
use crate::record::RecordId;

/// Version of the format that this code writes and reads.
pub(crate) const VERSION: u16 = 1;

const SEGMENT_MAGIC: [u8; 8] = *b"SENTRING";
const BLOCK_MAGIC: [u8; 4] = *b"RBLK";
const SECTION_MAGIC: [u8; 8] = *b"SENTJRNL";
/// The first two bytes of a section, where a frame has its length (at most 1024).
pub(crate) const SECTION_MARK: u16 = u16::from_be_bytes([b'S', b'E']);

const MAIN_KEY: Label = Label::new("sentinel ringlog main v1");
const JOURNAL_KEY: Label = Label::new("sentinel ringlog journal v1");

/// The key that seals headers and blocks of one epoch written during one opening.
pub(crate) fn main_key(epoch_key: &Key, salt: Salt) -> Key {
    epoch_key.derive(MAIN_KEY, &salt.0)
}

/// The key of one section of the journal.
pub(crate) fn journal_key(epoch_key: &Key, salt: Salt, section: u64) -> Key {
    let mut context = [0; 24];
    Put(&mut context).bytes(&salt.0).bytes(&section.to_be_bytes());
    epoch_key.derive(JOURNAL_KEY, &context)
}

/// At the start of each segment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct SegmentHeader {
    pub(crate) geometry: Geometry,
    pub(crate) epoch: u64,
    pub(crate) first: RecordId,
    pub(crate) counter: u64,
    pub(crate) salt: Salt,
    /// The chain up to the end of the segment before.
    pub(crate) previous: Chain,
}

/// A segment header in bytes.
pub(crate) type SegmentBytes = [u8; SegmentHeader::LEN];

/// What stands where a segment header should.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum FoundHeader {
    /// Nothing was ever written here.
    Blank,
    /// Something else, or a damaged header.
    Damaged,
    /// A header of a later version.
    Later(u16),
    /// A header whose check value is right. Whether its tag is right takes the key.
    Whole(SegmentHeader),
}

impl SegmentHeader {
    pub(crate) const LEN: usize = 128;
    const SIGNED: usize = 96;
    const CHECKED: usize = Self::SIGNED + TAG_LEN;

    /// The bytes, sealed; the header gets the sealer's counter. `None` if the sealer is exhausted.
    pub(crate) fn seal(&mut self, sealer: &mut Sealer) -> Option<SegmentBytes> {
        self.counter = sealer.next_counter();
        let mut bytes = [0; Self::LEN];
        Put(&mut bytes)
            .bytes(&SEGMENT_MAGIC)
            .bytes(&VERSION.to_be_bytes())
            .bytes(&128_u16.to_be_bytes())
            .bytes(&self.geometry.segment_bytes().to_be_bytes())
            .bytes(&self.geometry.segments().to_be_bytes())
            .bytes(&PAGE_BYTES.to_be_bytes())
            .bytes(&self.epoch.to_be_bytes())
            .bytes(&self.first.0.to_be_bytes())
            .bytes(&self.counter.to_be_bytes())
            .bytes(&self.salt.0)
            .bytes(self.previous.as_bytes());
        let (signed, rest) = bytes.split_at_mut(Self::SIGNED);
        let sealed = sealer.seal(signed, &mut []).ok()?;
        Put(rest).bytes(&sealed.tag);
        let (checked, rest) = bytes.split_at_mut(Self::CHECKED);
        Put(rest).bytes(&check_value(checked));
        Some(bytes)
    }

    /// Reads what stands at the start of a segment; `bytes` may be short if the storage ends.
    pub(crate) fn find(bytes: &[u8]) -> FoundHeader {
        if bytes.iter().all(|byte| *byte == 0) {
            return FoundHeader::Blank;
        }
        Self::decode(bytes).unwrap_or(FoundHeader::Damaged)
    }

    fn decode(bytes: &[u8]) -> Option<FoundHeader> {
        let mut at = Take(bytes);
        if at.array()? != SEGMENT_MAGIC {
            return None;
        }
        let version = at.u16()?;
        if version > VERSION {
            return Some(FoundHeader::Later(version));
        }
        let (checked, check) = bytes.get(..Self::LEN)?.split_at_checked(Self::CHECKED)?;
        if version != VERSION || at.u16()? != 128 || check_value(checked) != check {
            return None;
        }
        let geometry = Geometry::new(at.u32()?, at.u32()?).ok()?;
        if at.u32()? != PAGE_BYTES {
            return None;
        }
        Some(FoundHeader::Whole(Self {
            geometry,
            epoch: at.u64()?,
            first: RecordId(at.u64()?),
            counter: at.u64()?,
            salt: Salt(at.array()?),
            previous: Chain::from_bytes(at.array()?),
        }))
    }

    /// Whether the tag in `bytes` was made with the key of this header's epoch.
    pub(crate) fn is_genuine(&self, bytes: &SegmentBytes, epoch_key: &Key) -> bool {
        let (signed, rest) = bytes.split_at(Self::SIGNED);
        let Some(tag) = Take(rest).array() else { return false };
        let sealed = Sealed { counter: self.counter, tag };
        Opener::new(&main_key(epoch_key, self.salt)).open(signed, &mut [], &sealed).is_ok()
    }

    /// The chain after this header. Every block of the segment is bound to it.
    pub(crate) fn binding(&self, bytes: &SegmentBytes) -> Chain {
        self.previous.link(&[bytes])
    }
}

/// How the records in a block are packed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Packing {
    /// As they are.
    Stored,
    /// Raw deflate (RFC 1951).
    Deflated,
}

/// Before the sealed records of each block.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct BlockHeader {
    pub(crate) packing: Packing,
    pub(crate) count: u32,
    /// Bytes of sealed records that follow the header; the tag follows them.
    pub(crate) sealed_len: u32,
    /// Bytes of the records when unpacked.
    pub(crate) raw_len: u32,
    pub(crate) epoch: u64,
    pub(crate) first: RecordId,
    pub(crate) counter: u64,
    pub(crate) salt: Salt,
    /// The chain before this block.
    pub(crate) previous: Chain,
}

impl BlockHeader {
    pub(crate) const LEN: usize = 112;
    const CHECKED: usize = 96;
    /// Bytes that a block adds to its packed records.
    pub(crate) const OVERHEAD: usize = Self::LEN + TAG_LEN;

    pub(crate) fn encode(&self) -> [u8; Self::LEN] {
        let packing: u8 = match self.packing {
            Packing::Stored => 0,
            Packing::Deflated => 1,
        };
        let mut bytes = [0; Self::LEN];
        Put(&mut bytes)
            .bytes(&BLOCK_MAGIC)
            .bytes(&[packing, 0, 0, 0])
            .bytes(&self.count.to_be_bytes())
            .bytes(&self.sealed_len.to_be_bytes())
            .bytes(&self.raw_len.to_be_bytes())
            .bytes(&[0; 4])
            .bytes(&self.epoch.to_be_bytes())
            .bytes(&self.first.0.to_be_bytes())
            .bytes(&self.counter.to_be_bytes())
            .bytes(&self.salt.0)
            .bytes(self.previous.as_bytes());
        let (checked, rest) = bytes.split_at_mut(Self::CHECKED);
        Put(rest).bytes(&check_value(checked));
        bytes
    }

    /// The header in `bytes`, if they hold one whose check value is right.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut at = Take(bytes);
        if at.array()? != BLOCK_MAGIC {
            return None;
        }
        let (checked, check) = bytes.get(..Self::LEN)?.split_at_checked(Self::CHECKED)?;
        if check_value(checked) != check {
            return None;
        }
        let packing = match at.array()? {
            [0, 0, 0, 0] => Packing::Stored,
            [1, 0, 0, 0] => Packing::Deflated,
            _ => return None,
        };
        let (count, sealed_len, raw_len) = (at.u32()?, at.u32()?, at.u32()?);
        if at.u32()? != 0 || count == 0 {
            return None;
        }
        Some(Self {
            packing,
            count,
            sealed_len,
            raw_len,
            epoch: at.u64()?,
            first: RecordId(at.u64()?),
            counter: at.u64()?,
            salt: Salt(at.array()?),
            previous: Chain::from_bytes(at.array()?),
        })
    }

    /// What the seal of a block covers besides its records: the segment it belongs to, and its header.
    pub(crate) fn associated(binding: &Chain, bytes: &[u8; Self::LEN]) -> [u8; Chain::LEN + Self::LEN] {
        let mut associated = [0; Chain::LEN + Self::LEN];
        Put(&mut associated).bytes(binding.as_bytes()).bytes(bytes);
        associated
    }

    /// The number after the last record.
    pub(crate) fn end(&self) -> RecordId {
        self.first.plus(u64::from(self.count))
    }
}

/// At the start of the journal, and wherever another opening, or another try after an error, goes on in it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct SectionHeader {
    pub(crate) epoch: u64,
    /// Number of the first record in the section.
    pub(crate) first: RecordId,
    /// Where main ended when the section was begun.
    pub(crate) main_next: RecordId,
    pub(crate) main_chain: Chain,
    pub(crate) salt: Salt,
    /// Makes the key of each section of one opening another.
    pub(crate) section: u64,
}

/// A section header in bytes.
pub(crate) type SectionBytes = [u8; SectionHeader::LEN];

impl SectionHeader {
    pub(crate) const LEN: usize = 112;
    const SIGNED: usize = 96;

    /// The bytes, sealed and bound to `link`, the tag before them. `None` if the sealer is exhausted.
    pub(crate) fn seal(&self, sealer: &mut Sealer, link: &Tag) -> Option<(SectionBytes, Tag)> {
        let mut bytes = [0; Self::LEN];
        Put(&mut bytes)
            .bytes(&SECTION_MAGIC)
            .bytes(&VERSION.to_be_bytes())
            .bytes(&[0; 6])
            .bytes(&self.epoch.to_be_bytes())
            .bytes(&self.first.0.to_be_bytes())
            .bytes(&self.main_next.0.to_be_bytes())
            .bytes(self.main_chain.as_bytes())
            .bytes(&self.salt.0)
            .bytes(&self.section.to_be_bytes());
        let (signed, rest) = bytes.split_at_mut(Self::SIGNED);
        let sealed = sealer.seal(&Self::associated(link, signed), &mut []).ok()?;
        Put(rest).bytes(&sealed.tag);
        Some((bytes, sealed.tag))
    }

    /// The header in `bytes`, if it looks like one. Its tag takes the key: see [`Self::is_genuine`].
    pub(crate) fn decode(bytes: &[u8]) -> Option<(Self, SectionBytes)> {
        let mut at = Take(bytes);
        let whole = Take(bytes).array()?;
        if at.array()? != SECTION_MAGIC || at.u16()? != VERSION || at.array()? != [0; 6] {
            return None;
        }
        let header = Self {
            epoch: at.u64()?,
            first: RecordId(at.u64()?),
            main_next: RecordId(at.u64()?),
            main_chain: Chain::from_bytes(at.array()?),
            salt: Salt(at.array()?),
            section: at.u64()?,
        };
        Some((header, whole))
    }

    /// The tag in `bytes` if it was made with this opener's key and follows `link`.
    pub(crate) fn is_genuine(bytes: &SectionBytes, opener: &Opener, link: &Tag) -> Option<Tag> {
        let (signed, rest) = bytes.split_at(Self::SIGNED);
        let tag = Take(rest).array()?;
        opener.open(&Self::associated(link, signed), &mut [], &Sealed { counter: 0, tag }).ok()?;
        Some(tag)
    }

    fn associated(link: &Tag, signed: &[u8]) -> [u8; TAG_LEN + Self::SIGNED] {
        let mut associated = [0; TAG_LEN + Self::SIGNED];
        Put(&mut associated).bytes(link).bytes(signed);
        associated
    }
}

/// An authentication tag, which the next frame of the journal is bound to.
pub(crate) type Tag = [u8; TAG_LEN];

/// What the seal of a frame in the journal covers besides the record.
pub(crate) fn frame_associated(link: &Tag, id: RecordId, len: u16) -> [u8; TAG_LEN + 10] {
    let mut associated = [0; TAG_LEN + 10];
    Put(&mut associated).bytes(link).bytes(&id.0.to_be_bytes()).bytes(&len.to_be_bytes());
    associated
}

/// Finds accidents without a key; the tags find forgeries. The first 16 bytes of a chain of one link.
fn check_value(bytes: &[u8]) -> [u8; 16] {
    let mut value = [0; 16];
    Put(&mut value).bytes(Chain::START.link(&[bytes]).as_bytes().first_chunk::<16>().unwrap_or(&[0; 16]));
    value
}

/// Fills a buffer from the front. The layouts above leave no byte too many; a test pins each.
struct Put<'b>(&'b mut [u8]);

impl Put<'_> {
    fn bytes(self, bytes: &[u8]) -> Self {
        debug_assert!(bytes.len() <= self.0.len(), "a header layout is wrong");
        let count = bytes.len().min(self.0.len());
        let (to, rest) = self.0.split_at_mut(count);
        for (to, from) in to.iter_mut().zip(bytes) {
            *to = *from;
        }
        Self(rest)
    }
}

/// Takes fields off the front of a buffer.
struct Take<'b>(&'b [u8]);

impl Take<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*array)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch_key() -> Key {
        Key::from_bytes([5; 32])
    }

    fn segment() -> SegmentHeader {
        SegmentHeader {
            geometry: Geometry::new(65_536, 8).unwrap(),
            epoch: 0x0102,
            first: RecordId(0x0304),
            counter: 0,
            salt: Salt([0xaa; 16]),
            previous: Chain::from_bytes([0xbb; 32]),
        }
    }

    #[test]
    fn a_segment_header_lies_as_documented() {
        let mut header = segment();
        let bytes = header.seal(&mut Sealer::resume(&main_key(&epoch_key(), header.salt), 0x0506)).unwrap();
        let mut expected = b"SENTRING".to_vec();
        expected.extend([0, 1, 0, 128]); // version, length
        expected.extend([0, 1, 0, 0, 0, 0, 0, 8, 0, 0, 16, 0]); // 65536, 8 segments, 4096
        expected.extend([0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 3, 4, 0, 0, 0, 0, 0, 0, 5, 6]);
        expected.extend([0xaa; 16]);
        expected.extend([0xbb; 32]);
        assert_eq!(bytes[..96], expected);
        assert_eq!(SegmentHeader::find(&bytes), FoundHeader::Whole(header));
        assert!(header.is_genuine(&bytes, &epoch_key()));
        assert!(!header.is_genuine(&bytes, &epoch_key().next()));
    }

    #[test]
    fn a_changed_segment_header_is_not_taken() {
        let mut header = segment();
        let bytes = header.seal(&mut Sealer::new(&main_key(&epoch_key(), header.salt))).unwrap();
        for at in 0..bytes.len() {
            let mut bad = bytes;
            bad[at] ^= 0x40;
            match SegmentHeader::find(&bad) {
                FoundHeader::Damaged => {}
                FoundHeader::Later(_) => assert!(at == 8 || at == 9, "byte {at}"),
                other => panic!("byte {at}: {other:?}"),
            }
        }
        for cut in 0..bytes.len() {
            let found = SegmentHeader::find(&bytes[..cut]);
            assert!(matches!(found, FoundHeader::Damaged | FoundHeader::Blank), "cut at {cut}");
        }
        // A forger can make the check value right, not the tag.
        let mut forged = bytes;
        forged[31] ^= 1;
        let check = check_value(&forged[..112]);
        forged[112..].copy_from_slice(&check);
        let FoundHeader::Whole(header) = SegmentHeader::find(&forged) else { panic!("check value is right") };
        assert!(!header.is_genuine(&forged, &epoch_key()));
    }

    #[test]
    fn a_block_header_lies_as_documented() {
        let header = BlockHeader {
            packing: Packing::Deflated,
            count: 0x0102,
            sealed_len: 0x0304,
            raw_len: 0x0506,
            epoch: 7,
            first: RecordId(8),
            counter: 9,
            salt: Salt([0xaa; 16]),
            previous: Chain::from_bytes([0xbb; 32]),
        };
        let bytes = header.encode();
        let mut expected = b"RBLK".to_vec();
        expected.extend([1, 0, 0, 0, 0, 0, 1, 2, 0, 0, 3, 4, 0, 0, 5, 6, 0, 0, 0, 0]);
        expected.extend([0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 9]);
        expected.extend([0xaa; 16]);
        expected.extend([0xbb; 32]);
        assert_eq!(bytes[..96], expected);
        assert_eq!(BlockHeader::decode(&bytes), Some(header));
        assert_eq!(header.end(), RecordId(8 + 0x0102));
        for at in 0..bytes.len() {
            let mut bad = bytes;
            bad[at] ^= 1;
            assert_eq!(BlockHeader::decode(&bad), None, "byte {at}");
            assert_eq!(BlockHeader::decode(&bytes[..at]), None, "cut at {at}");
        }
    }

    #[test]
    fn a_section_header_lies_as_documented() {
        let header = SectionHeader {
            epoch: 1,
            first: RecordId(2),
            main_next: RecordId(3),
            main_chain: Chain::from_bytes([0xcc; 32]),
            salt: Salt([0xaa; 16]),
            section: 4,
        };
        let key = journal_key(&epoch_key(), header.salt, header.section);
        let (bytes, tag) = header.seal(&mut Sealer::new(&key), &[9; 16]).unwrap();
        let mut expected = b"SENTJRNL\0\x01\0\0\0\0\0\0".to_vec();
        expected.extend([0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3]);
        expected.extend([0xcc; 32]);
        expected.extend([0xaa; 16]);
        expected.extend([0, 0, 0, 0, 0, 0, 0, 4]);
        assert_eq!(bytes[..96], expected);
        assert_eq!(SectionHeader::decode(&bytes), Some((header, bytes)));
        let opener = Opener::new(&key);
        assert_eq!(SectionHeader::is_genuine(&bytes, &opener, &[9; 16]), Some(tag));
        assert_eq!(SectionHeader::is_genuine(&bytes, &opener, &[8; 16]), None);
        assert_eq!(u16::from_be_bytes([bytes[0], bytes[1]]), SECTION_MARK);
    }
}
