//! Facts that IPv4 and IPv6 have in common.
//!
//! Read first: RFC 791; RFC 8200.

use sentinel_units::Address;

/// The largest datagram without jumbo payload.
const MAX_DATAGRAM_LEN: u32 = 65_535;

/// An IPv4 or IPv6 datagram or a fragment of one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ip<'p> {
    /// Source address as the header claims it.
    pub source: Address,
    /// Destination address.
    pub destination: Address,
    /// Protocol number of the payload, behind IPv6 extension headers and authentication headers.
    pub protocol: u8,
    /// Hops left (IPv4: time to live). 255 proves that the sender is on the link.
    pub hop_limit: u8,
    /// Differentiated services (6 bits) and congestion notification (2 bits).
    pub traffic_class: u8,
    /// Set for a fragment of a datagram. An IPv6 fragment header on a complete datagram does not count
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
    /// Returns true for IPv4. The source address shows it, because IPv4-mapped addresses in IPv6 headers are rejected.
    #[inline]
    #[must_use]
    pub const fn is_v4(&self) -> bool {
        self.source.is_v4()
    }

    /// Returns true for a fragment other than the first, which has no transport header.
    #[inline]
    #[must_use]
    pub const fn is_later_fragment(&self) -> bool {
        matches!(self.fragment, Some(Fragment { offset: 1.., .. }))
    }
}

/// Position of a fragment in its datagram.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Fragment {
    /// Equal for all fragments of a datagram; 16 bits in IPv4.
    pub identification: u32,
    /// Offset of this payload in the datagram, in bytes.
    pub offset: u16,
    /// More fragments follow.
    pub more: bool,
    /// Headers between the fragment header and the payload, in units of four bytes: extension headers behind the IPv6 fragment
    /// header, or an authentication header. Zero in all but the first fragment.
    pub skipped_words: u16,
}

impl Fragment {
    /// Adds a header of this length to [`Fragment::skipped_words`].
    #[cold] // few fragments have a header between the fragment header and the payload
    pub(crate) fn skip(&mut self, header_len: u32) {
        let words = u32::from(self.skipped_words).saturating_add(header_len / 4);
        self.skipped_words = u16::try_from(words).unwrap_or(u16::MAX);
    }

    /// Returns true if a payload of this length ends within the largest datagram (65,535 bytes).
    #[inline]
    pub(crate) fn fits(self, payload_wire_len: u32) -> bool {
        u32::from(self.offset).saturating_add(payload_wire_len) <= MAX_DATAGRAM_LEN
    }
}
