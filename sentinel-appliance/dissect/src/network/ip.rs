//! What IPv4 and IPv6 have in common.
//!
//! Read first: RFC 791; RFC 8200.

use sentinel_units::Address;

/// The largest datagram without jumbo payload.
const MAX_DATAGRAM_LEN: u32 = 65_535;

/// An IPv4 or IPv6 datagram or a fragment of one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ip<'p> {
    /// Who claims to have sent it.
    pub source: Address,
    /// Who it is for.
    pub destination: Address,
    /// What the payload is, after IPv6 extension headers and authentication headers.
    pub protocol: u8,
    /// Hops left (IPv4: time to live). 255 proves that the sender is on the link.
    pub hop_limit: u8,
    /// Differentiated services (6 bits) and congestion notification (2 bits).
    pub traffic_class: u8,
    /// Set if this is a part of a datagram. An IPv6 fragment header on a whole datagram does not count
    /// (RFC 6946: such a datagram is handled as if it had none).
    pub fragment: Option<Fragment>,
    /// Bytes of the datagram on the wire: headers and payload, no padding.
    pub wire_len: u32,
    /// Captured bytes behind all headers.
    pub payload: &'p [u8],
    /// Bytes behind all headers on the wire.
    pub payload_wire_len: u32,
}

impl Ip<'_> {
    /// Whether it is IPv4. An address tells: IPv4-mapped addresses in IPv6 headers are refused.
    #[inline]
    #[must_use]
    pub const fn is_v4(&self) -> bool {
        self.source.is_v4()
    }

    /// Whether this is a fragment other than the first, so that no transport header is in it.
    #[inline]
    #[must_use]
    pub const fn is_later_fragment(&self) -> bool {
        matches!(self.fragment, Some(Fragment { offset: 1.., .. }))
    }
}

/// Which part of a datagram a fragment is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Fragment {
    /// Equal for all parts of a datagram; 16 bits in IPv4.
    pub identification: u32,
    /// Where the payload of this part belongs, in bytes.
    pub offset: u16,
    /// Whether parts follow.
    pub more: bool,
    /// Headers between this place and the payload, in units of four bytes: extension headers behind the IPv6 fragment
    /// header, or an authentication header. Zero but in the first part; 255 for so many that they cannot be counted.
    pub skipped_words: u8,
}

impl Fragment {
    /// Notes that a header of this length was read.
    #[cold]
    pub(crate) fn skip(&mut self, header_len: u32) {
        let words = u32::from(self.skipped_words).saturating_add(header_len / 4);
        self.skipped_words = u8::try_from(words).unwrap_or(u8::MAX);
    }

    /// Whether a payload of this length ends within the largest datagram.
    #[inline]
    pub(crate) fn fits(self, payload_wire_len: u32) -> bool {
        u32::from(self.offset).saturating_add(payload_wire_len) <= MAX_DATAGRAM_LEN
    }
}
