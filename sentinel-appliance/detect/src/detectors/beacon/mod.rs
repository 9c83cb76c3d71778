//! `beacon`: calls home. One inside host contacts one external destination at regular times.
//!
//! Read first: RITA (github.com/activecm/rita, `analysis/beacons.go`): scores of gaps by skewness and median absolute deviation, and
//! prevalence; Hu et al., BAYWATCH: Robust Beaconing Detection (DSN 2016): jitter and missed calls, popular destinations left out.
//!
//! A contact is a new flow that an inside host opens to a port outside: a TCP connection request, answered or not, or the first datagram
//! of an exchange. Flows under way cost nothing. From its fourth contact on a pair is watched, and judged once it has proved a rhythm
//! ([`gaps`]); a rhythm is reported once a day, then less often. A destination is an address and port, and of several addresses that
//! are contacted again also their network (/24, /64).
//!
//! | condition | severity |
//! |---|---|
//! | rhythm alone: most of them are updates, weather and mail | low |
//! | no other inside host contacts the destination, no DNS answer seen has named it, which is rare for this host, and datagrams have a constant length | as configured |
//! | as many inside hosts as the setting contact the destination, which is software: without a name | low |
//! | the same, with a name | none |
//!
//! Not seen: calls inside a connection that stays open, at listed ports (services that are asked at regular times by their nature),
//! among other contacts with the same destination, or at times that are random by more than a factor of 1.5. What a host looks up hides
//! that it would call an address without a name, and so do contacts with many such addresses; both leave `low`. With several workers
//! answers and contacts are seen apart, and every destination counts as named. An inside host that makes up many pairs delays that others
//! are watched, because all counts are lowered after 6,144 additions; pairs with a rhythm stay.

mod filters;
mod gaps;
mod pair;

use core::time::Duration;

use sentinel_alert::{Evidence, Kind, Severity, Subject, Test};
use sentinel_dissect::{FiveTuple, TcpFlags};
use sentinel_track::hash::HashKey;
use sentinel_units::{Address, Port};

use crate::incident::{Finding, Findings, scope};
use crate::registry::{Detector, DetectorConfig, MAX_PORTS, PortsSetting, thresholds};
use crate::shared::event::{DNS, Event, Setting};
use crate::shared::rate::{Activation, earlier};
use filters::{ADMITTED, Admission, KNOWN, Names};
use gaps::Rhythm;
pub use pair::Pair;
use pair::{Contact, Pairs};

thresholds! {
    /// Thresholds of `beacon`.
    Thresholds {
        contacts: "contacts", default 11, 6 to 24, "contacts at regular times that make a beacon, after the three before which a pair is not watched";
        hosts: "hosts", default 3, 2 to 1_000, "inside hosts in contact with a destination from which it is taken for ordinary software";
        unnamed: "destinations", default 8, 0 to 255,
            "destinations without a DNS answer that an inside host may contact; with more of them its names are not seen, and a missing one says nothing";
    }
}

/// Records of one DNS answer that are looked at.
const MAX_RECORDS: usize = 16;
/// Hosts whose destinations without a name are counted together: by six bits of the hash.
const HOST_CLASSES: usize = 64;
/// Marks of the key of a destination: UDP, and a network instead of an address.
const IS_UDP: u32 = 1 << 16;
const IS_NETWORK: u32 = 1 << 17;

/// Pairs of inside hosts and destinations, and what was named.
#[derive(Debug)]
pub(crate) struct Beacon<'m> {
    pairs: Pairs<'m>,
    admission: Admission<'m>,
    names: Names<'m>,
    unnamed: [u8; HOST_CLASSES],
    thresholds: Thresholds,
    activation: Activation,
    ports: heapless::Vec<u16, MAX_PORTS>,
    /// A bit for each of them, so that most others need no search.
    port_bits: u64,
    /// Answers are not read by another detector anyway.
    reads_answers: bool,
    /// Another engine may see the answers.
    is_shard: bool,
}

/// Keyed hashes of a pair and of its destination.
type Ends = (u64, u32);

impl<'m> Beacon<'m> {
    pub(crate) const DETECTOR: Detector = Detector {
        kind: Kind::Beacon,
        about: "an inside host contacts one external destination at regular times (low), which no other does and no DNS answer has named",
        source: "RITA (skewness and deviation of gaps, prevalence); Wald's test with gaps within a factor of 1.5 of the median",
        severity: Severity::Medium,
        thresholds: Thresholds::SETTINGS,
        ports: Some(PortsSetting {
            name: "ports",
            default: &[53, 123, 500, 853, 3_478, 4_500, 5_060, 19_302],
            help: "ports of services that are asked at regular times by their nature: contacts with them are left out",
        }),
    };

    pub(crate) fn new(
        slots: &'m mut [Pair],
        filters: &'m mut [u32],
        config: &DetectorConfig,
        tunnel: &DetectorConfig,
    ) -> Self {
        let half = filters.len() / 2;
        let (admission, names) = filters.split_at_mut(half);
        Self {
            pairs: Pairs::new(slots),
            admission: Admission::new(admission),
            names: Names::new(names),
            unnamed: [0; HOST_CLASSES],
            thresholds: config.into(),
            activation: config.into(),
            ports: config.ports.clone(),
            port_bits: bits_of(&config.ports),
            reads_answers: config.enabled && !tunnel.enabled,
            is_shard: false,
        }
    }

    pub(crate) fn configure(&mut self, config: &DetectorConfig, tunnel: &DetectorConfig) {
        (self.thresholds, self.activation) = (config.into(), config.into());
        self.ports.clone_from(&config.ports);
        self.port_bits = bits_of(&self.ports);
        self.reads_answers = config.enabled && !tunnel.enabled;
    }

    /// Pairs with evidence of a rhythm that were given up for want of room.
    pub(crate) const fn evictions(&self) -> u64 {
        self.pairs.evictions()
    }

    /// From now on another engine may see the answers.
    pub(crate) const fn set_shard(&mut self) {
        self.is_shard = true;
    }

    /// Returns true for DNS answers, if no other detector has them shown.
    #[inline]
    pub(crate) fn reads(&self, tuple: &FiveTuple) -> bool {
        self.reads_answers && tuple.source_port == DNS && tuple.tcp_flags.is_none()
    }

    #[inline]
    pub(crate) fn segment(&mut self, event: &Event<'_, '_>, findings: &mut Findings<'_, '_>) {
        let tuple = &event.packet.tuple;
        if event.role.is_first && event.role.from_initiator {
            if event.is_egress && tuple.tcp_flags.is_none_or(TcpFlags::syn_only) {
                self.contact(event, findings);
            }
        } else if tuple.source_port == DNS && tuple.tcp_flags.is_none() && self.activation.enabled {
            self.answer(event.setting.key, event.packet.payload());
        }
    }

    /// Keeps the addresses that a DNS answer names.
    #[inline(never)] // keeps the dispatch of all other packets short
    fn answer(&mut self, key: &HashKey, bytes: &[u8]) {
        each_address(bytes, |address| self.names.insert(key.address(address)));
    }

    /// Counts a contact, and judges the pair.
    #[inline(never)] // keeps the dispatch of all other packets short
    fn contact(&mut self, event: &Event<'_, '_>, findings: &mut Findings<'_, '_>) {
        let Setting { now, key, .. } = event.setting;
        let FiveTuple { destination, destination_port, tcp_flags, .. } = event.packet.tuple;
        let Port(port) = destination_port;
        if !self.activation.enabled || self.is_listed(port) {
            return;
        }
        let address_hash = key.address(destination);
        let is_udp = if tcp_flags.is_none() { IS_UDP } else { 0 };
        let ends = |address_hash: u32, mark: u32| -> Ends {
            let destination = key.with(address_hash, u32::from(port) | is_udp | mark);
            (key.hash64([destination, event.source_hash]), destination)
        };
        let exact = ends(address_hash, 0);
        let network = ends(key.address(network_of(destination)), IS_NETWORK);
        let is_named = self.is_shard || self.names.contains(address_hash);
        let places = [exact, network].map(|(pair, _)| self.admission.places(pair));
        let [count, of_network] = places.map(|places| self.admission.count(places));
        let [exact_places, network_places] = places;
        if count == 0
            && !is_named
            && let Some(unnamed) = self.unnamed.get_mut(class_of(event.source_hash))
        {
            *unnamed = unnamed.saturating_add(1);
        }
        let mut is_lowered = self.admission.add(exact_places, count);
        // A network counts once for each address, until it has several.
        if count == 0 || of_network >= KNOWN {
            is_lowered |= self.admission.add(network_places, of_network);
        }
        if is_lowered {
            self.unnamed.iter_mut().for_each(|unnamed| *unnamed /= 2);
        }
        let contact = Contact {
            now: units(now),
            length: u16::try_from(event.packet.wire_len).unwrap_or(u16::MAX),
            is_named,
        };
        // An address of the network that is contacted for the first time is part of a search, not of a rhythm.
        let of_network = if count == 0 { 0 } else { of_network };
        if count.max(of_network) < KNOWN {
            return;
        }
        let mut add = |ends: Ends, count: u32| {
            if count < KNOWN { None } else { self.pairs.add(ends, contact, count == ADMITTED) }
        };
        let slots = [(add(exact, count), exact.1, false), (add(network, of_network), network.1, true)];
        self.judge(event, slots, contact.now, findings);
    }

    /// Returns true for the ports that are left out.
    fn is_listed(&self, port: u16) -> bool {
        self.port_bits >> bit_of(port) & 1 != 0 && self.ports.contains(&port)
    }

    /// Reports a pair that has a rhythm, the one of the address first, unless either was reported a short time ago.
    fn judge(
        &mut self,
        event: &Event<'_, '_>,
        slots: [(Option<usize>, u32, bool); 2],
        now: u32,
        findings: &mut Findings<'_, '_>,
    ) {
        let is_reported = |slot| self.pairs.get(slot).is_some_and(|pair| pair.is_reported(now));
        if slots.map(|(slot, ..)| slot).into_iter().any(is_reported) {
            return;
        }
        let needed = self.thresholds.contacts - 1;
        for (slot, destination, is_network) in slots {
            let Some(pair) = self.pairs.get(slot).copied() else { continue };
            let Some(rhythm) = pair.rhythm(needed) else { continue };
            for (slot, ..) in slots {
                if let Some(pair) = self.pairs.get(slot) {
                    pair.note_report(now);
                }
            }
            let hosts = self.pairs.hosts(destination);
            if let Some(severity) = self.severity(event, &pair, hosts) {
                self.report(event, (&pair, rhythm, is_network), (severity, hosts), now, findings);
            }
            return;
        }
    }

    /// Severity of a rhythm; `None` if it is not reported.
    fn severity(&self, event: &Event<'_, '_>, pair: &Pair, hosts: usize) -> Option<Severity> {
        let Thresholds { hosts: many, unnamed: most, .. } = self.thresholds;
        let unnamed = self.unnamed.get(class_of(event.source_hash)).copied().unwrap_or_default();
        let is_unnamed = !pair.is_named && u32::from(unnamed) <= most;
        let is_popular = u32::try_from(hosts).unwrap_or(u32::MAX) >= many;
        if is_popular && !is_unnamed {
            return None;
        }
        let is_rare = hosts < 2 && pair.has_constant_length();
        Some(if is_unnamed && is_rare {
            self.activation.severity
        } else {
            self.activation.weak_severity(&Self::DETECTOR)
        })
    }

    #[cold]
    fn report(
        &self,
        event: &Event<'_, '_>,
        (pair, rhythm, is_network): (&Pair, Rhythm, bool),
        (severity, hosts): (Severity, usize),
        now: u32,
        findings: &mut Findings<'_, '_>,
    ) {
        let FiveTuple { source, destination, destination_port, .. } = event.packet.tuple;
        let (destination, prefix_bits) = match (is_network, destination.is_v4()) {
            (false, true) => (destination, 32),
            (false, false) => (destination, 128),
            (true, true) => (network_of(destination), 24),
            (true, false) => (network_of(destination), 64),
        };
        let lasted = Duration::from_nanos(u64::from(now.wrapping_sub(pair.first)) << 26);
        findings.add(&Finding {
            test: Test::Beacon,
            severity,
            first: earlier(findings.now, lasted),
            subject: Subject {
                source: Some(source),
                destination: Some(destination),
                destination_port: Some(destination_port),
                mac: event.packet.sender_mac(),
                ..Subject::default()
            },
            evidence: Evidence::Rhythm {
                contacts: pair.contacts.into(),
                period_s: rhythm.period_s,
                deviation_percent: rhythm.deviation_percent,
                hosts: u16::try_from(hosts).unwrap_or(u16::MAX),
                is_named: pair.is_named,
                prefix_bits,
            },
            adds: 1,
            scope: scope(destination, destination_port),
        });
    }
}

/// Bit of [`Beacon::port_bits`] for a port.
fn bit_of(port: u16) -> u32 {
    u32::from(port.wrapping_mul(0x9e37) >> 10)
}

fn bits_of(ports: &[u16]) -> u64 {
    ports.iter().fold(0, |bits, port| bits | 1 << bit_of(*port))
}

/// Class of a host, by its hash.
fn class_of(source_hash: u32) -> usize {
    usize::try_from(source_hash).unwrap_or(0) % HOST_CLASSES
}

/// Time in units of 2^26 ns (67 ms), which wraps after nine years.
#[expect(clippy::as_conversions, reason = "the cut to 32 bits is the wrap that is documented")]
const fn units(now: sentinel_units::Timestamp) -> u32 {
    (now.as_nanos() >> 26) as u32
}

/// First address of the /24 or /64 of an address.
fn network_of(address: Address) -> Address {
    let [a, b, _, last] = address.words();
    if address.is_v4() { Address::v4(last & !0xff) } else { Address::v6([a, b, 0, 0]) }
}

/// Gives the addresses in the first records of a DNS response. Names are skipped, not read.
fn each_address(bytes: &[u8], mut give: impl FnMut(Address)) {
    let Some(([_, _, flags, _, 0, 1, count_high, count, ..], rest)) = bytes.split_first_chunk::<12>() else {
        return;
    };
    let count = if *count_high == 0 { usize::from(*count).min(MAX_RECORDS) } else { MAX_RECORDS };
    if flags & 0x80 == 0 {
        return;
    }
    let Some(mut rest) = behind_name(rest).and_then(|rest| rest.get(4..)) else { return };
    for _ in 0..count {
        let Some(([kind_high, kind, _, _, _, _, _, _, len_high, len], data)) =
            behind_name(rest).and_then(|rest| rest.split_first_chunk::<10>())
        else {
            return;
        };
        let len = usize::from(*len_high) << 8 | usize::from(*len);
        let Some((data, behind)) = data.split_at_checked(len) else { return };
        match (kind_high, kind, data.as_chunks::<4>().0) {
            (0, 1, [address]) => give(Address::v4(u32::from_be_bytes(*address))),
            (0, 28, [a, b, c, d]) => give(Address::v6([a, b, c, d].map(|word| u32::from_be_bytes(*word)))),
            _ => {}
        }
        rest = behind;
    }
}

/// The bytes behind a name, which a pointer may end.
fn behind_name(mut bytes: &[u8]) -> Option<&[u8]> {
    // Each label is a byte at least.
    loop {
        let (len, behind) = bytes.split_first()?;
        match len {
            0 => return Some(behind),
            0xc0.. => return behind.get(1..),
            _ => bytes = behind.get(usize::from(*len)..)?,
        }
    }
}

#[cfg(test)]
mod tests;
