//! A packet as one JSON object. The fields are described in OUTPUT.md.

use std::fmt::{Result, Write};

use sentinel_alert::json;
use sentinel_capture::Frame;
use sentinel_dissect::{Network, TcpFlags, Transport};

use super::detail::TCP_FLAGS;
use super::facts::Endpoint;
use super::{Facts, hex, line};

/// Writes the object.
///
/// `number` counts from one. `interface` is given for live captures. With `bytes`, the captured bytes are a field.
pub(crate) fn write(
    frame: &Frame<'_>,
    facts: &Facts<'_>,
    number: u64,
    interface: Option<&str>,
    bytes: bool,
    out: &mut String,
) -> Result {
    let packet = &facts.packet;
    write!(out, "{{\"time\":\"{}\",\"number\":{number}", frame.at.rfc3339())?;
    if let Some(interface) = interface {
        out.push_str(",\"interface\":");
        json::string(interface, out)?;
    }
    write!(out, ",\"protocol\":\"{}\"", facts.protocol)?;
    let (source, destination) = facts.endpoints();
    for (name, end) in [("src", source), ("dst", destination)] {
        match end {
            Endpoint::Unknown => write!(out, ",\"{name}\":null")?,
            known => write!(out, ",\"{name}\":\"{known}\"")?,
        }
    }
    match facts.ports {
        Some((source, destination)) => write!(out, ",\"src_port\":{source},\"dst_port\":{destination}")?,
        None => out.push_str(",\"src_port\":null,\"dst_port\":null"),
    }
    write!(out, ",\"wire_bytes\":{},\"captured_bytes\":{}", packet.wire_len, frame.bytes.len())?;
    out.push_str(",\"summary\":");
    let mut summary = String::new();
    line::summary(facts, &mut summary)?;
    json::string(&summary, out)?;
    link(facts, out)?;
    network(facts, out)?;
    transport(facts, out)?;
    if let Some((layer, fault)) = packet.malformed {
        write!(out, ",\"malformed\":\"{layer}: {fault}\"")?;
    }
    if bytes {
        out.push_str(",\"bytes\":\"");
        hex::digits(frame.bytes, out)?;
        out.push('"');
    }
    facts.application.json(out)?;
    out.push('}');
    Ok(())
}

fn link(facts: &Facts<'_>, out: &mut String) -> Result {
    let packet = &facts.packet;
    if let Some(link) = facts.unread {
        write!(out, ",\"link_type\":\"{link}\"")?;
    }
    if let Some(source) = packet.source_mac() {
        write!(out, ",\"src_mac\":\"{source}\"")?;
    }
    if let Some(ethernet) = packet.ethernet {
        write!(out, ",\"dst_mac\":\"{}\"", ethernet.destination)?;
    }
    match (packet.vlans.outer(), packet.vlans.inner()) {
        (Some(outer), Some(inner)) => write!(out, ",\"vlan\":[{},{}]", outer.id(), inner.id()),
        (Some(outer), None) => write!(out, ",\"vlan\":[{}]", outer.id()),
        _ => Ok(()),
    }
}

fn network(facts: &Facts<'_>, out: &mut String) -> Result {
    match &facts.packet.network {
        Network::Ip(ip) => {
            let version = if ip.is_v4() { 4 } else { 6 };
            write!(out, ",\"ip_version\":{version},\"ip_protocol\":{}", ip.protocol)?;
            write!(out, ",\"hop_limit\":{}", ip.hop_limit)?;
            if let Some(fragment) = ip.fragment {
                write!(out, ",\"fragment_id\":{}", fragment.identification)?;
                write!(out, ",\"fragment_offset_bytes\":{}", fragment.offset)?;
                write!(out, ",\"fragment_more\":{}", fragment.more)?;
            }
            Ok(())
        }
        Network::Arp(arp) => {
            write!(out, ",\"arp_operation\":{}", arp.operation)?;
            write!(out, ",\"arp_sender_mac\":\"{}\"", arp.sender_mac)?;
            write!(out, ",\"arp_target_mac\":\"{}\"", arp.target_mac)
        }
        Network::Other(ethertype) => write!(out, ",\"ethertype\":{ethertype}"),
        _ => Ok(()),
    }
}

fn transport(facts: &Facts<'_>, out: &mut String) -> Result {
    match &facts.packet.transport {
        Transport::Tcp(tcp) => {
            out.push_str(",\"tcp_flags\":[");
            let set = TCP_FLAGS.iter().enumerate().filter(|(bit, _)| tcp.flags.has(TcpFlags(1 << bit)));
            for (index, (_, name)) in set.enumerate() {
                let comma = if index == 0 { "" } else { "," };
                write!(out, "{comma}\"{name}\"")?;
            }
            write!(out, "],\"tcp_sequence\":{}", tcp.sequence)?;
            if tcp.flags.has(TcpFlags::ACK) {
                write!(out, ",\"tcp_acknowledgement\":{}", tcp.acknowledgement)?;
            }
            write!(out, ",\"tcp_window\":{},\"payload_bytes\":{}", tcp.window, tcp.payload_wire_len)
        }
        Transport::Udp(udp) => write!(out, ",\"payload_bytes\":{}", udp.payload_wire_len),
        Transport::Icmp(icmp) => icmp_fields(icmp.kind, icmp.code, icmp.payload_wire_len, out),
        Transport::Icmpv6(icmp) => icmp_fields(icmp.kind, icmp.code, icmp.payload_wire_len, out),
        Transport::Other(_) | Transport::None => Ok(()),
    }
}

fn icmp_fields(kind: u8, code: u8, payload_wire_len: u32, out: &mut String) -> Result {
    write!(out, ",\"icmp_type\":{kind},\"icmp_code\":{code},\"payload_bytes\":{payload_wire_len}")
}
