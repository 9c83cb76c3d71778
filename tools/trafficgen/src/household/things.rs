//! Small devices: periodic calls, cameras, clocks.

use super::behaviour::Behaviour;
use super::builder::Builder;
use super::house::{Device, HOUR, MINUTE, SECOND};
use super::scene::Scene;
use super::tcp::{Tcp, Way};
use crate::application::tls;

pub(super) fn devices(builder: &mut Builder) {
    for _ in 0..builder.random.within(2..9) {
        thing(builder);
    }
    if builder.random.chance(20) {
        let device = builder.device();
        let is_refused = builder.random.chance(50);
        builder.add(Behaviour::DeadService, MINUTE, move |scene| dead_service(scene, &device, is_refused));
    }
    if builder.random.chance(35) {
        let camera = builder.device();
        let is_continuous = builder.random.chance(30);
        builder.add(Behaviour::CameraUpload, HOUR, move |scene| to_service(scene, &camera, is_continuous));
    }
    if builder.random.chance(20) {
        let (camera, recorder) = (builder.device(), builder.device());
        builder.add(Behaviour::CameraLocal, HOUR, move |scene| to_recorder(scene, &camera, &recorder));
    }
    if builder.random.chance(20) {
        let camera = builder.device();
        builder.add(Behaviour::CameraPeer, 10 * MINUTE, move |scene| rendezvous(scene, &camera));
    }
}

/// Periods of Sivanathan et al. (IEEE TMC 2019): clocks are asked each minute to some hours, names every five minutes, services each
/// 30 s to an hour. A keep-alive in a connection that stays, or a new connection each time, with a jitter of the device's own.
fn thing(builder: &mut Builder) {
    let device = builder.device();
    let period_s =
        *[15, 30, 60, 60, 120, 300, 300, 600, 1_800, 3_600].get(builder.random.length(0..10)).unwrap_or(&60);
    let jitter_percent = *[0, 0, 1, 5, 10, 30].get(builder.random.length(0..6)).unwrap_or(&0);
    let (server, stays) = (builder.random.within(70_000..79_000), builder.random.chance(50));
    let is_cleartext = builder.random.chance(20);
    let port = if stays {
        8_883
    } else if is_cleartext {
        80
    } else {
        tls::PORT
    };
    let mut connection: Option<(Tcp, u64)> = None;
    builder.add(Behaviour::Thing, period_s * SECOND, move |scene| {
        let name = format!("device-{}.iot{}.example.com", scene.house.seed % 1_000, server);
        let (from, to) = (scene.v4(&device), scene.server(&device, server, false));
        let today = scene.house.day(scene.now);
        if stays {
            match &mut connection {
                Some((connection, day)) if *day == today && !scene.is_cut_off(&from, &to) => {
                    connection.message(scene, Way::Up, &[0x17, 3, 3], 31);
                    connection.message(scene, Way::Down, &[0x17, 3, 3], 31);
                }
                _ => {
                    scene.resolve(&device, &name, server);
                    let mut new = Tcp::new(scene, from, to, port);
                    connection = new.open(scene).then_some((new, today));
                }
            }
        } else {
            scene.resolve(&device, &name, server);
            let hello = tls::client_hello(&name, scene.random);
            let up = scene.random.length(600..1_400);
            Tcp::new(scene, from, to, port).request(scene, &hello, up, 2_200);
        }
        let period = period_s * SECOND;
        let jitter = period * jitter_percent / 100;
        Some(period - jitter / 2 + scene.random.within(0..jitter.max(1)))
    });
    let poll_s = 1 << builder.random.within(6..11);
    builder.add(Behaviour::Ntp, poll_s * SECOND, move |scene| ntp(scene, &device, poll_s));
}

/// Four servers of the pool, each 64 to 1,024 s (RFC 5905 section 7.3).
fn ntp(scene: &mut Scene<'_>, device: &Device, poll_s: u64) -> Option<u64> {
    let from = scene.v4(device);
    for index in 0..4 {
        let to = scene.server(device, 60_000 + index * 7 + u64::from(device.number), false);
        let port = scene.random.ephemeral_port();
        scene.udp_exchange(
            &from,
            &to,
            (port, 123),
            18_000,
            ((&[0x23, 0, 6, 0xec], 48), (&[0x24, 2, 6, 0xec], 48)),
        );
        scene.wait_us(2_000);
    }
    Some(poll_s * SECOND)
}

/// Video of 1.2 Mbit/s (9 MB a minute) to the service: all day, of which five minutes an hour stand for the rest, or 20 s after a
/// movement.
fn to_service(scene: &mut Scene<'_>, camera: &Device, is_continuous: bool) -> Option<u64> {
    let (from, to) = (scene.v4(camera), scene.server(camera, 79_100, false));
    let name = "media.camera.example.com";
    scene.resolve(camera, name, 79_100);
    let mut connection = Tcp::new(scene, from, to, tls::PORT);
    if connection.open(scene) {
        let hello = tls::client_hello(name, scene.random);
        connection.message(scene, Way::Up, &hello, hello.len());
        let (seconds, rate) = if is_continuous { (300, 1_200_000) } else { (20, 1_600_000) };
        connection.transfer(scene, Way::Up, seconds * rate / 8, rate);
    }
    if is_continuous { Some(HOUR) } else { Some(scene.pause(6)) }
}

/// RTP of 4 Mbit/s to a recorder, 400 datagrams a second, with an RTCP report each 5 s (RFC 3550 section 6.2): the report is the only
/// response. Half a minute stands for the day.
fn to_recorder(scene: &mut Scene<'_>, camera: &Device, recorder: &Device) -> Option<u64> {
    let (camera, recorder) = (*camera, *recorder);
    let mut left = 30;
    scene.spawn(Box::new(move |scene| {
        let (from, to, begin) = (scene.v4(&camera), scene.v4(&recorder), scene.now);
        for index in 0..400 {
            scene.now = begin + index * SECOND / 400;
            scene.udp(&from, &to, (6_970, 50_000), &[0x80, 0x60, 0, 1], 1_250);
        }
        if left % 5 == 0 {
            scene.udp(&to, &from, (50_001, 6_971), &[0x80, 0xc9, 0, 7], 32);
        }
        left -= 1;
        scene.now = begin;
        (left > 0).then_some(SECOND)
    }));
    Some(6 * HOUR)
}

/// Rendezvous by UDP, as cheap cameras keep it: three servers on one port, each 10 s, one of which no longer exists.
fn rendezvous(scene: &mut Scene<'_>, camera: &Device) -> Option<u64> {
    let from = scene.v4(camera);
    for index in 0..3 {
        let to = scene.server(camera, 79_200 + index, false);
        if index == 2 {
            scene.udp(&from, &to, (32_108, 32_100), &[0xf1, 0, 0, 0], 44);
        } else {
            scene.udp_exchange(
                &from,
                &to,
                (32_108, 32_100),
                90_000,
                ((&[0xf1, 0, 0, 0], 44), (&[0xf1, 1, 0, 0], 20)),
            );
        }
    }
    Some(10 * SECOND)
}

/// A service that ended: its name still resolves to three addresses, which refuse or do not answer; the device tries one after the
/// other each 30 s.
fn dead_service(scene: &mut Scene<'_>, device: &Device, is_refused: bool) -> Option<u64> {
    let from = scene.v4(device);
    for index in 0..3 {
        scene.resolve(device, "api.discontinued.example.com", 79_300 + index);
        let to = scene.server(device, 79_300 + index, false);
        let mut connection = Tcp::new(scene, from, to, tls::PORT);
        if is_refused && !scene.is_cut_off(&from, &to) {
            connection.refused(scene);
        } else {
            connection.unanswered(scene);
        }
        scene.wait_s(8);
    }
    Some(30 * SECOND)
}
