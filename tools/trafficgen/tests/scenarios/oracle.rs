//! Reference sensor with unlimited memory, written from the definitions of the kinds.
//!
//! It evaluates every sliding window. It is simple and slow.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use sentinel_trafficgen::TimedFrame;

use crate::victims::Victims;
use crate::walk::{self, Fact, Fragment};

/// Addresses, identification and protocol of a fragmented packet.
type FragmentKey = ((IpAddr, IpAddr), u32, u8);

/// By client and registered domain: distinct names below it, and distinct answers.
type Leaked = BTreeMap<(IpAddr, String), (BTreeSet<String>, BTreeSet<Vec<u8>>)>;

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
    owners: BTreeMap<Ipv4Addr, [u8; 6]>,
    leases: BTreeSet<(Ipv4Addr, [u8; 6])>,
    flows: BTreeSet<(IpAddr, IpAddr, (u16, u16))>,
    fragments: BTreeMap<FragmentKey, Vec<u8>>,
    victims: Victims,
    /// By client and last two labels of the name: distinct names, and distinct messages of the server behind the name.
    leaked: Leaked,
    /// By client: answers, and whether they say that there is no such name.
    nonexistent: BTreeMap<IpAddr, Vec<(Duration, bool)>>,
    raised: BTreeSet<&'static str>,
}

impl Oracle {
    pub(crate) fn observe(&mut self, frame: &TimedFrame) {
        self.fact(frame, walk::frame(&frame.bytes));
    }

    fn fact(&mut self, frame: &TimedFrame, fact: Fact<'_>) {
        let at = frame.offset;
        match fact {
            Fact::Arp { sender: (mac, address) } => self.arp(mac, address),
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
            Fact::Control => {}
        }
    }

    pub(crate) fn raised(mut self) -> BTreeSet<&'static str> {
        let mut raise_if = |kind, reached: bool| {
            if reached {
                self.raised.insert(kind);
            }
        };
        raise_if("port_scan", self.ports.values().any(|opened| max_distinct(opened, 10) >= 15));
        raise_if("syn_flood", self.requests.values().any(|events| max_in_window(events, 5) >= 200));
        raise_if("icmp_flood", self.echoes.values().any(|events| max_in_window(events, 5) >= 100));
        raise_if("udp_flood", self.unanswered.values().any(|events| max_in_window(events, 5) >= 5_000));
        raise_if("exfiltration", self.outbound.values().any(|events| max_in_window(events, 60) >= 5_000_000));
        raise_if("dns_tunnel", is_leaked(&self.leaked));
        raise_if("dga", is_generated(&self.leaked) || self.nonexistent.values().any(|names| is_run(names)));
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

    fn arp(&mut self, mac: [u8; 6], address: Ipv4Addr) {
        if address.is_unspecified() {
            return;
        }
        let before = self.owners.insert(address, mac);
        let virtual_router = mac.starts_with(&[0, 0, 0x5e, 0, 1]);
        let leased = self.leases.contains(&(address, mac));
        if before.is_some_and(|before| before != mac) && !virtual_router && !leased {
            self.raised.insert("arp_spoof");
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
            self.leak(at, source, &payload[2..], true);
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
        if [53, 5_300].contains(&ports.1) {
            self.leak(at, source, payload, true);
        } else if [53, 5_300].contains(&ports.0) {
            self.leak(at, destination, payload, false);
        }
        // An acknowledged lease: operation reply, option 53 with value 5 right behind the cookie.
        if ports.1 == 68 && payload[0] == 2 && payload[240..243] == [53, 1, 5] {
            let address = Ipv4Addr::new(payload[16], payload[17], payload[18], payload[19]);
            self.leases.insert((address, payload[28..34].try_into().unwrap()));
        }
    }

    /// Returns true if there was no packet in the opposite direction before: the source is the initiator.
    fn is_from_initiator(&mut self, source: IpAddr, destination: IpAddr, ports: (u16, u16)) -> bool {
        self.flows.insert((source, destination, ports));
        !self.flows.contains(&(destination, source, (ports.1, ports.0)))
    }

    fn name(&mut self, message: &[u8]) {
        let Some(name) = walk::question(message) else { return };
        if name.len() > 50 && !name.ends_with(".arpa") {
            self.raised.insert("dns_tunnel");
        }
    }

    /// Adds a DNS message between a client and a server: names and answers by registered domain, and the domain itself.
    fn leak(&mut self, at: Duration, client: IpAddr, message: &[u8], is_query: bool) {
        let Some((name, answer)) = question(message) else { return };
        let labels: Vec<&str> = name.split('.').collect();
        let domain =
            labels[labels.len().saturating_sub(if name.ends_with("ip6.arpa") { 10 } else { 2 })..].join(".");
        // Services whose names carry data by design, and networks under which every customer has a domain.
        if ["mcafee.com", "akamaiedge.net"].contains(&domain.as_str()) {
            return;
        }
        let below = name[..name.len() - domain.len()].to_owned();
        let (names, answers) = self.leaked.entry((client, domain)).or_default();
        if is_query {
            names.insert(below);
            return;
        }
        if names.contains(&below) {
            self.nonexistent.entry(client).or_default().push((at, message[3] & 15 == 3));
        }
        answers.insert(answer);
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

/// Five bits of each character of a name, and those of each answer but for the header of its first record: a kilobyte and a half
/// under one domain, or four times as much in names of one client.
fn is_leaked(leaked: &Leaked) -> bool {
    let mut totals: BTreeMap<IpAddr, usize> = BTreeMap::new();
    leaked.iter().any(|((client, _), (names, answers))| {
        let in_names: usize = names.iter().map(|name| name.replace('.', "").len() * 5 / 8).sum();
        let in_answers: usize = answers.iter().map(|answer| answer.len().saturating_sub(30).min(250)).sum();
        let total = totals.entry(*client).or_default();
        *total += in_names;
        in_names >= 1_400 || in_answers >= 2_000 || *total >= 6_000
    })
}

/// Eight domains that one client asked for, of 15 characters or more, a quarter of them vowels at most.
fn is_generated(leaked: &Leaked) -> bool {
    let mut counts: BTreeMap<IpAddr, usize> = BTreeMap::new();
    leaked.iter().filter(|(_, (names, _))| !names.is_empty()).any(|((client, domain), _)| {
        let label = domain.split('.').next().unwrap_or_default();
        let vowels = label.chars().filter(|letter| "aeiou".contains(*letter)).count();
        let count = counts.entry(*client).or_default();
        *count += usize::from(label.len() >= 15 && vowels * 4 <= label.len() && !domain.ends_with("arpa"));
        *count >= 8
    })
}

/// Fifteen domains that do not exist, none more than ten seconds after the one before.
fn is_run(answers: &[(Duration, bool)]) -> bool {
    let mut run = 0;
    let mut last = Duration::ZERO;
    answers.iter().any(|(at, is_nonexistent)| {
        run = if *at - last <= Duration::from_secs(10) && *is_nonexistent { run + 1 } else { 0 };
        last = *at;
        run >= 15
    })
}

/// Name in the question of a DNS message, in lower case, and what follows the question.
fn question(message: &[u8]) -> Option<(String, Vec<u8>)> {
    let (mut labels, mut at) = (Vec::new(), 12);
    while *message.get(at)? != 0 {
        let length = usize::from(message[at]);
        labels.push(String::from_utf8_lossy(message.get(at + 1..=at + length)?).to_lowercase());
        at += length + 1;
    }
    Some((labels.join("."), message.get(at + 5..)?.to_vec()))
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
