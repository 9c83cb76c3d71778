//! Reference sensor with unlimited memory, written from the definitions of the kinds.
//!
//! It evaluates every sliding window. It is simple and slow.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use sentinel_trafficgen::TimedFrame;

use crate::link::LinkOracle;
use crate::victims::Victims;
use crate::walk::{self, Fact, Fragment};

/// Addresses, identification and protocol of a fragmented packet.
type FragmentKey = ((IpAddr, IpAddr), u32, u8);

const LOGIN_PORTS: [u16; 9] = [21, 22, 23, 445, 1_433, 3_306, 3_389, 5_432, 5_900];

#[derive(Default)]
pub(crate) struct Oracle {
    /// By source: time and destination port of each first packet of a flow.
    ports: BTreeMap<IpAddr, Vec<(Duration, u16)>>,
    requests: BTreeMap<IpAddr, Vec<(Duration, u64)>>,
    echoes: BTreeMap<IpAddr, Vec<(Duration, u64)>>,
    /// By source and destination: UDP in flows without a response.
    unanswered: BTreeMap<(IpAddr, IpAddr), Vec<(Duration, u64)>>,
    outbound: BTreeMap<IpAddr, Vec<(Duration, u64)>>,
    logins: BTreeMap<(IpAddr, IpAddr, u16), Vec<(Duration, u64)>>,
    link: LinkOracle,
    flows: BTreeSet<(IpAddr, IpAddr, (u16, u16))>,
    fragments: BTreeMap<FragmentKey, Vec<u8>>,
    victims: Victims,
    raised: BTreeSet<&'static str>,
}

impl Oracle {
    pub(crate) fn observe(&mut self, frame: &TimedFrame) {
        self.fact(frame, walk::frame(&frame.bytes));
        self.link.observe(frame);
    }

    fn fact(&mut self, frame: &TimedFrame, fact: Fact<'_>) {
        let at = frame.offset;
        match fact {
            Fact::Echo { source, destination, request } => {
                if request {
                    self.echoes.entry(source).or_default().push((at, 1));
                }
                self.victims.echo(at, source, destination, request);
            }
            Fact::Tcp { source, destination, ports, flags, payload } => {
                self.tcp(at, (source, destination), ports, flags, payload);
                self.bytes(at, source, destination, frame.bytes.len());
            }
            Fact::Udp { source, destination, ports, payload } => {
                self.udp(at, (source, destination), ports, payload);
                self.bytes(at, source, destination, frame.bytes.len());
            }
            Fact::Fragment(fragment) => self.fragment(frame, &fragment),
            Fact::Arp | Fact::Control => {}
        }
    }

    pub(crate) fn raised(mut self) -> BTreeSet<&'static str> {
        let mut raise_if = |kind, reached: bool| {
            if reached {
                self.raised.insert(kind);
            }
        };
        let link = std::mem::take(&mut self.link).raised();
        link.into_iter().for_each(|kind| raise_if(kind, true));
        raise_if("port_scan", self.ports.values().any(|opened| max_distinct(opened, 10) >= 15));
        raise_if("syn_flood", self.requests.values().any(|events| max_in_window(events, 5) >= 200));
        raise_if("icmp_flood", self.echoes.values().any(|events| max_in_window(events, 5) >= 100));
        raise_if("udp_flood", self.unanswered.values().any(|events| max_in_window(events, 5) >= 5_000));
        raise_if("exfiltration", self.outbound.values().any(|events| max_in_window(events, 60) >= 5_000_000));
        raise_if("brute_force", self.logins.values().any(|events| max_in_window(events, 30) >= 30));
        self.raised.extend(self.victims.raised());
        self.raised
    }

    /// Reassembles fragments, which are in order here, and reads the packet after the last one.
    fn fragment(&mut self, frame: &TimedFrame, fragment: &Fragment<'_>) {
        let key = (fragment.endpoints, fragment.identification, fragment.protocol);
        let mut bytes = self.fragments.remove(&key).unwrap_or_default();
        assert_eq!(bytes.len(), fragment.offset, "fragments without gap or overlap");
        bytes.extend_from_slice(fragment.bytes);
        self.victims.fragment(frame.offset, fragment.endpoints, fragment.identification, fragment.more);
        if fragment.more {
            self.fragments.insert(key, bytes);
        } else {
            self.fact(
                frame,
                walk::transport(fragment.protocol, &bytes, fragment.endpoints.0, fragment.endpoints.1),
            );
        }
    }

    fn tcp(
        &mut self,
        at: Duration,
        endpoints: (IpAddr, IpAddr),
        ports: (u16, u16),
        flags: u8,
        payload: &[u8],
    ) {
        let (source, destination) = endpoints;
        self.victims.segment(at, endpoints, ports, flags);
        let first = self.is_from_initiator(source, destination, ports);
        if flags & 0x12 == 0x02 {
            self.requests.entry(source).or_default().push((at, 1));
            if [4_444, 31_337].contains(&ports.1) {
                self.raised.insert("suspicious_port");
            }
            if LOGIN_PORTS.contains(&ports.1) {
                self.logins.entry((source, destination, ports.1)).or_default().push((at, 1));
            }
        }
        // SYN without ACK, or a first segment with which no stack begins a connection.
        if flags & 0x12 == 0x02 || (first && flags & 0x14 == 0) {
            self.ports.entry(source).or_default().push((at, ports.1));
        }
        if ports.1 == 53 && !payload.is_empty() {
            assert_eq!(usize::from(u16::from_be_bytes([payload[0], payload[1]])), payload.len() - 2);
            self.name(&payload[2..]);
        }
    }

    fn udp(&mut self, at: Duration, endpoints: (IpAddr, IpAddr), ports: (u16, u16), payload: &[u8]) {
        let (source, destination) = endpoints;
        self.victims.datagram(at, endpoints, ports);
        if self.is_from_initiator(source, destination, ports) {
            self.ports.entry(source).or_default().push((at, ports.1));
            if ports.1 != 53 && !destination.is_multicast() && !is_broadcast(destination) {
                self.unanswered.entry((source, destination)).or_default().push((at, 1));
            }
        }
        if ports.1 == 53 && !payload.is_empty() {
            self.name(payload);
        }
    }

    /// Returns true if there was no packet in the opposite direction before: the source is the initiator.
    fn is_from_initiator(&mut self, source: IpAddr, destination: IpAddr, ports: (u16, u16)) -> bool {
        self.flows.insert((source, destination, ports));
        !self.flows.contains(&(destination, source, (ports.1, ports.0)))
    }

    fn name(&mut self, message: &[u8]) {
        let name = walk::question(message).expect("a message to port 53 has a question");
        if name.len() > 50 && !name.ends_with(".arpa") {
            self.raised.insert("dns_tunnel");
        }
    }

    fn bytes(&mut self, at: Duration, source: IpAddr, destination: IpAddr, length: usize) {
        if is_internal(source)
            && !is_internal(destination)
            && !destination.is_multicast()
            && !is_broadcast(destination)
        {
            self.outbound.entry(source).or_default().push((at, u64::try_from(length).unwrap()));
        }
    }
}

fn is_internal(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_private() || v4.is_unspecified(),
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

fn is_broadcast(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(v4) if v4.is_broadcast())
}

/// Largest sum in any window of `seconds`, less one nanosecond.
fn max_in_window(events: &[(Duration, u64)], seconds: u64) -> u64 {
    let (mut begin, mut total, mut most) = (0, 0, 0);
    for (at, amount) in events {
        total += amount;
        while *at - events[begin].0 >= Duration::from_secs(seconds) {
            total -= events[begin].1;
            begin += 1;
        }
        most = most.max(total);
    }
    most
}

/// Largest number of distinct ports in any window of `seconds`.
fn max_distinct(opened: &[(Duration, u16)], seconds: u64) -> usize {
    let mut begin = 0;
    let mut counts: BTreeMap<u16, usize> = BTreeMap::new();
    let mut most = 0;
    for (at, port) in opened {
        *counts.entry(*port).or_default() += 1;
        while *at - opened[begin].0 >= Duration::from_secs(seconds) {
            let expired = opened[begin].1;
            let count = counts.get_mut(&expired).unwrap();
            *count -= 1;
            if *count == 0 {
                counts.remove(&expired);
            }
            begin += 1;
        }
        most = most.max(counts.len());
    }
    most
}
