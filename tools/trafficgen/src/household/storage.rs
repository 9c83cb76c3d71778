//! Storage: backups to a network drive and to the cloud, photos, a drive that is gone, FTP.

use std::net::{IpAddr, Ipv4Addr};

use super::behaviour::Behaviour;
use super::builder::Builder;
use super::frame::Node;
use super::house::{Device, HOUR, MINUTE};
use super::scene::Scene;
use super::tcp::{Tcp, Way};
use crate::application::tls;

pub(super) fn devices(builder: &mut Builder) {
    let phone = builder.device_with(0, true);
    builder.add(Behaviour::CloudBackup, 12 * HOUR, move |scene| photos(scene, &phone));
    if builder.random.chance(40) {
        let (computer, drive) = (builder.device(), builder.device());
        builder.add(Behaviour::NasBackup, 12 * HOUR, move |scene| to_drive(scene, &computer, &drive));
        if builder.random.chance(50) {
            builder.add(Behaviour::CloudBackup, 12 * HOUR, move |scene| to_cloud(scene, &drive));
        }
    }
    if builder.random.chance(25) {
        let computer = builder.device();
        builder.add(Behaviour::StaleDrive, 2 * HOUR, move |scene| stale_drive(scene, &computer));
    }
    if builder.random.chance(20) {
        let (computer, server) = (builder.device(), builder.device());
        let is_inside = builder.random.chance(50);
        builder.add(Behaviour::PassiveFtp, 8 * HOUR, move |scene| {
            let to = if is_inside { scene.v4(&server) } else { scene.server(&computer, 97_000, false) };
            passive_ftp(scene, &computer, to)
        });
    }
}

/// Photos and videos of the day: 3 to 6 MB a picture, tens of MB a video, at 5 to 20 Mbit/s.
fn photos(scene: &mut Scene<'_>, phone: &Device) -> Option<u64> {
    let (from, to) = (scene.v4(phone), scene.server(phone, 97_100, false));
    scene.resolve(phone, "upload.photos.example.com", 97_100);
    let mut connection = Tcp::new(scene, from, to, tls::PORT);
    if connection.open(scene) {
        let hello = tls::client_hello("upload.photos.example.com", scene.random);
        connection.message(scene, Way::Up, &hello, hello.len());
        let (bytes, rate) = (scene.random.within(4..90) * 1_000_000, scene.random.within(5..20) * 1_000_000);
        connection.transfer(scene, Way::Up, bytes, rate);
    }
    Some(scene.random.within(3 * HOUR..14 * HOUR))
}

/// Nightly backup of the network drive to a cloud service: hundreds of MB in files of 10 to 50 MB, one connection each.
fn to_cloud(scene: &mut Scene<'_>, drive: &Device) -> Option<u64> {
    let files = scene.random.within(3..10);
    for _ in 0..files {
        let (from, to) = (scene.v4(drive), scene.server(drive, 97_200, false));
        let mut connection = Tcp::new(scene, from, to, tls::PORT);
        if connection.open(scene) {
            let hello = tls::client_hello("bucket.storage.example.com", scene.random);
            connection.message(scene, Way::Up, &hello, hello.len());
            let bytes = scene.random.within(10..50) * 1_000_000;
            connection.transfer(scene, Way::Up, bytes, 20_000_000);
            scene.wait_us(bytes * 8 / 20);
        }
    }
    Some(24 * HOUR)
}

/// Backup to the network drive over SMB: one long connection at the rate of the network, and short ones for its administration.
fn to_drive(scene: &mut Scene<'_>, computer: &Device, drive: &Device) -> Option<u64> {
    let (from, to) = (scene.v4(computer), scene.v4(drive));
    for port in [445, 445, 139, 5_000, 5_001, 111, 2_049] {
        Tcp::new(scene, from, to, port).request(scene, &[0, 0, 0, 0x80, 0xfe, b'S', b'M', b'B'], 200, 900);
        scene.wait_us(30_000);
    }
    let mut connection = Tcp::new(scene, from, to, 445);
    if connection.open(scene) {
        let bytes = scene.random.within(40..160) * 1_000_000;
        connection.transfer(scene, Way::Up, bytes, 300_000_000);
    }
    Some(scene.random.within(10 * HOUR..24 * HOUR))
}

/// A mapped drive of a machine that is off for good: Windows tries SMB over TCP and `NetBIOS` in vain, each minute or two.
fn stale_drive(scene: &mut Scene<'_>, computer: &Device) -> Option<u64> {
    if !scene.is_awake() {
        return Some(30 * MINUTE);
    }
    let from = scene.v4(computer);
    let to = scene.beyond(computer, IpAddr::V4(Ipv4Addr::new(192, 168, 240, 9)));
    for port in [445, 139, 80] {
        Tcp::new(scene, from, to, port).unanswered(scene);
        scene.wait_s(21);
    }
    Some(scene.random.within(MINUTE..4 * MINUTE))
}

/// Passive mode (RFC 959, RFC 1123 section 4.1.2.6): each file and each listing on a data connection to another port of the server.
fn passive_ftp(scene: &mut Scene<'_>, computer: &Device, to: Node) -> Option<u64> {
    if !scene.is_awake() {
        return Some(scene.pause(1));
    }
    let from = scene.v4(computer);
    let mut control = Tcp::new(scene, from, to, 21);
    if !control.open(scene) {
        return Some(HOUR);
    }
    control.message(scene, Way::Down, b"220 FTP server ready\r\n", 22);
    control.message(scene, Way::Up, b"USER backup\r\n", 13);
    let files = scene.random.within(10..60);
    for _ in 0..files {
        let port = scene.random.within(49_152..65_000);
        let entering = format!("227 Entering Passive Mode (10,0,0,9,{},{})\r\n", port / 256, port % 256);
        control.message(scene, Way::Up, b"PASV\r\n", 6);
        control.message(scene, Way::Down, entering.as_bytes(), entering.len());
        let mut data = Tcp::new(scene, from, to, u16::try_from(port).unwrap_or(50_000));
        data.open(scene);
        control.message(scene, Way::Up, b"RETR file\r\n", 11);
        data.bulk(scene, Way::Down, 30_000, 40_000_000);
        data.close(scene);
        scene.wait_us(60_000);
    }
    control.close(scene);
    Some(scene.random.within(6 * HOUR..24 * HOUR))
}
