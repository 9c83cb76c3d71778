//! Floods on a victim by many sources, forged or not: the tests `per_victim` of `syn_flood`, `icmp_flood` and `udp_flood`, and the
//! kinds `tcp_flood` and `fragment_flood`.
//!
//! Read first: RFC 4987 section 2 (SYN floods); `cusum` and `sources` name the papers.
//!
//! Packets are counted for the network of their destination, a /24 or of IPv6 a /64, so that a flood that is spread over its hosts is
//! one; the host that gets three quarters of them is named. Networks that get fewer than 22 a second of a [`Class`] are only
//! counted by a [filter](FrequentSources). Above that one of 32 entries counts requests less completed ones ([`Cusum`]),
//! distinct sources, hosts and the most frequent source.
//!
//! A handshake is complete when its last segment acknowledges the number of the SYN-ACK, which a forged source never learns. That
//! segment takes the slow path only while its network is watched, and then one in 8 or 64 of them if there are many.
//!
//! A flood of many sources is named only if it has at least four and none of them sends most. Its finding never names a source, because
//! the sources may be forged, or be reflectors that are victims themselves.
//!
//! One source that sends most is named by the tests per source: of connection requests, echo requests and datagrams of one flow in
//! files of their own; of segments, of datagrams that each open a flow, and of fragments here (`per_source`). To one host only, and to at most
//! about eight ports: more are a scan. Fragments must also not add up to datagrams: the bytes that last fragments announce are compared with
//! those that came, because most large datagrams (NFS, tunnels) are not reassembled.
//!
//! A [switch](gate) in front leaves out what a quiet or ordinary network sends.
//!
//! Limits: with all entries of a set busy the one with the least evidence makes room, at most once in 10 ms, which
//! [`Victims::evictions`] counts if it had packets of many sources within two seconds. Answers and UDP responses without a request
//! are not counted with several workers, which see one direction each, and echo requests only above the whole rate in one worker. Queries to port 53 are not counted. On a network with more
//! than 300 requests a second, whose followed ones complete, a flood of few sources may have none that is followed for 17 s, and one
//! below 60 a second in all is not looked for. On a sensor that sees one direction only, forged pairs of SYN and ACK look like
//! handshakes, and answers like ones that nobody asked for. One source that sends segments or fragments in one flow, or segments to
//! ever other ports of a host that answers none, looks like a transfer or a scan.

mod class;
mod cusum;
mod entry;
mod events;
mod gate;
mod judgement;
mod sources;
#[cfg(test)]
mod tests;

use sentinel_alert::{Kind, Severity};
use sentinel_track::hash::HashKey;
use sentinel_units::{Address, Timestamp};

use crate::detectors::{Configs, DETECTORS};
use crate::incident::Findings;
use crate::registry::{Detector, DetectorConfig, thresholds};
use crate::shared::event::Counted;
use crate::shared::frequent_sources::{Frequency, FrequentSources};
use class::{CLASSES, Class, RULES};
use entry::network;
use gate::Gate;
use judgement::judge;

pub use entry::Victim;

/// Entries of a set, any of which may hold a network of that set.
const WAYS: usize = 4;
/// Networks that are watched at a time: a power of two of sets.
pub(crate) const MAX_VICTIMS: usize = 32;
/// Packets to a network within [`FILTER_WINDOW`] from which it is watched.
const FILTER_LIMIT: u32 = 6;
const FILTER_WINDOW: core::time::Duration = core::time::Duration::from_nanos(1 << 28);

/// Requests from which a source that sent most of them is not left out in a flood.
const HEAVY: u32 = 64;

/// Shortest time between two networks that take the entry of another one: packets to ever other networks cost no search each.
const ADMISSION_INTERVAL: core::time::Duration = core::time::Duration::from_millis(10);

thresholds! {
    /// Thresholds of `tcp_flood`.
    TcpThresholds {
        victim_rate: "packets/s", default 60, 10 to 1_000_000,
            "segments of no connection a second that one destination may get";
    }
}

thresholds! {
    /// Thresholds of `fragment_flood`.
    FragmentThresholds {
        victim_rate: "packets/s", default 60, 10 to 1_000_000,
            "fragments of incomplete datagrams a second that one destination may get";
    }
}

fn segment_rate(config: &DetectorConfig) -> u32 {
    TcpThresholds::from(config).victim_rate
}

fn fragment_rate(config: &DetectorConfig) -> u32 {
    FragmentThresholds::from(config).victim_rate
}

/// Declaration of `tcp_flood`.
pub(crate) struct TcpFlood;

impl TcpFlood {
    pub(crate) const DETECTOR: Detector = Detector {
        kind: Kind::TcpFlood,
        about: "many sources, or one, send TCP segments of no connection (ACK, FIN, RST, SYN-ACK) to one destination",
        source: "CUSUM of Wang, Zhang, Shin (2002); the rate is common practice",
        severity: Severity::Medium,
        thresholds: TcpThresholds::SETTINGS,
        ports: None,
    };
}

/// Declaration of `fragment_flood`.
pub(crate) struct FragmentFlood;

impl FragmentFlood {
    pub(crate) const DETECTOR: Detector = Detector {
        kind: Kind::FragmentFlood,
        about: "many sources, or one, send one destination fragments of datagrams that stay incomplete",
        source: "CUSUM of Wang, Zhang, Shin (2002); the rate is common practice",
        severity: Severity::Medium,
        thresholds: FragmentThresholds::SETTINGS,
        ports: None,
    };
}

/// Configuration of one class.
#[derive(Clone, Copy, Debug)]
struct Limit {
    enabled: bool,
    severity: Severity,
    /// Rate that is usual, in packets a second.
    rate: u32,
}

/// Everything that is counted for destinations.
#[derive(Debug)]
pub(crate) struct Victims<'m> {
    entries: &'m mut [Victim],
    /// A keyed hash of class and network for each entry, which tells them apart.
    tags: [u32; MAX_VICTIMS],
    /// Entries of each class.
    used: [u8; CLASSES],
    limits: [Limit; CLASSES],
    filter: FrequentSources,
    /// Switch of segments, datagrams and fragments.
    pub(crate) gate: Gate,
    /// The lowest rate that is usual.
    lowest: u32,
    evictions: u64,
    /// Time before which no network takes the entry of another one.
    next_admission: Timestamp,
    /// Workers that share the traffic by source address.
    workers: u32,
    /// Set while the headers of a fragment are shown.
    pub(crate) is_fragment: bool,
}

/// Place and time of a packet.
type At<'e> = (Timestamp, &'e HashKey);

impl<'m> Victims<'m> {
    pub(crate) fn new(entries: &'m mut [Victim], _tcp: &DetectorConfig, _fragment: &DetectorConfig) -> Self {
        let used = entries.len().min(MAX_VICTIMS);
        Self {
            entries: entries.get_mut(..used).unwrap_or_default(),
            tags: [0; MAX_VICTIMS],
            used: [0; CLASSES],
            limits: [Limit { enabled: false, severity: Severity::Medium, rate: 1 }; CLASSES],
            filter: FrequentSources::new(FILTER_LIMIT, FILTER_WINDOW),
            gate: Gate::new(),
            lowest: 1,
            evictions: 0,
            next_admission: Timestamp::ZERO,
            workers: 1,
            is_fragment: false,
        }
    }

    /// The rates are settings of several kinds: see [`Self::configure_kinds`].
    #[expect(clippy::unused_self, reason = "every detector has this method")]
    pub(crate) const fn configure(&mut self, _tcp: &DetectorConfig, _fragment: &DetectorConfig) {}

    /// Takes over the settings of all kinds that have a test per victim.
    pub(crate) fn configure_kinds(&mut self, configs: &Configs) {
        for (limit, rule) in self.limits.iter_mut().zip(&RULES) {
            let kind = rule.test.kind();
            let mut named = DETECTORS.iter().zip(configs);
            let Some((_, config)) = named.find(|(detector, _)| detector.kind == kind) else { continue };
            let rate = (rule.rate)(config).max(1);
            *limit = Limit { enabled: config.enabled, severity: config.severity, rate };
        }
        self.lowest = self.limits.iter().map(|limit| limit.rate).min().unwrap_or(1);
        self.configure_gates();
    }

    const fn configure_gates(&mut self) {
        self.gate.configure(self.lowest / self.workers);
    }

    /// Shares the rates among workers that each see a part of the sources.
    pub(crate) const fn set_workers(&mut self, workers: u32) {
        self.workers = if workers == 0 { 1 } else { workers };
        self.configure_gates();
    }

    pub(crate) const fn evictions(&self) -> u64 {
        self.evictions
    }

    #[inline]
    fn uses(&self, class: Class) -> bool {
        self.used.get(usize::from(class)).is_some_and(|used| *used > 0)
    }

    /// Counts a packet for the network of its destination. Returns true if the network is watched.
    #[inline(never)]
    fn request(
        &mut self,
        class: Class,
        (now, key): At<'_>,
        source_hash: u32,
        packet: &Counted<'_>,
        findings: &mut Findings<'_, '_>,
    ) -> bool {
        let Some(limit) = self.limits.get(usize::from(class)).filter(|limit| limit.enabled) else {
            return false;
        };
        let limit = *limit;
        let is_flood = self.gate.is_flood() && !matches!(class, Class::Echo | Class::Report);
        let index = match self.find(class, packet.destination, key) {
            Ok(index) => index,
            Err(tag) => {
                if packet.destination.is_group() || self.filter.add(tag, now) == Frequency::Low {
                    return false;
                }
                let Some(index) = self.admit(class, packet.destination, tag, now) else { return false };
                index
            }
        };
        let Some(entry) = self.entries.get_mut(index) else { return false };
        let multiple = RULES.get(usize::from(class)).map_or(1, |rule| rule.usual);
        // Another worker sees the replies, so that ordinary echo requests count as well: they have the whole rate.
        let sharers = if class == Class::Echo { 1 } else { self.workers };
        let usual = (limit.rate.saturating_mul(multiple) / sharers).max(1);
        if let Some(judged) = entry.cusum.advance(now, usual) {
            judge(entry, class, &judged, &limit, usual, (source_hash, packet), findings);
        }
        if is_flood && entry.samples_others(self.gate.heavy) {
            entry.sample_all(self.gate.heavy);
        }
        let weight = match entry.weight_of(source_hash) {
            0 if entry.is_sampled => return true,
            weight => weight,
        };
        entry.request(now, source_hash, packet, weight);
        if entry.requests().is_power_of_two() {
            entry.check_sources(class, now);
            if entry.requests() >= HEAVY && entry.has_one_source() {
                self.gate.set_heavy(entry.top_source);
            }
        }
        true
    }

    /// Index of the entry that watches the network of an address, or the tag of a new one.
    #[inline(never)]
    fn find(&self, class: Class, address: Address, key: &HashKey) -> Result<usize, u32> {
        let number = usize::from(class);
        let tag = key.with(key.address(network(address)), u32::try_from(number).unwrap_or_default());
        if self.uses(class) {
            let set = self.set(tag);
            let is_of = |index: &usize| {
                self.tags.get(*index) == Some(&tag)
                    && self.entries.get(*index).is_some_and(|entry| entry.class == Some(class))
            };
            return set.into_iter().find(is_of).ok_or(tag);
        }
        Err(tag)
    }

    /// The entry that watches the network of an address.
    #[inline]
    fn watched(&mut self, class: Class, address: Address, key: &HashKey) -> Option<&mut Victim> {
        if !self.uses(class) {
            return None;
        }
        let index = self.find(class, address, key).ok()?;
        self.entries.get_mut(index)
    }

    /// Entries that a tag may have: four of them.
    #[inline]
    fn set(&self, tag: u32) -> core::ops::Range<usize> {
        let sets = (self.entries.len() / WAYS).max(1);
        let begin = usize::try_from(tag).unwrap_or_default() & (sets - 1);
        begin * WAYS..(begin * WAYS + WAYS).min(self.entries.len())
    }

    /// Gives a network the entry with the least evidence.
    #[cold]
    fn admit(&mut self, class: Class, destination: Address, tag: u32, now: Timestamp) -> Option<usize> {
        let evidence = |entry: &Victim| match entry.class {
            Some(_) if entry.is_live(now) => {
                2 + u64::from(entry.cusum.weight()) + (u64::from(entry.is_named || entry.is_lone) << 32)
            }
            Some(_) => 1,
            None => 0,
        };
        let entries = self.set(tag).filter_map(|index| Some((index, self.entries.get(index)?)));
        let (index, least) =
            entries.map(|(index, entry)| (index, evidence(entry))).min_by_key(|(_, least)| *least)?;
        if least > 0 {
            if now < self.next_admission && self.next_admission.since(now) <= ADMISSION_INTERVAL {
                return None;
            }
            self.next_admission = now.after(ADMISSION_INTERVAL);
        }
        self.evictions += u64::from(least > 1);
        let entry = self.entries.get_mut(index)?;
        if let Some(used) = entry.class.and_then(|before| self.used.get_mut(usize::from(before))) {
            *used -= 1;
        }
        entry.begin(class, network(destination), now);
        if let (Some(held), Some(used)) = (self.tags.get_mut(index), self.used.get_mut(usize::from(class))) {
            *held = tag;
            *used += 1;
        }
        Some(index)
    }

    /// Completes `weight` requests of `initiator` to `responder`, if its network is watched; or announces them, where the hosts of the
    /// network send something themselves, after which one packet to it is no surprise.
    #[inline]
    fn complete(&mut self, class: Class, at: At<'_>, responder: Address, initiator: Address, weight: u16) {
        if self.uses(class) {
            self.complete_watched(class, at.1, responder, initiator, weight);
        }
    }

    #[inline(never)]
    fn complete_watched(
        &mut self,
        class: Class,
        key: &HashKey,
        responder: Address,
        initiator: Address,
        weight: u16,
    ) {
        let Some(entry) = self.watched(class, responder, key) else { return };
        entry.is_visible = true;
        if !(class == Class::Echo && entry.is_forged) {
            let source_hash = key.address(initiator);
            let sampled = if entry.is_sampled { entry.weight_of(source_hash) } else { 1 };
            entry.complete(source_hash, responder, sampled.saturating_mul(weight));
        }
    }
}

impl From<Class> for usize {
    fn from(class: Class) -> Self {
        #[expect(clippy::as_conversions, reason = "the number of a variant")]
        let number = class as u8;
        Self::from(number)
    }
}
