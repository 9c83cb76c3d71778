//! Header of a block of main.

use sentinel_seal::{Chain, TAG_LEN};

use super::bytes::{FieldReader, FieldWriter, checksum};
use crate::key::Salt;
use crate::record::RecordId;

const MAGIC: [u8; 4] = *b"RBLK";

/// Encoding of the records of a block.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Packing {
    /// Uncompressed.
    Stored,
    /// Raw deflate (RFC 1951).
    Deflated,
}

/// Header of a block, followed by its sealed records and their tag.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct BlockHeader {
    pub(crate) packing: Packing,
    pub(crate) count: u32,
    /// Length of the sealed records after the header, in bytes; the tag follows them.
    pub(crate) sealed_len: u32,
    /// Length of the records before compression, in bytes.
    pub(crate) raw_len: u32,
    pub(crate) epoch: u64,
    pub(crate) first: RecordId,
    pub(crate) counter: u64,
    pub(crate) salt: Salt,
    /// Hash chain over main up to this block.
    pub(crate) chain_before: Chain,
}

impl BlockHeader {
    pub(crate) const LEN: usize = 112;
    const CHECKSUMMED_LEN: usize = 96;
    /// Bytes of a block besides its packed records: header and tag.
    pub(crate) const OVERHEAD: usize = Self::LEN + TAG_LEN;

    pub(crate) fn encode(&self) -> [u8; Self::LEN] {
        let packing: u8 = match self.packing {
            Packing::Stored => 0,
            Packing::Deflated => 1,
        };
        let mut bytes = [0; Self::LEN];
        FieldWriter(&mut bytes)
            .bytes(&MAGIC)
            .bytes(&[packing, 0, 0, 0])
            .bytes(&self.count.to_be_bytes())
            .bytes(&self.sealed_len.to_be_bytes())
            .bytes(&self.raw_len.to_be_bytes())
            .bytes(&[0; 4])
            .bytes(&self.epoch.to_be_bytes())
            .bytes(&self.first.0.to_be_bytes())
            .bytes(&self.counter.to_be_bytes())
            .bytes(&self.salt.0)
            .bytes(self.chain_before.as_bytes());
        let (checksummed, remaining) = bytes.split_at_mut(Self::CHECKSUMMED_LEN);
        FieldWriter(remaining).bytes(&checksum(checksummed));
        bytes
    }

    /// Decodes a header; `None` if the magic, checksum, a reserved byte or the record count is wrong.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut at = FieldReader(bytes);
        if at.array()? != MAGIC {
            return None;
        }
        let (checksummed, found) = bytes.get(..Self::LEN)?.split_at_checked(Self::CHECKSUMMED_LEN)?;
        if checksum(checksummed) != found {
            return None;
        }
        let packing = match at.array()? {
            // The three reserved bytes are checked with the packing.
            [0, 0, 0, 0] => Packing::Stored,
            [1, 0, 0, 0] => Packing::Deflated,
            _ => return None,
        };
        // The lengths are not bounded here: the caller knows how much of the segment is left.
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
            chain_before: Chain::from_bytes(at.array()?),
        })
    }

    /// Associated data of the seal of a block: the chain after the header of its segment, then its own header.
    pub(crate) fn associated_data(segment: &Chain, bytes: &[u8; Self::LEN]) -> [u8; Chain::LEN + Self::LEN] {
        let mut data = [0; Chain::LEN + Self::LEN];
        FieldWriter(&mut data).bytes(segment.as_bytes()).bytes(bytes);
        data
    }

    /// Number after the last record.
    pub(crate) fn end(&self) -> RecordId {
        self.first.plus(u64::from(self.count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_header_has_the_documented_layout_and_rejects_every_change() {
        let header = BlockHeader {
            packing: Packing::Deflated,
            count: 0x0102,
            sealed_len: 0x0304,
            raw_len: 0x0506,
            epoch: 7,
            first: RecordId(8),
            counter: 9,
            salt: Salt([0xaa; 16]),
            chain_before: Chain::from_bytes([0xbb; 32]),
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
}
