//! Conversations, and who opened them.
//!
//! Rules that count what a host does must count the side that opened the conversation, or every busy
//! server and resolver looks like a scanner.

mod id;
mod port_class;

use core::time::Duration;

use sentinel_dissect::TcpFlags;
use sentinel_units::{Address, Port, Timestamp};

use crate::table::{CoarseSpan, Recycle, Set, Table};

pub use id::FlowId;
pub use port_class::{is_certain_initiator, looks_like_initiator};

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

#[cfg(test)]
mod tests;
