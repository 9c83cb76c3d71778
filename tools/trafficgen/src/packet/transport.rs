//! TCP segments and UDP datagrams.
//!
//! Read first: RFC 9293 section 3.1, RFC 768, RFC 8200 section 8.1.

use pnet_packet::Packet;
use pnet_packet::tcp::{self, MutableTcpPacket, TcpOption};
use pnet_packet::udp::{self, MutableUdpPacket};

use super::{Addresses, length_field, view};

/// TCP control bits.
pub mod flags {
    /// No more data from the sender.
    pub const FIN: u8 = 0x01;
    /// Synchronise sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset the connection.
    pub const RST: u8 = 0x04;
    /// Hand the data over at once.
    pub const PSH: u8 = 0x08;
    /// The acknowledgement number counts.
    pub const ACK: u8 = 0x10;
    /// The urgent pointer counts.
    pub const URG: u8 = 0x20;
}

/// A TCP header; what is not set is zero.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Tcp {
    /// Port of the sender.
    pub source: u16,
    /// Port of the receiver.
    pub destination: u16,
    /// Number of the first byte.
    pub sequence: u32,
    /// Number of the next byte expected.
    pub acknowledgement: u32,
    /// Control bits, see [`flags`].
    pub flags: u8,
    /// Bytes the sender will take.
    pub window: u16,
    /// Options.
    pub options: Options,
}

/// Option lists that real stacks send.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Options {
    /// None: a scanner's raw segment.
    #[default]
    None,
    /// Maximum segment size only, as sent by flood tools and small devices.
    SegmentSize(u16),
    /// The five options of a Linux or Windows SYN.
    Opening {
        /// Maximum segment size.
        segment_size: u16,
        /// The sender's timestamp.
        sent: u32,
        /// The timestamp echoed.
        echoed: u32,
    },
    /// Timestamps, on every later segment.
    Timestamps {
        /// The sender's timestamp.
        sent: u32,
        /// The timestamp echoed.
        echoed: u32,
    },
}

impl Options {
    fn list(self) -> Vec<TcpOption> {
        match self {
            Self::None => Vec::new(),
            Self::SegmentSize(size) => vec![TcpOption::mss(size)],
            Self::Opening { segment_size, sent, echoed } => vec![
                TcpOption::mss(segment_size),
                TcpOption::sack_perm(),
                TcpOption::timestamp(sent, echoed),
                TcpOption::nop(),
                TcpOption::wscale(7),
            ],
            Self::Timestamps { sent, echoed } => {
                vec![TcpOption::nop(), TcpOption::nop(), TcpOption::timestamp(sent, echoed)]
            }
        }
    }

    /// Length in 32-bit words; each list above is a multiple of four bytes.
    const fn words(self) -> u8 {
        match self {
            Self::None => 0,
            Self::SegmentSize(_) => 1,
            Self::Opening { .. } => 5,
            Self::Timestamps { .. } => 3,
        }
    }
}

const TCP_LEN: usize = 20;
const UDP_LEN: usize = 8;

impl Tcp {
    /// Bare SYN with the window of a Linux client and no options.
    #[must_use]
    pub fn syn(source: u16, destination: u16, sequence: u32) -> Self {
        Self { source, destination, sequence, flags: flags::SYN, window: 64_240, ..Self::default() }
    }

    /// Segment that carries `payload`, with its checksum for `addresses`.
    #[must_use]
    pub fn segment(&self, addresses: &Addresses, payload: &[u8]) -> Vec<u8> {
        let words = self.options.words();
        let mut bytes = vec![0; TCP_LEN + usize::from(words) * 4];
        bytes.extend_from_slice(payload);
        let mut header = view(MutableTcpPacket::new(&mut bytes));
        header.set_source(self.source);
        header.set_destination(self.destination);
        header.set_sequence(self.sequence);
        header.set_acknowledgement(self.acknowledgement);
        header.set_data_offset(5 + words);
        header.set_flags(self.flags);
        header.set_window(self.window);
        header.set_options(&self.options.list());
        let checksum = match addresses {
            Addresses::V4 { source, destination } => {
                tcp::ipv4_checksum(&header.to_immutable(), source, destination)
            }
            Addresses::V6 { source, destination } => {
                tcp::ipv6_checksum(&header.to_immutable(), source, destination)
            }
        };
        header.set_checksum(checksum);
        bytes
    }
}

/// UDP datagram that carries `payload`, with its checksum for `addresses`.
#[must_use]
pub fn udp(source_port: u16, destination_port: u16, addresses: &Addresses, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; UDP_LEN];
    bytes.extend_from_slice(payload);
    let length = length_field(bytes.len());
    let mut header = view(MutableUdpPacket::new(&mut bytes));
    header.set_source(source_port);
    header.set_destination(destination_port);
    header.set_length(length);
    let checksum = match addresses {
        Addresses::V4 { source, destination } => {
            udp::ipv4_checksum(&header.to_immutable(), source, destination)
        }
        Addresses::V6 { source, destination } => {
            udp::ipv6_checksum(&header.to_immutable(), source, destination)
        }
    };
    // Zero means "no checksum" (RFC 768), so all ones are sent for it.
    header.set_checksum(if checksum == 0 { u16::MAX } else { checksum });
    debug_assert_eq!(header.packet().len(), usize::from(length));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const LOCAL: Addresses =
        Addresses::V4 { source: Ipv4Addr::new(10, 0, 0, 1), destination: Ipv4Addr::new(10, 0, 0, 2) };

    #[test]
    fn a_syn_carries_the_five_options_of_linux() {
        let syn = Tcp {
            source: 1,
            destination: 2,
            flags: flags::SYN,
            options: Options::Opening { segment_size: 1_460, sent: 7, echoed: 0 },
            ..Tcp::default()
        };
        let bytes = syn.segment(&LOCAL, &[]);
        // size 1460; SACK permitted; timestamps 7 and 0; filler; scale 7
        let options = [2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 7, 0, 0, 0, 0, 1, 3, 3, 7];
        assert_eq!((bytes[12], bytes.get(20..).unwrap()), (0xa0, &options[..]));
    }

    #[test]
    fn a_checksum_of_zero_is_sent_as_all_ones() {
        // Try payloads until the sum comes out as zero; one in 65,536 does.
        let zero = (0..=u16::MAX)
            .map(|word| udp(1, 2, &LOCAL, &word.to_be_bytes()))
            .find(|bytes| bytes[6..8] == [0, 0]);
        assert_eq!(zero, None);
    }
}
