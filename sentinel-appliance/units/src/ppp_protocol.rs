//! PPP protocol numbers (<https://www.iana.org/assignments/ppp-numbers>) that the sensor reads.

/// Internet Protocol, version 4.
pub const IPV4: u16 = 0x0021;
/// Internet Protocol, version 6.
pub const IPV6: u16 = 0x0057;
/// MPLS labels.
pub const MPLS: u16 = 0x0281;
