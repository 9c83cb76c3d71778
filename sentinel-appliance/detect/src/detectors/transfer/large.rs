//! `large_transfer`: many bytes in one TCP connection between an inside host and an external one, in either direction.
//!
//! Read first: RFC 9293 section 3.4 (sequence numbers).
//!
//! Bytes are the difference of sequence and acknowledgement numbers between two segments that take the slow path: a connection's first
//! in each 8.6 s, and one of full size that it begins with, so that no other segment costs anything. Told once a day for each pair and
//! direction, as information: backups, downloads and films are large.
//!
//! Not seen: what a connection transfers before the first and after the last of these, UDP, and more than a gigabyte between two, which is no
//! difference of numbers that can be trusted. A set that is full gives up the connection with the fewest bytes. Bytes over UDP (QUIC) stand
//! in no header, and counting them would cost an instruction or more for each packet of every download: uploads over UDP count in
//! `exfiltration`, downloads do not.
//!
//! Sizes may also come with the lists (`transfer_thresholds` of signatures.json): one for all, which the setting `bytes` goes before if it
//! was changed, and a greater one for services of large files, the storage services of the lists. An address is one of them while it is among
//! the last 32 whose name (SNI, `Host`) a client inside has asked for.

use core::time::Duration;

use sentinel_alert::{Evidence, Kind, Severity, Subject, Test};
use sentinel_dissect::{FiveTuple, PacketSummary};
use sentinel_track::flow::FlowId;
use sentinel_track::neighbour::{Span, Tick};
use sentinel_units::{Address, ByteCount, Port};

use crate::incident::{Finding, Findings, scope};
use crate::registry::{Detector, DetectorConfig, thresholds};
use crate::shared::event::Setting;
use crate::shared::rate::{Activation, earlier};

/// Default of the setting, 100 MiB.
const DEFAULT_BYTES: u32 = 104_857_600;

thresholds! {
    /// Thresholds of `large_transfer`.
    Thresholds {
        bytes: "bytes", default 104_857_600, 1_048_576 to u32::MAX,
            "payload bytes in one direction of a TCP connection with an external host that make a large transfer";
    }
}

/// Connections of a set.
const WAYS: usize = 4;
/// Greatest difference of two sequence numbers that counts, and the least of those that are an older segment.
const GREATEST: u32 = 1 << 30;
const OLDER: u32 = 1 << 31;
/// Pairs that were reported, and the time for which they are not reported again.
const MAX_REPORTED: usize = 16;
const DAY: Span = Span::at_least(Duration::from_secs(86_400));
/// Addresses of services of large files that are remembered.
const MAX_SERVICES: usize = 32;
/// Silence after which a connection counts as over.
const LIFETIME: Span = Span::at_least(Duration::from_secs(600));

/// Numbers and bytes of one connection: first what the inside host sends, then what it receives. 32 bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Transfer {
    /// Half of the hash of the flow, its lowest bit set; zero for an empty slot.
    key: u32,
    numbers: [u32; 2],
    /// In units of 256 bytes.
    sent: [u32; 2],
    since: Tick,
    seen: Tick,
}

/// Connections, and the pairs that were reported.
#[derive(Debug)]
pub(crate) struct LargeTransfer<'m> {
    slots: &'m mut [Transfer],
    reported: [(u32, Tick); MAX_REPORTED],
    next: usize,
    /// Hashes of addresses, the newest at the end.
    services: heapless::Deque<u32, MAX_SERVICES>,
    /// Sizes of the lists in bytes: for all, and for services of large files.
    sizes: [u32; 2],
    thresholds: Thresholds,
    activation: Activation,
}

impl<'m> LargeTransfer<'m> {
    pub(crate) const DETECTOR: Detector = Detector {
        kind: Kind::LargeTransfer,
        about: "a TCP connection between an inside host and an external one carries many bytes in one direction",
        source: "common practice: 100 MiB",
        severity: Severity::Info,
        thresholds: Thresholds::SETTINGS,
        ports: None,
    };

    pub(crate) fn new(slots: &'m mut [Transfer], config: &DetectorConfig) -> Self {
        slots.fill(Transfer::default());
        let reported = [(0, Tick::default()); MAX_REPORTED];
        let (services, sizes) = (heapless::Deque::new(), [DEFAULT_BYTES, 0]);
        let (thresholds, activation) = (config.into(), config.into());
        Self { slots, reported, next: 0, services, sizes, thresholds, activation }
    }

    /// Takes over the sizes of the lists.
    pub(crate) const fn set_sizes(&mut self, sizes: [u32; 2]) {
        self.sizes = sizes;
    }

    /// Notes the address of a service of large files by its hash.
    #[cold]
    pub(crate) fn note_service(&mut self, address: u32) {
        if !self.services.iter().any(|known| *known == address) {
            if self.services.is_full() {
                let _oldest = self.services.pop_front();
            }
            let _has_room = self.services.push_back(address);
        }
    }

    /// Bytes that make a large transfer with any host.
    const fn limit(&self) -> u32 {
        let [default, _] = self.sizes;
        if self.thresholds.bytes == DEFAULT_BYTES { default } else { self.thresholds.bytes }
    }

    pub(crate) fn configure(&mut self, config: &DetectorConfig) {
        (self.thresholds, self.activation) = (config.into(), config.into());
    }

    /// Takes the numbers of a segment that is on the slow path.
    #[inline(never)] // once for each connection and period
    pub(crate) fn sample(
        &mut self,
        setting: Setting<'_>,
        flow: FlowId,
        packet: &PacketSummary<'_>,
        findings: &mut Findings<'_, '_>,
    ) {
        let FiveTuple { source, destination, .. } = packet.tuple;
        let home_net = setting.home_net;
        let is_up = home_net.is_internal(source);
        let (inside, outside) = if is_up { (source, destination) } else { (destination, source) };
        if !self.activation.enabled || !home_net.is_internal(inside) || !home_net.is_external(outside) {
            return;
        }
        let (sequence, acknowledgement) = packet.tcp_numbers();
        let numbers = if is_up { [sequence, acknowledgement] } else { [acknowledgement, sequence] };
        let now = Tick::of(setting.now);
        let Some(transfer) = self.entry(flow.key() | 1, numbers, now) else { return };
        for (index, number) in numbers.into_iter().enumerate() {
            let (Some(last), Some(sent)) = (transfer.numbers.get_mut(index), transfer.sent.get_mut(index))
            else {
                continue;
            };
            let difference = number.wrapping_sub(*last);
            if difference < OLDER {
                *last = number;
            }
            if difference < GREATEST {
                // The rest below a unit is left for the next segment.
                *sent = sent.saturating_add(difference >> 8);
                *last = number.wrapping_sub(difference & 0xff);
            }
        }
        let [up, down] = transfer.sent;
        let (transfer, limit) = (*transfer, self.limit() >> 8);
        if up.max(down) >= limit {
            let is_upload = up >= limit;
            self.report((setting, now), (inside, outside), (&transfer, is_upload), packet, is_up, findings);
        }
    }

    /// Entry of a connection; a new one has these numbers and no bytes.
    fn entry(&mut self, key: u32, numbers: [u32; 2], now: Tick) -> Option<&mut Transfer> {
        let ways = WAYS.min(self.slots.len());
        let sets = self.slots.len().checked_div(ways)?;
        let begin = usize::try_from(key >> 1).ok()?.checked_rem(sets)? * ways;
        let set = self.slots.get_mut(begin..begin + ways)?;
        let is_old = |transfer: &Transfer| now.distance(transfer.seen) > LIFETIME;
        let found = set.iter().position(|transfer| transfer.key == key && !is_old(transfer));
        let way = match found {
            Some(way) => way,
            None => {
                let bytes = |transfer: &Transfer| {
                    if is_old(transfer) { 0 } else { transfer.sent.into_iter().max().unwrap_or(0) }
                };
                let least = set.iter().enumerate().min_by_key(|(_, transfer)| bytes(transfer));
                let (way, _) = least?;
                *set.get_mut(way)? = Transfer { key, numbers, sent: [0; 2], since: now, seen: now };
                way
            }
        };
        let transfer = set.get_mut(way)?;
        transfer.seen = now;
        Some(transfer)
    }

    #[cold]
    fn report(
        &mut self,
        (setting, now): (Setting<'_>, Tick),
        (inside, outside): (Address, Address),
        (transfer, is_upload): (&Transfer, bool),
        packet: &PacketSummary<'_>,
        is_up: bool,
        findings: &mut Findings<'_, '_>,
    ) {
        let FiveTuple { source_port, destination_port, .. } = packet.tuple;
        let service = Port(source_port.0.min(destination_port.0));
        let [up, down] = transfer.sent;
        let units = if is_upload { up } else { down };
        let [_, of_service] = self.sizes;
        let is_service = self.services.iter().any(|known| *known == setting.key.address(outside));
        let limit = if is_service { self.limit().max(of_service) } else { self.limit() };
        if units < limit >> 8 {
            return;
        }
        let pair = scope(outside, service) ^ scope(inside, Port(u16::from(is_upload))).rotate_left(9);
        if self.reported.iter().any(|(known, at)| *known == pair && now.distance(*at) < DAY) {
            return;
        }
        if let Some(slot) = self.reported.get_mut(self.next) {
            *slot = (pair, now);
        }
        self.next = (self.next + 1) % MAX_REPORTED;
        let (source, destination) = if is_upload { (inside, outside) } else { (outside, inside) };
        let lasted = now.distance(transfer.since).duration();
        let port = Some(service);
        findings.add(&Finding {
            test: Test::LargeTransfer,
            severity: self.activation.severity,
            first: earlier(setting.now, lasted),
            subject: Subject {
                source: Some(source),
                destination: Some(destination),
                source_port: port.filter(|_| !is_upload),
                destination_port: port.filter(|_| is_upload),
                mac: packet.sender_mac().filter(|_| is_up == is_upload),
                ..Subject::default()
            },
            evidence: Evidence::Bytes {
                count: ByteCount(u64::from(units) << 8),
                threshold: ByteCount(limit.into()),
                window_s: u32::try_from(lasted.as_secs() + 1).unwrap_or(u32::MAX),
            },
            adds: 0,
            scope: pair,
        });
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::testkit::*;
    use std::net::Ipv4Addr;
    use std::string::ToString;
    use std::vec::Vec;

    fn numbered(from: (Ipv4Addr, u16), to: (Ipv4Addr, u16), flags: u8, numbers: (u32, u32)) -> Vec<u8> {
        let mut frame = tcp(from, to, flags);
        frame[38..42].copy_from_slice(&numbers.0.to_be_bytes());
        frame[42..46].copy_from_slice(&numbers.1.to_be_bytes());
        frame
    }

    /// A download of so many bytes a second, in segments of the server and acknowledgements of the client.
    fn download(sensor: &mut Sensor, begin_s: u64, seconds: u32, rate: u32) {
        let (client, server) = ((CLIENT, 40_000), (OUTSIDE, 443));
        sensor.fast(begin_s * 1_000, &numbered(client, server, SYN, (99, 0)));
        // Numbers that wrap.
        let first = u32::MAX - 1_000_000;
        sensor.fast(begin_s * 1_000 + 10, &numbered(server, client, SYN_ACK, (first, 100)));
        for second in 0..seconds {
            let number = first.wrapping_add(1 + second * rate);
            let millis = (begin_s + u64::from(second)) * 1_000 + 20;
            sensor.fast(millis, &numbered(server, client, ACK, (number, 100)));
            sensor.fast(millis + 5, &numbered(client, server, ACK, (100, number)));
        }
    }

    #[test]
    fn a_download_over_the_threshold_is_told_once_a_day() {
        let mut sensor = Sensor::new();
        download(&mut sensor, 0, 90, 1_000_000);
        assert_eq!(sensor.opened(), []);
        download(&mut sensor, 1_000, 130, 1_000_000);
        download(&mut sensor, 2_000, 130, 1_000_000);
        assert_eq!(sensor.opened(), [Test::LargeTransfer]);
        let alert = &sensor.raised[0];
        assert_eq!(alert.severity, Severity::Info);
        let text = alert.summary().to_string();
        assert!(
            text.starts_with("203.0.113.7 sent 1") && text.contains(" MB to 10.20.30.11 within 1"),
            "{text}"
        );
        download(&mut sensor, 90_000, 130, 1_000_000);
        assert_eq!(sensor.opened().len(), 2);
    }

    #[test]
    fn numbers_that_jump_and_segments_that_are_late_are_no_bytes() {
        let (client, server) = ((CLIENT, 40_000), (OUTSIDE, 443));
        let mut sensor = Sensor::new();
        sensor.fast(0, &numbered(client, server, SYN, (99, 0)));
        sensor.fast(10, &numbered(server, client, SYN_ACK, (1_000, 100)));
        for step in 0..200_u32 {
            let number = if step % 2 == 0 { 5_000 } else { 0x6000_0000 };
            sensor.fast(u64::from(step) * 20_000 + 20, &numbered(server, client, ACK, (number, 100)));
        }
        assert_eq!(sensor.opened(), []);
    }

    #[test]
    fn an_upload_names_the_inside_host_and_is_part_of_an_exfiltration() {
        let (client, server) = ((CLIENT, 40_000), (OUTSIDE, 443));
        for (wire_len, expected) in [(60, Test::LargeTransfer), (600_000, Test::ExfiltrationBytesInWindow)] {
            let mut sensor = Sensor::new();
            sensor.frame(0, &numbered(client, server, SYN, (99, 0)));
            sensor.frame(10, &numbered(server, client, SYN_ACK, (1_000, 100)));
            for second in 0..150_u32 {
                let frame = numbered(client, server, ACK, (100 + second * 1_000_000, 1_001));
                sensor.frame_of(u64::from(second) * 1_000, &frame, wire_len);
            }
            assert_eq!(sensor.opened(), [expected]);
            assert_eq!(sensor.raised[0].subject.source, Some(Address::v4(CLIENT.to_bits())));
        }
    }

    #[test]
    fn copies_inside_are_not_told_and_no_table_is_no_panic() {
        let mut sensor = Sensor::new();
        let (client, server) = ((CLIENT, 40_000), (VICTIM, 445));
        for second in 0..200_u32 {
            let frame = numbered(client, server, ACK, (100 + second * 1_000_000, 1_001));
            sensor.frame(u64::from(second) * 1_000, &frame);
        }
        assert_eq!(sensor.opened(), []);
        let none = sentinel_detect::Capacities {
            flows: 0,
            incidents: 0,
            tables: sentinel_detect::TableCapacities::uniform(0),
        };
        download(&mut Sensor::with(none, KEY, &configs()), 0, 10, 1_000_000);
    }

    #[test]
    fn the_default_of_the_setting_is_the_one_that_sizes_of_lists_replace() {
        assert_eq!(Thresholds::SETTINGS[0].default, DEFAULT_BYTES);
    }
}
