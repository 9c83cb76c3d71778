//! Malformed frames with one error each, and every truncation of some correct frames.

use super::{Expected, Parameters, Scenario};
use crate::application::dns::{self, record};
use crate::application::{http, tls};
use crate::packet::{
    Arp, Encapsulation, Extension, Family, Icmp, Network, Path, Tcp, ethertype, flags, protocol,
};
use crate::{Packets, Timeline};

/// Some of the noise is TCP with flags that nobody sends.
const ANY: &[Expected] = &[("protocol_anomaly", "*"), ("port_scan", "crafted_packets")];

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "bad",
    description: "malformed frames: cut headers, wrong lengths, pointer loops, noise",
    expected: &[],
    allowed: ANY,
    well_formed: false,
    build,
}];

/// Lengths of the headers in front, over Ethernet without tags.
const ETHERNET: usize = 14;
const IPV4: usize = 20;

fn build(parameters: &Parameters) -> Packets {
    let v4 = Path::between(&parameters.topology.client, &parameters.topology.victim, Family::V4);
    let v6 = Path::between(&parameters.topology.client, &parameters.topology.victim, Family::V6);
    let mut frames = cuts(parameters, &v4, &v6);
    frames.extend(wrong_links(&v4));
    frames.extend(wrong_ipv4(&v4));
    frames.extend(wrong_ipv6(&v6));
    frames.extend(wrong_segments(&v4));
    frames.extend(wrong_names(&v4));
    frames.extend(wrong_hellos(parameters, &v4));
    let mut random = parameters.random();
    for _ in 0..200 {
        let length = random.length(0..200);
        frames.push(random.bytes(length));
        // Random bytes after a valid header reach the parsers behind it.
        let noise = random.bytes(length);
        let protocol = random.pick(&[&1, &6, &17, &41, &47, &132], &6);
        frames.push(v4.frame(*protocol, &noise));
        frames.push(v6.frame(*protocol, &noise));
        frames.push(v4.udp(40_000, dns::PORT, &noise));
    }
    let mut timeline = Timeline::default();
    for frame in frames {
        timeline.push(frame);
        timeline.wait_us(1_000);
    }
    timeline.play()
}

/// Copy of `frame` with `bytes` written at offset `at`; unchanged if they do not fit.
fn patched(frame: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut patched = frame.to_vec();
    if let Some(place) = patched.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
    patched
}

/// Every prefix of one frame of each protocol, with the length fields of the complete frame.
fn cuts(parameters: &Parameters, v4: &Path, v6: &Path) -> Vec<Vec<u8>> {
    let mut random = parameters.random();
    let mut tagged = v4.clone();
    tagged.link.encapsulation = Encapsulation::QinQ { outer: 2, inner: 3 };
    let mut session = v6.clone();
    session.link.encapsulation = Encapsulation::Pppoe { session: 4 };
    let extended = Path {
        network: Network { extensions: vec![Extension::HopByHop, Extension::Routing], ..v6.network.clone() },
        ..v6.clone()
    };
    let query = dns::query(7, "www.example.net", record::A);
    let data = Tcp { source: 40_000, destination: tls::PORT, flags: flags::ACK, ..Tcp::default() };
    let complete = [
        Arp::request(&parameters.topology.client, parameters.topology.victim.v4).frame(),
        tagged.udp(40_000, dns::PORT, &query),
        session.udp(40_000, dns::PORT, &query),
        extended.udp(40_000, dns::PORT, &query),
        v4.icmp(&Icmp::EchoRequest { identifier: 1, sequence: 1, payload: &[7; 8] }),
        v6.icmp(&Icmp::EchoRequest { identifier: 1, sequence: 1, payload: &[7; 8] }),
        v4.tcp(&data, &tls::client_hello("www.example.net", &mut random)),
        v4.tcp(&Tcp { destination: http::PORT, ..data }, &http::request("GET", "www.example.net", "/")),
    ];
    complete
        .iter()
        .flat_map(|frame| (0..frame.len()).filter_map(|end| frame.get(..end)))
        .map(<[u8]>::to_vec)
        .collect()
}

fn wrong_links(v4: &Path) -> Vec<Vec<u8>> {
    let packet = v4.network.packet(protocol::UDP, &[0; 8]);
    let header = v4.link.frame(ethertype::VLAN, &[]);
    let deep = [&header[..], &[0, 1, 0x81, 0].repeat(40), &[0, 1, 8, 0], &packet].concat();
    let mut session = v4.clone();
    session.link.encapsulation = Encapsulation::Pppoe { session: 1 };
    let session = session.wrap(&packet);
    let arp = |at, bytes: &[u8]| {
        let request = Arp::request(&crate::Topology::default().client, crate::Topology::default().victim.v4);
        patched(&request.frame(), ETHERNET + at, bytes)
    };
    vec![
        deep,                                           // forty tags
        patched(&session, ETHERNET + 4, &[0xff, 0xff]), // length beyond the frame
        patched(&session, ETHERNET + 4, &[0, 0]),       // length shorter than its protocol field
        patched(&session, ETHERNET, &[0x22]),           // unknown version
        arp(4, &[0]),                                   // hardware addresses of no length
        arp(4, &[255]),                                 // longer than the packet
        arp(5, &[16]),                                  // protocol addresses of another length
        arp(6, &[0xff, 0xff]),                          // unknown operation
        v4.link.frame(0x05dc, &packet),                 // a length of 802.3, not a type
        v4.link.frame(0x0000, &[]),                     // nothing
    ]
}

fn wrong_ipv4(v4: &Path) -> Vec<Vec<u8>> {
    let frame = v4.udp(40_000, 40_001, &[7; 32]);
    let at = |offset, bytes: &[u8]| patched(&frame, ETHERNET + offset, bytes);
    let fragment = |offset: u16, more: bool| {
        let field = offset | if more { 0x2000 } else { 0 };
        at(6, &field.to_be_bytes())
    };
    vec![
        at(0, &[0x44]),                // header shorter than twenty bytes
        at(0, &[0x4f]),                // header longer than its packet's rest
        at(0, &[0x75]),                // version 7
        at(2, &[0, 19]),               // total length shorter than the header
        at(2, &[0xff, 0xff]),          // longer than the frame
        at(2, &[0, 0]),                // zero, as segmentation offload leaves it
        at(8, &[0]),                   // no time to live
        at(10, &[0xba, 0xad]),         // wrong checksum
        at(12, &[10, 20, 30, 10]),     // source and destination alike
        at(12, &[255, 255, 255, 255]), // broadcast as source
        fragment(0, true),             // a first fragment whose rest never comes
        fragment(1, true),             // overlaps the first one's transport header
        fragment(0x1fff, false),       // ends beyond 65,535 bytes
        fragment(3, false),
        fragment(3, false), // twice the same piece
    ]
}

fn wrong_ipv6(v6: &Path) -> Vec<Vec<u8>> {
    let frame = v6.udp(40_000, 40_001, &[7; 32]);
    let chain = |links: usize, next: u8| {
        let headers = [protocol::DESTINATION, 0, 1, 4, 0, 0, 0, 0].repeat(links);
        v6.frame(protocol::DESTINATION, &[&headers[..], &[next, 0, 1, 4, 0, 0, 0, 0], &[0; 8]].concat())
    };
    vec![
        patched(&frame, ETHERNET, &[0x40]), // version 4 inside an IPv6 frame
        patched(&frame, ETHERNET + 4, &[0xff, 0xff]), // payload beyond the frame
        patched(&frame, ETHERNET + 4, &[0, 0]), // a jumbogram without its option
        patched(&frame, ETHERNET + 6, &[59]), // "nothing follows", and yet something does
        chain(100, protocol::UDP),          // a hundred extension headers
        chain(100, protocol::DESTINATION),  // a chain without end
        v6.frame(protocol::HOP_BY_HOP, &[17, 255, 1, 4, 0, 0, 0, 0]), // longer than the packet
        v6.frame(protocol::HOP_BY_HOP, &[17, 0, 1, 200, 0, 0, 0, 0]), // an option longer than its header
        v6.frame(protocol::FRAGMENT, &[17, 0, 0xff, 0xf9, 0, 0, 0, 1, 7]), // ends beyond 65,535 bytes
        v6.frame(protocol::FRAGMENT, &[44, 0, 0, 0, 0, 0, 0, 1]), // a fragment of a fragment of nothing
        v6.frame(protocol::ROUTING, &[6, 2, 0, 255, 0, 0, 0, 0]), // type 0, which RFC 5095 forbids
        v6.frame(protocol::DESTINATION, &[protocol::HOP_BY_HOP, 0, 1, 4, 0, 0, 0, 0]), // out of order
    ]
}

fn wrong_segments(v4: &Path) -> Vec<Vec<u8>> {
    let syn = Tcp { source: 40_000, destination: 80, flags: flags::SYN, window: 1, ..Tcp::default() };
    let tcp = v4.tcp(&syn, &[0; 12]);
    let tcp_at = |offset, bytes: &[u8]| patched(&tcp, ETHERNET + IPV4 + offset, bytes);
    let udp = v4.udp(40_000, 40_001, &[7; 32]);
    let udp_at = |bytes: &[u8]| patched(&udp, ETHERNET + IPV4 + 4, bytes);
    let options = |list: &[u8; 12]| patched(&tcp_at(12, &[0x80]), ETHERNET + IPV4 + 20, list);
    vec![
        tcp_at(12, &[0x40]),                              // header shorter than twenty bytes
        tcp_at(12, &[0xf0]),                              // longer than the segment
        tcp_at(13, &[0xff]),                              // every flag
        tcp_at(13, &[flags::SYN | flags::FIN]),           // begin and end at once
        tcp_at(0, &[0, 0, 0, 0]),                         // port zero
        options(&[2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),   // an option of no length
        options(&[2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),   // shorter than its own head
        options(&[8, 200, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), // longer than the header
        options(&[1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2]),   // ends after the kind
        udp_at(&[0, 7]),                                  // shorter than its header
        udp_at(&[0, 0]),                                  // no length
        udp_at(&[0xff, 0xff]),                            // longer than the packet
        v4.frame(protocol::ICMP, &[8, 0, 0]),             // three bytes of eight
        v4.frame(protocol::ICMP, &[3, 3, 0, 0, 0, 0, 0, 0, 0x45, 0]), // quotes two bytes of a packet
    ]
}

/// DNS messages of one question each, with malformed names in wire format.
fn wrong_names(v4: &Path) -> Vec<Vec<u8>> {
    let message = |counts: [u8; 8], name: &[u8]| {
        v4.udp(40_000, dns::PORT, &[&[0, 1, 1, 0], &counts[..], name, &[0, 1, 0, 1]].concat())
    };
    let one = [0, 1, 0, 0, 0, 0, 0, 0];
    let long = [&[63][..], &[b'a'; 63]].concat().repeat(5);
    vec![
        message(one, &[0xc0, 12]),                         // a pointer to itself
        message(one, &[0xc0, 14, 0xc0, 12]),               // two that point at each other
        message(one, &[1, b'a', 0xc0, 12]),                // a label, and back to its start
        message(one, &[0xc0, 0xff]),                       // forwards, beyond the message
        message(one, &[0xff, 0xff]),                       // the farthest there is
        message(one, &[0xc0, 0]),                          // into the header
        message(one, &[0xc0]),                             // half a pointer
        message(one, &[0x40, b'a', 0]),                    // a reserved kind of label
        message(one, &[63, b'a', 0]),                      // a label beyond the message
        message(one, &[&long[..], &[0]].concat()),         // a name of 320 bytes
        message(one, &[1, 0, 1, b'.', 1, 0xff, 0]),        // zero, dot and 0xff inside labels
        message([0xff; 8], &[1, b'a', 0]),                 // 65,535 of everything
        message([0; 8], &[]),                              // no question
        v4.udp(40_000, dns::PORT, &[0, 1, 1, 0, 0]),       // half a header
        v4.udp(40_000, dns::PORT, &[]),                    // nothing
        v4.udp(dns::PORT, 40_000, &dns_record_too_long()), // an answer whose data would be 65,535 bytes
    ]
}

fn dns_record_too_long() -> Vec<u8> {
    let answer = dns::response(1, "a", record::A, &[dns::Answer::A(std::net::Ipv4Addr::LOCALHOST)]);
    // The length stands before the last four bytes.
    patched(&answer, answer.len() - 6, &[0xff, 0xff])
}

/// Malformed TLS hellos and HTTP requests. Offsets in the hello: 3 record length, 6 handshake length, 43 session
/// identifier, 76 cipher suites.
fn wrong_hellos(parameters: &Parameters, v4: &Path) -> Vec<Vec<u8>> {
    let hello = tls::client_hello("www.example.net", &mut parameters.random());
    let data = Tcp { source: 40_000, destination: tls::PORT, flags: flags::ACK, ..Tcp::default() };
    let frame = |bytes: &[u8]| v4.tcp(&data, bytes);
    let at = |offset, bytes: &[u8]| frame(&patched(&hello, offset, bytes));
    let name = hello.windows(3).position(|window| window == b"www").unwrap_or_default();
    let web = Tcp { destination: http::PORT, ..data.clone() };
    vec![
        at(3, &[0, 0]),               // an empty record
        at(3, &[0xff, 0xff]),         // over 16 KiB
        at(6, &[0, 0, 1]),            // a handshake of one byte
        at(6, &[0xff, 0xff, 0xff]),   // of 16 MiB
        at(43, &[255]),               // a session identifier of 255 bytes
        at(76, &[0xff, 0xff]),        // suites beyond the message
        at(76, &[0, 1]),              // half a suite
        at(name - 2, &[0, 0]),        // an empty server name
        at(name - 2, &[0xff, 0xff]),  // one beyond its extension
        at(name - 5, &[0, 0]),        // an empty list of names
        at(name - 7, &[0xff, 0xff]),  // an extension beyond the message
        at(name, &[0, 0xff, b'\n']),  // a name that is not one
        v4.tcp(&web, &[b'A'; 1_400]), // a method without end
        v4.tcp(&web, b"GET / HTTP/9.9\r\n: \r\nHost\r\n\r\n"),
        v4.tcp(&web, b"GET  \r\n\r\n\r\n"),
        v4.tcp(&web, &[b"GET / HTTP/1.1\r\n", &b"a: b\r\n".repeat(200)[..]].concat()), // headers without end
    ]
}
