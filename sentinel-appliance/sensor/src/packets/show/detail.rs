//! What a packet says, in a few words.

use std::fmt::{Result, Write};

use sentinel_dissect::{Arp, Icmp, Icmpv6, Network, Tcp, TcpFlags, Transport, dhcp, dns, quic, tls};

use super::facts::{Application, Facts, Quic};
use super::printable;
use crate::packets::record;

/// Answers shown of one DNS message.
const MAX_ANSWERS: usize = 8;

/// Names of the control bits of TCP, lowest first.
pub(super) const TCP_FLAGS: [&str; 8] = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"];

/// Writes it; nothing if the addresses say all there is.
pub(super) fn write(facts: &Facts<'_>, out: &mut String) -> Result {
    let packet = &facts.packet;
    if let Some(link) = facts.unread {
        write!(out, "link type {link}, {} bytes", packet.wire_len)?;
        return Ok(());
    }
    match &facts.application {
        Application::None => below_application(facts, out)?,
        Application::Dns(message) => dns_message(message, out)?,
        Application::Dhcp(message) => dhcp_message(message, out)?,
        Application::ClientHello(hello) => {
            out.push_str("ClientHello ");
            if let Some(name) = hello.sni() {
                printable::push(name, out);
                out.push(' ');
            }
            record::tls_version(hello.newest_version(), out)?;
        }
        Application::ServerHello(flight) => {
            out.push_str("ServerHello ");
            let mut joined = vec![0; flight.len()];
            if let Ok(hello) = tls::ServerHello::parse(flight, &mut joined) {
                record::tls_version(hello.version(), out)?;
            }
        }
        Application::TlsRecord(content) => {
            out.push_str(match content {
                20 => "ChangeCipherSpec",
                21 => "Alert",
                22 => "Handshake",
                _ => "ApplicationData",
            });
            payload(packet.transport, out)?;
        }
        Application::Request(request) => {
            write!(out, "{} ", request.method)?;
            printable::push(request.target, out);
            if let Some(host) = request.host() {
                out.push(' ');
                printable::push(host, out);
            }
        }
        Application::Response(response) => {
            write!(out, "{} ", response.status)?;
            printable::push(response.reason, out);
        }
        Application::Ssh(banner) => {
            write!(out, "SSH-{}-{}", banner.protocol_version, banner.software)?;
            if let Some(comments) = banner.comments {
                write!(out, " {comments}")?;
            }
        }
        Application::Quic(quic) => {
            quic_packet(quic, out)?;
            payload(packet.transport, out)?;
        }
        Application::Encrypted => {
            out.push_str("data");
            payload(packet.transport, out)?;
        }
    }
    surroundings(facts, out)
}

/// The kind of packet, the server's name if it is there, and the version.
fn quic_packet(quic: &Quic, out: &mut String) -> Result {
    // Version 2 numbers the kinds from one on (RFC 9369 section 3.2).
    let kind = if quic.version == quic::VERSION_2 { quic.kind.wrapping_sub(1) & 3 } else { quic.kind };
    out.push_str(match (kind, quic.version) {
        (_, 0) => "VersionNegotiation ",
        (0, _) => "Initial ",
        (1, _) => "0-RTT ",
        (2, _) => "Handshake ",
        _ => "Retry ",
    });
    let hello = tls::ClientHello::parse_message(&quic.hello.0);
    if let Ok(Some(name)) = hello.as_ref().map(tls::ClientHello::sni) {
        printable::push(name, out);
        out.push(' ');
    }
    write!(out, "version 0x{:x}", quic.version)
}

/// Ports do not belong here: they stand before.
fn below_application(facts: &Facts<'_>, out: &mut String) -> Result {
    let packet = &facts.packet;
    match &packet.transport {
        Transport::Tcp(tcp) => segment(tcp, out),
        Transport::Udp(udp) => write!(out, "len {}", udp.payload_wire_len),
        Transport::Icmp(icmp) => icmp_message(icmp, out),
        Transport::Icmpv6(icmp) => icmpv6_message(icmp, out),
        Transport::Other(_) | Transport::None => match &packet.network {
            Network::Ip(ip) if facts.protocol == "IP" => {
                write!(out, "protocol {} len {}", ip.protocol, ip.payload_wire_len)
            }
            Network::Ip(ip) => write!(out, "len {}", ip.payload_wire_len),
            Network::Arp(arp) => arp_message(arp, out),
            Network::Other(ethertype) => {
                write!(out, "ethertype 0x{ethertype:04x}, {} bytes", packet.wire_len)
            }
            Network::Llc { destination, source } => {
                write!(out, "dsap 0x{destination:02x} ssap 0x{source:02x}, {} bytes", packet.wire_len)
            }
            Network::None => write!(out, "{} bytes", packet.wire_len),
        },
    }
}

/// What belongs to the packet whatever it carries: fragment, tags, faults.
fn surroundings(facts: &Facts<'_>, out: &mut String) -> Result {
    let packet = &facts.packet;
    if let Some(fragment) = packet.ip().and_then(|ip| ip.fragment) {
        write!(out, " fragment id {} offset {}", fragment.identification, fragment.offset)?;
        out.push_str(if fragment.more { " more" } else { " last" });
    }
    if let Some(outer) = packet.vlans.outer() {
        write!(out, " vlan {}", outer.id())?;
    }
    if let Some(inner) = packet.vlans.inner() {
        write!(out, ".{}", inner.id())?;
    }
    if let Some((layer, fault)) = packet.malformed {
        write!(out, " malformed {layer} header: {fault}")?;
    }
    Ok(())
}

/// ` len N`, if there is a payload.
fn payload(transport: Transport<'_>, out: &mut String) -> Result {
    match transport {
        Transport::Tcp(Tcp { payload_wire_len: length @ 1.., .. }) => write!(out, " len {length}"),
        Transport::Udp(udp) => write!(out, " len {}", udp.payload_wire_len),
        _ => Ok(()),
    }
}

fn segment(tcp: &Tcp<'_>, out: &mut String) -> Result {
    out.push('[');
    let set = TCP_FLAGS.iter().enumerate().filter(|(bit, _)| tcp.flags.has(TcpFlags(1 << bit)));
    for (index, (_, name)) in set.enumerate() {
        out.push_str(if index == 0 { "" } else { ", " });
        out.push_str(name);
    }
    out.push(']');
    payload(Transport::Tcp(*tcp), out)
}

fn arp_message(arp: &Arp, out: &mut String) -> Result {
    if arp.is_gratuitous() {
        write!(out, "announcement {} is-at {}", arp.sender_ip, arp.sender_mac)
    } else if arp.is_request() {
        write!(out, "who-has {} tell {}", arp.target_ip, arp.sender_ip)
    } else if arp.is_reply() {
        write!(out, "{} is-at {}", arp.sender_ip, arp.sender_mac)
    } else {
        write!(out, "operation {} from {}", arp.operation, arp.sender_mac)
    }
}

fn icmp_message(icmp: &Icmp<'_>, out: &mut String) -> Result {
    let echo = |name: &str, out: &mut String| {
        write!(out, "echo {name} id {} seq {}", icmp.identifier(), icmp.sequence())
    };
    match (icmp.kind, icmp.code) {
        (0, _) => echo("reply", out),
        (8, _) => echo("request", out),
        (3, code) => {
            let what = match code {
                0 => "network",
                1 => "host",
                2 => "protocol",
                3 => "port",
                4 => "fragmentation needed",
                9 | 10 | 13 => "prohibited",
                _ => return write!(out, "unreachable code {code}"),
            };
            write!(out, "unreachable {what}")
        }
        (5, _) => {
            let [a, b, c, d] = icmp.rest_of_header.to_be_bytes();
            write!(out, "redirect to {a}.{b}.{c}.{d}")
        }
        (11, 0) => out.write_str("time exceeded in transit"),
        (11, _) => out.write_str("time exceeded putting fragments together"),
        (9, _) => out.write_str("router advertisement"),
        (10, _) => out.write_str("router solicitation"),
        (12, _) => out.write_str("parameter problem"),
        (13, _) => out.write_str("timestamp request"),
        (14, _) => out.write_str("timestamp reply"),
        (kind, code) => write!(out, "type {kind} code {code}"),
    }
}

fn icmpv6_message(icmp: &Icmpv6<'_>, out: &mut String) -> Result {
    if let Some(neighbour) = icmp.neighbour() {
        let verb = if neighbour.is_advertisement { "neighbour" } else { "who-has" };
        write!(out, "{verb} {}", neighbour.target)?;
        return match neighbour.link_layer {
            Some(mac) if neighbour.is_advertisement => write!(out, " is-at {mac}"),
            Some(mac) => write!(out, " tell {mac}"),
            None => Ok(()),
        };
    }
    let (id, sequence) = (icmp.rest_of_header >> 16, icmp.rest_of_header & 0xffff);
    out.write_str(match icmp.kind {
        1 => match icmp.code {
            0 => "unreachable no route",
            1 => "unreachable prohibited",
            3 => "unreachable address",
            4 => "unreachable port",
            code => return write!(out, "unreachable code {code}"),
        },
        2 => return write!(out, "packet too big mtu {}", icmp.rest_of_header),
        3 => "time exceeded",
        4 => "parameter problem",
        128 => return write!(out, "echo request id {id} seq {sequence}"),
        129 => return write!(out, "echo reply id {id} seq {sequence}"),
        130 => "multicast listener query",
        131 | 143 => "multicast listener report",
        132 => "multicast listener done",
        133 => "router solicitation",
        134 => "router advertisement",
        137 => "redirect",
        kind => return write!(out, "type {kind} code {}", icmp.code),
    })
}

fn dhcp_message(message: &dhcp::Message, out: &mut String) -> Result {
    out.write_str(match message.kind {
        Some(dhcp::Kind::Discover) => "DISCOVER",
        Some(dhcp::Kind::Offer) => "OFFER",
        Some(dhcp::Kind::Request) => "REQUEST",
        Some(dhcp::Kind::Decline) => "DECLINE",
        Some(dhcp::Kind::Ack) => "ACK",
        Some(dhcp::Kind::Nak) => "NAK",
        Some(dhcp::Kind::Release) => "RELEASE",
        Some(dhcp::Kind::Inform) => "INFORM",
        None if message.is_reply => "BOOTP reply",
        _ => "BOOTP request",
    })?;
    if !message.your_ip.is_unspecified() {
        write!(out, " {}", message.your_ip)?;
    }
    write!(out, " for {}", message.client_mac)
}

/// `example.com A`, and of an answer ` = 192.0.2.1, 192.0.2.2` or the reason why there is none.
fn dns_message(message: &dns::Message<'_>, out: &mut String) -> Result {
    let mut buffer = dns::NameBuffer::new();
    if message.opcode() != 0 {
        write!(out, "opcode {} ", message.opcode())?;
    }
    match message.question() {
        Ok(Some(question)) => {
            let name = if question.name.is_root() { "." } else { question.name.text(&mut buffer) };
            write!(out, "{name} {}", question.qtype)?;
        }
        // Multicast answers repeat no question.
        Ok(None) => match message.answers().next() {
            Some(Ok(answer)) => write!(out, "{} {}", answer.name, answer.record_type)?,
            _ => out.push_str("no question"),
        },
        Err(error) => write!(out, "malformed question: {error}")?,
    }
    if !message.is_response() {
        return Ok(());
    }
    out.push_str(" =");
    let mut text = String::new();
    let mut shown = 0;
    for answer in message.answers().map_while(std::result::Result::ok) {
        if shown == MAX_ANSWERS {
            out.push_str(" ...");
            return Ok(());
        }
        text.clear();
        record::write_answer(&answer, &mut text, &mut buffer)?;
        out.push_str(if shown == 0 { " " } else { ", " });
        if !matches!(answer.record_type, dns::RecordType::A | dns::RecordType::AAAA) {
            write!(out, "{} ", answer.record_type)?;
        }
        printable::push(text.as_bytes(), out);
        shown += 1;
    }
    match message.response_code() {
        0 if shown == 0 => out.write_str(" none"),
        0 => Ok(()),
        1 => out.write_str(" FORMERR"),
        2 => out.write_str(" SERVFAIL"),
        3 => out.write_str(" NXDOMAIN"),
        4 => out.write_str(" NOTIMP"),
        5 => out.write_str(" REFUSED"),
        other => write!(out, " rcode {other}"),
    }
}
