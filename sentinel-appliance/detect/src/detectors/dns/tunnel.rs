//! `dns_tunnel`: a DNS query asks for a very long name.
//!
//! Read first: RFC 1035 section 3.1; RFC 3596 section 2.5 (reverse names of IPv6 addresses). Only
//! queries to port 53 count: the answer repeats the name, and multicast DNS names services in long
//! sentences. Weak evidence: content networks use long names too, hence the low default severity.

use sentinel_alert::{Evidence, Severity, ShortName, Subject, Test};
use sentinel_dissect::{PacketSummary, dns};
use sentinel_track::flow::Role;
use sentinel_track::table::CoarseSpan;
use sentinel_units::Port;

use crate::incident::{Finding, Findings};
use crate::registry::DetectorConfig;
use crate::shared::event::{Event, Setting};

pub(crate) const DNS: Port = Port(53);
/// Queries read from one TCP segment.
const MAX_TCP_MESSAGES: usize = 16;
/// Labels of `ip6.arpa` names for whole addresses: a nibble each, and the two of the zone.
const IP6_ARPA_LABELS: usize = 34;

#[derive(Debug)]
pub(crate) struct DnsTunnel {
    enabled: bool,
    severity: Severity,
    threshold: u16,
    /// Whether messages over TCP come by [`Self::whole`], and not with their segments.
    pub(crate) streams_are_joined: bool,
}

impl DnsTunnel {
    pub(crate) fn new(config: &DetectorConfig) -> Self {
        let mut new =
            Self { enabled: false, severity: Severity::Info, threshold: 0, streams_are_joined: false };
        new.configure(config);
        new
    }

    pub(crate) fn configure(&mut self, config: &DetectorConfig) {
        let [characters, ..] = config.numbers;
        self.threshold = u16::try_from(characters).unwrap_or(u16::MAX);
        (self.enabled, self.severity) = (config.enabled, config.severity);
    }

    /// Whether this detector looks at what is sent to `port`.
    #[inline]
    pub(crate) fn follows(&self, port: Port) -> bool {
        self.enabled && port == DNS
    }

    #[inline]
    pub(crate) fn segment(&self, event: &Event<'_, '_>, findings: &mut Findings<'_, '_>) {
        if self.follows(event.packet.tuple.destination_port) {
            self.queries(event, findings);
        }
    }

    fn queries(&self, event: &Event<'_, '_>, findings: &mut Findings<'_, '_>) {
        let payload = event.packet.payload();
        if event.packet.tuple.tcp_flags.is_none() {
            return self.message(event, payload, findings);
        }
        if self.streams_are_joined {
            return;
        }
        for message in dns::tcp_messages(payload).take(MAX_TCP_MESSAGES) {
            self.message(event, message, findings);
        }
    }

    /// A message that was put together. `packet` is one of those that brought it.
    pub(crate) fn whole(
        &self,
        setting: Setting<'_>,
        packet: &PacketSummary<'_>,
        message: &[u8],
        findings: &mut Findings<'_, '_>,
    ) {
        if self.follows(packet.tuple.destination_port) {
            let role =
                Role { from_initiator: true, certain: false, is_first: false, idle: CoarseSpan::default() };
            let source_hash = setting.key.address(packet.tuple.source);
            self.message(&Event { setting, packet, role, source_hash }, message, findings);
        }
    }

    #[inline]
    fn message(&self, event: &Event<'_, '_>, bytes: &[u8], findings: &mut Findings<'_, '_>) {
        let Ok(message) = dns::Message::parse(bytes) else { return };
        if message.is_response() {
            return;
        }
        let Ok(Some(question)) = message.question() else { return };
        let length = u16::try_from(question.name.character_count()).unwrap_or(u16::MAX);
        if length > self.threshold && !is_reverse_of_ipv6(&question.name) {
            findings.add(&self.finding(event, &question.name, length));
        }
    }

    #[cold]
    fn finding(&self, event: &Event<'_, '_>, name: &dns::Name<'_>, length: u16) -> Finding {
        let (suffix, scope) = suffix(event, name);
        Finding {
            test: Test::DnsTunnelNameLength,
            severity: self.severity,
            first: event.setting.now,
            subject: Subject {
                source: Some(event.packet.tuple.source),
                destination: Some(event.packet.tuple.destination),
                destination_port: Some(DNS),
                mac: event.packet.sender_mac(),
                ..Subject::default()
            },
            evidence: Evidence::Name { length, threshold: self.threshold, count: 1, suffix },
            adds: 1,
            scope,
        }
    }
}

/// Whether this is the reverse name of a whole IPv6 address, which every resolver asks for.
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
