//! Ordinary life that looks like a scan or a sweep: no claim of an attack.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::{Expected, MILLISECOND, Parameters, Scenario};
use crate::application::tls;
use crate::packet::{Arp, Family, Icmp, Path, Tcp};
use crate::{Connection, Host, Packets, Timeline, ping, refused_datagram, udp_exchange};

/// Alerts of low severity say that something searches its neighbours.
const LOW_SWEEP: &[Expected] = &[("host_sweep", "host_sweep")];
const SECOND: Duration = Duration::from_secs(1);
const FTP: u16 = 21;
const TFTP: u16 = 69;
const BITTORRENT: u16 = 6_881;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::silent("ordinary-traceroute", "UDP traceroute over 20 hops in 3 s", traceroute),
    Scenario::silent("ordinary-passive-ftp", "60 files by passive FTP in 12 s", passive_ftp),
    Scenario::silent("ordinary-tftp", "network boot: 40 files asked for by TFTP, a third not there", tftp),
    Scenario::silent("ordinary-peers", "BitTorrent: 600 peers by TCP and UDP, most are gone", peers),
    Scenario::silent("ordinary-call", "a call tries 18 candidates, none answers", call),
    Scenario::silent("ordinary-monitoring", "30 hosts are pinged each minute, six are down", monitoring),
    Scenario::silent("ordinary-uplink-down", "ten hosts browse while the uplink is down", uplink_down),
    Scenario::silent("ordinary-server-down", "one server is down and tried for an hour", server_down),
    Scenario::silent("ordinary-pool", "100 connections of a pool to two servers", pool),
    Scenario::silent("ordinary-router-arp", "a router looks for 40 neighbours, a third is there", router_arp)
        .allowing(LOW_SWEEP),
];

fn traceroute(parameters: &Parameters) -> Packets {
    let mut timeline = Timeline::default();
    let path = Path::between(&parameters.topology.client, &parameters.topology.outside, Family::V4);
    for (index, port) in (0..60).zip(33_434..) {
        timeline.seek(MILLISECOND * 50 * index);
        if index < 57 {
            timeline.push(path.udp(41_000, port, &[0; 32]));
        } else {
            refused_datagram(&mut timeline, &path, (41_000, port), MILLISECOND, &[0; 32]);
        }
    }
    timeline.play()
}

fn passive_ftp(parameters: &Parameters) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    let path = Path::between(&parameters.topology.client, &parameters.topology.victim, Family::V4);
    Connection::new(path.clone(), FTP, MILLISECOND, &mut random).open(&mut timeline);
    for index in 0..60_u16 {
        timeline.seek(SECOND + MILLISECOND * 200 * u32::from(index));
        let mut data = Connection::new(path.clone(), 30_000 + index * 7, MILLISECOND, &mut random);
        data.open(&mut timeline);
        data.receive(&mut timeline, &random.bytes(300));
        data.close(&mut timeline);
    }
    timeline.play()
}

fn tftp(parameters: &Parameters) -> Packets {
    let mut timeline = Timeline::default();
    let up = Path::between(&parameters.topology.client, &parameters.topology.gateway, Family::V4);
    for index in 0..40_u16 {
        timeline.seek(MILLISECOND * 100 * u32::from(index));
        let (client, server) = (2_070 + index, 40_000 + index * 11);
        timeline.push(up.udp(client, TFTP, b"\0\x01pxelinux.cfg/default\0octet\0"));
        timeline.wait(MILLISECOND);
        if index % 3 == 0 {
            timeline.push(up.reversed().udp(server, client, b"\0\x05\0\x01File not found\0"));
        } else {
            udp_exchange(
                &mut timeline,
                &up.reversed(),
                (server, client),
                MILLISECOND,
                (&[0; 100], b"\0\x04\0\x01"),
            );
        }
    }
    timeline.play()
}

fn peers(parameters: &Parameters) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    for index in 0..600 {
        timeline.seek(MILLISECOND * 300 * index);
        let path =
            Path::between(&parameters.topology.client, &parameters.topology.external(index), Family::V4);
        let port = 10_000 + random.half() % 20_000;
        match index % 6 {
            0 => udp_exchange(
                &mut timeline,
                &path,
                (BITTORRENT, port),
                MILLISECOND * 40,
                (b"d1:ad2:id20:", b"d1:rd2:id20:"),
            ),
            1 => Connection::new(path, port, MILLISECOND * 40, &mut random).open(&mut timeline),
            2 => Connection::new(path, port, MILLISECOND * 40, &mut random).refuse(&mut timeline),
            3 | 4 => timeline.push(path.udp(BITTORRENT, port, b"d1:ad2:id20:")),
            _ => timeline.push(path.tcp(&Tcp::syn(random.ephemeral_port(), port, random.word()), &[])),
        }
    }
    timeline.play()
}

/// STUN binding requests (RFC 8489) to three addresses of the other side, six ports each.
fn call(parameters: &Parameters) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    let hosts = [
        Host::internal(Ipv4Addr::new(192, 168, 178, 21)),
        Host::internal(Ipv4Addr::new(172, 17, 0, 1)),
        parameters.topology.external(7),
    ];
    for round in 0..4 {
        for (index, port) in (0..18_u32).zip(50_000_u16..) {
            timeline.seek(SECOND * 3 * round + MILLISECOND * 50 * index);
            let host = hosts
                .get(usize::try_from(index).unwrap_or_default() / 6)
                .unwrap_or(&parameters.topology.outside);
            let request = [&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &random.bytes(12)].concat();
            timeline.push(
                Path::between(&parameters.topology.client, host, Family::V4).udp(41_000, port, &request),
            );
        }
    }
    timeline.play()
}

fn monitoring(parameters: &Parameters) -> Packets {
    let mut timeline = Timeline::default();
    for round in 0..10_u16 {
        for index in 0..30 {
            timeline.seek(SECOND * 60 * u32::from(round) + MILLISECOND * 100 * index);
            let path =
                Path::between(&parameters.topology.client, &parameters.topology.internal(index), Family::V4);
            if index % 5 == 0 {
                timeline.push(path.icmp(&Icmp::EchoRequest {
                    identifier: 7,
                    sequence: round,
                    payload: &[0; 56],
                }));
            } else {
                ping(&mut timeline, &path, MILLISECOND, (7, round), &[0; 56]);
            }
        }
    }
    timeline.play()
}

fn uplink_down(parameters: &Parameters) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    for index in 0..300 {
        timeline.seek(MILLISECOND * 200 * index);
        let client = parameters.topology.internal(index % 10);
        let path = Path::between(&client, &parameters.topology.external(index), Family::V4);
        let port = if index % 3 == 0 { 22 } else { tls::PORT };
        timeline.push(path.tcp(&Tcp::syn(random.ephemeral_port(), port, random.word()), &[]));
    }
    timeline.play()
}

fn server_down(parameters: &Parameters) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    for index in 0..360 {
        timeline.seek(SECOND * 10 * index);
        let path = Path::between(&parameters.topology.client, &parameters.topology.victim, Family::V4);
        if index % 2 == 0 {
            Connection::new(path, 8_080, MILLISECOND, &mut random).refuse(&mut timeline);
        } else {
            timeline.push(path.tcp(&Tcp::syn(random.ephemeral_port(), 8_080, random.word()), &[]));
        }
    }
    timeline.play()
}

fn pool(parameters: &Parameters) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    for index in 0..100 {
        timeline.seek(MILLISECOND * 30 * index);
        let server = parameters.topology.internal(index % 2);
        let path = Path::between(&parameters.topology.client, &server, Family::V4);
        Connection::new(path, 8_443, MILLISECOND, &mut random).open(&mut timeline);
    }
    timeline.play()
}

fn router_arp(parameters: &Parameters) -> Packets {
    let mut timeline = Timeline::default();
    let router = parameters.topology.gateway;
    for index in 0..40 {
        timeline.seek(SECOND * index);
        let host = parameters.topology.internal(index);
        timeline.push(Arp::request(&router, host.v4).frame());
        if index % 3 == 0 {
            timeline.wait(MILLISECOND);
            timeline.push(Arp::reply(host.mac, host.v4, &router).frame());
        }
    }
    timeline.play()
}
