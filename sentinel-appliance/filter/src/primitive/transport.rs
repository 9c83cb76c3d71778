//! What IP carries: protocols by number, behind extension headers too, and ports.
//!
//! Read first: RFC 791, 8200 (section 4), 4302 (authentication header), 793, 768, 9260.

use super::{Builder, Built, Direction, FRAGMENT, V6_HEADER, mismatch};
use crate::graph::{Comparison, Condition};
use crate::headers::ethertype::one_of;
use crate::headers::{IP, IP6};
use crate::names::Layer;
use crate::value::{Operation, Place, Size, ValueId};

/// Extension headers that `protochain` steps over. Loops would need jumps back, which the kernel refuses.
const MAX_EXTENSIONS: u32 = 6;

impl Builder {
    /// Ports from `least` to `most` of `transports`, over either IP.
    pub(crate) fn ports(
        &mut self,
        transports: &[u32],
        direction: Direction,
        (least, most): (u32, u32),
    ) -> Built {
        let v6 = self.carries(IP6)?;
        let inside = self.over_any(transports, |this, transport| {
            let next = this.load(6, Size::Byte);
            let carried = this.graph.equal(next, transport);
            let place = this.headers.network().plus(V6_HEADER);
            let found = this.port_at(place, direction, least, most);
            this.graph.and(carried, found)
        });
        let v6 = self.graph.and(v6, inside);
        let v4 = self.carries(IP)?;
        let inside = self.over_any(transports, |this, transport| {
            let next = this.load(9, Size::Byte);
            let carried = this.graph.equal(next, transport);
            let whole = this.not_a_later_fragment();
            let carried = this.graph.and(carried, whole);
            let place = this.behind_header();
            let found = this.port_at(place, direction, least, most);
            this.graph.and(carried, found)
        });
        let v4 = self.graph.and(v4, inside);
        Ok(self.graph.or(v6, v4))
    }

    fn over_any(
        &mut self,
        transports: &[u32],
        mut over: impl FnMut(&mut Self, u32) -> Condition,
    ) -> Condition {
        let mut any: Option<Condition> = None;
        for transport in transports {
            let found = over(self, *transport);
            any = Some(self.graph.or_if(any, found));
        }
        any.unwrap_or_else(|| self.graph.settled(false))
    }

    fn port_at(&mut self, transport: Place, direction: Direction, least: u32, most: u32) -> Condition {
        self.directed(direction, [0, 2], |this, offset| {
            let port = this.graph.values.load(transport.plus(offset), Size::Half);
            if least == most {
                return this.graph.equal(port, least);
            }
            let above = this.graph.against(port, Comparison::AtLeast, least);
            let below = this.graph.against(port, Comparison::Greater, most).negated();
            this.graph.and(above, below)
        })
    }

    /// Where the payload of IPv4 begins.
    pub(crate) fn behind_header(&mut self) -> Place {
        let network = self.headers.network();
        let mut length = self.graph.values.header_length(network);
        if let Some(moving) = network.moving {
            length = self.graph.values.sum(length, moving);
        }
        Place { fixed: network.fixed, moving: Some(length) }
    }

    pub(crate) fn not_a_later_fragment(&mut self) -> Condition {
        let field = self.load(6, Size::Half);
        self.graph.against(field, Comparison::AnyBit, 0x1fff).negated()
    }

    /// The protocol of this number inside `layer`, or inside either IP.
    pub(crate) fn proto(&mut self, layer: Option<Layer>, number: u32) -> Built {
        match layer {
            None => {
                let v4 = self.proto(Some(Layer::Ip), number)?;
                let v6 = self.proto(Some(Layer::Ip6), number)?;
                Ok(self.graph.or(v4, v6))
            }
            Some(Layer::Link) => self.carries(number),
            Some(Layer::Ip) => {
                let v4 = self.carries(IP)?;
                let next = self.load(9, Size::Byte);
                let same = self.graph.equal(next, number);
                Ok(self.graph.and(v4, same))
            }
            Some(Layer::Ip6) => {
                let v6 = self.carries(IP6)?;
                let next = self.load(6, Size::Byte);
                let same = self.graph.equal(next, number);
                let fragment = self.graph.equal(next, FRAGMENT);
                let inner = self.load(V6_HEADER, Size::Byte);
                let inside = self.graph.equal(inner, number);
                let fragment = self.graph.and(fragment, inside);
                let same = self.graph.or(same, fragment);
                Ok(self.graph.and(v6, same))
            }
            Some(Layer::Typed(0xfe)) => self.iso(number),
            Some(_) => Err(mismatch("'proto'")),
        }
    }

    /// The protocol of this number behind any extension headers, at most [`MAX_EXTENSIONS`].
    pub(crate) fn chain(&mut self, layer: Option<Layer>, number: u32) -> Built {
        match layer {
            None => {
                let v4 = self.chain(Some(Layer::Ip), number)?;
                let v6 = self.chain(Some(Layer::Ip6), number)?;
                Ok(self.graph.or(v4, v6))
            }
            Some(Layer::Ip) => {
                let v4 = self.carries(IP)?;
                let next = self.load(9, Size::Byte);
                let place = self.behind_header();
                let found = self.link_of_chain(number, next, place, false, MAX_EXTENSIONS);
                Ok(self.graph.and(v4, found))
            }
            Some(Layer::Ip6) => {
                let v6 = self.carries(IP6)?;
                let next = self.load(6, Size::Byte);
                let place = self.headers.network().plus(V6_HEADER);
                let found = self.link_of_chain(number, next, place, true, MAX_EXTENSIONS);
                Ok(self.graph.and(v6, found))
            }
            Some(_) => Err(mismatch("'protochain'")),
        }
    }

    /// `next` names the header at `place`, and is it or can be stepped over.
    fn link_of_chain(
        &mut self,
        number: u32,
        next: ValueId,
        place: Place,
        is_v6: bool,
        left: u32,
    ) -> Condition {
        const OPTIONS: [u32; 4] = [0, 60, 43, FRAGMENT];
        const AUTHENTICATION: u32 = 51;
        let found = self.graph.equal(next, number);
        if left == 0 {
            return found;
        }
        let mut any = found;
        if is_v6 {
            // The reserved byte of a fragment header is zero, so it too is eight bytes long.
            let options = one_of(&mut self.graph, next, &OPTIONS);
            let behind = self.step_over(number, place, (1, 3), is_v6, left);
            let options = self.graph.and(options, behind);
            any = self.graph.or(any, options);
        }
        // What is asked for follows authentication at once (RFC 8200 section 4.1) or not: the program stays short.
        let authentication = self.graph.equal(next, AUTHENTICATION);
        let behind = self.step_over(number, place, (2, 2), is_v6, 1);
        let authentication = self.graph.and(authentication, behind);
        self.graph.or(any, authentication)
    }

    /// The rest of the chain behind a header of `(length byte + more) << shift` bytes.
    fn step_over(
        &mut self,
        number: u32,
        place: Place,
        (more, shift): (u32, u32),
        is_v6: bool,
        left: u32,
    ) -> Condition {
        let next = self.graph.values.load(place, Size::Byte);
        let length = self.graph.values.load(place.plus(1), Size::Byte);
        let (more, shift) = (self.graph.values.constant(more), self.graph.values.constant(shift));
        let units = self.graph.values.sum(length, more);
        let bytes = self.graph.values.binary(Operation::ShiftLeft, units, shift).unwrap_or(units);
        let moving = match place.moving {
            Some(moving) => self.graph.values.sum(bytes, moving),
            None => bytes,
        };
        let place = Place { fixed: place.fixed, moving: Some(moving) };
        self.link_of_chain(number, next, place, is_v6, left - 1)
    }
}
