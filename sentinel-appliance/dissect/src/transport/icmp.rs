//! ICMP for IPv4.
//!
//! Read first: RFC 792; RFC 4884 section 4 (what the eight bytes hold).

use pnet_packet::icmp::IcmpPacket;

use crate::read::{CapturedSlice, Malformed};

const HEADER_LEN: u32 = 8;
const ECHO_REPLY: u8 = 0;
const UNREACHABLE: u8 = 3;
const REDIRECT: u8 = 5;
const ECHO_REQUEST: u8 = 8;
const TIME_EXCEEDED: u8 = 11;

/// An ICMP message, or the first fragment of one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Icmp<'p> {
    /// Type: <https://www.iana.org/assignments/icmp-parameters>.
    pub kind: u8,
    /// Code; its meaning depends on the type.
    pub code: u8,
    /// Bytes four to eight: identifier and sequence of an echo, gateway of a redirect.
    pub rest_of_header: u32,
    /// Captured bytes behind the eight of the header.
    pub payload: &'p [u8],
    /// Bytes behind the header on the wire.
    pub payload_wire_len: u32,
}

impl<'p> Icmp<'p> {
    /// Reads a header.
    ///
    /// # Errors
    /// [`Malformed::BadLength`] if the message is shorter than eight bytes, [`Malformed::Truncated`] if the
    /// capture is.
    #[inline]
    pub(crate) fn parse(slice: CapturedSlice<'p>) -> Result<Self, Malformed> {
        let [_, _, _, _, rest_of_header @ ..] = *slice.header::<8>()?;
        let view = IcmpPacket::new(slice.captured).ok_or_else(|| slice.why_shorter_than(8))?;
        let payload = slice.after(HEADER_LEN);
        Ok(Self {
            kind: view.get_icmp_type().0,
            code: view.get_icmp_code().0,
            rest_of_header: u32::from_be_bytes(rest_of_header),
            payload: payload.captured,
            payload_wire_len: payload.wire_len,
        })
    }

    /// A ping.
    #[inline]
    #[must_use]
    pub const fn is_echo_request(&self) -> bool {
        self.kind == ECHO_REQUEST
    }

    /// The answer to a ping.
    #[inline]
    #[must_use]
    pub const fn is_echo_reply(&self) -> bool {
        self.kind == ECHO_REPLY
    }

    /// Destination unreachable; code 3 says that a UDP port is closed.
    #[must_use]
    pub const fn is_unreachable(&self) -> bool {
        self.kind == UNREACHABLE
    }

    /// Another router is told to be better; a way to draw traffic to oneself.
    #[must_use]
    pub const fn is_redirect(&self) -> bool {
        self.kind == REDIRECT
    }

    /// Out of hops (traceroute) or of time to put fragments together.
    #[must_use]
    pub const fn is_time_exceeded(&self) -> bool {
        self.kind == TIME_EXCEEDED
    }

    /// Identifier of an echo.
    #[must_use]
    pub const fn identifier(&self) -> u16 {
        let [high, low, _, _] = self.rest_of_header.to_be_bytes();
        u16::from_be_bytes([high, low])
    }

    /// Sequence number of an echo.
    #[must_use]
    pub const fn sequence(&self) -> u16 {
        let [_, _, high, low] = self.rest_of_header.to_be_bytes();
        u16::from_be_bytes([high, low])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // echo request, identifier 0x1234, sequence 2, two bytes
    const PING: [u8; 10] = [8, 0, 0, 0, 0x12, 0x34, 0, 2, 0xaa, 0xbb];

    #[test]
    fn a_ping_is_read() {
        let icmp = Icmp::parse(CapturedSlice::new(&PING, 64)).unwrap();
        assert!(icmp.is_echo_request() && !icmp.is_echo_reply());
        assert_eq!((icmp.identifier(), icmp.sequence()), (0x1234, 2));
        assert_eq!((icmp.payload, icmp.payload_wire_len), (&[0xaa, 0xbb][..], 56));
    }

    #[test]
    fn kinds_are_told_apart() {
        for (kind, code) in [(0, 0), (3, 3), (5, 1), (11, 0)] {
            let mut bytes = PING;
            bytes[..2].copy_from_slice(&[kind, code]);
            let icmp = Icmp::parse(CapturedSlice::new(&bytes, 10)).unwrap();
            assert_eq!((icmp.kind, icmp.code), (kind, code));
            let found =
                [icmp.is_echo_reply(), icmp.is_unreachable(), icmp.is_redirect(), icmp.is_time_exceeded()];
            assert_eq!(found, [kind == 0, kind == 3, kind == 5, kind == 11]);
        }
    }

    #[test]
    fn every_cut_is_an_error_or_a_shorter_payload() {
        for cut in 0..PING.len() {
            match Icmp::parse(CapturedSlice::new(&PING[..cut], 10)) {
                Err(error) => assert!(cut < 8 && error == Malformed::Truncated),
                Ok(icmp) => assert_eq!((icmp.payload.len(), icmp.payload_wire_len), (cut - 8, 2)),
            }
        }
        assert_eq!(Icmp::parse(CapturedSlice::new(&PING[..7], 7)), Err(Malformed::BadLength));
    }
}
