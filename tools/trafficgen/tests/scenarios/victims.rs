//! Reference for floods of many sources: requests of a network that stay without completion, in every sliding window of a second.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// A request: when it came, of whom, and whether it was completed.
#[derive(Clone, Copy)]
struct Request {
    at: Duration,
    source: IpAddr,
    destination: IpAddr,
    is_completed: bool,
}

/// Requests by kind and network of their destination.
#[derive(Default)]
pub(crate) struct Victims {
    requests: BTreeMap<(&'static str, IpAddr), Vec<Request>>,
    /// By kind and endpoints: the open requests.
    open: BTreeMap<(&'static str, IpAddr, IpAddr, u32), Vec<usize>>,
    /// Echo requests of each source to each destination.
    echoes: BTreeMap<(IpAddr, IpAddr), u32>,
    /// Directions of flows that were seen, TCP and UDP apart.
    seen: BTreeSet<(bool, IpAddr, IpAddr, (u16, u16))>,
}

const SLOTS: usize = 20;

impl Victims {
    /// The reply to a first request completes nothing, because the source may be forged; a source that asks again is not.
    pub(crate) fn echo(&mut self, at: Duration, source: IpAddr, destination: IpAddr, is_request: bool) {
        if is_request {
            *self.echoes.entry((source, destination)).or_default() += 1;
            self.request(at, "icmp_flood", (source, destination), 0);
            return;
        }
        match self.echoes.get(&(destination, source)) {
            Some(1) => {}
            Some(_) => drop(self.complete("icmp_flood", (destination, source), 0)),
            None => self.request(at, "icmp_flood", (source, destination), 1),
        }
    }

    pub(crate) fn segment(
        &mut self,
        at: Duration,
        endpoints: (IpAddr, IpAddr),
        ports: (u16, u16),
        flags: u8,
    ) {
        let (source, destination) = endpoints;
        let is_answered = self.is_seen(true, endpoints, ports);
        let is_known = is_answered || self.seen.contains(&(true, source, destination, ports));
        self.seen.insert((true, source, destination, ports));
        let id = |ports: (u16, u16)| u32::from(ports.0) << 16 | u32::from(ports.1);
        if flags & 0x12 == 0x02 {
            return self.request(at, "syn_flood", endpoints, id(ports));
        }
        if is_answered && flags & 0x16 == 0x10 {
            self.complete("syn_flood", endpoints, id(ports));
            self.complete("tcp_flood", (destination, source), id((ports.1, ports.0)));
        }
        if !is_known {
            self.request(at, "tcp_flood", endpoints, id(ports));
        }
    }

    pub(crate) fn datagram(&mut self, at: Duration, endpoints: (IpAddr, IpAddr), ports: (u16, u16)) {
        let (source, destination) = endpoints;
        let id = |ports: (u16, u16)| u32::from(ports.0) << 16 | u32::from(ports.1);
        if self.is_seen(false, endpoints, ports) {
            self.complete("udp_flood", (destination, source), id((ports.1, ports.0)));
        }
        let is_new = self.seen.insert((false, source, destination, ports));
        let is_group = match destination {
            IpAddr::V4(v4) => v4.is_broadcast() || v4.is_multicast(),
            IpAddr::V6(v6) => v6.is_multicast(),
        };
        // Metrics are sent without an answer.
        if is_new && ports.1 != 53 && ports.1 != 8_125 && !is_group {
            self.request(at, "udp_flood", endpoints, id(ports));
        }
    }

    pub(crate) fn fragment(&mut self, at: Duration, endpoints: (IpAddr, IpAddr), id: u32, more: bool) {
        if more {
            self.request(at, "fragment_flood", endpoints, id);
        } else {
            self.complete("fragment_flood", endpoints, id);
        }
    }

    /// Returns true if the other side of the flow has sent something.
    fn is_seen(&self, is_tcp: bool, (source, destination): (IpAddr, IpAddr), ports: (u16, u16)) -> bool {
        self.seen.contains(&(is_tcp, destination, source, (ports.1, ports.0)))
    }

    /// A packet that asks for a completion. `id` with the addresses identifies it.
    fn request(
        &mut self,
        at: Duration,
        kind: &'static str,
        (source, destination): (IpAddr, IpAddr),
        id: u32,
    ) {
        let requests = self.requests.entry((kind, network(destination))).or_default();
        self.open.entry((kind, source, destination, id)).or_default().push(requests.len());
        requests.push(Request { at, source, destination, is_completed: false });
    }

    /// Completes the open requests of that source and destination, if there are any.
    fn complete(&mut self, kind: &'static str, (source, destination): (IpAddr, IpAddr), id: u32) -> bool {
        let Some(open) = self.open.remove(&(kind, source, destination, id)) else { return false };
        let requests = self.requests.get_mut(&(kind, network(destination))).unwrap();
        open.iter().for_each(|index| requests[*index].is_completed = true);
        true
    }

    /// Kinds of which a network gets at least six incomplete requests in nine of the 20 parts of a second, more than an eighth of
    /// all, of at least four sources, none of which sends more than half; or, of those that are named for one source, all of one to one host.
    pub(crate) fn raised(&self) -> BTreeSet<&'static str> {
        let flooded = self.requests.iter().filter(|((kind, _), requests)| {
            // Windows that begin at least 25 ms apart.
            let mut next = Duration::ZERO;
            (0..requests.len()).any(|begin| {
                let is_due = requests[begin].at >= next;
                next = if is_due { requests[begin].at + Duration::from_millis(25) } else { next };
                is_due && is_flood(kind, &requests[begin..])
            })
        });
        flooded.map(|((kind, _), _)| *kind).collect()
    }
}

fn is_flood(kind: &str, requests: &[Request]) -> bool {
    let (mut slots, mut all) = ([0_u32; SLOTS], 0);
    let mut sources: BTreeMap<IpAddr, u32> = BTreeMap::new();
    for request in requests.iter().take_while(|request| request.at < requests[0].at + Duration::from_secs(1))
    {
        all += 1;
        if !request.is_completed {
            slots[usize::try_from((request.at - requests[0].at).as_millis() / 50).unwrap()] += 1;
            *sources.entry(request.source).or_default() += 1;
        }
    }
    let incomplete: u32 = slots.iter().sum();
    let open = requests.iter().filter(|request| !request.is_completed);
    let is_of_one = kind != "syn_flood"
        && kind != "icmp_flood"
        && open.clone().all(|request| {
            (request.source, request.destination) == (requests[0].source, requests[0].destination)
        });
    let min_sources = if kind == "fragment_flood" { 24 } else { 4 };
    slots.iter().filter(|count| **count >= 6).count() >= 9
        && incomplete > all / 8
        && (is_of_one
            || sources.len() >= min_sources && sources.values().all(|count| *count <= incomplete / 2))
}

fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(v4) => IpAddr::V4((v4.to_bits() & !0xff).into()),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
    }
}
