//! Scene: the time, the random numbers and the addresses with which an actor records its frames.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sentinel_units::Mac;

use super::behaviour::Behaviour;
use super::frame::{HouseholdFrame, Node, Payload, ip_frame, link_header};
use super::house::{Device, HOUR, House, SECOND, is_outside};
use crate::Random;
use crate::application::dns::{self, Answer, record};
use crate::packet::{Arp, ethertype, protocol};

/// Recording of one occasion.
pub(super) struct Scene<'s> {
    /// Microseconds since the start of the household.
    pub(super) now: u64,
    pub(super) behaviour: Behaviour,
    pub(super) random: &'s mut Random,
    pub(super) house: &'s House,
    pub(super) pending: &'s mut BinaryHeap<Pending>,
    pub(super) serial: &'s mut u64,
    pub(super) spawned: &'s mut Vec<Actor>,
}

/// Captured start of a message, and its length.
pub(super) type Data<'d> = (&'d [u8], usize);

/// Part of a device: records the frames of one occasion, and returns the microseconds until its next one, counted from where it
/// left the time of the scene; `None` if there is none.
pub(super) type Act = Box<dyn FnMut(&mut Scene<'_>) -> Option<u64>>;

/// Actor and the time of its next occasion.
pub(super) struct Actor {
    pub(super) at_us: u64,
    pub(super) behaviour: Behaviour,
    pub(super) act: Act,
}

/// Frame that waits for its turn; `serial` orders frames of the same instant.
pub(super) struct Pending {
    pub(super) frame: HouseholdFrame,
    pub(super) serial: u64,
}

impl Scene<'_> {
    pub(super) const fn wait_us(&mut self, micros: u64) {
        self.now += micros;
    }

    pub(super) const fn wait_s(&mut self, seconds: u64) {
        self.now += seconds * SECOND;
    }

    /// Delay of a path on the Internet in microseconds.
    pub(super) fn random_delay(&mut self) -> u64 {
        self.random.within(4_000..45_000)
    }

    /// Hour of the local day.
    pub(super) const fn hour(&self) -> u64 {
        (self.now / HOUR + self.house.first_hour) % 24
    }

    /// True while people are awake.
    pub(super) const fn is_awake(&self) -> bool {
        self.hour() >= 7 && self.hour() < 23
    }

    /// Time until the next of events that come `per_hour` on average, exponentially distributed (capped at six means).
    pub(super) fn pause(&mut self, per_hour: u64) -> u64 {
        let mean = HOUR / per_hour.max(1);
        // Of 64 equally likely slices of the exponential distribution, one.
        let zeros = u64::from(self.random.bits().leading_zeros()).min(8);
        mean * (zeros * 70 + self.random.within(0..70)) / 100 + 1
    }

    /// True if a conversation between these leaves the household while the Internet is down.
    pub(super) fn is_cut_off(&self, one: &Node, other: &Node) -> bool {
        let is_down = self.house.outage.is_some_and(|(from, to)| (from..to).contains(&self.now));
        is_down && (is_outside(one.ip) || is_outside(other.ip))
    }

    pub(super) fn is_inside(&self, node: &Node) -> bool {
        !is_outside(node.ip)
    }

    /// Runs `record` with its frames counted as those of the outage.
    pub(super) fn during_outage(&mut self, record: impl FnOnce(&mut Self)) {
        self.under(Behaviour::Outage, record);
    }

    /// Runs `record` with its frames counted as those of another behaviour.
    pub(super) fn under(&mut self, behaviour: Behaviour, record: impl FnOnce(&mut Self)) {
        let own = std::mem::replace(&mut self.behaviour, behaviour);
        record(self);
        self.behaviour = own;
    }

    /// Adds an actor that begins now.
    pub(super) fn spawn(&mut self, act: Act) {
        self.spawned.push(Actor { at_us: self.now, behaviour: self.behaviour, act });
    }

    /// IPv4 end of a device, by its present lease.
    pub(super) fn v4(&self, device: &Device) -> Node {
        Node {
            mac: self.house.mac(device, self.now),
            ip: self.house.v4(device, self.now).into(),
            vlan: device.vlan,
        }
    }

    /// IPv6 end of a device: the temporary address of the day (RFC 8981).
    pub(super) fn v6(&self, device: &Device) -> Node {
        let ip = self.house.temporary_v6(device, self.now).into();
        Node { mac: self.house.mac(device, self.now), ip, vlan: device.vlan }
    }

    /// Gateway and resolver, in the VLAN of `device`.
    pub(super) fn gateway(&self, device: &Device) -> Node {
        Node {
            mac: self.house.gateway_mac(device.vlan),
            ip: self.house.gateway_v4(self.now).into(),
            vlan: device.vlan,
        }
    }

    /// Server on the Internet with this number, as a device sees it behind its gateway; over IPv6 if `v6`.
    pub(super) fn server(&self, device: &Device, index: u64, v6: bool) -> Node {
        let number = u32::try_from(index % 120_000).unwrap_or(0) + 1;
        let ip: IpAddr = if v6 {
            Ipv6Addr::from_bits((0x2001_0db8_ffff << 80) | u128::from(number)).into()
        } else {
            Ipv4Addr::from_bits(0xc612_0000 | number).into()
        };
        self.beyond(device, ip)
    }

    /// Any address beyond the gateway.
    pub(super) fn beyond(&self, device: &Device, ip: IpAddr) -> Node {
        Node { mac: self.house.gateway_mac(device.vlan), ip, vlan: device.vlan }
    }

    /// Machine of a private person on the Internet: a public unicast address.
    pub(super) fn stranger(&mut self, device: &Device) -> Node {
        loop {
            let address = Ipv4Addr::from_bits(self.random.word());
            let first = address.octets()[0];
            if (2..224).contains(&first)
                && first != 127
                && !address.is_link_local()
                && is_outside(address.into())
            {
                return self.beyond(device, address.into());
            }
        }
    }

    /// Records a finished frame at the present time.
    pub(super) fn push(&mut self, bytes: Vec<u8>, wire_len: u32) {
        let frame = HouseholdFrame { at_us: self.now, wire_len, behaviour: self.behaviour, bytes };
        self.pending.push(Pending { frame, serial: *self.serial });
        *self.serial += 1;
    }

    /// IP packet of `length` payload bytes, of which `head` is captured.
    pub(super) fn packet(&mut self, from: &Node, to: &Node, number: u8, head: &[u8], length: usize) {
        self.packet_with_ttl(from, to, number, 64, (head, length));
    }

    pub(super) fn packet_with_ttl(
        &mut self,
        from: &Node,
        to: &Node,
        number: u8,
        hop_limit: u8,
        (head, length): Data<'_>,
    ) {
        let (bytes, wire_len) = ip_frame(from, to, Payload { protocol: number, hop_limit, head, length });
        self.push(bytes, wire_len);
    }

    /// Datagram of `length` bytes that begin with `head`.
    pub(super) fn udp(&mut self, from: &Node, to: &Node, ports: (u16, u16), head: &[u8], length: usize) {
        let hop_limit = if ports.1 == dns::MULTICAST_PORT { 255 } else { 64 };
        self.udp_with_ttl(from, to, ports, hop_limit, (head, length));
    }

    pub(super) fn udp_with_ttl(
        &mut self,
        from: &Node,
        to: &Node,
        ports: (u16, u16),
        hop_limit: u8,
        (head, length): Data<'_>,
    ) {
        let length = length.max(head.len());
        let mut bytes = Vec::with_capacity(8 + head.len());
        bytes.extend(ports.0.to_be_bytes());
        bytes.extend(ports.1.to_be_bytes());
        bytes.extend(u16::try_from(8 + length).unwrap_or(u16::MAX).to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend_from_slice(head);
        self.packet_with_ttl(from, to, protocol::UDP, hop_limit, (&bytes, 8 + length));
    }

    /// Datagram and the response to it after `delay_us`; no response if the Internet is down.
    pub(super) fn udp_exchange(
        &mut self,
        from: &Node,
        to: &Node,
        ports: (u16, u16),
        delay_us: u64,
        (request, response): (Data<'_>, Data<'_>),
    ) {
        self.udp(from, to, ports, request.0, request.1);
        if self.is_cut_off(from, to) {
            return;
        }
        self.wait_us(delay_us);
        self.udp(to, from, (ports.1, ports.0), response.0, response.1);
    }

    /// Echo request, and its reply if `is_answered`.
    pub(super) fn ping(&mut self, from: &Node, to: &Node, numbers: (u16, u16), is_answered: bool) {
        let types = if matches!(from.ip, IpAddr::V4(_)) { (8, 0) } else { (128, 129) };
        let number = if matches!(from.ip, IpAddr::V4(_)) { protocol::ICMP } else { protocol::ICMPV6 };
        let message = |kind: u8| {
            let mut bytes = vec![kind, 0, 0, 0];
            bytes.extend(numbers.0.to_be_bytes());
            bytes.extend(numbers.1.to_be_bytes());
            bytes.resize(64, 0x61);
            bytes
        };
        self.packet(from, to, number, &message(types.0), 64);
        if is_answered && !self.is_cut_off(from, to) {
            let delay_us = if self.is_inside(to) { 400 } else { 12_000 };
            self.wait_us(delay_us);
            self.packet(to, from, number, &message(types.1), 64);
        }
    }

    /// ICMP message of `router` to `to`: type, code, and the packet that caused it.
    pub(super) fn icmp_error(&mut self, router: &Node, to: &Node, kind: (u8, u8), quoted: &[u8]) {
        let mut bytes = vec![kind.0, kind.1, 0, 0, 0, 0, 0, 0];
        bytes.extend_from_slice(quoted.get(..28).unwrap_or(quoted));
        let length = bytes.len();
        self.packet(router, to, protocol::ICMP, &bytes, length);
    }

    /// ARP packet in the VLAN of the household part.
    pub(super) fn arp(&mut self, packet: &Arp, vlan: u16) {
        let link = packet.link();
        let mut bytes = Vec::with_capacity(60);
        link_header(&mut bytes, link.destination, link.source, vlan, ethertype::ARP);
        bytes.extend(packet.packet());
        bytes.resize(bytes.len().max(60), 0);
        let length = u32::try_from(bytes.len()).unwrap_or(60);
        self.push(bytes, length);
    }

    /// Lookup of `name` at the gateway; returns false if there was no answer.
    pub(super) fn lookup(&mut self, device: &Device, name: &str, kind: u16, answer: &[Answer]) -> bool {
        let (from, to) = (self.v4(device), self.gateway(device));
        let (port, identifier) = (self.random.ephemeral_port(), self.random.half());
        let query = dns::query(identifier, name, kind);
        self.udp(&from, &to, (port, dns::PORT), &query, query.len());
        self.wait_us(if answer.is_empty() { 9_000 } else { 14_000 });
        let mut response = dns::response(identifier, name, kind, answer);
        let is_down = self.is_cut_off(&from, &self.server(device, 0, false));
        if is_down || answer.is_empty() {
            // SERVFAIL, or NXDOMAIN.
            if let Some(flags) = response.get_mut(3) {
                *flags = 0x80 | if is_down { 2 } else { 3 };
            }
        }
        self.udp(&to, &from, (dns::PORT, port), &response, response.len());
        !is_down && !answer.is_empty()
    }

    /// Lookups of a name that exists, A and AAAA, as a system resolver makes them.
    pub(super) fn resolve(&mut self, device: &Device, name: &str, server: u64) -> bool {
        let (IpAddr::V4(v4), IpAddr::V6(v6)) =
            (self.server(device, server, false).ip, self.server(device, server, true).ip)
        else {
            return false;
        };
        let begin = self.now;
        let is_known = self.lookup(device, name, record::A, &[Answer::A(v4)]);
        let end = std::mem::replace(&mut self.now, begin + 150);
        self.lookup(device, name, record::AAAA, &[Answer::Aaaa(v6)]);
        self.now = self.now.max(end);
        is_known
    }

    /// Group address as a node; the MAC address follows from it (RFC 1112 section 6.4, RFC 2464 section 7).
    pub(super) fn group(&self, device: &Device, ip: IpAddr) -> Node {
        let mac = match ip {
            IpAddr::V4(v4) if v4.is_broadcast() || v4.octets()[3] == 255 => Mac::BROADCAST,
            IpAddr::V4(v4) => {
                let [_, b, c, d] = v4.octets();
                Mac([1, 0, 0x5e, b & 0x7f, c, d])
            }
            IpAddr::V6(v6) => {
                let [.., a, b, c, d] = v6.octets();
                Mac([0x33, 0x33, a, b, c, d])
            }
        };
        Node { mac, ip, vlan: device.vlan }
    }
}

// Both heaps give the earliest first.
impl Ord for Actor {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at_us, other.behaviour).cmp(&(self.at_us, self.behaviour))
    }
}

impl PartialOrd for Actor {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Actor {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Actor {}

impl Ord for Pending {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.frame.at_us, other.serial).cmp(&(self.frame.at_us, self.serial))
    }
}

impl PartialOrd for Pending {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Pending {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Pending {}
