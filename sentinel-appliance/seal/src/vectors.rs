//! Published test vectors. They go through the functions that the public types use.

extern crate std;

use std::vec::Vec;

use aes_gcm::{Aes256Gcm, KeyInit};
use sha2::{Digest, Sha256};

use crate::aead::{decrypt, encrypt};
use crate::key::expand;
use crate::{Forged, Key, Opener, Sealed, Sealer};

pub(crate) fn hex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2));
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

pub(crate) fn hex32(text: &str) -> [u8; 32] {
    hex(text).try_into().unwrap()
}

/// "The Galois/Counter Mode of Operation" (2004), appendix B: the AES-256 cases with 96-bit nonces, which
/// NIST took into SP 800-38D validation: key, nonce, plain text, associated data, cipher text, tag.
const GCM: [[&str; 6]; 4] = [
    [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "000000000000000000000000",
        "",
        "",
        "",
        "530f8afbc74536b9a963b4f1c4cb738b",
    ],
    [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "000000000000000000000000",
        "00000000000000000000000000000000",
        "",
        "cea7403d4d606b6e074ec5d3baf39d18",
        "d0d1c8a799996bf0265b98b5d48ab919",
    ],
    [
        "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
        "cafebabefacedbaddecaf888",
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
        "",
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad",
        "b094dac5d93471bdec1a502270e3cc6c",
    ],
    [
        "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
        "cafebabefacedbaddecaf888",
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
        "feedfacedeadbeeffeedfacedeadbeefabaddad2",
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
        "76fc6ece0f4e1768cddf8853bb2d551b",
    ],
];

#[test]
fn gcm_vectors() {
    for [key, nonce, plain, associated, cipher_text, tag] in GCM {
        let cipher = Aes256Gcm::new(&hex32(key).into());
        let nonce: [u8; 12] = hex(nonce).try_into().unwrap();
        let tag: [u8; 16] = hex(tag).try_into().unwrap();
        let mut text = hex(plain);
        assert_eq!(encrypt(&cipher, nonce, &hex(associated), &mut text), Ok(tag));
        assert_eq!(text, hex(cipher_text));
        assert_eq!(decrypt(&cipher, nonce, &hex(associated), &mut text, &tag), Ok(()));
        assert_eq!(text, hex(plain));
        assert_eq!(decrypt(&cipher, nonce, b"other", &mut hex(cipher_text), &tag), Err(Forged));
    }
}

/// The cases with a zero nonce are what a fresh [`Sealer`] must give for its first byte string.
#[test]
fn gcm_vectors_through_the_sealer() {
    for [key, _, plain, _, cipher_text, tag] in GCM.into_iter().take(2) {
        let key = Key::from_bytes(hex32(key));
        let mut text = hex(plain);
        let sealed = Sealer::new(&key).seal(b"", &mut text).unwrap();
        assert_eq!(sealed, Sealed { counter: 0, tag: hex(tag).try_into().unwrap() });
        assert_eq!(text, hex(cipher_text));
        Opener::new(&key).open(b"", &mut text, &sealed).unwrap();
        assert_eq!(text, hex(plain));
    }
}

/// RFC 5869 appendix A, test cases 1 to 3: secret, salt, info, pseudo-random key, output.
const HKDF: [[&str; 5]; 3] = [
    [
        "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b",
        "000102030405060708090a0b0c",
        "f0f1f2f3f4f5f6f7f8f9",
        "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
    ],
    [
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f",
        "606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3a4a5a6a7a8a9aaabacadaeaf",
        "b0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
        "06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244",
        "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
    ],
    [
        "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b",
        "",
        "",
        "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04",
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
    ],
];

#[test]
fn hkdf_vectors() {
    for [secret, salt, info, pseudo_random, output] in HKDF {
        let key = Key::extract(&hex(salt), &hex(secret));
        assert_eq!(key.expose(), &hex32(pseudo_random));
        let mut out = std::vec![0; output.len() / 2];
        // The info may come in parts, as the label and the context do.
        let info = hex(info);
        let (head, tail) = info.split_at(info.len() / 2);
        expand(key.expose(), &[head, tail], &mut out);
        assert_eq!(out, hex(output));
    }
}

/// FIPS 180-2 appendix B, and the empty string of the NIST SHAVS set.
#[test]
fn sha_256_vectors() {
    let million = std::vec![b'a'; 1_000_000];
    let long: &[u8] = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    for (text, expected) in [
        (&b""[..], "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (long, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"),
        (&million, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"),
    ] {
        assert_eq!(<[u8; 32]>::from(Sha256::digest(text)), hex32(expected));
    }
}
