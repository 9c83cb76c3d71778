//! Transport protocols over IP: by number, behind extension headers too, and by port.
//!
//! Read first: RFC 791, 8200 (section 4), 4302 (authentication header), 793, 768, 9260.

use super::{ConditionBuilder, Direction, IPV6_HEADER_LEN, mismatch};
use crate::error::Parsed;
use crate::graph::{Comparison, Condition};
use crate::names::Layer;
use crate::numbers::ethertype::{IPV4, IPV6};
use crate::numbers::ip_protocol::{AUTHENTICATION, DESTINATION_OPTIONS, FRAGMENT, HOP_BY_HOP, ROUTING};
use crate::value::{LoadSize, Offset, Operation, ValueId};

/// Extension headers that `protochain` steps over. The loop is unrolled, because the kernel refuses jumps back.
const MAX_EXTENSIONS: u32 = 6;

impl ConditionBuilder {
    /// The condition on a port from `least` to `most` of one of `transports`, over IPv4 or IPv6.
    pub(crate) fn ports(
        &mut self,
        transports: &[u32],
        direction: Direction,
        (least, most): (u32, u32),
    ) -> Parsed<Condition> {
        let v6 = self.has_ethertype(IPV6)?;
        let matched = self.any_transport(transports, |this, transport| {
            // Extension headers are not stepped over, as in libpcap.
            let next = this.load(6, LoadSize::Byte);
            let carried = this.graph.equal(next, transport);
            let offset = this.headers.network().plus(IPV6_HEADER_LEN);
            let found = this.port_at(offset, direction, least, most);
            this.graph.and(carried, found)
        });
        let v6 = self.graph.and(v6, matched);
        let v4 = self.has_ethertype(IPV4)?;
        let matched = self.any_transport(transports, |this, transport| {
            let next = this.load(9, LoadSize::Byte);
            let carried = this.graph.equal(next, transport);
            let first = this.is_first_fragment();
            let carried = this.graph.and(carried, first);
            let offset = this.ipv4_payload();
            let found = this.port_at(offset, direction, least, most);
            this.graph.and(carried, found)
        });
        let v4 = self.graph.and(v4, matched);
        Ok(self.graph.or(v6, v4))
    }

    /// The disjunction of `over` for each transport.
    fn any_transport(
        &mut self,
        transports: &[u32],
        mut over: impl FnMut(&mut Self, u32) -> Condition,
    ) -> Condition {
        let mut any: Option<Condition> = None;
        for transport in transports {
            let found = over(self, *transport);
            any = Some(self.graph.or_optional(any, found));
        }
        any.unwrap_or_else(|| self.graph.constant(false))
    }

    /// The condition on the ports of a transport header.
    fn port_at(&mut self, transport: Offset, direction: Direction, least: u32, most: u32) -> Condition {
        self.in_direction(direction, [0, 2], |this, offset| {
            let port = this.graph.values.load(transport.plus(offset), LoadSize::Half);
            if least == most {
                return this.graph.equal(port, least);
            }
            let above = this.graph.compare_constant(port, Comparison::AtLeast, least);
            let below = this.graph.compare_constant(port, Comparison::Greater, most).negated();
            this.graph.and(above, below)
        })
    }

    /// Start of the payload of IPv4, behind the options.
    pub(super) fn ipv4_payload(&mut self) -> Offset {
        let network = self.headers.network();
        let mut length = self.graph.values.header_length(network);
        if let Some(variable) = network.variable {
            length = self.graph.values.sum(length, variable);
        }
        Offset { fixed: network.fixed, variable: Some(length) }
    }

    /// The condition that the fragment offset is zero, so that the transport header is in this packet.
    pub(super) fn is_first_fragment(&mut self) -> Condition {
        let field = self.load(6, LoadSize::Half);
        self.graph.compare_constant(field, Comparison::AnyBit, 0x1fff).negated()
    }

    /// The condition on the protocol number in the header of `layer`, or of IPv4 or IPv6. In IPv6 also the
    /// protocol behind one fragment header, as in libpcap.
    pub(crate) fn ip_protocol(&mut self, layer: Option<Layer>, number: u32) -> Parsed<Condition> {
        match layer {
            None => {
                let v4 = self.ip_protocol(Some(Layer::Ip), number)?;
                let v6 = self.ip_protocol(Some(Layer::Ip6), number)?;
                Ok(self.graph.or(v4, v6))
            }
            Some(Layer::Link) => self.has_ethertype(number),
            Some(Layer::Ip) => {
                let v4 = self.has_ethertype(IPV4)?;
                let next = self.load(9, LoadSize::Byte);
                let same = self.graph.equal(next, number);
                Ok(self.graph.and(v4, same))
            }
            Some(Layer::Ip6) => {
                let v6 = self.has_ethertype(IPV6)?;
                let next = self.load(6, LoadSize::Byte);
                let same = self.graph.equal(next, number);
                let fragment = self.graph.equal(next, FRAGMENT);
                let inner = self.load(IPV6_HEADER_LEN, LoadSize::Byte);
                let matched = self.graph.equal(inner, number);
                let fragment = self.graph.and(fragment, matched);
                let same = self.graph.or(same, fragment);
                Ok(self.graph.and(v6, same))
            }
            Some(Layer::EtherType(0xfe)) => self.iso_protocol(number),
            Some(_) => Err(mismatch("'proto'")),
        }
    }

    /// The condition that this protocol follows at most [`MAX_EXTENSIONS`] extension headers (`protochain`).
    pub(crate) fn protochain(&mut self, layer: Option<Layer>, number: u32) -> Parsed<Condition> {
        match layer {
            None => {
                let v4 = self.protochain(Some(Layer::Ip), number)?;
                let v6 = self.protochain(Some(Layer::Ip6), number)?;
                Ok(self.graph.or(v4, v6))
            }
            Some(Layer::Ip) => {
                let v4 = self.has_ethertype(IPV4)?;
                let next = self.load(9, LoadSize::Byte);
                let offset = self.ipv4_payload();
                let found = self.chain_header_is(number, next, offset, false, MAX_EXTENSIONS);
                Ok(self.graph.and(v4, found))
            }
            Some(Layer::Ip6) => {
                let v6 = self.has_ethertype(IPV6)?;
                let next = self.load(6, LoadSize::Byte);
                let offset = self.headers.network().plus(IPV6_HEADER_LEN);
                let found = self.chain_header_is(number, next, offset, true, MAX_EXTENSIONS);
                Ok(self.graph.and(v6, found))
            }
            Some(_) => Err(mismatch("'protochain'")),
        }
    }

    /// The condition that `next`, the number of the header at `offset`, is `number`, or that of an extension
    /// header behind which the chain goes on. Recursion is bounded by `left`.
    fn chain_header_is(
        &mut self,
        number: u32,
        next: ValueId,
        offset: Offset,
        is_v6: bool,
        left: u32,
    ) -> Condition {
        const OPTIONS: [u32; 4] = [HOP_BY_HOP, DESTINATION_OPTIONS, ROUTING, FRAGMENT];
        let found = self.graph.equal(next, number);
        if left == 0 {
            return found;
        }
        let mut any = found;
        if is_v6 {
            // The reserved byte of a fragment header is zero, so it too is eight bytes long.
            let options = self.graph.equals_any(next, &OPTIONS);
            let behind = self.behind_extension_header(number, offset, (1, 3), is_v6, left);
            let options = self.graph.and(options, behind);
            any = self.graph.or(any, options);
        }
        // Authentication is the last extension header before the transport but destination options (RFC 8200
        // section 4.1), so one header behind it is tested, and the program stays short.
        let authentication = self.graph.equal(next, AUTHENTICATION);
        let behind = self.behind_extension_header(number, offset, (2, 2), is_v6, 1);
        let authentication = self.graph.and(authentication, behind);
        self.graph.or(any, authentication)
    }

    /// The rest of the chain behind an extension header of `(length byte + more) << shift` bytes.
    fn behind_extension_header(
        &mut self,
        number: u32,
        offset: Offset,
        (more, shift): (u32, u32),
        is_v6: bool,
        left: u32,
    ) -> Condition {
        let next = self.graph.values.load(offset, LoadSize::Byte);
        let length = self.graph.values.load(offset.plus(1), LoadSize::Byte);
        let (more, shift) = (self.graph.values.constant(more), self.graph.values.constant(shift));
        let units = self.graph.values.sum(length, more);
        let bytes = self.graph.values.binary(Operation::ShiftLeft, units, shift).unwrap_or(units);
        let variable = match offset.variable {
            Some(variable) => self.graph.values.sum(bytes, variable),
            None => bytes,
        };
        let offset = Offset { fixed: offset.fixed, variable: Some(variable) };
        self.chain_header_is(number, next, offset, is_v6, left - 1)
    }
}
