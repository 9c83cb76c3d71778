//! Header of a segment of main.

use sentinel_seal::{Chain, Key, Opener, Recipient, RecipientSecret, Sealed, Sealer, TAG_LEN, WrappedKey};

use super::bytes::{FieldReader, FieldWriter, checksum};
use super::{SEGMENT_VERSION, main_key};
use crate::geometry::{Geometry, PAGE_BYTES};
use crate::key::Salt;
use crate::record::RecordId;

const MAGIC: [u8; 8] = *b"SENTRING";

/// Layout of a segment, which its version gives.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Layout {
    /// Header of 128 bytes; blocks are sealed with the key of the epoch.
    V1,
    /// Header of 256 bytes with the wrapped key; blocks are sealed with the key of the segment.
    V2,
}

impl Layout {
    /// Length of the header, which is the offset of the first block.
    pub(crate) const fn header_len(self) -> usize {
        match self {
            Self::V1 => 128,
            Self::V2 => SegmentHeader::LEN,
        }
    }

    /// Length of the bytes that the tag authenticates. The tag and the checksum follow them.
    const fn authenticated_len(self) -> usize {
        self.header_len() - TAG_LEN - CHECKSUM_LEN
    }

    const fn version(self) -> u16 {
        match self {
            Self::V1 => 1,
            Self::V2 => SEGMENT_VERSION,
        }
    }
}

const CHECKSUM_LEN: usize = 16;

/// Key of a segment, wrapped for a recipient who is not on the device.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Evidence {
    /// Public key of the recipient.
    pub(crate) recipient: [u8; Recipient::LEN],
    wrapped: WrappedKey,
}

/// Header of a segment, at its first byte.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct SegmentHeader {
    pub(crate) layout: Layout,
    pub(crate) geometry: Geometry,
    pub(crate) epoch: u64,
    pub(crate) first: RecordId,
    pub(crate) counter: u64,
    pub(crate) salt: Salt,
    /// Hash chain over main up to the end of the previous segment.
    pub(crate) chain_before: Chain,
    /// Epoch of the first segment that was written to this storage; not known in version 1.
    pub(crate) origin: Option<u64>,
    pub(crate) evidence: Option<Evidence>,
}

/// Encoded segment header; of version 1, followed by bytes of the first block.
pub(crate) type SegmentBytes = [u8; SegmentHeader::LEN];

/// Content of the first bytes of a slot.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "lives on the stack of one call")]
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
    /// Length of the header that is written, and of the longest one that is read.
    pub(crate) const LEN: usize = 256;
    /// Length of the fields that the wrapped key is bound to: all up to the public key of the recipient.
    const BOUND_LEN: usize = 144;

    /// Encodes and authenticates the header under the next nonce of `sealer`, which is stored in `self.counter`, and wraps
    /// `segment_key` for `recipient`. Always of version 2. `None` if the sealer is exhausted.
    pub(crate) fn seal(
        &mut self,
        sealer: &mut Sealer,
        segment_key: &Key,
        recipient: Option<&Recipient>,
    ) -> Option<SegmentBytes> {
        self.layout = Layout::V2;
        self.counter = sealer.next_counter();
        let mut bytes = [0; Self::LEN];
        FieldWriter(&mut bytes)
            .bytes(&MAGIC)
            .bytes(&self.layout.version().to_be_bytes())
            .bytes(&256_u16.to_be_bytes())
            .bytes(&self.geometry.segment_bytes().to_be_bytes())
            .bytes(&self.geometry.segments().to_be_bytes())
            .bytes(&PAGE_BYTES.to_be_bytes())
            .bytes(&self.epoch.to_be_bytes())
            .bytes(&self.first.0.to_be_bytes())
            .bytes(&self.counter.to_be_bytes())
            .bytes(&self.salt.0)
            .bytes(self.chain_before.as_bytes())
            .bytes(&self.origin.unwrap_or(0).to_be_bytes())
            .bytes(&[u8::from(recipient.is_some()), 0, 0, 0, 0, 0, 0, 0]);
        self.evidence = recipient.map(|recipient| self.wrap(segment_key, recipient, &mut bytes));
        let (authenticated, remaining) = bytes.split_at_mut(Layout::V2.authenticated_len());
        // Nothing is encrypted: epoch and salt are read before the key is known.
        let sealed = sealer.seal(authenticated, &mut []).ok()?;
        FieldWriter(remaining).bytes(&sealed.tag);
        let (checksummed, remaining) = bytes.split_at_mut(Self::LEN - CHECKSUM_LEN);
        FieldWriter(remaining).bytes(&checksum(checksummed));
        Some(bytes)
    }

    /// Writes the public key of the recipient and the wrapped key into `bytes`.
    fn wrap(&self, segment_key: &Key, recipient: &Recipient, bytes: &mut SegmentBytes) -> Evidence {
        let (bound, remaining) = bytes.split_at_mut(Self::BOUND_LEN);
        if let Some((_, to)) = bound.split_last_chunk_mut::<{ Recipient::LEN }>() {
            *to = *recipient.as_bytes();
        }
        // Salt and counter together are never used twice, so no two wrappings share an ephemeral key.
        let mut unique = [0; 24];
        FieldWriter(&mut unique).bytes(&self.salt.0).bytes(&self.counter.to_be_bytes());
        let wrapped = recipient.wrap(segment_key, &unique, bound);
        FieldWriter(remaining).bytes(&wrapped.ephemeral).bytes(&wrapped.key).bytes(&wrapped.tag);
        Evidence { recipient: *recipient.as_bytes(), wrapped }
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
        let layout = match at.u16()? {
            1 => Layout::V1,
            SEGMENT_VERSION => Layout::V2,
            version if version > SEGMENT_VERSION => return Some(SlotHeader::NewerVersion(version)),
            _ => return None,
        };
        let header_len = layout.header_len();
        let (checksummed, found) = bytes.get(..header_len)?.split_at_checked(header_len - CHECKSUM_LEN)?;
        if usize::from(at.u16()?) != header_len || checksum(checksummed) != found {
            return None;
        }
        // Not yet authenticated: a geometry out of range is damage, not another log.
        let geometry = Geometry::new(at.u32()?, at.u32()?).ok()?;
        if at.u32()? != PAGE_BYTES {
            return None;
        }
        let mut header = Self {
            layout,
            geometry,
            epoch: at.u64()?,
            first: RecordId(at.u64()?),
            counter: at.u64()?,
            salt: Salt(at.array()?),
            chain_before: Chain::from_bytes(at.array()?),
            origin: None,
            evidence: None,
        };
        if layout == Layout::V2 {
            header.origin = Some(at.u64()?);
            header.evidence = Self::decode_evidence(&mut at)?;
        }
        Some(SlotHeader::Valid(header))
    }

    /// Reads the fields of the wrapped key. The outer `None` is a reserved byte with a value.
    #[expect(clippy::option_option, reason = "the outer one is for `?`")]
    fn decode_evidence(at: &mut FieldReader<'_>) -> Option<Option<Evidence>> {
        let kind = at.array()?;
        let (recipient, ephemeral, key, tag) = (at.array()?, at.array()?, at.array()?, at.array()?);
        match kind {
            [1, 0, 0, 0, 0, 0, 0, 0] => {
                Some(Some(Evidence { recipient, wrapped: WrappedKey { ephemeral, key, tag } }))
            }
            [0, 0, 0, 0, 0, 0, 0, 0] => {
                let is_zero = [recipient, ephemeral, key] == [[0; 32]; 3] && tag == [0; TAG_LEN];
                is_zero.then_some(None)
            }
            _ => None,
        }
    }

    /// Returns true if the tag in `bytes` was made with `segment_key`, the key of this segment.
    pub(crate) fn is_authentic(&self, bytes: &SegmentBytes, segment_key: &Key) -> bool {
        let Some((authenticated, remaining)) = bytes.split_at_checked(self.layout.authenticated_len()) else {
            return false;
        };
        let Some(tag) = FieldReader(remaining).array() else { return false };
        let sealed = Sealed { counter: self.counter, tag };
        Opener::new(&main_key(segment_key, self.salt)).open(authenticated, &mut [], &sealed).is_ok()
    }

    /// Returns true if the key of the segment is wrapped for the holder of `secret`.
    pub(crate) fn is_sealed_to(&self, public: &[u8; Recipient::LEN]) -> bool {
        self.evidence.is_some_and(|evidence| evidence.recipient == *public)
    }

    /// Unwraps the key of the segment. `None` if it is not wrapped for the holder of `secret`, or was changed.
    pub(crate) fn unwrap(&self, bytes: &SegmentBytes, secret: &RecipientSecret) -> Option<Key> {
        let bound = bytes.get(..Self::BOUND_LEN)?;
        secret.unwrap(&self.evidence?.wrapped, bound).ok()
    }

    /// Hash chain after this header. It is associated data of every block of the segment, so that a block opens only behind
    /// the header it was written for.
    pub(crate) fn chain_after(&self, bytes: &SegmentBytes) -> Chain {
        self.chain_before.link(&[bytes.get(..self.layout.header_len()).unwrap_or_default()])
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
            layout: Layout::V2,
            geometry: Geometry::new(65_536, 8).unwrap(),
            epoch: 0x0102,
            first: RecordId(0x0304),
            counter: 0,
            salt: Salt([0xaa; 16]),
            chain_before: Chain::from_bytes([0xbb; 32]),
            origin: Some(0x0708),
            evidence: None,
        }
    }

    fn sealed(header: &mut SegmentHeader, counter: u64, recipient: Option<&Recipient>) -> SegmentBytes {
        let mut sealer = Sealer::resume(&main_key(&epoch_key(), header.salt), counter);
        header.seal(&mut sealer, &epoch_key(), recipient).unwrap()
    }

    #[test]
    fn segment_header_has_the_documented_layout() {
        let secret = RecipientSecret::from_bytes([3; 32]);
        let recipient = Recipient::new(secret.public()).unwrap();
        for recipient in [None, Some(&recipient)] {
            let mut header = segment();
            let bytes = sealed(&mut header, 0x0506, recipient);
            let mut expected = b"SENTRING".to_vec();
            expected.extend([0, 2, 1, 0]); // version, length
            expected.extend([0, 1, 0, 0, 0, 0, 0, 8, 0, 0, 16, 0]); // 65536, 8 segments, 4096
            expected.extend([0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 3, 4, 0, 0, 0, 0, 0, 0, 5, 6]);
            expected.extend([0xaa; 16]);
            expected.extend([0xbb; 32]);
            expected.extend([0, 0, 0, 0, 0, 0, 7, 8, u8::from(recipient.is_some()), 0, 0, 0, 0, 0, 0, 0]);
            expected.extend(recipient.map_or([0; 32], |recipient| *recipient.as_bytes()));
            assert_eq!(bytes[..144], expected);
            assert_eq!(bytes[144..224] == [0; 80], recipient.is_none(), "the wrapped key");
            assert_eq!(SegmentHeader::parse(&bytes), SlotHeader::Valid(header));
            assert!(header.is_authentic(&bytes, &epoch_key()));
            assert!(!header.is_authentic(&bytes, &epoch_key().next()));
            assert_eq!(header.unwrap(&bytes, &secret), recipient.map(|_| epoch_key()));
            assert_eq!(header.unwrap(&bytes, &RecipientSecret::from_bytes([4; 32])), None);
        }
    }

    /// The key of one header, put into another that is re-sealed with a stolen key, does not unwrap.
    #[test]
    fn a_wrapped_key_is_bound_to_its_header() {
        let secret = RecipientSecret::from_bytes([3; 32]);
        let recipient = Recipient::new(secret.public()).unwrap();
        let bytes = sealed(&mut segment(), 1, Some(&recipient));
        for at in 0..SegmentHeader::BOUND_LEN {
            let mut moved = bytes;
            moved[at] ^= 1;
            let header = {
                let SlotHeader::Valid(header) = SegmentHeader::parse(&bytes) else { panic!() };
                header
            };
            assert_eq!(header.unwrap(&moved, &secret), None, "byte {at}");
        }
    }

    #[test]
    fn a_changed_segment_header_is_rejected() {
        let recipient = Recipient::new(RecipientSecret::from_bytes([3; 32]).public()).unwrap();
        let bytes = sealed(&mut segment(), 0, Some(&recipient));
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
        let checksum = checksum(&forged[..240]);
        forged[240..].copy_from_slice(&checksum);
        let SlotHeader::Valid(header) = SegmentHeader::parse(&forged) else {
            panic!("the checksum is right")
        };
        assert!(!header.is_authentic(&forged, &epoch_key()));
    }
}
