//! Primitives of the language as conditions: addresses, ports, protocols, and packet data.
//!
//! Read first: `pcap-filter(7)`; RFC 791, 793, 826, 8200.

mod transport;

use crate::error::{ExpressionErrorReason, ParseError, Parsed};
use crate::graph::{Comparison, Condition, Graph};
use crate::headers::Headers;
use crate::names::Layer;
use crate::numbers::ethertype::{ARP, IPV4, IPV6, RARP};
use crate::numbers::ip_protocol::{ICMPV6, SCTP, TCP, UDP};
use crate::value::{LoadSize, Offset, ValueId};

/// Length of the fixed IPv6 header.
const IPV6_HEADER_LEN: u32 = 40;

/// The "dir" qualifier: which of two addresses or ports.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Direction {
    Either,
    Source,
    Destination,
    Both,
}

/// Builds conditions in a graph. Holds the header offsets, which depend on what the expression has stepped
/// over.
pub(crate) struct ConditionBuilder {
    pub(crate) graph: Graph,
    pub(crate) headers: Headers,
}

impl ConditionBuilder {
    /// Bytes at `offset` of the network header.
    pub(crate) fn load(&mut self, offset: u32, size: LoadSize) -> ValueId {
        self.graph.values.load(self.headers.network().plus(offset), size)
    }

    /// The condition that the frame carries `proto`.
    pub(crate) fn has_ethertype(&mut self, proto: u32) -> Parsed<Condition> {
        self.headers.has_ethertype(&mut self.graph, proto)
    }

    /// `check` of the source, the destination, or both, at their offsets in the header.
    pub(crate) fn in_direction(
        &mut self,
        direction: Direction,
        [source, destination]: [u32; 2],
        mut check: impl FnMut(&mut Self, u32) -> Condition,
    ) -> Condition {
        match direction {
            Direction::Source => check(self, source),
            Direction::Destination => check(self, destination),
            Direction::Either | Direction::Both => {
                // The source first: conditions must be built in the order of evaluation.
                let first = check(self, source);
                let second = check(self, destination);
                if direction == Direction::Either {
                    self.graph.or(first, second)
                } else {
                    self.graph.and(first, second)
                }
            }
        }
    }

    /// The condition on an IPv4 address or network; without a layer, in IP, ARP or RARP.
    pub(crate) fn ipv4_host(
        &mut self,
        layer: Option<Layer>,
        direction: Direction,
        address: u32,
        mask: u32,
    ) -> Parsed<Condition> {
        const IN_IP: [u32; 2] = [12, 16];
        const IN_ARP: [u32; 2] = [14, 24];
        let layers: &[(u32, [u32; 2])] = match layer {
            Some(Layer::Ip) => &[(IPV4, IN_IP)],
            Some(Layer::Arp) => &[(ARP, IN_ARP)],
            Some(Layer::Rarp) => &[(RARP, IN_ARP)],
            _ if self.headers.is_behind_mpls() => &[(IPV4, IN_IP)],
            // One chain for each protocol, equal for ARP and RARP. They are merged later: at a block with one
            // predecessor the optimiser knows the ethertype, at one with two it does not.
            _ => &[(IPV4, IN_IP), (ARP, IN_ARP), (RARP, IN_ARP)],
        };
        let mut any: Option<Condition> = None;
        for (proto, offsets) in layers {
            let carried = self.has_ethertype(*proto)?;
            let found = self.in_direction(direction, *offsets, |this, offset| {
                let field = this.load(offset, LoadSize::Word);
                this.graph.masked_equal(field, address, mask)
            });
            let found = self.graph.and(carried, found);
            any = Some(self.graph.or_optional(any, found));
        }
        Ok(any.unwrap_or_else(|| self.graph.constant(false)))
    }

    /// The condition on an IPv6 address or network: a comparison for each of the four words under the mask.
    pub(crate) fn ipv6_host(
        &mut self,
        direction: Direction,
        address: [u32; 4],
        mask: [u32; 4],
    ) -> Parsed<Condition> {
        let carried = self.has_ethertype(IPV6)?;
        let found = self.in_direction(direction, [8, 24], |this, offset| {
            let mut all_words: Option<Condition> = None;
            for ((word, mask), skip) in address.into_iter().zip(mask).zip([0, 4, 8, 12]) {
                // A prefix mask is zero from here on.
                if mask == 0 {
                    break;
                }
                let field = this.load(offset + skip, LoadSize::Word);
                let same = this.graph.masked_equal(field, word, mask);
                all_words = Some(this.graph.and_optional(all_words, same));
            }
            all_words.unwrap_or_else(|| this.graph.constant(true))
        });
        Ok(self.graph.and(carried, found))
    }

    /// The condition on an Ethernet address.
    pub(crate) fn mac_host(&mut self, direction: Direction, address: [u8; 6]) -> Parsed<Condition> {
        let start = self.headers.ethernet("Ethernet addresses")?;
        let [a, b, c, d, e, f] = address;
        let high = u32::from(u16::from_be_bytes([a, b]));
        let low = u32::from_be_bytes([c, d, e, f]);
        Ok(self.in_direction(direction, [6, 0], |this, offset| {
            // The low four bytes first: addresses of one vendor differ in them.
            let field = this.graph.values.load(start.plus(offset + 2), LoadSize::Word);
            let end = this.graph.equal(field, low);
            let field = this.graph.values.load(start.plus(offset), LoadSize::Half);
            let begin = this.graph.equal(field, high);
            this.graph.and(end, begin)
        }))
    }

    /// The condition that the frame is of a protocol.
    pub(crate) fn protocol(&mut self, layer: Layer) -> Parsed<Condition> {
        match layer {
            Layer::Link => Err(ExpressionErrorReason::Expected {
                what: "'host', 'proto', 'broadcast', 'multicast', 'src', 'dst' or '['",
                after: "ether",
            }
            .into()),
            Layer::Ip => self.has_ethertype(IPV4),
            Layer::Ip6 => self.has_ethertype(IPV6),
            Layer::Arp => self.has_ethertype(ARP),
            Layer::Rarp => self.has_ethertype(RARP),
            Layer::EtherType(number) => self.has_ethertype(u32::from(number)),
            Layer::Iso(number) => self.iso_protocol(u32::from(number)),
            Layer::Tcp => self.ip_protocol(None, TCP),
            Layer::Udp => self.ip_protocol(None, UDP),
            Layer::Sctp => self.ip_protocol(None, SCTP),
            Layer::Pim => self.ip_protocol(None, 103),
            Layer::Esp => self.ip_protocol(None, 50),
            Layer::Ah => self.ip_protocol(None, 51),
            Layer::Icmp => self.ip_protocol(Some(Layer::Ip), 1),
            Layer::Igmp => self.ip_protocol(Some(Layer::Ip), 2),
            Layer::Igrp => self.ip_protocol(Some(Layer::Ip), 9),
            Layer::Vrrp | Layer::Carp => self.ip_protocol(Some(Layer::Ip), 112),
            Layer::Icmp6 => self.ip_protocol(Some(Layer::Ip6), ICMPV6),
        }
    }

    /// The condition that the frame carries this ISO network-layer protocol.
    pub(crate) fn iso_protocol(&mut self, number: u32) -> Parsed<Condition> {
        let iso = self.has_ethertype(0xfe)?;
        let nlpid = self.graph.values.load(self.headers.osi(), LoadSize::Byte);
        let same = self.graph.equal(nlpid, number);
        Ok(self.graph.and(iso, same))
    }

    /// Packet data accessor: `size` bytes at `index` of the header of `layer`, and the condition that the
    /// header is there (and `guard`, that of the index).
    pub(crate) fn packet_data(
        &mut self,
        layer: Layer,
        index: ValueId,
        guard: Option<Condition>,
        size: u32,
    ) -> Result<(ValueId, Option<Condition>), ParseError> {
        let size = LoadSize::from_bytes(size).ok_or(ExpressionErrorReason::AccessSize)?;
        let mut guard = guard;
        let header = self.header(layer, &mut guard)?;
        let variable = match header.variable {
            Some(base) => self.graph.values.sum(base, index),
            None => index,
        };
        let value = self.graph.values.load(Offset { fixed: header.fixed, variable: Some(variable) }, size);
        Ok((value, guard))
    }

    /// Start of the header of `layer`. Adds the conditions that it is there to `guard`, one by one: the order
    /// in which they are built is the order in which they are tested.
    fn header(&mut self, layer: Layer, guard: &mut Option<Condition>) -> Result<Offset, ParseError> {
        Ok(match layer {
            Layer::Link => self.headers.link_start(),
            Layer::Ip | Layer::Ip6 | Layer::Arp | Layer::Rarp | Layer::EtherType(0x6001..) => {
                let present = self.protocol(layer)?;
                self.require(guard, present);
                self.headers.network()
            }
            Layer::Tcp
            | Layer::Udp
            | Layer::Sctp
            | Layer::Icmp
            | Layer::Igmp
            | Layer::Igrp
            | Layer::Pim
            | Layer::Vrrp
            | Layer::Carp => self.header_over_ipv4(layer, guard)?,
            Layer::Icmp6 => {
                let v6 = self.has_ethertype(IPV6)?;
                self.require(guard, v6);
                let next = self.load(6, LoadSize::Byte);
                let present = self.graph.equal(next, ICMPV6);
                self.require(guard, present);
                self.headers.network().plus(IPV6_HEADER_LEN)
            }
            Layer::Ah | Layer::Esp | Layer::EtherType(_) | Layer::Iso(_) => return Err(mismatch("'['")),
        })
    }

    /// Start of the header of `layer` behind an IPv4 header. Packet data of a transport (`tcp[13]`) is read over
    /// IPv4 only, as in libpcap, and in a first fragment, because later ones do not carry the header.
    fn header_over_ipv4(
        &mut self,
        layer: Layer,
        guard: &mut Option<Condition>,
    ) -> Result<Offset, ParseError> {
        let v4 = self.has_ethertype(IPV4)?;
        self.require(guard, v4);
        let present = self.protocol(layer)?;
        self.require(guard, present);
        let first = self.is_first_fragment();
        self.require(guard, first);
        Ok(self.ipv4_payload())
    }

    /// Adds `condition`, which must have been built last, to `guard`.
    fn require(&mut self, guard: &mut Option<Condition>, condition: Condition) {
        *guard = Some(self.graph.and_optional(*guard, condition));
    }

    /// The condition that the frame is a broadcast.
    pub(crate) fn broadcast(&mut self, layer: Option<Layer>) -> Parsed<Condition> {
        match layer {
            None | Some(Layer::Link) => self.mac_host(Direction::Destination, [0xff; 6]),
            Some(Layer::Ip) => {
                // The netmask is not known, so only the two addresses that are broadcast on every network.
                let v4 = self.has_ethertype(IPV4)?;
                let destination = self.load(16, LoadSize::Word);
                let everyone = self.graph.equals_any(destination, &[0, u32::MAX]);
                Ok(self.graph.and(v4, everyone))
            }
            Some(_) => Err(mismatch("'broadcast'; only 'ether' and 'ip' do")),
        }
    }

    /// The condition that the frame is a multicast.
    pub(crate) fn multicast(&mut self, layer: Option<Layer>) -> Parsed<Condition> {
        match layer {
            None | Some(Layer::Link) => {
                let start = self.headers.ethernet("Ethernet addresses")?;
                let first = self.graph.values.load(start, LoadSize::Byte);
                // Group bit of the destination: the lowest bit of its first byte (IEEE 802).
                Ok(self.graph.compare_constant(first, Comparison::AnyBit, 1))
            }
            Some(Layer::Ip) => {
                let v4 = self.has_ethertype(IPV4)?;
                let destination = self.load(16, LoadSize::Byte);
                let group = self.graph.compare_constant(destination, Comparison::AtLeast, 224);
                Ok(self.graph.and(v4, group))
            }
            Some(Layer::Ip6) => {
                let v6 = self.has_ethertype(IPV6)?;
                let destination = self.load(24, LoadSize::Byte);
                let group = self.graph.equal(destination, 0xff);
                Ok(self.graph.and(v6, group))
            }
            Some(_) => Err(mismatch("'multicast'; only 'ether', 'ip' and 'ip6' do")),
        }
    }
}

/// The error that a qualifier does not go with `to`. The parser knows the word of the qualifier and fills it
/// in.
pub(crate) fn mismatch(to: &'static str) -> ParseError {
    ExpressionErrorReason::Mismatch { qualifier: "", to }.into()
}
