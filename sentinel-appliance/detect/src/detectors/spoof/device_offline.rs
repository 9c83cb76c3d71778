//! `device_offline`: a station that was always there is silent.
//!
//! Read first: RFC 826 and RFC 4861 section 7.3 (who forwards to a station asks for it again and again, so that one in use is seen).
//!
//! Only stations that were seen in every half-hour of some days, one in a row left out at most, are waited for: cameras, servers, hubs, and no
//! phones, consoles or computers, which leave or sleep. Random hardware addresses are never waited for. A half-hour in which no station was
//! seen does not count, nor does the time for which the sensor was not running. More than three at once, as after a power cut, are told
//! together.
//!
//! Not seen: a station in whose name another one sends; one that nobody talks to for an hour and that is silent by itself; what only
//! another worker sees, as the first one alone judges, by the ARP and neighbour messages that all come to it.

use sentinel_alert::{Evidence, Kind, Severity, Subject, Test};
use sentinel_units::{Address, Mac};

use super::device_table::{DeviceTable, HALF_HOUR_S, Missing};
use crate::incident::{Finding, Findings};
use crate::registry::{Detector, DetectorConfig, thresholds};
use crate::shared::rate::Activation;

/// Half-hours of a day.
const DAY: u32 = 86_400 / HALF_HOUR_S;
/// Stations that are told one by one.
const MAX_SINGLE: usize = 3;

thresholds! {
    /// Thresholds of `device_offline`.
    Thresholds {
        silent_s: "s", default 7_200, 3_600 to 86_400, "silence of a device that was always there, in whole half-hours";
        always_on_days: "days", default 7, 1 to 60, "time around the clock after which a device counts as always there";
    }
}

/// Declaration of `device_offline`; `new_device` keeps the stations.
#[derive(Debug)]
pub(crate) struct DeviceOffline;

impl DeviceOffline {
    pub(crate) const DETECTOR: Detector = Detector {
        kind: Kind::DeviceOffline,
        about: "a device that was seen around the clock for days is silent",
        source: "common practice: an inventory of what is connected; a week holds the habits of a household",
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

/// Settings of the detector.
#[derive(Debug)]
pub(super) struct Silence {
    thresholds: Thresholds,
    activation: Activation,
    /// Another worker judges.
    pub(super) is_elsewhere: bool,
}

impl Silence {
    pub(super) fn new(config: &DetectorConfig) -> Self {
        Self { thresholds: config.into(), activation: config.into(), is_elsewhere: false }
    }

    pub(super) fn configure(&mut self, config: &DetectorConfig) {
        (self.thresholds, self.activation) = (config.into(), config.into());
    }

    /// Ends a half-hour, and reports the stations that are silent.
    pub(super) fn judge(&self, table: &mut DeviceTable<'_>, findings: &mut Findings<'_, '_>) {
        let run = u16::try_from(self.thresholds.always_on_days * DAY).unwrap_or(u16::MAX);
        let missed = u8::try_from(self.thresholds.silent_s / HALF_HOUR_S).unwrap_or(u8::MAX);
        let mut single = heapless::Vec::<Missing, MAX_SINGLE>::new();
        let (mut count, mut least) = (0, Missing { mac: [0; 6], address: 0, run: u16::MAX, missed: u8::MAX });
        table.missing(run, missed, &mut |missing| {
            if missing.mac.first().is_some_and(|first| first & 2 == 0) {
                count += 1;
                (least.run, least.missed) = (least.run.min(missing.run), least.missed.min(missing.missed));
                let _more_are_told_together = single.push(missing);
            }
        });
        if !self.activation.enabled || self.is_elsewhere {
            return;
        }
        if count > u32::try_from(single.len()).unwrap_or(count) {
            self.report(least, count, findings);
        } else {
            single.into_iter().for_each(|missing| self.report(missing, 1, findings));
        }
    }

    #[cold]
    fn report(&self, missing: Missing, count: u32, findings: &mut Findings<'_, '_>) {
        let Missing { mac, address, run, missed } = missing;
        let is_one = count == 1;
        let [_, _, c, d, e, f] = mac;
        findings.add(&Finding {
            test: Test::DeviceOffline,
            severity: self.activation.severity,
            first: findings.now,
            subject: Subject {
                source: Some(Address::v4(address)).filter(|_| is_one && address != 0),
                mac: Some(Mac(mac)).filter(|_| is_one),
                ..Subject::default()
            },
            evidence: Evidence::Stations {
                count,
                days: u32::from(run) / DAY,
                silent_s: u32::from(missed) * HALF_HOUR_S,
            },
            adds: 1,
            scope: u32::from_be_bytes([c, d, e, f]),
        });
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::testkit::*;
    use sentinel_alert::Phase;
    use std::net::Ipv4Addr;
    use std::string::{String, ToString};
    use std::vec::Vec;

    const MINUTE: u64 = 60_000;
    const HOUR: u64 = 60 * MINUTE;
    const CAMERA: [u8; 6] = [0xb8, 0x27, 0xeb, 0, 0, 1];

    /// Each station claims its address every 20 minutes from one hour to another, if it is there then.
    fn pass(
        sensor: &mut Sensor,
        hours: core::ops::Range<u64>,
        stations: &[[u8; 6]],
        is_there: impl Fn([u8; 6], u64) -> bool,
    ) {
        for third in hours.start * 3..hours.end * 3 {
            for (last, mac) in (10..).zip(stations) {
                if is_there(*mac, third / 3) {
                    let address = Ipv4Addr::new(10, 20, 30, last);
                    let millis = third * 20 * MINUTE + u64::from(last) * 100;
                    sensor.frame(millis, &arp(1, (*mac, address), ([0; 6], address)));
                }
            }
        }
    }

    fn sensor() -> Sensor {
        Sensor::with(ROOMY, KEY, &alone(Kind::DeviceOffline))
    }

    fn told(sensor: &Sensor) -> Vec<String> {
        let open = sensor.raised.iter().filter(|alert| alert.phase == Phase::Open);
        open.map(|alert| alert.summary().to_string()).collect()
    }

    const OTHERS: [[u8; 6]; 2] = [[0x3c, 0, 0, 0, 0, 2], [0x3c, 0, 0, 0, 0, 3]];

    #[test]
    fn a_device_that_was_always_there_is_told_once_when_it_is_silent() {
        let stations = [CAMERA, OTHERS[0], OTHERS[1]];
        // A day too little, and enough.
        for (hours, expected) in [(6 * 24, 0), (7 * 24 + 1, 1)] {
            let mut sensor = sensor();
            pass(&mut sensor, 0..hours + 24, &stations, |mac, hour| mac != CAMERA || hour < hours);
            let told = told(&sensor);
            assert_eq!(told.len(), expected, "{told:?}");
            if expected > 0 {
                assert_eq!(
                    told[0],
                    "b8:27:eb:00:00:01 (Raspberry Pi) is silent for 120 minutes or longer, after 7 days around the clock"
                );
                assert_eq!(sensor.raised[0].severity, Severity::Info);
                let silent_since = sensor.raised[0].time.as_secs() - at(hours * HOUR).as_secs();
                assert!((7_000..10_000).contains(&silent_since), "{silent_since}");
            }
        }
    }

    /// A phone leaves, a console sleeps, a camera restarts, a random address goes for ever.
    #[test]
    fn ordinary_life_is_silent() {
        let (phone, console, random) = ([0x3c, 1, 0, 0, 0, 1], [0x3c, 1, 0, 0, 0, 2], [0x3e, 1, 0, 0, 0, 3]);
        let stations = [CAMERA, OTHERS[0], phone, console, random];
        let mut sensor = sensor();
        pass(&mut sensor, 0..30 * 24, &stations, |mac, hour| match mac {
            _ if mac == phone => !(9..17).contains(&(hour % 24)),
            _ if mac == console => (18..22).contains(&(hour % 24)),
            _ if mac == random => hour < 20 * 24,
            CAMERA => hour % 200 != 199,
            _ => true,
        });
        assert_eq!(told(&sensor), [""; 0]);
    }

    #[test]
    fn nobody_is_missed_by_a_sensor_that_sees_nothing_or_did_not_run() {
        let stations = [CAMERA, OTHERS[0], OTHERS[1]];
        let mut sensor = sensor();
        pass(&mut sensor, 0..8 * 24, &stations, |_, _| true);
        (0..200).for_each(|step| sensor.tick((8 * 24 * 60 + step * 5) * MINUTE));
        pass(&mut sensor, 9 * 24..10 * 24, &stations, |_, _| true);
        let devices = sensor.engine.devices().0.to_vec();
        let mut next = Sensor::with(ROOMY, KEY, &alone(Kind::DeviceOffline));
        next.engine.restore_devices(&devices, true);
        pass(&mut next, 15 * 24..16 * 24, &stations, |_, _| true);
        assert_eq!((told(&sensor), told(&next)), (Vec::new(), Vec::new()));
        // What was seen before the restart counts.
        pass(&mut next, 16 * 24..17 * 24, &stations, |mac, _| mac != CAMERA);
        assert_eq!(told(&next).len(), 1);
    }

    #[test]
    fn a_power_cut_is_one_alert() {
        let stations: Vec<[u8; 6]> = (0..6).map(|number| [0x3c, 5, 5, 5, 5, number]).collect();
        let mut sensor = sensor();
        pass(&mut sensor, 0..9 * 24, &stations, |mac, hour| mac[5] == 0 || hour < 8 * 24);
        assert_eq!(
            told(&sensor),
            ["5 devices are silent for 120 minutes or longer, after 7 days around the clock"]
        );
    }

    #[test]
    fn only_the_first_of_several_workers_judges() {
        for (index, expected) in [(0, 1), (1, 0)] {
            let mut sensor = sensor();
            sensor.engine.set_shard(index, 2);
            pass(&mut sensor, 0..9 * 24, &[CAMERA, OTHERS[0]], |mac, hour| mac != CAMERA || hour < 8 * 24);
            assert_eq!(told(&sensor).len(), expected);
        }
    }
}
