//! Fuzz bodies: one function per parser, which reads everything there is to read and checks what must always hold.
//!
//! `tools/fuzz` calls these with made-up bytes; `tests/fuzz_corpus.rs` replays the committed corpus and mutations of it. Bodies
//! of application protocols are in the files of their parsers.

use sentinel_units::LinkType;

use crate::application::{Body, FUZZ_BODIES, fuzz_message_len};
use crate::{Network, Packet, PacketSummary, Transport, tunnel};

const LISTS: &[&[Body]] = &[&[("packet", packet), ("first_flight", fuzz_message_len)]];

/// All bodies; the name of each is that of its corpus directory.
pub const BODIES: &[Body] = &concatenate::<{ count(LISTS) + count(FUZZ_BODIES) }>();

const fn count(mut lists: &[&[Body]]) -> usize {
    let mut count = 0;
    while let [list, remaining @ ..] = lists {
        count += list.len();
        lists = remaining;
    }
    count
}

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated when compiled, where an index out of range is an error"
)]
const fn concatenate<const N: usize>() -> [Body; N] {
    let mut bodies: [Body; N] = [("packet", packet); N];
    let mut at = 0;
    let mut groups: &[&[&[Body]]] = &[LISTS, FUZZ_BODIES];
    while let &[mut lists, ref remaining @ ..] = groups {
        while let &[mut list, ref following @ ..] = lists {
            while let [body, behind @ ..] = list {
                bodies[at] = *body;
                at += 1;
                list = behind;
            }
            lists = following;
        }
        groups = remaining;
    }
    bodies
}

/// A frame. The first byte chooses the link type and whether the card took off a tag, the second how many
/// bytes the capture cut off.
fn packet(bytes: &[u8]) {
    let [choice, cut, frame @ ..] = bytes else { return };
    let link = LinkType::SUPPORTED.get(usize::from(choice & 7)).copied().unwrap_or(LinkType::ETHERNET);
    let tag = (choice & 8 != 0).then_some(u16::from(*choice));
    let wire_len = u32::try_from(frame.len()).unwrap_or(u32::MAX).saturating_add(u32::from(*cut));
    let packet = crate::packet(link, tag, frame, wire_len);
    check(&packet, frame);
    for inner in [tunnel::decapsulate(&packet), tunnel::decapsulate_datagram(&packet)].into_iter().flatten() {
        check(&inner, frame);
        assert!(inner.wire_len < packet.wire_len);
    }
    if let Some(ip) = packet.ip() {
        let whole = crate::reassembled(&packet, ip.protocol, ip.payload).unwrap_or(packet);
        check(&whole, frame);
        assert!(whole.ip().is_some_and(|ip| ip.fragment.is_none()));
    }
    if let Some(v4) = crate::summarize_v4(link, frame, wire_len) {
        assert_eq!(crate::resummarize_v4(frame), Some(v4));
    }
    if let Some(read) = crate::summarize(link, frame, wire_len) {
        assert_eq!((PacketSummary::of(&packet), packet.malformed), (Some(read), None));
    }
}

/// Invariants of every packet, whatever its bytes.
fn check(packet: &Packet<'_>, frame: &[u8]) {
    let part = |payload: &[u8], wire_len: u32| {
        assert!(u32::try_from(payload.len()).is_ok_and(|len| len <= wire_len));
        assert!(wire_len <= packet.wire_len);
        assert!(payload.is_empty() || frame.as_ptr_range().contains(&payload.as_ptr()));
        assert!(payload.len() <= frame.len());
    };
    assert!(packet.vlans.inner().is_none() || packet.vlans.outer().is_some());
    if let Network::Ip(ip) = &packet.network {
        part(ip.payload, ip.payload_wire_len);
        assert!(ip.payload_wire_len <= ip.wire_len && ip.wire_len <= packet.wire_len);
        assert_eq!(ip.source.is_v4(), ip.destination.is_v4());
    } else {
        assert_eq!(packet.transport, Transport::None);
    }
    match &packet.transport {
        Transport::None | Transport::Other(_) => {}
        Transport::Tcp(tcp) => {
            part(tcp.payload, tcp.payload_wire_len);
            assert!(tcp.options.len() <= 40 && tcp.option_list().count() <= 40);
            let _ = tcp.maximum_segment_size();
        }
        Transport::Udp(udp) => part(udp.payload, udp.payload_wire_len),
        Transport::Icmp(icmp) => part(icmp.payload, icmp.payload_wire_len),
        Transport::Icmpv6(icmp) => {
            part(icmp.payload, icmp.payload_wire_len);
            let _ = (icmp.neighbour(), icmp.router_advertisement());
        }
    }
    let _ =
        (packet.source_mac(), packet.ports(), packet.arp().map(|arp| (arp.is_probe(), arp.is_gratuitous())));
}
