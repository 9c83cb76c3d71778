//! Reference sensor with unlimited memory, written from the definitions of the kinds.
//!
//! It evaluates every sliding window. It is simple and slow.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use sentinel_trafficgen::TimedFrame;

use crate::beacon::Calls;
use crate::link::LinkOracle;
use crate::lookups::Lookups;
use crate::payloads::Payloads;
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
    /// By source, destination and port: true once the destination has answered.
    contacts: BTreeMap<(IpAddr, IpAddr, u16), bool>,
    /// By source: segments that no TCP sends.
    crafted: BTreeMap<IpAddr, u32>,
    /// By internal host and port: bytes to each external host.
    parts: BTreeMap<(IpAddr, u16), BTreeMap<IpAddr, usize>>,
    /// By client, server and port of the server: answers in the order of their times, without banners.
    answers: BTreeMap<(IpAddr, IpAddr, u16), Vec<Vec<u8>>>,
    link: LinkOracle,
    payloads: Payloads,
    flows: BTreeSet<(IpAddr, IpAddr, (u16, u16))>,
    fragments: BTreeMap<FragmentKey, Vec<u8>>,
    victims: Victims,
    /// By client and last two labels of the name: distinct names, and distinct messages of the server behind the name.
    leaked: Leaked,
    /// By client: answers, and whether they say that there is no such name.
    nonexistent: BTreeMap<IpAddr, Vec<(Duration, bool)>>,
    lookups: Lookups,
    calls: Calls,
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
            Fact::Echo { source, destination, request, message } => {
                self.payloads.echo((source, destination), request, message);
                if request {
                    self.echoes.entry(source).or_default().push((at, 1));
                }
                self.victims.echo(at, source, destination, request);
            }
            Fact::Tcp { source, destination, ports, flags, payload } => {
                self.tcp(at, (source, destination), ports, flags, payload);
                if is_internal(source) && !is_internal(destination) {
                    let sums = self.parts.entry((source, ports.1)).or_default();
                    *sums.entry(destination).or_default() += frame.bytes.len();
                }
                if !payload.is_empty() && !payload.starts_with(b"SSH-") && !payload.starts_with(b"220 ") {
                    self.answers.entry((destination, source, ports.0)).or_default().push(payload.to_vec());
                }
                self.payloads.segment((source, destination), ports, payload);
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
        // Data in addresses looks like addresses that change.
        let is_leak = is_leaked(&self.leaked);
        let is_own = |kind: &&str| !is_leak || !["dns_rebinding", "fast_flux"].contains(kind);
        self.lookups.raised().into_iter().filter(is_own).for_each(|kind| raise_if(kind, true));
        self.payloads.raised().into_iter().for_each(|kind| raise_if(kind, true));
        raise_if("port_scan", self.ports.values().any(|opened| max_distinct(opened, 10) >= 15));
        raise_if("port_scan", self.crafted.values().any(|count| *count >= 3));
        let failed = || self.contacts.iter().filter(|(_, answered)| !**answered).map(|(contact, _)| *contact);
        let most = |groups: Vec<(IpAddr, String)>| {
            let mut counts: BTreeMap<_, u32> = BTreeMap::new();
            groups.into_iter().for_each(|group| *counts.entry(group).or_default() += 1);
            counts.into_values().max().unwrap_or(0)
        };
        let by_host = failed().map(|(source, host, _)| (network(source), host.to_string())).collect();
        let by_port = failed()
            .filter(|(_, host, _)| is_internal(*host))
            .map(|(source, _, port)| (network(source), port.to_string()))
            .collect();
        raise_if("port_scan", most(by_host) >= 6);
        raise_if("host_sweep", most(by_port) >= 6);
        raise_if("syn_flood", self.requests.values().any(|events| max_in_window(events, 5) >= 200));
        raise_if("icmp_flood", self.echoes.values().any(|events| max_in_window(events, 5) >= 100));
        raise_if("udp_flood", self.unanswered.values().any(|events| max_in_window(events, 5) >= 5_000));
        raise_if("exfiltration", self.outbound.values().any(|events| max_in_window(events, 60) >= 5_000_000));
        let is_spread =
            |hosts: &BTreeMap<IpAddr, usize>| hosts.values().filter(|sum| **sum >= 1 << 20).count() >= 24;
        raise_if("exfiltration", self.parts.values().any(is_spread));
        raise_if("brute_force", is_refused(&self.answers));
        raise_if("dns_tunnel", is_leak);
        raise_if("dga", is_generated(&self.leaked) || self.nonexistent.values().any(|names| is_run(names)));
        raise_if("brute_force", self.logins.values().any(|events| max_in_window(events, 30) >= 30));
        raise_if("beacon", self.calls.have_rhythm());
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
        if source == destination {
            self.raised.insert("protocol_anomaly");
            return;
        }
        self.victims.segment(at, endpoints, ports, flags);
        let first = self.is_from_initiator(source, destination, ports);
        let is_crafted = [0, 0x01, 0x29].contains(&(flags & 0x3f)) || flags & 2 != 0 && flags & 5 != 0;
        *self.crafted.entry(source).or_default() += u32::from(is_crafted);
        if flags & 0x17 == 0x02 {
            self.call(at, endpoints, ports.1);
            self.contacts.entry((source, destination, ports.1)).or_insert(false);
        } else if flags & 0x17 == 0x12 {
            self.contacts.insert((destination, source, ports.0), true);
        }
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
        let is_new = !self.flows.contains(&(source, destination, ports));
        if self.is_from_initiator(source, destination, ports) {
            self.ports.entry(source).or_default().push((at, ports.1));
            if is_new {
                self.call(at, endpoints, ports.1);
            }
            if !destination.is_multicast() && !is_broadcast(destination) {
                self.contacts.entry((source, destination, ports.1)).or_insert(false);
            }
            if ports.1 != 53 && !destination.is_multicast() && !is_broadcast(destination) {
                self.unanswered.entry((source, destination)).or_default().push((at, 1));
            }
        } else {
            self.contacts.insert((destination, source, ports.0), true);
        }
        if ports.1 == 53 && payload.get(4..6).is_some_and(|count| count != [0, 1]) {
            self.raised.insert("protocol_anomaly");
            return;
        }
        if ports.1 == 53 && !payload.is_empty() {
            self.name(payload);
        }
        if ports.0 == 53 {
            self.calls.answer(payload);
        }
        if [53, 5_300].contains(&ports.1) {
            self.leak(at, source, payload, true);
        } else if [53, 5_300].contains(&ports.0) {
            self.leak(at, destination, payload, false);
        }
    }

    fn call(&mut self, at: Duration, (source, destination): (IpAddr, IpAddr), port: u16) {
        if is_internal(source) && !is_internal(destination) && !destination.is_multicast() {
            self.calls.contact(at, source, destination, port);
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
        let name = name.to_ascii_lowercase();
        for (listed, kind) in LISTED {
            if name == listed || name.strip_suffix(listed).is_some_and(|before| before.ends_with('.')) {
                self.raised.insert(kind);
            }
        }
    }

    /// Adds a DNS message between a client and a server: names and answers by registered domain, and the domain itself.
    fn leak(&mut self, at: Duration, client: IpAddr, message: &[u8], is_query: bool) {
        let Some((name, answer)) = question(message) else { return };
        match is_query {
            true => self.lookups.query(&name),
            false => self.lookups.response(at, client, &name, message[3] & 15, &answer),
        }
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

/// The /64 of an IPv6 address of the outside, whose addresses are one source.
fn network(source: IpAddr) -> IpAddr {
    match source {
        IpAddr::V6(v6) if !is_internal(source) => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
        _ => source,
    }
}

/// Log-ins that were refused: by their codes, or of SSH by answers of 76 bytes that nothing but the next session follows. Twenty of one
/// pair, or of a dozen clients or servers.
fn is_refused(answers: &BTreeMap<(IpAddr, IpAddr, u16), Vec<Vec<u8>>>) -> bool {
    let (mut clients, mut servers) = (BTreeMap::<_, u32>::new(), BTreeMap::<_, u32>::new());
    answers.iter().any(|((client, server, port), answers)| {
        let is_code = |answer: &[u8]| answer.starts_with(b"530 ") || answer.starts_with(b"HTTP/1.1 401");
        let is_last = |next: Option<&Vec<u8>>| next.is_none_or(|next| next.len() == 1_088);
        let refused = (0..answers.len())
            .filter(|index| {
                let is_password = [22, 2_222].contains(port) && answers[*index].len() == 76;
                is_code(&answers[*index]) || is_password && is_last(answers.get(index + 1))
            })
            .count();
        let add = |peers: &mut BTreeMap<(IpAddr, u16), u32>, host: IpAddr| {
            let count = peers.entry((host, *port)).or_default();
            *count += u32::from(refused > 0);
            *count >= 14
        };
        refused >= 20 || add(&mut clients, *client) | add(&mut servers, *server)
    })
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

/// Names of `config/signatures.json` that the scenarios use.
const LISTED: [(&str, &str); 3] =
    [("signal.org", "chat_app"), ("dropbox.com", "cloud_storage"), ("xyz", "suspicious_tld")];

pub(crate) fn is_internal(address: IpAddr) -> bool {
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
