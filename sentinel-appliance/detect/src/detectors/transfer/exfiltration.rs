//! `exfiltration`: one internal host sends a large volume to external hosts.
//!
//! Counted are bytes on the wire of packets from an internal address to a single external host, in
//! flows that the internal host initiated: a server that answers external clients leaks nothing by being
//! asked. Packets without ports (later fragments, other protocols) count too.
//!
//! Read first: Ma, Muthukrishnan, Sandler, Frugal streaming for estimating quantiles (2013); Estan, Varghese, New directions in
//! traffic measurement (SIGCOMM 2002): samples by bytes.
//!
//! - `bytes_in_window`: volume alone. Backups, photos, calls and tunnels send as much, so it claims no attack (`low` at most).
//! - `baseline`: a transfer that is out of the host's baseline and has a shape that ordinary ones do not have. Four shapes:
//!   datagrams that nobody ever answers; a connection that the external host opened and the internal one opened as well; a megabyte
//!   to each of many addresses, on one port, none of which got a megabyte from any host before; and a device that was quiet for
//!   a week and sends much within an hour to such an address.
//!
//! The destination of every megabyte of a host is looked at: a sample whose chance is proportional to bytes. Not seen: an upload to one
//! address over TCP by a host that uploads now and then; parts below a megabyte; parts on many ports, as of peer-to-peer clients;
//! fewer addresses a day than the threshold. Baselines are lost with a restart, and after 72 h without outbound packets.

use core::time::Duration;

use sentinel_alert::{Evidence, Kind, Severity, Subject, Test};
use sentinel_dissect::{FiveTuple, TcpFlags};
use sentinel_track::flow::ONE_WAY;
use sentinel_track::hash::HashKey;
use sentinel_track::table::{Recycle, Set, Table};
use sentinel_track::window::{SlidingSum, WindowShape};
use sentinel_units::{Address, ByteCount, Port, Timestamp};

use super::baseline::Baseline;
use super::destinations::Destinations;
use crate::detectors::FlowRequest;
use crate::incident::{Finding, Findings};
use crate::registry::{Detector, DetectorConfig, thresholds};
use crate::shared::event::{Counted, Event, OtherEvent, Setting};
use crate::shared::home_net::HomeNet;
use crate::shared::rate::{Activation, Threshold, earlier, set_window};

thresholds! {
    /// Thresholds of `exfiltration`.
    Thresholds {
        bytes: "bytes", default 5_000_000, 1_000 to u32::MAX,
            "outbound bytes on the wire of one host of the home network that make an exfiltration";
        window_s: "s", default 60, 1 to 3_600, "length of the sliding window";
        addresses: "addresses", default 24, 2 to 10_000,
            "new external addresses that get a megabyte of one host each, on one port, within a day: an exfiltration spread out";
        quiet_bytes: "bytes", default 64_000_000, 1_000_000 to u32::MAX,
            "outbound bytes within an hour to a new address, of a host that was quiet for a week, that make an exfiltration";
    }
}

fn threshold(config: &DetectorConfig) -> Threshold {
    let Thresholds { bytes, window_s, .. } = config.into();
    Threshold::new(bytes, window_s)
}

/// Outbound bytes of a host of which one destination is looked at.
const SAMPLE: u32 = 1 << 20;
/// Silence after which a host and its baseline are forgotten.
const LIFETIME: Duration = Duration::from_secs(72 * 3_600);
/// Longest time over which new addresses are counted together.
const SPREAD_SPAN_S: u32 = 86_400;

/// Bytes to destinations that one shape is about.
#[derive(Clone, Copy, Debug, Default)]
struct Watch {
    /// The destination, unspecified if there are several.
    to: Address,
    /// Seconds of the packet clock at which it began.
    since_s: u32,
    bytes: u32,
    /// Bytes within `span_s` that are reported; zero without a shape.
    limit: u32,
    span_s: u32,
}

/// New addresses on one port: a majority vote (Boyer and Moore 1981).
#[derive(Clone, Copy, Debug, Default)]
struct Spread {
    port: Option<Port>,
    /// Addresses on this port less those on others.
    lead: u32,
    since_s: u32,
    /// Lead at which it is reported next: twice that of the last report, so that a slow one is not an incident for each address.
    next: u32,
}

/// Bytes that one internal host sent to external hosts.
//
// Invariant: bytes of `bucket` since the last look, `granted - left`, are not in `sum` yet. No threshold is reached and no sample due
// before `left` is used up, so that a packet costs a comparison and a subtraction.
#[derive(Clone, Copy, Debug, Default)]
pub struct EgressBytes {
    bucket: u32,
    left: u32,
    granted: u32,
    until_sample: u32,
    sum: SlidingSum,
    /// Time of the first of them.
    since: Timestamp,
    baseline: Baseline,
    spread: Spread,
    /// Datagrams that nobody answers.
    one_way: Watch,
    /// Samples to a destination that was made the watched one.
    watch: Watch,
}

impl Recycle for EgressBytes {
    fn recycle(&mut self) {
        *self = Self::default();
    }
}

/// Storage for four internal hosts: about 1.7 KiB.
pub type EgressBytesSet = Set<Address, EgressBytes>;

/// Bytes of every internal host.
#[derive(Debug)]
pub(crate) struct Exfiltration<'m> {
    table: Table<'m, Address, EgressBytes>,
    rules: Rules,
    /// About the flow of the last packet.
    pub(crate) request: Option<FlowRequest>,
}

/// Thresholds, and the destinations of all hosts.
#[derive(Debug)]
struct Rules {
    activation: Activation,
    /// Outbound requests get a flow entry, because this detector or another one counts them.
    is_counting: bool,
    threshold: Threshold,
    /// The window as [`SlidingSum`] takes it.
    shape: WindowShape,
    addresses: u32,
    quiet_bytes: u32,
    destinations: Destinations,
}

impl<'m> Exfiltration<'m> {
    pub(crate) const DETECTOR: Detector = Detector {
        kind: Kind::Exfiltration,
        about: "one host of the home network sends many bytes to external hosts within a window (low at most), or a transfer out of its \
                baseline has a shape that ordinary ones do not have",
        source: "common practice: 5 MB in a minute; one day of new addresses, measured on simulated households",
        severity: Severity::Medium,
        thresholds: Thresholds::SETTINGS,
        ports: None,
    };

    pub(crate) fn new(
        sets: &'m mut [EgressBytesSet],
        config: &DetectorConfig,
        beacon: &DetectorConfig,
    ) -> Self {
        let threshold = threshold(config);
        let Thresholds { addresses, quiet_bytes, .. } = config.into();
        let rules = Rules {
            activation: config.into(),
            is_counting: config.enabled || beacon.enabled,
            threshold,
            shape: WindowShape::new(threshold.window),
            addresses,
            quiet_bytes,
            destinations: Destinations::default(),
        };
        Self { table: Table::new(sets, LIFETIME), rules, request: None }
    }

    pub(crate) fn configure(&mut self, config: &DetectorConfig, beacon: &DetectorConfig) {
        let rules = &mut self.rules;
        rules.is_counting = config.enabled || beacon.enabled;
        rules.activation = config.into();
        rules.threshold = threshold(config);
        let Thresholds { addresses, quiet_bytes, .. } = config.into();
        (rules.addresses, rules.quiet_bytes) = (addresses, quiet_bytes);
        set_window(&mut self.table, &mut rules.shape, rules.threshold.window);
        // What was granted is that of the old threshold: the next packet is looked at.
        self.table.values().for_each(|value| {
            value.granted = value.granted.saturating_sub(value.left);
            value.left = 0;
        });
    }

    pub(crate) const fn evictions(&self) -> u64 {
        self.table.evictions()
    }

    /// Returns true if a packet from the initiator of its flow counts: from an internal address to one external host.
    #[inline]
    pub(crate) fn is_egress(&self, home_net: &HomeNet, source: Address, destination: Address) -> bool {
        self.rules.is_counting && home_net.is_internal(source) && home_net.is_external(destination)
    }

    /// Returns true, and leaves a request, if the flow must be looked at more closely.
    #[inline]
    pub(crate) fn segment(&mut self, event: &Event<'_, '_>, findings: &mut Findings<'_, '_>) -> bool {
        if !event.is_egress {
            return false;
        }
        let FiveTuple { tcp_flags, .. } = event.packet.tuple;
        let is_one_way = tcp_flags.is_none() && event.session == ONE_WAY;
        let opens = !event.role.from_initiator && tcp_flags.is_some_and(TcpFlags::syn_only);
        if !(event.role.from_initiator || is_one_way || opens) {
            return false;
        }
        let (now, key) = (event.setting.now, event.setting.key);
        let packet = event.packet.into();
        self.count_egress(now, event.source_hash, &packet, key, findings);
        if is_one_way || opens {
            self.watch(event.source_hash, &packet, is_one_way, findings);
            self.request = Some(if opens { FlowRequest::Initiator } else { FlowRequest::OneWay });
            return true;
        }
        false
    }

    pub(crate) fn packet(&mut self, event: &OtherEvent<'_, '_>, findings: &mut Findings<'_, '_>) {
        if let Some(packet) = &Counted::without_ports(event.packet)
            && self.is_egress(event.setting.home_net, packet.source, packet.destination)
        {
            let Setting { now, key, .. } = event.setting;
            self.count_egress(now, key.address(packet.source), packet, key, findings);
        }
    }

    /// Counts the bytes of a packet for which [`Self::is_egress`] holds.
    pub(crate) fn count_egress(
        &mut self,
        now: Timestamp,
        source_hash: u32,
        packet: &Counted<'_>,
        key: &HashKey,
        findings: &mut Findings<'_, '_>,
    ) {
        if self.count_granted(now, source_hash, packet.source, packet.wire_len) {
            return;
        }
        let Some(entry) = self.table.entry(source_hash, packet.source, now) else { return };
        self.rules.look(entry.value, now, packet, key, findings);
    }

    /// Counts the bytes of a packet for which [`Self::is_egress`] holds, if they were granted before. Otherwise changes nothing and
    /// returns false: [`Self::count_egress`] must follow.
    #[inline]
    pub(crate) fn count_granted(
        &mut self,
        now: Timestamp,
        source_hash: u32,
        source: Address,
        wire_len: u32,
    ) -> bool {
        let Some(live) = self.table.live(source_hash, source, now) else { return false };
        if live.value.bucket != self.rules.shape.bucket(now) {
            return false;
        }
        let Some(left) = live.value.left.checked_sub(wire_len) else { return false };
        live.value.left = left;
        live.touch();
        true
    }

    /// Watches the destination of a packet: by every datagram that nobody answers, or by samples from now on, because both sides have
    /// opened the connection.
    #[inline(never)]
    fn watch(
        &mut self,
        source_hash: u32,
        packet: &Counted<'_>,
        is_one_way: bool,
        findings: &mut Findings<'_, '_>,
    ) {
        let now = findings.now;
        let Some(value) = self.table.find(source_hash, packet.source, now) else { return };
        let Threshold { limit, .. } = self.rules.threshold;
        let (span_s, since_s) = (self.rules.threshold.window_s(), seconds(now));
        let watch = if is_one_way { &mut value.one_way } else { &mut value.watch };
        if watch.limit != limit || since_s.wrapping_sub(watch.since_s) > span_s || !is_one_way {
            *watch = Watch { to: packet.destination, since_s, bytes: 0, limit, span_s };
        } else if watch.to != packet.destination {
            watch.to = Address::default();
        }
        if is_one_way {
            self.rules.add_watched(watch, packet, packet.wire_len, findings);
        }
    }
}

#[expect(clippy::as_conversions, reason = "seconds of the packet clock, compared modulo 2^32")]
const fn seconds(now: Timestamp) -> u32 {
    (now.as_nanos() / 1_000_000_000) as u32
}

impl Rules {
    /// Adds what was counted since the last look, and reports if the sum is at or over the threshold.
    #[inline(never)] // once in a bucket or a megabyte
    fn look(
        &mut self,
        value: &mut EgressBytes,
        now: Timestamp,
        packet: &Counted<'_>,
        key: &HashKey,
        findings: &mut Findings<'_, '_>,
    ) {
        let pending = value.granted - value.left;
        value.sum.add_to_newest(pending);
        let sum = value.sum.add(self.shape, now, packet.wire_len);
        if sum == u64::from(packet.wire_len) {
            value.since = now;
        }
        let used = pending.saturating_add(packet.wire_len);
        if value.until_sample == 0 {
            value.until_sample = SAMPLE;
        }
        value.baseline.add(seconds(now), used);
        value.until_sample = match value.until_sample.checked_sub(used) {
            Some(left) if left > 0 => left,
            _ => {
                self.sample(value, now, packet, key, findings);
                SAMPLE
            }
        };
        value.bucket = self.shape.bucket(now);
        value.left = match u64::from(self.threshold.limit).checked_sub(sum + 1) {
            Some(left) => (value.until_sample - 1).min(u32::try_from(left).unwrap_or(u32::MAX)),
            None => {
                self.report(value.since, sum, packet, findings);
                0
            }
        };
        value.granted = value.left;
    }

    /// Looks at the destination of a megabyte.
    fn sample(
        &mut self,
        value: &mut EgressBytes,
        now: Timestamp,
        packet: &Counted<'_>,
        key: &HashKey,
        findings: &mut Findings<'_, '_>,
    ) {
        let now_s = seconds(now);
        let is_new = self.destinations.insert(key.address(packet.destination));
        let watch = &mut value.watch;
        if is_new && value.baseline.is_quiet() {
            let limit = self.quiet_bytes;
            *watch = Watch { to: packet.destination, since_s: now_s, bytes: 0, limit, span_s: 3_600 };
        }
        if watch.limit > 0 && watch.to == packet.destination {
            if now_s.wrapping_sub(watch.since_s) > watch.span_s {
                (watch.bytes, watch.since_s) = (0, now_s);
            }
            self.add_watched(watch, packet, SAMPLE, findings);
        }
        let spread = &mut value.spread;
        if !is_new {
            return;
        }
        if spread.lead == 0 || now_s.wrapping_sub(spread.since_s) > SPREAD_SPAN_S {
            *spread = Spread { port: packet.destination_port, lead: 0, since_s: now_s, next: 0 };
        }
        if spread.port != packet.destination_port {
            spread.lead -= 1;
            return;
        }
        spread.lead += 1;
        if spread.lead >= self.addresses.max(spread.next) && value.baseline.is_exceeded() {
            spread.next = spread.lead * 2;
            let bytes = u64::from(spread.lead) << 20;
            let span_s = now_s.wrapping_sub(spread.since_s);
            self.claim(None, packet, (bytes, u64::from(self.addresses) << 20, span_s), SAMPLE, findings);
        }
    }

    /// Adds bytes that a shape is about, and reports at its limit.
    fn add_watched(
        &self,
        watch: &mut Watch,
        packet: &Counted<'_>,
        amount: u32,
        findings: &mut Findings<'_, '_>,
    ) {
        watch.bytes = watch.bytes.saturating_add(amount);
        if watch.bytes >= watch.limit {
            let to = (watch.to == packet.destination).then_some(packet.destination);
            let numbers = (watch.bytes.into(), watch.limit.into(), watch.span_s);
            self.claim(to, packet, numbers, amount, findings);
        }
    }

    /// Reports a shape: bytes, threshold and seconds.
    #[cold]
    fn claim(
        &self,
        destination: Option<Address>,
        packet: &Counted<'_>,
        (count, threshold, window_s): (u64, u64, u32),
        adds: u32,
        findings: &mut Findings<'_, '_>,
    ) {
        if !self.activation.enabled {
            return;
        }
        findings.add(&Finding {
            test: Test::ExfiltrationBaseline,
            severity: self.activation.severity,
            first: earlier(findings.now, Duration::from_secs(window_s.into())),
            subject: subject(packet, destination),
            evidence: Evidence::Bytes {
                count: ByteCount(count),
                threshold: ByteCount(threshold),
                window_s: window_s.max(1),
            },
            adds,
            scope: 0,
        });
    }

    #[cold]
    fn report(&self, since: Timestamp, sum: u64, packet: &Counted<'_>, findings: &mut Findings<'_, '_>) {
        if !self.activation.enabled {
            return;
        }
        findings.add(&Finding {
            test: Test::ExfiltrationBytesInWindow,
            severity: self.activation.ordinary(Exfiltration::DETECTOR.severity),
            first: since.max(earlier(findings.now, self.threshold.window)),
            subject: subject(packet, Some(packet.destination)),
            evidence: Evidence::Bytes {
                count: ByteCount(sum),
                threshold: ByteCount(self.threshold.limit.into()),
                window_s: self.threshold.window_s(),
            },
            adds: packet.wire_len,
            scope: 0,
        });
    }
}

fn subject(packet: &Counted<'_>, destination: Option<Address>) -> Subject {
    Subject {
        source: Some(packet.source),
        destination,
        destination_port: destination.and(packet.destination_port),
        mac: packet.sender_mac(),
        ..Subject::default()
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::net::Ipv4Addr;
    use std::vec::Vec;

    use crate::testkit::{
        ACK, ATTACKER, CLIENT, Filling, LIMITS, OUTSIDE, SYN, SYN_ACK, Sensor, VICTIM, configs, echo,
        home_net, other, tcp, udp,
    };

    /// A flow that `initiator` opens and in which `from` then sends `frames` of 50,000 bytes and one of `last`.
    fn transfer(
        initiator: Ipv4Addr,
        from: Ipv4Addr,
        to: Ipv4Addr,
        frames: u64,
        last: u32,
        gap_ms: u64,
    ) -> Vec<Test> {
        let mut sensor = Sensor::new();
        let peer = if initiator == from { to } else { from };
        let port = |address| if address == initiator { 40_000 } else { 443 };
        sensor.frame_of(0, &tcp((initiator, port(initiator)), (peer, port(peer)), SYN), 0);
        let data = tcp((from, port(from)), (to, port(to)), ACK);
        for number in 0..frames {
            sensor.frame_of(number * gap_ms, &data, 50_000);
        }
        if last > 0 {
            sensor.frame_of(frames * gap_ms, &data, last);
        }
        sensor.opened()
    }

    /// Simultaneous open: an external host must not become the initiator by answering a SYN with a SYN.
    #[test]
    fn a_simultaneous_open_hides_no_upload() {
        let (client, server) = ((CLIENT, 50_000), (OUTSIDE, 443));
        for answers in
            [&[][..], &[(server, client, SYN)], &[(server, client, SYN), (client, server, SYN_ACK)]]
        {
            let mut sensor = Sensor::new();
            sensor.frame(0, &tcp(client, server, SYN));
            answers.iter().for_each(|(from, to, flags)| sensor.frame(1, &tcp(*from, *to, *flags)));
            (0..200).for_each(|_| sensor.frame_of(2, &tcp(client, server, ACK), 50_000));
            assert_eq!(sensor.opened(), [Test::ExfiltrationBytesInWindow], "{} answers", answers.len());
        }
    }

    #[test]
    fn it_fires_at_the_threshold_within_any_window() {
        const FIRES: [Test; 1] = [Test::ExfiltrationBytesInWindow];
        // The SYN is 54 bytes of the five million.
        assert_eq!(transfer(CLIENT, CLIENT, OUTSIDE, 99, 49_945, 100), []);
        assert_eq!(transfer(CLIENT, CLIENT, OUTSIDE, 99, 49_946, 100), FIRES);
        assert_eq!(transfer(CLIENT, CLIENT, OUTSIDE, 150, 0, 100), FIRES);
        // 90 frames in any window of 60 s, and in any 64 s, which is what the sum may cover.
        assert_eq!(transfer(CLIENT, CLIENT, OUTSIDE, 1_000, 0, 715), []);
        assert_eq!(transfer(CLIENT, CLIENT, OUTSIDE, 1_000, 0, 590), FIRES);
    }

    #[test]
    fn it_counts_internal_to_external_in_flows_initiated_internally() {
        let far = Ipv4Addr::new(198, 51, 100, 1);
        for (name, initiator, from, to) in [
            ("an upload by an external host", OUTSIDE, OUTSIDE, CLIENT),
            ("a download", CLIENT, OUTSIDE, CLIENT),
            ("a server answers an external client", OUTSIDE, CLIENT, OUTSIDE),
            ("a copy between internal hosts", CLIENT, CLIENT, VICTIM),
            ("passing by", OUTSIDE, OUTSIDE, far),
            ("to a group", CLIENT, CLIENT, Ipv4Addr::new(239, 1, 2, 3)),
            ("to everyone", CLIENT, CLIENT, Ipv4Addr::BROADCAST),
        ] {
            assert_eq!(transfer(initiator, from, to, 300, 0, 10), [], "{name}");
        }
        // The home network is a setting.
        let mut sensor = Sensor::new();
        let mut wide = home_net();
        wide.add("203.0.113.0/24".parse().unwrap()).unwrap();
        sensor.engine.configure(wide, LIMITS, &configs());
        let data = tcp((CLIENT, 40_000), (OUTSIDE, 443), ACK);
        for number in 0..300 {
            sensor.frame_of(number, &data, 50_000);
        }
        assert_eq!(sensor.opened(), []);
        let data = tcp((CLIENT, 40_000), (far, 443), ACK);
        for number in 300..400 {
            sensor.frame_of(number, &data, 50_000);
        }
        assert_eq!(sensor.opened(), [Test::ExfiltrationBytesInWindow]);
    }

    const FILLING: Filling = Filling {
        test: Test::ExfiltrationBytesInWindow,
        use_one: |sensor, number, millis| sensor.frame(millis, &echo(other(number), OUTSIDE, 8)),
        attack: |sensor, millis| {
            let data = echo(ATTACKER, OUTSIDE, 8);
            (0..100).for_each(|_| sensor.frame_of(millis, &data, 50_000));
        },
    };

    #[test]
    fn a_full_table_counts_its_evictions_and_still_detects() {
        FILLING.a_full_table_counts_its_evictions_and_still_detects();
        FILLING.without_a_table_nothing_fires();
        // Entries hold baselines, so that one which makes room within 72 h is a loss.
        let mut sensor = FILLING.sensor();
        (0..50).for_each(|number| (FILLING.use_one)(&mut sensor, number, u64::from(number) * 72 * 3_600_500));
        assert_eq!(sensor.engine.losses().evictions, 0);
    }

    fn severities(sensor: &Sensor) -> Vec<(Test, Severity, bool)> {
        let named =
            |alert: &sentinel_alert::Alert| (alert.test, alert.severity, alert.subject.destination.is_some());
        sensor.raised.iter().map(named).collect()
    }

    const VOLUME: (Test, Severity, bool) = (Test::ExfiltrationBytesInWindow, Severity::Low, true);
    const CLAIM: (Test, Severity, bool) = (Test::ExfiltrationBaseline, Severity::Medium, true);

    /// 6 MB in datagrams, also from a port that servers answer from; answered once or never.
    #[test]
    fn datagrams_that_nobody_answers_are_a_claim() {
        for (from, to) in [(50_000, 9_999), (443, 51_000), (50_000, 443)] {
            for is_answered in [false, true] {
                let mut sensor = Sensor::new();
                for number in 0..6_000 {
                    sensor.frame_of(number * 3, &udp((CLIENT, from), (OUTSIDE, to), &[0; 8]), 1_000);
                    if is_answered && number == 2 {
                        sensor.frame(number * 3, &udp((OUTSIDE, to), (CLIENT, from), &[0; 8]));
                    }
                }
                let expected = match (is_answered, from) {
                    (false, _) => &[VOLUME, CLAIM][..],
                    (true, 443) => &[][..],
                    (true, _) => &[VOLUME][..],
                };
                assert_eq!(severities(&sensor), expected, "{from} to {to}, answered: {is_answered}");
            }
        }
    }

    #[test]
    fn a_connection_that_both_sides_open_is_a_claim() {
        let (client, server) = ((CLIENT, 50_000), (OUTSIDE, 443));
        let mut sensor = Sensor::new();
        sensor.frame(0, &tcp(server, client, SYN));
        sensor.frame(1, &tcp(client, server, SYN));
        sensor.frame(2, &tcp(server, client, SYN_ACK));
        (0..7_000).for_each(|number| sensor.frame_of(3 + number, &tcp(client, server, ACK), 1_000));
        assert_eq!(severities(&sensor), [VOLUME, CLAIM]);
    }

    fn host(number: u32) -> Ipv4Addr {
        Ipv4Addr::from_bits(0xcb00_0000 + number * 257)
    }

    /// 1.2 MB to each of `hosts`, a minute apart.
    fn spread(hosts: u32, port: impl Fn(u32) -> u16) -> Sensor {
        let mut sensor = Sensor::new();
        for number in 0..hosts {
            let data = tcp((CLIENT, 40_000), (host(number), port(number)), ACK);
            (0..1_200).for_each(|_| sensor.frame_of(u64::from(number) * 61_000, &data, 1_000));
        }
        sensor
    }

    #[test]
    fn parts_to_many_new_addresses_on_one_port_are_a_claim() {
        assert_eq!(severities(&spread(20, |_| 443)), []);
        let opened = spread(60, |_| 443).opened();
        assert_eq!(opened, [Test::ExfiltrationBaseline; 2], "24 and 48 addresses");
        let raised = severities(&spread(28, |_| 443));
        assert_eq!(raised.first(), Some(&(Test::ExfiltrationBaseline, Severity::Medium, false)));
        assert_eq!(
            severities(&spread(80, |number| 6_881 + u16::try_from(number % 4).unwrap())),
            [],
            "peer to peer"
        );
    }

    /// A thermostat: a week of small calls, then 70 MB within ten minutes to an address that got nothing so far.
    #[test]
    fn a_quiet_device_that_sends_much_to_a_new_address_is_a_claim() {
        for days in [2, 9] {
            let mut sensor = Sensor::new();
            for hour in 0..days * 24 {
                let call = tcp((CLIENT, 40_000), (OUTSIDE, 443), ACK);
                sensor.frame_of(hour * 3_600_000, &call, 2_000);
            }
            let begin = days * 24 * 3_600_000;
            let data = tcp((CLIENT, 40_001), (host(1), 443), ACK);
            (0..70_000).for_each(|number| sensor.frame_of(begin + number * 8, &data, 1_000));
            let claims = severities(&sensor).iter().any(|raised| raised.0 == Test::ExfiltrationBaseline);
            assert_eq!(claims, days == 9, "after {days} days");
        }
    }
}
