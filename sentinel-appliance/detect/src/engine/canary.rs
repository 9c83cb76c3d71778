//! Canary packet: a frame with a known answer that takes the way of every captured frame, and leaves no trace.
//!
//! The packet is an acknowledgement inside a TCP flow. Of such a packet no detector keeps anything, whatever the settings say: it is
//! no request, no datagram, its port is read by none, and its two addresses are the same one, so that it crosses no border of the
//! home network. What it changes is one set of the flow table, the counters of frames and that of requests. All are put back.
//!
//! The set of its flow is empty meanwhile. So flows of the traffic, forged ones with the same addresses and ports too, neither
//! change the answer nor lose their entry.

use sentinel_alert::Alert;
use sentinel_dissect::{FiveTuple, TcpFlags};
use sentinel_track::flow::{FlowId, FlowSet, Inspection};
use sentinel_units::{LinkType, Port};

use super::{Counts, Engine, RawFrame};

/// Address of both ends, of the class that is reserved (RFC 1112 section 4).
const ADDRESS: u32 = 0xf000_0001;
const SOURCE_PORT: u16 = 0xc000;
const DESTINATION_PORT: u16 = 443;

/// Canary packet: `02:00:00:00:00:01 -> 02:00:00:00:00:02, 240.0.0.1:49152 -> 240.0.0.1:443 [ACK]`
pub const FRAME: [u8; 54] = [
    2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, // Ethernet: locally administered addresses, IPv4
    0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0, 0xf0, 0, 0, 1, 0xf0, 0, 0, 1, // IPv4: 40 bytes, TCP
    0xc0, 0, 1, 0xbb, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0, // TCP: ACK
];

impl Engine<'_> {
    /// Analyses `frame`, which is to be the canary packet [`FRAME`], twice, at the time of the last frame. Returns true if the answer is right: two frames were
    /// analysed and nothing else counted, and the flow table knows their flow, with both directions of no further interest. The
    /// first takes the slow path and the second, if the answer is right, the fast path.
    ///
    /// Alerts that are due anyway, such as the end of an incident after a change of the settings, are raised.
    pub fn canary(&mut self, frame: &[u8], raise: &mut dyn FnMut(Alert)) -> bool {
        let [source, destination] = [SOURCE_PORT, DESTINATION_PORT].map(Port);
        let [request, response] = [(source, destination), (destination, source)].map(|(from, to)| {
            let tcp_flags = Some(TcpFlags::ACK);
            let tuple = FiveTuple {
                source: ADDRESS,
                destination: ADDRESS,
                source_port: from,
                destination_port: to,
                tcp_flags,
            };
            FlowId::v4(&self.key, &tuple)
        });
        let Some(set) = self.flows.replace_set(request, FlowSet::default()) else { return false };
        let (counts, gate) = (self.counts, self.detectors.victims().gate);
        let [_, _, _, _, _, _, sender @ .., _, _] = *FRAME.first_chunk::<14>().unwrap_or(&[0; 14]);
        let (interface, link) = (self.interface, self.detectors.link_mark(sender));
        for _ in 0..2 {
            let wire_len = u32::try_from(frame.len()).unwrap_or(u32::MAX);
            let (at, link, bytes) = (self.now, LinkType::ETHERNET, frame);
            self.frame(RawFrame { at, link, bytes, wire_len, interface: 0, vlan: None }, raise);
        }
        let (period, now) = (self.detectors.bypass_period(), self.now);
        let is_known =
            [request, response].iter().all(|flow| self.flows.touch(*flow, period, now) == Inspection::Bypass);
        let is_right = is_known && self.counts == Counts { analysed: counts.analysed + 2, ..counts };
        self.counts = counts;
        self.detectors.victims().gate = gate;
        self.interface = interface;
        self.detectors.restore_link(link);
        self.flows.replace_set(request, set);
        is_right
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::format;
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use sentinel_alert::{Kind, Phase};

    use crate::detectors::lists::suspicious_port::PortProtocol;
    use crate::incident::IncidentLimits;
    use crate::shared::home_net::HomeNet;
    use crate::testkit::{
        ATTACKER, KEY, LIMITS, ROOMY, SYN, SYN_ACK, Sensor, TINY, VICTIM, config_of, configs, listed, tcp,
    };

    fn answers(sensor: &mut Sensor) -> bool {
        let Sensor { engine, raised } = sensor;
        engine.canary(&FRAME, &mut |alert| raised.push(alert))
    }

    /// Everything that the engine holds, tables included.
    fn state(sensor: &Sensor) -> std::string::String {
        format!("{:?}", sensor.engine)
    }

    #[test]
    fn the_answer_is_right_and_no_table_or_counter_changes() {
        for shards in [1, 2] {
            let mut sensor = Sensor::with(TINY, KEY, &configs());
            if shards > 1 {
                sensor.engine.set_shard(0, shards);
            }
            assert!(answers(&mut sensor), "before the first frame");
            for number in 0..300_u16 {
                sensor.fast(number.into(), &tcp((ATTACKER, 40_000 + number), (VICTIM, number), SYN));
                sensor.fast(number.into(), &tcp((VICTIM, number), (ATTACKER, 40_000 + number), SYN_ACK));
                let (before, raised) = (state(&sensor), sensor.raised.len());
                assert!(answers(&mut sensor), "after {number} requests");
                assert_eq!(state(&sensor), before);
                assert_eq!((sensor.raised.len(), sensor.engine.take_report().is_some()), (raised, false));
            }
            assert!(!sensor.raised.is_empty(), "the scan is seen");
        }
    }

    /// A sender who knows addresses and ports of the canary packet can neither make its answer wrong nor hide behind it.
    #[test]
    fn forged_frames_of_the_same_flow_change_nothing() {
        let same = Ipv4Addr::from_bits(ADDRESS);
        let mut sensor = Sensor::new();
        for flags in [SYN, SYN_ACK, 0x10, 0x29, 0] {
            for (from, to) in [(SOURCE_PORT, DESTINATION_PORT), (DESTINATION_PORT, SOURCE_PORT)] {
                sensor.fast(1, &tcp((same, from), (same, to), flags));
                let before = state(&sensor);
                assert!(answers(&mut sensor), "flags {flags:#x}");
                assert_eq!(state(&sensor), before);
            }
        }
        assert_eq!(sensor.engine.counts().analysed, 10);
    }

    #[test]
    fn no_setting_changes_the_answer() {
        let mut everything = HomeNet::default();
        everything.add("0.0.0.0/0".parse().unwrap()).unwrap();
        let mut canary_only = HomeNet::default();
        canary_only.add("240.0.0.1/32".parse().unwrap()).unwrap();
        let mut off = configs();
        off.iter_mut().for_each(|config| config.enabled = false);
        let mut watched = configs();
        let ports = &mut config_of(&mut watched, Kind::BruteForce).ports;
        ports.clear();
        ports.push(DESTINATION_PORT).unwrap();
        for home_net in [HomeNet::default(), everything, canary_only] {
            for configs in [configs(), off.clone(), watched.clone()] {
                let mut sensor = Sensor::with(TINY, KEY, &configs);
                sensor.engine.configure(home_net.clone(), LIMITS, &configs);
                let own_ports = [SOURCE_PORT, DESTINATION_PORT].map(|port| listed(PortProtocol::Tcp, port));
                sensor.engine.set_listed_ports(&own_ports);
                let before = state(&sensor);
                assert!(answers(&mut sensor));
                assert_eq!(state(&sensor), before);
            }
        }
    }

    #[test]
    fn an_engine_that_keeps_no_flow_gives_a_wrong_answer() {
        let mut sensor = Sensor::with(crate::Capacities { flows: 0, ..ROOMY }, KEY, &configs());
        assert!(!answers(&mut sensor));
        assert_eq!(sensor.engine.counts(), Counts::default());
    }

    #[test]
    fn an_alert_that_is_due_is_raised() {
        let mut sensor = Sensor::new();
        for number in 0..20 {
            sensor.fast(number, &tcp((ATTACKER, 40_000), (VICTIM, 1 + u16::try_from(number).unwrap()), SYN));
        }
        sensor.tick(30_000);
        let limits = IncidentLimits { idle_timeout: Duration::from_secs(1), ..LIMITS };
        sensor.engine.configure(crate::testkit::home_net(), limits, &configs());
        assert!(answers(&mut sensor));
        let phases: std::vec::Vec<_> = sensor.raised.iter().map(|alert| alert.phase).collect();
        assert_eq!(phases.first(), Some(&Phase::Open));
    }
}
