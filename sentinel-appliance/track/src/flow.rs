//! Conversations, and who opened them.
//!
//! Rules that count what a host does must count the side that opened the conversation, or every busy
//! server and resolver looks like a scanner.

use core::time::Duration;

use sentinel_dissect::{FiveTuple, TcpFlags, protocol};
use sentinel_units::{Address, Port, Timestamp};

use crate::hash::HashKey;
use crate::table::{CoarseSpan, Recycle, Set, Table};

/// A conversation is forgotten after this long without a packet.
///
/// RFC 5382 section 5 wants two hours for established TCP behind a NAT; for telling who opened a
/// conversation ten minutes serve, because a forgotten one is judged by its ports like one that began
/// before the sensor.
pub const FLOW_LIFETIME: Duration = Duration::from_secs(600);

/// Storage for four conversations: one cache line.
///
/// A conversation is known by 63 bits of a keyed hash of its ends and protocol, not by these themselves. Two that
/// an attacker chose collide with a probability of 2^-32 at most; then one is judged by who opened the other.
pub type FlowSet = Set<u32, Flow>;

/// What is known of a conversation, in bits.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flow(u32);

impl Flow {
    /// The end with the lower address (then port) opened it.
    const INITIATED_BY_LOW: u32 = 1;
    /// That was seen, and not only judged by the ports.
    const CERTAIN: u32 = 1 << 1;
    /// The [`Inspection`] in what the lower end sends: two bits.
    const LOW_INSPECTION: u32 = 2;
    /// The same for the higher end.
    const HIGH_INSPECTION: u32 = 4;

    #[inline]
    const fn has(self, bit: u32) -> bool {
        self.0 & bit != 0
    }

    /// The interest in one direction.
    #[inline]
    const fn inspection(self, shift: u32) -> Inspection {
        match self.0 >> shift & 3 {
            0 => Inspection::Full,
            1 => Inspection::LengthOnly,
            _ => Inspection::Bypass,
        }
    }

    #[inline]
    const fn set_inspection(&mut self, shift: u32, inspection: Inspection) {
        let bits = match inspection {
            Inspection::Full => 0,
            Inspection::LengthOnly => 1,
            Inspection::Bypass => 2,
        };
        self.0 = self.0 & !(3 << shift) | bits << shift;
    }

    #[inline]
    const fn set(&mut self, bit: u32, value: bool) {
        self.0 = if value { self.0 | bit } else { self.0 & !bit };
    }
}

impl Recycle for Flow {
    #[inline]
    fn recycle(&mut self) {
        self.0 = 0;
    }
}

/// One end of a packet.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Endpoint {
    /// Its address.
    pub address: Address,
    /// Its port.
    pub port: Port,
}

/// How a packet stands to its conversation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Role {
    /// Whether the sender of this packet opened the conversation.
    pub from_initiator: bool,
    /// Whether the opening was seen, and not only judged by the port numbers.
    pub certain: bool,
    /// Whether this is the first packet of the conversation that was seen.
    pub is_first: bool,
    /// How long the conversation had been silent, to 67 ms; zero for its first packet.
    pub idle: CoarseSpan,
}

/// What there is to learn from ordinary packets in one direction of a conversation: those that neither ask for
/// anything nor come after a silence.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Inspection {
    /// That was not said yet, or not since what was known of the conversation changed.
    #[default]
    Full,
    /// How long they are.
    LengthOnly,
    /// Nothing.
    Bypass,
}

/// A conversation that a packet belongs to.
#[derive(Debug)]
pub struct FlowEntry<'t> {
    /// How the packet stands to it.
    pub role: Role,
    flow: Option<&'t mut Flow>,
    shift: u32,
}

impl FlowEntry<'_> {
    /// What [`Self::set_inspection`] said of this direction, if nothing has changed since.
    #[inline]
    #[must_use]
    pub fn inspection(&self) -> Inspection {
        self.flow.as_ref().map_or(Inspection::Full, |flow| flow.inspection(self.shift))
    }

    /// Remembers what there is to learn in this direction.
    #[inline]
    pub fn set_inspection(&mut self, inspection: Inspection) {
        if let Some(flow) = &mut self.flow {
            flow.set_inspection(self.shift, inspection);
        }
    }

    /// Remembers what there is to learn in the other direction.
    #[inline]
    pub fn set_response_inspection(&mut self, inspection: Inspection) {
        if let Some(flow) = &mut self.flow {
            flow.set_inspection(Flow::LOW_INSPECTION + Flow::HIGH_INSPECTION - self.shift, inspection);
        }
    }
}

/// The conversations.
#[derive(Debug)]
pub struct Flows<'m> {
    table: Table<'m, u32, Flow>,
}

impl<'m> Flows<'m> {
    /// Over lent storage.
    #[must_use]
    pub fn new(sets: &'m mut [FlowSet]) -> Self {
        Self { table: Table::new(sets, FLOW_LIFETIME) }
    }

    /// The table, for its capacity and evictions.
    #[must_use]
    pub const fn table(&self) -> &Table<'m, u32, Flow> {
        &self.table
    }

    /// Forgets what [`FlowEntry::set_inspection`] said: the rules have changed.
    pub fn reset_inspection(&mut self) {
        for flow in self.table.values() {
            flow.set(3 << Flow::LOW_INSPECTION | 3 << Flow::HIGH_INSPECTION, false);
        }
    }

    /// What there is to learn from an ordinary packet: UDP, or TCP with ACK and without SYN.
    ///
    /// Nothing is noted if that is everything, which it is, too, if the conversation is not known or was silent for
    /// longer than `udp_idle_timeout`, which is at most [`FLOW_LIFETIME`].
    #[inline(always)] // on the way of every packet, as below
    pub fn touch(&mut self, flow: FlowId, udp_idle_timeout: CoarseSpan, now: Timestamp) -> Inspection {
        let (set, confirmation) = flow.halves();
        let Some(live) = self.table.live(set, confirmation, now, udp_idle_timeout) else {
            return Inspection::Full;
        };
        let inspection = live.value.inspection(flow.shift());
        if inspection != Inspection::Full {
            live.touch();
        }
        inspection
    }

    /// Notes a packet.
    ///
    /// A TCP packet says with its flags who opens (SYN) or answers (SYN with ACK). Of UDP the first packet opens, unless
    /// its ports say that it is an answer whose question came before the sensor.
    #[inline(always)] // on the way of every packet; a call would pass its arguments through memory
    pub fn note(&mut self, flow: FlowId, tcp_flags: Option<TcpFlags>, now: Timestamp) -> FlowEntry<'_> {
        let FlowId { source_is_low, source_port, destination_port, .. } = flow;
        let shift = flow.shift();
        let opening = tcp_flags.filter(|flags| flags.has(TcpFlags::SYN)).and_then(proves);
        let judge = || opening.unwrap_or_else(|| looks_like_initiator(source_port, destination_port));
        let (set, confirmation) = flow.halves();
        let Some(entry) = self.table.entry(set, confirmation, now) else {
            let (certain, idle) = (opening.is_some(), CoarseSpan::default());
            let role = Role { from_initiator: judge(), certain, is_first: true, idle };
            return FlowEntry { role, flow: None, shift };
        };
        let flow = entry.value;
        if entry.is_new || opening.is_some() && !flow.has(Flow::CERTAIN) {
            flow.recycle();
            flow.set(Flow::INITIATED_BY_LOW, judge() == source_is_low);
            flow.set(Flow::CERTAIN, opening.is_some());
        }
        let role = Role {
            from_initiator: flow.has(Flow::INITIATED_BY_LOW) == source_is_low,
            certain: flow.has(Flow::CERTAIN),
            is_first: entry.is_new,
            idle: entry.idle,
        };
        FlowEntry { role, flow: Some(flow), shift }
    }

    /// Writes down who opened a conversation because others have seen it. `anew` also if it is known already. Says
    /// whether it was not.
    pub fn set_initiator(
        &mut self,
        flow: FlowId,
        from_initiator: bool,
        certain: bool,
        anew: bool,
        now: Timestamp,
    ) -> bool {
        let (set, confirmation) = flow.halves();
        let Some(entry) = self.table.entry(set, confirmation, now) else { return true };
        if entry.is_new || anew {
            entry.value.recycle();
            entry.value.set(Flow::INITIATED_BY_LOW, from_initiator == flow.source_is_low);
            entry.value.set(Flow::CERTAIN, certain);
        }
        entry.is_new
    }
}

/// Whether a packet proves that its sender opened the conversation, or that it did not.
#[inline]
const fn proves(flags: TcpFlags) -> Option<bool> {
    if flags.syn_only() {
        Some(true)
    } else if flags.syn_ack() {
        Some(false)
    } else {
        None
    }
}

/// A conversation, and which of its two ends sent a packet.
#[derive(Clone, Copy, Debug)]
pub struct FlowId {
    hash: u64,
    source_is_low: bool,
    source_port: Port,
    destination_port: Port,
}

impl FlowId {
    /// Of a packet between IPv4 addresses, given as numbers.
    #[inline]
    #[must_use]
    pub fn v4(key: &HashKey, tuple: &FiveTuple<u32>) -> Self {
        let order = |address: u32, port: Port| u64::from(address) << 16 | u64::from(port.0);
        let &FiveTuple { source, destination, source_port, destination_port, tcp_flags } = tuple;
        let source_is_low = order(source, source_port) <= order(destination, destination_port);
        let (low, high) = if source_is_low { (source, destination) } else { (destination, source) };
        let (low_port, high_port) =
            if source_is_low { (source_port, destination_port) } else { (destination_port, source_port) };
        let hash = key.wide([low, high, ports(low_port, high_port), transport(tcp_flags)]);
        Self { hash, source_is_low, source_port, destination_port }
    }

    /// Of a packet of either family.
    #[must_use]
    pub fn of(key: &HashKey, tuple: &FiveTuple) -> Self {
        let &FiveTuple { source, destination, source_port, destination_port, tcp_flags } = tuple;
        if source.is_v4() && destination.is_v4() {
            let ([.., source], [.., destination]) = (source.words(), destination.words());
            return Self::v4(
                key,
                &FiveTuple { source, destination, source_port, destination_port, tcp_flags },
            );
        }
        let (from, to) = ((source, source_port), (destination, destination_port));
        let source_is_low = from <= to;
        let (low, high) = if source_is_low { (from, to) } else { (to, from) };
        let ([a, b, c, d], [e, f, g, h]) = (low.0.words(), high.0.words());
        let hash = key.wide([a, b, c, d, e, f, g, h, ports(low.1, high.1), transport(tcp_flags)]);
        Self { hash, source_is_low, source_port, destination_port }
    }

    /// What chooses a set of the table, and what confirms a match there.
    #[inline]
    #[expect(clippy::as_conversions, reason = "the halves of 64 bits")]
    const fn halves(self) -> (u32, u32) {
        ((self.hash >> 32) as u32, self.hash as u32)
    }

    /// Where the interest in this direction lies.
    #[inline]
    const fn shift(self) -> u32 {
        if self.source_is_low { Flow::LOW_INSPECTION } else { Flow::HIGH_INSPECTION }
    }
}

/// The number of a transport protocol that has ports.
#[inline]
fn transport(tcp_flags: Option<TcpFlags>) -> u32 {
    let protocol = if tcp_flags.is_some() { protocol::TCP } else { protocol::UDP };
    protocol.into()
}

impl FlowId {
    /// Whether the port numbers do not tell who opened the conversation, so that its first packet must.
    #[must_use]
    pub const fn is_ambiguous(&self) -> bool {
        class(self.source_port) == class(self.destination_port)
    }
}

#[inline]
fn ports(low: Port, high: Port) -> u32 {
    u32::from(low.0) << 16 | u32::from(high.0)
}

/// Whether the sender of a lone packet is likelier to have opened the conversation than its receiver.
///
/// Services live below 1024, or at least below the ports that systems pick for clients (RFC 6335
/// section 6: 49152 and up; Linux from 32768). Two ports of the same class: the sender.
#[inline]
#[must_use]
pub const fn looks_like_initiator(source: Port, destination: Port) -> bool {
    class(source) >= class(destination)
}

/// Whether the ports alone tell that the sender of a packet opened the conversation: whichever packet of it is seen
/// first, [`looks_like_initiator`] says so.
#[inline]
#[must_use]
pub const fn is_certain_initiator(source: Port, destination: Port) -> bool {
    class(source) > class(destination)
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

    fn end(last: u32, port: u16) -> Endpoint {
        Endpoint { address: Address::v4(0x0a00_0000 | last), port: Port(port) }
    }

    const KEY: HashKey = HashKey::new(1);
    const NOW: Timestamp = Timestamp::from_parts(1_700_000_000, 0);
    const SYN: TcpFlags = TcpFlags(0x02);
    const SYN_ACK: TcpFlags = TcpFlags(0x12);
    const ACK: TcpFlags = TcpFlags(0x10);

    fn flow(source: Endpoint, destination: Endpoint, tcp_flags: Option<TcpFlags>) -> FlowId {
        let tuple = FiveTuple {
            source: source.address,
            destination: destination.address,
            source_port: source.port,
            destination_port: destination.port,
            tcp_flags,
        };
        FlowId::of(&KEY, &tuple)
    }

    fn tcp<'t>(
        flows: &'t mut Flows<'_>,
        source: Endpoint,
        destination: Endpoint,
        flags: TcpFlags,
    ) -> FlowEntry<'t> {
        flows.note(flow(source, destination, Some(flags)), Some(flags), NOW)
    }

    fn udp<'t>(
        flows: &'t mut Flows<'_>,
        source: Endpoint,
        destination: Endpoint,
        now: Timestamp,
    ) -> FlowEntry<'t> {
        flows.note(flow(source, destination, None), None, now)
    }

    #[test]
    fn the_sender_of_the_syn_opened_it() {
        for (client, server) in [(end(1, 40_000), end(2, 80)), (end(9, 40_000), end(2, 80))] {
            let mut sets = vec![FlowSet::default(); 16];
            let mut flows = Flows::new(&mut sets);
            let first = tcp(&mut flows, client, server, SYN).role;
            assert_eq!(
                first,
                Role { from_initiator: true, certain: true, is_first: true, idle: CoarseSpan::default() }
            );
            let answer = tcp(&mut flows, server, client, SYN_ACK).role;
            assert_eq!(
                answer,
                Role { from_initiator: false, certain: true, is_first: false, idle: CoarseSpan::default() }
            );
        }
    }

    #[test]
    fn a_syn_ack_alone_tells_too() {
        let mut sets = vec![FlowSet::default(); 16];
        let mut flows = Flows::new(&mut sets);
        // The ports alone would say the opposite.
        assert!(!tcp(&mut flows, end(1, 50_000), end(2, 80), SYN_ACK).role.from_initiator);
        assert!(tcp(&mut flows, end(2, 80), end(1, 50_000), ACK).role.from_initiator);
    }

    #[test]
    fn without_an_opening_the_ports_decide_and_a_later_syn_corrects() {
        let mut sets = vec![FlowSet::default(); 16];
        let mut flows = Flows::new(&mut sets);
        let role = tcp(&mut flows, end(1, 443), end(2, 50_000), ACK).role;
        assert_eq!(
            role,
            Role { from_initiator: false, certain: false, is_first: true, idle: CoarseSpan::default() }
        );
        let role = tcp(&mut flows, end(1, 443), end(2, 50_000), SYN).role;
        assert_eq!(
            role,
            Role { from_initiator: true, certain: true, is_first: false, idle: CoarseSpan::default() }
        );
    }

    #[test]
    fn an_answer_of_a_resolver_opens_nothing() {
        let mut sets = vec![FlowSet::default(); 16];
        let mut flows = Flows::new(&mut sets);
        assert!(!udp(&mut flows, end(1, 53), end(2, 33_000), NOW).role.from_initiator);
        assert!(udp(&mut flows, end(2, 33_001), end(1, 53), NOW).role.from_initiator);
        assert!(udp(&mut flows, end(2, 5_000), end(1, 5_001), NOW).role.from_initiator);
    }

    #[test]
    fn what_others_have_seen_holds_like_what_was_seen() {
        let mut sets = vec![FlowSet::default(); 16];
        let mut flows = Flows::new(&mut sets);
        let (here, there) = (end(1, 5_000), end(2, 5_001));
        let id = flow(there, here, None);
        assert!(id.is_ambiguous() && !flow(end(1, 53), end(2, 5_000), None).is_ambiguous());
        assert!(flows.set_initiator(id, true, false, false, NOW));
        assert!(!udp(&mut flows, here, there, NOW).role.from_initiator);
        assert!(!flows.set_initiator(id, false, false, false, NOW), "known already");
        assert!(!udp(&mut flows, here, there, NOW).role.from_initiator);
        assert!(!flows.set_initiator(id, false, false, true, NOW));
        assert!(udp(&mut flows, here, there, NOW).role.from_initiator);
    }

    #[test]
    fn without_storage_the_packet_alone_decides() {
        let mut flows = Flows::new(&mut []);
        assert!(tcp(&mut flows, end(1, 1), end(2, 2), SYN).role.from_initiator);
    }

    #[test]
    fn interest_is_remembered_until_the_rules_or_the_opener_change() {
        let mut sets = vec![FlowSet::default(); 16];
        let mut flows = Flows::new(&mut sets);
        let (client, server) = (end(1, 40_000), end(2, 80));
        let mut up = tcp(&mut flows, client, server, ACK);
        assert_eq!(up.inspection(), Inspection::Full);
        up.set_inspection(Inspection::LengthOnly);
        assert_eq!(tcp(&mut flows, client, server, ACK).inspection(), Inspection::LengthOnly);
        let mut down = tcp(&mut flows, server, client, ACK);
        assert_eq!(down.inspection(), Inspection::Full, "the other direction is another matter");
        down.set_inspection(Inspection::Bypass);
        assert_eq!(tcp(&mut flows, server, client, ACK).inspection(), Inspection::Bypass);
        assert_eq!(tcp(&mut flows, client, server, ACK).inspection(), Inspection::LengthOnly);
        tcp(&mut flows, client, server, ACK).set_response_inspection(Inspection::LengthOnly);
        assert_eq!(tcp(&mut flows, server, client, ACK).inspection(), Inspection::LengthOnly);
        flows.reset_inspection();
        let mut up = tcp(&mut flows, client, server, ACK);
        assert_eq!(up.inspection(), Inspection::Full);
        up.set_inspection(Inspection::Bypass);
        let proof = tcp(&mut flows, client, server, SYN);
        assert_eq!(proof.inspection(), Inspection::Full, "the SYN proves what was only judged");
    }

    #[test]
    fn ports_that_are_certain_give_one_verdict_whoever_is_seen_first() {
        let ports = [0, 80, 1_023, 1_024, 8_080, 32_767, 32_768, 65_535].map(Port);
        for (source, destination) in ports.iter().flat_map(|one| ports.map(|other| (*one, other))) {
            let verdicts =
                (looks_like_initiator(source, destination), looks_like_initiator(destination, source));
            assert_eq!(is_certain_initiator(source, destination), verdicts == (true, false));
        }
    }

    #[test]
    fn silence_is_measured() {
        let mut sets = vec![FlowSet::default(); 16];
        let mut flows = Flows::new(&mut sets);
        udp(&mut flows, end(1, 5_000), end(2, 5_001), NOW);
        let later = udp(&mut flows, end(2, 5_001), end(1, 5_000), NOW.after(Duration::from_secs(30))).role;
        assert!(later.idle >= CoarseSpan::at_least(Duration::from_millis(29_900)) && !later.is_first);
    }
}
