//! Contact that an ICMP error quotes, or that an answer reverses.
//!
//! Read first: RFC 792 (the header and 64 bits of the datagram), RFC 4443 section 2.4 (c). No more is read of it than addresses,
//! protocol and destination port: routers quote as little as eight bytes behind the IP header.

use sentinel_dissect::{PacketSummary, protocol};
use sentinel_track::hash::HashKey;
use sentinel_units::Address;

use super::contact_table::{Class, ContactTable, Pending, class_number};

/// Contact by its addresses, protocol and port.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Quoted {
    pub(super) source: Address,
    pub(super) destination: Address,
    pub(super) protocol: u8,
    /// Destination port; not used for protocols without ports.
    pub(super) port: u16,
}

/// Hash under which a contact waits.
pub(super) fn hash(key: &HashKey, (source, destination): (Address, Address), port: u16, class: Class) -> u32 {
    let pair = key.with(key.address(source), key.address(destination).rotate_left(5));
    key.with(pair, u32::from(port) << 8 | u32::from(class_number(class))) | 1
}

impl Quoted {
    /// Contact that a segment or datagram answers.
    pub(super) fn answered_by(packet: &PacketSummary<'_>) -> Self {
        let tuple = &packet.tuple;
        let protocol = if tuple.tcp_flags.is_some() { protocol::TCP } else { protocol::UDP };
        let (source, destination, port) = (tuple.destination, tuple.source, tuple.source_port.0);
        Self { source, destination, protocol, port }
    }

    /// Ends the wait for this contact; `outcome` is added to its shape.
    pub(super) fn take(&self, key: &HashKey, table: &mut ContactTable<'_>, outcome: u16) -> Option<Pending> {
        let (class, port) = match self.protocol {
            protocol::TCP | protocol::UDP => (Class::Request, self.port),
            protocol::ICMP | protocol::ICMPV6 => (Class::Echo, 0),
            protocol::SCTP => (Class::Sctp, self.port),
            other => (Class::Protocol, other.into()),
        };
        table.take(hash(key, (self.source, self.destination), port, class), outcome)
    }
}

/// Reads the start of a datagram as an ICMP error quotes it.
pub(super) fn parse(bytes: &[u8]) -> Option<Quoted> {
    let (source, destination, protocol, behind) = match bytes.first()? >> 4 {
        4 => {
            let [first, _, _, _, _, _, _, _, _, protocol, _, _, s0, s1, s2, s3, d0, d1, d2, d3] =
                *bytes.first_chunk::<20>()?;
            let header_len = usize::from(first & 15) * 4;
            let source = Address::v4(u32::from_be_bytes([s0, s1, s2, s3]));
            let destination = Address::v4(u32::from_be_bytes([d0, d1, d2, d3]));
            (source, destination, protocol, bytes.get(header_len.max(20)..)?)
        }
        6 => {
            let protocol = *bytes.get(6)?;
            (address(bytes.get(8..)?)?, address(bytes.get(24..)?)?, protocol, bytes.get(40..)?)
        }
        _ => return None,
    };
    let port = match behind {
        [_, _, d0, d1, ..] => u16::from_be_bytes([*d0, *d1]),
        _ => 0,
    };
    Some(Quoted { source, destination, protocol, port })
}

fn address(bytes: &[u8]) -> Option<Address> {
    let mut words = [0; 4];
    for (word, chunk) in words.iter_mut().zip(bytes.first_chunk::<16>()?.as_chunks::<4>().0) {
        *word = u32::from_be_bytes(*chunk);
    }
    Some(Address::v6(words))
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    #[test]
    fn every_cut_is_nothing_or_lacks_the_port() {
        let mut v4: Vec<u8> = [0x46, 0, 0, 44, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, 7, 10, 0, 0, 9].to_vec();
        v4.extend([1, 1, 1, 1, 0x12, 0x34, 0x00, 0x35, 0, 8, 0, 0]); // four bytes of options, UDP to port 53
        let quoted = parse(&v4).unwrap();
        assert_eq!((quoted.source, quoted.port), (Address::v4(0x0a00_0007), 53));
        let mut v6: Vec<u8> = [0x60, 0, 0, 0, 0, 8, 6, 64].to_vec();
        v6.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1].repeat(2));
        v6.extend([0x12, 0x34, 0x01, 0xbb]);
        assert_eq!(parse(&v6).map(|quoted| (quoted.protocol, quoted.port)), Some((6, 443)));
        for (bytes, header_len, all) in [(&v4, 24, 28), (&v6, 40, 44)] {
            for cut in 0..bytes.len() {
                let found = parse(&bytes[..cut]);
                assert_eq!(found.is_some(), cut >= header_len, "{cut}");
                assert!(cut >= all || found.is_none_or(|quoted| quoted.port == 0));
            }
        }
        assert_eq!(parse(&[0x25; 60]), None);
    }
}
