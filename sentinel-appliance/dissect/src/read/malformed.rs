//! Faults of headers and messages.

use core::fmt;

/// Reason why bytes could not be read.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Malformed {
    /// A length field points outside the bytes that carry it, or leaves no room for its own header.
    BadLength,
    /// The capture ends before the header does. Common with a short snap length; no fault of the sender.
    Truncated,
    /// The version field is not one that this protocol has.
    BadVersion,
    /// More headers, tags, options or records than legitimate packets have; those over the limit were not read.
    TooManyHeaders,
    /// An address that must not be on the wire, such as an IPv4-mapped one in an IPv6 header.
    BadAddress,
    /// A fragment that would reach past the largest datagram (65,535 bytes): the ping of death.
    BadFragment,
    /// A DNS name with an unknown label type or of more than 255 bytes.
    BadName,
    /// A DNS compression pointer that does not point strictly backwards, or one of too many.
    BadPointer,
    /// A line, token or field that the grammar of the protocol does not allow.
    BadSyntax,
    /// The bytes belong to some other protocol.
    OtherProtocol,
}

impl fmt::Display for Malformed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::BadLength => "length field disagrees with the bytes that are there",
            Self::Truncated => "capture ends before the header does",
            Self::BadVersion => "unknown version",
            Self::TooManyHeaders => "too many headers or options",
            Self::BadAddress => "address that must not be on the wire",
            Self::BadFragment => "fragment reaches past 65535 bytes",
            Self::BadName => "domain name with an unknown label type or over 255 bytes",
            Self::BadPointer => "name pointer that does not point backwards",
            Self::BadSyntax => "line or token that the protocol does not allow",
            Self::OtherProtocol => "some other protocol",
        })
    }
}

impl core::error::Error for Malformed {}

/// Layer of a packet, outermost first.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Layer {
    /// Ethernet, VLAN tags, `PPPoE`, MPLS, capture pseudo-headers.
    Link,
    /// ARP, IPv4, IPv6 and its extension headers.
    Network,
    /// TCP, UDP, ICMP, `ICMPv6`.
    Transport,
    /// DHCP, DNS, TLS, HTTP.
    Application,
}

impl fmt::Display for Layer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Link => "link",
            Self::Network => "network",
            Self::Transport => "transport",
            Self::Application => "application",
        })
    }
}
