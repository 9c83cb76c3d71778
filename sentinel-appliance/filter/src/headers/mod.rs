//! Offsets of the headers of a frame, and how each names the next.
//!
//! Read first: <https://www.tcpdump.org/linktypes.html>; IEEE 802.1Q and 802.3; RFC 1661, 2516 and 3032.
//!
//! `vlan`, `mpls` and `pppoes` advance the offsets for everything that the expression tests after them, as
//! libpcap does.

mod ethertype;

use sentinel_units::LinkType;

use ethertype::{EtherTypeEncoding, MAX_802_3_LENGTH};

use crate::code;
use crate::error::{ExpressionErrorReason, ParseError};
use crate::graph::{Comparison, Condition, Graph};
use crate::numbers::ethertype::{IPV4, IPV6, MPLS, PPPOE_DISCOVERY, PPPOE_SESSION, VLAN_TAGS};
use crate::numbers::ppp;
use crate::target::Target;
use crate::value::{LoadSize, Offset, Operation, ValueId};

/// Most encapsulation headers that an expression may step over; more would not fit a frame.
const MAX_HEADERS: u32 = 64;

/// Header offsets at the current point of the expression.
pub(crate) struct Headers {
    link: LinkType,
    target: Target,
    encoding: EtherTypeEncoding,
    /// Start of the link header.
    link_start: Offset,
    /// The field that names the network protocol.
    ethertype_offset: Offset,
    /// Start of the network header.
    network_offset: Offset,
    /// MPLS labels stepped over.
    mpls_labels: u32,
    /// Encapsulation headers stepped over, at most [`MAX_HEADERS`].
    header_count: u32,
    /// A VLAN tag was stepped over, so the next one is an inner tag, which is always in the frame.
    is_tagged: bool,
}

impl Headers {
    /// Offsets at the start of the expression; `None` if frames of this link type cannot be filtered.
    pub(crate) fn new(link: LinkType, target: Target) -> Option<Self> {
        let (encoding, ethertype_offset, network_offset) = match link {
            LinkType::ETHERNET => (EtherTypeEncoding::Ethernet, 12, 14),
            LinkType::LINUX_SLL => (EtherTypeEncoding::LinuxCooked, 14, 16),
            LinkType::LINUX_SLL2 => (EtherTypeEncoding::EtherType, 0, 20),
            LinkType::NULL => (EtherTypeEncoding::AddressFamily { either_order: true }, 0, 4),
            LinkType::LOOP => (EtherTypeEncoding::AddressFamily { either_order: false }, 0, 4),
            // Some systems write 12 or 14 for RAW.
            LinkType::RAW | LinkType(12 | 14) => (EtherTypeEncoding::IpVersion, 0, 0),
            LinkType::IPV4 => (EtherTypeEncoding::Fixed(IPV4), 0, 0),
            LinkType::IPV6 => (EtherTypeEncoding::Fixed(IPV6), 0, 0),
            LinkType(9) => (EtherTypeEncoding::Ppp, 2, 4),
            LinkType(104) => (EtherTypeEncoding::Hdlc, 2, 4),
            _ => return None,
        };
        Some(Self {
            link,
            target,
            encoding,
            link_start: Offset::fixed(0),
            ethertype_offset: Offset::fixed(ethertype_offset),
            network_offset: Offset::fixed(network_offset),
            mpls_labels: 0,
            header_count: 0,
            is_tagged: false,
        })
    }

    /// Start of the link-layer header.
    pub(crate) fn link_start(&self) -> Offset {
        self.link_start
    }

    /// Start of the network header.
    pub(crate) fn network(&self) -> Offset {
        self.network_offset
    }

    /// Start of the OSI header, which is behind the LLC header.
    pub(crate) fn osi(&self) -> Offset {
        self.network_offset.plus(match self.encoding {
            EtherTypeEncoding::Ethernet => 3,
            EtherTypeEncoding::Hdlc => 1,
            _ => 0,
        })
    }

    /// Returns true behind an MPLS label, where only the version nibble names the protocol.
    pub(crate) fn is_behind_mpls(&self) -> bool {
        self.mpls_labels > 0
    }

    /// The error that frames of this link type have no `what`.
    pub(crate) fn not_on_link(&self, what: &'static str) -> ParseError {
        ExpressionErrorReason::NotOnLink { what, link: self.link }.into()
    }

    /// Start of the Ethernet header.
    ///
    /// # Errors
    /// If there is none, or a `PPPoE` header was stepped over.
    pub(crate) fn ethernet(&self, what: &'static str) -> Result<Offset, ParseError> {
        if self.encoding == EtherTypeEncoding::Ethernet {
            Ok(self.link_start)
        } else {
            Err(self.not_on_link(what))
        }
    }

    /// Counts an encapsulation header against the limit.
    fn count_header(&mut self) -> Result<(), ParseError> {
        self.header_count += 1;
        if self.header_count > MAX_HEADERS { Err(ExpressionErrorReason::TooDeep.into()) } else { Ok(()) }
    }

    /// The condition that there is a VLAN tag (with this identifier). Advances behind the tag.
    pub(crate) fn vlan(&mut self, graph: &mut Graph, id: Option<u32>) -> Result<Condition, ParseError> {
        if self.encoding != EtherTypeEncoding::Ethernet || self.mpls_labels > 0 {
            return Err(self.not_on_link("VLAN tags here"));
        }
        self.count_header()?;
        let outer = !self.is_tagged && self.target == Target::Kernel;
        self.is_tagged = true;
        if outer {
            return Ok(self.kernel_vlan(graph, id));
        }
        let tag = self.tag_in_frame(graph, id);
        self.ethertype_offset = self.ethertype_offset.plus(4);
        self.network_offset = self.network_offset.plus(4);
        Ok(tag)
    }

    /// The condition that the next tag is in the bytes of the frame.
    fn tag_in_frame(&self, graph: &mut Graph, id: Option<u32>) -> Condition {
        let ethertype = graph.values.load(self.ethertype_offset, LoadSize::Half);
        let tag = graph.equals_any(ethertype, &VLAN_TAGS);
        let Some(id) = id else { return tag };
        let information = graph.values.load(self.network_offset, LoadSize::Half);
        let same = graph.masked_equal(information, id, 0x0fff);
        graph.and(tag, same)
    }

    /// The condition that there is an outer tag, for live frames. The kernel removes the outer tag from most
    /// frames and keeps it as metadata (`SKF_AD_VLAN_TAG`), so all later offsets are four bytes larger only
    /// if it did not.
    fn kernel_vlan(&mut self, graph: &mut Graph, id: Option<u32>) -> Condition {
        let present = graph.values.load(Offset::fixed(code::ANCILLARY_VLAN_TAG_PRESENT), LoadSize::Byte);
        let mut removed = graph.compare_constant(present, Comparison::AnyBit, 1);
        if let Some(id) = id {
            let information = graph.values.load(Offset::fixed(code::ANCILLARY_VLAN_TAG), LoadSize::Half);
            let same = graph.masked_equal(information, id, 0x0fff);
            removed = graph.and(removed, same);
        }
        // A frame whose outer tag was removed may have an inner tag: its identifier must not be taken for the
        // outer.
        let in_place = graph.compare_constant(present, Comparison::AnyBit, 1).negated();
        let in_frame = self.tag_in_frame(graph, id);
        let in_place = graph.and(in_place, in_frame);
        let tagged = graph.or(removed, in_place);
        let shift = self.tag_displacement(graph, present);
        for offset in [&mut self.ethertype_offset, &mut self.network_offset] {
            offset.variable = Some(shift);
        }
        tagged
    }

    /// Length of the tag in the frame: four if `present` is zero, zero if it is one. `(present ^ 1) << 2`,
    /// without a branch, so that it can be part of an offset.
    fn tag_displacement(&self, graph: &mut Graph, present: ValueId) -> ValueId {
        let (one, two) = (graph.values.constant(1), graph.values.constant(2));
        let absent = graph.values.binary(Operation::Xor, present, one).unwrap_or(present);
        graph.values.binary(Operation::ShiftLeft, absent, two).unwrap_or(absent)
    }

    /// The condition that there is an MPLS label (this one). Advances behind the label.
    pub(crate) fn mpls(&mut self, graph: &mut Graph, label: Option<u32>) -> Result<Condition, ParseError> {
        self.count_header()?;
        let mut found = match self.encoding {
            _ if self.mpls_labels > 0 => self.is_bottom_of_stack(graph).negated(),
            EtherTypeEncoding::Ethernet | EtherTypeEncoding::Hdlc => self.has_ethertype(graph, MPLS)?,
            EtherTypeEncoding::Ppp => self.type_field_is(graph, ppp::MPLS),
            _ => return Err(self.not_on_link("MPLS labels")),
        };
        if let Some(label) = label {
            let entry = graph.values.load(self.network_offset, LoadSize::Word);
            let same = graph.masked_equal(entry, label << 12, 0xffff_f000);
            found = graph.and(found, same);
        }
        // The ethertype stays where it is: behind labels it is not tested any more.
        self.network_offset = self.network_offset.plus(4);
        self.mpls_labels += 1;
        Ok(found)
    }

    /// The condition that the frame is of `PPPoE` discovery.
    pub(crate) fn pppoe_discovery(&self, graph: &mut Graph) -> Result<Condition, ParseError> {
        self.has_ethertype(graph, PPPOE_DISCOVERY)
    }

    /// The condition that the frame is of a `PPPoE` session (this one). Advances to the PPP header behind it.
    pub(crate) fn pppoe_session(
        &mut self,
        graph: &mut Graph,
        session: Option<u32>,
    ) -> Result<Condition, ParseError> {
        self.count_header()?;
        let mut found = self.has_ethertype(graph, PPPOE_SESSION)?;
        if let Some(session) = session {
            let header = graph.values.load(self.network_offset, LoadSize::Word);
            let same = graph.masked_equal(header, session, 0xffff);
            found = graph.and(found, same);
        }
        self.encoding = EtherTypeEncoding::Ppp;
        // Six bytes of `PPPoE` header, then two of PPP protocol.
        self.link_start = self.network_offset.plus(6);
        self.ethertype_offset = self.link_start;
        self.network_offset = self.link_start.plus(2);
        Ok(found)
    }

    /// The condition that the frame is of IEEE 802.2 (LLC), and the start of the LLC header.
    pub(crate) fn llc(&self, graph: &mut Graph) -> Result<(Condition, Offset), ParseError> {
        self.ethernet("LLC")?;
        let ethertype = graph.values.load(self.ethertype_offset, LoadSize::Half);
        let short = graph.compare_constant(ethertype, Comparison::Greater, MAX_802_3_LENGTH).negated();
        // Without labels stepped over: a frame with a length field has none.
        let header = self.network_offset.plus((4 * self.mpls_labels).wrapping_neg());
        // Raw IPX of Novell has no LLC header but an unused checksum of 0xffff.
        let first = graph.values.load(header, LoadSize::Half);
        let not_raw = graph.equal(first, 0xffff).negated();
        Ok((graph.and(short, not_raw), header))
    }

    /// The condition that the capturing machine sent the frame.
    pub(crate) fn outbound(&self, graph: &mut Graph) -> Result<Condition, ParseError> {
        const OUTGOING: u32 = 4;
        let field = match self.link {
            LinkType::LINUX_SLL => graph.values.load(Offset::fixed(0), LoadSize::Half),
            LinkType::LINUX_SLL2 => graph.values.load(Offset::fixed(10), LoadSize::Byte),
            _ if self.target == Target::Kernel => {
                graph.values.load(Offset::fixed(code::ANCILLARY_PACKET_TYPE), LoadSize::Word)
            }
            _ => return Err(ExpressionErrorReason::KernelOnly("inbound and outbound").into()),
        };
        Ok(graph.equal(field, OUTGOING))
    }

    /// The condition that the frame was captured on the interface of this index.
    pub(crate) fn interface(&self, graph: &mut Graph, number: u32) -> Result<Condition, ParseError> {
        let field = match self.link {
            LinkType::LINUX_SLL2 => Offset::fixed(4),
            _ if self.target == Target::Kernel => Offset::fixed(code::ANCILLARY_INTERFACE),
            _ => return Err(ExpressionErrorReason::KernelOnly("ifindex").into()),
        };
        let field = graph.values.load(field, LoadSize::Word);
        Ok(graph.equal(field, number))
    }
}
