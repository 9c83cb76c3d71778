//! State of one network that packets of one class are counted for.

use sentinel_units::{Address, Port, Timestamp};

use super::class::{Class, RULES};
use super::cusum::{Cusum, GRACE_NANOS};
use super::gate::FLOODED_SHIFT;
use super::sources::{DistinctSources, mix};
use crate::shared::event::Counted;

/// Hosts of a network that are counted apart: a Misra-Gries summary.
const HOSTS: usize = 4;
/// Lead of a source below which it may be chance. While nothing exceeds what is usual, a lead loses an eighth for each bucket.
const MIN_LEAD: u32 = 16;
/// Handshakes that an entry lends to the table of all entries.
pub(super) const HANDSHAKES: usize = 32;

/// Handshake that waits for its last segment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Handshake {
    /// Hash of its endpoints; zero if the place is free.
    pub(super) tag: u32,
    /// Number that its last segment acknowledges.
    pub(super) expected: u32,
}

/// Storage for one watched network, about 500 bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Victim {
    /// `None` for a free entry.
    pub(super) class: Option<Class>,
    /// First address of the network.
    pub(super) network: Address,
    /// Time of the last request.
    pub(super) last: Timestamp,
    pub(super) cusum: Cusum,
    /// Begin of the evidence: the requests since then are counted below.
    since: Timestamp,
    /// All requests.
    requests: u32,
    /// Requests that were judged and had no completion.
    pub(super) unanswered: u32,
    /// The part of them that findings reported.
    pub(super) reported: u32,
    pub(super) sources: DistinctSources,
    /// The source of most requests if one sends more than half (Boyer and Moore 1981), and its lead over all others together.
    top_source: u32,
    lead: u32,
    /// Lower halves of the addresses of hosts, and their requests; and the requests of all.
    hosts: [(u64, u32); HOSTS],
    of_all_hosts: u32,
    /// The only destination port so far, and the only sender on this link.
    port: Option<Port>,
    sender: Option<[u8; 6]>,
    /// Set once as many sources as the class asks for have come.
    pub(super) has_many: bool,
    /// Set once the network has sent something that only its hosts send.
    pub(super) is_visible: bool,
    /// Set while nearly every echo request has another source.
    pub(super) is_forged: bool,
    /// Set while a flood is reported.
    pub(super) is_named: bool,
    /// Logarithm of the sources of which one is looked at.
    pub(super) shift: u8,
    /// Set once packets of sources that are not looked at were left out before they came here.
    pub(super) is_sampled: bool,
    /// A part of the table of handshakes, whatever network this entry is for.
    pub(super) handshakes: [Handshake; HANDSHAKES],
}

/// Network of an address: its /24, or of IPv6 its /64.
pub(super) fn network(address: Address) -> Address {
    let [a, b, _, d] = address.words();
    if address.is_v4() { Address::v4(d & !0xff) } else { Address::v6([a, b, 0, 0]) }
}

/// Lower half of an address, which with the network is the address.
fn host(address: Address) -> u64 {
    let [_, _, upper, lower] = address.words();
    u64::from(upper) << 32 | u64::from(lower)
}

impl Victim {
    /// Begins to watch a network. The handshakes stay.
    pub(super) fn begin(&mut self, class: Class, network: Address, now: Timestamp) {
        *self = Self {
            class: Some(class),
            network,
            cusum: Cusum::new(now),
            since: now,
            last: now,
            handshakes: self.handshakes,
            ..Self::default()
        };
    }

    /// Forgets the evidence, because nothing exceeds what is usual; the sources of requests only if `keeps_sources` is not set.
    #[inline(never)] // several callers, all of them rare
    pub(super) fn forget(&mut self, now: Timestamp, keeps_sources: bool) {
        self.since = Timestamp::from_nanos(now.as_nanos().saturating_sub(GRACE_NANOS));
        (self.unanswered, self.reported, self.is_named) = (0, 0, false);
        if keeps_sources {
            return;
        }
        self.requests = 0;
        self.sources = DistinctSources::default();
        self.lead -= self.lead.div_ceil(8);
        (self.hosts, self.of_all_hosts) = ([(0, 0); HOSTS], 0);
    }

    /// Notes that there are as many sources as the class asks for. From then on handshakes are followed, and counted anew.
    pub(super) fn check_sources(&mut self, class: Class, now: Timestamp) {
        let asked = RULES.get(usize::from(class)).map_or(u32::MAX, |rule| rule.sources);
        self.has_many = self.requests >= asked && self.sources.at_least() >= asked;
        if self.has_many && class == Class::Handshake {
            self.cusum = Cusum::new(now);
            self.forget(now, false);
        }
    }

    /// Looks at fewer sources if there are many. It stays so as long as the network is watched.
    pub(super) fn sample(&mut self, class: Class, last_bucket: u16) {
        if class != Class::Handshake || last_bucket <= 20 {
            return;
        }
        if last_bucket > 250 {
            // 5,000 a second: of so few sources that none is looked at, each crosses the threshold per source.
            self.shift = 6;
        } else if self.shift == 0 && self.sources.at_least() >= 20 {
            self.shift = 3;
        }
    }

    /// Takes over that sources are left out already. The sources so far are forgotten: they were counted otherwise.
    #[cold]
    pub(super) fn sample_all(&mut self) {
        (self.is_sampled, self.shift) = (true, FLOODED_SHIFT);
        (self.sources, self.requests, self.lead) = (DistinctSources::default(), 0, 0);
    }

    /// Estimated number of sources.
    pub(super) fn sources(&self) -> u32 {
        self.sources.estimate() << if self.is_sampled { self.shift } else { 0 }
    }

    /// Requests that one of a source stands for: zero if the source is not looked at.
    #[inline]
    pub(super) const fn weight_of(&self, source_hash: u32) -> u16 {
        if self.shift == 0 {
            return 1;
        }
        // The sources that the switch leaves, or as evenly as it can be: made-up addresses are often regular.
        let hash = if self.is_sampled { source_hash } else { mix(source_hash) };
        if hash >> (32 - self.shift) == 0 { 1 << self.shift } else { 0 }
    }

    /// Returns true if requests of many sources came lately.
    pub(super) fn is_live(&self, now: Timestamp) -> bool {
        self.has_many && now.since(self.last).as_secs() < 2
    }

    /// All requests of the evidence.
    pub(super) const fn requests(&self) -> u32 {
        self.requests
    }

    /// Begin of the evidence.
    pub(super) const fn since(&self) -> Timestamp {
        self.since
    }

    /// Counts a request. `weight` is zero if its source is not looked at.
    pub(super) fn request(&mut self, now: Timestamp, source_hash: u32, packet: &Counted<'_>, weight: u16) {
        let sender = packet.sender.copied();
        if self.requests == 0 {
            (self.port, self.sender) = (packet.destination_port, sender);
        } else {
            self.port = self.port.filter(|port| packet.destination_port == Some(*port));
            self.sender = self.sender.filter(|known| sender == Some(*known));
        }
        self.last = now;
        self.requests = self.requests.saturating_add(if self.is_sampled { weight.into() } else { 1 });
        self.sources.add(source_hash);
        if weight == 0 {
            return;
        }
        // A source that sends most is judged by the tests per source.
        if self.top_source != source_hash || self.lead <= MIN_LEAD || !self.has_one_source() {
            self.cusum.request(weight);
        }
        if self.top_source == source_hash {
            self.lead = self.lead.saturating_add(1);
        } else if self.lead == 0 {
            (self.top_source, self.lead) = (source_hash, 1);
        } else {
            self.lead -= 1;
        }
        self.count_host(host(packet.destination));
    }

    fn count_host(&mut self, host: u64) {
        self.of_all_hosts = self.of_all_hosts.saturating_add(1);
        let known = self.hosts.iter().position(|(held, count)| *held == host && *count > 0);
        let free = || self.hosts.iter().position(|(_, count)| *count == 0);
        match known.or_else(free).and_then(|index| self.hosts.get_mut(index)) {
            Some((held, count)) => (*held, *count) = (host, count.saturating_add(1)),
            None => self.hosts.iter_mut().for_each(|(_, count)| *count -= 1),
        }
    }

    /// Completes requests of a source to a host.
    #[inline(never)] // several callers
    pub(super) fn complete(&mut self, source_hash: u32, destination: Address, weight: u16) {
        if weight == 0 {
            return;
        }
        self.cusum.complete(weight);
        if self.top_source == source_hash {
            self.lead = self.lead.saturating_sub(1);
        }
        self.of_all_hosts = self.of_all_hosts.saturating_sub(1);
        let of = host(destination);
        for (held, count) in &mut self.hosts {
            if *held == of {
                *count = count.saturating_sub(1);
            }
        }
    }

    /// Returns true if one source sent most of what is not completed: the tests per source judge it.
    pub(super) const fn has_one_source(&self) -> bool {
        self.lead > (self.requests >> self.shift) / 5
    }

    /// Returns true if nearly every request came from another source.
    pub(super) fn has_new_sources(&self) -> bool {
        u64::from(self.sources()) * 4 >= u64::from(self.requests) * 3
    }

    /// The host that got three quarters of the requests, or the network, with the number of leading bits that count.
    #[inline(never)] // several callers, all of them rare
    pub(super) fn destination(&self) -> (Address, u8) {
        let total = self.of_all_hosts;
        let top = self.hosts.iter().max_by_key(|(_, count)| *count).copied().unwrap_or_default();
        let [a, b, ..] = self.network.words();
        let [c, d] = halves(top.0);
        let is_v4 = self.network.is_v4();
        if top.1 > 0 && top.1 >= total - total / 4 {
            return if is_v4 { (Address::v4(d), 32) } else { (Address::v6([a, b, c, d]), 128) };
        }
        (self.network, if is_v4 { 24 } else { 64 })
    }

    /// The only destination port, and the only sender on this link.
    pub(super) const fn common(&self) -> (Option<Port>, Option<[u8; 6]>) {
        (self.port, self.sender)
    }
}

#[expect(clippy::as_conversions, reason = "the halves of 64 bits")]
const fn halves(number: u64) -> [u32; 2] {
    [(number >> 32) as u32, number as u32]
}
