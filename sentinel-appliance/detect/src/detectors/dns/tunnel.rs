//! `dns_tunnel`: data in DNS messages.
//!
//! Read first: "Information-Based Heavy Hitters for Real-Time DNS Data Exfiltration Detection and Prevention" (Ozery, Nadler,
//! Shabtai, NDSS 2024); RFC 1035 sections 3.1 and 4; RFC 3596 section 2.5 (reverse names of IPv6 addresses).
//!
//! | test | condition | severity |
//! |---|---|---|
//! | `bytes_leaked` | the names or the records that one client exchanges with one registered domain carry more information than repetition, words and the allowance explain | as configured |
//! | `name_length` | a query asks for a name of more than fifty characters: weak, content networks do so too | low, unless configured |
//!
//! `bytes_leaked` reads questions and records in both directions, whatever the message says it is (the response flag is the
//! sender's word), over UDP on any port if the first datagram of the flow is DNS, and over TCP on port 53. Clients are internal hosts:
//! strangers who query a server at home are not accused. What is not seen: a flow on another port whose first datagram is no DNS,
//! DNS inside TLS or HTTPS, less than the allowance.
//!
//! Information counts once per client and domain ([`super::information`]). The score is a leaky bucket: the allowance lets a host
//! ask for new names for ever, at 1,440 bytes an hour by default, which telemetry with identifiers stays below; 0.7 B/s is
//! seen after about 2.3 KB. Names of at least ten bytes also count for the client as a whole, so that data spread over many
//! domains is seen after four times the threshold. Services that carry data in names by design (look-ups of file hashes by virus
//! scanners, block lists of mail servers, measurements by browsers) count a 64th: nobody else can answer for their domains, but
//! a tunnel to a server of its own may use their names. A name whose answer is an address of the loopback network, which is how
//! lists of senders and scanners of files answer, counts an eighth: a tunnel that answers so has eight times the allowance.

use sentinel_alert::{Evidence, Kind, Severity, ShortName, Subject, Test};
use sentinel_dissect::{FiveTuple, PacketSummary, dns};
use sentinel_units::Address;

use super::digest::{Recent, digest, name_tail, queried_name};
use super::ends::{Ends, ends, is_local, is_reverse_of_ipv6, looks_like_dns, push_labels, second};
use super::information::{PathHash, is_verdict};
use super::leaks::{Leak, LeakSet, Leaks, SPREAD};
use super::load::Load;
use super::question::{Asked, HEADER_LEN, is_encoded, read_question};
use super::suffix::{Labels, is_data_service, registered_labels};
use crate::incident::{Finding, Findings};
use crate::registry::{Detector, DetectorConfig, thresholds};
use crate::shared::event::{self, DNS, Event, Setting};
use crate::shared::rate::Activation;

thresholds! {
    /// Thresholds of `dns_tunnel`.
    Thresholds {
        name_characters: "characters", default 50, 16 to 253,
            "longest name that is not reported, in text form without the final dot";
        leaked_bytes: "bytes", default 1_000, 100 to 1_000_000,
            "estimated information in names of one client under one registered domain that makes a tunnel; half as much again in records";
        allowance_bytes_h: "bytes per hour", default 1_440, 0 to 1_000_000,
            "estimated information that a client may exchange with each registered domain for ever";
    }
}

/// Messages read from one TCP segment.
const MAX_TCP_MESSAGES: usize = 16;
/// Bits of a name from which it counts for the client as a whole.
const SPREAD_NAME_BITS: u32 = 80;
/// Threshold and allowance of the client as a whole, in those of one domain.
const SPREAD_FACTOR: u32 = 4;
/// Length of a registered label from which it may be data itself.
const MIN_DATA_LABEL: usize = 24;
/// Binary logarithm of the excuse of services whose names carry data by design.
const DATA_SERVICE_SHIFT: u32 = 6;
/// Binary logarithm of the excuse of a name that is answered with an address of the loopback network.
const VERDICT_SHIFT: u32 = 3;

/// Leaky buckets of clients and domains, and the length test, which keeps no state.
#[derive(Debug)]
pub(crate) struct DnsTunnel<'m> {
    leaks: Leaks<'m>,
    recent: Recent,
    load: Load,
    settings: TunnelSettings,
    /// Set if the next response of the flow seen last is read.
    wants_response: bool,
    /// Set if this detector or another that asks for it reads DNS.
    is_read: bool,
    /// Set if messages over TCP arrive reassembled through [`Self::message`]; their segments are then not read.
    streams_are_reassembled: bool,
}

#[derive(Clone, Copy, Debug)]
struct TunnelSettings {
    activation: Activation,
    max_characters: u16,
    leaked_bytes: u32,
    /// Bits a minute.
    allowance: u32,
}

impl From<&DetectorConfig> for TunnelSettings {
    fn from(config: &DetectorConfig) -> Self {
        let Thresholds { name_characters, leaked_bytes, allowance_bytes_h } = config.into();
        Self {
            activation: config.into(),
            max_characters: u16::try_from(name_characters).unwrap_or(u16::MAX),
            leaked_bytes,
            allowance: allowance_bytes_h * 8 / 60,
        }
    }
}

impl<'m> DnsTunnel<'m> {
    pub(crate) const DETECTOR: Detector = Detector {
        kind: Kind::DnsTunnel,
        about: "DNS names and answers carry data; or, at low severity, a query asks for a very long name",
        source: "Ozery, Nadler, Shabtai 2024 (information per registered domain); common practice: 50 characters, without reverse look-ups of IPv6 addresses (72)",
        severity: Severity::Medium,
        thresholds: Thresholds::SETTINGS,
        ports: None,
    };

    pub(crate) fn new(sets: &'m mut [LeakSet], config: &DetectorConfig) -> Self {
        Self {
            leaks: Leaks::new(sets),
            recent: Recent::default(),
            load: Load::default(),
            settings: config.into(),
            wants_response: true,
            is_read: config.enabled,
            streams_are_reassembled: false,
        }
    }

    pub(crate) fn configure(&mut self, config: &DetectorConfig) {
        self.settings = config.into();
        // Another detector may have been off when it was shown them.
        self.recent = Recent::default();
    }

    pub(crate) const fn evictions(&self) -> u64 {
        self.leaks.evictions()
    }

    /// Another detector reads queries too, or not.
    pub(crate) const fn set_read(&mut self, by_another: bool) {
        self.is_read = self.settings.activation.enabled || by_another;
    }

    /// Names are new to the lists of another detector from now on.
    pub(crate) fn forget_recent(&mut self) {
        self.recent = Recent::default();
    }

    /// Messages that were not read because there were too many.
    pub(crate) const fn unread(&self) -> u64 {
        self.load.unread()
    }

    /// From now on messages over TCP come through [`Self::message`].
    pub(crate) const fn enable_reassembly(&mut self) {
        self.streams_are_reassembled = true;
    }

    /// Returns true if payloads between these ports are read, as far as the last message of the flow decides it.
    #[inline]
    pub(crate) fn reads(&self, tuple: &FiveTuple) -> bool {
        self.is_read
            && (tuple.destination_port == DNS || tuple.source_port == DNS)
            && (tuple.destination_port == DNS || tuple.tcp_flags.is_some() || self.wants_response)
    }

    #[inline]
    fn is_dns(&self, tuple: &FiveTuple) -> bool {
        self.settings.activation.enabled && (tuple.destination_port == DNS || tuple.source_port == DNS)
    }

    #[inline]
    pub(crate) fn segment(&mut self, event: &Event<'_, '_>, findings: &mut Findings<'_, '_>) {
        if self.is_dns(&event.packet.tuple) {
            self.messages(event, findings);
        }
    }

    /// Takes a datagram of a flow that is inspected in full. Returns true if it is DNS on another port than that of DNS, so that
    /// the flow stays so.
    #[inline]
    pub(crate) fn datagram(&mut self, event: &Event<'_, '_>, findings: &mut Findings<'_, '_>) -> bool {
        if !self.settings.activation.enabled || self.is_dns(&event.packet.tuple) {
            return false;
        }
        let payload = event.packet.payload();
        let is_dns = looks_like_dns(payload) && !is_local(event);
        if is_dns {
            self.message_of(event, payload, None, findings);
        }
        is_dns
    }

    /// Responses seen by other workers change nothing here.
    pub(crate) const fn response(&mut self, _: Setting<'_>, _: Address, _: Address, _: bool) {}

    /// See [`Self::response`].
    pub(crate) const fn needs_response(&self, _: &FiveTuple) -> bool {
        false
    }

    #[inline(never)] // keeps the dispatch of all other packets short
    fn messages(&mut self, event: &Event<'_, '_>, findings: &mut Findings<'_, '_>) {
        let payload = event.packet.payload();
        let tuple = &event.packet.tuple;
        if tuple.tcp_flags.is_none() {
            return if tuple.destination_port == DNS {
                self.query(event, payload, findings);
            } else {
                self.udp_response(event, payload, findings);
            };
        }
        // Only requests are reassembled.
        if self.streams_are_reassembled && tuple.destination_port == DNS {
            return;
        }
        for message in dns::tcp_messages(payload).take(MAX_TCP_MESSAGES) {
            // The middle of a stream may be anything.
            if tuple.destination_port == DNS || looks_like_dns(message) {
                self.message_of(event, message, None, findings);
            }
        }
    }

    /// Tests a reassembled message. `packet` is one of those that carried it.
    pub(crate) fn message(
        &mut self,
        setting: Setting<'_>,
        packet: &PacketSummary<'_>,
        message: &[u8],
        findings: &mut Findings<'_, '_>,
    ) {
        if self.is_dns(&packet.tuple) {
            self.message_of(&Event::of_message(setting, packet), message, None, findings);
        }
    }

    /// Takes a datagram to the port of DNS. Most repeat a name, which needs no more than a walk over it.
    fn query(&mut self, event: &Event<'_, '_>, bytes: &[u8], findings: &mut Findings<'_, '_>) {
        let second = second(event.setting);
        self.wants_response = self.load.expects_response(second);
        // Text form, the length of the first label and the root.
        let longest = usize::from(self.settings.max_characters) + 2;
        let name = queried_name(bytes).filter(|name| name.len() <= longest);
        let weight = if let Some(name) = name {
            event.tail.set(name_tail(name));
            let digest = digest(event.setting.key, event.source_hash, name);
            if self.recent.holds(digest) {
                return event.question.set(event::Question::Repeated);
            }
            let weight = self.load.query(second, event.source_hash, digest);
            if weight.is_none() {
                return event.question.set(event::Question::Passed);
            }
            weight
        } else {
            None
        };
        self.message_of(event, bytes, weight, findings);
    }

    /// Takes a datagram from the port of DNS, which the query has let through unless there was none.
    fn udp_response(&mut self, event: &Event<'_, '_>, bytes: &[u8], findings: &mut Findings<'_, '_>) {
        self.wants_response = self.load.take_response(second(event.setting));
        if event.role.is_first && !self.wants_response && !self.load.takes_turn() {
            return event.question.set(event::Question::Passed);
        }
        self.message_of(event, bytes, Some(0), findings);
    }

    /// Returns the binary logarithm of the times that a message counts whose flow or form has not decided it; `None` if it is not
    /// read.
    #[inline(never)] // few messages need it
    fn admit(&mut self, event: &Event<'_, '_>, ends: Ends, name: &[u8]) -> Option<u32> {
        let second = second(event.setting);
        if !ends.from_client {
            return (self.load.take_response(second) || self.load.takes_turn()).then_some(0);
        }
        let digest = digest(event.setting.key, event.source_hash, name);
        if self.recent.holds(digest) {
            return None;
        }
        self.load.query(second, event.source_hash, digest)
    }

    /// Reads a message. `weight` is the binary logarithm of the times that it counts, if that was decided.
    fn message_of(
        &mut self,
        event: &Event<'_, '_>,
        bytes: &[u8],
        weight: Option<u32>,
        findings: &mut Findings<'_, '_>,
    ) {
        let Ok(message) = dns::Message::parse(bytes) else { return };
        let mut labels = Labels::new();
        let Some(asked) = read_question(&message, bytes, &mut labels) else { return };
        if asked.characters > usize::from(self.settings.max_characters)
            && event.packet.tuple.destination_port == DNS
            && !message.is_response()
            && !is_reverse_of_ipv6(&labels)
        {
            // Each query counts, also one that repeats another.
            let characters = u16::try_from(asked.characters).unwrap_or(u16::MAX);
            findings.add(&self.long_name(event, &labels, characters));
        }
        let key = event.setting.key;
        let Some(ends) = ends(event) else { return event.question.set(event::Question::Passed) };
        let name = bytes.get(HEADER_LEN..asked.end).unwrap_or_default();
        let Some(weight) = weight.or_else(|| self.admit(event, ends, name)) else {
            return event.question.set(event::Question::Passed);
        };
        let client_hash = if ends.from_client { event.source_hash } else { key.address(ends.client) };
        let Some(registered) = registered_labels(&labels) else { return };
        let start = labels.len().saturating_sub(registered);
        let Some((below, domain)) = labels.split_at_checked(start) else { return };
        let root = PathHash::new(key).domain(domain);
        let is_encoded = domain.first().is_some_and(|label| is_encoded(label));
        let question = event::ReadQuestion { domain: root, end: asked.end, is_encoded };
        event.question.set(event::Question::Read(question));
        let name = (below, domain, root);
        self.information(event, (ends, client_hash, weight), (&message, bytes, asked), name, findings);
    }

    /// Adds the new information of a message to the entries of its client.
    fn information(
        &mut self,
        event: &Event<'_, '_>,
        (ends, client_hash, weight): (Ends, u32, u32),
        (message, bytes, asked): (&dns::Message<'_>, &[u8], Asked),
        (below, domain, root): (&[&[u8]], &[&[u8]], u32),
        findings: &mut Findings<'_, '_>,
    ) {
        let Setting { now, key, .. } = event.setting;
        let TunnelSettings { leaked_bytes, allowance, .. } = self.settings;
        let hash = PathHash::new(key);
        let [id, port] = [message.id(), ends.client_port.0].map(u32::from);
        let exchange = id << 16 | port;
        if !ends.from_client && is_verdict(bytes, asked.end) {
            self.verdict((ends.client, client_hash), root, exchange, event.setting);
        }
        let Some((entry, is_new)) = self.leaks.entry(key, (ends.client, root), client_hash, now, allowance)
        else {
            return;
        };
        let shift = if entry.is_data_service { DATA_SERVICE_SHIFT } else { 0 };
        // Responses repeat the name. With several workers, another one sees them.
        let in_name = if ends.from_client { hash.name_bits(root, below, &mut entry.paths) } else { 0 };
        let in_records = match message.answer_count() {
            0 => 0,
            _ => hash.record_bits(!root, (message, bytes, asked.end), asked.qtype, &mut entry.paths),
        };
        if in_name | in_records == 0 && !is_new {
            return;
        }
        let limits = [leaked_bytes, leaked_bytes + leaked_bytes / 2];
        // A message that stands for others never decides alone, and does not make the entry that it opens worth more than those
        // of others.
        let weigh = |bits: u32, weight: u32| match weight {
            0 => bits,
            _ => (bits << weight).min(leaked_bytes * 4),
        };
        let own_weight = if is_new { 0 } else { weight };
        let bits = [in_name, in_records].map(|bits| weigh(bits >> shift, own_weight));
        if ends.from_client {
            let [in_name, _] = bits;
            entry.asked = (exchange, in_name);
        }
        if let Some(leaked) = entry.add(bits, limits) {
            // Found out once it matters: few entries come so far.
            if !entry.is_data_service && is_data_service(domain) {
                entry.is_data_service = true;
                entry.bits = entry.bits.map(|bits| bits >> DATA_SERVICE_SHIFT);
                return;
            }
            let mut suffix = ShortName::new();
            push_labels(&mut suffix, domain);
            return findings.add(&self.leak(event, ends, &leaked, (suffix, root)));
        }
        let in_domain = match domain {
            [label, ..] if is_new && label.len() >= MIN_DATA_LABEL => super::information::label_bits(label),
            _ => 0,
        };
        if in_name + in_domain < SPREAD_NAME_BITS || entry.is_data_service {
            return;
        }
        if !entry.is_ordinary {
            entry.is_ordinary = !is_data_service(domain);
            if !entry.is_ordinary {
                return;
            }
        }
        let allowance = allowance * SPREAD_FACTOR;
        let Some((entry, _)) = self.leaks.entry(key, (ends.client, SPREAD), client_hash, now, allowance)
        else {
            return;
        };
        let limits = [leaked_bytes * SPREAD_FACTOR, u32::MAX];
        if let Some(leaked) = entry.add([weigh(in_name + in_domain, weight), 0], limits) {
            findings.add(&self.leak(event, ends, &leaked, (ShortName::new(), SPREAD)));
        }
    }

    /// Takes back most of what the query of this exchange counted, once, so that no verdict takes back more than was counted.
    #[cold]
    fn verdict(
        &mut self,
        (client, client_hash): (Address, u32),
        root: u32,
        exchange: u32,
        setting: Setting<'_>,
    ) {
        let mut left = 0;
        for (domain, factor) in [(root, 1), (SPREAD, SPREAD_FACTOR)] {
            let allowance = self.settings.allowance * factor;
            let Some((entry, _)) =
                self.leaks.entry(setting.key, (client, domain), client_hash, setting.now, allowance)
            else {
                return;
            };
            if domain == root && entry.asked.0 == exchange {
                (_, left) = core::mem::take(&mut entry.asked);
            }
            let [names, _] = &mut entry.bits;
            *names = names.saturating_sub(left - (left >> VERDICT_SHIFT));
            // Less than that was not counted for the client as a whole.
            if left < SPREAD_NAME_BITS {
                return;
            }
        }
    }

    #[cold]
    fn leak(
        &self,
        event: &Event<'_, '_>,
        ends: Ends,
        leaked: &Leaked,
        (suffix, scope): (ShortName, u32),
    ) -> Finding {
        let Leaked { bytes, adds, threshold, messages, first } = *leaked;
        Finding {
            test: Test::DnsTunnelBytesLeaked,
            severity: self.settings.activation.severity,
            first,
            subject: Subject {
                source: Some(ends.client),
                destination: Some(ends.server),
                destination_port: Some(ends.server_port),
                mac: event.packet.sender_mac().filter(|_| ends.from_client),
                ..Subject::default()
            },
            evidence: Evidence::Leak { bytes: bytes.into(), threshold, messages: messages.into(), suffix },
            adds,
            scope,
        }
    }

    #[cold]
    fn long_name(&self, event: &Event<'_, '_>, labels: &[&[u8]], length: u16) -> Finding {
        let mut suffix = ShortName::new();
        push_labels(&mut suffix, labels.get(labels.len().saturating_sub(2)..).unwrap_or_default());
        Finding {
            test: Test::DnsTunnelNameLength,
            severity: self.settings.activation.weak_severity(&Self::DETECTOR),
            first: event.setting.now,
            subject: Subject {
                source: Some(event.packet.tuple.source),
                destination: Some(event.packet.tuple.destination),
                destination_port: Some(DNS),
                mac: event.packet.sender_mac(),
                ..Subject::default()
            },
            evidence: Evidence::Name { length, threshold: self.settings.max_characters, count: 1, suffix },
            adds: 1,
            // One incident for all long names of a source: one for each domain would use up the openings of the stronger test.
            scope: 0,
        }
    }
}

/// Numbers of an entry over its threshold.
struct Leaked {
    bytes: u32,
    adds: u32,
    threshold: u32,
    messages: u32,
    first: sentinel_units::Timestamp,
}

impl Leak {
    /// Adds bits in names and in records; returns the numbers if one of the limits, in bytes, is reached.
    fn add(&mut self, bits: [u32; 2], limits: [u32; 2]) -> Option<Leaked> {
        let ([name, record], [names, records]) = (bits, self.bits);
        if name | record == 0 {
            return None;
        }
        self.bits = [names.saturating_add(name), records.saturating_add(record)];
        self.messages = self.messages.saturating_add(1);
        let bytes = self.bits.map(|bits| bits / 8);
        let (bytes, threshold) = bytes.into_iter().zip(limits).find(|(bytes, limit)| bytes >= limit)?;
        let adds = (name + record) / 8;
        Some(Leaked { bytes, adds, threshold, messages: self.messages, first: self.first })
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::format;
    use std::net::Ipv4Addr;
    use std::vec::Vec;

    use std::string::{String, ToString};

    use crate::testkit::{
        CLIENT, GATEWAY, KEY, OUTSIDE, Random, Sensor, TINY, alone, dns, ipv4, name_of, only, opened, other,
        play, segment, udp,
    };

    fn question(name: &str) -> Vec<u8> {
        udp((CLIENT, 40_000), (GATEWAY, 53), &dns(name, false))
    }

    #[test]
    fn it_fires_above_the_longest_name_allowed() {
        for (characters, fires) in [(49, false), (50, false), (51, true), (200, true)] {
            let sensor = play([(0, question(&name_of(characters)))]);
            assert_eq!(sensor.opened().len(), usize::from(fires), "{characters} characters");
            for alert in &sensor.raised {
                let Evidence::Name { length, threshold, count, suffix } = &alert.evidence else {
                    panic!("{alert:?}")
                };
                let shown = (usize::from(*length), *threshold, *count, suffix.as_str());
                assert_eq!(shown, (characters, 50, 1, "example.com"));
            }
        }
    }

    #[test]
    fn it_reads_queries_to_resolvers_only() {
        let long = name_of(100);
        let nibbles = "1.".repeat(32);
        for (name, frame) in [
            ("an answer repeats the name", udp((GATEWAY, 53), (CLIENT, 40_000), &dns(&long, true))),
            ("an answer sent to port 53", udp((GATEWAY, 53), (CLIENT, 53), &dns(&long, true))),
            ("multicast DNS", udp((CLIENT, 5353), (Ipv4Addr::new(224, 0, 0, 251), 5353), &dns(&long, false))),
            ("a reverse name of 72 characters", question(&format!("{nibbles}ip6.arpa"))),
            ("in capitals", question(&format!("{nibbles}IP6.ARPA"))),
        ] {
            assert_eq!(opened([(0, frame)]), [], "{name}");
        }
        for name in [
            format!("x.{nibbles}ip6.arpa"),
            format!("{nibbles}ip6.arpa.example.com"),
            format!("g.{}ip6.arpa", "1.".repeat(31)),
        ] {
            assert_eq!(opened([(0, question(&name))]), [Test::DnsTunnelNameLength], "{name}");
        }
        let message = dns(&long, false);
        let stream = [&u16::try_from(message.len()).unwrap().to_be_bytes()[..], &message].concat();
        let over_tcp = ipv4(CLIENT, GATEWAY, 6, &segment(40_000, 53, 0x18, &stream));
        assert_eq!(opened([(0, over_tcp)]), [Test::DnsTunnelNameLength]);
    }

    /// A label of 40 letters and digits, 25 bytes of information, of its own for each number.
    fn data(number: u64) -> String {
        let mut random = Random(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        (0..40)
            .map(|_| char::from(b"bcdfghjklmnpqrstvwxz234567"[usize::try_from(random.below(26)).unwrap()]))
            .collect()
    }

    fn names(count: u64, gap_ms: u64, name: impl Fn(u64) -> String) -> Vec<(u64, Vec<u8>)> {
        (0..count).map(|number| (number * gap_ms, question(&name(number)))).collect()
    }

    const LEAK: [Test; 1] = [Test::DnsTunnelBytesLeaked];

    #[test]
    fn it_fires_at_the_information_allowed_in_names() {
        let under = |number| format!("{}.ab.cc", data(number));
        assert_eq!(opened(names(39, 1, under)), []);
        let sensor = play(names(40, 1, under));
        assert_eq!(sensor.opened(), LEAK);
        let Evidence::Leak { bytes, threshold, messages, suffix } = &sensor.raised[0].evidence else {
            panic!()
        };
        assert_eq!((*bytes, *threshold, *messages, suffix.as_str()), (1_000, 1_000, 40, "ab.cc"));
        assert_eq!(
            opened(names(4_000, 1, |number| under(number % 39))),
            [],
            "repeated names say nothing new"
        );
    }

    #[test]
    fn the_allowance_is_never_reported() {
        // 25 bytes in 63 s, 1,429 an hour, for a day; then five times as many: a path that collides in the filter leaves a gap, which
        // may not end the incident.
        assert_eq!(opened(names(1_371, 63_000, |number| format!("{}.ab.cc", data(number)))), []);
        assert_eq!(opened(names(120, 12_500, |number| format!("{}.ab.cc", data(number)))), LEAK);
    }

    /// Each response differs from the one before in its number and in the text that it carries.
    #[test]
    fn a_repeated_question_does_not_hide_its_answers() {
        let answer = |number: u64| {
            let mut message = dns("a.ab.cc", true);
            message[7] = 1;
            message[1] = u8::try_from(number % 256).unwrap();
            message.extend(*b"\xc0\x0c\x00\x10\x00\x01\x00\x00\x00\x00\x00\x29\x28");
            message.extend(data(number).bytes());
            udp((GATEWAY, 53), (CLIENT, 40_000), &message)
        };
        let play = |distinct: u64| opened((0..200).map(|number| (number, answer(number % distinct))));
        assert_eq!(play(20), []);
        assert_eq!(play(200), LEAK);
    }

    #[test]
    fn every_query_for_a_long_name_counts() {
        let frame = question(&name_of(60));
        let sensor = play((0..5).map(|number| (number * 40_000, frame.clone())));
        let counted = |alert: &sentinel_alert::Alert| match alert.evidence {
            Evidence::Name { count, .. } => count,
            _ => 0,
        };
        assert_eq!(sensor.raised.iter().map(counted).max(), Some(5), "{:?}", sensor.raised);
    }

    #[test]
    fn data_over_many_domains_counts_for_the_client() {
        let spread = |number: u64| format!("{}.d{}.cc", data(number), number % 10);
        assert_eq!(opened(names(159, 40, spread)), []);
        // A path that collides in a filter counts nothing.
        let sensor = play(names(164, 40, spread));
        assert_eq!(sensor.opened(), LEAK);
        let summary = only(&sensor.raised).summary().to_string();
        assert!(summary.starts_with("10.20.30.11 exchanged about 4.0 kB of information in 16"), "{summary}");
        assert!(
            summary.ends_with("DNS messages about several domains through 10.20.30.1 port 53"),
            "{summary}"
        );
        // Without a label below it, the domain itself is the data.
        let domains = opened(names(164, 40, |number| format!("{}.cc", data(number))));
        assert!(domains.contains(&LEAK[0]), "{domains:?}");
    }

    #[test]
    fn services_whose_names_carry_data_are_excused_a_64th() {
        let scanner = |number| format!("{}.avqs.McAfee.com", &data(number)[..30]);
        assert_eq!(opened(names(3_900, 25, scanner)), []);
        assert_eq!(opened(names(6_000, 25, scanner)), LEAK);
        assert_eq!(
            opened(names(60, 1, |number| format!("{}.mcafee.com.cc", &data(number)[..30]))),
            LEAK,
            "not by its end"
        );
    }

    #[test]
    fn names_answered_with_a_verdict_count_an_eighth() {
        let name = |number: u64| format!("{}.avqs.ab.cc", &data(number)[..30]);
        let frames = |count: u64, address: [u8; 4]| {
            opened((0..count * 2).map(|number| {
                let mut message = dns(&name(number / 2), number % 2 == 1);
                message[1] = u8::try_from(number / 2 % 251).unwrap();
                if number % 2 == 0 {
                    return (number * 20, udp((CLIENT, 40_000), (GATEWAY, 53), &message));
                }
                message[7] = 1;
                message.extend(*b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x00\x00\x04");
                message.extend(address);
                (number * 20, udp((GATEWAY, 53), (CLIENT, 40_000), &message))
            }))
        };
        assert_eq!(frames(300, [127, 0, 0, 2]), []);
        assert_eq!(frames(600, [127, 0, 0, 2]), LEAK);
        assert_eq!(frames(100, [198, 51, 100, 2]), LEAK);
        let repeated = |number: u64| match number % 3 {
            0 => (number, question(&format!("{}.ab.cc", data(number)))),
            // The same verdict again and again takes nothing back.
            _ => {
                let mut message = dns("known.ab.cc", true);
                message[7] = 1;
                message.extend(*b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x00\x00\x04\x7f\x00\x00\x02");
                (number, udp((GATEWAY, 53), (CLIENT, 40_001), &message))
            }
        };
        assert_eq!(opened((0..150).map(repeated)), LEAK);
    }

    #[test]
    fn external_clients_and_local_names_are_not_read() {
        let name = |number| format!("{}.ab.cc", data(number));
        let each = |frame: &dyn Fn(&[u8]) -> Vec<u8>| -> Vec<Test> {
            opened((0..100).map(|number| (number, frame(&dns(&name(number), false)))))
        };
        assert_eq!(each(&|query| udp((OUTSIDE, 40_000), (GATEWAY, 53), query)), []);
        assert_eq!(each(&|query| udp((CLIENT, 5_353), (Ipv4Addr::new(224, 0, 0, 251), 5_353), query)), []);
        assert_eq!(each(&|query| udp((CLIENT, 5_353), (GATEWAY, 5_353), query)), []);
        assert_eq!(
            each(&|query| udp((CLIENT, 40_000), (OUTSIDE, 5_353), query)),
            LEAK,
            "no local name is asked for there"
        );
        assert_eq!(each(&|query| udp((CLIENT, 40_000), (OUTSIDE, 9_953), query)), LEAK, "any port");
        let cut = |query: &[u8]| udp((CLIENT, 40_000), (OUTSIDE, 9_953), &query[..20]);
        assert_eq!(each(&cut), []);
    }

    /// Look-ups of 1,000 names a second, each under a domain of its own, for `millis`.
    fn noise(sensor: &mut Sensor, host: u32, millis: core::ops::Range<u64>) {
        for milli in millis {
            let query = dns(&format!("w{milli}.n{milli}.cc"), false);
            sensor.frame(milli, &udp((other(host), 40_000), (GATEWAY, 53), &query));
        }
    }

    /// Number of names of 25 bytes after which `tunnel` is named, in noise of `host`; one each `gap` milliseconds.
    fn named_after(host: u32, tunnel: Ipv4Addr, gap: u64) -> Option<u64> {
        let mut sensor = Sensor::with(crate::testkit::ROOMY, KEY, &alone(Kind::DnsTunnel));
        noise(&mut sensor, host, 0..2_000);
        let found = (1..=400).find(|number| {
            noise(&mut sensor, host, 2_000 + (number - 1) * gap..2_000 + number * gap);
            let query = dns(&format!("{}.ab.cc", data(*number)), false);
            sensor.frame(2_000 + number * gap, &udp((tunnel, 40_000), (GATEWAY, 53), &query));
            !sensor.opened().is_empty()
        })?;
        assert!(sensor.engine.losses().unread_messages > 1_000);
        let [alert] = &sensor.raised[..] else { panic!("{:?}", sensor.raised) };
        assert_eq!((alert.test, alert.subject.source), (LEAK[0], Some(std::net::IpAddr::V4(tunnel).into())));
        Some(found)
    }

    #[test]
    fn a_flood_of_names_does_not_hide_a_tunnel() {
        let shown = |names: Option<u64>, most: u64| assert!(names.is_some_and(|it| it <= most), "{names:?}");
        // Below the share of a client every name is read; above it, and in noise of the client itself, all after 8 KB.
        shown(named_after(1, CLIENT, 1_000), 42);
        shown(named_after(1, CLIENT, 50), 100);
        shown(named_after(1, other(1), 10), 320);
        shown(named_after(1, other(1), 3), 320);
    }

    #[test]
    fn names_that_stand_for_others_accuse_nobody() {
        let mut sensor = Sensor::with(crate::testkit::ROOMY, KEY, &alone(Kind::DnsTunnel));
        // A page every ten seconds, with a few names under each of its domains, in the same noise.
        for page in 0..30 {
            noise(&mut sensor, 1, page * 10_000..page * 10_000 + 1_000);
            for name in 0..60 {
                let query =
                    dns(&format!("img{name}-{page}.cdn.shop{}.cc", page % 10 * 12 + name % 12), false);
                sensor.frame(page * 10_000 + 1_000 + name, &udp((CLIENT, 40_000), (GATEWAY, 53), &query));
            }
        }
        assert_eq!(sensor.opened(), []);
    }

    #[test]
    fn a_full_table_keeps_what_has_leaked() {
        let mut sensor = Sensor::with(TINY, KEY, &alone(Kind::DnsTunnel));
        for number in 0..60 {
            for noise in 0..100 {
                let query = dns(&format!("w{noise}.n{noise}.cc"), false);
                sensor.frame(number * 10_000, &udp((other(noise), 40_000), (GATEWAY, 53), &query));
            }
            sensor.frame(number * 10_000, &question(&format!("{}.ab.cc", data(number))));
        }
        assert_eq!(sensor.opened(), LEAK);
    }
}
