//! TCP segments.
//!
//! Read first: RFC 9293 section 3.1; RFC 3168 section 6.1 (ECE and CWR).

use core::fmt;

use sentinel_units::Port;

use crate::read::{CapturedSlice, Cursor, Malformed};

/// The header without options.
const FIXED_LEN: u32 = 20;
/// Most options read: forty bytes hold that many of one byte each.
const MAX_OPTIONS: u8 = 40;

/// A TCP segment, or the first fragment of one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Tcp<'p> {
    /// Source port.
    pub source_port: Port,
    /// Destination port.
    pub destination_port: Port,
    /// Sequence number of the first byte of the payload (of the SYN, if that is set).
    pub sequence: u32,
    /// Sequence number of the next byte that the sender expects, if [`TcpFlags::ACK`] is set.
    pub acknowledgement: u32,
    /// Control bits.
    pub flags: TcpFlags,
    /// Window as on the wire, not scaled.
    pub window: u16,
    /// Captured bytes of the options; [`Tcp::option_list`] takes them apart.
    pub options: &'p [u8],
    /// Captured bytes behind the header.
    pub payload: &'p [u8],
    /// Bytes behind the header on the wire.
    pub payload_wire_len: u32,
}

impl<'p> Tcp<'p> {
    /// Reads a header. A capture that ends within the options gives what is there of them.
    ///
    /// # Errors
    /// - [`Malformed::Truncated`] if the capture ends within the first 20 bytes.
    /// - [`Malformed::BadLength`] if the header length is under 20 or more than the segment has.
    #[inline(always)] // a call would return the fields through memory
    pub(crate) fn parse(slice: CapturedSlice<'p>) -> Result<Self, Malformed> {
        let [s0, s1, d0, d1, q0, q1, q2, q3, a0, a1, a2, a3, offset, flags, w0, w1, _, _, _, _] =
            *slice.header::<20>()?;
        // Data offset, in units of four bytes: 60 at most (RFC 9293 section 3.1).
        let header_len = u32::from(offset >> 4) * 4;
        if header_len < FIXED_LEN {
            return Err(Malformed::BadLength);
        }
        // Fails if the segment is shorter than its header on the wire. Where the capture is shorter, fewer
        // options are returned.
        let options = slice.first(header_len)?.after(FIXED_LEN);
        let payload = slice.after(header_len);
        Ok(Self {
            source_port: Port(u16::from_be_bytes([s0, s1])),
            destination_port: Port(u16::from_be_bytes([d0, d1])),
            sequence: u32::from_be_bytes([q0, q1, q2, q3]),
            acknowledgement: u32::from_be_bytes([a0, a1, a2, a3]),
            flags: TcpFlags(flags),
            window: u16::from_be_bytes([w0, w1]),
            options: options.captured,
            payload: payload.captured,
            payload_wire_len: payload.wire_len,
        })
    }

    /// The options, one by one, up to the first that is malformed.
    #[must_use]
    pub const fn option_list(&self) -> TcpOptions<'p> {
        TcpOptions { at: Cursor::new(self.options), left: MAX_OPTIONS }
    }

    /// Maximum segment size, of a SYN.
    #[must_use]
    pub fn maximum_segment_size(&self) -> Option<u16> {
        self.option_list().find_map(|option| match (option.kind, option.data) {
            (2, &[high, low]) => Some(u16::from_be_bytes([high, low])),
            _ => None,
        })
    }
}

/// The eight control bits.
#[derive(Clone, Copy, Default, Eq, Hash, PartialEq)]
pub struct TcpFlags(pub u8);

// `#[inline]`: other crates test the flags of every segment.
impl TcpFlags {
    /// No more data from the sender.
    pub const FIN: Self = Self(0x01);
    /// Synchronise sequence numbers: opens a connection.
    pub const SYN: Self = Self(0x02);
    /// Reset the connection.
    pub const RST: Self = Self(0x04);
    /// Push.
    pub const PSH: Self = Self(0x08);
    /// The acknowledgement number counts.
    pub const ACK: Self = Self(0x10);
    /// The urgent pointer counts.
    pub const URG: Self = Self(0x20);
    /// Congestion notification echo.
    pub const ECE: Self = Self(0x40);
    /// Congestion window reduced.
    pub const CWR: Self = Self(0x80);

    /// Union of both sets.
    #[inline]
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns true if all of `flags` are set.
    #[inline]
    #[must_use]
    pub const fn has(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// Returns true if any of `flags` is set.
    #[inline]
    #[must_use]
    pub const fn has_any(self, flags: Self) -> bool {
        self.0 & flags.0 != 0
    }

    /// Returns true for the first segment of a connection: SYN without ACK, RST or FIN. The congestion bits do not
    /// matter: a SYN that offers ECN sets both (RFC 3168 section 6.1.1).
    #[inline]
    #[must_use]
    pub const fn syn_only(self) -> bool {
        // 0x17: FIN, SYN, RST and ACK.
        self.0 & 0x17 == Self::SYN.0
    }

    /// Returns true for a segment of an open connection: ACK without SYN.
    #[inline]
    #[must_use]
    pub const fn ordinary(self) -> bool {
        self.0 & (Self::SYN.0 | Self::ACK.0) == Self::ACK.0
    }

    /// Returns true for the answer to a SYN: SYN and ACK without RST or FIN.
    #[inline]
    #[must_use]
    pub const fn syn_ack(self) -> bool {
        self.0 & 0x17 == Self::SYN.0 | Self::ACK.0
    }

    /// Returns true without any control bit, which no TCP implementation sends (NULL scan). Congestion bits do not count.
    #[inline]
    #[must_use]
    pub const fn is_null(self) -> bool {
        // 0x3f: all but ECE and CWR.
        self.0 & 0x3f == 0
    }

    /// Returns true for FIN, PSH and URG without ACK, SYN or RST (Xmas scan).
    #[inline]
    #[must_use]
    pub const fn is_xmas(self) -> bool {
        self.0 & 0x3f == 0x29
    }
}

/// `SYN,ACK`; `-` for none.
impl fmt::Display for TcpFlags {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [(TcpFlags, &str); 8] = [
            (TcpFlags::FIN, "FIN"),
            (TcpFlags::SYN, "SYN"),
            (TcpFlags::RST, "RST"),
            (TcpFlags::PSH, "PSH"),
            (TcpFlags::ACK, "ACK"),
            (TcpFlags::URG, "URG"),
            (TcpFlags::ECE, "ECE"),
            (TcpFlags::CWR, "CWR"),
        ];
        let mut separator = "";
        for (flag, name) in NAMES {
            if self.has(flag) {
                out.write_str(separator)?;
                out.write_str(name)?;
                separator = ",";
            }
        }
        if self.0 == 0 { out.write_str("-") } else { Ok(()) }
    }
}

impl fmt::Debug for TcpFlags {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// One option: <https://www.iana.org/assignments/tcp-parameters>.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TcpOption<'p> {
    /// 1 no operation, 2 segment size, 3 window scale, 4 SACK permitted, 5 SACK, 8 timestamps.
    pub kind: u8,
    /// Without kind and length.
    pub data: &'p [u8],
}

/// Iterator over the options of a segment.
#[derive(Clone, Debug)]
pub struct TcpOptions<'p> {
    at: Cursor<'p>,
    left: u8,
}

impl<'p> Iterator for TcpOptions<'p> {
    type Item = TcpOption<'p>;

    fn next(&mut self) -> Option<TcpOption<'p>> {
        // Bounds the walk by itself; an option also takes a byte or more, so it ends with the bytes.
        self.left = self.left.checked_sub(1)?;
        match self.at.u8().ok()? {
            // End of the list: the bytes behind it are padding (RFC 9293 section 3.1).
            0 => {
                self.left = 0;
                None
            }
            1 => Some(TcpOption { kind: 1, data: &[] }),
            kind => {
                // The length includes the bytes of kind and length, so less than two is malformed (RFC 9293
                // section 3.1).
                let len = self.at.u8().ok()?.checked_sub(2)?;
                let data = self.at.take(usize::from(len)).ok()?;
                Some(TcpOption { kind, data })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;
    use std::vec::Vec;

    const SEGMENT: [u8; 30] = [
        0x30, 0x39, 0, 80, 0, 0, 0, 7, 0, 0, 0, 9, // port 12345 to 80, sequence 7, acknowledgement 9
        0x70, 0xc2, 0x72, 0x10, 0, 0, 0, 0, // 28 bytes of header, SYN ECE CWR, window 29200
        2, 4, 0x05, 0xb4, 1, 3, 3, 7, // segment size 1460, no operation, window scale 7
        0xaa, 0xbb,
    ];

    #[test]
    fn the_fields_are_read() {
        let tcp = Tcp::parse(CapturedSlice::new(&SEGMENT, 40)).unwrap();
        assert_eq!((tcp.source_port, tcp.destination_port), (Port(12345), Port(80)));
        assert_eq!((tcp.sequence, tcp.acknowledgement, tcp.window), (7, 9, 29200));
        assert_eq!((tcp.payload, tcp.payload_wire_len), (&[0xaa, 0xbb][..], 12));
        assert!(tcp.flags.syn_only() && tcp.flags.has(TcpFlags::ECE.with(TcpFlags::CWR)));
        assert_eq!(tcp.maximum_segment_size(), Some(1460));
        assert_eq!(tcp.option_list().map(|option| option.kind).collect::<Vec<_>>(), [2, 1, 3]);
    }

    #[test]
    fn scans_show_in_the_flags() {
        for (flags, syn_only, syn_ack, null, xmas) in [
            (0x02, true, false, false, false),
            (0xc2, true, false, false, false),
            (0x12, false, true, false, false),
            (0x52, false, true, false, false),
            (0x06, false, false, false, false),
            (0x03, false, false, false, false),
            (0x00, false, false, true, false),
            (0xc0, false, false, true, false),
            (0x29, false, false, false, true),
            (0x39, false, false, false, false),
        ] {
            let flags = TcpFlags(flags);
            let found = (flags.syn_only(), flags.syn_ack(), flags.is_null(), flags.is_xmas());
            assert_eq!(found, (syn_only, syn_ack, null, xmas), "{flags}");
        }
        assert_eq!(TcpFlags(0x12).to_string(), "SYN,ACK");
        assert_eq!(TcpFlags(0).to_string(), "-");
    }

    #[test]
    fn every_cut_is_an_error_or_a_shorter_payload() {
        for cut in 0..SEGMENT.len() {
            match Tcp::parse(CapturedSlice::new(&SEGMENT[..cut], 30)) {
                Err(error) => assert!(cut < 20 && error == Malformed::Truncated),
                Ok(tcp) => {
                    assert_eq!(tcp.options.len(), (cut - 20).min(8));
                    assert_eq!((tcp.payload.len(), tcp.payload_wire_len), (cut.saturating_sub(28), 2));
                    assert!(tcp.option_list().count() <= 3);
                }
            }
        }
    }

    #[test]
    fn wrong_header_lengths_are_errors() {
        for (offset, good) in [(0x40, false), (0x50, true), (0x70, true), (0x80, false), (0xf0, false)] {
            let mut bytes = SEGMENT;
            bytes[12] = offset;
            assert_eq!(Tcp::parse(CapturedSlice::new(&bytes, 30)).is_ok(), good, "{offset:#x}");
        }
        // a segment that is shorter than a header, all of it captured: the tiny fragment of RFC 1858
        assert_eq!(Tcp::parse(CapturedSlice::new(&SEGMENT[..8], 8)), Err(Malformed::BadLength));
    }

    #[test]
    fn options_with_wrong_lengths_end_the_list() {
        for length in [0, 1, 40, 255] {
            let mut bytes = SEGMENT;
            bytes[21] = length;
            assert_eq!(
                Tcp::parse(CapturedSlice::new(&bytes, 30)).unwrap().option_list().count(),
                0,
                "{length}"
            );
        }
        let mut bytes = SEGMENT;
        bytes[24] = 0; // end of options before the window scale
        assert_eq!(Tcp::parse(CapturedSlice::new(&bytes, 30)).unwrap().option_list().count(), 1);
    }
}
