//! Writing and reading fixed layouts of big-endian fields.

use sentinel_seal::Chain;

/// Keyless checksum: the first 16 bytes of a SHA-256 chain of one element. Detects accidental damage before the key is
/// known; forgery is detected by the AEAD tags.
pub(super) fn checksum(bytes: &[u8]) -> [u8; 16] {
    let mut value = [0; 16];
    FieldWriter(&mut value)
        .bytes(Chain::START.link(&[bytes]).as_bytes().first_chunk::<16>().unwrap_or(&[0; 16]));
    value
}

/// Fills a buffer from the front. Each layout fills its buffer exactly, which a test of each header asserts byte by byte.
pub(super) struct FieldWriter<'b>(pub(super) &'b mut [u8]);

impl FieldWriter<'_> {
    pub(super) fn bytes(self, bytes: &[u8]) -> Self {
        debug_assert!(bytes.len() <= self.0.len(), "a header layout is wrong");
        let count = bytes.len().min(self.0.len());
        let (to, remaining) = self.0.split_at_mut(count);
        for (to, from) in to.iter_mut().zip(bytes) {
            *to = *from;
        }
        Self(remaining)
    }
}

/// Cursor that takes big-endian fields off the front of a buffer; `None` once the buffer is too short.
pub(super) struct FieldReader<'b>(pub(super) &'b [u8]);

impl FieldReader<'_> {
    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, remaining) = self.0.split_first_chunk::<N>()?;
        self.0 = remaining;
        Some(*array)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }
}
