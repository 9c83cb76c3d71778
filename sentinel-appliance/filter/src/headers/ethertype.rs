//! How each link layer says what it carries.
//!
//! Read first: IEEE 802.3 section 3.2.6 and 802.2; RFC 1042 (SNAP); IANA's PPP protocol numbers.

use alloc::vec::Vec;

use super::{Headers, IP, IP6};
use crate::error::Fault;
use crate::graph::{Comparison, Condition, Graph};
use crate::value::{Place, Size, ValueId};

const IPX: u32 = 0x8137;
const ATALK: u32 = 0x809b;
const AARP: u32 = 0x80f3;
/// LLC service access points.
const SAP_IP: u32 = 0x06;
const SAP_BRIDGE: u32 = 0x42;
const SAP_IPX: u32 = 0xe0;
const SAP_NETBEUI: u32 = 0xf0;
const SAP_ISO: u32 = 0xfe;
/// The largest number in a type field that is a length (IEEE 802.3 3.2.6).
pub(crate) const MAX_LENGTH: u32 = 1500;

/// How a link layer says what it carries.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Typing {
    /// Ethernet type, or the length of an LLC frame.
    Ethernet,
    /// Ethernet type, or 4 for LLC.
    Cooked,
    /// Ethernet type.
    Plain,
    /// Plain, but a service access point stands there twice.
    Hdlc,
    /// PPP protocol number.
    Ppp,
    /// The version nibble of the header itself.
    Version,
    /// Always this type.
    Only(u32),
    /// Address family, in either byte order or only in network byte order.
    Family { swapped: bool },
}

impl Headers {
    /// That the frame carries `proto`: an Ethernet type, or up to 1500 an LLC service access point.
    pub(crate) fn carries(&self, graph: &mut Graph, proto: u32) -> Result<Condition, Fault> {
        if self.labels > 0 {
            return self.behind_labels(graph, proto);
        }
        Ok(match self.typing {
            Typing::Ethernet => self.ethernet_type(graph, proto),
            Typing::Cooked => self.cooked_type(graph, proto),
            Typing::Plain => self.plain_type(graph, proto),
            Typing::Hdlc => {
                let proto = if proto == SAP_ISO { proto << 8 | proto } else { proto };
                self.plain_type(graph, proto)
            }
            Typing::Ppp => {
                let proto = match proto {
                    IP => 0x21,
                    IP6 => 0x57,
                    0x6003 => 0x27,
                    ATALK => 0x29,
                    0x0600 => 0x25,
                    SAP_ISO => 0x23,
                    SAP_BRIDGE => 0x31,
                    SAP_IPX => 0x2b,
                    other => other,
                };
                self.plain_type(graph, proto)
            }
            Typing::Version => match proto {
                IP => version(graph, self.payload, 0x40),
                IP6 => version(graph, self.payload, 0x60),
                _ => graph.settled(false),
            },
            Typing::Only(only) => graph.settled(proto == only),
            Typing::Family { swapped } => {
                // AF_INET; AF_INET6 of NetBSD and OpenBSD, FreeBSD, macOS.
                let families: &[u32] = match proto {
                    IP => &[2],
                    IP6 => &[24, 28, 30],
                    _ => return Ok(graph.settled(false)),
                };
                let found = graph.values.load(self.kind, Size::Word);
                let orders = |family: &u32| [swapped.then_some(family.swap_bytes()), Some(*family)];
                let wanted: Vec<u32> = families.iter().flat_map(orders).flatten().collect();
                one_of(graph, found, &wanted)
            }
        })
    }

    pub(crate) fn plain_type(&self, graph: &mut Graph, proto: u32) -> Condition {
        let found = graph.values.load(self.kind, Size::Half);
        graph.equal(found, proto)
    }

    fn ethernet_type(&self, graph: &mut Graph, proto: u32) -> Condition {
        let found = graph.values.load(self.kind, Size::Half);
        let not_type = |graph: &mut Graph| graph.against(found, Comparison::Greater, MAX_LENGTH).negated();
        match proto {
            SAP_IPX => {
                let typed = graph.equal(found, IPX);
                let short = not_type(graph);
                let inside = self.ipx_in_llc(graph);
                let short = graph.and(short, inside);
                graph.or(typed, short)
            }
            ATALK | AARP => {
                let typed = graph.equal(found, proto);
                let short = not_type(graph);
                let inside = self.snap(graph, proto);
                let short = graph.and(short, inside);
                graph.or(typed, short)
            }
            0..=MAX_LENGTH => {
                let short = not_type(graph);
                let inside = self.access_point(graph, proto);
                graph.and(short, inside)
            }
            _ => graph.equal(found, proto),
        }
    }

    fn cooked_type(&self, graph: &mut Graph, proto: u32) -> Condition {
        const RAW_802_3: u32 = 1;
        const LLC: u32 = 4;
        let found = graph.values.load(self.kind, Size::Half);
        match proto {
            SAP_IPX => {
                let typed = graph.equal(found, IPX);
                let raw = graph.equal(found, RAW_802_3);
                let typed = graph.or(typed, raw);
                let llc = graph.equal(found, LLC);
                let point = self.access_point(graph, proto);
                let snap = self.snap(graph, IPX);
                let inside = graph.or(point, snap);
                let llc = graph.and(llc, inside);
                graph.or(typed, llc)
            }
            ATALK | AARP => {
                let typed = graph.equal(found, proto);
                let llc = graph.equal(found, LLC);
                let snap = self.snap(graph, proto);
                let llc = graph.and(llc, snap);
                graph.or(typed, llc)
            }
            0..=MAX_LENGTH => {
                let llc = graph.equal(found, LLC);
                let point = self.access_point(graph, proto);
                graph.and(llc, point)
            }
            _ => graph.equal(found, proto),
        }
    }

    /// That the LLC header names `proto`: where both ends must be it, as both.
    fn access_point(&self, graph: &mut Graph, proto: u32) -> Condition {
        if matches!(proto, SAP_ISO | SAP_IP | SAP_NETBEUI) {
            let both = graph.values.load(self.payload, Size::Half);
            return graph.equal(both, proto << 8 | proto);
        }
        let destination = graph.values.load(self.payload, Size::Byte);
        graph.equal(destination, proto)
    }

    /// That the LLC header is one of SNAP, with the organisation that `proto` goes with.
    fn snap(&self, graph: &mut Graph, proto: u32) -> Condition {
        let organisation = if proto == ATALK { 0x08_0007 } else { 0 };
        let low = graph.values.load(self.payload.plus(4), Size::Word);
        let low = graph.equal(low, organisation << 16 | proto);
        let high = graph.values.load(self.payload, Size::Word);
        let high = graph.equal(high, 0xaaaa_0300 | organisation >> 16);
        graph.and(low, high)
    }

    /// By SNAP, by service access point, or raw: the length is followed by a checksum that is not used.
    fn ipx_in_llc(&self, graph: &mut Graph) -> Condition {
        let snap = self.snap(graph, IPX);
        let point = self.access_point(graph, SAP_IPX);
        let raw = graph.values.load(self.payload, Size::Half);
        let raw = graph.equal(raw, 0xffff);
        let point = graph.or(point, raw);
        graph.or(snap, point)
    }

    /// The last label has its bit set; then only the version nibble tells what follows.
    fn behind_labels(&self, graph: &mut Graph, proto: u32) -> Result<Condition, Fault> {
        let nibble = match proto {
            IP => 0x40,
            IP6 => 0x60,
            _ => return Err(self.missing("such type behind an MPLS label")),
        };
        let last = self.last_label(graph);
        let version = version(graph, self.payload, nibble);
        Ok(graph.and(last, version))
    }

    pub(crate) fn last_label(&self, graph: &mut Graph) -> Condition {
        let label_end = self.payload.plus(2_u32.wrapping_neg());
        let found = graph.values.load(label_end, Size::Byte);
        graph.against(found, Comparison::AnyBit, 1)
    }
}

fn version(graph: &mut Graph, header: Place, nibble: u32) -> Condition {
    let first = graph.values.load(header, Size::Byte);
    masked_equal(graph, first, nibble, 0xf0)
}

pub(crate) fn masked_equal(graph: &mut Graph, value: ValueId, wanted: u32, mask: u32) -> Condition {
    let value = graph.values.masked(value, mask);
    graph.equal(value, wanted)
}

/// That `value` is one of `wanted`, which must not be empty.
pub(crate) fn one_of(graph: &mut Graph, value: ValueId, wanted: &[u32]) -> Condition {
    let mut found: Option<Condition> = None;
    for number in wanted {
        let same = graph.equal(value, *number);
        found = Some(graph.or_if(found, same));
    }
    found.unwrap_or_else(|| graph.settled(false))
}
