//! DHCP messages of a lease.
//!
//! Read first: RFC 2131 section 2, RFC 2132 (options).

use std::net::Ipv4Addr;

use sentinel_units::Mac;

/// The port servers listen on.
pub const SERVER_PORT: u16 = 67;
/// The port clients listen on.
pub const CLIENT_PORT: u16 = 68;

/// Type of a DHCP message: the four of a lease.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MessageType {
    /// Client, by broadcast: request for offers.
    Discover,
    /// Server: offer of an address.
    Offer,
    /// Client, by broadcast: request for the address offered.
    Request,
    /// Server: the address is leased.
    Acknowledge,
}

/// Fields that the messages of one lease have in common.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Lease {
    /// Transaction identifier, chosen by the client.
    pub transaction: u32,
    /// Hardware address of the client.
    pub client: Mac,
    /// Address that is leased.
    pub address: Ipv4Addr,
    /// Address of the server.
    pub server: Ipv4Addr,
    /// Lease time in seconds.
    pub seconds: u32,
}

const OPTION_MASK: u8 = 1;
const OPTION_ROUTER: u8 = 3;
const OPTION_RESOLVER: u8 = 6;
const OPTION_ADDRESS_WANTED: u8 = 50;
const OPTION_SECONDS: u8 = 51;
const OPTION_MESSAGE_TYPE: u8 = 53;
const OPTION_SERVER: u8 = 54;
const OPTION_END: u8 = 255;
const COOKIE: [u8; 4] = [99, 130, 83, 99];
/// Shortest message that BOOTP relays forward (RFC 1542 section 2.1).
const MIN_LEN: usize = 300;

impl Lease {
    /// Message of one type.
    #[must_use]
    pub fn message(&self, message_type: MessageType) -> Vec<u8> {
        let from_server = matches!(message_type, MessageType::Offer | MessageType::Acknowledge);
        let mut bytes = vec![if from_server { 2 } else { 1 }, 1, 6, 0];
        bytes.extend(self.transaction.to_be_bytes());
        bytes.extend([0, 0, 0x80, 0]); // no seconds; answer by broadcast
        bytes.extend([0; 4]); // no address of the client's own yet
        bytes.extend(if from_server { self.address.octets() } else { [0; 4] });
        bytes.extend(if from_server { self.server.octets() } else { [0; 4] });
        bytes.extend([0; 4]); // no relay
        bytes.extend(self.client.0);
        bytes.extend([0; 10 + 64 + 128]); // rest of the hardware address, server name, file
        bytes.extend(COOKIE);
        bytes.extend([OPTION_MESSAGE_TYPE, 1, message_type.number()]);
        match message_type {
            MessageType::Discover => {}
            MessageType::Request => {
                option(&mut bytes, OPTION_ADDRESS_WANTED, self.address.octets());
                option(&mut bytes, OPTION_SERVER, self.server.octets());
            }
            MessageType::Offer | MessageType::Acknowledge => {
                option(&mut bytes, OPTION_SERVER, self.server.octets());
                option(&mut bytes, OPTION_SECONDS, self.seconds.to_be_bytes());
                option(&mut bytes, OPTION_MASK, [255, 255, 255, 0]);
                option(&mut bytes, OPTION_ROUTER, self.server.octets());
                option(&mut bytes, OPTION_RESOLVER, self.server.octets());
            }
        }
        bytes.push(OPTION_END);
        bytes.resize(bytes.len().max(MIN_LEN), 0);
        bytes
    }
}

impl MessageType {
    const fn number(self) -> u8 {
        match self {
            Self::Discover => 1,
            Self::Offer => 2,
            Self::Request => 3,
            Self::Acknowledge => 5,
        }
    }
}

fn option(bytes: &mut Vec<u8>, number: u8, value: [u8; 4]) {
    bytes.extend([number, 4]);
    bytes.extend(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acknowledgement_has_client_address_and_lease_time() {
        let lease = Lease {
            transaction: 0x0102_0304,
            client: Mac([2, 0, 0, 0, 0, 9]),
            address: Ipv4Addr::new(10, 0, 0, 9),
            server: Ipv4Addr::new(10, 0, 0, 1),
            seconds: 3_600,
        };
        let message = lease.message(MessageType::Acknowledge);
        assert_eq!(message.get(..8).unwrap(), [2, 1, 6, 0, 1, 2, 3, 4]);
        assert_eq!(message.get(16..24).unwrap(), [10, 0, 0, 9, 10, 0, 0, 1]);
        assert_eq!(message.get(28..34).unwrap(), [2, 0, 0, 0, 0, 9]);
        assert_eq!(message.get(236..243).unwrap(), [99, 130, 83, 99, 53, 1, 5]);
        assert_eq!(message.get(249..255).unwrap(), [51, 4, 0, 0, 0x0e, 0x10]);
        assert_eq!(lease.message(MessageType::Discover).len(), 300);
    }
}
