//! Peer-to-peer: BitTorrent, and updates that Windows fetches from other machines.

use super::behaviour::Behaviour;
use super::builder::Builder;
use super::house::{Device, HOUR, MINUTE, SECOND};
use super::scene::Scene;
use super::tcp::{Tcp, Way};

pub(super) fn devices(builder: &mut Builder) {
    if builder.random.chance(25) {
        let client = builder.device();
        builder.add(Behaviour::Torrent, 6 * HOUR, move |scene| session(scene, &client));
    }
    if builder.random.chance(30) {
        let computer = builder.device();
        builder.add(Behaviour::LanDistribution, 6 * HOUR, move |scene| distribution(scene, &computer));
    }
}

/// Minutes of a session.
const SESSION_MIN: u64 = 20;

/// A session: the DHT is walked (BEP 5; a third of the nodes are gone, as crawls find), trackers are asked (BEP 15), and peers tried by
/// uTP (BEP 29) and TCP, at most eight at once; most do not answer.
fn session(scene: &mut Scene<'_>, client: &Device) -> Option<u64> {
    let client = *client;
    let own_port = scene.random.ephemeral_port();
    let mut minutes_left = SESSION_MIN;
    scene.spawn(Box::new(move |scene| {
        let is_starting = minutes_left == SESSION_MIN;
        let queries = if is_starting { 240 } else { 50 };
        let begin = scene.now;
        for _ in 0..queries {
            dht_query(scene, &client, own_port);
        }
        let peers = if is_starting { 60 } else { 12 };
        for _ in 0..peers {
            let offset = scene.random.within(0..50 * SECOND);
            scene.now = begin + offset;
            peer(scene, &client, own_port);
        }
        scene.now = begin;
        minutes_left -= 1;
        (minutes_left > 0).then_some(MINUTE)
    }));
    Some(scene.random.within(4 * HOUR..20 * HOUR))
}

fn dht_query(scene: &mut Scene<'_>, client: &Device, own_port: u16) {
    let (from, to) = (scene.v4(client), scene.stranger(client));
    let port = if scene.random.chance(40) { 6_881 } else { scene.random.ephemeral_port() };
    let query =
        b"d1:ad2:id20:aaaaaaaaaaaaaaaaaaaa6:target20:bbbbbbbbbbbbbbbbbbbbe1:q9:find_node1:t2:aa1:y1:qe";
    scene.udp(&from, &to, (own_port, port), query, query.len());
    if scene.random.chance(65) && !scene.is_cut_off(&from, &to) {
        scene.wait_us(60_000);
        scene.udp(&to, &from, (port, own_port), b"d1:rd2:id20:", 280);
    }
    let gap_us = scene.random.within(40_000..250_000);
    scene.wait_us(gap_us);
}

/// One peer: three of five are gone, one of ten refuses, the others exchange pieces; some are served at 1 MB/s.
fn peer(scene: &mut Scene<'_>, client: &Device, own_port: u16) {
    let (from, to) = (scene.v4(client), scene.stranger(client));
    let port = if scene.random.chance(25) { 6_881 } else { scene.random.ephemeral_port() };
    match scene.random.within(0..10) {
        0..3 => {
            // uTP first, then TCP.
            for _ in 0..2 {
                scene.udp(&from, &to, (own_port, port), &[0x41, 0, 1, 2], 20);
                scene.wait_s(1);
            }
        }
        3..6 => Tcp::new(scene, from, to, port).unanswered(scene),
        6 => Tcp::new(scene, from, to, port).refused(scene),
        7 => {
            if scene.is_cut_off(&from, &to) {
                return;
            }
            for _ in 0..60 {
                scene.udp_exchange(
                    &from,
                    &to,
                    (own_port, port),
                    8_000,
                    ((&[0x01, 0], 20), (&[0x01, 0], 1_400)),
                );
            }
        }
        _ => {
            let mut connection = Tcp::new(scene, from, to, port);
            if connection.open(scene) {
                connection.message(scene, Way::Up, b"\x13BitTorrent protocol", 68);
                let (way, bytes) = if scene.random.chance(40) {
                    (Way::Up, scene.random.within(200_000..3_000_000))
                } else {
                    (Way::Down, 300_000)
                };
                connection.transfer(scene, way, bytes, 6_000_000);
            }
        }
    }
}

/// Delivery Optimization asks its service for peers, and tries port 7680 of up to forty machines, of which few are on.
fn distribution(scene: &mut Scene<'_>, computer: &Device) -> Option<u64> {
    for _ in 0..scene.random.within(10..40) {
        let (from, to) = (scene.v4(computer), scene.stranger(computer));
        let mut connection = Tcp::new(scene, from, to, 7_680);
        if scene.random.chance(15) {
            connection.request(scene, &[0x0e; 60], 75, 60_000);
        } else {
            connection.unanswered(scene);
        }
        let gap_us = scene.random.within(100_000..900_000);
        scene.wait_us(gap_us);
    }
    Some(scene.random.within(5 * HOUR..15 * HOUR))
}
