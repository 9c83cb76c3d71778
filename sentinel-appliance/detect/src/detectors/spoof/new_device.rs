//! `new_device`: a station of the link that was not seen before, with its address and the name that it gives itself.
//!
//! Read first: RFC 2132 section 3.14 (host name); RFC 9797 (random and changing hardware addresses).
//!
//! Which hardware addresses are known is what `mac_flood` remembers. A new one is watched until it uses an internal address and has
//! had ten seconds to ask for a lease, in which it gives its name. It is no device of this link if it forwards packets of others.
//! Silent are the learning time after the start, the same time after a flood of hardware addresses, and what
//! is above the number a day. Of random addresses, which phones change, one an hour is reported.
//!
//! Not seen: devices behind a router, which has sent their frames; with several workers, those whose first frame another one sees. What is
//! known is forgotten with a restart.

use core::time::Duration;

use sentinel_alert::{Evidence, Kind, Severity, ShortName, Subject, Test};
use sentinel_dissect::dhcp::{self, option};
use sentinel_dissect::{Network, PacketSummary};
use sentinel_units::{Address, Mac, Timestamp};

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

thresholds! {
    /// Thresholds of `new_device`.
    Thresholds {
        learning_s: "s", default 600, 10 to 604_800, "time after the start in which every station counts as known";
        devices_a_day: "devices", default 20, 1 to 1_000, "new devices that are reported within a day";
    }
}

/// Declaration of `new_device`; `mac_flood` shows it the stations.
#[derive(Debug)]
pub(crate) struct NewDevice;

impl NewDevice {
    pub(crate) const DETECTOR: Detector = Detector {
        kind: Kind::NewDevice,
        about: "a station of the inside network appears that was not seen since the start",
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
pub(super) struct NewDevices {
    waiting: heapless::Vec<Station, MAX_WAITING>,
    /// Second until which every station counts as known; zero before the first frame.
    learning_until: u64,
    /// Day, and reports of it.
    reported: (u64, u32),
    /// Second from which a random address is reported again.
    random_from: u64,
    thresholds: Thresholds,
    activation: Activation,
}

/// Station that was seen for the first time.
#[derive(Debug)]
struct Station {
    mac: Mac,
    since: Timestamp,
    address: Option<Address>,
    name: Option<ShortName>,
}

impl NewDevices {
    pub(super) fn new(config: &DetectorConfig) -> Self {
        Self {
            waiting: heapless::Vec::new(),
            learning_until: 0,
            reported: (0, 0),
            random_from: 0,
            thresholds: config.into(),
            activation: config.into(),
        }
    }

    pub(super) fn configure(&mut self, config: &DetectorConfig) {
        (self.thresholds, self.activation) = (config.into(), config.into());
    }

    /// Returns true while a station is watched.
    #[inline]
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// All stations count as known for the learning time: what was remembered of them is lost, or a flood makes them up.
    #[cold]
    pub(super) fn learn(&mut self, now: Timestamp) {
        self.learning_until = now.as_secs() + u64::from(self.thresholds.learning_s);
        self.waiting.clear();
    }

    /// A station was seen for the first time.
    #[cold]
    pub(super) fn begin(&mut self, mac: Mac, findings: &mut Findings<'_, '_>) {
        let now = findings.now;
        if self.learning_until == 0 {
            self.learn(now);
        }
        if now.as_secs() < self.learning_until || !self.activation.enabled {
            return;
        }
        // More than that in ten seconds are not devices that somebody has brought.
        let _full = self.waiting.push(Station { mac, since: now, address: None, name: None });
        findings.incidents.wake_at(now.after(WATCHED));
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
        let is_held = mac.is_local() && second < self.random_from;
        if address.is_none() && name.is_none() || is_held || *count >= self.thresholds.devices_a_day {
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
                "10.20.30.41 is used by a device not seen before, 3c:5a:b4:00:11:22, which calls itself galaxy?[31m"
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
            ["3c:5a:b4:00:11:22 is a device not seen before, which calls itself printer"]
        );
    }

    #[test]
    fn random_addresses_are_told_once_an_hour() {
        let mut sensor = sensor();
        for number in 0..4_u8 {
            sensor
                .frame(LEARNT + u64::from(number) * 1_500_000, &claim([2, 1, 1, 1, 1, number], 50 + number));
        }
        sensor.finish();
        let told = summaries(&sensor);
        assert_eq!(told.len(), 2, "{told:?}");
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
        assert_eq!(sensor.opened().len(), 20);
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
