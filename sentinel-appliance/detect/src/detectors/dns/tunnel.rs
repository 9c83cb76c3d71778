//! `dns_tunnel`: a DNS query asks for a very long name.
//!
//! Read first: RFC 1035 section 3.1; RFC 3596 section 2.5 (reverse names of IPv6 addresses). Only
//! queries to port 53 count: the answer repeats the name, and multicast DNS names services in long
//! sentences. Weak evidence: content networks use long names too, hence the low default severity.

use sentinel_alert::{Evidence, Kind, Severity, ShortName, Subject, Test};
use sentinel_dissect::{FiveTuple, PacketSummary, dns};
use sentinel_track::flow::Role;
use sentinel_track::table::CoarseSpan;

use crate::incident::{Finding, Findings};
use crate::registry::{Detector, DetectorConfig, thresholds};
use crate::shared::event::{DNS, Event, Setting};
use crate::shared::rate::Activation;

thresholds! {
    /// Thresholds of `dns_tunnel`.
    Thresholds {
        name_characters: "characters", default 50, 16 to 253,
            "longest name that is not reported, in text form without the final dot";
    }
}

/// Queries read from one TCP segment.
const MAX_TCP_MESSAGES: usize = 16;
/// Labels of `ip6.arpa` names for whole addresses: a nibble each, and the two of the zone.
const IP6_ARPA_LABELS: usize = 34;

/// Length test of the names in queries; keeps no state.
#[derive(Debug)]
pub(crate) struct DnsTunnel {
    activation: Activation,
    max_characters: u16,
    /// Set if messages over TCP arrive reassembled through [`Self::message`]; their segments are then not read.
    streams_are_reassembled: bool,
}

impl DnsTunnel {
    pub(crate) const DETECTOR: Detector = Detector {
        kind: Kind::DnsTunnel,
        about: "a DNS query asks for a very long name (weak evidence: content networks do so too)",
        source: "common practice: 50 characters; reverse lookups of IPv6 addresses (72) are left out",
        severity: Severity::Low,
        thresholds: Thresholds::SETTINGS,
        ports: None,
    };

    pub(crate) fn new(config: &DetectorConfig) -> Self {
        let Thresholds { name_characters } = config.into();
        Self {
            activation: config.into(),
            max_characters: u16::try_from(name_characters).unwrap_or(u16::MAX),
            streams_are_reassembled: false,
        }
    }

    pub(crate) fn configure(&mut self, config: &DetectorConfig) {
        *self = Self { streams_are_reassembled: self.streams_are_reassembled, ..Self::new(config) };
    }

    /// From now on messages over TCP come through [`Self::message`].
    pub(crate) const fn enable_reassembly(&mut self) {
        self.streams_are_reassembled = true;
    }

    /// Returns true if payloads sent to this destination port are read.
    #[inline]
    pub(crate) fn reads(&self, tuple: &FiveTuple) -> bool {
        self.activation.enabled && tuple.destination_port == DNS
    }

    #[inline]
    pub(crate) fn segment(&self, event: &Event<'_, '_>, findings: &mut Findings<'_, '_>) {
        if self.reads(&event.packet.tuple) {
            self.queries(event, findings);
        }
    }

    fn queries(&self, event: &Event<'_, '_>, findings: &mut Findings<'_, '_>) {
        let payload = event.packet.payload();
        if event.packet.tuple.tcp_flags.is_none() {
            return self.query(event, payload, findings);
        }
        if self.streams_are_reassembled {
            return;
        }
        for message in dns::tcp_messages(payload).take(MAX_TCP_MESSAGES) {
            self.query(event, message, findings);
        }
    }

    /// Tests a reassembled message. `packet` is one of those that carried it.
    pub(crate) fn message(
        &self,
        setting: Setting<'_>,
        packet: &PacketSummary<'_>,
        message: &[u8],
        findings: &mut Findings<'_, '_>,
    ) {
        if self.reads(&packet.tuple) {
            let role =
                Role { from_initiator: true, certain: false, is_first: false, idle: CoarseSpan::default() };
            let source_hash = setting.key.address(packet.tuple.source);
            self.query(&Event { setting, packet, role, source_hash, session: 0 }, message, findings);
        }
    }

    #[inline]
    fn query(&self, event: &Event<'_, '_>, bytes: &[u8], findings: &mut Findings<'_, '_>) {
        let Ok(message) = dns::Message::parse(bytes) else { return };
        if message.is_response() {
            return;
        }
        let Ok(Some(question)) = message.question() else { return };
        let length = u16::try_from(question.name.character_count()).unwrap_or(u16::MAX);
        if length > self.max_characters && !is_reverse_of_ipv6(&question.name) {
            findings.add(&self.finding(event, &question.name, length));
        }
    }

    #[cold]
    fn finding(&self, event: &Event<'_, '_>, name: &dns::Name<'_>, length: u16) -> Finding {
        let (suffix, scope) = suffix(event, name);
        Finding {
            test: Test::DnsTunnelNameLength,
            severity: self.activation.severity,
            first: event.setting.now,
            subject: Subject {
                source: Some(event.packet.tuple.source),
                destination: Some(event.packet.tuple.destination),
                destination_port: Some(DNS),
                mac: event.packet.sender_mac(),
                ..Subject::default()
            },
            evidence: Evidence::Name { length, threshold: self.max_characters, count: 1, suffix },
            adds: 1,
            scope,
        }
    }
}

/// Returns true for the reverse name of a whole IPv6 address, which every resolver asks for.
fn is_reverse_of_ipv6(name: &dns::Name<'_>) -> bool {
    let mut labels = 0;
    let well_formed = name.labels().enumerate().all(|(index, label)| {
        labels = index + 1;
        match index {
            0..32 => matches!(label, [digit] if digit.is_ascii_hexdigit()),
            32 => label.eq_ignore_ascii_case(b"ip6"),
            33 => label.eq_ignore_ascii_case(b"arpa"),
            _ => false,
        }
    });
    well_formed && labels == IP6_ARPA_LABELS
}

/// The last two labels, for people, and a number that tells them apart.
fn suffix(event: &Event<'_, '_>, name: &dns::Name<'_>) -> (ShortName, u32) {
    let skip = name.labels().count().saturating_sub(2);
    let (mut text, mut scope) = (ShortName::new(), 0);
    for label in name.labels().skip(skip) {
        if !text.is_empty() {
            let _full_is_cut = text.push('.');
        }
        for byte in label {
            let lower = byte.to_ascii_lowercase();
            scope = event.setting.key.with(scope, lower.into());
            let _full_is_cut = text.push(if lower.is_ascii_graphic() { char::from(lower) } else { '?' });
        }
    }
    (text, scope)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::format;
    use std::net::Ipv4Addr;
    use std::vec::Vec;

    use crate::testkit::{CLIENT, GATEWAY, dns, ipv4, name_of, opened, play, segment, udp};

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
}
