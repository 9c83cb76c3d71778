//! Frames of a household: whole small packets, and headers of large ones.
//!
//! Read first: RFC 791 section 3.1, RFC 8200 section 3, RFC 1071 (checksum). The payload of bulk traffic is not generated: of a
//! packet longer than what is given only that start is captured, with the length on the wire beside it, as a capture with a
//! snap length has it. Checksums are correct where the whole packet is there.

use std::net::IpAddr;

use sentinel_units::Mac;

use super::behaviour::Behaviour;
use crate::packet::{ethertype, protocol};

/// Frame of a household.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HouseholdFrame {
    /// Microseconds since the start of the household; no two frames have the same.
    pub at_us: u64,
    /// Bytes on the wire, at least those captured.
    pub wire_len: u32,
    /// Behaviour that caused it.
    pub behaviour: Behaviour,
    /// Captured bytes, from the destination address on.
    pub bytes: Vec<u8>,
}

/// End of a conversation as the observed link has it: MAC address (the gateway's of a host beyond it), address, VLAN (0: none).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Node {
    pub(super) mac: Mac,
    pub(super) ip: IpAddr,
    pub(super) vlan: u16,
}

/// IP packet to send: the captured start of its payload, and the length of all of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Payload<'p> {
    pub(super) protocol: u8,
    pub(super) hop_limit: u8,
    pub(super) head: &'p [u8],
    pub(super) length: usize,
}

const IPV4_LEN: usize = 20;
const IPV6_LEN: usize = 40;

/// Frame that carries `payload`, and its length on the wire.
pub(super) fn ip_frame(from: &Node, to: &Node, payload: Payload<'_>) -> (Vec<u8>, u32) {
    let mut bytes = Vec::with_capacity(18 + IPV6_LEN + payload.head.len());
    let header_len = match (from.ip, to.ip) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            link_header(&mut bytes, to.mac, from.mac, from.vlan, ethertype::IPV4);
            // A merged segment of more than 64 KiB does not exist; the field cannot say more.
            let total = u16::try_from(IPV4_LEN + payload.length).unwrap_or(u16::MAX).to_be_bytes();
            let mut header = [0; IPV4_LEN];
            header[..2].copy_from_slice(&[0x45, 0]);
            header[2..4].copy_from_slice(&total);
            header[6] = 0x40;
            header[8] = payload.hop_limit;
            header[9] = payload.protocol;
            header[12..16].copy_from_slice(&source.octets());
            header[16..].copy_from_slice(&destination.octets());
            let checksum = folded(sum(&header));
            header[10..12].copy_from_slice(&checksum.to_be_bytes());
            bytes.extend_from_slice(&header);
            IPV4_LEN
        }
        (source, destination) => {
            let (source, destination) = (v6_octets(source), v6_octets(destination));
            link_header(&mut bytes, to.mac, from.mac, from.vlan, ethertype::IPV6);
            bytes.extend([0x60, 0, 0, 0]);
            bytes.extend(u16::try_from(payload.length).unwrap_or(u16::MAX).to_be_bytes());
            bytes.extend([payload.protocol, payload.hop_limit]);
            bytes.extend(source);
            bytes.extend(destination);
            IPV6_LEN
        }
    };
    let at = bytes.len();
    bytes.extend_from_slice(payload.head);
    let wire_len = at + payload.length.max(payload.head.len());
    if payload.head.len() >= payload.length {
        write_checksum(&mut bytes, at, payload.protocol, header_len);
    }
    (bytes, u32::try_from(wire_len).unwrap_or(u32::MAX))
}

/// Ethernet header with a tag if `vlan` is not 0.
pub(super) fn link_header(bytes: &mut Vec<u8>, to: Mac, from: Mac, vlan: u16, kind: u16) {
    bytes.extend(to.0);
    bytes.extend(from.0);
    if vlan != 0 {
        bytes.extend(ethertype::VLAN.to_be_bytes());
        bytes.extend(vlan.to_be_bytes());
    }
    bytes.extend(kind.to_be_bytes());
}

/// Writes the checksum of the payload at `at`, whose IP header of `header_len` bytes stands before it.
fn write_checksum(bytes: &mut [u8], at: usize, number: u8, header_len: usize) {
    let field = match number {
        protocol::TCP => 16,
        protocol::UDP => 6,
        protocol::ICMP | protocol::ICMPV6 => 2,
        _ => return,
    };
    let (front, payload) = bytes.split_at_mut(at);
    let addresses = if header_len == IPV4_LEN { 8 } else { 32 };
    let pseudo = match number {
        protocol::ICMP => 0,
        _ => {
            let length = u32::try_from(payload.len()).unwrap_or(0);
            sum(front.get(front.len() - addresses..).unwrap_or_default()) + u32::from(number) + length
        }
    };
    let checksum = folded(pseudo + sum(payload));
    if let Some(field) = payload.get_mut(field..field + 2) {
        field.copy_from_slice(&checksum.to_be_bytes());
    }
}

fn v6_octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// Sum of the 16-bit words, not folded; payloads here are below 64 KiB, so it fits.
fn sum(bytes: &[u8]) -> u32 {
    let mut total = 0;
    for pair in bytes.chunks(2) {
        let word = match *pair {
            [high, low] => u16::from_be_bytes([high, low]),
            [last] => u16::from_be_bytes([last, 0]),
            _ => 0,
        };
        total += u32::from(word);
    }
    total
}

fn folded(mut total: u32) -> u16 {
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    !u16::try_from(total).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Host;
    use crate::packet::{Family, Path};

    #[test]
    fn whole_frames_are_those_of_the_other_builders() {
        let hosts = [[10, 0, 0, 1], [10, 0, 0, 2]].map(|octets| Host::internal(octets.into()));
        for family in [Family::V4, Family::V6] {
            let node = |host: &Host| Node {
                mac: host.mac,
                ip: if family == Family::V4 { host.v4.into() } else { host.v6.into() },
                vlan: 0,
            };
            let expected = Path::between(&hosts[0], &hosts[1], family).udp(1_000, 53, &[7; 33]);
            let head = [&[3, 232, 0, 53, 0, 41, 0, 0][..], &[7; 33]].concat();
            let payload = Payload { protocol: protocol::UDP, hop_limit: 64, head: &head, length: head.len() };
            let (bytes, wire_len) = ip_frame(&node(&hosts[0]), &node(&hosts[1]), payload);
            assert_eq!((bytes.len(), wire_len), (expected.len(), u32::try_from(expected.len()).unwrap()));
            assert_eq!(bytes, expected);
        }
    }
}
