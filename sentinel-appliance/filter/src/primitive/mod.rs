//! The primitives of the language: addresses, ports, protocols, and access to bytes.
//!
//! Read first: `pcap-filter(7)`; RFC 791, 793, 826, 8200.

mod transport;

use crate::error::{ExpressionFault, Fault};
use crate::graph::{Comparison, Condition, Graph};
use crate::headers::ethertype::{masked_equal, one_of};
use crate::headers::{ARP, Headers, IP, IP6, RARP};
use crate::names::Layer;
use crate::value::{Place, Size, ValueId};

pub(crate) const TCP: u32 = 6;
pub(crate) const UDP: u32 = 17;
pub(crate) const SCTP: u32 = 132;
const ICMP6: u32 = 58;
pub(crate) const FRAGMENT: u32 = 44;
pub(crate) const V6_HEADER: u32 = 40;

/// Which of two addresses or ports.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Direction {
    Either,
    Source,
    Destination,
    Both,
}

pub(crate) type Built = Result<Condition, Fault>;

/// What builds conditions; it remembers which headers the expression has stepped over.
pub(crate) struct Builder {
    pub(crate) graph: Graph,
    pub(crate) headers: Headers,
}

impl Builder {
    pub(crate) fn load(&mut self, offset: u32, size: Size) -> ValueId {
        self.graph.values.load(self.headers.network().plus(offset), size)
    }

    pub(crate) fn carries(&mut self, proto: u32) -> Built {
        self.headers.carries(&mut self.graph, proto)
    }

    /// `check` of the source, the destination, or both, at their offsets.
    pub(crate) fn directed(
        &mut self,
        direction: Direction,
        [source, destination]: [u32; 2],
        mut check: impl FnMut(&mut Self, u32) -> Condition,
    ) -> Condition {
        match direction {
            Direction::Source => check(self, source),
            Direction::Destination => check(self, destination),
            Direction::Either | Direction::Both => {
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

    /// An IPv4 address or network; without a layer, of IP, ARP or RARP.
    pub(crate) fn host(
        &mut self,
        layer: Option<Layer>,
        direction: Direction,
        address: u32,
        mask: u32,
    ) -> Built {
        const IN_IP: [u32; 2] = [12, 16];
        const IN_ARP: [u32; 2] = [14, 24];
        let layers: &[(u32, [u32; 2])] = match layer {
            Some(Layer::Ip) => &[(IP, IN_IP)],
            Some(Layer::Arp) => &[(ARP, IN_ARP)],
            Some(Layer::Rarp) => &[(RARP, IN_ARP)],
            _ if self.headers.is_labelled() => &[(IP, IN_IP)],
            // ARP and RARP apart: merged too early, nothing is known of the type behind them.
            _ => &[(IP, IN_IP), (ARP, IN_ARP), (RARP, IN_ARP)],
        };
        let mut any: Option<Condition> = None;
        for (proto, offsets) in layers {
            let carried = self.carries(*proto)?;
            let found = self.directed(direction, *offsets, |this, offset| {
                let field = this.load(offset, Size::Word);
                masked_equal(&mut this.graph, field, address, mask)
            });
            let found = self.graph.and(carried, found);
            any = Some(self.graph.or_if(any, found));
        }
        Ok(any.unwrap_or_else(|| self.graph.settled(false)))
    }

    /// An IPv6 address or network.
    pub(crate) fn host6(&mut self, direction: Direction, address: [u32; 4], mask: [u32; 4]) -> Built {
        let carried = self.carries(IP6)?;
        let found = self.directed(direction, [8, 24], |this, offset| {
            let mut whole: Option<Condition> = None;
            for ((word, mask), skip) in address.into_iter().zip(mask).zip([0, 4, 8, 12]) {
                if mask == 0 {
                    break;
                }
                let field = this.load(offset + skip, Size::Word);
                let same = masked_equal(&mut this.graph, field, word, mask);
                whole = Some(this.graph.and_if(whole, same));
            }
            whole.unwrap_or_else(|| this.graph.settled(true))
        });
        Ok(self.graph.and(carried, found))
    }

    /// A hardware address.
    pub(crate) fn hardware(&mut self, direction: Direction, address: [u8; 6]) -> Built {
        let start = self.headers.ethernet("Ethernet addresses")?;
        let [a, b, c, d, e, f] = address;
        let high = u32::from(u16::from_be_bytes([a, b]));
        let low = u32::from_be_bytes([c, d, e, f]);
        Ok(self.directed(direction, [6, 0], |this, offset| {
            // The end first: it differs sooner.
            let field = this.graph.values.load(start.plus(offset + 2), Size::Word);
            let end = this.graph.equal(field, low);
            let field = this.graph.values.load(start.plus(offset), Size::Half);
            let begin = this.graph.equal(field, high);
            this.graph.and(end, begin)
        }))
    }

    /// A protocol by its name.
    pub(crate) fn layer(&mut self, layer: Layer) -> Built {
        match layer {
            Layer::Link => Err(ExpressionFault::Expected {
                what: "'host', 'proto', 'broadcast', 'multicast', 'src', 'dst' or '['",
                after: "ether",
            }
            .into()),
            Layer::Ip => self.carries(IP),
            Layer::Ip6 => self.carries(IP6),
            Layer::Arp => self.carries(ARP),
            Layer::Rarp => self.carries(RARP),
            Layer::Typed(number) => self.carries(u32::from(number)),
            Layer::Iso(number) => self.iso(u32::from(number)),
            Layer::Tcp => self.proto(None, TCP),
            Layer::Udp => self.proto(None, UDP),
            Layer::Sctp => self.proto(None, SCTP),
            Layer::Pim => self.proto(None, 103),
            Layer::Esp => self.proto(None, 50),
            Layer::Ah => self.proto(None, 51),
            Layer::Icmp => self.proto(Some(Layer::Ip), 1),
            Layer::Igmp => self.proto(Some(Layer::Ip), 2),
            Layer::Igrp => self.proto(Some(Layer::Ip), 9),
            Layer::Vrrp | Layer::Carp => self.proto(Some(Layer::Ip), 112),
            Layer::Icmp6 => self.proto(Some(Layer::Ip6), ICMP6),
        }
    }

    pub(crate) fn iso(&mut self, number: u32) -> Built {
        let iso = self.carries(0xfe)?;
        let kind = self.graph.values.load(self.headers.osi(), Size::Byte);
        let same = self.graph.equal(kind, number);
        Ok(self.graph.and(iso, same))
    }

    /// `size` bytes at `index` of `layer`'s header, and that the header is there.
    pub(crate) fn access(
        &mut self,
        layer: Layer,
        index: ValueId,
        checked: Option<Condition>,
        size: u32,
    ) -> Result<(ValueId, Option<Condition>), Fault> {
        let size = Size::of(size).ok_or(ExpressionFault::AccessSize)?;
        let mut condition = checked;
        let mut require = |this: &mut Self, more: Condition| {
            condition = Some(this.graph.and_if(condition, more));
        };
        let place = match layer {
            Layer::Link => self.headers.start(),
            Layer::Ip | Layer::Ip6 | Layer::Arp | Layer::Rarp | Layer::Typed(0x6001..) => {
                let there = self.layer(layer)?;
                require(self, there);
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
            | Layer::Carp => {
                let v4 = self.carries(IP)?;
                require(self, v4);
                let there = self.layer(layer)?;
                require(self, there);
                let whole = self.not_a_later_fragment();
                require(self, whole);
                self.behind_header()
            }
            Layer::Icmp6 => {
                let v6 = self.carries(IP6)?;
                require(self, v6);
                let next = self.load(6, Size::Byte);
                let there = self.graph.equal(next, ICMP6);
                require(self, there);
                self.headers.network().plus(V6_HEADER)
            }
            Layer::Ah | Layer::Esp | Layer::Typed(_) | Layer::Iso(_) => {
                return Err(mismatch("'['"));
            }
        };
        let moving = match place.moving {
            Some(base) => self.graph.values.sum(base, index),
            None => index,
        };
        let value = self.graph.values.load(Place { fixed: place.fixed, moving: Some(moving) }, size);
        Ok((value, condition))
    }

    /// Sent to everyone.
    pub(crate) fn broadcast(&mut self, layer: Option<Layer>) -> Built {
        match layer {
            None | Some(Layer::Link) => self.hardware(Direction::Destination, [0xff; 6]),
            Some(Layer::Ip) => {
                // The netmask is not known, so only the broadcast addresses of every network.
                let v4 = self.carries(IP)?;
                let destination = self.load(16, Size::Word);
                let everyone = one_of(&mut self.graph, destination, &[0, u32::MAX]);
                Ok(self.graph.and(v4, everyone))
            }
            Some(_) => Err(mismatch("'broadcast'; only 'ether' and 'ip' do")),
        }
    }

    /// Sent to a group.
    pub(crate) fn multicast(&mut self, layer: Option<Layer>) -> Built {
        match layer {
            None | Some(Layer::Link) => {
                let start = self.headers.ethernet("Ethernet addresses")?;
                let first = self.graph.values.load(start, Size::Byte);
                Ok(self.graph.against(first, Comparison::AnyBit, 1))
            }
            Some(Layer::Ip) => {
                let v4 = self.carries(IP)?;
                let destination = self.load(16, Size::Byte);
                let group = self.graph.against(destination, Comparison::AtLeast, 224);
                Ok(self.graph.and(v4, group))
            }
            Some(Layer::Ip6) => {
                let v6 = self.carries(IP6)?;
                let destination = self.load(24, Size::Byte);
                let group = self.graph.equal(destination, 0xff);
                Ok(self.graph.and(v6, group))
            }
            Some(_) => Err(mismatch("'multicast'; only 'ether', 'ip' and 'ip6' do")),
        }
    }
}

/// What is asked of a protocol that has it not. Whoever knows the word for the protocol fills it in.
pub(crate) fn mismatch(to: &'static str) -> Fault {
    ExpressionFault::Mismatch { qualifier: "", to }.into()
}
