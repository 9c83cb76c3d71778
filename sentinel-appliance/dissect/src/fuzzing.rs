//! One function per parser: reads everything there is to read and checks what must always hold.
//!
//! `tools/fuzz` calls these with what it makes up; `tests/fuzz_corpus.rs` replays the committed corpus
//! and mutations of it.

use sentinel_units::LinkType;

use crate::dns::{self, RecordData};
use crate::framing::Probe;
use crate::{
    Malformed, Network, Packet, PacketSummary, Transport, dhcp, framing, http, quic, ssh, tls, tunnel, x509,
};

/// A parser by name; the name is that of its corpus directory.
pub type Body = (&'static str, fn(&[u8]));

/// All of them.
pub const BODIES: &[Body] = &[
    ("packet", packet),
    ("dhcp_message", dhcp_message),
    ("dns_message", dns_message),
    ("dns_stream", dns_stream),
    ("tls_client_hello", tls_client_hello),
    ("tls_server_hello", tls_server_hello),
    ("certificate", certificate),
    ("quic_initial", quic_initial),
    ("quic_frames", quic_frames),
    ("ssh_banner", ssh_banner),
    ("first_flight", first_message),
    ("http_request", http_request),
    ("http_response", http_response),
];

/// A frame. The first byte chooses the link type and whether the card took off a tag, the second how many
/// bytes the capture cut off.
pub fn packet(bytes: &[u8]) {
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
    if let Some(read) = crate::summarize(link, frame, wire_len) {
        assert_eq!((PacketSummary::of(&packet), packet.malformed), (Some(read), None));
    }
}

/// What holds for every packet, whatever its bytes.
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
            let _ = icmp.neighbour();
        }
    }
    let _ =
        (packet.source_mac(), packet.ports(), packet.arp().map(|arp| (arp.is_probe(), arp.is_gratuitous())));
}

/// A DHCP message.
pub fn dhcp_message(bytes: &[u8]) {
    let Ok(message) = dhcp::Message::parse(bytes) else { return };
    assert!(message.your_ip.is_v4() && message.client_ip.is_v4());
    // Everything up to the cookie is fixed; the message type takes three bytes more.
    assert!(bytes.len() >= if message.kind.is_some() { 243 } else { 240 });
}

/// A DNS message.
pub fn dns_message(bytes: &[u8]) {
    let Ok(message) = dns::Message::parse(bytes) else { return };
    let mut buffer = dns::NameBuffer::new();
    let mut read = |name: dns::Name<'_>| {
        assert_eq!(name.text(&mut buffer).len(), name.text_len());
        assert_eq!(name.lowercase(&mut buffer).len(), name.text_len());
        let labels: usize = name.labels().map(|label| label.len() + 1).sum();
        assert_eq!(labels + 1, name.wire_len());
        assert!(name.wire_len() <= 255);
    };
    for question in message.questions().flatten() {
        read(question.name);
    }
    let mut count = 0;
    for record in message.records().flatten() {
        count += 1;
        read(record.name);
        match record.data() {
            Ok(RecordData::Cname(name) | RecordData::Ns(name) | RecordData::Ptr(name)) => read(name),
            Ok(RecordData::Mx { exchange: name, .. }) => read(name),
            Ok(RecordData::Srv { target, .. } | RecordData::Service { target, .. }) => read(target),
            Ok(RecordData::Soa { primary, mailbox, .. }) => {
                read(primary);
                read(mailbox);
            }
            Ok(RecordData::Txt(strings)) => assert!(strings.count() <= record.bytes.len()),
            _ => {}
        }
    }
    assert!(count * 11 <= bytes.len(), "a record takes eleven bytes or more");
    let whole =
        message.questions().all(|question| question.is_ok()) && message.records().all(|it| it.is_ok());
    assert!(!whole || message.counts_fit());
}

/// DNS messages with a length before each.
pub fn dns_stream(bytes: &[u8]) {
    for message in dns::tcp_messages(bytes) {
        dns_message(message);
    }
}

/// A TLS client hello, whole and put together from its records.
pub fn tls_client_hello(bytes: &[u8]) {
    let mut joined = [0; 1024];
    let first = tls::ClientHello::parse(bytes);
    let all = tls::ClientHello::parse_joined(bytes, &mut joined);
    for hello in [&first, &all].into_iter().flatten() {
        assert!(tls::is_client_hello(bytes) || bytes.len() < 6 || all.is_ok());
        assert!(hello.session_id.len() <= 32);
        assert!(hello.extensions().count() <= 64);
        assert!(hello.sni().is_none_or(|name| !name.is_empty()));
        let _ = (hello.alpn().count(), hello.cipher_suites().count(), hello.newest_version());
    }
    if let (Ok(first), Ok(all)) = (first, all) {
        assert_eq!(first.random, all.random);
        assert!(first.malformed.is_some() || all.malformed.is_none());
    }
}

/// An HTTP request.
pub fn http_request(bytes: &[u8]) {
    let Ok(request) = http::Request::parse(bytes) else { return };
    assert!(!request.method.is_empty() && !request.target.is_empty());
    let _ = (request.host(), request.user_agent());
    check_head(&request.head, bytes);
}

/// An HTTP response.
pub fn http_response(bytes: &[u8]) {
    let Ok(response) = http::Response::parse(bytes) else { return };
    assert!((100..=999).contains(&response.status));
    check_head(&response.head, bytes);
}

fn check_head(head: &http::Head<'_>, bytes: &[u8]) {
    assert!(head.headers().count() <= 64);
    assert!(head.headers().all(|header| !header.name.is_empty()));
    assert!(head.body.is_empty() || bytes.ends_with(head.body));
    assert!(head.malformed != Some(Malformed::Truncated) || head.body.is_empty());
}

/// The first flight of a TLS server.
pub fn tls_server_hello(bytes: &[u8]) {
    let mut joined = [0; 512];
    let Ok(hello) = tls::ServerHello::parse(bytes, &mut joined) else { return };
    assert!(tls::is_server_hello(bytes));
    assert!(hello.extensions().count() <= 64);
    let _ = (hello.version(), hello.alpn(), hello.is_retry_request());
    assert!(hello.certificate.is_none_or(|der| !der.is_empty() && der.len() < bytes.len()));
}

/// A certificate.
pub fn certificate(bytes: &[u8]) {
    let Ok(certificate) = x509::Certificate::parse(bytes) else { return };
    for name in [certificate.issuer, certificate.subject] {
        let mut length = Length(0);
        let _ = core::fmt::write(&mut length, format_args!("{name}"));
        // An escaped sign, or a byte that becomes a letter of two.
        assert!(length.0 <= bytes.len() * 8);
        assert!(name.parts().count() <= 32);
    }
    let _ = (certificate.is_self_issued(), certificate.subject.common_name());
}

/// Counts what is written.
struct Length(usize);

impl core::fmt::Write for Length {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}

/// The header of a QUIC Initial packet.
pub fn quic_initial(bytes: &[u8]) {
    let Ok(initial) = quic::Initial::parse(bytes) else { return };
    assert!(initial.number_at <= initial.packet.len() && initial.packet.len() <= bytes.len());
    assert!(initial.destination.len() <= 20 && initial.source.len() <= 20);
}

/// The frames of a QUIC Initial packet.
pub fn quic_frames(bytes: &[u8]) {
    let pieces: usize = quic::crypto_frames(bytes).map(|piece| piece.bytes.len() + 3).sum();
    assert!(pieces <= bytes.len());
}

/// The first line of SSH.
pub fn ssh_banner(bytes: &[u8]) {
    let Ok(banner) = ssh::Banner::parse(bytes) else { return };
    assert!(banner.software.len() + banner.protocol_version.len() < 255);
}

/// Bytes of a stream. The first two choose the ports.
pub fn first_message(bytes: &[u8]) {
    let [source, destination, stream @ ..] = bytes else { return };
    let port = |byte: u8| sentinel_units::Port(u16::from(byte));
    if let Probe::More(need) = framing::probe(stream, (port(*source), port(*destination))) {
        assert!(need > stream.len(), "or the same bytes would be looked at for ever");
    }
}
