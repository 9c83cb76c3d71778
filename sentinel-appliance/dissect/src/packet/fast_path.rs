//! Fast path: 5-tuple, TCP flags and payload of common frames, and nothing else.
//!
//! Nearly all frames of a network are Ethernet, IPv4 without options or IPv6 without extension headers, not a fragment, TCP or
//! UDP, and sound. [`summarize`] reads those in about a third of the instructions that [`packet`](crate::packet()) takes,
//! because it writes no memory for facts that such frames do not have. It returns `None` for all others, whatever the reason,
//! and the caller reads them with `packet`. Both read the same from a frame; the tests and the fuzz body compare them.

use sentinel_units::{Address, LinkType, Mac, Port, ethertype, ip_protocol};

use super::{Packet, Transport};
use crate::transport::{Tcp, TcpFlags};

const ETHERNET_LEN: usize = 14;
const IPV4_LEN: usize = 20;
const IPV6_LEN: usize = 40;
const UDP_LEN: usize = 8;
/// Position of the control bits in a TCP header.
const TCP_FLAGS_AT: usize = 13;
/// Bytes that pad a frame without payload to the minimum of Ethernet (60 bytes without check sequence), at most.
const MAX_PADDING: usize = 6;
/// Least length that a UDP header announces, and least length of a TCP header. Signed, because the length of a datagram with
/// a bad IPv4 header is negative here and fails the same comparison.
const MIN_UDP_LEN: i32 = 8;
const MIN_TCP_LEN: i32 = 20;
const IPV4: [u8; 2] = ethertype::IPV4.to_be_bytes();
/// Version 4, five words: no options.
const PLAIN_IPV4: u8 = 0x45;
/// First byte of the `EtherType` of IPv4; no other `EtherType` that the fast path accepts begins with it.
const IPV4_FIRST: u8 = IPV4[0];
const IPV6: [u8; 2] = ethertype::IPV6.to_be_bytes();
const IPV6_FIRST: u8 = IPV6[0];
const IPV6_SECOND: u8 = IPV6[1];
/// All but the bit that forbids fragmentation.
const FRAGMENT: u16 = 0x3fff;

/// Endpoints of a TCP segment or UDP datagram, with addresses `A`: the key of its flow. TCP and UDP differ in the flags.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FiveTuple<A = Address> {
    /// Source address.
    pub source: A,
    /// Destination address.
    pub destination: A,
    /// Source port.
    pub source_port: Port,
    /// Destination port.
    pub destination_port: Port,
    /// Control bits, or `None` for UDP.
    pub tcp_flags: Option<TcpFlags>,
}

impl FiveTuple {
    /// The 5-tuple of the other direction, with the flags of this one.
    #[inline]
    #[must_use]
    pub const fn reversed(&self) -> Self {
        let &Self { source, destination, source_port, destination_port, tcp_flags } = self;
        Self {
            source: destination,
            destination: source,
            source_port: destination_port,
            destination_port: source_port,
            tcp_flags,
        }
    }
}

/// A TCP segment or UDP datagram.
#[derive(Clone, Copy, Debug)]
pub struct PacketSummary<'p> {
    /// Endpoints.
    pub tuple: FiveTuple,
    content: Content<'p>,
    /// Bytes of the frame on the wire.
    pub wire_len: u32,
    /// Hardware address of the sender on this link, if the frame is Ethernet.
    pub sender: Option<&'p [u8; 6]>,
}

// The fast path keeps the datagram and finds the payload in it on demand: most frames are finished without.
#[derive(Clone, Copy, Debug)]
enum Content<'p> {
    /// Captured bytes behind the transport header of UDP.
    Payload(&'p [u8]),
    /// TCP header with the captured bytes behind it, and the header without these.
    Segment(&'p Tcp<'p>),
    Header(&'p Tcp<'p>),
    /// Captured bytes from the transport header on, as far as the IP header says.
    Datagram(&'p [u8]),
}

impl From<FiveTuple<u32>> for FiveTuple {
    #[inline]
    fn from(v4: FiveTuple<u32>) -> Self {
        let FiveTuple { source, destination, source_port, destination_port, tcp_flags } = v4;
        let (source, destination) = (Address::v4(source), Address::v4(destination));
        Self { source, destination, source_port, destination_port, tcp_flags }
    }
}

impl<'p> PacketSummary<'p> {
    /// Summary of a packet that was parsed in full; `None` if it is neither TCP nor UDP.
    #[must_use]
    pub fn of(packet: &'p Packet<'_>) -> Option<Self> {
        let ip = packet.ip()?;
        let (source_port, destination_port) = packet.ports()?;
        let (tcp_flags, content) = match &packet.transport {
            Transport::Tcp(tcp) => (Some(tcp.flags), Content::Segment(tcp)),
            Transport::Udp(udp) => (None, Content::Payload(udp.payload)),
            _ => return None,
        };
        Some(Self {
            tuple: FiveTuple {
                source: ip.source,
                destination: ip.destination,
                source_port,
                destination_port,
                tcp_flags,
            },
            content,
            wire_len: packet.wire_len,
            sender: packet.ethernet.as_ref().map(|ethernet| &ethernet.source.0),
        })
    }

    /// Summary without a payload.
    #[inline]
    #[must_use]
    pub const fn without_content(tuple: FiveTuple, wire_len: u32, sender: Option<&'p [u8; 6]>) -> Self {
        Self { tuple, content: Content::Payload(&[]), wire_len, sender }
    }

    /// Summary of a frame in which [`summarize_v4`] or [`summarize_v6`] found this 5-tuple and datagram.
    #[inline]
    #[must_use]
    pub fn of_frame(tuple: FiveTuple, datagram: &'p [u8], bytes: &'p [u8], wire_len: u32) -> Self {
        let content = Content::Datagram(datagram);
        Self { tuple, content, wire_len: at_least(bytes, wire_len), sender: sender(bytes) }
    }

    /// This summary without its payload.
    #[must_use]
    pub const fn bare(self) -> Self {
        let content = match self.content {
            Content::Segment(tcp) => Content::Header(tcp),
            _ => Content::Payload(&[]),
        };
        Self { content, ..self }
    }

    /// Sequence and acknowledgement numbers of TCP; meaningless for UDP, and zero if they were not captured.
    #[must_use]
    pub const fn tcp_numbers(&self) -> (u32, u32) {
        match self.content {
            Content::Segment(tcp) | Content::Header(tcp) => (tcp.sequence, tcp.acknowledgement),
            Content::Datagram(&[_, _, _, _, a, b, c, d, e, f, g, h, ..]) => {
                (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]))
            }
            _ => (0, 0),
        }
    }

    /// Captured bytes behind the transport header.
    #[must_use]
    pub fn payload(&self) -> &'p [u8] {
        let datagram = match self.content {
            Content::Payload(payload) => return payload,
            Content::Segment(tcp) => return tcp.payload,
            Content::Header(_) => return &[],
            Content::Datagram(datagram) => datagram,
        };
        let (start, end) = match (self.tuple.tcp_flags, datagram) {
            (Some(_), [_, _, _, _, _, _, _, _, _, _, _, _, offset, ..]) => {
                (usize::from(offset >> 2 & 0x3c), datagram.len())
            }
            (None, [_, _, _, _, high, low, ..]) => {
                let len = usize::from(u16::from_be_bytes([*high, *low]));
                (UDP_LEN, len.min(datagram.len()))
            }
            _ => return &[],
        };
        datagram.get(start..end).unwrap_or_default()
    }

    /// Bytes behind the TCP header on the wire, also those that were not captured.
    #[must_use]
    pub fn tcp_payload_len(&self) -> usize {
        let captured = self.payload().len();
        let Content::Datagram([_, _, _, _, _, _, _, _, _, _, _, _, offset, ..]) = self.content else {
            return captured;
        };
        let headers = usize::from(offset >> 2 & 0x3c)
            + ETHERNET_LEN
            + if self.tuple.source.is_v4() { IPV4_LEN } else { IPV6_LEN };
        let on_wire = usize::try_from(self.wire_len).unwrap_or(captured).saturating_sub(headers);
        // Short frames are padded.
        if on_wire <= MAX_PADDING { captured } else { on_wire }
    }

    /// Hardware address of the sender, if it is an Ethernet frame.
    #[must_use]
    pub fn sender_mac(&self) -> Option<Mac> {
        self.sender.map(|bytes| Mac(*bytes))
    }
}

/// Compares endpoints, lengths and payload bytes; how the payload is held does not count.
impl PartialEq for PacketSummary<'_> {
    fn eq(&self, other: &Self) -> bool {
        (self.tuple, self.wire_len, self.sender) == (other.tuple, other.wire_len, other.sender)
            && self.payload() == other.payload()
    }
}

/// The length on the wire is never less than what was captured.
#[inline]
fn at_least(bytes: &[u8], wire_len: u32) -> u32 {
    wire_len.max(u32::try_from(bytes.len()).unwrap_or(u32::MAX))
}

/// Hardware address of the sender of an Ethernet frame.
#[inline]
#[must_use]
pub fn sender(frame: &[u8]) -> Option<&[u8; 6]> {
    frame.get(6..)?.first_chunk()
}

/// Reads a frame if it is a common one. `None` says nothing about the frame: the caller must read it with
/// [`packet`](crate::packet()).
///
/// `wire_len` is the length on the wire; a value less than `bytes` is raised to it.
#[must_use]
pub fn summarize(link: LinkType, bytes: &[u8], wire_len: u32) -> Option<PacketSummary<'_>> {
    let (tuple, datagram) = match summarize_v4(link, bytes, wire_len) {
        Some((tuple, datagram)) => (tuple.into(), datagram),
        None => summarize_v6(link, bytes, wire_len)?,
    };
    Some(PacketSummary::of_frame(tuple, datagram, bytes, wire_len))
}

/// IPv4 half of [`summarize`]: 5-tuple, and the captured bytes from the transport header on.
#[inline(always)] // the caller gets the fields in registers; a call would return them through memory
#[must_use]
pub fn summarize_v4(link: LinkType, bytes: &[u8], wire_len: u32) -> Option<(FiveTuple<u32>, &[u8])> {
    if link != LinkType::ETHERNET {
        return None;
    }
    // One bounds check for both headers: every field below is then at a constant offset.
    let (header, behind) = bytes.split_first_chunk::<{ ETHERNET_LEN + IPV4_LEN }>()?;
    let [_, _, _, _, _, _, _, _, _, _, _, _, e0, e1, fixed @ ..] = *header;
    let [first, _, t0, t1, _, _, f0, f1, _, protocol, _, _, tuple @ ..] = fixed;
    let len = u32::from(u16::from_be_bytes([t0, t1]));
    if [e0, e1] != IPV4
        || first != PLAIN_IPV4
        || u16::from_be_bytes([f0, f1]) & FRAGMENT != 0
        || len + 14 > at_least(bytes, wire_len)
    {
        return None;
    }
    // Negative if the total length is less than the header's 20 bytes, or zero as segmentation offload leaves it. No transport
    // header fits then, so `transport` rejects the frame without a test of its own here.
    let len = len.wrapping_sub(20).cast_signed();
    let (source_port, destination_port, tcp_flags) = transport(protocol, behind, len)?;
    let datagram = usize::try_from(len).ok().and_then(|len| behind.get(..len)).unwrap_or(behind);
    let [s0, s1, s2, s3, d0, d1, d2, d3] = tuple;
    let source = u32::from_be_bytes([s0, s1, s2, s3]);
    let destination = u32::from_be_bytes([d0, d1, d2, d3]);
    Some((FiveTuple { source, destination, source_port, destination_port, tcp_flags }, datagram))
}

/// Source, destination and destination port of a frame that [`summarize_v4`] accepted, read again. `None` if
/// [`summarize_v6`] accepted it; the result for any other frame has no meaning.
//
// One byte of the EtherType suffices to tell the two apart, because the frame is known to be one or the other.
#[inline(always)] // the caller gets the fields in registers; a call would return them through memory
#[must_use]
pub fn reread_v4(bytes: &[u8]) -> Option<(u32, u32, Port)> {
    let [_, _, _, _, _, _, _, _, _, _, _, _, IPV4_FIRST, _, read @ ..] = bytes.first_chunk::<38>()? else {
        return None;
    };
    let [_, _, _, _, _, _, _, _, _, _, _, _, s0, s1, s2, s3, d0, d1, d2, d3, _, _, p0, p1] = *read;
    let source = u32::from_be_bytes([s0, s1, s2, s3]);
    let destination = u32::from_be_bytes([d0, d1, d2, d3]);
    Some((source, destination, Port(u16::from_be_bytes([p0, p1]))))
}

/// Summary that [`summarize_v4`] has read from a frame, read again without its tests; `None` if [`summarize_v6`] accepted it. The result for any
/// other frame has no meaning.
#[inline(always)] // the caller gets the fields in registers; a call would return them through memory
#[must_use]
pub fn resummarize_v4(bytes: &[u8]) -> Option<(FiveTuple<u32>, &[u8])> {
    let (header, behind) = bytes.split_first_chunk::<{ ETHERNET_LEN + IPV4_LEN }>()?;
    let [_, _, _, _, _, _, _, _, _, _, _, _, IPV4_FIRST, _, fixed @ ..] = *header else { return None };
    let [_, _, t0, t1, _, _, _, _, _, protocol, _, _, s0, s1, s2, s3, d0, d1, d2, d3] = fixed;
    let len = usize::from(u16::from_be_bytes([t0, t1])).saturating_sub(IPV4_LEN);
    let tcp_flags =
        if protocol == ip_protocol::TCP { Some(TcpFlags(*behind.get(TCP_FLAGS_AT)?)) } else { None };
    let (source_port, destination_port) = halves(u32::from_be_bytes(*behind.first_chunk()?));
    let tuple = FiveTuple {
        source: u32::from_be_bytes([s0, s1, s2, s3]),
        destination: u32::from_be_bytes([d0, d1, d2, d3]),
        source_port: Port(source_port),
        destination_port: Port(destination_port),
        tcp_flags,
    };
    Some((tuple, behind.get(..len).unwrap_or(behind)))
}

/// Source of a frame that [`summarize_v4`] or [`summarize_v6`] accepted, read again; `None` if it was the second, and
/// [`source_v6`] reads it.
#[inline(always)] // as `reread_v4`
#[must_use]
pub fn source_v4(bytes: &[u8]) -> Option<u32> {
    let [_, _, _, _, _, _, _, _, _, _, _, _, IPV4_FIRST, _, read @ ..] = bytes.first_chunk::<30>()? else {
        return None;
    };
    let [.., s0, s1, s2, s3] = *read;
    Some(u32::from_be_bytes([s0, s1, s2, s3]))
}

/// Source of a frame that [`summarize_v6`] accepted, read again.
#[inline(always)] // as `reread_v4`
#[must_use]
pub fn source_v6(bytes: &[u8]) -> Address {
    bytes.first_chunk::<38>().and_then(|header| header.last_chunk()).map(address_v6).unwrap_or_default()
}

/// Source, destination and destination port of a frame that [`summarize_v6`] accepted, read again.
#[must_use]
pub fn reread_v6(bytes: &[u8]) -> Option<(Address, Address, Port)> {
    let (header, ports) = bytes.split_first_chunk::<{ ETHERNET_LEN + IPV6_LEN }>()?;
    let (source, destination) = addresses_v6(header);
    let [_, _, p0, p1] = *ports.first_chunk()?;
    Some((source, destination, Port(u16::from_be_bytes([p0, p1]))))
}

/// IPv6 half of [`summarize`].
#[inline(never)] // one copy for all callers but the fast path of the engine
#[must_use]
pub fn summarize_v6(link: LinkType, bytes: &[u8], wire_len: u32) -> Option<(FiveTuple, &[u8])> {
    summarize_v6_inline(link, bytes, wire_len)
}

/// [`summarize_v6`] as a part of its caller, which gets the fields in registers.
#[inline(always)]
#[must_use]
pub fn summarize_v6_inline(link: LinkType, bytes: &[u8], wire_len: u32) -> Option<(FiveTuple, &[u8])> {
    if link != LinkType::ETHERNET {
        return None;
    }
    let (header, behind) = bytes.split_first_chunk::<{ ETHERNET_LEN + IPV6_LEN }>()?;
    let [_, _, _, _, _, _, _, _, _, _, _, _, IPV6_FIRST, IPV6_SECOND, version, _, _, _, l0, l1, next, ..] =
        header
    else {
        return None;
    };
    let len = i32::from(u16::from_be_bytes([*l0, *l1]));
    if version >> 4 != 6 || len.cast_unsigned() + 54 > at_least(bytes, wire_len) {
        return None;
    }
    let (source, destination) = addresses_v6(header);
    // IPv4-mapped addresses are malformed on the wire and must not pass for IPv4 hosts.
    if source.is_v4() || destination.is_v4() {
        return None;
    }
    let (source_port, destination_port, tcp_flags) = transport(*next, behind, len)?;
    let datagram = usize::try_from(len).ok().and_then(|len| behind.get(..len)).unwrap_or(behind);
    Some((FiveTuple { source, destination, source_port, destination_port, tcp_flags }, datagram))
}

/// Ports and control bits of a transport header at the start of `behind`, of which `len` bytes belong to the datagram.
#[inline(always)] // the caller gets the fields in registers; a call would return them through memory
fn transport(protocol: u8, behind: &[u8], len: i32) -> Option<(Port, Port, Option<TcpFlags>)> {
    let (ports, tcp_flags) = match protocol {
        ip_protocol::TCP => {
            let [ports @ .., _, _, _, _, _, _, _, _, offset, flags, _, _, _, _, _, _] =
                *behind.first_chunk::<20>()?;
            // The upper four bits count words of four bytes.
            let header_len = i32::from(offset >> 2 & 0x3c);
            if header_len < MIN_TCP_LEN || header_len > len {
                return None;
            }
            (u32::from_be_bytes(ports), Some(TcpFlags(flags)))
        }
        ip_protocol::UDP => {
            let [ports @ .., l0, l1, _, _] = *behind.first_chunk::<8>()?;
            let announced = i32::from(u16::from_be_bytes([l0, l1]));
            if announced < MIN_UDP_LEN || announced > len {
                return None;
            }
            (u32::from_be_bytes(ports), None)
        }
        _ => return None,
    };
    let (source, destination) = halves(ports);
    Some((Port(source), Port(destination), tcp_flags))
}

/// Two ports that were read as one number, which takes a load less.
#[inline]
#[expect(clippy::as_conversions, reason = "the halves of 32 bits")]
const fn halves(ports: u32) -> (u16, u16) {
    ((ports >> 16) as u16, ports as u16)
}

#[inline]
fn addresses_v6(header: &[u8; ETHERNET_LEN + IPV6_LEN]) -> (Address, Address) {
    let Some((remaining, destination)) = header.split_last_chunk::<16>() else { return Default::default() };
    let source = remaining.last_chunk::<16>().map(address_v6).unwrap_or_default();
    (source, address_v6(destination))
}

#[inline]
fn address_v6(bytes: &[u8; 16]) -> Address {
    let [a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3] = *bytes;
    Address::v6([
        u32::from_be_bytes([a0, a1, a2, a3]),
        u32::from_be_bytes([b0, b1, b2, b3]),
        u32::from_be_bytes([c0, c1, c2, c3]),
        u32::from_be_bytes([d0, d1, d2, d3]),
    ])
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::packet::packet;
    use std::vec::Vec;

    /// Ethernet, IPv4 10.0.0.7 to 10.0.0.9, TCP 50000 to 80, ACK, then three bytes and two of padding.
    #[rustfmt::skip]
    const SEGMENT: [u8; 59] = [
        2, 0, 0, 0, 0, 9,  2, 0, 0, 0, 0, 7,  0x08, 0x00,
        0x45, 0, 0, 43,  0, 1, 0x40, 0,  64, 6, 0, 0,  10, 0, 0, 7,  10, 0, 0, 9,
        0xc3, 0x50, 0, 80,  0, 0, 0, 1,  0, 0, 0, 0,  0x50, 0x10, 4, 0,  0, 0, 0, 0,
        1, 2, 3,  0xee, 0xee,
    ];

    /// Ethernet, IPv6 `fd00::1` to `fd00::2`, UDP 49152 to 53, three bytes.
    fn datagram() -> Vec<u8> {
        let mut bytes = SEGMENT[..12].to_vec();
        bytes.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 11, 17, 64]);
        for last in [1, 2] {
            bytes.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
        }
        bytes.extend([0xc0, 0, 0, 53, 0, 11, 0, 0, 1, 2, 3]);
        bytes
    }

    /// The summary of a frame, checked against what [`packet`] reads and what is read again without tests.
    fn read(bytes: &[u8], wire_len: u32) -> Option<PacketSummary<'_>> {
        let read = summarize(LinkType::ETHERNET, bytes, wire_len);
        let packet = packet(LinkType::ETHERNET, None, bytes, wire_len);
        if read.is_some() {
            assert_eq!((read, packet.malformed), (PacketSummary::of(&packet), None));
        }
        match (summarize_v4(LinkType::ETHERNET, bytes, wire_len), read) {
            (Some(v4), _) => {
                assert_eq!((resummarize_v4(bytes), source_v4(bytes)), (Some(v4), Some(v4.0.source)));
            }
            (None, Some(read)) => {
                assert_eq!((resummarize_v4(bytes), source_v4(bytes)), (None, None));
                assert_eq!(source_v6(bytes), read.tuple.source);
            }
            (None, None) => {}
        }
        read
    }

    #[test]
    fn both_families_and_transports_are_read() {
        let segment = read(&SEGMENT, 0).unwrap();
        assert_eq!(
            (segment.tuple.source, segment.tuple.source_port),
            (Address::v4(0x0a00_0007), Port(50_000))
        );
        assert_eq!(
            (segment.tuple.destination, segment.tuple.destination_port),
            (Address::v4(0x0a00_0009), Port(80))
        );
        assert_eq!((segment.tuple.tcp_flags, segment.payload()), (Some(TcpFlags::ACK), &[1, 2, 3][..]));
        assert_eq!((segment.wire_len, segment.sender_mac()), (59, Some(Mac([2, 0, 0, 0, 0, 7]))));
        let bytes = datagram();
        let datagram = read(&bytes, 70).unwrap();
        assert_eq!((datagram.tuple.destination_port, datagram.tuple.tcp_flags), (Port(53), None));
        assert_eq!((datagram.tuple.source, datagram.wire_len), (Address::v6([0xfd00_0000, 0, 0, 1]), 70));
    }

    #[test]
    fn the_length_on_the_wire_counts_what_was_not_captured() {
        // Padding is no payload; a capture of 59 bytes of a full frame is. So is one of 55 bytes.
        assert_eq!(read(&SEGMENT, 0).unwrap().tcp_payload_len(), 3);
        assert_eq!(read(&SEGMENT, 60).unwrap().tcp_payload_len(), 3);
        let mut long = SEGMENT;
        long[16..18].copy_from_slice(&1_500_u16.to_be_bytes());
        assert_eq!(summarize(LinkType::ETHERNET, &long, 1_514).unwrap().tcp_payload_len(), 1_460);
        assert_eq!(summarize(LinkType::ETHERNET, &long[..55], 1_514).unwrap().tcp_payload_len(), 1_460);
        assert_eq!(read(&SEGMENT, 0).unwrap().bare().tcp_payload_len(), 0);
    }

    #[test]
    fn every_cut_is_an_error_or_a_shorter_payload() {
        for whole in [SEGMENT.to_vec(), datagram()] {
            let wire_len = u32::try_from(whole.len()).unwrap();
            for cut in 0..whole.len() {
                let (read, all) = (read(&whole[..cut], wire_len), read(&whole, wire_len).unwrap());
                assert!(read.is_none_or(|read| all.payload().starts_with(read.payload())
                    && read == PacketSummary { content: read.content, ..all }));
            }
        }
    }

    /// Every value of every byte: both paths read the same, or the fast path returns `None`.
    #[test]
    fn the_fast_path_reads_what_the_full_parser_reads() {
        let mut count = 0;
        for whole in [SEGMENT.to_vec(), datagram()] {
            for position in 0..whole.len() {
                for value in 0..=u8::MAX {
                    let mut bytes = whole.clone();
                    bytes[position] = value;
                    count += u32::from(read(&bytes, 0).is_some());
                }
            }
        }
        assert!(count > 10_000, "{count}: most changes leave the frame sound");
    }

    #[test]
    fn other_link_types_are_not_read() {
        assert!(summarize(LinkType::RAW, &SEGMENT[14..], 0).is_none());
    }
}
