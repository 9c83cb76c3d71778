//! Second parser of every frame, which shares no code with the builders: fixed offsets, and checksums by addition.
//!
//! Panics with the error it finds: it is test code, and every frame it is given must be correct.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Content of one frame.
#[derive(Debug, PartialEq)]
pub(crate) enum Fact<'f> {
    Arp,
    Tcp {
        source: IpAddr,
        destination: IpAddr,
        ports: (u16, u16),
        flags: u8,
        payload: &'f [u8],
    },
    Udp {
        source: IpAddr,
        destination: IpAddr,
        ports: (u16, u16),
        payload: &'f [u8],
    },
    Echo {
        source: IpAddr,
        destination: IpAddr,
        request: bool,
        /// Identifier, sequence number and data.
        message: &'f [u8],
    },
    /// Fragment of a packet, which can be read when the last fragment is there.
    Fragment(Fragment<'f>),
    Control,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Fragment<'f> {
    pub(crate) endpoints: (IpAddr, IpAddr),
    pub(crate) identification: u32,
    pub(crate) protocol: u8,
    pub(crate) offset: usize,
    pub(crate) more: bool,
    pub(crate) bytes: &'f [u8],
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

/// Padding is allowed only up to the minimum frame length, and must be zero.
fn padding(frame: &[u8], after: &[u8]) {
    assert!(after.is_empty() || frame.len() == 60, "{} bytes after the packet", after.len());
    assert!(after.iter().all(|byte| *byte == 0));
}

fn arp<'f>(frame: &[u8], packet: &[u8]) -> Fact<'f> {
    assert_eq!(packet[..6], [0, 1, 8, 0, 6, 4]);
    assert!((1..=2).contains(&number16(packet, 6)));
    padding(frame, &packet[28..]);
    Fact::Arp
}

fn ipv4<'f>(frame: &[u8], packet: &'f [u8]) -> Fact<'f> {
    assert_eq!(packet[0], 0x45);
    assert_eq!(sum(&packet[..20], 0), 0xffff, "header checksum");
    let length = usize::from(number16(packet, 2));
    padding(frame, &packet[length..]);
    assert!(packet[8] > 0, "time to live");
    let address = |at: usize| Ipv4Addr::new(packet[at], packet[at + 1], packet[at + 2], packet[at + 3]);
    let endpoints = (IpAddr::V4(address(12)), IpAddr::V4(address(16)));
    let (protocol, body, cut) = (packet[9], &packet[20..length], number16(packet, 6));
    if cut == 0x4000 {
        return transport(protocol, body, endpoints.0, endpoints.1);
    }
    assert_eq!(cut & 0xc000, 0, "a fragment with the flag 'do not fragment'");
    let identification = u32::from(number16(packet, 4));
    let (offset, more) = (usize::from(cut & 0x1fff) * 8, cut & 0x2000 != 0);
    Fact::Fragment(Fragment { endpoints, identification, protocol, offset, more, bytes: body })
}

fn ipv6<'f>(frame: &[u8], packet: &'f [u8]) -> Fact<'f> {
    assert_eq!(packet[0] >> 4, 6);
    let length = usize::from(number16(packet, 4)) + 40;
    padding(frame, &packet[length..]);
    let address = |at: usize| Ipv6Addr::from(<[u8; 16]>::try_from(&packet[at..at + 16]).unwrap());
    let endpoints = (IpAddr::V6(address(8)), IpAddr::V6(address(24)));
    let (mut protocol, mut body) = (packet[6], &packet[40..length]);
    for place in 0..5 {
        match protocol {
            0 => assert_eq!(place, 0, "hop-by-hop options come first"),
            43 => assert_eq!(body[3], 0, "a route that is done"),
            60 => {}
            44 => {
                let cut = number16(body, 2);
                let (offset, more) = (usize::from(cut & 0xfff8), cut & 1 != 0);
                let identification = u32::from(number16(body, 4)) << 16 | u32::from(number16(body, 6));
                if offset == 0 && !more {
                    (protocol, body) = (body[0], &body[8..]);
                    continue;
                }
                let protocol = body[0];
                return Fact::Fragment(Fragment {
                    endpoints,
                    identification,
                    protocol,
                    offset,
                    more,
                    bytes: &body[8..],
                });
            }
            _ => break,
        }
        let header = usize::from(body[1]) * 8 + 8;
        if protocol != 43 {
            padding_options(&body[2..header]);
        }
        (protocol, body) = (body[0], &body[header..]);
    }
    transport(protocol, body, endpoints.0, endpoints.1)
}

/// Padding options: kind 0 is one byte, kind 1 has a length.
fn padding_options(mut list: &[u8]) {
    while let [kind, rest @ ..] = list {
        assert!(*kind <= 1);
        list = if *kind == 0 { rest } else { &rest[1 + usize::from(rest[0])..] };
    }
}

/// Sum of the 16-bit words with end-around carry (RFC 1071); an odd last byte is the upper half of a word.
fn sum(bytes: &[u8], start: u32) -> u32 {
    let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let mut total = words.fold(start, |total, word| total + word);
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    total
}

/// Content of a complete packet.
pub(crate) fn transport(protocol: u8, body: &[u8], source: IpAddr, destination: IpAddr) -> Fact<'_> {
    match protocol {
        4 => return ipv4(&[], body),
        41 => return ipv6(&[], body),
        47 => return tunnel(body),
        _ => {}
    }
    let ports = || (number16(body, 0), number16(body, 2));
    let addresses = |address| match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    let pseudo = match protocol {
        1 => 0,
        _ => sum(
            &[addresses(source), addresses(destination)].concat(),
            u32::from(protocol) + u32::try_from(body.len()).unwrap(),
        ),
    };
    let covered = sum(body, pseudo);
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
        1 if body[0] == 8 || body[0] == 0 => {
            Fact::Echo { source, destination, request: body[0] == 8, message: &body[4..] }
        }
        58 if body[0] == 128 || body[0] == 129 => {
            Fact::Echo { source, destination, request: body[0] == 128, message: &body[4..] }
        }
        1 | 58 => Fact::Control,
        other => panic!("protocol {other}"),
    }
}

/// GRE, with a key or without.
fn tunnel(body: &[u8]) -> Fact<'_> {
    assert!(matches!(body[..2], [0, 0] | [0x20, 0]), "flags of a tunnel");
    let inner = &body[if body[0] == 0 { 4 } else { 8 }..];
    match number16(body, 2) {
        0x0800 => ipv4(&[], inner),
        0x86dd => ipv6(&[], inner),
        other => panic!("type {other:#x} in a tunnel"),
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

/// Name in the question of a DNS query; `None` for a response.
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
