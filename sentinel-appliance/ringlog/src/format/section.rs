//! Section header and frame binding of the journal.

use sentinel_seal::{Chain, Opener, Sealed, Sealer, TAG_LEN};

use super::SECTION_VERSION;
use super::bytes::{FieldReader, FieldWriter};
use crate::key::Salt;
use crate::record::{ChainHead, RecordId};

const MAGIC: [u8; 8] = *b"SENTJRNL";
/// First two bytes of a section. A frame has its length there, which is at most 1024, so the two cannot be confused.
pub(crate) const SECTION_MARK: u16 = u16::from_be_bytes([b'S', b'E']);

/// AEAD tag of a section header or frame. It is associated data of the frame or section that follows.
pub(crate) type Tag = [u8; TAG_LEN];

/// Header of a journal section: at byte 0 and wherever a later opening, or a new attempt after a failed write, continues
/// the journal. Each section has a key of its own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct SectionHeader {
    pub(crate) epoch: u64,
    /// Number of the first record in the section.
    pub(crate) first: RecordId,
    /// End of main when the section was begun.
    pub(crate) main_end: ChainHead,
    pub(crate) salt: Salt,
    /// Number of the section within one opening; gives each section its own key.
    pub(crate) section: u64,
}

/// Encoded section header.
pub(crate) type SectionBytes = [u8; SectionHeader::LEN];

impl SectionHeader {
    pub(crate) const LEN: usize = 112;
    const AUTHENTICATED_LEN: usize = 96;

    /// Encodes and authenticates the header, bound to the tag before it. Returns the bytes and their tag; `None` if the
    /// sealer is exhausted.
    pub(crate) fn seal(&self, sealer: &mut Sealer, previous_tag: &Tag) -> Option<(SectionBytes, Tag)> {
        let mut bytes = [0; Self::LEN];
        FieldWriter(&mut bytes)
            .bytes(&MAGIC)
            .bytes(&SECTION_VERSION.to_be_bytes())
            .bytes(&[0; 6])
            .bytes(&self.epoch.to_be_bytes())
            .bytes(&self.first.0.to_be_bytes())
            .bytes(&self.main_end.next_id.0.to_be_bytes())
            .bytes(self.main_end.chain.as_bytes())
            .bytes(&self.salt.0)
            .bytes(&self.section.to_be_bytes());
        let (authenticated, remaining) = bytes.split_at_mut(Self::AUTHENTICATED_LEN);
        let sealed = sealer.seal(&Self::associated_data(previous_tag, authenticated), &mut []).ok()?;
        FieldWriter(remaining).bytes(&sealed.tag);
        Some((bytes, sealed.tag))
    }

    /// Decodes a header without checking its tag, which needs the key of the epoch in it: see [`Self::authenticate`].
    pub(crate) fn decode(bytes: &[u8]) -> Option<(Self, SectionBytes)> {
        let mut at = FieldReader(bytes);
        let encoded = FieldReader(bytes).array()?;
        if at.array()? != MAGIC || at.u16()? != SECTION_VERSION || at.array()? != [0; 6] {
            return None;
        }
        let header = Self {
            epoch: at.u64()?,
            first: RecordId(at.u64()?),
            main_end: ChainHead { next_id: RecordId(at.u64()?), chain: Chain::from_bytes(at.array()?) },
            salt: Salt(at.array()?),
            section: at.u64()?,
        };
        Some((header, encoded))
    }

    /// Returns the tag in `bytes` if it was made with this opener's key and binds `previous_tag`.
    pub(crate) fn authenticate(bytes: &SectionBytes, opener: &Opener, previous_tag: &Tag) -> Option<Tag> {
        let (authenticated, remaining) = bytes.split_at(Self::AUTHENTICATED_LEN);
        let tag = FieldReader(remaining).array()?;
        let data = Self::associated_data(previous_tag, authenticated);
        opener.open(&data, &mut [], &Sealed { counter: 0, tag }).ok()?;
        Some(tag)
    }

    fn associated_data(previous_tag: &Tag, authenticated: &[u8]) -> [u8; TAG_LEN + Self::AUTHENTICATED_LEN] {
        let mut data = [0; TAG_LEN + Self::AUTHENTICATED_LEN];
        FieldWriter(&mut data).bytes(previous_tag).bytes(authenticated);
        data
    }
}

/// Associated data of a journal frame: the tag before it, the number of its record and its length field.
pub(crate) fn frame_associated_data(previous_tag: &Tag, id: RecordId, len: u16) -> [u8; TAG_LEN + 10] {
    let mut data = [0; TAG_LEN + 10];
    FieldWriter(&mut data).bytes(previous_tag).bytes(&id.0.to_be_bytes()).bytes(&len.to_be_bytes());
    data
}

#[cfg(test)]
mod tests {
    use super::super::journal_key;
    use super::*;
    use sentinel_seal::Key;

    fn epoch_key() -> Key {
        Key::from_bytes([5; 32])
    }

    #[test]
    fn section_header_has_the_documented_layout() {
        let header = SectionHeader {
            epoch: 1,
            first: RecordId(2),
            main_end: ChainHead { next_id: RecordId(3), chain: Chain::from_bytes([0xcc; 32]) },
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
        assert_eq!(SectionHeader::authenticate(&bytes, &opener, &[9; 16]), Some(tag));
        assert_eq!(SectionHeader::authenticate(&bytes, &opener, &[8; 16]), None);
        assert_eq!(u16::from_be_bytes([bytes[0], bytes[1]]), SECTION_MARK);
    }
}
