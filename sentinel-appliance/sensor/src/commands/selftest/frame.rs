//! Ethernet frames of the self-test, built header by header. Checksums are zero: no dissector verifies them.

use std::net::Ipv4Addr;

/// Hardware address of every sender that is not given one.
const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const BROADCAST: [u8; 6] = [0xff; 6];

pub(super) const SYN: u8 = 0x02;
pub(super) const SYN_ACK: u8 = 0x12;
pub(super) const ACK: u8 = 0x10;
pub(super) const RST_ACK: u8 = 0x14;

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// Address and port.
pub(super) type Endpoint = (Ipv4Addr, u16);

/// TCP segment.
pub(super) fn tcp(source: Endpoint, destination: Endpoint, flags: u8, payload: &[u8]) -> Vec<u8> {
    let (mut frame, ports) =
        (ipv4(source.0, destination.0, TCP, 20 + payload.len()), (source.1, destination.1));
    ports_of(ports, &mut frame);
    // Numbers of sequence and acknowledgement, header length of five words, flags, window, checksum, urgent pointer.
    frame.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 1, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    frame.extend_from_slice(payload);
    frame
}

/// UDP datagram.
pub(super) fn udp(source: Endpoint, destination: Endpoint, payload: &[u8]) -> Vec<u8> {
    let mut frame = ipv4(source.0, destination.0, UDP, 8 + payload.len());
    ports_of((source.1, destination.1), &mut frame);
    frame.extend_from_slice(&length(8 + payload.len()));
    frame.extend_from_slice(&[0, 0]);
    frame.extend_from_slice(payload);
    frame
}

/// First fragment of a UDP datagram, which more follow.
pub(super) fn first_fragment(source: Ipv4Addr, destination: Ipv4Addr) -> Vec<u8> {
    let mut frame = udp((source, 46_000), (destination, 9_999), &[0; 16]);
    if let Some(flags) = frame.get_mut(20) {
        *flags = 0x20;
    }
    frame
}

/// ICMP echo request.
pub(super) fn echo_request(source: Ipv4Addr, destination: Ipv4Addr) -> Vec<u8> {
    let mut frame = ipv4(source, destination, ICMP, 8);
    frame.extend_from_slice(&[8, 0, 0, 0, 0, 1, 0, 1]);
    frame
}

/// ARP reply to every station: `address` is at `mac`.
pub(super) fn arp_reply(address: Ipv4Addr, mac: [u8; 6]) -> Vec<u8> {
    let mut frame = [BROADCAST, mac].concat();
    frame.extend_from_slice(&[8, 6, 0, 1, 8, 0, 6, 4, 0, 2]);
    for _sender_and_target in 0..2 {
        frame.extend_from_slice(&mac);
        frame.extend_from_slice(&address.octets());
    }
    frame
}

/// DNS query for the type A of `name`.
pub(super) fn dns_query(name: &str) -> Vec<u8> {
    let mut message = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        message.push(length(label.len())[1]);
        message.extend_from_slice(label.as_bytes());
    }
    message.extend_from_slice(&[0, 0, 1, 0, 1]);
    message
}

/// Headers of Ethernet and IPv4 before `payload` bytes.
fn ipv4(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, payload: usize) -> Vec<u8> {
    let mut frame = [MAC, MAC].concat();
    frame.extend_from_slice(&[8, 0, 0x45, 0]);
    frame.extend_from_slice(&length(20 + payload));
    frame.extend_from_slice(&[0, 0, 0x40, 0, 64, protocol, 0, 0]);
    frame.extend_from_slice(&source.octets());
    frame.extend_from_slice(&destination.octets());
    frame
}

fn ports_of((source, destination): (u16, u16), frame: &mut Vec<u8>) {
    frame.extend_from_slice(&source.to_be_bytes());
    frame.extend_from_slice(&destination.to_be_bytes());
}

/// A length as headers have it. Frames of the self-test are far below 64 KiB.
fn length(bytes: usize) -> [u8; 2] {
    u16::try_from(bytes).unwrap_or(u16::MAX).to_be_bytes()
}
