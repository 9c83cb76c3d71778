//! A packet as one line.

use std::fmt::{Result, Write};

use sentinel_dissect::Transport;
use sentinel_units::{Port, Timestamp};

use super::{Facts, detail};
use crate::packets::fields::Colour;

/// Writes a time in UTC: `2025-05-15 10:30:01.123456`.
pub(crate) fn time(at: Timestamp, out: &mut String) -> Result {
    let start = out.len();
    write!(out, "{}", at.rfc3339())?;
    out.pop();
    if let Some(separator) = out.get(start..).and_then(|text| text.find('T')) {
        out.replace_range(start + separator..=start + separator, " ");
    }
    Ok(())
}

/// Form of a line.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Style {
    pub(crate) colours: bool,
    /// With the header fields of IP and TCP.
    pub(crate) verbose: bool,
    /// With the hardware addresses and the length of the frame.
    pub(crate) link_header: bool,
}

/// `2025-05-15 10:30:01.123456 - TCP 192.168.1.100 -> 8.8.8.8 12345 -> 80 [SYN]`.
pub(crate) fn write(at: Timestamp, facts: &Facts<'_>, style: Style, out: &mut String) -> Result {
    time(at, out)?;
    out.push_str(" - ");
    if style.link_header {
        link_header(facts, out)?;
    }
    let colour = if style.colours { colour(facts) } else { None };
    if let Some(colour) = colour {
        write!(out, "\x1b[{}m", colour.number())?;
    }
    let (source, destination) = facts.endpoints();
    write!(out, "{} {source} -> {destination} ", facts.protocol)?;
    summary(facts, out)?;
    if style.verbose {
        detail::headers(facts, out)?;
    }
    if colour.is_some() {
        out.push_str("\x1b[0m");
    }
    Ok(())
}

/// Writes `02:00:0a:14:1e:42 -> 02:00:0a:14:1e:0a 60 bytes: `.
fn link_header(facts: &Facts<'_>, out: &mut String) -> Result {
    let packet = &facts.packet;
    match (packet.ethernet, packet.source_mac()) {
        (Some(ethernet), _) => write!(out, "{} -> {} ", ethernet.source, ethernet.destination)?,
        (None, Some(source)) => write!(out, "{source} -> ? ")?,
        (None, None) => {}
    }
    write!(out, "{} bytes: ", packet.wire_len)
}

/// Writes the part behind the addresses: ports and contents.
pub(crate) fn summary(facts: &Facts<'_>, out: &mut String) -> Result {
    if let Some((Port(source), Port(destination))) = facts.ports {
        write!(out, "{source} -> {destination} ")?;
    }
    detail::write(facts, out)
}

/// Colour of a packet: that of its application, else of its transport.
fn colour(facts: &Facts<'_>) -> Option<Colour> {
    facts.application.colour().or(match facts.packet.transport {
        Transport::Tcp(_) => Some(Colour::Blue),
        Transport::Udp(_) => Some(Colour::Green),
        _ => None,
    })
}
