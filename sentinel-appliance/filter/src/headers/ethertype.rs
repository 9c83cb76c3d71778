//! Tests of the network protocol in each link layer.
//!
//! Read first: IEEE 802.3 section 3.2.6 and 802.2; RFC 1042 (SNAP); IANA's PPP protocol numbers.

use alloc::vec::Vec;

use super::Headers;
use crate::error::ParseError;
use crate::graph::{Comparison, Condition, Graph};
use crate::numbers::ethertype::{IPV4, IPV6};
use crate::numbers::ppp;
use crate::value::{LoadSize, Offset};

const IPX: u32 = 0x8137;
const ATALK: u32 = 0x809b;
const AARP: u32 = 0x80f3;
/// LLC service access points.
const SAP_IP: u32 = 0x06;
const SAP_BRIDGE: u32 = 0x42;
const SAP_IPX: u32 = 0xe0;
const SAP_NETBEUI: u32 = 0xf0;
const SAP_ISO: u32 = 0xfe;
/// Largest number in an Ethernet type field that is a length (IEEE 802.3, 3.2.6).
pub(crate) const MAX_802_3_LENGTH: u32 = 1500;

/// Encoding of the network protocol in a link-layer header.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum EtherTypeEncoding {
    /// Ethertype, or the length of an LLC frame.
    Ethernet,
    /// Ethertype, or 4 for LLC.
    LinuxCooked,
    /// Ethertype.
    EtherType,
    /// Ethertype, or an LLC service access point twice.
    Hdlc,
    /// PPP protocol number.
    Ppp,
    /// None; the version nibble of the IP header.
    IpVersion,
    /// None; all frames carry this ethertype.
    Fixed(u32),
    /// Address family of the capturing system, in either byte order or only in network byte order.
    AddressFamily { either_order: bool },
}

impl Headers {
    /// The condition that the frame carries `proto`: an ethertype, or up to 1500 an LLC service access point.
    pub(crate) fn has_ethertype(&self, graph: &mut Graph, proto: u32) -> Result<Condition, ParseError> {
        if self.mpls_labels > 0 {
            return self.behind_mpls(graph, proto);
        }
        Ok(match self.encoding {
            EtherTypeEncoding::Ethernet => self.ethernet_type_is(graph, proto),
            EtherTypeEncoding::LinuxCooked => self.cooked_type_is(graph, proto),
            EtherTypeEncoding::EtherType => self.type_field_is(graph, proto),
            EtherTypeEncoding::Hdlc => {
                let proto = if proto == SAP_ISO { proto << 8 | proto } else { proto };
                self.type_field_is(graph, proto)
            }
            EtherTypeEncoding::Ppp => self.type_field_is(graph, ppp_protocol(proto)),
            EtherTypeEncoding::IpVersion => match proto {
                IPV4 => ip_version_is(graph, self.network_offset, 0x40),
                IPV6 => ip_version_is(graph, self.network_offset, 0x60),
                _ => graph.constant(false),
            },
            EtherTypeEncoding::Fixed(only) => graph.constant(proto == only),
            EtherTypeEncoding::AddressFamily { either_order } => {
                self.address_family_is(graph, proto, either_order)
            }
        })
    }

    /// BSD loopback: the address family of the capturing system. Values of `AF_INET6` differ between `NetBSD`
    /// and `OpenBSD`, `FreeBSD`, and `macOS`.
    fn address_family_is(&self, graph: &mut Graph, proto: u32, either_order: bool) -> Condition {
        let families: &[u32] = match proto {
            IPV4 => &[2],
            IPV6 => &[24, 28, 30],
            _ => return graph.constant(false),
        };
        let family = graph.values.load(self.ethertype_offset, LoadSize::Word);
        let orders = |family: &u32| [either_order.then_some(family.swap_bytes()), Some(*family)];
        let wanted: Vec<u32> = families.iter().flat_map(orders).flatten().collect();
        graph.equals_any(family, &wanted)
    }

    /// The condition that the 16-bit type field is `proto`.
    pub(super) fn type_field_is(&self, graph: &mut Graph, proto: u32) -> Condition {
        let found = graph.values.load(self.ethertype_offset, LoadSize::Half);
        graph.equal(found, proto)
    }

    /// Ethernet II or 802.3: the LLC header is looked at if the type field is a length.
    fn ethernet_type_is(&self, graph: &mut Graph, proto: u32) -> Condition {
        let found = graph.values.load(self.ethertype_offset, LoadSize::Half);
        let not_type = |graph: &mut Graph| {
            graph.compare_constant(found, Comparison::Greater, MAX_802_3_LENGTH).negated()
        };
        match proto {
            SAP_IPX => {
                let typed = graph.equal(found, IPX);
                let short = not_type(graph);
                let llc_match = self.ipx_in_llc(graph);
                let short = graph.and(short, llc_match);
                graph.or(typed, short)
            }
            ATALK | AARP => {
                let typed = graph.equal(found, proto);
                let short = not_type(graph);
                let llc_match = self.snap_is(graph, proto);
                let short = graph.and(short, llc_match);
                graph.or(typed, short)
            }
            0..=MAX_802_3_LENGTH => {
                let short = not_type(graph);
                let llc_match = self.sap_is(graph, proto);
                graph.and(short, llc_match)
            }
            _ => graph.equal(found, proto),
        }
    }

    /// Linux cooked capture, where a type of 4 stands for LLC.
    fn cooked_type_is(&self, graph: &mut Graph, proto: u32) -> Condition {
        const RAW_802_3: u32 = 1;
        const LLC: u32 = 4;
        let found = graph.values.load(self.ethertype_offset, LoadSize::Half);
        match proto {
            SAP_IPX => {
                let typed = graph.equal(found, IPX);
                let raw = graph.equal(found, RAW_802_3);
                let typed = graph.or(typed, raw);
                let llc = graph.equal(found, LLC);
                let sap = self.sap_is(graph, proto);
                let snap = self.snap_is(graph, IPX);
                let llc_match = graph.or(sap, snap);
                let llc = graph.and(llc, llc_match);
                graph.or(typed, llc)
            }
            ATALK | AARP => {
                let typed = graph.equal(found, proto);
                let llc = graph.equal(found, LLC);
                let snap = self.snap_is(graph, proto);
                let llc = graph.and(llc, snap);
                graph.or(typed, llc)
            }
            0..=MAX_802_3_LENGTH => {
                let llc = graph.equal(found, LLC);
                let sap = self.sap_is(graph, proto);
                graph.and(llc, sap)
            }
            _ => graph.equal(found, proto),
        }
    }

    /// The condition that the LLC header names `proto`. ISO, IP and `NetBEUI` must be both service access
    /// points, others the destination only, as in libpcap.
    fn sap_is(&self, graph: &mut Graph, proto: u32) -> Condition {
        if matches!(proto, SAP_ISO | SAP_IP | SAP_NETBEUI) {
            let both = graph.values.load(self.network_offset, LoadSize::Half);
            return graph.equal(both, proto << 8 | proto);
        }
        let destination = graph.values.load(self.network_offset, LoadSize::Byte);
        graph.equal(destination, proto)
    }

    /// The condition that the LLC header is of SNAP, with the organisation that defines `proto` (RFC 1042).
    fn snap_is(&self, graph: &mut Graph, proto: u32) -> Condition {
        // Both service access points 0xaa, control 3, three bytes of organisation, ethertype (RFC 1042).
        let organisation = if proto == ATALK { 0x08_0007 } else { 0 };
        let low = graph.values.load(self.network_offset.plus(4), LoadSize::Word);
        let low = graph.equal(low, organisation << 16 | proto);
        let high = graph.values.load(self.network_offset, LoadSize::Word);
        let high = graph.equal(high, 0xaaaa_0300 | organisation >> 16);
        graph.and(low, high)
    }

    /// IPX in an 802.3 frame: by SNAP, by service access point, or raw, where an unused checksum follows the
    /// length.
    fn ipx_in_llc(&self, graph: &mut Graph) -> Condition {
        let snap = self.snap_is(graph, IPX);
        let sap = self.sap_is(graph, SAP_IPX);
        let raw = graph.values.load(self.network_offset, LoadSize::Half);
        let raw = graph.equal(raw, 0xffff);
        let sap = graph.or(sap, raw);
        graph.or(snap, sap)
    }

    /// Behind MPLS labels, which do not name what they carry: the last label has its bottom-of-stack bit set,
    /// and the version nibble distinguishes IPv4 and IPv6.
    fn behind_mpls(&self, graph: &mut Graph, proto: u32) -> Result<Condition, ParseError> {
        let nibble = match proto {
            IPV4 => 0x40,
            IPV6 => 0x60,
            _ => return Err(self.not_on_link("such type behind an MPLS label")),
        };
        let last = self.is_bottom_of_stack(graph);
        let version = ip_version_is(graph, self.network_offset, nibble);
        Ok(graph.and(last, version))
    }

    /// The condition that the label before the current offset is the last (bottom of stack, RFC 3032 section
    /// 2.1).
    pub(super) fn is_bottom_of_stack(&self, graph: &mut Graph) -> Condition {
        // The third of the four bytes of a label; the fourth is its time to live.
        let label_end = self.network_offset.plus(2_u32.wrapping_neg());
        let found = graph.values.load(label_end, LoadSize::Byte);
        graph.compare_constant(found, Comparison::AnyBit, 1)
    }
}

/// The condition that the high nibble of the first byte is `nibble`.
fn ip_version_is(graph: &mut Graph, header: Offset, nibble: u32) -> Condition {
    let first = graph.values.load(header, LoadSize::Byte);
    graph.masked_equal(first, nibble, 0xf0)
}

/// The PPP protocol number of an ethertype or LLC service access point (IANA, "PPP DLL Protocol Numbers").
fn ppp_protocol(proto: u32) -> u32 {
    match proto {
        IPV4 => ppp::IPV4,
        IPV6 => ppp::IPV6,
        0x6003 => 0x27,
        ATALK => 0x29,
        0x0600 => 0x25,
        SAP_ISO => 0x23,
        SAP_BRIDGE => 0x31,
        SAP_IPX => 0x2b,
        other => other,
    }
}
