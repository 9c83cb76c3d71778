//! Conversations, and who opened them.
//!
//! Rules that count what a host does must count the side that opened the conversation, or every busy
//! server and resolver looks like a scanner.

use core::time::Duration;

use sentinel_dissect::TcpFlags;
use sentinel_units::{Address, Port, Timestamp};

use crate::hash::HashKey;
use crate::table::{Slot, Table};

/// A conversation is forgotten after this long without a packet.
///
/// RFC 5382 section 5 wants two hours for established TCP behind a NAT; for telling who opened a
/// conversation ten minutes serve, because a forgotten one is judged by its ports like one that began
/// before the sensor.
pub const FLOW_LIFETIME: Duration = Duration::from_secs(600);

/// Storage for one conversation.
pub type FlowSlot = Slot<FlowKey, Flow>;

/// Both ends in a fixed order, so that both directions have the same key.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct FlowKey {
    low: Address,
    high: Address,
    low_port: Port,
    high_port: Port,
    protocol: u8,
}

/// What is known of a conversation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flow {
    /// Whether the end with the lower address (then port) opened it.
    opened_by_low: bool,
    /// Whether that was seen, and not only judged by the ports.
    certain: bool,
}

/// One end of a packet.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct End {
    /// Its address.
    pub address: Address,
    /// Its port.
    pub port: Port,
}

/// How a packet stands to its conversation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Role {
    /// Whether the sender of this packet opened the conversation.
    pub from_opener: bool,
    /// Whether the opening was seen, and not only judged by the port numbers.
    pub certain: bool,
    /// Whether this is the first packet of the conversation that was seen.
    pub is_first: bool,
}

/// The conversations.
#[derive(Debug)]
pub struct Flows<'m> {
    table: Table<'m, FlowKey, Flow>,
}

impl<'m> Flows<'m> {
    /// Over lent storage.
    #[must_use]
    pub fn new(slots: &'m mut [FlowSlot]) -> Self {
        Self { table: Table::new(slots, FLOW_LIFETIME) }
    }

    /// The table, for its capacity and evictions.
    #[must_use]
    pub const fn table(&self) -> &Table<'m, FlowKey, Flow> {
        &self.table
    }

    /// Notes a TCP packet from `source` to `destination`.
    #[inline]
    pub fn tcp(
        &mut self,
        key: &HashKey,
        source: End,
        destination: End,
        flags: TcpFlags,
        now: Timestamp,
    ) -> Role {
        let opening = if flags.syn_only() {
            Some(true)
        } else if flags.syn_ack() {
            Some(false)
        } else {
            None
        };
        self.note(key, 6, source, destination, opening, now)
    }

    /// Notes a UDP packet from `source` to `destination`. The first packet opens, unless its ports say
    /// that it is an answer whose question came before the sensor.
    #[inline]
    pub fn udp(&mut self, key: &HashKey, source: End, destination: End, now: Timestamp) -> Role {
        self.note(key, 17, source, destination, None, now)
    }

    /// `opening`: whether this packet proves that its sender opened (or answered) the conversation.
    #[inline]
    fn note(
        &mut self,
        key: &HashKey,
        protocol: u8,
        source: End,
        destination: End,
        opening: Option<bool>,
        now: Timestamp,
    ) -> Role {
        let source_is_low = source <= destination;
        let (low, high) = if source_is_low { (source, destination) } else { (destination, source) };
        let flow_key = FlowKey {
            low: low.address,
            high: high.address,
            low_port: low.port,
            high_port: high.port,
            protocol,
        };
        let hash = hash(key, &flow_key);
        let judged = opening.unwrap_or_else(|| looks_like_opener(source.port, destination.port));
        let Some(entry) = self.table.entry(hash, flow_key, now) else {
            return Role { from_opener: judged, certain: opening.is_some(), is_first: true };
        };
        let flow = entry.value;
        if entry.is_new || opening.is_some() && !flow.certain {
            *flow = Flow { opened_by_low: judged == source_is_low, certain: opening.is_some() };
        }
        Role {
            from_opener: flow.opened_by_low == source_is_low,
            certain: flow.certain,
            is_first: entry.is_new,
        }
    }
}

#[inline]
fn hash(key: &HashKey, flow: &FlowKey) -> u32 {
    let ports = u32::from(flow.low_port.0) << 16 | u32::from(flow.high_port.0);
    let protocol = u32::from(flow.protocol);
    let (low, high) = (flow.low.words(), flow.high.words());
    if flow.low.is_v4() && flow.high.is_v4() {
        let ([.., low], [.., high]) = (low, high);
        return key.words([low, high, ports, protocol]);
    }
    let ([a, b, c, d], [e, f, g, h]) = (low, high);
    key.words([a, b, c, d, e, f, g, h, ports, protocol])
}

/// Whether the sender of a lone packet is likelier to have opened the conversation than its receiver.
///
/// Services live below 1024, or at least below the ports that systems pick for clients (RFC 6335
/// section 6: 49152 and up; Linux from 32768). Two ports of the same class: the sender.
#[inline]
pub(crate) const fn looks_like_opener(source: Port, destination: Port) -> bool {
    class(source) >= class(destination)
}

/// 0 for system ports, 1 for registered ones, 2 for those that clients draw from.
const fn class(port: Port) -> u8 {
    match port.0 {
        0..1024 => 0,
        1024..32_768 => 1,
        32_768.. => 2,
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec;

    fn end(last: u32, port: u16) -> End {
        End { address: Address::v4(0x0a00_0000 | last), port: Port(port) }
    }

    const KEY: HashKey = HashKey::new(1);
    const NOW: Timestamp = Timestamp::from_parts(1_700_000_000, 0);
    const SYN: TcpFlags = TcpFlags(0x02);
    const SYN_ACK: TcpFlags = TcpFlags(0x12);
    const ACK: TcpFlags = TcpFlags(0x10);

    #[test]
    fn the_sender_of_the_syn_opened_it() {
        for (client, server) in [(end(1, 40_000), end(2, 80)), (end(9, 40_000), end(2, 80))] {
            let mut slots = vec![FlowSlot::default(); 64];
            let mut flows = Flows::new(&mut slots);
            let first = flows.tcp(&KEY, client, server, SYN, NOW);
            assert_eq!(first, Role { from_opener: true, certain: true, is_first: true });
            let answer = flows.tcp(&KEY, server, client, SYN_ACK, NOW);
            assert_eq!(answer, Role { from_opener: false, certain: true, is_first: false });
        }
    }

    #[test]
    fn a_syn_ack_alone_tells_too() {
        let mut slots = vec![FlowSlot::default(); 64];
        let mut flows = Flows::new(&mut slots);
        // The ports alone would say the opposite.
        assert!(!flows.tcp(&KEY, end(1, 50_000), end(2, 80), SYN_ACK, NOW).from_opener);
        assert!(flows.tcp(&KEY, end(2, 80), end(1, 50_000), ACK, NOW).from_opener);
    }

    #[test]
    fn without_an_opening_the_ports_decide_and_a_later_syn_corrects() {
        let mut slots = vec![FlowSlot::default(); 64];
        let mut flows = Flows::new(&mut slots);
        let role = flows.tcp(&KEY, end(1, 443), end(2, 50_000), ACK, NOW);
        assert_eq!(role, Role { from_opener: false, certain: false, is_first: true });
        let role = flows.tcp(&KEY, end(1, 443), end(2, 50_000), SYN, NOW);
        assert_eq!(role, Role { from_opener: true, certain: true, is_first: false });
    }

    #[test]
    fn an_answer_of_a_resolver_opens_nothing() {
        let mut slots = vec![FlowSlot::default(); 64];
        let mut flows = Flows::new(&mut slots);
        assert!(!flows.udp(&KEY, end(1, 53), end(2, 33_000), NOW).from_opener);
        assert!(flows.udp(&KEY, end(2, 33_001), end(1, 53), NOW).from_opener);
        assert!(flows.udp(&KEY, end(2, 5_000), end(1, 5_001), NOW).from_opener);
    }

    #[test]
    fn without_storage_the_packet_alone_decides() {
        let mut flows = Flows::new(&mut []);
        assert!(flows.tcp(&KEY, end(1, 1), end(2, 2), SYN, NOW).from_opener);
    }
}
