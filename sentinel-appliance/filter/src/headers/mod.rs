//! Where the headers of a frame are and how one says what the next is.
//!
//! Read first: <https://www.tcpdump.org/linktypes.html>; IEEE 802.1Q and 802.3; RFC 1661, 2516 and 3032.

pub(crate) mod ethertype;

use sentinel_units::LinkType;

use ethertype::{MAX_LENGTH, Typing, masked_equal, one_of};

use crate::code;
use crate::error::{ExpressionFault, Fault};
use crate::graph::{Comparison, Condition, Graph};
use crate::target::Target;
use crate::value::{Operation, Place, Size, ValueId};

pub(crate) const IP: u32 = 0x0800;
pub(crate) const IP6: u32 = 0x86dd;
pub(crate) const ARP: u32 = 0x0806;
pub(crate) const RARP: u32 = 0x8035;
const MPLS: u32 = 0x8847;
const PPPOE_DISCOVERY: u32 = 0x8863;
const PPPOE_SESSION: u32 = 0x8864;
const TAGS: [u32; 3] = [0x8100, 0x88a8, 0x9100]; // 802.1Q, 802.1ad, QinQ before it had a standard

/// The number of headers that a filter may step over; more would not fit a frame.
const MAX_STEPS: u32 = 64;

/// The headers as they are known at this point of the expression.
pub(crate) struct Headers {
    link: LinkType,
    target: Target,
    pub(crate) typing: Typing,
    /// Start of the link header.
    pub(crate) start: Place,
    /// Its type field.
    pub(crate) kind: Place,
    /// What follows it.
    pub(crate) payload: Place,
    pub(crate) labels: u32,
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

    /// Where the OSI header is: behind what LLC puts before it.
    pub(crate) fn osi(&self) -> Place {
        self.payload.plus(match self.typing {
            Typing::Ethernet => 3,
            Typing::Hdlc => 1,
            _ => 0,
        })
    }

    pub(crate) fn is_labelled(&self) -> bool {
        self.labels > 0
    }

    pub(crate) fn missing(&self, what: &'static str) -> Fault {
        ExpressionFault::NotOnLink { what, link: self.link }.into()
    }

    /// Where the Ethernet header is.
    ///
    /// # Errors
    /// If the frame has none, or it is behind.
    pub(crate) fn ethernet(&self, what: &'static str) -> Result<Place, Fault> {
        if self.typing == Typing::Ethernet { Ok(self.start) } else { Err(self.missing(what)) }
    }

    fn step(&mut self) -> Result<(), Fault> {
        self.steps += 1;
        if self.steps > MAX_STEPS { Err(ExpressionFault::TooDeep.into()) } else { Ok(()) }
    }

    /// That there is a VLAN tag (with this identifier); what follows is behind it.
    pub(crate) fn vlan(&mut self, graph: &mut Graph, id: Option<u32>) -> Result<Condition, Fault> {
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
    pub(crate) fn mpls(&mut self, graph: &mut Graph, label: Option<u32>) -> Result<Condition, Fault> {
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
    pub(crate) fn pppoe_discovery(&self, graph: &mut Graph) -> Result<Condition, Fault> {
        self.carries(graph, PPPOE_DISCOVERY)
    }

    /// A frame of a `PPPoE` session (this one); what follows is behind its header.
    pub(crate) fn pppoe_session(
        &mut self,
        graph: &mut Graph,
        session: Option<u32>,
    ) -> Result<Condition, Fault> {
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
    pub(crate) fn llc(&self, graph: &mut Graph) -> Result<(Condition, Place), Fault> {
        self.ethernet("LLC")?;
        let kind = graph.values.load(self.kind, Size::Half);
        let short = graph.against(kind, Comparison::Greater, MAX_LENGTH).negated();
        // Where it is with no labels: what has a length has none.
        let header = self.payload.plus((4 * self.labels).wrapping_neg());
        let first = graph.values.load(header, Size::Half);
        let not_raw = graph.equal(first, 0xffff).negated();
        Ok((graph.and(short, not_raw), header))
    }

    /// That the machine that captured sent the frame.
    pub(crate) fn outbound(&self, graph: &mut Graph) -> Result<Condition, Fault> {
        const OUTGOING: u32 = 4;
        let field = match self.link {
            LinkType::LINUX_SLL => graph.values.load(Place::at(0), Size::Half),
            LinkType::LINUX_SLL2 => graph.values.load(Place::at(10), Size::Byte),
            _ if self.target == Target::Kernel => {
                graph.values.load(Place::at(code::ANCILLARY_PACKET_TYPE), Size::Word)
            }
            _ => return Err(ExpressionFault::OnlyLive("inbound and outbound").into()),
        };
        Ok(graph.equal(field, OUTGOING))
    }

    /// That the frame was captured on the interface of this number.
    pub(crate) fn interface(&self, graph: &mut Graph, number: u32) -> Result<Condition, Fault> {
        let field = match self.link {
            LinkType::LINUX_SLL2 => Place::at(4),
            _ if self.target == Target::Kernel => Place::at(code::ANCILLARY_INTERFACE),
            _ => return Err(ExpressionFault::OnlyLive("ifindex").into()),
        };
        let field = graph.values.load(field, Size::Word);
        Ok(graph.equal(field, number))
    }
}
