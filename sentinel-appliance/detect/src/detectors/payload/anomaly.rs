//! `protocol_anomaly`: what the rules of a protocol, or the purpose of a port, rule out.
//!
//! Read first: RFC 1122 section 3.2.1.3 (no datagram is sent to its own source), RFC 9293 section 3.1, RFC 768 and RFC 791 section 3.2
//! (lengths); "Land" of CERT advisory CA-1997-28; RFC 1035 section 4.1.1 (header of DNS), RFC 8484 and RFC 4253 section 4.2.
//!
//! | test | fires on | severity |
//! |---|---|---|
//! | `land` | a connection request on Ethernet whose source address is its destination: forged, and aimed at stacks that answer themselves | medium |
//! | `malformed` | a TCP, UDP or ICMP header that has no room in its packet, or the fragment of a datagram longer than 65,535 bytes | low |
//! | `other_protocol` | a server that answers as SSH at the ports 53, 80 or 443; datagrams from the home network to port 53 outside that are no DNS | low |
//!
//! The source of `land` is the victim: the finding names the MAC address of the sender only. The kernel delivers what a host sends to
//! itself over the loopback, whose frames have no MAC addresses; they and addresses of the loopback are left out here. Other flags that no stack sends are `crafted_packets` of
//! `port_scan`; lengths of the IP header are left out, because a capture that was cut by another program looks like wrong ones.
//! Few contradictions of port and protocol say anything: TLS is ordinary at every port, and programs use 443 for protocols of their own.
//! Traffic that hides from a filter is SSH at the ports of the web and of DNS, and tunnels at port 53.
//!
//! A server of `other_protocol` is reported once in 18 to 23 hours, as those of `tls_risk` are. Not seen: `land` of other protocols;
//! malformed packets that the kernel snap has cut within their headers; at port 53 all but the first datagram of a flow, and
//! frames of up to 120 bytes, which nearly all queries are.

use sentinel_alert::{Evidence, Kind, Severity, ShortName, Subject, Test};
use sentinel_dissect::{Layer, Malformed, Packet};
use sentinel_units::{Port, ip_protocol};

use crate::incident::{Finding, Findings, scope};
use crate::registry::{Detector, DetectorConfig};
use crate::shared::event::Counted;
use crate::shared::rate::Activation;

/// Single packets that break rules. Those of first payloads are found by [`FirstPayloads`](super::watch::FirstPayloads).
#[derive(Debug)]
pub(crate) struct ProtocolAnomaly(Activation);

impl ProtocolAnomaly {
    pub(crate) const DETECTOR: Detector = Detector {
        kind: Kind::ProtocolAnomaly,
        about: "a packet or first payload that the rules of its protocol, or the purpose of its port, rule out: a request with its \
                destination as source, headers that have no room, SSH at a port of the web or of DNS, a tunnel at port 53",
        source: "RFC 1122, RFC 9293, RFC 768, RFC 791, CERT advisory CA-1997-28",
        severity: Severity::Medium,
        thresholds: &[],
        ports: None,
    };

    pub(crate) fn new(config: &DetectorConfig) -> Self {
        Self(config.into())
    }

    pub(crate) fn configure(&mut self, config: &DetectorConfig) {
        self.0 = config.into();
    }

    /// Takes a connection request whose source is its destination.
    #[cold]
    #[inline(never)]
    pub(crate) fn land(&self, packet: &Counted<'_>, findings: &mut Findings<'_, '_>) {
        let is_loopback = match packet.source.words() {
            [_, _, _, last] if packet.source.is_v4() => last >> 24 == 127,
            words => words == [0, 0, 0, 1],
        };
        if self.0.enabled && !is_loopback && packet.sender.is_some_and(|sender| *sender != [0; 6]) {
            self.report(Test::Land, self.0.severity, packet, "", findings);
        }
    }

    /// Takes a packet that could not be read, and why.
    #[cold]
    pub(crate) fn malformed(
        &self,
        packet: &Packet<'_>,
        fault: (Layer, Malformed),
        findings: &mut Findings<'_, '_>,
    ) {
        let Some(ip) = packet.ip() else { return };
        let what = match (fault, ip.protocol) {
            ((Layer::Network, Malformed::BadFragment), _) => "over 65535 bytes",
            // A header that goes on in the next fragment: a probe that hides, which `port_scan` tells.
            _ if ip.fragment.is_some() => return,
            ((Layer::Transport, Malformed::BadLength), ip_protocol::TCP) => "TCP header length",
            ((Layer::Transport, Malformed::BadLength), ip_protocol::UDP) => "UDP length",
            ((Layer::Transport, Malformed::BadLength), ip_protocol::ICMP | ip_protocol::ICMPV6) => {
                "ICMP length"
            }
            _ => return,
        };
        if let Some(counted) = &Counted::without_ports(packet)
            && self.0.enabled
        {
            self.report(Test::Malformed, self.0.ordinary(Self::DETECTOR.severity), counted, what, findings);
        }
    }

    fn report(
        &self,
        test: Test,
        severity: Severity,
        packet: &Counted<'_>,
        what: &str,
        findings: &mut Findings<'_, '_>,
    ) {
        let is_land = test == Test::Land;
        findings.add(&Finding {
            test,
            severity,
            first: findings.now,
            subject: Subject {
                source: Some(packet.source).filter(|_| !is_land),
                destination: Some(packet.destination),
                destination_port: packet.destination_port,
                mac: packet.sender_mac(),
                ..Subject::default()
            },
            evidence: Evidence::Observed { count: 1, what: ShortName::try_from(what).unwrap_or_default() },
            adds: 1,
            // Neither zero nor the scope of the incident that many sources share.
            scope: if is_land { scope(packet.destination, Port(0)) >> 1 | 1 } else { 0 },
        });
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::net::Ipv4Addr;
    use std::vec::Vec;

    use crate::testkit::{
        ACK, CLIENT, OUTSIDE, SYN, Sensor, VICTIM, config_of, configs, ipv4, ipv6, only, segment, tcp, udp,
    };

    fn raised(frames: &[Vec<u8>]) -> Vec<sentinel_alert::Alert> {
        let mut sensor = Sensor::new();
        for (number, frame) in (0..).zip(frames) {
            sensor.fast(number, frame);
        }
        sensor.raised
    }

    #[test]
    fn a_request_to_its_own_source_names_the_victim_and_the_sender() {
        for port in [22, 80, 40_000] {
            let alerts =
                raised(&[tcp((VICTIM, port), (VICTIM, port), SYN), tcp((VICTIM, 1), (VICTIM, port), SYN)]);
            let alert = only(&alerts);
            assert_eq!(
                (alert.test, alert.severity, alert.subject.source),
                (Test::Land, Severity::Medium, None)
            );
            assert_eq!(alert.subject.destination, Some(std::net::IpAddr::V4(VICTIM).into()));
            assert!(alert.subject.mac.is_some() && alert.subject.destination_port == Some(Port(port)));
        }
        let host = "fd00::10".parse().unwrap();
        let frame = ipv6(host, host, 6, &segment(80, 80, SYN, &[]));
        assert_eq!(only(&raised(&[frame])).test, Test::Land);
    }

    #[test]
    fn ordinary_requests_and_the_loopback_are_none() {
        assert_eq!(raised(&[tcp((CLIENT, 80), (VICTIM, 80), SYN), tcp((VICTIM, 80), (VICTIM, 80), ACK)]), []);
        let mut loopback = tcp((VICTIM, 80), (VICTIM, 80), SYN);
        loopback[..12].fill(0);
        assert_eq!(raised(&[loopback]), []);
        let own = Ipv4Addr::LOCALHOST;
        assert_eq!(raised(&[tcp((own, 80), (own, 80), SYN)]), [], "of a capture that was made up");
        let mut configs = configs();
        config_of(&mut configs, Kind::ProtocolAnomaly).enabled = false;
        let mut sensor = Sensor::with(crate::testkit::ROOMY, crate::testkit::KEY, &configs);
        sensor.fast(0, &tcp((VICTIM, 80), (VICTIM, 80), SYN));
        assert_eq!(sensor.raised, []);
    }

    /// Gives the first bytes of a frame, as a short snap length does.
    fn cut(sensor: &mut Sensor, frame: &[u8], len: usize) {
        let (link, wire_len) = (sentinel_units::LinkType::ETHERNET, u32::try_from(frame.len()).unwrap());
        let (at, bytes) = (crate::testkit::at(0), &frame[..len]);
        let Sensor { engine, raised } = sensor;
        let frame = crate::RawFrame { at, link, bytes, wire_len, interface: 0, vlan: None };
        engine.frame(frame, &mut |alert| raised.push(alert));
    }

    #[test]
    fn headers_without_room_are_told_and_cut_captures_are_not() {
        let mut short_offset = segment(40_000, 80, ACK, &[]);
        short_offset[12] = 0x30;
        let mut long_offset = short_offset.clone();
        long_offset[12] = 0xf0;
        let length = [0x9c, 0x40, 0, 99, 0, 7, 0, 0];
        let mut huge = ipv4(CLIENT, OUTSIDE, 17, &[0; 24]);
        huge[20..22].copy_from_slice(&0x1fff_u16.to_be_bytes());
        for (frame, what) in [
            (ipv4(CLIENT, OUTSIDE, 6, &short_offset), "TCP header length"),
            (ipv4(CLIENT, OUTSIDE, 6, &long_offset), "TCP header length"),
            (ipv4(CLIENT, OUTSIDE, 17, &length), "UDP length"),
            (huge, "over 65535 bytes"),
        ] {
            let alerts = raised(&[frame.clone(), frame.clone()]);
            let alert = only(&alerts);
            assert_eq!((alert.test, alert.severity), (Test::Malformed, Severity::Low), "{what}");
            assert_eq!(alert.evidence, Evidence::Observed { count: 1, what: what.try_into().unwrap() });
            let mut sensor = Sensor::new();
            (15..frame.len()).for_each(|len| cut(&mut sensor, &frame, len));
            assert_eq!(sensor.raised.iter().filter(|alert| alert.test != Test::Malformed).count(), 0);
        }
        // A sound frame of which less and less was captured.
        let whole = tcp((CLIENT, 40_000), (OUTSIDE, 80), ACK);
        let mut sensor = Sensor::new();
        (0..whole.len()).for_each(|len| cut(&mut sensor, &whole, len));
        assert_eq!(sensor.raised, []);
    }

    fn said(port: u16, banner: &[u8]) -> Vec<Vec<u8>> {
        let (client, server) = ((CLIENT, 40_000), (OUTSIDE, port));
        let answer = |flags, payload: &[u8]| {
            let mut bytes = segment(port, 40_000, flags, payload);
            // The number behind that of the SYN-ACK.
            bytes[7] += u8::from(flags == 0x18);
            ipv4(OUTSIDE, CLIENT, 6, &bytes)
        };
        std::vec![tcp(client, server, SYN), answer(0x12, &[]), tcp(client, server, ACK), answer(0x18, banner),]
    }

    #[test]
    fn ssh_is_told_at_ports_of_the_web_and_of_dns_only() {
        for (port, banner, is_told) in [
            (443, &b"SSH-2.0-OpenSSH_9.2p1\r\n"[..], true),
            (80, b"SSH-2.0-dropbear\r\n", true),
            (53, b"SSH-2.0-x\r\n", true),
            (22, b"SSH-2.0-OpenSSH_9.2p1\r\n", false),
            (2_222, b"SSH-2.0-OpenSSH_9.2p1\r\n", false),
            (443, b"220 mail\r\n", false),
            (443, b"HTTP/1.1 400 Bad Request\r\n\r\n", false),
        ] {
            let alerts = raised(&said(port, banner));
            let tests: Vec<_> = alerts.iter().map(|alert| (alert.test, alert.severity)).collect();
            let expected: &[_] = if is_told { &[(Test::OtherProtocol, Severity::Low)] } else { &[] };
            assert_eq!(tests, expected, "{port} {banner:?}");
        }
    }

    #[test]
    fn datagrams_at_the_port_of_dns_must_be_dns() {
        let query = |count: u16| {
            let mut message = std::vec![0x12, 0x34, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            message[4..6].copy_from_slice(&count.to_be_bytes());
            message.extend(b"\x03www\x07example\x03com\0\0\x01\0\x01");
            message
        };
        let initiation = [&[1, 0, 0, 0, 9, 8, 7, 6][..], &[0x55; 140]].concat();
        let cases: [(Ipv4Addr, Ipv4Addr, Vec<u8>, bool); 6] = [
            (CLIENT, OUTSIDE, initiation.clone(), true),
            (CLIENT, OUTSIDE, query(1), false),
            // Cookies and keep-alives have no question.
            (CLIENT, OUTSIDE, query(0), false),
            (CLIENT, OUTSIDE, std::vec![0; 3], false),
            // A probe from outside, and a service inside, say nothing of the home network.
            (OUTSIDE, VICTIM, initiation.clone(), false),
            (CLIENT, VICTIM, initiation, false),
        ];
        for (from, to, payload, is_told) in cases {
            let alerts =
                raised(&[udp((from, 40_000), (to, 53), &payload), udp((from, 40_001), (to, 53), &payload)]);
            let told: Vec<_> = alerts.iter().filter(|alert| alert.test == Test::OtherProtocol).collect();
            assert_eq!(told.len(), usize::from(is_told), "{from} {to} {payload:?}");
        }
    }
}
