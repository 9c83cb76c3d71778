//! State of one network that packets of one class are counted for.

use sentinel_alert::Test;
use sentinel_dissect::Fragment;
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
/// Ports of one source, less those that share a bit, from which it searches.
const MAX_PORTS: u32 = 8;
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
    pub(super) top_source: u32,
    lead: u32,
    /// Destination ports of that source: a bit for each, by its hash.
    ports: u32,
    /// Bytes of its fragments, and bytes that its last fragments end behind less those bytes: zero once all datagrams are complete.
    fragment_bytes: u32,
    missing_bytes: i32,
    /// Lower halves of the addresses of hosts, and their requests; and the requests of all.
    hosts: [u64; HOSTS],
    of_hosts: [u32; HOSTS],
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
    /// Set while a flood of many sources is reported, or of one.
    pub(super) is_named: bool,
    pub(super) is_lone: bool,
    /// Logarithm of the sources of which one is looked at.
    pub(super) shift: u8,
    /// Set once packets of sources that are not looked at were left out before they came here.
    pub(super) is_sampled: bool,
    /// The source that is looked at whatever its hash is, once others are left out. Those that are not share its upper bits.
    heavy: u32,
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
        (self.unanswered, self.reported, self.is_named, self.is_lone) = (0, 0, false, false);
        (self.ports, self.fragment_bytes, self.missing_bytes) = (0, 0, 0);
        if keeps_sources {
            return;
        }
        self.requests = 0;
        self.sources = DistinctSources::default();
        self.lead -= self.lead.div_ceil(8);
        (self.of_hosts, self.of_all_hosts) = ([0; HOSTS], 0);
    }

    /// Notes that there are as many sources as the class asks for. From then on handshakes are followed, and counted anew.
    #[cold]
    pub(super) fn check_sources(&mut self, class: Class, now: Timestamp) {
        if self.has_many {
            return;
        }
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

    /// Returns true if sources are not left out yet, or others than now.
    #[inline]
    pub(super) const fn samples_others(&self, heavy: u32) -> bool {
        !self.is_sampled || self.heavy != heavy
    }

    /// Takes over that sources are left out already. The sources so far are forgotten: they were counted otherwise.
    #[cold]
    pub(super) fn sample_all(&mut self, heavy: u32) {
        (self.is_sampled, self.shift, self.heavy) = (true, FLOODED_SHIFT, heavy);
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
        let hash = if self.is_sampled { source_hash ^ self.heavy } else { mix(source_hash) };
        match hash >> (32 - self.shift) {
            // A source of that hash is counted in full: it stands for no other.
            0 if hash == 0 && self.is_sampled => 1,
            0 => 1 << self.shift,
            _ => 0,
        }
    }

    /// Returns true if requests of many sources came lately.
    pub(super) fn is_live(&self, now: Timestamp) -> bool {
        (self.has_many || self.per_source().is_some() && self.is_leading())
            && now.since(self.last).as_secs() < 2
    }

    /// Test that names the source that sends most.
    pub(super) fn per_source(&self) -> Option<Test> {
        RULES.get(usize::from(self.class?))?.per_source
    }

    /// Returns true if the lead of the first source is no chance.
    const fn is_leading(&self) -> bool {
        self.lead > if self.is_sampled { MIN_LEAD << self.shift } else { MIN_LEAD }
    }

    /// Packets that the first source sent more than all others together, which is less than it sent.
    pub(super) const fn lead(&self) -> u32 {
        self.lead
    }

    /// Returns true if the first source sends one host a flood: not to many ports, which is a scan, and no fragments that make up whole
    /// datagrams. Of these a quarter of the bytes may be lost.
    pub(super) fn is_lone_flood(&self) -> bool {
        self.has_one_source()
            && self.ports.count_ones() <= MAX_PORTS
            && matches!(self.destination().1, 32 | 128)
            && (self.class != Some(Class::Fragment)
                || self.missing_bytes.unsigned_abs() > self.fragment_bytes / 4)
    }

    /// Takes the place and length of a fragment.
    pub(super) fn count_fragment(&mut self, source_hash: u32, fragment: Fragment, len: u32) {
        if self.top_source == source_hash {
            self.fragment_bytes = self.fragment_bytes.saturating_add(len);
            let end = if fragment.more { 0 } else { u32::from(fragment.offset) + len };
            self.missing_bytes = self.missing_bytes.saturating_add_unsigned(end).saturating_sub_unsigned(len);
        }
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
        // A source that sends most is judged by the tests per source, if there are others.
        if self.top_source != source_hash
            || !self.is_leading()
            || !self.has_one_source()
            || self.per_source().is_some()
        {
            self.cusum.request(weight);
        }
        let step = if self.is_sampled { weight.into() } else { 1 };
        if self.top_source == source_hash {
            self.lead = self.lead.saturating_add(step);
        } else if self.lead < step {
            (self.top_source, self.lead) = (source_hash, step - self.lead);
            (self.ports, self.fragment_bytes, self.missing_bytes) = (0, 0, 0);
        } else {
            self.lead -= step;
        }
        if self.top_source == source_hash {
            let port = packet.destination_port.unwrap_or_default().0;
            self.ports |= 1 << (mix(port.into()).wrapping_mul(0x9e37_79b1) >> 27);
        }
        self.count_host(host(packet.destination));
    }

    fn count_host(&mut self, host: u64) {
        self.of_all_hosts = self.of_all_hosts.saturating_add(1);
        let mut held = self.hosts.iter().zip(&self.of_hosts);
        let known = held.position(|(held, count)| *held == host && *count > 0);
        let free = || self.of_hosts.iter().position(|count| *count == 0);
        let place = known
            .or_else(free)
            .and_then(|index| Some((self.hosts.get_mut(index)?, self.of_hosts.get_mut(index)?)));
        match place {
            Some((held, count)) => (*held, *count) = (host, count.saturating_add(1)),
            None => self.of_hosts.iter_mut().for_each(|count| *count -= 1),
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
        for (held, count) in self.hosts.iter().zip(&mut self.of_hosts) {
            if *held == of {
                *count = count.saturating_sub(1);
            }
        }
    }

    /// Returns true if one source sent most of what is not completed: the tests per source judge it.
    pub(super) const fn has_one_source(&self) -> bool {
        self.lead > (self.requests >> if self.is_sampled { 0 } else { self.shift }) / 5
    }

    /// Returns true if nearly every request came from another source.
    pub(super) fn has_new_sources(&self) -> bool {
        u64::from(self.sources()) * 4 >= u64::from(self.requests) * 3
    }

    /// The host that got three quarters of the requests, or the network, with the number of leading bits that count.
    #[inline(never)] // several callers, all of them rare
    pub(super) fn destination(&self) -> (Address, u8) {
        let total = self.of_all_hosts;
        let top = self.hosts.iter().zip(self.of_hosts).max_by_key(|(_, count)| *count).unwrap_or((&0, 0));
        let [a, b, ..] = self.network.words();
        let [c, d] = halves(*top.0);
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
