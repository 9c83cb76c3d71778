//! Header of a segment of main.

use sentinel_seal::{Chain, Key, Opener, Sealed, Sealer, TAG_LEN};

use super::bytes::{FieldReader, FieldWriter, checksum};
use super::{VERSION, main_key};
use crate::geometry::{Geometry, PAGE_BYTES};
use crate::key::Salt;
use crate::record::RecordId;

const MAGIC: [u8; 8] = *b"SENTRING";

/// Header of a segment, at its first byte.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct SegmentHeader {
    pub(crate) geometry: Geometry,
    pub(crate) epoch: u64,
    pub(crate) first: RecordId,
    pub(crate) counter: u64,
    pub(crate) salt: Salt,
    /// Hash chain over main up to the end of the previous segment.
    pub(crate) chain_before: Chain,
}

/// Encoded segment header.
pub(crate) type SegmentBytes = [u8; SegmentHeader::LEN];

/// Content of the first bytes of a slot.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum SlotHeader {
    /// Zeros, or past the end of the storage: never written.
    Blank,
    /// No header, or one whose checksum is wrong.
    Damaged,
    /// A header of a newer version of the format.
    NewerVersion(u16),
    /// A header whose checksum is right. Its tag is checked by [`SegmentHeader::is_authentic`], which needs the key.
    Valid(SegmentHeader),
}

impl SegmentHeader {
    pub(crate) const LEN: usize = 128;
    const AUTHENTICATED_LEN: usize = 96;
    const CHECKSUMMED_LEN: usize = Self::AUTHENTICATED_LEN + TAG_LEN;

    /// Encodes and authenticates the header under the next nonce of `sealer`, which is stored in `self.counter`. `None` if
    /// the sealer is exhausted.
    pub(crate) fn seal(&mut self, sealer: &mut Sealer) -> Option<SegmentBytes> {
        self.counter = sealer.next_counter();
        let mut bytes = [0; Self::LEN];
        FieldWriter(&mut bytes)
            .bytes(&MAGIC)
            .bytes(&VERSION.to_be_bytes())
            .bytes(&128_u16.to_be_bytes())
            .bytes(&self.geometry.segment_bytes().to_be_bytes())
            .bytes(&self.geometry.segments().to_be_bytes())
            .bytes(&PAGE_BYTES.to_be_bytes())
            .bytes(&self.epoch.to_be_bytes())
            .bytes(&self.first.0.to_be_bytes())
            .bytes(&self.counter.to_be_bytes())
            .bytes(&self.salt.0)
            .bytes(self.chain_before.as_bytes());
        let (authenticated, remaining) = bytes.split_at_mut(Self::AUTHENTICATED_LEN);
        // Nothing is encrypted: epoch and salt are read before the key is known.
        let sealed = sealer.seal(authenticated, &mut []).ok()?;
        FieldWriter(remaining).bytes(&sealed.tag);
        let (checksummed, remaining) = bytes.split_at_mut(Self::CHECKSUMMED_LEN);
        FieldWriter(remaining).bytes(&checksum(checksummed));
        Some(bytes)
    }

    /// Reads the first bytes of a slot; `bytes` may be shorter than a header if the storage ends.
    pub(crate) fn parse(bytes: &[u8]) -> SlotHeader {
        // Empty if the storage ends before the slot: `all` is true then.
        if bytes.iter().all(|byte| *byte == 0) {
            return SlotHeader::Blank;
        }
        Self::decode(bytes).unwrap_or(SlotHeader::Damaged)
    }

    fn decode(bytes: &[u8]) -> Option<SlotHeader> {
        let mut at = FieldReader(bytes);
        if at.array()? != MAGIC {
            return None;
        }
        // Before the checksum, whose place and length belong to the version.
        let version = at.u16()?;
        if version > VERSION {
            return Some(SlotHeader::NewerVersion(version));
        }
        let (checksummed, found) = bytes.get(..Self::LEN)?.split_at_checked(Self::CHECKSUMMED_LEN)?;
        if version != VERSION || at.u16()? != 128 || checksum(checksummed) != found {
            return None;
        }
        // Not yet authenticated: a geometry out of range is damage, not another log.
        let geometry = Geometry::new(at.u32()?, at.u32()?).ok()?;
        if at.u32()? != PAGE_BYTES {
            return None;
        }
        Some(SlotHeader::Valid(Self {
            geometry,
            epoch: at.u64()?,
            first: RecordId(at.u64()?),
            counter: at.u64()?,
            salt: Salt(at.array()?),
            chain_before: Chain::from_bytes(at.array()?),
        }))
    }

    /// Returns true if the tag in `bytes` was made with `epoch_key`, the key of this header's epoch.
    pub(crate) fn is_authentic(&self, bytes: &SegmentBytes, epoch_key: &Key) -> bool {
        let (authenticated, remaining) = bytes.split_at(Self::AUTHENTICATED_LEN);
        let Some(tag) = FieldReader(remaining).array() else { return false };
        let sealed = Sealed { counter: self.counter, tag };
        Opener::new(&main_key(epoch_key, self.salt)).open(authenticated, &mut [], &sealed).is_ok()
    }

    /// Hash chain after this header. It is associated data of every block of the segment, so that a block opens only behind
    /// the header it was written for.
    pub(crate) fn chain_after(&self, bytes: &SegmentBytes) -> Chain {
        self.chain_before.link(&[bytes])
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
            chain_before: Chain::from_bytes([0xbb; 32]),
        }
    }

    #[test]
    fn segment_header_has_the_documented_layout() {
        let mut header = segment();
        let bytes = header.seal(&mut Sealer::resume(&main_key(&epoch_key(), header.salt), 0x0506)).unwrap();
        let mut expected = b"SENTRING".to_vec();
        expected.extend([0, 1, 0, 128]); // version, length
        expected.extend([0, 1, 0, 0, 0, 0, 0, 8, 0, 0, 16, 0]); // 65536, 8 segments, 4096
        expected.extend([0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 3, 4, 0, 0, 0, 0, 0, 0, 5, 6]);
        expected.extend([0xaa; 16]);
        expected.extend([0xbb; 32]);
        assert_eq!(bytes[..96], expected);
        assert_eq!(SegmentHeader::parse(&bytes), SlotHeader::Valid(header));
        assert!(header.is_authentic(&bytes, &epoch_key()));
        assert!(!header.is_authentic(&bytes, &epoch_key().next()));
    }

    #[test]
    fn a_changed_segment_header_is_rejected() {
        let mut header = segment();
        let bytes = header.seal(&mut Sealer::new(&main_key(&epoch_key(), header.salt))).unwrap();
        for at in 0..bytes.len() {
            let mut bad = bytes;
            bad[at] ^= 0x40;
            match SegmentHeader::parse(&bad) {
                SlotHeader::Damaged => {}
                SlotHeader::NewerVersion(_) => assert!(at == 8 || at == 9, "byte {at}"),
                other => panic!("byte {at}: {other:?}"),
            }
        }
        for cut in 0..bytes.len() {
            let found = SegmentHeader::parse(&bytes[..cut]);
            assert!(matches!(found, SlotHeader::Damaged | SlotHeader::Blank), "cut at {cut}");
        }
        // A forger can compute the checksum, but not the tag.
        let mut forged = bytes;
        forged[31] ^= 1;
        let checksum = checksum(&forged[..112]);
        forged[112..].copy_from_slice(&checksum);
        let SlotHeader::Valid(header) = SegmentHeader::parse(&forged) else {
            panic!("the checksum is right")
        };
        assert!(!header.is_authentic(&forged, &epoch_key()));
    }
}
