//! `EtherType` numbers (<https://www.iana.org/assignments/ieee-802-numbers>) that the sensor reads or names.

/// Internet Protocol, version 4.
pub const IPV4: u16 = 0x0800;
/// Address Resolution Protocol.
pub const ARP: u16 = 0x0806;
/// Mirrored frames, version 3 (draft-foschiano-erspan-03 section 4.3).
pub const ERSPAN_3: u16 = 0x22eb;
/// An Ethernet frame inside GRE or Geneve (transparent Ethernet bridging, RFC 1701).
pub const TRANSPARENT_ETHERNET: u16 = 0x6558;
/// Reverse ARP.
pub const RARP: u16 = 0x8035;
/// A customer VLAN tag (IEEE 802.1Q).
pub const VLAN: u16 = 0x8100;
/// Internet Protocol, version 6.
pub const IPV6: u16 = 0x86dd;
/// Slow protocols: LACP and others (IEEE 802.3 annex 57A).
pub const SLOW_PROTOCOLS: u16 = 0x8809;
/// The point-to-point protocol inside GRE (RFC 2637).
pub const PPP: u16 = 0x880b;
/// MPLS labels.
pub const MPLS: u16 = 0x8847;
/// MPLS labels that the receiver upstream assigned (RFC 5332).
pub const MPLS_UPSTREAM: u16 = 0x8848;
/// PPP over Ethernet, discovery stage.
pub const PPPOE_DISCOVERY: u16 = 0x8863;
/// PPP over Ethernet, session stage.
pub const PPPOE_SESSION: u16 = 0x8864;
/// Port authentication (IEEE 802.1X).
pub const EAPOL: u16 = 0x888e;
/// A service VLAN tag (IEEE 802.1ad).
pub const SERVICE_VLAN: u16 = 0x88a8;
/// Mirrored frames, versions 1 and 2 (draft-foschiano-erspan-03 sections 4.1 and 4.2).
pub const ERSPAN: u16 = 0x88be;
/// Link layer discovery (IEEE 802.1AB).
pub const LLDP: u16 = 0x88cc;
/// `HomePlug` management.
pub const HOMEPLUG: u16 = 0x88e1;
/// Precision time protocol (IEEE 1588).
pub const PTP: u16 = 0x88f7;
/// Ethernet configuration test.
pub const LOOPBACK: u16 = 0x9000;
/// Service tags from before IEEE 802.1ad.
pub const OLD_SERVICE_VLAN: u16 = 0x9100;
/// Service tags from before IEEE 802.1ad, of other makers.
pub const OLD_SERVICE_VLAN_2: u16 = 0x9200;

/// Returns true if a VLAN tag follows this `EtherType`.
#[inline]
#[must_use]
pub const fn is_vlan_tag(ethertype: u16) -> bool {
    matches!(ethertype, VLAN | SERVICE_VLAN | OLD_SERVICE_VLAN | OLD_SERVICE_VLAN_2)
}
