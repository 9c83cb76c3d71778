//! A second reading of every frame, which shares nothing with the builders: plain offsets, and checksums by adding up.
//!
//! Panics with what is wrong: it is a test, and every frame it is given must be right.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What one frame turned out to be.
#[derive(Debug, PartialEq)]
pub(crate) enum Fact<'f> {
    Arp { sender: ([u8; 6], Ipv4Addr) },
    Tcp { source: IpAddr, destination: IpAddr, ports: (u16, u16), flags: u8, payload: &'f [u8] },
    Udp { source: IpAddr, destination: IpAddr, ports: (u16, u16), payload: &'f [u8] },
    Echo { source: IpAddr, request: bool },
    Control,
}

pub(crate) fn frame(bytes: &[u8]) -> Fact<'_> {
    assert!((14..=1_522).contains(&bytes.len()), "a frame of {} bytes", bytes.len());
    let mut kind = number16(bytes, 12);
    let mut rest = &bytes[14..];
    for _ in 0..2 {
        if kind == 0x8100 || kind == 0x88a8 {
            assert_eq!(number16(rest, 0) & 0xf000, 0, "no priority in the tag");
            kind = number16(rest, 2);
            rest = &rest[4..];
        }
    }
    if kind == 0x8864 {
        assert_eq!(rest[..2], [0x11, 0], "version, type and code of a session");
        let length = usize::from(number16(rest, 4));
        kind = match number16(rest, 6) {
            0x21 => 0x0800,
            0x57 => 0x86dd,
            other => panic!("PPP protocol {other:#x}"),
        };
        assert_eq!(length + 6, rest.len(), "length of a session frame");
        rest = &rest[8..];
    }
    match kind {
        0x0806 => arp(bytes, rest),
        0x0800 => ipv4(bytes, rest),
        0x86dd => ipv6(bytes, rest),
        other => panic!("type {other:#x}"),
    }
}

fn number16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// Padding is allowed only where the cable needs it, and only zeros.
fn padding(frame: &[u8], after: &[u8]) {
    assert!(after.is_empty() || frame.len() == 60, "{} bytes after the packet", after.len());
    assert!(after.iter().all(|byte| *byte == 0));
}

fn arp<'f>(frame: &[u8], packet: &[u8]) -> Fact<'f> {
    assert_eq!(packet[..6], [0, 1, 8, 0, 6, 4]);
    assert!((1..=2).contains(&number16(packet, 6)));
    padding(frame, &packet[28..]);
    let sender = Ipv4Addr::new(packet[14], packet[15], packet[16], packet[17]);
    Fact::Arp { sender: (packet[8..14].try_into().unwrap(), sender) }
}

fn ipv4<'f>(frame: &[u8], packet: &'f [u8]) -> Fact<'f> {
    assert_eq!(packet[0], 0x45);
    assert_eq!(sum(&packet[..20], 0), 0xffff, "header checksum");
    let length = usize::from(number16(packet, 2));
    padding(frame, &packet[length..]);
    assert_eq!(number16(packet, 6), 0x4000, "whole, and not to be cut");
    assert!(packet[8] > 0, "time to live");
    let address = |at: usize| Ipv4Addr::new(packet[at], packet[at + 1], packet[at + 2], packet[at + 3]);
    let (source, destination) = (IpAddr::V4(address(12)), IpAddr::V4(address(16)));
    let body = &packet[20..length];
    let pseudo = sum(&packet[12..20], pseudo_end(packet[9], body));
    transport(packet[9], body, pseudo, source, destination)
}

fn ipv6<'f>(frame: &[u8], packet: &'f [u8]) -> Fact<'f> {
    assert_eq!(packet[0] >> 4, 6);
    let length = usize::from(number16(packet, 4)) + 40;
    padding(frame, &packet[length..]);
    let address = |at: usize| Ipv6Addr::from(<[u8; 16]>::try_from(&packet[at..at + 16]).unwrap());
    let (source, destination) = (IpAddr::V6(address(8)), IpAddr::V6(address(24)));
    let body = &packet[40..length];
    let pseudo = sum(&packet[8..40], pseudo_end(packet[6], body));
    transport(packet[6], body, pseudo, source, destination)
}

fn pseudo_end(protocol: u8, body: &[u8]) -> u32 {
    u32::from(protocol) + u32::try_from(body.len()).unwrap()
}

/// The sum of 16-bit words with end-around carry (RFC 1071); the last odd byte counts as the upper half.
fn sum(bytes: &[u8], start: u32) -> u32 {
    let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let mut total = words.fold(start, |total, word| total + word);
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    total
}

fn transport(protocol: u8, body: &[u8], pseudo: u32, source: IpAddr, destination: IpAddr) -> Fact<'_> {
    let ports = || (number16(body, 0), number16(body, 2));
    let covered = if protocol == 1 { sum(body, 0) } else { sum(body, pseudo) };
    assert_eq!(covered, 0xffff, "checksum of protocol {protocol} from {source} to {destination}");
    match protocol {
        6 => {
            let header = usize::from(body[12] >> 4) * 4;
            assert!((20..=body.len()).contains(&header), "data offset");
            assert_eq!(body[12] & 0x0f, 0, "reserved bits");
            options(&body[20..header]);
            Fact::Tcp { source, destination, ports: ports(), flags: body[13], payload: &body[header..] }
        }
        17 => {
            assert_eq!(usize::from(number16(body, 4)), body.len(), "length of a datagram");
            assert_ne!(number16(body, 6), 0, "a datagram with its checksum");
            Fact::Udp { source, destination, ports: ports(), payload: &body[8..] }
        }
        1 if body[0] == 8 || body[0] == 0 => Fact::Echo { source, request: body[0] == 8 },
        58 if body[0] == 128 || body[0] == 129 => Fact::Echo { source, request: body[0] == 128 },
        1 | 58 => Fact::Control,
        other => panic!("protocol {other}"),
    }
}

fn options(mut list: &[u8]) {
    while let [kind, rest @ ..] = list {
        list = match kind {
            0 | 1 => rest,
            _ => {
                let expected = [(2, 4), (3, 3), (4, 2), (8, 10)].iter().find(|(number, _)| number == kind);
                assert_eq!(expected.map(|(_, length)| *length), Some(rest[0]), "length of option {kind}");
                &list[usize::from(rest[0])..]
            }
        };
    }
}

/// The name asked for in a DNS message that is not an answer.
pub(crate) fn question(message: &[u8]) -> Option<String> {
    if message[2] & 0x80 != 0 {
        return None;
    }
    assert_eq!(message[4..12], [0, 1, 0, 0, 0, 0, 0, 0], "one question and nothing else");
    let mut labels = Vec::new();
    let mut at = 12;
    while message[at] != 0 {
        let length = usize::from(message[at]);
        assert!(length < 64, "a label, not a pointer");
        labels.push(String::from_utf8(message[at + 1..=at + length].to_vec()).unwrap());
        at += length + 1;
    }
    assert_eq!(message.len(), at + 5, "nothing follows the question");
    Some(labels.join("."))
}
