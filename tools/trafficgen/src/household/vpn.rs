//! Tunnels of the home office, and a laptop whose company's network is out of reach.

use std::net::{IpAddr, Ipv4Addr};

use super::behaviour::Behaviour;
use super::builder::Builder;
use super::house::{Device, HOUR, MINUTE, SECOND};
use super::scene::Scene;
use super::tcp::Tcp;

pub(super) fn devices(builder: &mut Builder) {
    if builder.random.chance(40) {
        let laptop = builder.device();
        let kind = builder.random.within(0..3);
        builder.add(Behaviour::Vpn, 8 * HOUR, move |scene| tunnel(scene, &laptop, kind));
    }
    if builder.random.chance(20) {
        let laptop = builder.device();
        builder.add(Behaviour::VpnFallback, 4 * HOUR, move |scene| fallback(scene, &laptop));
    }
    if builder.random.chance(20) {
        let server = builder.device();
        builder.add(Behaviour::SearchDomains, HOUR, move |scene| search_domains(scene, &server));
    }
}

/// An hour of work: keep-alives (`WireGuard` 25 s, `OpenVPN` 10 s, `IPsec` 20 s by RFC 3948), and bursts both ways, among them uploads of
/// 20 MB at 8 Mbit/s.
fn tunnel(scene: &mut Scene<'_>, laptop: &Device, kind: u64) -> Option<u64> {
    if !(scene.hour() >= 8 && scene.hour() < 18) {
        return Some(scene.pause(1));
    }
    let (ports, keepalive_s) = match kind {
        0 => ((scene.random.ephemeral_port(), 51_820), 25),
        1 => ((scene.random.ephemeral_port(), 1_194), 10),
        _ => ((4_500, 4_500), 20),
    };
    let laptop = *laptop;
    let mut left = HOUR / SECOND / keepalive_s;
    scene.spawn(Box::new(move |scene| {
        let (from, to) = (scene.v4(&laptop), scene.server(&laptop, 98_000, false));
        let first = if kind == 0 { [4, 0, 0, 0] } else { [0x30, 0, 0, 1] };
        let begin = scene.now;
        scene.udp_exchange(&from, &to, ports, 30_000, ((&first, 32), (&first, 32)));
        if !scene.is_cut_off(&from, &to) {
            let (up, down) = match scene.random.within(0..60) {
                0 => (15_000, 6_000),
                1..20 => (40, 90),
                _ => (2, 2),
            };
            for _ in 0..up {
                scene.udp(&from, &to, ports, &first, 1_360);
                scene.wait_us(1_300);
            }
            for _ in 0..down {
                scene.udp(&to, &from, (ports.1, ports.0), &first, 1_360);
                scene.wait_us(1_300);
            }
        }
        left -= 1;
        scene.now = begin;
        (left > 0).then_some(keepalive_s * SECOND)
    }));
    Some(scene.random.within(HOUR..5 * HOUR))
}

/// A company laptop at home, not connected: it tries the gateway's ports in turn, then domain controllers and a file server at
/// addresses of the company, none of which answers.
fn fallback(scene: &mut Scene<'_>, laptop: &Device) -> Option<u64> {
    if !scene.is_awake() {
        return Some(scene.pause(1));
    }
    let from = scene.v4(laptop);
    let gateway = scene.server(laptop, 98_100, false);
    for port in [500, 4_500, 1_194, 51_820] {
        let source = scene.random.ephemeral_port();
        for _ in 0..3 {
            scene.udp(&from, &gateway, (source, port), &[1, 2, 3, 4], 420);
            scene.wait_s(1);
        }
    }
    for port in [443, 10_443, 8_443, 4_433, 80, 1_723] {
        Tcp::new(scene, from, gateway, port).unanswered(scene);
        scene.wait_us(500_000);
    }
    for host in 0..4 {
        let to = scene.beyond(laptop, IpAddr::V4(Ipv4Addr::new(10, 200, 1, 10 + host)));
        for port in [389, 88, 445, 135, 3_268] {
            Tcp::new(scene, from, to, port).unanswered(scene);
            scene.wait_us(300_000);
        }
        scene.lookup(laptop, "_ldap._tcp.dc._msdcs.corp.example.com", 33, &[]);
        scene.lookup(laptop, &format!("dc{host}.corp.example.com"), 1, &[]);
    }
    Some(scene.random.within(10 * MINUTE..2 * HOUR))
}

/// Containers with five search domains (Kubernetes: `ndots:5`): four names that do not exist before each that does.
fn search_domains(scene: &mut Scene<'_>, server: &Device) -> Option<u64> {
    for service in 0..6 {
        let name = format!("api{service}.partner.example.org");
        for domain in ["default.svc.cluster.local", "svc.cluster.local", "cluster.local", "lan.example.com"] {
            scene.lookup(server, &format!("{name}.{domain}"), 1, &[]);
            scene.lookup(server, &format!("{name}.{domain}"), 28, &[]);
        }
        scene.resolve(server, &name, 98_200 + service);
    }
    Some(scene.pause(30))
}
