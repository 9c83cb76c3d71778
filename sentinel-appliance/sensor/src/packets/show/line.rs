//! A packet as one line.

use std::fmt::{Result, Write};

use sentinel_units::{Port, Timestamp};

use super::{Facts, detail};

/// The time as people read it, UTC: `2025-05-15 10:30:01.123456`.
pub(crate) fn time(at: Timestamp, out: &mut String) -> Result {
    let start = out.len();
    write!(out, "{}", at.rfc3339())?;
    out.pop();
    if let Some(separator) = out.get(start..).and_then(|text| text.find('T')) {
        out.replace_range(start + separator..=start + separator, " ");
    }
    Ok(())
}

/// `2025-05-15 10:30:01.123456 - TCP 192.168.1.100 -> 8.8.8.8 12345 -> 80 [SYN]`.
pub(crate) fn write(at: Timestamp, facts: &Facts<'_>, colours: bool, out: &mut String) -> Result {
    time(at, out)?;
    out.push_str(" - ");
    let colour = if colours { colour(facts.protocol) } else { None };
    if let Some(colour) = colour {
        write!(out, "\x1b[{colour}m")?;
    }
    let (source, destination) = facts.endpoints();
    write!(out, "{} {source} -> {destination} ", facts.protocol)?;
    summary(facts, out)?;
    if colour.is_some() {
        out.push_str("\x1b[0m");
    }
    Ok(())
}

/// What stands behind the addresses: ports, and what the packet says.
pub(crate) fn summary(facts: &Facts<'_>, out: &mut String) -> Result {
    if let Some((Port(source), Port(destination))) = facts.packet.ports() {
        write!(out, "{source} -> {destination} ")?;
    }
    detail::write(facts, out)
}

/// Number of the colour of a protocol (ECMA-48, "select graphic rendition").
fn colour(protocol: &str) -> Option<u8> {
    const GREEN: u8 = 32;
    const YELLOW: u8 = 33;
    const BLUE: u8 = 34;
    const MAGENTA: u8 = 35;
    const CYAN: u8 = 36;
    match protocol {
        "TCP" | "SSH" => Some(BLUE),
        "UDP" | "DHCP" => Some(GREEN),
        "HTTP" => Some(CYAN),
        "HTTPS" | "TLS" | "QUIC" => Some(MAGENTA),
        "DNS" | "MDNS" | "LLMNR" => Some(YELLOW),
        _ => None,
    }
}
