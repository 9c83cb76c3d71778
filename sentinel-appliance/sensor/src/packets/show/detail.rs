//! Contents of a packet in a few words: the application if it is read, else the layers below it.

use std::fmt::{Result, Write};

use sentinel_dissect::{Arp, Icmp, Icmpv6, Network, Tcp, TcpFlags, Transport, tunnel};

use super::facts::Facts;
use crate::packets::fields::Application;

/// Names of the control bits of TCP, lowest first.
pub(super) const TCP_FLAGS: [&str; 8] = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"];

/// Tunnels in tunnels that are shown.
const MAX_LAYERS: u8 = 4;

/// Writes the contents; nothing if the addresses say all there is. Of a tunnel, the packet inside follows in brackets.
pub(super) fn write(facts: &Facts<'_>, out: &mut String) -> Result {
    layers(facts, MAX_LAYERS, out)
}

fn layers(facts: &Facts<'_>, left: u8, out: &mut String) -> Result {
    contents(facts, out)?;
    let packet = &facts.packet;
    let inside = tunnel::decapsulate_any(packet);
    let (Some(inside), Some(left)) = (inside, left.checked_sub(1)) else { return Ok(()) };
    let inside = Facts::of_packet(inside);
    let (source, destination) = inside.endpoints();
    write!(out, " [{} {source} -> {destination} ", inside.protocol)?;
    if let Some((source, destination)) = inside.ports {
        write!(out, "{source} -> {destination} ")?;
    }
    layers(&inside, left, out)?;
    out.push(']');
    Ok(())
}

fn contents(facts: &Facts<'_>, out: &mut String) -> Result {
    let packet = &facts.packet;
    if let Some(link) = facts.unread {
        write!(out, "link type {link}, {} bytes", packet.wire_len)?;
        return Ok(());
    }
    match &facts.application {
        Application::None => below_application(facts, out)?,
        application => application.line(out)?,
    }
    surroundings(facts, out)
}

/// Writes the layers below the application, without ports, which stand before.
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

/// Writes what any packet may have: fragment, tags, faults.
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

fn segment(tcp: &Tcp<'_>, out: &mut String) -> Result {
    out.push('[');
    let set = TCP_FLAGS.iter().enumerate().filter(|(bit, _)| tcp.flags.has(TcpFlags(1 << bit)));
    for (index, (_, name)) in set.enumerate() {
        out.push_str(if index == 0 { "" } else { ", " });
        out.push_str(name);
    }
    out.push(']');
    match tcp.payload_wire_len {
        0 => Ok(()),
        length => write!(out, " len {length}"),
    }
}

/// Writes the header fields that `-v` adds: ` (ttl 64, len 60, seq 1, ack 2, win 64240, options [mss 1460, sackOK])`.
pub(super) fn headers(facts: &Facts<'_>, out: &mut String) -> Result {
    let Some(ip) = facts.packet.ip() else { return Ok(()) };
    write!(out, " (ttl {}, len {}", ip.hop_limit, ip.wire_len)?;
    if ip.traffic_class > 0 {
        write!(out, ", tos 0x{:x}", ip.traffic_class)?;
    }
    if let Transport::Tcp(tcp) = &facts.packet.transport {
        write!(out, ", seq {}", tcp.sequence)?;
        if tcp.flags.has(TcpFlags::ACK) {
            write!(out, ", ack {}", tcp.acknowledgement)?;
        }
        write!(out, ", win {}", tcp.window)?;
        tcp_options(tcp, out)?;
    }
    out.write_str(")")
}

/// Options in tcpdump's words, without padding.
fn tcp_options(tcp: &Tcp<'_>, out: &mut String) -> Result {
    let mut separator = ", options [";
    for option in tcp.option_list().filter(|option| option.kind != 1) {
        out.push_str(separator);
        separator = ", ";
        match (option.kind, option.data) {
            (2, [a, b]) => write!(out, "mss {}", u16::from_be_bytes([*a, *b]))?,
            (3, [shift]) => write!(out, "wscale {shift}")?,
            (4, []) => out.push_str("sackOK"),
            (5, blocks) => write!(out, "sack {}", blocks.len() / 8)?,
            (8, [a, b, c, d, e, f, g, h]) => {
                let value = u32::from_be_bytes([*a, *b, *c, *d]);
                write!(out, "TS val {value} ecr {}", u32::from_be_bytes([*e, *f, *g, *h]))?;
            }
            (kind, data) => write!(out, "kind {kind} len {}", data.len())?,
        }
    }
    out.push_str(if separator == ", " { "]" } else { "" });
    Ok(())
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
    let (id, sequence) = (icmp.identifier(), icmp.sequence());
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
