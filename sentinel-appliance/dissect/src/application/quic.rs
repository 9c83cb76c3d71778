//! The first packets of a QUIC connection.
//!
//! Read first: RFC 9000 sections 17.2 and 19.6; RFC 8999 (what all versions share); RFC 9369 section 3.2 (types in version 2).
//!
//! The frames of an Initial packet are sealed with a key that follows from its header. Unsealing is not done here: take
//! [`Initial::packet`], open it, and read its frames with [`crypto_frames`].

use sentinel_units::service;

use super::framing::MessageLen;
use super::protocol::{Body, Protocol};
use super::tls::{CLIENT_HELLO, SERVER_HELLO};
use crate::read::{Cursor, Malformed};

/// QUIC: a long header of a version that exists: 1, 2, drafts, and those that Google had before.
pub const PROTOCOL: Protocol = Protocol {
    datagram: Some(|payload, _| {
        has_long_header(payload)
            && matches!(
                payload.get(1..5),
                Some(
                    [0, 0, 0, 1] | [0x6b, 0x33, 0x43, 0xcf] | [0xff, 0, 0, 1..=34] | [b'Q' | b'T', b'0', ..]
                )
            )
    }),
    ..Protocol::new(service::QUIC, "QUIC", "RFC 9000")
};
pub(super) const PROTOCOLS: &[Protocol] = &[PROTOCOL];
pub(super) const FUZZ_BODIES: &[Body] = &[("quic_initial", fuzz_initial), ("quic_frames", fuzz_frames)];

const LONG_HEADER: u8 = 0x80;
const FIXED_BIT: u8 = 0x40;
const TYPE: u8 = 0x30;
/// Version 2, whose types are numbered otherwise.
pub const VERSION_2: u32 = 0x6b33_43cf;
/// Most bytes of a connection number (RFC 9000 section 17.2).
const MAX_CONNECTION_ID_LEN: usize = 20;
/// Most frames read of a packet. Clients that shuffle their hello send some dozens; padding counts once for each run.
const MAX_FRAMES: usize = 256;
/// Most ranges of an acknowledgement.
const MAX_RANGES: u64 = 64;

/// An Initial packet, as it was sent.
#[derive(Clone, Copy, Debug)]
pub struct Initial<'p> {
    /// Version number: 1, `0x6b33_43cf` (version 2), `0xff00_00..` (drafts).
    pub version: u32,
    /// Connection number of the receiver. In the first flight of a client it is random, and the keys are made of it.
    pub destination: &'p [u8],
    /// Connection number of the sender.
    pub source: &'p [u8],
    /// Bytes of the token.
    pub token_len: usize,
    /// The packet, without others behind it in the same datagram.
    pub packet: &'p [u8],
    /// Where in `packet` its number starts.
    pub number_at: usize,
}

/// Returns true if a UDP payload starts with the long header of a QUIC packet of any version. Cheap: seven bytes.
#[inline]
#[must_use]
pub const fn has_long_header(payload: &[u8]) -> bool {
    matches!(payload, [first, _, _, _, _, len, _, ..] if *first & (LONG_HEADER | FIXED_BIT) == (LONG_HEADER | FIXED_BIT) && *len <= 20)
}

impl<'p> Initial<'p> {
    /// Reads the header of the first packet of a UDP payload.
    ///
    /// # Errors
    /// - [`Malformed::OtherProtocol`] if it has no long header.
    /// - [`Malformed::BadVersion`] if it is a packet of another type, or of a version that negotiates.
    /// - [`Malformed::BadLength`] if a connection number is longer than 20 bytes, or the packet longer than the payload.
    /// - [`Malformed::Truncated`] if the payload ends within the header.
    pub fn parse(payload: &'p [u8]) -> Result<Self, Malformed> {
        let mut at = Cursor::new(payload);
        let first = at.u8()?;
        if first & (LONG_HEADER | FIXED_BIT) != LONG_HEADER | FIXED_BIT {
            return Err(Malformed::OtherProtocol);
        }
        let version = at.u32()?;
        // Version 2 numbers the types otherwise (RFC 9369 section 3.2). Version 0 is a version negotiation
        // packet (RFC 9000 section 17.2.1).
        let initial = if version == VERSION_2 { 0x10 } else { 0 };
        if version == 0 || first & TYPE != initial {
            return Err(Malformed::BadVersion);
        }
        let (destination, source) = (connection_id(&mut at)?, connection_id(&mut at)?);
        let token_len = usize::try_from(number(&mut at)?).map_err(|_| Malformed::BadLength)?;
        at.take(token_len)?;
        let len = usize::try_from(number(&mut at)?).map_err(|_| Malformed::BadLength)?;
        let number_at = payload.len() - at.len();
        at.take(len).map_err(|_| Malformed::BadLength)?;
        // No overflow: the cursor has just taken `len` bytes behind `number_at`.
        let packet = payload.get(..number_at + len).ok_or(Malformed::BadLength)?;
        Ok(Self { version, destination, source, token_len, packet, number_at })
    }
}

fn connection_id<'p>(at: &mut Cursor<'p>) -> Result<&'p [u8], Malformed> {
    let len = usize::from(at.u8()?);
    if len > MAX_CONNECTION_ID_LEN {
        return Err(Malformed::BadLength);
    }
    at.take(len)
}

/// A variable-length integer of 1, 2, 4 or 8 bytes, whose first two bits give its length (RFC 9000 section 16).
fn number(at: &mut Cursor<'_>) -> Result<u64, Malformed> {
    let first = at.u8()?;
    // 62 bits at most, so no bit is shifted out.
    let mut value = u64::from(first & 0x3f);
    for _ in 1..1_usize << (first >> 6) {
        value = value << 8 | u64::from(at.u8()?);
    }
    Ok(value)
}

/// A piece of the handshake.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Crypto<'f> {
    /// Where in the handshake it belongs, in bytes.
    pub offset: u64,
    /// Its bytes.
    pub bytes: &'f [u8],
}

/// The handshake pieces among the frames of an opened Initial packet. Ends at a frame that has no place there.
#[must_use]
pub const fn crypto_frames(frames: &[u8]) -> CryptoFrames<'_> {
    CryptoFrames { at: Cursor::new(frames), left: MAX_FRAMES }
}

/// Iterator over handshake pieces.
#[derive(Clone, Debug)]
pub struct CryptoFrames<'f> {
    at: Cursor<'f>,
    left: usize,
}

impl<'f> Iterator for CryptoFrames<'f> {
    type Item = Crypto<'f>;

    fn next(&mut self) -> Option<Crypto<'f>> {
        while self.left > 0 {
            self.left -= 1;
            match frame(&mut self.at) {
                Ok(Some(crypto)) => return Some(crypto),
                Ok(None) => {}
                Err(_) => self.left = 0,
            }
        }
        None
    }
}

/// Takes a frame.
fn frame<'f>(at: &mut Cursor<'f>) -> Result<Option<Crypto<'f>>, Malformed> {
    match at.u8()? {
        0 => {
            // A run of padding counts as one frame: clients fill Initial packets up to 1,200 bytes with it.
            let padding = at.remaining().iter().take_while(|byte| **byte == 0).count();
            at.take(padding)?;
            Ok(None)
        }
        1 => Ok(None), // ping
        kind @ (2 | 3) => {
            let (_largest, _delay, ranges, _first) = (number(at)?, number(at)?, number(at)?, number(at)?);
            if ranges > MAX_RANGES {
                return Err(Malformed::TooManyHeaders);
            }
            let congestion = if kind == 3 { 3 } else { 0 };
            // A gap and a length for each range (RFC 9000 section 19.3.1); type 3 adds three ECN counts
            // (section 19.3.2). `ranges` is bounded above, so the product does not overflow.
            for _ in 0..ranges * 2 + congestion {
                number(at)?;
            }
            Ok(None)
        }
        6 => {
            let (offset, len) = (number(at)?, number(at)?);
            let bytes = at.take(usize::try_from(len).map_err(|_| Malformed::BadLength)?)?;
            Ok(Some(Crypto { offset, bytes }))
        }
        // CONNECTION_CLOSE, behind which no handshake follows, or a frame not allowed in Initial packets (RFC
        // 9000 section 12.4).
        _ => Err(Malformed::OtherProtocol),
    }
}

/// Length of the first message of the handshake that QUIC carries: a message of TLS without records.
#[must_use]
pub fn message_len(bytes: &[u8]) -> MessageLen {
    let mut at = Cursor::new(bytes);
    if !matches!(at.u8(), Ok(CLIENT_HELLO | SERVER_HELLO)) {
        return MessageLen::Unrecognised;
    }
    match at.u24().map(usize::try_from) {
        Ok(Ok(len)) if at.len() >= len => MessageLen::Complete,
        Ok(Ok(len)) => MessageLen::AtLeast(4 + len),
        _ => MessageLen::AtLeast(4),
    }
}

/// Fuzz body: the header of a QUIC Initial packet.
fn fuzz_initial(bytes: &[u8]) {
    let Ok(initial) = Initial::parse(bytes) else { return };
    assert!(initial.number_at <= initial.packet.len() && initial.packet.len() <= bytes.len());
    assert!(initial.destination.len() <= 20 && initial.source.len() <= 20);
}

/// Fuzz body: the frames of a QUIC Initial packet.
fn fuzz_frames(bytes: &[u8]) {
    let pieces: usize = crypto_frames(bytes).map(|piece| piece.bytes.len() + 3).sum();
    assert!(pieces <= bytes.len());
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    /// Version 1, connection numbers of 8 and 0 bytes, no token, 20 bytes behind the length, then another packet.
    const HEADER: [u8; 18] = [0xc3, 0, 0, 0, 1, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0x40, 20];

    fn payload() -> Vec<u8> {
        [&HEADER[..], &[9; 20], &[0xe0; 7]].concat()
    }

    #[test]
    fn the_header_gives_all_positions() {
        let bytes = payload();
        assert!(has_long_header(&bytes));
        let initial = Initial::parse(&bytes).unwrap();
        assert_eq!((initial.version, initial.destination), (1, &[1, 2, 3, 4, 5, 6, 7, 8][..]));
        assert_eq!((initial.source, initial.token_len), (&[][..], 0));
        assert_eq!((initial.number_at, initial.packet.len()), (18, 38));
    }

    #[test]
    fn packet_types_are_numbered_by_version() {
        let with = |first: u8, version: u32| {
            let mut bytes = payload();
            bytes[0] = first;
            bytes[1..5].copy_from_slice(&version.to_be_bytes());
            Initial::parse(&bytes).map(|initial| initial.version)
        };
        assert_eq!(with(0xd3, VERSION_2), Ok(VERSION_2));
        assert_eq!(with(0xc3, VERSION_2), Err(Malformed::BadVersion), "that is a retry");
        assert_eq!(with(0xd3, 1), Err(Malformed::BadVersion), "0-RTT");
        assert_eq!(with(0xc3, 0), Err(Malformed::BadVersion), "version negotiation");
        assert_eq!(with(0x43, 1), Err(Malformed::OtherProtocol), "short header");
    }

    #[test]
    fn every_cut_is_an_error() {
        let bytes = payload();
        for cut in 0..38 {
            let error = Initial::parse(&bytes[..cut]).unwrap_err();
            assert_eq!(error, if cut < 18 { Malformed::Truncated } else { Malformed::BadLength }, "{cut}");
        }
        let mut bytes = payload();
        bytes[5] = 21;
        assert_eq!(Initial::parse(&bytes).unwrap_err(), Malformed::BadLength);
        assert!(!has_long_header(&bytes));
    }

    #[test]
    fn numbers_have_four_sizes() {
        // RFC 9000 appendix A.1
        for (bytes, value) in [
            (&[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c][..], 151_288_809_941_952_652),
            (&[0x9d, 0x7f, 0x3e, 0x7d], 494_878_333),
            (&[0x7b, 0xbd], 15_293),
            (&[0x25], 37),
            (&[0x40, 0x25], 37),
        ] {
            assert_eq!(number(&mut Cursor::new(bytes)), Ok(value));
            assert!(number(&mut Cursor::new(&bytes[..bytes.len() - 1])).is_err());
        }
    }

    #[test]
    fn pieces_are_found_among_other_frames() {
        let frames = [
            0, 0, 0, 1, // padding, ping
            2, 5, 0, 1, 2, 0, 0, // acknowledgement with a further range
            6, 4, 2, b'c', b'd', 3, 1, 0, 0, 0, 1, 1, 1, // and one with congestion counts
            6, 0, 3, b'a', b'b', b'c', 0, 0,
        ];
        let found: Vec<_> = crypto_frames(&frames).map(|it| (it.offset, it.bytes)).collect();
        assert_eq!(found, [(4, &b"cd"[..]), (0, b"abc")]);
        // a frame that does not belong there, and one that is cut
        assert_eq!(crypto_frames(&[8, 6, 0, 1, 9]).count(), 0);
        assert_eq!(crypto_frames(&[6, 0, 9, 1]).count(), 0);
    }
}
