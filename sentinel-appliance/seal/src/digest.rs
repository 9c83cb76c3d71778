//! SHA-256, SHA-1 and MD5 over byte strings in several parts.
//!
//! Read first: FIPS 180-4 (SHA-1, SHA-256); RFC 1321 (MD5); RFC 6151 and RFC 6194 (uses for which MD5 and SHA-1 are no longer
//! secure).
//!
//! MD5 and SHA-1 must not protect anything. They are here because JA3 and the Community ID are defined by them, and these
//! identifiers must equal those of other monitors.

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// Returns the SHA-256 digest of the concatenated parts.
#[must_use]
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    digest::<Sha256>(parts).into()
}

/// Returns the SHA-1 digest of the concatenated parts, for the Community ID; not collision resistant.
#[must_use]
pub fn sha1(parts: &[&[u8]]) -> [u8; 20] {
    digest::<Sha1>(parts).into()
}

/// Returns the MD5 digest of the concatenated parts, for JA3; not collision resistant.
#[must_use]
pub fn md5(parts: &[&[u8]]) -> [u8; 16] {
    digest::<Md5>(parts).into()
}

fn digest<D: Digest>(parts: &[&[u8]]) -> sha2::digest::Output<D> {
    let mut state = D::new();
    for part in parts {
        state.update(part);
    }
    state.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::hex;

    /// FIPS 180-4 examples (`abc` and the 448-bit message) and RFC 1321 section A.5.
    #[test]
    fn published_digests() {
        let long: &[u8] = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
        let (start, end) = long.split_at(13);
        assert_eq!(sha1(&[b"a", b"bc"])[..], hex("a9993e364706816aba3e25717850c26c9cd0d89d"));
        assert_eq!(sha1(&[start, end])[..], hex("84983e441c3bd26ebaae4aa1f95129e5e54670f1"));
        let value = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(&[b"", b"abc"])[..], hex(value));
        let value = "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1";
        assert_eq!(sha256(&[start, end])[..], hex(value));
        assert_eq!(md5(&[])[..], hex("d41d8cd98f00b204e9800998ecf8427e"));
        assert_eq!(md5(&[b"message ", b"digest"])[..], hex("f96b697d7cb7938d525a2f31aaf161d0"));
    }
}
