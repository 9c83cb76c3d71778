//! Frames made by hand, and an engine over tables of any size.

#![allow(dead_code, reason = "each test crate uses a part")]

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use sentinel_alert::{Alert, Phase, Test};
use sentinel_detect::registry::{DETECTORS, DetectorConfig};
use sentinel_detect::{Capacities, Engine, HomeNet, IncidentLimits, ListedPort, PortProtocol, Storage};
use sentinel_track::allocator::TableAllocator;
use sentinel_track::hash::HashKey;
use sentinel_units::{LinkType, Port, Timestamp};

pub(crate) const KEY: HashKey = HashKey::new(0x0123_4567_89ab_cdef);
pub(crate) const PACE: IncidentLimits =
    IncidentLimits { idle_timeout: Duration::from_secs(60), update: Duration::from_secs(30), burst: 32 };

pub(crate) const SYN: u8 = 0x02;
pub(crate) const SYN_ACK: u8 = 0x12;
pub(crate) const ACK: u8 = 0x10;

pub(crate) type Mac = [u8; 6];
pub(crate) const MAC: Mac = [2, 0, 0, 0, 0, 1];
pub(crate) const GATEWAY_MAC: Mac = [2, 0, 0, 0, 0, 0xfe];
pub(crate) const FALSE_MAC: Mac = [2, 0, 0, 0, 0, 0x66];

/// Inside, by the home networks of [`home_net`].
pub(crate) const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 20, 30, 11);
pub(crate) const ATTACKER: Ipv4Addr = Ipv4Addr::new(10, 20, 30, 66);
pub(crate) const VICTIM: Ipv4Addr = Ipv4Addr::new(10, 20, 30, 10);
pub(crate) const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 20, 30, 1);
/// Outside.
pub(crate) const OUTSIDE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);

/// Plenty for every test that does not fill a table.
pub(crate) const ROOMY: Capacities = Capacities {
    flows: 1 << 14,
    syn_sources: 1 << 10,
    echo_sources: 1 << 10,
    logins: 1 << 10,
    egress: 1 << 8,
    neighbours: 1 << 8,
    incidents: 64,
    listed_ports: 16,
};

/// One set of each table.
pub(crate) const TINY: Capacities = Capacities {
    flows: 4,
    syn_sources: 4,
    echo_sources: 4,
    logins: 4,
    egress: 4,
    neighbours: 4,
    incidents: 4,
    listed_ports: 4,
};

pub(crate) fn configs() -> [DetectorConfig; 8] {
    DETECTORS.map(|detector| detector.default_config())
}

pub(crate) fn home_net() -> HomeNet {
    let mut home_net = HomeNet::default();
    for prefix in ["10.0.0.0/8", "fd00::/8"] {
        home_net.add(prefix.parse().unwrap()).unwrap();
    }
    home_net
}

pub(crate) struct Leaked;

impl TableAllocator<'static> for Leaked {
    fn allocate<T: Clone + 'static>(&mut self, count: usize, empty: T) -> &'static mut [T] {
        vec![empty; count].leak()
    }
}

/// An engine and what it raised.
pub(crate) struct Sensor {
    pub(crate) engine: Engine<'static>,
    pub(crate) raised: Vec<Alert>,
}

impl Sensor {
    pub(crate) fn new() -> Self {
        Self::with(ROOMY, KEY, &configs())
    }

    pub(crate) fn with(capacities: Capacities, key: HashKey, configs: &[DetectorConfig; 8]) -> Self {
        let storage = Storage::allocate(&capacities, &mut Leaked);
        let mut engine = Engine::new(storage, key, home_net(), PACE, configs);
        engine.set_listed_ports(&[listed(PortProtocol::Tcp, 4444), listed(PortProtocol::Udp, 31_337)]);
        Self { engine, raised: Vec::new() }
    }

    /// Shows one frame at `millis` after an arbitrary beginning.
    pub(crate) fn frame(&mut self, millis: u64, bytes: &[u8]) {
        self.frame_of(millis, bytes, u32::try_from(bytes.len()).unwrap());
    }

    /// As [`Self::frame`], with another length on the wire than what was captured.
    pub(crate) fn frame_of(&mut self, millis: u64, bytes: &[u8], wire_len: u32) {
        let packet = sentinel_dissect::packet(LinkType::ETHERNET, None, bytes, wire_len);
        assert_eq!(packet.malformed, None, "a frame made by hand is sound");
        let Self { engine, raised } = self;
        engine.packet(at(millis), &packet, &mut |alert| raised.push(alert));
    }

    pub(crate) fn tick(&mut self, millis: u64) {
        let Self { engine, raised } = self;
        engine.tick(at(millis), &mut |alert| raised.push(alert));
    }

    pub(crate) fn finish(&mut self) {
        let Self { engine, raised } = self;
        engine.finish(&mut |alert| raised.push(alert));
    }

    /// The tests that opened an incident, in order.
    pub(crate) fn opened(&self) -> Vec<Test> {
        self.raised.iter().filter(|alert| alert.phase == Phase::Open).map(|alert| alert.test).collect()
    }
}

pub(crate) fn at(millis: u64) -> Timestamp {
    Timestamp::from_micros((1_700_000_000_000 + millis) * 1_000)
}

pub(crate) fn listed(protocol: PortProtocol, port: u16) -> ListedPort {
    ListedPort { protocol, port: Port(port), label: "test".try_into().unwrap() }
}

pub(crate) fn ethernet(source: Mac, destination: Mac, kind: u16, home_net: &[u8]) -> Vec<u8> {
    [&destination[..], &source, &kind.to_be_bytes(), home_net].concat()
}

pub(crate) fn ipv4(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, home_net: &[u8]) -> Vec<u8> {
    let length = u16::try_from(20 + home_net.len()).unwrap().to_be_bytes();
    let front = [0x45, 0, length[0], length[1], 0, 1, 0x40, 0, 64, protocol, 0, 0];
    let packet = [&front[..], &source.octets(), &destination.octets(), home_net].concat();
    ethernet(MAC, GATEWAY_MAC, 0x0800, &packet)
}

pub(crate) fn ipv6(source: Ipv6Addr, destination: Ipv6Addr, next: u8, home_net: &[u8]) -> Vec<u8> {
    let length = u16::try_from(home_net.len()).unwrap().to_be_bytes();
    let front = [0x60, 0, 0, 0, length[0], length[1], next, 64];
    let packet = [&front[..], &source.octets(), &destination.octets(), home_net].concat();
    ethernet(MAC, GATEWAY_MAC, 0x86dd, &packet)
}

pub(crate) fn segment(source: u16, destination: u16, flags: u8, payload: &[u8]) -> Vec<u8> {
    let rest = [0, 0, 0, 7, 0, 0, 0, 0, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0];
    [&source.to_be_bytes()[..], &destination.to_be_bytes(), &rest, payload].concat()
}

pub(crate) fn datagram(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + payload.len()).unwrap().to_be_bytes();
    [&source.to_be_bytes()[..], &destination.to_be_bytes(), &length, &[0, 0], payload].concat()
}

pub(crate) fn tcp(from: (Ipv4Addr, u16), to: (Ipv4Addr, u16), flags: u8) -> Vec<u8> {
    ipv4(from.0, to.0, 6, &segment(from.1, to.1, flags, &[]))
}

pub(crate) fn udp(from: (Ipv4Addr, u16), to: (Ipv4Addr, u16), payload: &[u8]) -> Vec<u8> {
    ipv4(from.0, to.0, 17, &datagram(from.1, to.1, payload))
}

/// ICMP echo request (8) or reply (0).
pub(crate) fn echo(source: Ipv4Addr, destination: Ipv4Addr, kind: u8) -> Vec<u8> {
    ipv4(source, destination, 1, &[kind, 0, 0, 0, 0, 1, 0, 1])
}

/// ARP request (1) or reply (2).
pub(crate) fn arp(operation: u8, sender: (Mac, Ipv4Addr), target: (Mac, Ipv4Addr)) -> Vec<u8> {
    let front = [0, 1, 8, 0, 6, 4, 0, operation];
    let (sender_ip, target_ip) = (sender.1.octets(), target.1.octets());
    let message = [&front[..], &sender.0, &sender_ip, &target.0, &target_ip].concat();
    ethernet(sender.0, [0xff; 6], 0x0806, &message)
}

/// What a DHCP server sends when it gives `address` to `client`.
pub(crate) fn dhcp_ack(client: Mac, address: Ipv4Addr) -> Vec<u8> {
    let mut message = vec![0; 240];
    message[..3].copy_from_slice(&[2, 1, 6]); // reply, Ethernet
    message[16..20].copy_from_slice(&address.octets()); // yiaddr
    message[28..34].copy_from_slice(&client); // chaddr
    message[236..].copy_from_slice(&[0x63, 0x82, 0x53, 0x63]);
    message.extend([53, 1, 5, 255]); // message type: ACK
    udp((GATEWAY, 67), (address, 68), &message)
}

/// A DNS message with one question for `name`.
pub(crate) fn dns(name: &str, is_response: bool) -> Vec<u8> {
    let mut message = vec![0x12, 0x34, if is_response { 0x81 } else { 0x01 }, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        message.push(u8::try_from(label.len()).unwrap());
        message.extend(label.as_bytes());
    }
    message.extend([0, 0, 1, 0, 1]);
    message
}

/// A name of so many characters under example.com.
pub(crate) fn name_of(characters: usize) -> String {
    let (end, mut name) = (".example.com", String::new());
    for at in 0..characters - end.len() {
        name.push(if at % 32 == 31 { '.' } else { 'x' });
    }
    name + end
}

/// xorshift64: the same numbers on every machine.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 16) % end
    }

    pub(crate) fn byte(&mut self) -> u8 {
        u8::try_from(self.next() >> 40 & 0xff).unwrap()
    }
}
