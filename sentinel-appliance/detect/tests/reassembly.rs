//! Names in fragments of datagrams and in several segments, and scans in tunnels: detected as if they came in one packet, and once.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

#[path = "../src/testkit.rs"]
mod testkit;

use sentinel_alert::{Evidence, Phase, Test};
use sentinel_detect::{ReassemblyCapacities, ReassemblyStorage};
use testkit::{
    ATTACKER, CLIENT, GATEWAY, GATEWAY_MAC, Leaked, Sensor, VICTIM, datagram, dns, ethernet, ipv4, name_of,
    segment, tcp, udp,
};

fn sensor(kib: usize) -> Sensor {
    let mut sensor = Sensor::new();
    let capacities = ReassemblyCapacities::within(kib * 1024);
    sensor.engine.enable_reassembly(ReassemblyStorage::allocate(&capacities, &mut Leaked));
    sensor
}

/// Shows frames as the program does, through the fast path.
fn show(sensor: &mut Sensor, frames: &[Vec<u8>]) -> Vec<Test> {
    for (millis, frame) in (0_u64..).zip(frames) {
        sensor.fast(millis, frame);
    }
    sensor.opened()
}

/// A fragment of an IPv4 packet: at byte `offset` of its payload, `more` to come.
fn fragment(offset: usize, more: bool, bytes: &[u8]) -> Vec<u8> {
    let mut frame = ipv4(CLIENT, GATEWAY, 17, bytes);
    let field = u16::try_from(offset / 8).unwrap() | if more { 0x2000 } else { 0 };
    frame[20..22].copy_from_slice(&field.to_be_bytes());
    frame
}

/// A segment to a resolver, `place` bytes behind the start of its stream.
fn piece(place: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = segment(40_000, 53, flags, payload);
    bytes[4..8].copy_from_slice(&(1_000 + place).to_be_bytes());
    ipv4(CLIENT, GATEWAY, 6, &bytes)
}

fn message(characters: usize) -> Vec<u8> {
    let message = dns(&name_of(characters), false);
    [&u16::try_from(message.len()).unwrap().to_be_bytes()[..], &message].concat()
}

#[test]
fn a_name_in_fragments_is_read_once_in_any_order() {
    for characters in [50, 51] {
        let query = datagram(40_000, 53, &dns(&name_of(characters), false));
        let fragments = [
            fragment(0, true, &query[..24]),
            fragment(24, true, &query[24..48]),
            fragment(48, false, &query[48..]),
        ];
        for order in [[0, 1, 2], [2, 0, 1], [1, 2, 0]] {
            let mut sensor = sensor(64);
            let opened = show(&mut sensor, &order.map(|index| fragments[index].clone()));
            let expected = if characters > 50 { vec![Test::DnsTunnelNameLength] } else { vec![] };
            assert_eq!(opened, expected, "{characters} {order:?}");
        }
    }
    // A first fragment that holds the complete name does not count before the datagram is complete, nor twice.
    let query = datagram(40_000, 53, &[&dns(&name_of(60), false)[..], &[0; 40]].concat());
    let cut = query.len() / 8 * 8 - 16;
    let mut sensor = sensor(64);
    assert_eq!(show(&mut sensor, &[fragment(0, true, &query[..cut])]), []);
    assert_eq!(show(&mut sensor, &[fragment(cut, false, &query[cut..])]), [Test::DnsTunnelNameLength]);
    let [alert] = &sensor.raised[..] else { panic!("one alert, not {}", sensor.raised.len()) };
    assert!(matches!(alert.evidence, Evidence::Name { count: 1, .. }), "{alert:?}");
}

#[test]
fn a_name_in_several_segments_is_read_once() {
    let long = message(60);
    for cut in [1, 2, 13, 40] {
        let (head, tail) = long.split_at(cut);
        let behind = u32::try_from(cut).unwrap() + 1;
        let ways = [
            vec![piece(0, 2, &[]), piece(1, 0x18, head), piece(behind, 0x18, tail)],
            vec![piece(0, 2, &[]), piece(behind, 0x18, tail), piece(1, 0x18, head)],
            vec![piece(0, 2, &[]), piece(1, 0x18, head), piece(1, 0x18, head), piece(behind, 0x18, tail)],
        ];
        for frames in ways {
            let mut sensor = sensor(64);
            assert_eq!(show(&mut sensor, &frames), [Test::DnsTunnelNameLength], "{cut}");
            sensor.finish();
            let closed = sensor.raised.iter().find(|alert| alert.phase == Phase::Close).unwrap();
            assert!(matches!(closed.evidence, Evidence::Name { count: 1, .. }), "{closed:?}");
        }
    }
    let mut sensor = sensor(64);
    assert_eq!(show(&mut sensor, &[piece(1, 0x18, &long)]), [Test::DnsTunnelNameLength], "in one");
    let mut sensor = self::sensor(64);
    assert_eq!(show(&mut sensor, &[piece(1, 0x18, &message(50))]), []);
}

#[test]
fn without_memory_whole_messages_are_read_all_the_same() {
    let long = message(60);
    for mut sensor in [Sensor::new(), sensor(0)] {
        assert_eq!(
            show(&mut sensor, &[piece(0, 2, &[]), piece(1, 0x18, &long)]),
            [Test::DnsTunnelNameLength]
        );
    }
    let plain = udp((CLIENT, 40_000), (GATEWAY, 53), &dns(&name_of(60), false));
    assert_eq!(show(&mut sensor(0), &[plain]), [Test::DnsTunnelNameLength]);
}

#[test]
fn a_flood_of_fragments_and_streams_does_not_hide_plain_queries() {
    let mut sensor = sensor(8);
    let query = datagram(40_000, 53, &dns(&name_of(60), false));
    let flood = (0..2_000_u16).map(|number| {
        let mut frame = fragment(0, true, &query[..24]);
        frame[18..20].copy_from_slice(&number.to_be_bytes());
        frame
    });
    assert_eq!(show(&mut sensor, &flood.collect::<Vec<_>>()), [Test::FragmentFloodPerSource]);
    assert!(sensor.engine.losses().evictions >= 1_900);
    let plain = udp((CLIENT, 40_000), (GATEWAY, 53), &dns(&name_of(60), false));
    assert_eq!(show(&mut sensor, &[plain]), [Test::FragmentFloodPerSource, Test::DnsTunnelNameLength]);
}

#[test]
fn a_scan_in_a_tunnel_is_a_scan_of_its_source() {
    // IP in IP, and GRE, between gateway and client; the scan is from another host
    for (protocol, head) in [(4, &[][..]), (47, &[0, 0, 8, 0])] {
        let scan: Vec<_> = (0..15)
            .map(|port| {
                let inner = &tcp((ATTACKER, 40_000), (VICTIM, 1_000 + port), 2)[14..];
                ipv4(GATEWAY, CLIENT, protocol, &[head, inner].concat())
            })
            .collect();
        let mut sensor = sensor(64);
        assert_eq!(show(&mut sensor, &scan[..14]), []);
        assert_eq!(show(&mut sensor, &scan[14..]), [Test::PortScanPortsInWindow]);
        assert_eq!(sensor.raised[0].subject.source, Some(std::net::IpAddr::V4(ATTACKER).into()));
    }
    // Tunnels whose content is malformed raise nothing.
    let mut sensor = sensor(64);
    let odd = ipv4(GATEWAY, CLIENT, 4, &[0x65; 30]);
    let deep = ethernet(GATEWAY_MAC, GATEWAY_MAC, 0x0800, &[]);
    assert_eq!(show(&mut sensor, &[odd, deep]), []);
}
