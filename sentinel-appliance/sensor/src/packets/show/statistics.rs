//! Sums over packets: number, bytes, hierarchy of protocols, top talkers.

use std::fmt::{Result, Write};
use std::time::Duration;

use sentinel_dissect::{Network, Transport};
use sentinel_units::{ByteCount, Rate, Timestamp};

use super::Facts;
use super::talkers::Talkers;
use crate::packets::fields::Application;

/// Talkers shown.
const SHOWN_TALKERS: usize = 10;
/// Lines of the hierarchy; names are from fixed lists, so there are not many.
const MAX_PROTOCOLS: usize = 128;

/// The sums. Memory: 128 protocols and 256 talkers at most.
#[derive(Debug, Default)]
pub(crate) struct Statistics {
    all: Sum,
    first: Option<Timestamp>,
    last: Timestamp,
    /// By path.
    protocols: Vec<Protocol>,
    talkers: Talkers,
    /// Sums at the last report, and its time.
    before: (Sum, Timestamp),
}

#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    packets: u64,
    bytes: u64,
}

impl Sum {
    fn add(&mut self, bytes: u64) {
        self.packets += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

/// A line of the hierarchy.
#[derive(Debug)]
struct Protocol {
    /// Network, transport, application; outer ones alone are lines as well.
    path: [&'static str; 3],
    sum: Sum,
}

impl Statistics {
    /// Adds a packet.
    pub(crate) fn add(&mut self, at: Timestamp, facts: &Facts<'_>) {
        let bytes = u64::from(facts.packet.wire_len);
        self.all.add(bytes);
        self.first = Some(self.first.map_or(at, |first| first.min(at)));
        self.last = self.last.max(at);
        let [network, transport, application] = path(facts);
        self.protocol([network, "", ""], bytes);
        if !transport.is_empty() {
            self.protocol([network, transport, ""], bytes);
        }
        if !application.is_empty() {
            self.protocol([network, transport, application], bytes);
        }
        if let Some(ip) = facts.packet.ip() {
            self.talkers.add(ip.source, bytes);
            self.talkers.add(ip.destination, bytes);
        }
    }

    fn protocol(&mut self, path: [&'static str; 3], bytes: u64) {
        match self.protocols.binary_search_by_key(&path, |line| line.path) {
            Ok(found) => {
                if let Some(line) = self.protocols.get_mut(found) {
                    line.sum.add(bytes);
                }
            }
            Err(at) if self.protocols.len() < MAX_PROTOCOLS => {
                self.protocols.insert(at, Protocol { path, sum: Sum { packets: 1, bytes } });
            }
            Err(_) => {}
        }
    }

    /// Writes one line for the time since the last one; `now` is packet time.
    pub(crate) fn interval(&mut self, now: Timestamp, out: &mut String) -> Result {
        let (before, since) = self.before;
        let since = if since == Timestamp::ZERO { self.first.unwrap_or(now) } else { since };
        let span = now.since(since);
        let (packets, bytes) = (self.all.packets - before.packets, self.all.bytes - before.bytes);
        self.before = (self.all, now);
        write!(out, "{packets} packets, {}, ", ByteCount(bytes))?;
        rates(packets, bytes, span, out)?;
        writeln!(out, "; {} packets, {} in all", self.all.packets, ByteCount(self.all.bytes))
    }

    /// Writes the complete report.
    pub(crate) fn report(&self, out: &mut String) -> Result {
        let span = self.last.since(self.first.unwrap_or(self.last));
        write!(out, "{} packets, {} in {}", self.all.packets, ByteCount(self.all.bytes), seconds(span))?;
        out.push_str(", ");
        rates(self.all.packets, self.all.bytes, span, out)?;
        out.push_str("\n\nprotocol                   packets           bytes  share of bytes\n");
        for line in &self.protocols {
            let depth = line.path.iter().filter(|name| !name.is_empty()).count();
            let name = line.path.get(depth.saturating_sub(1)).copied().unwrap_or_default();
            let indent = 2 * depth.saturating_sub(1);
            let width = 20_usize.saturating_sub(indent);
            let share = line.sum.bytes.saturating_mul(1_000).checked_div(self.all.bytes).unwrap_or(0);
            write!(out, "{:indent$}{name:width$} {:13} {:15}", "", line.sum.packets, line.sum.bytes)?;
            writeln!(out, " {:11}.{} %", share / 10, share % 10)?;
        }
        out.push_str("\naddress                                           packets           bytes\n");
        for talker in self.talkers.top(SHOWN_TALKERS) {
            write!(out, "{:43} {:13} {:15}", talker.address.to_string(), talker.packets, talker.bytes)?;
            if talker.error_bytes > 0 {
                write!(out, " (at least {})", talker.bytes - talker.error_bytes)?;
            }
            out.push('\n');
        }
        Ok(())
    }
}

/// `12 packets/s, 34.5 kbit/s`; without a rate if no time passed.
fn rates(packets: u64, bytes: u64, span: Duration, out: &mut String) -> Result {
    let (packets, kilobits) = (Rate::over(packets, span), Rate::over(bytes.saturating_mul(8), span));
    write!(out, "{} packets/s, {}.{:03} kbit/s", packets.0, kilobits.0 / 1_000, kilobits.0 % 1_000)
}

/// `1.234 s`.
pub(crate) fn seconds(span: Duration) -> String {
    format!("{}.{:03} s", span.as_secs(), span.subsec_millis())
}

/// Network, transport and application of a packet, empty where there is none.
fn path(facts: &Facts<'_>) -> [&'static str; 3] {
    let packet = &facts.packet;
    let network = match &packet.network {
        Network::Ip(ip) if ip.is_v4() => "IPv4",
        Network::Ip(_) => "IPv6",
        _ => return [facts.protocol, "", ""],
    };
    let transport = match &packet.transport {
        Transport::Tcp(_) => "TCP",
        Transport::Udp(_) => "UDP",
        _ => return [network, facts.protocol, ""],
    };
    match facts.application {
        Application::None => [network, transport, ""],
        _ => [network, transport, facts.protocol],
    }
}
