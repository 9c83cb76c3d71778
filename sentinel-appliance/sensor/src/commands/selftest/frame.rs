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

/// ICMP echo request (8) or reply (0).
pub(super) fn echo(kind: u8, source: Ipv4Addr, destination: Ipv4Addr, data: &[u8]) -> Vec<u8> {
    let mut frame = ipv4(source, destination, ICMP, 8 + data.len());
    frame.extend_from_slice(&[kind, 0, 0, 0, 0, 1, 0, 1]);
    frame.extend_from_slice(data);
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

/// The frame, sent by `mac`.
pub(super) fn sent_by(mac: [u8; 6], mut frame: Vec<u8>) -> Vec<u8> {
    if let Some(sender) = frame.get_mut(6..12) {
        sender.copy_from_slice(&mac);
    }
    frame
}

/// Message of a DHCP client (operation 1) or server (2) about the lease of `address` to `client`, with options.
pub(super) fn dhcp(operation: u8, client: [u8; 6], address: Ipv4Addr, options: &[u8]) -> Vec<u8> {
    let mut message = vec![operation, 1, 6];
    message.resize(16, 0);
    message.extend_from_slice(&address.octets());
    message.resize(28, 0);
    message.extend_from_slice(&client);
    message.resize(236, 0);
    message.extend_from_slice(&[0x63, 0x82, 0x53, 0x63]);
    message.extend_from_slice(options);
    message.push(255);
    message
}

/// Message of neighbour discovery to all nodes, sent by the station whose addresses end in `own`.
pub(super) fn icmpv6(own: u8, kind: u8, second_word: [u8; 4], contents: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x33, 0x33, 0, 0, 0, 1, 2, 0, 0, 0, 1, own, 0x86, 0xdd, 0x60, 0, 0, 0];
    frame.extend_from_slice(&length(8 + contents.len()));
    frame.extend_from_slice(&[58, 255]);
    frame.extend_from_slice(&link_local(own));
    frame.extend_from_slice(&[0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    frame.extend_from_slice(&[kind, 0, 0, 0]);
    frame.extend_from_slice(&second_word);
    frame.extend_from_slice(contents);
    frame
}

/// Link-local address that ends in `own`.
pub(super) const fn link_local(own: u8) -> [u8; 16] {
    [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, own]
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

/// Answer to [`dns_query`] with a response code and an address, if it is not unspecified.
pub(super) fn dns_answer(name: &str, code: u8, addresses: &[Ipv4Addr]) -> Vec<u8> {
    let mut message = dns_query(name);
    message.splice(2..4, [0x81, 0x80 | code]);
    message.splice(6..8, length(addresses.len()));
    for address in addresses {
        // A pointer to the question, type A, class Internet, a minute.
        message.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        message.extend_from_slice(&address.octets());
    }
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
