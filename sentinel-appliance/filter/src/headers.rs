//! Where the headers of a frame are and how one says what the next is.
//!
//! Read first: <https://www.tcpdump.org/linktypes.html>; IEEE 802.1Q and 802.3; RFC 1661, 2516 and 3032.

use alloc::vec::Vec;

use sentinel_units::LinkType;

use crate::code;
use crate::expression::Target;
use crate::fault::ExpressionFault;
use crate::graph::{Comparison, Condition, Graph};
use crate::value::{Operation, Place, Size, ValueId};

pub(crate) const IP: u32 = 0x0800;
pub(crate) const IP6: u32 = 0x86dd;
pub(crate) const ARP: u32 = 0x0806;
pub(crate) const RARP: u32 = 0x8035;
const IPX: u32 = 0x8137;
const ATALK: u32 = 0x809b;
const AARP: u32 = 0x80f3;
const MPLS: u32 = 0x8847;
const PPPOE_DISCOVERY: u32 = 0x8863;
const PPPOE_SESSION: u32 = 0x8864;
const TAGS: [u32; 3] = [0x8100, 0x88a8, 0x9100]; // 802.1Q, 802.1ad, QinQ before it had a standard

/// LLC service access points.
const SAP_IP: u32 = 0x06;
const SAP_BRIDGE: u32 = 0x42;
const SAP_IPX: u32 = 0xe0;
const SAP_NETBEUI: u32 = 0xf0;
const SAP_ISO: u32 = 0xfe;
/// The largest number in a type field that is a length (IEEE 802.3 3.2.6).
const MOST_LENGTH: u32 = 1500;

/// How a link layer says what it carries.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Typing {
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

/// The number of headers that a filter may step over; more would not fit a frame.
const MOST_STEPS: u32 = 64;

/// The headers as they are known at this point of the expression.
pub(crate) struct Headers {
    link: LinkType,
    target: Target,
    typing: Typing,
    /// Start of the link header.
    start: Place,
    /// Its type field.
    kind: Place,
    /// What follows it.
    payload: Place,
    labels: u32,
    steps: u32,
    is_tagged: bool,
}

impl Headers {
    /// `None` if frames of this type cannot be filtered.
    pub(crate) fn of(link: LinkType, target: Target) -> Option<Self> {
        let (typing, kind, payload) = match link {
            LinkType::ETHERNET => (Typing::Ethernet, 12, 14),
            LinkType::LINUX_SLL => (Typing::Cooked, 14, 16),
            LinkType::LINUX_SLL2 => (Typing::Plain, 0, 20),
            LinkType::NULL => (Typing::Family { swapped: true }, 0, 4),
            LinkType::LOOP => (Typing::Family { swapped: false }, 0, 4),
            // 12 and 14 are what some systems write for RAW.
            LinkType::RAW | LinkType(12 | 14) => (Typing::Version, 0, 0),
            LinkType::IPV4 => (Typing::Only(IP), 0, 0),
            LinkType::IPV6 => (Typing::Only(IP6), 0, 0),
            LinkType(9) => (Typing::Ppp, 2, 4),
            LinkType(104) => (Typing::Hdlc, 2, 4),
            _ => return None,
        };
        Some(Self {
            link,
            target,
            typing,
            start: Place::at(0),
            kind: Place::at(kind),
            payload: Place::at(payload),
            labels: 0,
            steps: 0,
            is_tagged: false,
        })
    }

    pub(crate) fn start(&self) -> Place {
        self.start
    }

    /// Where the network header is.
    pub(crate) fn network(&self) -> Place {
        self.payload
    }

    pub(crate) fn is_labelled(&self) -> bool {
        self.labels > 0
    }

    pub(crate) fn missing(&self, what: &'static str) -> ExpressionFault {
        ExpressionFault::NotOnLink { what, link: self.link }
    }

    /// Where the Ethernet header is.
    ///
    /// # Errors
    /// If the frame has none, or it is behind.
    pub(crate) fn ethernet(&self, what: &'static str) -> Result<Place, ExpressionFault> {
        if self.typing == Typing::Ethernet { Ok(self.start) } else { Err(self.missing(what)) }
    }

    fn step(&mut self) -> Result<(), ExpressionFault> {
        self.steps += 1;
        if self.steps > MOST_STEPS { Err(ExpressionFault::TooDeep) } else { Ok(()) }
    }

    /// That the frame carries `proto`: an Ethernet type, or up to 1500 an LLC service access point.
    pub(crate) fn carries(&self, graph: &mut Graph, proto: u32) -> Result<Condition, ExpressionFault> {
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

    fn plain_type(&self, graph: &mut Graph, proto: u32) -> Condition {
        let found = graph.values.load(self.kind, Size::Half);
        graph.equal(found, proto)
    }

    fn ethernet_type(&self, graph: &mut Graph, proto: u32) -> Condition {
        let found = graph.values.load(self.kind, Size::Half);
        let not_type = |graph: &mut Graph| graph.against(found, Comparison::Greater, MOST_LENGTH).negated();
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
            0..=MOST_LENGTH => {
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
            0..=MOST_LENGTH => {
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
    fn behind_labels(&self, graph: &mut Graph, proto: u32) -> Result<Condition, ExpressionFault> {
        let nibble = match proto {
            IP => 0x40,
            IP6 => 0x60,
            _ => return Err(self.missing("such type behind an MPLS label")),
        };
        let last = self.last_label(graph);
        let version = version(graph, self.payload, nibble);
        Ok(graph.and(last, version))
    }

    fn last_label(&self, graph: &mut Graph) -> Condition {
        let label_end = self.payload.plus(2_u32.wrapping_neg());
        let found = graph.values.load(label_end, Size::Byte);
        graph.against(found, Comparison::AnyBit, 1)
    }

    /// That there is a VLAN tag (with this identifier); what follows is behind it.
    pub(crate) fn vlan(&mut self, graph: &mut Graph, id: Option<u32>) -> Result<Condition, ExpressionFault> {
        if self.typing != Typing::Ethernet || self.labels > 0 {
            return Err(self.missing("VLAN tags here"));
        }
        self.step()?;
        let outer = !self.is_tagged && self.target == Target::Kernel;
        self.is_tagged = true;
        if outer {
            return Ok(self.vlan_of_kernel(graph, id));
        }
        let tag = self.tag_in_frame(graph, id);
        self.kind = self.kind.plus(4);
        self.payload = self.payload.plus(4);
        Ok(tag)
    }

    fn tag_in_frame(&self, graph: &mut Graph, id: Option<u32>) -> Condition {
        let kind = graph.values.load(self.kind, Size::Half);
        let tag = one_of(graph, kind, &TAGS);
        let Some(id) = id else { return tag };
        let information = graph.values.load(self.payload, Size::Half);
        let same = masked_equal(graph, information, id, 0x0fff);
        graph.and(tag, same)
    }

    /// The kernel takes the outer tag off most frames and keeps it beside them. So what follows is four bytes
    /// further only if it did not.
    fn vlan_of_kernel(&mut self, graph: &mut Graph, id: Option<u32>) -> Condition {
        let present = graph.values.load(Place::at(code::ANCILLARY_VLAN_TAG_PRESENT), Size::Byte);
        let mut taken_off = graph.against(present, Comparison::AnyBit, 1);
        if let Some(id) = id {
            let information = graph.values.load(Place::at(code::ANCILLARY_VLAN_TAG), Size::Half);
            let same = masked_equal(graph, information, id, 0x0fff);
            taken_off = graph.and(taken_off, same);
        }
        // With an identifier, a frame whose tag was taken off may have another tag inside: that is not the outer.
        let still_there = graph.against(present, Comparison::AnyBit, 1).negated();
        let in_frame = self.tag_in_frame(graph, id);
        let still_there = graph.and(still_there, in_frame);
        let tagged = graph.or(taken_off, still_there);
        let shift = self.shift(graph, present);
        for place in [&mut self.kind, &mut self.payload] {
            place.moving = Some(shift);
        }
        tagged
    }

    /// Four if `present` is zero, zero if it is one.
    fn shift(&self, graph: &mut Graph, present: ValueId) -> ValueId {
        let (one, two) = (graph.values.constant(1), graph.values.constant(2));
        let absent = graph.values.binary(Operation::Xor, present, one).unwrap_or(present);
        graph.values.binary(Operation::ShiftLeft, absent, two).unwrap_or(absent)
    }

    /// That there is an MPLS label (this one); what follows is behind it.
    pub(crate) fn mpls(
        &mut self,
        graph: &mut Graph,
        label: Option<u32>,
    ) -> Result<Condition, ExpressionFault> {
        self.step()?;
        let mut found = match self.typing {
            _ if self.labels > 0 => self.last_label(graph).negated(),
            Typing::Ethernet | Typing::Hdlc => self.carries(graph, MPLS)?,
            Typing::Ppp => self.plain_type(graph, 0x0281),
            _ => return Err(self.missing("MPLS labels")),
        };
        if let Some(label) = label {
            let entry = graph.values.load(self.payload, Size::Word);
            let same = masked_equal(graph, entry, label << 12, 0xffff_f000);
            found = graph.and(found, same);
        }
        self.payload = self.payload.plus(4);
        self.labels += 1;
        Ok(found)
    }

    /// A frame by which a `PPPoE` session is found.
    pub(crate) fn pppoe_discovery(&self, graph: &mut Graph) -> Result<Condition, ExpressionFault> {
        self.carries(graph, PPPOE_DISCOVERY)
    }

    /// A frame of a `PPPoE` session (this one); what follows is behind its header.
    pub(crate) fn pppoe_session(
        &mut self,
        graph: &mut Graph,
        session: Option<u32>,
    ) -> Result<Condition, ExpressionFault> {
        self.step()?;
        let mut found = self.carries(graph, PPPOE_SESSION)?;
        if let Some(session) = session {
            let header = graph.values.load(self.payload, Size::Word);
            let same = masked_equal(graph, header, session, 0xffff);
            found = graph.and(found, same);
        }
        self.typing = Typing::Ppp;
        self.start = self.payload.plus(6);
        self.kind = self.start;
        self.payload = self.start.plus(2);
        Ok(found)
    }

    /// That the frame is one of LLC, and where its header is.
    pub(crate) fn llc(&self, graph: &mut Graph) -> Result<(Condition, Place), ExpressionFault> {
        self.ethernet("LLC")?;
        let kind = graph.values.load(self.kind, Size::Half);
        let short = graph.against(kind, Comparison::Greater, MOST_LENGTH).negated();
        let first = graph.values.load(self.payload, Size::Half);
        let not_raw = graph.equal(first, 0xffff).negated();
        Ok((graph.and(short, not_raw), self.payload))
    }

    /// That the machine that captured sent the frame.
    pub(crate) fn outbound(&self, graph: &mut Graph) -> Result<Condition, ExpressionFault> {
        const OUTGOING: u32 = 4;
        let field = match self.link {
            LinkType::LINUX_SLL => graph.values.load(Place::at(0), Size::Half),
            LinkType::LINUX_SLL2 => graph.values.load(Place::at(10), Size::Byte),
            _ if self.target == Target::Kernel => {
                graph.values.load(Place::at(code::ANCILLARY_PACKET_TYPE), Size::Word)
            }
            _ => return Err(ExpressionFault::OnlyLive("inbound and outbound")),
        };
        Ok(graph.equal(field, OUTGOING))
    }

    /// That the frame was captured on the interface of this number.
    pub(crate) fn interface(&self, graph: &mut Graph, number: u32) -> Result<Condition, ExpressionFault> {
        let field = match self.link {
            LinkType::LINUX_SLL2 => Place::at(4),
            _ if self.target == Target::Kernel => Place::at(code::ANCILLARY_INTERFACE),
            _ => return Err(ExpressionFault::OnlyLive("ifindex")),
        };
        let field = graph.values.load(field, Size::Word);
        Ok(graph.equal(field, number))
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
        found = Some(match found {
            Some(found) => graph.or(found, same),
            None => same,
        });
    }
    found.unwrap_or_else(|| graph.settled(false))
}
