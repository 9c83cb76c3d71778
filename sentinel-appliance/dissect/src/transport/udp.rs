//! UDP datagrams.
//!
//! Read first: RFC 768; RFC 8200 section 8.1 (checksum over IPv6); RFC 2675 section 4 (length zero).

use sentinel_units::Port;

use crate::read::{CapturedSlice, Malformed};

const HEADER_LEN: u32 = 8;

/// A UDP datagram, or the first fragment of one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Udp<'p> {
    /// Source port.
    pub source_port: Port,
    /// Destination port.
    pub destination_port: Port,
    /// Captured bytes behind the header.
    pub payload: &'p [u8],
    /// Bytes behind the header on the wire; of a first fragment, those in the fragment.
    pub payload_wire_len: u32,
}

impl<'p> Udp<'p> {
    /// Reads a header. In a first fragment the length field counts the bytes of later fragments as well.
    ///
    /// # Errors
    /// - [`Malformed::Truncated`] if the capture ends within the header.
    /// - [`Malformed::BadLength`] if the length field is under eight or more than the datagram has. Zero
    ///   stands for a length that does not fit the field, and all bytes that follow count.
    #[inline(always)] // a call would return the fields through memory
    pub(crate) fn parse(slice: CapturedSlice<'p>, is_first_fragment: bool) -> Result<Self, Malformed> {
        let [s0, s1, d0, d1, l0, l1, _, _] = *slice.header::<8>()?;
        let announced = u32::from(u16::from_be_bytes([l0, l1]));
        let datagram = if announced == 0 || is_first_fragment && announced > slice.wire_len {
            slice
        } else if announced < HEADER_LEN {
            return Err(Malformed::BadLength);
        } else {
            slice.first(announced)?
        };
        let payload = datagram.after(HEADER_LEN);
        Ok(Self {
            source_port: Port(u16::from_be_bytes([s0, s1])),
            destination_port: Port(u16::from_be_bytes([d0, d1])),
            payload: payload.captured,
            payload_wire_len: payload.wire_len,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // port 53 to port 4660, eleven bytes; then one byte that is not of the datagram
    const DATAGRAM: [u8; 12] = [0, 53, 0x12, 0x34, 0, 11, 0, 0, 1, 2, 3, 0xee];

    #[test]
    fn the_payload_ends_where_the_length_says() {
        let udp = Udp::parse(CapturedSlice::new(&DATAGRAM, 12), false).unwrap();
        assert_eq!((udp.source_port, udp.destination_port), (Port(53), Port(0x1234)));
        assert_eq!((udp.payload, udp.payload_wire_len), (&[1, 2, 3][..], 3));
    }

    #[test]
    fn every_cut_is_an_error_or_a_shorter_payload() {
        for cut in 0..DATAGRAM.len() {
            match Udp::parse(CapturedSlice::new(&DATAGRAM[..cut], 12), false) {
                Err(error) => assert!(cut < 8 && error == Malformed::Truncated),
                Ok(udp) => assert_eq!((udp.payload.len(), udp.payload_wire_len), ((cut - 8).min(3), 3)),
            }
        }
    }

    #[test]
    fn wrong_lengths_are_errors() {
        for (announced, expected) in [(7, None), (8, Some(0)), (12, Some(4)), (13, None), (0, Some(4))] {
            let mut bytes = DATAGRAM;
            bytes[5] = announced;
            let parsed = Udp::parse(CapturedSlice::new(&bytes, 12), false);
            assert_eq!(parsed.ok().map(|udp| udp.payload_wire_len), expected, "{announced}");
        }
    }

    #[test]
    fn a_first_fragment_announces_more_than_it_has() {
        let mut bytes = DATAGRAM;
        bytes[4] = 0x10;
        assert_eq!(Udp::parse(CapturedSlice::new(&bytes, 12), true).unwrap().payload_wire_len, 4);
        assert_eq!(Udp::parse(CapturedSlice::new(&bytes, 12), false), Err(Malformed::BadLength));
    }
}
