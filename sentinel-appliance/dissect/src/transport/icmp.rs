//! ICMP for IPv4.
//!
//! Read first: RFC 792; RFC 4884 section 4 (bytes four to eight).

use super::icmp_message::icmp_message;

icmp_message! {
    /// An ICMP message, or the first fragment of one. Types: <https://www.iana.org/assignments/icmp-parameters>.
    Icmp {
        unreachable: 3,
        time_exceeded: 11,
        echo_request: 8,
        echo_reply: 0,
        redirect: 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::{CapturedSlice, Malformed};

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
    fn types_are_distinguished() {
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
