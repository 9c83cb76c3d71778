//! Flow table: which endpoint initiated each flow, and how closely each direction is inspected.
//!
//! A flow is the packets of both directions of one 5-tuple. Detectors that count what a host does must count the initiator;
//! otherwise every busy server and resolver, which sends to many client ports, looks like a scanner.

mod id;
mod port_class;

use core::time::Duration;

use sentinel_dissect::TcpFlags;
use sentinel_units::{Address, Port, Timestamp};

use crate::table::{CoarsePeriod, CoarseSpan, Recycle, Set, Table};

pub use id::FlowId;
pub use port_class::{is_certain_initiator, looks_like_initiator};

/// Idle timeout of a flow.
///
/// RFC 5382 section 5 requires a NAT to keep established TCP for two hours. Ten minutes are enough to know the initiator: the
/// next packet of an expired flow is classified by its ports, like one of a flow that began before the sensor.
pub const FLOW_LIFETIME: Duration = Duration::from_secs(600);

/// Period of a UDP flow within which a response must be seen: 2^34 ns, 17.2 s, counted from the epoch.
///
/// A response lasts for the rest of its period and for the next one. RTCP reports come at least every 6.2 s (RFC 3550 section
/// 6.3.1), so that a stream that is answered by nothing else always counts as answered.
pub const RESPONSE_PERIOD: Duration = Duration::from_nanos(1 << 34);

const COARSE_RESPONSE_PERIOD: CoarsePeriod = CoarsePeriod::at_most(RESPONSE_PERIOD);

/// Bits of its own that [`FlowEntry::set_session`] keeps with a TCP flow.
pub const SESSION_BITS: u32 = 25;

/// Storage of four flows: one cache line of 64 bytes.
///
/// The key of a flow is 63 bits of a keyed hash of its 5-tuple, not the 5-tuple: 32 confirm a match, 31 are the tag that also
/// selects the set. Two flows that an attacker chose collide with a probability of at most 2^-32; then both share one
/// initiator.
pub type FlowSet = Set<u32, FlowState>;

const _: () = assert!(size_of::<FlowSet>() == 64, "a lookup of a flow must touch one cache line");

/// State of a flow in seven bits: initiator, certainty, the inspection of both directions, and a response that is waited for; and
/// [`SESSION_BITS`] of detectors.
//
// The endpoint with the lower address (then port) is `low`. Bits name endpoints, not packets, so that they mean the same for
// packets of both directions.
#[derive(Clone, Copy, Debug, Default)]
pub struct FlowState(u32);

impl FlowState {
    /// Bit: the low endpoint is the initiator.
    const INITIATED_BY_LOW: u32 = 1;
    /// Bit: the initiator was proved by a SYN or SYN-ACK, not inferred from ports.
    const CERTAIN: u32 = 1 << 1;
    /// Position of two bits: the [`Inspection`] of packets that the low endpoint sends.
    const LOW_INSPECTION: u32 = 2;
    /// Position of two bits: the [`Inspection`] of packets that the high endpoint sends.
    const HIGH_INSPECTION: u32 = 4;
    /// Bit: a segment that belongs to no connection began the flow, and nothing came back so far.
    const AWAITS_RESPONSE: u32 = 1 << 6;
    /// Position of [`SESSION_BITS`] bits that detectors keep with the flow; of UDP, two bits for the endpoints that have sent.
    const SESSION: u32 = 7;

    // The four accessors are a mask or a shift each and run for every packet: inline.
    #[inline]
    const fn has(self, bit: u32) -> bool {
        self.0 & bit != 0
    }

    /// Inspection at a bit position, [`Self::LOW_INSPECTION`] or [`Self::HIGH_INSPECTION`].
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

    /// Begins a [`RESPONSE_PERIOD`]: the next response is inspected in full, and so are the initiator's packets if the flow had
    /// no response in the period before.
    //
    // The inspection of the responder is the record of a response: `Full` until the first one of a period.
    #[cold] // once in a period for each flow
    const fn start_response_period(&mut self) {
        let (initiator, responder) = if self.has(Self::INITIATED_BY_LOW) {
            (Self::LOW_INSPECTION, Self::HIGH_INSPECTION)
        } else {
            (Self::HIGH_INSPECTION, Self::LOW_INSPECTION)
        };
        if matches!(self.inspection(responder), Inspection::Full) {
            self.set_inspection(initiator, Inspection::Full);
        }
        self.set_inspection(responder, Inspection::Full);
    }
}

impl Recycle for FlowState {
    #[inline] // one store
    fn recycle(&mut self) {
        self.0 = 0;
    }
}

/// Address and port.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Endpoint {
    /// IP address.
    pub address: Address,
    /// Port, or zero for protocols without ports.
    pub port: Port,
}

/// Position of a packet in its flow.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Role {
    /// True if the sender of this packet initiated the flow.
    pub from_initiator: bool,
    /// True if a SYN or SYN-ACK proved the initiator; false if it was inferred from port numbers.
    pub certain: bool,
    /// True for the first packet of the flow that was captured.
    pub is_first: bool,
    /// Time since the packet before, to 67 ms; zero for the first packet.
    pub idle: CoarseSpan,
}

/// Result of [`FlowEntry::note_sender`] for a flow in which the other endpoint has sent nothing.
pub const ONE_WAY: u32 = 1;

/// Depth of inspection of the mid-stream packets of one direction of a flow: UDP, or TCP with ACK and no SYN, not after an idle
/// time.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Inspection {
    /// Parse everything. Also the state before [`FlowEntry::set_inspection`] and after the flow or the rules changed.
    #[default]
    Full,
    /// Count the length only.
    LengthOnly,
    /// Skip.
    Bypass,
}

/// Flow of a packet, as [`Flows::note`] returns it.
#[derive(Debug)]
pub struct FlowEntry<'t> {
    /// Position of the packet in the flow.
    pub role: Role,
    /// `None` only for a table without storage.
    state: Option<&'t mut FlowState>,
    shift: u32,
}

impl FlowEntry<'_> {
    /// Inspection of this direction, as last set.
    #[inline] // a shift and a mask, for every packet
    #[must_use]
    pub fn inspection(&self) -> Inspection {
        self.state.as_ref().map_or(Inspection::Full, |state| state.inspection(self.shift))
    }

    /// Sets the inspection of this direction.
    #[inline] // a shift and a mask
    pub fn set_inspection(&mut self, inspection: Inspection) {
        if let Some(state) = &mut self.state {
            state.set_inspection(self.shift, inspection);
        }
    }

    /// Notes that the first response to this packet is waited for.
    pub fn expect_response(&mut self) {
        if let Some(state) = &mut self.state {
            state.set(FlowState::AWAITS_RESPONSE, true);
        }
    }

    /// Returns true, once, for the first response after [`Self::expect_response`].
    #[inline] // two tests, for every packet of the slow path
    pub fn take_response(&mut self) -> bool {
        let is_response = !self.role.from_initiator;
        self.state.as_mut().is_some_and(|state| {
            let is_awaited = is_response && state.has(FlowState::AWAITS_RESPONSE);
            if is_awaited {
                state.set(FlowState::AWAITS_RESPONSE, false);
            }
            is_awaited
        })
    }

    /// Bits that [`Self::set_session`] has stored; zero for a new flow.
    #[inline] // a shift
    #[must_use]
    pub fn session(&self) -> u32 {
        self.state.as_ref().map_or(0, |state| state.0 >> FlowState::SESSION)
    }

    /// Stores the lower [`SESSION_BITS`] bits of `bits` with the flow.
    pub fn set_session(&mut self, bits: u32) {
        if let Some(state) = &mut self.state {
            state.0 = state.0 & ((1 << FlowState::SESSION) - 1) | bits << FlowState::SESSION;
        }
    }

    /// Of UDP: notes that this endpoint has sent, and returns [`ONE_WAY`] if the other one has not, as far as this worker or another
    /// has seen.
    pub fn note_sender(&mut self) -> u32 {
        let Some(state) = &mut self.state else { return 0 };
        let bit = |shift: u32| 1 << (FlowState::SESSION + shift / FlowState::HIGH_INSPECTION);
        let other = opposite(self.shift);
        state.set(bit(self.shift), true);
        let has_sent = state.has(bit(other)) || state.inspection(other) != Inspection::Full;
        if has_sent { 0 } else { ONE_WAY }
    }

    /// Sets the inspection of this direction and of the opposite one.
    #[inline]
    pub fn set_inspections(&mut self, own: Inspection, response: Inspection) {
        if let Some(state) = &mut self.state {
            let (low, high) =
                if self.shift == FlowState::LOW_INSPECTION { (own, response) } else { (response, own) };
            state.set_inspection(FlowState::LOW_INSPECTION, low);
            state.set_inspection(FlowState::HIGH_INSPECTION, high);
        }
    }

    /// Sets the inspection of the opposite direction.
    #[inline] // a shift and a mask
    pub fn set_response_inspection(&mut self, inspection: Inspection) {
        if let Some(state) = &mut self.state {
            state.set_inspection(opposite(self.shift), inspection);
        }
    }
}

/// Position of the other direction: the two positions add up to a constant.
const fn opposite(shift: u32) -> u32 {
    FlowState::LOW_INSPECTION + FlowState::HIGH_INSPECTION - shift
}

/// Flow table: a set-associative [`Table`] of [`FlowState`], 16 bytes for each flow.
///
/// Capacity: four times the sets lent, rounded down to a power of two. Key: 63 bits of the keyed hash of the 5-tuple
/// ([`FlowId`]). Lifetime: [`FLOW_LIFETIME`] idle. A new flow in a full set evicts the least recently used of its four, which
/// [`Table::evictions`] of [`Self::table`] counts; the next packet of that flow is classified like a first one.
#[derive(Debug)]
pub struct Flows<'m> {
    table: Table<'m, u32, FlowState>,
}

impl<'m> Flows<'m> {
    /// Makes an empty table over lent storage.
    #[must_use]
    pub fn new(sets: &'m mut [FlowSet]) -> Self {
        Self { table: Table::new(sets, FLOW_LIFETIME) }
    }

    /// Underlying table, for its capacity and evictions.
    #[must_use]
    pub const fn table(&self) -> &Table<'m, u32, FlowState> {
        &self.table
    }

    /// Puts `set` in the place of the set of `flow`, and returns what was there; see [`Table::replace_set`].
    pub fn replace_set(&mut self, flow: FlowId, set: FlowSet) -> Option<FlowSet> {
        self.table.replace_set(flow.halves().0, set)
    }

    /// Sets the inspection of all flows to [`Inspection::Full`], after the rules have changed.
    pub fn reset_inspection(&mut self) {
        for state in self.table.values() {
            state.set(3 << FlowState::LOW_INSPECTION | 3 << FlowState::HIGH_INSPECTION, false);
        }
    }

    /// Fast path: looks up the flow of a mid-stream packet (UDP, or TCP with ACK and no SYN) and returns the inspection of its
    /// direction.
    ///
    /// Returns [`Inspection::Full`], and does not refresh the entry, if the flow is unknown or its last packet was in another
    /// `period`, which is at most [`FLOW_LIFETIME`].
    // A packet that gets `Full` goes to `note`, which refreshes the entry and must still see its idle time. All others end
    // here, so they refresh it now.
    #[inline(always)] // for every packet; a call would pass its arguments through memory
    pub fn touch(&mut self, flow: FlowId, period: CoarsePeriod, now: Timestamp) -> Inspection {
        let (set, confirmation) = flow.halves();
        let Some(live) = self.table.used_in_period(set, confirmation, now, period) else {
            return Inspection::Full;
        };
        let inspection = live.value.inspection(flow.inspection_shift());
        if inspection != Inspection::Full {
            live.touch();
        }
        inspection
    }

    /// Looks up or creates the flow of a packet and returns the packet's position in it.
    ///
    /// The flags of a TCP packet prove the initiator: SYN is sent by it, SYN with ACK by the responder. Otherwise the sender of
    /// the first UDP or TCP packet is the initiator, unless its ports say that it is a response to a request from before the
    /// sensor started ([`looks_like_initiator`]).
    // Invariants: the initiator changes once at most, from inferred to proved. A proof that is on record is never replaced,
    // so a forged SYN inside a flow cannot turn it round. When the initiator is set, the inspection of both directions goes
    // back to `Full`, because it was decided for the old one.
    #[inline(always)] // for every packet that `touch` does not finish; a call would pass its arguments through memory
    pub fn note(&mut self, flow: FlowId, tcp_flags: Option<TcpFlags>, now: Timestamp) -> FlowEntry<'_> {
        let FlowId { source_is_low, source_port, destination_port, .. } = flow;
        let shift = flow.inspection_shift();
        let proof = tcp_flags.filter(|flags| flags.has(TcpFlags::SYN)).and_then(initiator_proof);
        let infer = || proof.unwrap_or_else(|| looks_like_initiator(source_port, destination_port));
        let (set, confirmation) = flow.halves();
        let Some(entry) = self.table.entry(set, confirmation, now) else {
            let (certain, idle) = (proof.is_some(), CoarseSpan::default());
            let role = Role { from_initiator: infer(), certain, is_first: true, idle };
            return FlowEntry { role, state: None, shift };
        };
        let state = entry.value;
        if entry.is_new || proof.is_some() && !state.has(FlowState::CERTAIN) {
            state.recycle();
            state.set(FlowState::INITIATED_BY_LOW, infer() == source_is_low);
            state.set(FlowState::CERTAIN, proof.is_some());
        } else if tcp_flags.is_none() && entry.idle > COARSE_RESPONSE_PERIOD.elapsed(now) {
            state.start_response_period();
        }
        let role = Role {
            from_initiator: state.has(FlowState::INITIATED_BY_LOW) == source_is_low,
            certain: state.has(FlowState::CERTAIN),
            is_first: entry.is_new,
            idle: entry.idle,
        };
        FlowEntry { role, state: Some(state), shift }
    }

    /// Records the initiator of a flow that another worker has identified, creating the flow if needed.
    ///
    /// A flow that is known keeps its initiator, unless `overwrite` is set. Returns true if the flow was not known.
    pub fn set_initiator(
        &mut self,
        flow: FlowId,
        from_initiator: bool,
        certain: bool,
        overwrite: bool,
        now: Timestamp,
    ) -> bool {
        let (set, confirmation) = flow.halves();
        let Some(entry) = self.table.entry(set, confirmation, now) else { return true };
        if entry.is_new || overwrite {
            entry.value.recycle();
            entry.value.set(FlowState::INITIATED_BY_LOW, from_initiator == flow.source_is_low);
            entry.value.set(FlowState::CERTAIN, certain);
        }
        entry.is_new
    }
}

impl Flows<'_> {
    /// Records a response that another worker has seen, if the flow is known and its initiator is the receiver of the response;
    /// otherwise returns false. `response` is the flow as the response has it, `inspection` that of the initiator from now on.
    pub fn set_answered(&mut self, response: FlowId, inspection: Inspection, now: Timestamp) -> bool {
        let (set, confirmation) = response.halves();
        let Some(state) = self.table.find(set, confirmation, now) else { return false };
        if state.has(FlowState::INITIATED_BY_LOW) == response.source_is_low {
            return false;
        }
        let shift = response.inspection_shift();
        state.set_inspection(shift, Inspection::Bypass);
        state.set_inspection(opposite(shift), inspection);
        true
    }
}

/// Returns whether the sender of a packet with these flags is proved to be the initiator (SYN) or the responder (SYN with
/// ACK); `None` if the flags prove neither.
#[inline] // two compares, in the closure of `note`
const fn initiator_proof(flags: TcpFlags) -> Option<bool> {
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
