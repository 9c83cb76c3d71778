//! Decryption of QUIC Initial packets, whose keys follow from the packet.
//!
//! Read first: RFC 9001 sections 5.2 to 5.4; RFC 9369 section 3.3 (version 2).
//!
//! The keys of an Initial packet are derived from a published salt and the connection ID that the client chose, which stands in
//! clear in the packet. They show that the sender is on the path and give no confidentiality (RFC 9001 section 5). So nothing
//! here is secret, and nothing is wiped.

use aes_gcm::aead::AeadInOut;
use aes_gcm::aes::Aes128;
use aes_gcm::aes::cipher::BlockCipherEncrypt;
use aes_gcm::{Aes128Gcm, KeyInit, Nonce, Tag};
use hkdf::Hkdf;
use sha2::Sha256;

use crate::Forged;
use crate::key::expand;

/// Maximum length of a connection ID in an Initial packet (RFC 9000 section 17.2), in bytes.
pub const MAX_CONNECTION_ID_LEN: usize = 20;
const TAG_LEN: usize = 16;
const SAMPLE_LEN: usize = 16;
/// Maximum length of a packet number. The sample of header protection starts behind a number of this length, whatever its real
/// length (RFC 9001 section 5.4.2).
const MAX_NUMBER_LEN: usize = 4;

/// QUIC version, as far as its Initial keys differ: salt and labels.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Version {
    salt: [u8; 20],
    /// True for version 2, which has labels of its own (RFC 9369 section 3.3.2).
    is_v2: bool,
}

impl Version {
    /// Looks up the version number of a long header: versions 1 and 2, and drafts 23 to 34, which are still in use. `None` for
    /// any other.
    #[must_use]
    pub const fn from_number(number: u32) -> Option<Self> {
        let (salt, is_v2) = match number {
            0x0000_0001 | 0xff00_0021..=0xff00_0022 => (SALT_1, false),
            0x6b33_43cf => (SALT_2, true),
            0xff00_001d..=0xff00_0020 => (SALT_DRAFT_29, false),
            0xff00_0017..=0xff00_001c => (SALT_DRAFT_23, false),
            _ => return None,
        };
        Some(Self { salt, is_v2 })
    }
}

/// Salt of version 1 and of drafts 33 and 34, RFC 9001 section 5.2.
const SALT_1: [u8; 20] = [
    0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc,
    0xbb, 0x7f, 0x0a,
];
/// Salt of version 2, RFC 9369 section 3.3.1.
const SALT_2: [u8; 20] = [
    0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93, 0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb, 0xf9,
    0xbd, 0x2e, 0xd9,
];
/// Salt of drafts 29 to 32, draft-ietf-quic-tls-29 section 5.2.
const SALT_DRAFT_29: [u8; 20] = [
    0xaf, 0xbf, 0xec, 0x28, 0x99, 0x93, 0xd2, 0x4c, 0x9e, 0x97, 0x86, 0xf1, 0x9c, 0x61, 0x11, 0xe0, 0x43,
    0x90, 0xa8, 0x99,
];
/// Salt of drafts 23 to 28, draft-ietf-quic-tls-23 section 5.2.
const SALT_DRAFT_23: [u8; 20] = [
    0xc3, 0xee, 0xf7, 0x12, 0xc7, 0x2e, 0xbb, 0x5a, 0x11, 0xa7, 0xd2, 0x43, 0x2b, 0xb4, 0x63, 0x65, 0xbe,
    0xf9, 0xf5, 0x02,
];

/// Sender of the packets that a key decrypts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sender {
    /// Endpoint that initiated the connection.
    Client,
    /// Endpoint that accepted it.
    Server,
}

/// Initial keys of one direction: AEAD key, AEAD nonce and header protection key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InitialKeys {
    key: [u8; 16],
    nonce: [u8; 12],
    header: [u8; 16],
}

impl InitialKeys {
    /// Derives the keys from the destination connection ID of the first packet that the client sent (RFC 9001 section 5.2).
    #[must_use]
    pub fn new(version: Version, sender: Sender, connection_id: &[u8]) -> Self {
        let (initial, _) = Hkdf::<Sha256>::extract(Some(&version.salt), connection_id);
        let mut secret = [0; 32];
        let label = match sender {
            Sender::Client => "client in",
            Sender::Server => "server in",
        };
        expand_label(&initial.into(), label, &mut secret);
        let mut keys = Self { key: [0; 16], nonce: [0; 12], header: [0; 16] };
        let labels = if version.is_v2 {
            ["quicv2 key", "quicv2 iv", "quicv2 hp"]
        } else {
            ["quic key", "quic iv", "quic hp"]
        };
        let [key, nonce, header] = labels;
        expand_label(&secret, key, &mut keys.key);
        expand_label(&secret, nonce, &mut keys.nonce);
        expand_label(&secret, header, &mut keys.header);
        keys
    }

    /// Removes header protection, decrypts a packet in place and returns its frames.
    ///
    /// `packet` is one packet, from its first byte to the last that its length field counts; `number_at` is the offset of its
    /// packet number. The number is used as it stands, without the decoding of RFC 9000 section A.3: the first packets of a
    /// connection, which are those under Initial keys, have small ones.
    ///
    /// # Errors
    /// [`Forged`] if the packet is too short, or was not encrypted with these keys. Its payload stays encrypted; the bits of its
    /// header that are protected may be changed.
    pub fn open<'p>(&self, packet: &'p mut [u8], number_at: usize) -> Result<&'p mut [u8], Forged> {
        let sample_at = number_at.checked_add(MAX_NUMBER_LEN).ok_or(Forged)?;
        let sample: &[u8; SAMPLE_LEN] =
            packet.get(sample_at..).and_then(|bytes| bytes.first_chunk()).ok_or(Forged)?;
        let [first_mask, number_mask @ ..] = self.mask(sample);
        let first = packet.first_mut().ok_or(Forged)?;
        *first ^= first_mask & 0x0f;
        let number_len = usize::from(*first & 0x03) + 1;
        let mut nonce = self.nonce;
        let number = packet.get_mut(number_at..number_at + number_len).ok_or(Forged)?;
        for (byte, mask) in number.iter_mut().zip(number_mask) {
            *byte ^= mask;
        }
        for (byte, digit) in nonce.iter_mut().rev().zip(number.iter().rev()) {
            *byte ^= digit;
        }
        let (header, payload) = packet.split_at_mut_checked(number_at + number_len).ok_or(Forged)?;
        let text_len = payload.len().checked_sub(TAG_LEN).ok_or(Forged)?;
        let (text, tag) = payload.split_at_mut_checked(text_len).ok_or(Forged)?;
        let tag: [u8; TAG_LEN] = (&*tag).try_into().map_err(|_| Forged)?;
        Aes128Gcm::new(&self.key.into())
            .decrypt_inout_detached(&Nonce::from(nonce), header, (&mut *text).into(), &Tag::from(tag))
            .map_err(|_mismatch| Forged)?;
        Ok(text)
    }

    /// Header protection mask of AES-based suites (RFC 9001 section 5.4.3).
    fn mask(&self, sample: &[u8; SAMPLE_LEN]) -> [u8; 5] {
        let mut block = (*sample).into();
        Aes128::new(&self.header.into()).encrypt_block(&mut block);
        let [a, b, c, d, e, ..] = <[u8; 16]>::from(block);
        [a, b, c, d, e]
    }
}

/// HKDF-Expand-Label (RFC 8446 section 7.1) with an empty context.
fn expand_label(secret: &[u8; 32], label: &str, out: &mut [u8]) {
    const PREFIX: &[u8] = b"tls13 ";
    // Labels in this file have at most 10 bytes, outputs at most 32.
    let length = |value: usize| u8::try_from(value).unwrap_or(u8::MAX);
    let (out_len, label_len) = (length(out.len()), length(PREFIX.len() + label.len()));
    expand(secret, &[&[0, out_len, label_len], PREFIX, label.as_bytes(), &[0]], out);
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::vectors::hex;
    use std::vec::Vec;

    /// Connection ID of RFC 9001 appendix A and RFC 9369 appendix A.
    const CONNECTION_ID: &str = "8394c8f03e515708";

    fn keys(number: u32, sender: Sender) -> InitialKeys {
        InitialKeys::new(Version::from_number(number).unwrap(), sender, &hex(CONNECTION_ID))
    }

    #[test]
    fn keys_match_those_of_the_rfcs() {
        let published = [
            // RFC 9001 appendix A.1
            (
                1,
                Sender::Client,
                "1f369613dd76d5467730efcbe3b1a22d",
                "fa044b2f42a3fd3b46fb255c",
                "9f50449e04a0e810283a1e9933adedd2",
            ),
            (
                1,
                Sender::Server,
                "cf3a5331653c364c88f0f379b6067e37",
                "0ac1493ca1905853b0bba03e",
                "c206b8d9b9f0f37644430b490eeaa314",
            ),
            // RFC 9369 appendix A.1
            (
                0x6b33_43cf,
                Sender::Client,
                "8b1a0bc121284290a29e0971b5cd045d",
                "91f73e2351d8fa91660e909f",
                "45b95e15235d6f45a6b19cbcb0294ba9",
            ),
            (
                0x6b33_43cf,
                Sender::Server,
                "82db637861d55e1d011f19ea71d5d2a7",
                "dd13c276499c0249d3310652",
                "edf6d05c83121201b436e16877593c3a",
            ),
        ];
        for (version, sender, key, nonce, header) in published {
            let keys = keys(version, sender);
            assert_eq!((&keys.key[..], &keys.nonce[..]), (&hex(key)[..], &hex(nonce)[..]), "{version:#x}");
            assert_eq!(keys.header[..], hex(header), "{version:#x}");
        }
    }

    /// Frames of RFC 9001 appendix A.3 and RFC 9369 appendix A.3: an ACK and a server hello.
    const SERVER_FRAMES: &str = "02000000000600405a020000560303eefce7f7b37ba1d1632e96677825ddf73988cfc79825df566dc5430b9a045a1200130100002e00330024001d00209d3c940d89690b84d08a60993c144eca684d1081287c834d5311bcf32bb9da1a002b00020304";
    const SERVER_1: &str = "cf000000010008f067a5502a4262b5004075c0d95a482cd0991cd25b0aac406a5816b6394100f37a1c69797554780bb38cc5a99f5ede4cf73c3ec2493a1839b3dbcba3f6ea46c5b7684df3548e7ddeb9c3bf9c73cc3f3bded74b562bfb19fb84022f8ef4cdd93795d77d06edbb7aaf2f58891850abbdca3d20398c276456cbc42158407dd074ee";
    const SERVER_2: &str = "dc6b3343cf0008f067a5502a4262b5004075d92faaf16f05d8a4398c47089698baeea26b91eb761d9b89237bbf87263017915358230035f7fd3945d88965cf17f9af6e16886c61bfc703106fbaf3cb4cfa52382dd16a393e42757507698075b2c984c707f0a0812d8cd5a6881eaf21ceda98f4bd23f6fe1a3e2c43edd9ce7ca84bed8521e2e140";

    #[test]
    fn server_packets_of_the_rfcs_decrypt() {
        for (version, packet) in [(1, SERVER_1), (0x6b33_43cf, SERVER_2)] {
            let mut packet = hex(packet);
            let frames = keys(version, Sender::Server).open(&mut packet, 18).unwrap();
            assert_eq!(frames[..], hex(SERVER_FRAMES), "{version:#x}");
        }
    }

    /// RFC 9001 appendix A.2: frames of the client, header before protection, and both ends of the packet.
    const CLIENT_FRAMES: &str = "060040f1010000ed0303ebf8fa56f12939b9584a3896472ec40bb863cfd3e86804fe3a47f06a2b69484c00000413011302010000c000000010000e00000b6578616d706c652e636f6dff01000100000a00080006001d0017001800100007000504616c706e000500050100000000003300260024001d00209370b2c9caa47fbabaf4559fedba753de171fa71f50f1ce15d43e994ec74d748002b0003020304000d0010000e0403050306030203080408050806002d00020101001c00024001003900320408ffffffffffffffff05048000ffff07048000ffff0801100104800075300901100f088394c8f03e51570806048000ffff";
    const CLIENT_HEAD: &str = "c300000001088394c8f03e5157080000449e00000002";
    const CLIENT_START: &str = "c000000001088394c8f03e5157080000449e7b9aec34d1b1c98dd7689fb8ec11";
    const CLIENT_END: &str =
        "7e78bfe706ca4cf5e9c5453e9f7cfd2b8b4c8d169a44e55c88d4a9a7f9474241e221af44860018ab0856972e194cd934";

    fn client_packet(keys: &InitialKeys) -> Vec<u8> {
        let head = hex(CLIENT_HEAD);
        let mut text = hex(CLIENT_FRAMES);
        text.resize(1162, 0);
        let mut nonce = keys.nonce;
        nonce[11] ^= 2;
        let tag = Aes128Gcm::new(&keys.key.into())
            .encrypt_inout_detached(&Nonce::from(nonce), &head, text.as_mut_slice().into())
            .unwrap();
        let mut packet = [head, text, tag.to_vec()].concat();
        let mask = keys.mask(packet[22..38].try_into().unwrap());
        packet[0] ^= mask[0] & 0x0f;
        (0..4).for_each(|digit| packet[18 + digit] ^= mask[1 + digit]);
        packet
    }

    #[test]
    fn the_client_packet_of_the_rfc_decrypts() {
        let keys = keys(1, Sender::Client);
        let mut packet = client_packet(&keys);
        assert_eq!(packet.len(), 1200);
        assert_eq!((&packet[..32], &packet[1152..]), (&hex(CLIENT_START)[..], &hex(CLIENT_END)[..]));
        let frames = keys.open(&mut packet, 18).unwrap();
        assert_eq!((frames.len(), &frames[..245]), (1162, &hex(CLIENT_FRAMES)[..]));
    }

    #[test]
    fn every_truncation_and_every_change_is_rejected() {
        let keys = keys(1, Sender::Server);
        let packet = hex(SERVER_1);
        for cut in 0..packet.len() {
            assert_eq!(keys.open(&mut packet[..cut].to_vec(), 18), Err(Forged), "{cut}");
        }
        for position in 0..packet.len() {
            let mut bad = packet.clone();
            bad[position] ^= 0x40;
            assert_eq!(keys.open(&mut bad, 18), Err(Forged), "{position}");
        }
        for place in [0, 17, 19, 200, usize::MAX] {
            assert_eq!(keys.open(&mut packet.clone(), place), Err(Forged), "{place}");
        }
    }

    #[test]
    fn only_known_versions_have_keys() {
        for version in [0, 2, 0xff00_0016, 0xff00_0023, 0x6b33_43ce, 0x5130_3433] {
            assert_eq!(Version::from_number(version), None, "{version:#x}");
        }
        assert_ne!(Version::from_number(0xff00_001c), Version::from_number(0xff00_001d));
        assert_eq!(Version::from_number(0xff00_0022), Version::from_number(1));
    }
}
