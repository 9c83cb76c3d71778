//! DHCP for IPv4: assignments of addresses to hardware addresses.
//!
//! Read first: RFC 2131 section 2 (format), RFC 2132 sections 3 (options) and 9.6 (message type).

use sentinel_units::{Address, Mac, service};

use super::protocol::{Body, Protocol};
use crate::read::{Cursor, Malformed};

/// DHCP for IPv4.
pub const PROTOCOL: Protocol = Protocol {
    datagram: Some(|payload, _| payload.get(COOKIE_AT..COOKIE_AT + 4) == Some(&MAGIC_COOKIE.to_be_bytes())),
    ..Protocol::new(service::DHCP, "DHCP", "RFC 2131")
};
pub(super) const PROTOCOLS: &[Protocol] = &[PROTOCOL];
pub(super) const FUZZ_BODIES: &[Body] = &[("dhcp_message", fuzz)];

const REPLY: u8 = 2;
const ETHERNET: (u8, u8) = (1, 6);
/// From `chaddr` past the six bytes of an Ethernet address to the magic cookie: the padding of `chaddr`, `sname`, `file`.
const UNTIL_COOKIE: usize = 10 + 64 + 128;
/// Bytes before the magic cookie.
const COOKIE_AT: usize = 236;
const MAGIC_COOKIE: u32 = 0x6382_5363;
const PAD: u8 = 0;
const END: u8 = 255;
/// Options looked at; real messages carry fewer than forty.
const MAX_OPTIONS: usize = 128;

/// Type of a message (option 53). Plain BOOTP has none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Kind {
    /// A client looks for servers.
    Discover,
    /// A server offers an address.
    Offer,
    /// The client requests that address, or for its renewal.
    Request,
    /// The client found the address in use.
    Decline,
    /// The server assigns the address.
    Ack,
    /// The server refuses it.
    Nak,
    /// The client gives the address back.
    Release,
    /// The client has an address and requests only the settings.
    Inform,
    /// Any other, by its number.
    Other(u8),
}

/// Fields of a message that show which client holds an address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Message {
    /// Sent by a server.
    pub is_reply: bool,
    /// `xid`: number of the exchange, chosen by the client.
    pub transaction: u32,
    /// Type of the message; `None` for BOOTP or if the options were cut before it.
    pub kind: Option<Kind>,
    /// `ciaddr`: address that the client uses already, or `0.0.0.0`.
    pub client_ip: Address,
    /// `yiaddr`: address given to the client, or `0.0.0.0`.
    pub your_ip: Address,
    /// `giaddr`: address of the relay that passed the message on, or `0.0.0.0`.
    pub relay: Address,
    /// `chaddr`: hardware address of the client.
    pub client_mac: Mac,
}

impl Message {
    /// Reads the payload of a UDP datagram from or to port 67.
    ///
    /// # Errors
    /// - [`Malformed::Truncated`] if the fixed part is not all there.
    /// - [`Malformed::OtherProtocol`] if it is not about Ethernet or has no magic cookie: not DHCP.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut at = Cursor::new(bytes);
        let (operation, hardware, hardware_len) = (at.u8()?, at.u8()?, at.u8()?);
        // Hops.
        at.take(1)?;
        let transaction = at.u32()?;
        // Seconds and flags.
        at.take(4)?;
        let (client_ip, your_ip) = (Address::v4(at.u32()?), Address::v4(at.u32()?));
        // Next server.
        at.take(4)?;
        let relay = Address::v4(at.u32()?);
        let client_mac = Mac(*at.array()?);
        at.take(UNTIL_COOKIE)?;
        if (hardware, hardware_len) != ETHERNET || at.u32()? != MAGIC_COOKIE {
            return Err(Malformed::OtherProtocol);
        }
        let is_reply = operation == REPLY;
        Ok(Self { is_reply, transaction, kind: kind(at), client_ip, your_ip, relay, client_mac })
    }
}

/// Numbers of options (RFC 2132).
pub mod option {
    /// Mask of the network.
    pub const SUBNET_MASK: u8 = 1;
    /// Routers, best first.
    pub const ROUTER: u8 = 3;
    /// Name servers, best first.
    pub const DOMAIN_NAME_SERVER: u8 = 6;
    /// Name of the client.
    pub const HOST_NAME: u8 = 12;
    /// Domain of the client.
    pub const DOMAIN_NAME: u8 = 15;
    /// Address that the client asks for.
    pub const REQUESTED_ADDRESS: u8 = 50;
    /// Seconds for which the address is given.
    pub const LEASE_TIME: u8 = 51;
    /// Type of the message.
    pub const MESSAGE_TYPE: u8 = 53;
    /// Address of the server.
    pub const SERVER: u8 = 54;
    /// Reason of a refusal, in words.
    pub const MESSAGE: u8 = 56;
    /// Software of the client.
    pub const VENDOR_CLASS: u8 = 60;
    /// Identifier of the client, if it is not its hardware address.
    pub const CLIENT_IDENTIFIER: u8 = 61;
}

/// Options of a message: number and value. Ends at one that is cut; at most 128 with the padding between them.
pub fn options(message: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    walk(Cursor::new(message.get(COOKIE_AT + 4..).unwrap_or_default()))
}

fn walk<'p>(mut at: Cursor<'p>) -> impl Iterator<Item = (u8, &'p [u8])> {
    let mut left = MAX_OPTIONS;
    core::iter::from_fn(move || {
        loop {
            left = left.checked_sub(1)?;
            match at.u8().ok()? {
                PAD => {}
                END => return None,
                code => {
                    let len = at.u8().ok()?;
                    return Some((code, at.take(len.into()).ok()?));
                }
            }
        }
    })
}

/// Walks the options to the message type.
fn kind(at: Cursor<'_>) -> Option<Kind> {
    let (_, number) = walk(at).find(|(code, value)| *code == option::MESSAGE_TYPE && value.len() == 1)?;
    Some(match *number.first()? {
        1 => Kind::Discover,
        2 => Kind::Offer,
        3 => Kind::Request,
        4 => Kind::Decline,
        5 => Kind::Ack,
        6 => Kind::Nak,
        7 => Kind::Release,
        8 => Kind::Inform,
        other => Kind::Other(other),
    })
}

/// Fuzz body: a DHCP message.
fn fuzz(bytes: &[u8]) {
    let Ok(message) = Message::parse(bytes) else { return };
    assert!(message.your_ip.is_v4() && message.client_ip.is_v4() && options(bytes).count() <= MAX_OPTIONS);
    // Everything up to the cookie is fixed; the message type takes three bytes more.
    assert!(bytes.len() >= if message.kind.is_some() { 243 } else { 240 });
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec;
    use std::vec::Vec;

    /// An ACK of 10.20.30.40 for 02:20:30:00:00:20, with the lease time before the message type.
    fn ack() -> Vec<u8> {
        let mut bytes = vec![2, 1, 6, 0]; // reply, Ethernet, six bytes, no hops
        bytes.extend([0x11, 0x22, 0x33, 0x44, 0, 0, 0, 0]); // transaction, seconds, flags
        bytes.extend([0, 0, 0, 0, 10, 20, 30, 40]); // ciaddr, yiaddr
        bytes.extend([10, 20, 30, 1, 0, 0, 0, 0]); // siaddr, giaddr
        bytes.extend([2, 0x20, 0x30, 0, 0, 0x20]); // chaddr
        bytes.extend([0; UNTIL_COOKIE]);
        bytes.extend([0x63, 0x82, 0x53, 0x63]); // magic cookie
        bytes.extend([0, 51, 4, 0, 0, 0x0e, 0x10, 53, 1, 5, 255]); // pad, lease time 3600 s, ACK, end
        bytes
    }

    #[test]
    fn an_ack_gives_client_and_address() {
        assert_eq!(
            Message::parse(&ack()),
            Ok(Message {
                is_reply: true,
                transaction: 0x1122_3344,
                kind: Some(Kind::Ack),
                client_ip: Address::v4(0),
                your_ip: Address::v4(0x0a14_1e28),
                relay: Address::v4(0),
                client_mac: Mac([2, 0x20, 0x30, 0, 0, 0x20]),
            })
        );
    }

    #[test]
    fn every_cut_is_an_error_or_a_message_without_kind() {
        let bytes = ack();
        for cut in 0..bytes.len() {
            match Message::parse(&bytes[..cut]) {
                Err(error) => assert!(cut < 240 && error == Malformed::Truncated, "{cut}"),
                Ok(message) => assert!(cut >= 240 && (message.kind.is_none() || cut >= 250), "{cut}"),
            }
        }
    }

    #[test]
    fn an_option_longer_than_the_message_ends_the_options() {
        let mut bytes = ack();
        bytes[242] = 255; // lease time of 255 bytes
        assert_eq!(Message::parse(&bytes).unwrap().kind, None);
    }

    #[test]
    fn other_hardware_and_other_protocols_are_rejected() {
        for (at, value) in [(1, 6), (2, 16), (236, 0)] {
            let mut bytes = ack();
            bytes[at] = value;
            assert_eq!(Message::parse(&bytes), Err(Malformed::OtherProtocol));
        }
    }
}
