//! SMB 1 to 3: files and services of Windows networks.
//!
//! Read first: MS-SMB2 section 2.2.1 and following, MS-CIFS section 2.2.3.1, MS-SMB2 section 2.1 (transport).

use sentinel_units::service;

use super::framing::{MessageLen, fixed_len};
use super::protocol::{Body, Ports, Protocol, has_any_port};
use crate::read::Cursor;

/// SMB, by its signature behind the length.
pub const PROTOCOL: Protocol = Protocol {
    segment: Some(|payload, _| start(payload).is_some()),
    framing: Some(message_len),
    ..Protocol::new(service::SMB, "SMB", "MS-SMB2")
};
pub(super) const PROTOCOLS: &[Protocol] = &[PROTOCOL];
pub(super) const FUZZ_BODIES: &[Body] = &[("smb", fuzz)];

/// Bytes of a message that are waited for: headers and names. Data of files is not read.
const MAX_WAIT_LEN: usize = 1024;
/// Bytes of the header of version 2.
const HEADER_LEN: usize = 64;
/// Flag of an answer in version 2.
const RESPONSE: u32 = 1;

/// Version of the protocol that a message is in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Dialect {
    /// SMB 1, and negotiation of a newer one by old clients.
    One,
    /// SMB 2 and 3.
    Two,
    /// SMB 3, encrypted.
    Encrypted,
    /// SMB 3, compressed.
    Compressed,
}

/// A message.
#[derive(Clone, Copy, Debug)]
pub struct Message<'p> {
    /// Which header the message has.
    pub dialect: Dialect,
    /// The message from its signature on, as far as it is there.
    pub bytes: &'p [u8],
    /// Bytes behind the message.
    pub remaining: &'p [u8],
}

impl<'p> Message<'p> {
    /// Reads a message; `None` if it is not SMB.
    #[must_use]
    pub fn parse(bytes: &'p [u8]) -> Option<Self> {
        let (dialect, header_len, len) = start(bytes)?;
        let mut at = Cursor::new(bytes);
        at.take(header_len).ok()?;
        Some(Self { dialect, bytes: at.take_up_to(len), remaining: at.remaining() })
    }

    /// Number of the command, and whether the message is an answer; `None` if it is encrypted or cut.
    #[must_use]
    pub fn command(&self) -> Option<(u16, bool)> {
        match self.dialect {
            Dialect::One => Some((u16::from(*self.bytes.get(4)?), self.bytes.get(9)? & 0x80 != 0)),
            Dialect::Two => Some((self.le16(12)?, self.le32(16)? & RESPONSE != 0)),
            Dialect::Encrypted | Dialect::Compressed => None,
        }
    }

    /// Name in a request of version 2, in UTF-16 as little-endian bytes: path of a share (tree connect), of a file (create).
    #[must_use]
    pub fn name(&self) -> Option<&'p [u8]> {
        // Where offset and length of the name are; the offset counts from the signature.
        let (offset_at, len_at) = match self.command().filter(|_| self.dialect == Dialect::Two)? {
            (3, false) => (HEADER_LEN + 4, HEADER_LEN + 6),
            (5, false) => (HEADER_LEN + 44, HEADER_LEN + 46),
            _ => return None,
        };
        let (offset, len) = (usize::from(self.le16(offset_at)?), usize::from(self.le16(len_at)?));
        self.bytes.get(offset..)?.get(..len)
    }

    /// Version that a server of version 2 chose: 0x0202, 0x0210, 0x0300, 0x0302, 0x0311.
    #[must_use]
    pub fn chosen_dialect(&self) -> Option<u16> {
        let is_answer = self.dialect == Dialect::Two && self.command() == Some((0, true));
        self.le16(HEADER_LEN + 4).filter(|_| is_answer)
    }

    /// Domain, user and workstation of an authentication (MS-NLMP section 2.2.1.3), in UTF-16 as little-endian bytes.
    #[must_use]
    pub fn authentication(&self) -> Option<[&'p [u8]; 3]> {
        const SIGNATURE: &[u8] = b"NTLMSSP\0\x03\0\0\0";
        let at =
            self.bytes.windows(SIGNATURE.len()).take(MAX_WAIT_LEN).position(|window| window == SIGNATURE)?;
        let message = Self { bytes: self.bytes.get(at..)?, ..*self };
        let field = |at: usize| {
            let offset = usize::try_from(message.le32(at + 4)?).ok()?;
            message.bytes.get(offset..)?.get(..usize::from(message.le16(at)?))
        };
        Some([field(28)?, field(36)?, field(44)?])
    }

    fn le16(&self, at: usize) -> Option<u16> {
        Some(u16::from_le_bytes(*self.bytes.get(at..)?.first_chunk()?))
    }

    fn le32(&self, at: usize) -> Option<u32> {
        Some(u32::from_le_bytes(*self.bytes.get(at..)?.first_chunk()?))
    }
}

/// Dialect of a message, bytes of the transport before it, and its length. Some servers send those four bytes in a segment of
/// their own: the message then starts with the next one, and is as long as that.
fn start(bytes: &[u8]) -> Option<(Dialect, usize, usize)> {
    let (message, header_len, len) = match *bytes {
        [0, a, b, c, ref message @ ..] => {
            (message, 4, usize::try_from(u32::from_be_bytes([0, a, b, c])).ok()?)
        }
        _ => (bytes, 0, bytes.len()),
    };
    let &[signature, b'S', b'M', b'B', ..] = message else { return None };
    let dialect = match signature {
        0xff => Dialect::One,
        0xfe => Dialect::Two,
        0xfd => Dialect::Encrypted,
        0xfc => Dialect::Compressed,
        _ => return None,
    };
    Some((dialect, header_len, len))
}

fn message_len(bytes: &[u8], ports: Ports) -> Option<MessageLen> {
    if let Some((_, header_len, len)) = start(bytes) {
        return Some(fixed_len(bytes, len.saturating_add(header_len).min(MAX_WAIT_LEN)));
    }
    // The bytes of the transport alone, on the ports of SMB.
    let is_mine = [service::SMB, service::NETBIOS_SSN].iter().any(|it| has_any_port(ports, it.server.tcp));
    (is_mine && matches!(bytes, [0, _, _, _])).then_some(MessageLen::AtLeast(8))
}

/// Fuzz body: a message.
fn fuzz(bytes: &[u8]) {
    let Some(message) = Message::parse(bytes) else { return };
    let header_len = bytes.len() - message.bytes.len() - message.remaining.len();
    assert!(matches!(header_len, 0 | 4));
    assert!(message.name().is_none_or(|name| name.len() < bytes.len()));
    let _ = (message.chosen_dialect(), message.authentication());
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use sentinel_units::Port;
    use std::vec::Vec;

    fn version_2(command: u8, flags: u8, body: &[u8]) -> Vec<u8> {
        let mut header = [0; HEADER_LEN];
        header[..6].copy_from_slice(b"\xfeSMB\x40\0");
        (header[12], header[16]) = (command, flags);
        [&[0, 0, 0, u8::try_from(HEADER_LEN + body.len()).unwrap()][..], &header, body].concat()
    }

    #[test]
    fn a_tree_connect_names_its_share() {
        // structure size, reserved, offset 72, length 6
        let bytes = version_2(3, 0, b"\x09\0\0\0\x48\0\x06\0a\0b\0c\0");
        let message = Message::parse(&bytes).unwrap();
        assert_eq!((message.command(), message.name()), (Some((3, false)), Some(&b"a\0b\0c\0"[..])));
        for cut in 8..bytes.len() {
            assert_eq!(
                message_len(&bytes[..cut], (Port(1), Port(2))),
                Some(MessageLen::AtLeast(bytes.len()))
            );
            assert!(Message::parse(&bytes[..cut]).unwrap().name().is_none());
        }
    }

    #[test]
    fn an_answer_gives_the_version_and_an_authentication_its_user() {
        assert_eq!(
            Message::parse(&version_2(0, 1, b"\x41\0\x01\0\x11\x03")).unwrap().chosen_dialect(),
            Some(0x311)
        );
        let mut token = *b"NTLMSSP\0\x03\0\0\0________________\x02\0\x02\0\x34\0\0\0\x04\0\x04\0\x36\0\0\0\0\0\0\0\0\0\0\0D\0B\0o\0";
        token[12..28].fill(0);
        let bytes = version_2(1, 0, &token);
        let message = Message::parse(&bytes).unwrap();
        assert_eq!(message.authentication(), Some([&b"D\0"[..], b"B\0o\0", b""]));
        // the transport's bytes came before
        let bytes = version_2(0, 1, b"\x41\0\x01\0\x11\x03");
        assert_eq!(Message::parse(&bytes[4..]).unwrap().chosen_dialect(), Some(0x311));
        assert_eq!(message_len(&bytes[..4], (Port(445), Port(2))), Some(MessageLen::AtLeast(8)));
        assert_eq!(message_len(&bytes[..4], (Port(1), Port(2))), None);
        let one = b"\0\0\0\x20\xffSMB\x72\0\0\0\0\x98.......................";
        assert_eq!(Message::parse(one).unwrap().command(), Some((0x72, true)));
    }
}
