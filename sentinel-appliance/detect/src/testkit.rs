//! Frames made by hand, and an engine over tables of any size; for the unit tests of this crate and those in `tests/`.

#![allow(dead_code, reason = "each test crate uses a part")]

extern crate std;

use std::net::{Ipv4Addr, Ipv6Addr};
use std::string::String;
use std::time::Duration;
use std::vec;
use std::vec::Vec;

use sentinel_alert::{Alert, Kind, Phase, Test};
use sentinel_detect::registry::DetectorConfig;
use sentinel_detect::{
    Capacities, Configs, DETECTORS, Engine, HomeNet, IncidentLimits, ListedPort, Losses, PortProtocol,
    RawFrame, Storage, TableCapacities,
};
use sentinel_track::allocator::TableAllocator;
use sentinel_track::hash::HashKey;
use sentinel_units::{LinkType, Port, Timestamp};

pub(crate) const KEY: HashKey = HashKey::new(0x0123_4567_89ab_cdef);
pub(crate) const LIMITS: IncidentLimits =
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
pub(crate) const ROOMY: Capacities =
    Capacities { flows: 1 << 14, incidents: 64, tables: TableCapacities::uniform(1 << 10) };

/// One set of each table.
pub(crate) const TINY: Capacities =
    Capacities { flows: 4, incidents: 4, tables: TableCapacities::uniform(4) };

pub(crate) fn configs() -> Configs {
    DETECTORS.map(|detector| detector.default_config())
}

/// The default configuration with a change to that of one detector.
pub(crate) fn configs_with(kind: Kind, change: impl FnOnce(&mut DetectorConfig)) -> Configs {
    let mut configs = configs();
    change(config_of(&mut configs, kind));
    configs
}

/// Only this detector runs.
pub(crate) fn alone(kind: Kind) -> Configs {
    let mut configs = configs();
    configs.iter_mut().for_each(|config| config.enabled = false);
    config_of(&mut configs, kind).enabled = true;
    configs
}

pub(crate) fn config_of(configs: &mut Configs, kind: Kind) -> &mut DetectorConfig {
    &mut configs[DETECTORS.iter().position(|detector| detector.kind == kind).unwrap()]
}

/// The value of a threshold by its name.
pub(crate) fn threshold<'c>(configs: &'c mut Configs, kind: Kind, name: &str) -> &'c mut u32 {
    let detector = DETECTORS.iter().find(|detector| detector.kind == kind).unwrap();
    let index = detector.thresholds.iter().position(|setting| setting.name == name).unwrap();
    &mut config_of(configs, kind).thresholds[index]
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

    pub(crate) fn with(capacities: Capacities, key: HashKey, configs: &Configs) -> Self {
        let storage = Storage::allocate(&capacities, &mut Leaked);
        let mut engine = Engine::new(storage, key, home_net(), LIMITS, configs);
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

    /// As [`Self::frame`], by the fast path.
    pub(crate) fn fast(&mut self, millis: u64, bytes: &[u8]) {
        self.captured(millis, bytes, 0, None);
    }

    /// As [`Self::fast`], on an interface whose card took a tag off.
    pub(crate) fn captured(&mut self, millis: u64, bytes: &[u8], interface: u16, vlan: Option<u16>) {
        let wire_len = u32::try_from(bytes.len()).unwrap();
        let Self { engine, raised } = self;
        let frame = RawFrame { at: at(millis), link: LinkType::ETHERNET, bytes, wire_len, interface, vlan };
        engine.frame(frame, &mut |alert| raised.push(alert));
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

pub(crate) fn ethernet(source: Mac, destination: Mac, ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&destination[..], &source, &ethertype.to_be_bytes(), payload].concat()
}

pub(crate) fn ipv4(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(20 + payload.len()).unwrap().to_be_bytes();
    let front = [0x45, 0, length[0], length[1], 0, 1, 0x40, 0, 64, protocol, 0, 0];
    let packet = [&front[..], &source.octets(), &destination.octets(), payload].concat();
    // Hosts that answer are on the other side of the link.
    let is_near = ![VICTIM, OUTSIDE, GATEWAY].contains(&source);
    let (from, to) = if is_near { (MAC, GATEWAY_MAC) } else { (GATEWAY_MAC, MAC) };
    ethernet(from, to, 0x0800, &packet)
}

pub(crate) fn ipv6(source: Ipv6Addr, destination: Ipv6Addr, next: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    let front = [0x60, 0, 0, 0, length[0], length[1], next, 64];
    let packet = [&front[..], &source.octets(), &destination.octets(), payload].concat();
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

/// An Ethernet frame with one more VLAN tag.
pub(crate) fn tagged(vlan: u16, mut frame: Vec<u8>) -> Vec<u8> {
    let tag = [0x81, 0, vlan.to_be_bytes()[0], vlan.to_be_bytes()[1]];
    frame.splice(12..12, tag);
    frame
}

/// Frame that the DHCP server `from` sends when it gives `address` to `client`; it names itself as router and resolver.
pub(crate) fn dhcp_ack_from(from: (Mac, Ipv4Addr), client: Mac, address: Ipv4Addr) -> Vec<u8> {
    dhcp_answer(from, (client, address), (from.1, from.1))
}

/// As [`dhcp_ack_from`], with another router and resolver.
pub(crate) fn dhcp_answer(
    (mac, server): (Mac, Ipv4Addr),
    (client, address): (Mac, Ipv4Addr),
    (router, resolver): (Ipv4Addr, Ipv4Addr),
) -> Vec<u8> {
    let mut message = vec![0; 240];
    message[..3].copy_from_slice(&[2, 1, 6]); // reply, Ethernet
    message[16..20].copy_from_slice(&address.octets()); // yiaddr
    message[28..34].copy_from_slice(&client); // chaddr
    message[236..].copy_from_slice(&[0x63, 0x82, 0x53, 0x63]);
    message.extend([53, 1, 5]); // message type: ACK
    for (option, value) in [(3, router), (6, resolver)] {
        message.extend([option, 4]);
        message.extend(value.octets());
    }
    message.push(255);
    let frame = udp((server, 67), (address, 68), &message);
    [&[0xff; 6][..], &mac, &frame[12..]].concat()
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

/// Plays events at their times and gives what opened.
pub(crate) fn opened(events: impl IntoIterator<Item = (u64, Vec<u8>)>) -> Vec<Test> {
    play(events).opened()
}

pub(crate) fn play(events: impl IntoIterator<Item = (u64, Vec<u8>)>) -> Sensor {
    let mut sensor = Sensor::new();
    for (millis, frame) in events {
        sensor.frame(millis, &frame);
    }
    sensor
}

/// `count` times, `gap_ms` apart.
pub(crate) fn each(
    count: u16,
    gap_ms: u64,
    frame: impl Fn(u16) -> Vec<u8>,
) -> impl Iterator<Item = (u64, Vec<u8>)> + Clone {
    let frames: Vec<_> = (0..count).map(|number| (u64::from(number) * gap_ms, frame(number))).collect();
    frames.into_iter()
}

/// The second half `pause_ms` later, so that the whole is not within one window.
pub(crate) fn halves(
    events: impl Iterator<Item = (u64, Vec<u8>)>,
    first: usize,
    pause_ms: u64,
) -> impl Iterator<Item = (u64, Vec<u8>)> {
    events.enumerate().map(move |(number, (millis, frame))| {
        (if number < first { millis } else { millis + pause_ms }, frame)
    })
}

pub(crate) fn only(alerts: &[Alert]) -> &Alert {
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    &alerts[0]
}

/// A SYN of the attacker to another port each time.
pub(crate) fn probe(number: u16) -> Vec<u8> {
    tcp((ATTACKER, 50_000 + number), (VICTIM, 1_000 + number), SYN)
}

/// A SYN of the attacker to one port, from another port each time.
pub(crate) fn request(number: u16) -> Vec<u8> {
    tcp((ATTACKER, 20_000 + number), (VICTIM, 80), SYN)
}

/// The `number`-th of other sources, all internal.
pub(crate) fn other(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x0a40_0000 + number)
}

/// The table of one detector alone, in a sensor whose tables have four entries: use of one entry of it by the `number`-th
/// other source, and an attack by `ATTACKER` that fires.
pub(crate) struct Filling {
    pub(crate) test: Test,
    pub(crate) use_one: fn(&mut Sensor, u32, u64),
    pub(crate) attack: fn(&mut Sensor, u64),
}

impl Filling {
    pub(crate) fn sensor(&self) -> Sensor {
        // Flows and contacts have plenty of room here: only the detector's own table is full.
        let tables = TableCapacities { contacts: 1 << 14, ..TINY.tables };
        Sensor::with(Capacities { flows: 1 << 14, tables, ..TINY }, KEY, &alone(self.test.kind()))
    }

    /// A source that attacks at once is detected however full the table is, and every live entry evicted is counted.
    pub(crate) fn a_full_table_counts_its_evictions_and_still_detects(&self) {
        let mut sensor = self.sensor();
        for number in 0..1_000 {
            (self.use_one)(&mut sensor, number, u64::from(number) / 100);
        }
        assert_eq!(sensor.opened(), []);
        assert_eq!(sensor.engine.losses(), Losses { evictions: 996, ..Losses::default() });
        (self.attack)(&mut sensor, 20);
        assert_eq!(sensor.opened(), [self.test]);
        assert_eq!(sensor.engine.losses().evictions, 997);
    }

    /// Entries that have outlived their window make room without a loss.
    pub(crate) fn expired_entries_are_no_loss(&self) {
        let mut sensor = self.sensor();
        for number in 0..50 {
            (self.use_one)(&mut sensor, number, u64::from(number) * 61_000);
        }
        assert_eq!(sensor.engine.losses(), Losses::default());
    }

    /// Without slots nothing is remembered and nothing panics.
    pub(crate) fn without_a_table_nothing_fires(&self) {
        let none = Capacities { flows: 0, incidents: 0, tables: TableCapacities::uniform(0) };
        let mut sensor = Sensor::with(none, KEY, &configs());
        (self.attack)(&mut sensor, 0);
        assert_eq!(sensor.opened(), []);
        sensor.finish();
    }
}

/// Number of the event of an endless burst at which the detector fires, with another value of a threshold.
pub(crate) fn first_alert(kind: Kind, name: &str, value: u32, burst: impl Fn(u16) -> Vec<u8>) -> u32 {
    let mut configs = alone(kind);
    *threshold(&mut configs, kind, name) = value;
    let mut sensor = Sensor::with(ROOMY, KEY, &configs);
    for number in 0..20_000 {
        sensor.frame(1, &burst(number));
        if !sensor.raised.is_empty() {
            return u32::from(number) + 1;
        }
    }
    0
}
