//! `new_device`: a station of the link that was not seen before, with its address and the name that it gives itself.
//!
//! Read first: RFC 2132 section 3.14 (host name); RFC 9797 (random and changing hardware addresses).
//!
//! Which stations are known is what [`device_table`](super::device_table) holds, over a restart too; of a network that is too large for it
//! what `mac_flood` remembers. A new one is watched until it uses an internal address and has
//! had ten seconds to ask for a lease, in which it gives its name. It is no device of this link if it forwards packets of others.
//!
//! Silent are the learning time after the first start, or after any start if the table could not hold all stations, and the same time after a
//! flood of hardware addresses: a station that still sends after it is told then. Of random addresses, which phones change, one an hour is reported, of all
//! the set number a day. What is left out by these limits, or by a flood that goes on, is counted and told once a day.
//!
//! Not seen: devices behind a router, which has sent their frames; with several workers, those whose first frame another one sees.

use core::time::Duration;

use sentinel_alert::{Evidence, Kind, Severity, ShortName, Subject, Test};
use sentinel_dissect::dhcp::{self, option};
use sentinel_dissect::{Network, PacketSummary};
use sentinel_units::{Address, Mac, Timestamp};

use super::device_offline::Silence;
use super::device_table::{Device, DeviceTable, PERIOD_S};
use crate::incident::{Finding, Findings};
use crate::registry::{Detector, DetectorConfig, thresholds};
use crate::shared::event::{DHCP_CLIENT, Event, OtherEvent, Setting};
use crate::shared::rate::Activation;

/// Stations that are watched at once.
const MAX_WAITING: usize = 8;
/// Time for which a new station is watched: a lease takes three seconds, and an address is probed for six (RFC 5227).
const WATCHED: Duration = Duration::from_secs(10);
const DAY_S: u64 = 86_400;
const HOUR_S: u64 = 3_600;
/// Second until which is learnt if an earlier run has learnt.
const LEARNT: u64 = 1;

thresholds! {
    /// Thresholds of `new_device`.
    Thresholds {
        learning_s: "s", default 600, 10 to 604_800, "time after the first start in which every station counts as known";
        devices_a_day: "devices", default 20, 1 to 1_000, "new devices that are reported within a day";
    }
}

/// Declaration of `new_device`; `mac_flood` shows it the stations.
#[derive(Debug)]
pub(crate) struct NewDevice;

impl NewDevice {
    pub(crate) const DETECTOR: Detector = Detector {
        kind: Kind::NewDevice,
        about: "a station of the inside network appears that was not seen before",
        source: "common practice: an inventory of what is connected; RFC 9797 for addresses that change",
        severity: Severity::Info,
        thresholds: Thresholds::SETTINGS,
        ports: None,
    };

    pub(crate) const fn new(_: &DetectorConfig) -> Self {
        Self
    }

    #[expect(clippy::unused_self, reason = "the table of detectors calls every one alike")]
    pub(crate) const fn configure(&mut self, _: &DetectorConfig) {}
}

/// New stations, and how many were reported.
#[derive(Debug)]
pub(crate) struct NewDevices<'m> {
    table: DeviceTable<'m>,
    waiting: heapless::Vec<Station, MAX_WAITING>,
    /// Second until which every station counts as known; zero before the first frame.
    learning_until: u64,
    /// Seconds at which a flood of made-up stations began, and until which none is taken for new; zero without one.
    flood: (u64, u64),
    /// Stations that were left out, and the day on which that was told last.
    left_out: (u32, u64),
    /// Day, and reports of it.
    reported: (u64, u32),
    /// Second from which a random address is reported again.
    random_from: u64,
    thresholds: Thresholds,
    activation: Activation,
    pub(super) silence: Silence,
}

/// Station that was seen for the first time.
#[derive(Debug)]
struct Station {
    mac: Mac,
    since: Timestamp,
    address: Option<Address>,
    name: Option<ShortName>,
}

impl<'m> NewDevices<'m> {
    pub(super) fn new(slots: &'m mut [Device], config: &DetectorConfig, silence: &DetectorConfig) -> Self {
        Self {
            table: DeviceTable::new(slots),
            waiting: heapless::Vec::new(),
            learning_until: 0,
            flood: (0, 0),
            left_out: (0, 0),
            silence: Silence::new(silence),
            reported: (0, 0),
            random_from: 0,
            thresholds: config.into(),
            activation: config.into(),
        }
    }

    pub(super) fn configure(&mut self, config: &DetectorConfig, silence: &DetectorConfig) {
        self.silence.configure(silence);
        (self.thresholds, self.activation) = (config.into(), config.into());
    }

    /// Returns true while a station is watched.
    #[inline]
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Returns true if nothing is to be done for a station, by its hash.
    #[inline]
    pub(super) fn is_present(&self, hash: u32) -> bool {
        self.table.is_present(hash)
    }

    /// Another station was seen for the first time in a second with many: somebody makes them up. Those that are watched are new again once it
    /// is over.
    #[cold]
    pub(super) fn flood(&mut self, now: Timestamp) {
        let second = now.as_secs();
        let (since, until) = &mut self.flood;
        if second >= *until {
            *since = second;
        }
        *until = second + u64::from(self.thresholds.learning_s);
        let is_long = second - *since > u64::from(self.thresholds.learning_s);
        while let Some(Station { mac, .. }) = self.waiting.pop() {
            self.table.remove(mac.0);
        }
        self.leave_out(u32::from(is_long));
    }

    const fn leave_out(&mut self, stations: u32) {
        self.left_out.0 = self.left_out.0.saturating_add(stations);
    }

    /// A station sends that was not yet seen in this period; `is_new` if `mac_flood` does not remember it.
    #[cold]
    pub(super) fn see(&mut self, mac: [u8; 6], hash: u32, is_new: bool, findings: &mut Findings<'_, '_>) {
        let now = findings.now;
        let (second, day) = (now.as_secs(), day_of(now));
        if self.learning_until == 0 {
            self.learning_until = second + u64::from(self.thresholds.learning_s);
        }
        self.advance(findings);
        if self.table.mark(mac, hash, day) {
            return;
        }
        if second < self.learning_until || !self.activation.enabled {
            self.table.add(mac, hash, day);
        } else if second < self.flood.1 {
            // It is new again with its first frame afterwards.
        } else if self.waiting.is_full() {
            // So it is with its next frame, unless no table has room for it.
            self.leave_out(u32::from(is_new && !self.table.state().1));
        } else if self.table.add(mac, hash, day) || is_new {
            let _has_room =
                self.waiting.push(Station { mac: Mac(mac), since: now, address: None, name: None });
            findings.incidents.wake_at(now.after(WATCHED));
        }
    }

    /// Ends periods, half-hours and days.
    fn advance(&mut self, findings: &mut Findings<'_, '_>) {
        let second = findings.now.as_secs();
        if self.table.advance(second) {
            self.silence.judge(&mut self.table, findings);
        }
        let next = second / PERIOD_S * PERIOD_S + PERIOD_S;
        findings.incidents.wake_at(Timestamp::from_parts(next, 0));
        let (count, told) = self.left_out;
        if count > 0 && second / DAY_S != told {
            self.left_out = (0, second / DAY_S);
            findings.add(&Finding {
                test: Test::NewDevices,
                severity: self.activation.severity,
                first: findings.now,
                subject: Subject::default(),
                evidence: Evidence::Stations { count, days: 0, silent_s: 0 },
                adds: 0,
                scope: 1,
            });
        }
    }

    /// Stations that are known, whether these are all, and revisions as those of the table.
    pub(in crate::detectors) fn state(&self, now: Timestamp) -> (&[Device], bool, [u32; 2]) {
        let (devices, is_complete, revisions) = self.table.state();
        let is_learnt = match self.learning_until {
            0 => false,
            LEARNT => true,
            until => now.as_secs() >= until,
        };
        (devices, is_complete && is_learnt, revisions)
    }

    /// Takes over stations of an earlier run; if they were all, nothing is left to learn.
    pub(in crate::detectors) fn restore(&mut self, devices: &[Device], is_complete: bool) {
        if self.table.restore(devices) && is_complete {
            self.learning_until = LEARNT;
        }
    }

    /// A packet with ports, while stations are watched.
    #[inline(never)] // rare
    pub(super) fn segment(&mut self, event: &Event<'_, '_>) {
        let packet = event.packet;
        if let Some(mac) = packet.sender_mac() {
            self.uses(event.setting, mac, packet.tuple.source, lease_name(packet));
        }
    }

    /// ARP and other packets without ports, while stations are watched.
    #[inline(never)] // rare
    pub(super) fn packet(&mut self, event: &OtherEvent<'_, '_>) {
        let Some(ethernet) = &event.packet.ethernet else { return };
        let address = match &event.packet.network {
            Network::Arp(message) => message.sender_ip,
            Network::Ip(ip) => ip.source,
            _ => return,
        };
        self.uses(event.setting, ethernet.source, address, None);
    }

    /// A watched station sends from an address: that is its own if it is inside, and forwarded otherwise.
    fn uses(&mut self, setting: Setting<'_>, mac: Mac, address: Address, name: Option<ShortName>) {
        let Some(at) = self.waiting.iter().position(|station| station.mac == mac) else { return };
        if setting.home_net.is_external(address) {
            self.waiting.remove(at);
            return;
        }
        let Some(station) = self.waiting.get_mut(at) else { return };
        let is_better = |held: Address| held.is_link_local() && !address.is_link_local();
        if !address.is_unspecified() && !address.is_group() && station.address.is_none_or(is_better) {
            station.address = Some(address);
        }
        station.name = name.or(station.name.take());
    }

    /// Reports the stations that were watched for long enough, or all because the traffic has ended.
    pub(super) fn expire(&mut self, is_end: bool, findings: &mut Findings<'_, '_>) {
        if self.learning_until != 0 && !is_end {
            self.advance(findings);
        }
        while let Some(station) = self.waiting.first() {
            let until = station.since.after(WATCHED);
            if !is_end && findings.now < until {
                findings.incidents.wake_at(until);
                return;
            }
            self.report_first(findings);
        }
    }

    /// Reports the station that is watched for longest, if it is one of the inside network.
    fn report_first(&mut self, findings: &mut Findings<'_, '_>) {
        if self.waiting.is_empty() {
            return;
        }
        let Station { mac, since, address, name } = self.waiting.remove(0);
        let second = since.as_secs();
        let (day, count) = &mut self.reported;
        if *day != second / DAY_S {
            (*day, *count) = (second / DAY_S, 0);
        }
        if let Some(address) = address.filter(|address| address.is_v4()) {
            let [.., word] = address.words();
            self.table.set_address(mac.0, word);
        }
        if address.is_none() && name.is_none() {
            return;
        }
        let is_held = mac.is_local() && second < self.random_from;
        if is_held || *count >= self.thresholds.devices_a_day {
            self.leave_out(1);
            return;
        }
        *count += 1;
        if mac.is_local() {
            self.random_from = second + HOUR_S;
        }
        let [_, _, c, d, e, f] = mac.0;
        findings.add(&Finding {
            test: Test::NewDevice,
            severity: self.activation.severity,
            first: since,
            subject: Subject { source: address, mac: Some(mac), host: name, ..Subject::default() },
            evidence: Evidence::Device { is_random: mac.is_local() },
            adds: 1,
            scope: u32::from_be_bytes([c, d, e, f]),
        });
    }
}

/// Day since the epoch, which 16 bits hold for a hundred years.
fn day_of(now: Timestamp) -> u16 {
    u16::try_from(now.as_secs() / DAY_S).unwrap_or(u16::MAX)
}

/// Host name in the request of a DHCP client: printable ASCII, at most 64 characters.
fn lease_name(packet: &PacketSummary<'_>) -> Option<ShortName> {
    if packet.tuple.source_port != DHCP_CLIENT || packet.tuple.tcp_flags.is_some() {
        return None;
    }
    let payload = packet.payload();
    dhcp::Message::parse(payload).ok().filter(|message| Some(message.client_mac) == packet.sender_mac())?;
    let (_, value) = dhcp::options(payload).find(|(number, _)| *number == option::HOST_NAME)?;
    let mut name = ShortName::new();
    for byte in value.iter().take(name.capacity()) {
        let _fits_by_take = name.push(if byte.is_ascii_graphic() { char::from(*byte) } else { '?' });
    }
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::testkit::*;
    use sentinel_alert::Phase;
    use sentinel_track::hash::HashKey;
    use std::net::Ipv4Addr;
    use std::string::ToString;
    use std::vec;
    use std::vec::Vec;

    /// A frame whose sender another station is.
    fn sent_by(mac: [u8; 6], mut frame: Vec<u8>) -> Vec<u8> {
        frame[6..12].copy_from_slice(&mac);
        frame
    }

    fn request(mac: [u8; 6], name: &[u8]) -> Vec<u8> {
        let mut message = vec![0; 240];
        message[..3].copy_from_slice(&[1, 1, 6]);
        message[28..34].copy_from_slice(&mac);
        message[236..].copy_from_slice(&[0x63, 0x82, 0x53, 0x63]);
        message.extend([53, 1, 3, 12, u8::try_from(name.len()).unwrap()]);
        message.extend(name);
        message.push(255);
        let frame = udp((Ipv4Addr::UNSPECIFIED, 68), (Ipv4Addr::BROADCAST, 67), &message);
        sent_by(mac, frame)
    }

    /// Address claimed by its holder.
    fn claim(mac: [u8; 6], last: u8) -> Vec<u8> {
        let address = Ipv4Addr::new(10, 20, 30, last);
        arp(1, (mac, address), ([0; 6], address))
    }

    const GLOBAL: [u8; 6] = [0x3c, 0x5a, 0xb4, 0, 0x11, 0x22];
    const LEARNT: u64 = 601_000;

    fn sensor() -> Sensor {
        let mut sensor = Sensor::with(ROOMY, KEY, &alone(Kind::NewDevice));
        sensor.frame(0, &claim(MAC, 11));
        sensor
    }

    fn summaries(sensor: &Sensor) -> Vec<std::string::String> {
        let open = sensor.raised.iter().filter(|alert| alert.phase == Phase::Open);
        open.map(|alert| alert.summary().to_string()).collect()
    }

    #[test]
    fn a_device_after_the_learning_time_is_told_with_name_and_address() {
        let mut sensor = sensor();
        sensor.frame(500_000, &claim([0x3c, 0, 0, 0, 0, 1], 40));
        sensor.frame(LEARNT, &request(GLOBAL, b"galaxy\x1b[31m"));
        sensor.frame(LEARNT + 3_000, &claim(GLOBAL, 41));
        assert_eq!(sensor.opened(), []);
        sensor.tick(LEARNT + 10_001);
        assert_eq!(
            summaries(&sensor),
            [
                "10.20.30.41 is used by a device not seen before, 3c:5a:b4:00:11:22 (Google), which calls itself galaxy?[31m"
            ]
        );
        assert_eq!(sensor.raised[0].severity, Severity::Info);
        // Known from now on.
        sensor.frame(LEARNT + 100_000, &claim(GLOBAL, 42));
        sensor.tick(LEARNT + 200_000);
        assert_eq!(sensor.opened().len(), 1);
    }

    #[test]
    fn a_device_that_only_asks_for_a_lease_is_told_without_address() {
        let mut sensor = sensor();
        sensor.frame(LEARNT, &request(GLOBAL, b"printer"));
        sensor.finish();
        assert_eq!(
            summaries(&sensor),
            ["3c:5a:b4:00:11:22 is a device not seen before (Google), which calls itself printer"]
        );
    }

    #[test]
    fn random_addresses_are_told_once_an_hour() {
        let mut sensor = sensor();
        for number in 0..4_u8 {
            sensor
                .frame(LEARNT + u64::from(number) * 1_500_000, &claim([2, 1, 1, 1, 1, number], 50 + number));
        }
        sensor.tick(LEARNT + 6_000_000);
        let told = summaries(&sensor);
        let is_count = |text: &&std::string::String| {
            *text == "1 or more further devices not seen before, which are not told one by one"
        };
        // One on each of two days.
        assert_eq!((told.len(), told.iter().filter(is_count).count()), (4, 2), "{told:?}");
        assert!(told[0].ends_with("02:01:01:01:01:00 (random)"), "{told:?}");
    }

    #[test]
    fn a_router_that_forwards_is_no_device_and_a_day_has_its_limit() {
        let mut sensor = sensor();
        sensor.frame(LEARNT, &sent_by(GLOBAL, tcp((OUTSIDE, 5_000), (CLIENT, 443), ACK)));
        sensor.frame(LEARNT + 1, &sent_by(GLOBAL, tcp((OUTSIDE, 5_001), (CLIENT, 443), ACK)));
        sensor.tick(LEARNT + 20_000);
        assert_eq!(sensor.opened(), []);
        for number in 0..40_u8 {
            let millis = LEARNT + 30_000 + u64::from(number) * 20_000;
            sensor.frame(millis, &claim([0x3c, 1, 1, 1, 1, number], 50 + number));
        }
        sensor.finish();
        let opened = sensor.opened();
        assert_eq!(opened.iter().filter(|test| **test == Test::NewDevice).count(), 20);
        assert_eq!(
            opened.iter().filter(|test| **test == Test::NewDevices).count(),
            1,
            "the others are counted"
        );
    }

    fn told_of(sensor: &Sensor, mac: [u8; 6]) -> usize {
        let is_it = |alert: &&sentinel_alert::Alert| {
            alert.phase == Phase::Open && alert.test == Test::NewDevice && alert.subject.mac == Some(Mac(mac))
        };
        sensor.raised.iter().filter(is_it).count()
    }

    /// The whole network was new again after a restart, or a device that came during one was learnt and never told.
    #[test]
    fn a_restart_knows_what_was_there_and_learns_nothing_new() {
        let mut sensor = sensor();
        let known = |number: u8| [0x3c, 7, 7, 7, 7, number];
        (0..30).for_each(|number| sensor.frame(u64::from(number) * 1_000, &claim(known(number), number)));
        sensor.tick(LEARNT);
        let (devices, is_complete, _) = sensor.engine.devices();
        let devices = devices.to_vec();
        assert!(is_complete);
        let mut next = Sensor::with(ROOMY, HashKey::new(9), &alone(Kind::NewDevice));
        next.engine.restore_devices(&devices, is_complete);
        (0..30).for_each(|number| next.frame(u64::from(number) * 1_000, &claim(known(number), number)));
        next.frame(40_000, &claim(GLOBAL, 60));
        next.tick(60_000);
        assert_eq!(next.opened(), [Test::NewDevice]);
        assert_eq!(told_of(&next, GLOBAL), 1);
        // Of a network that is too large for the table the others would all be new.
        let mut small = Sensor::with(TINY, KEY, &alone(Kind::NewDevice));
        small.engine.restore_devices(&devices, is_complete);
        (0..30).for_each(|number| small.frame(u64::from(number) * 1_000, &claim(known(number), number)));
        small.tick(60_000);
        assert_eq!(small.opened(), []);
        assert!(!small.engine.devices().1);
    }

    /// Nine made-up stations in a second hid whoever came within the next ten minutes, for ever.
    #[test]
    fn a_device_that_hides_behind_made_up_ones_is_told_afterwards() {
        let mut sensor = sensor();
        for number in 0..12_u8 {
            sensor.frame(LEARNT + u64::from(number), &claim([0x3c, 8, 8, 8, 8, number], 60));
        }
        for minute in 0..25 {
            sensor.frame(LEARNT + 1_000 + minute * 60_000, &claim(GLOBAL, 41));
        }
        sensor.tick(LEARNT + 1_600_000);
        assert_eq!(sensor.opened(), [Test::NewDevice]);
        assert_eq!(told_of(&sensor, GLOBAL), 1);
    }

    /// Eight a second are no flood: they use up what is told of a day, and all that it can hold of the table.
    #[test]
    fn made_up_stations_push_out_no_known_one_and_are_counted() {
        let mut capacities = ROOMY;
        capacities.tables.devices = 64;
        let mut sensor = Sensor::with(capacities, KEY, &alone(Kind::NewDevice));
        let known = |number: u8| [0x3c, 7, 7, 7, 7, number];
        // Two hours of a house of 20 devices.
        for minute in (0..130_u64).step_by(5) {
            (0..20).for_each(|number| {
                sensor.frame(minute * 60_000 + u64::from(number), &claim(known(number), number));
            });
        }
        let begin = 130 * 60_000;
        for number in 0..20_000_u32 {
            let [_, b, c, d] = number.to_be_bytes();
            sensor.frame(begin + u64::from(number) * 150, &claim([0x3c, 9, 9, b, c, d], 60));
        }
        for minute in (0..130_u64).step_by(5) {
            let at = begin + 3_100_000 + minute * 60_000;
            (0..20).for_each(|number| sensor.frame(at + u64::from(number), &claim(known(number), number)));
        }
        sensor.finish();
        (0..20).for_each(|number| assert_eq!(told_of(&sensor, known(number)), 0, "{number} is known"));
        let opened = sensor.opened();
        assert_eq!(opened.iter().filter(|test| **test == Test::NewDevice).count(), 20);
        assert_eq!(opened.iter().filter(|test| **test == Test::NewDevices).count(), 1);
    }

    /// A station that makes up hardware addresses is one flood, and no hundred devices.
    #[test]
    fn a_flood_of_hardware_addresses_is_no_device() {
        let mut configs = alone(Kind::NewDevice);
        config_of(&mut configs, Kind::MacFlood).enabled = true;
        let mut sensor = Sensor::with(ROOMY, KEY, &configs);
        sensor.frame(0, &claim(MAC, 11));
        for number in 0..2_000_u32 {
            let [_, _, high, low] = number.to_be_bytes();
            sensor.frame(LEARNT + u64::from(number) / 2, &claim([0x3c, 9, 9, 9, high, low], 60));
        }
        sensor.tick(LEARNT + 60_000);
        let devices = sensor.opened().into_iter().filter(|test| *test == Test::NewDevice).count();
        assert!(devices == 0, "{devices}");
        assert!(sensor.opened().contains(&Test::MacFlood));
    }
}
