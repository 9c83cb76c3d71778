//! History of a TCP connection, summarised as a Zeek `conn_state`.
//!
//! Read first: RFC 9293 section 3.3.2 (states of a connection); "conn.log" in the Zeek documentation (`conn_state`).

use sentinel_dissect::TcpFlags;

/// Summary of a TCP connection as far as it was captured, in the terms of Zeek's `conn_state`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TcpState {
    /// SYN without response.
    S0,
    /// Established, not closed.
    S1,
    /// Established; FIN of the initiator, none of the responder.
    S2,
    /// Established; FIN of the responder, none of the initiator.
    S3,
    /// FIN of both sides.
    Sf,
    /// SYN answered by RST.
    Rej,
    /// Established, then RST of the initiator.
    Rsto,
    /// Established, then RST of the responder.
    Rstr,
    /// SYN, then RST of the initiator; no SYN-ACK.
    Rstos0,
    /// RST of the responder; no SYN.
    Rstrh,
    /// SYN, then FIN of the initiator; no SYN-ACK.
    Sh,
    /// SYN-ACK, then FIN of the responder; no packet of the initiator.
    Shr,
    /// Neither the handshake nor an end was captured.
    Oth,
}

impl TcpState {
    /// Name as Zeek writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::S0 => "S0",
            Self::S1 => "S1",
            Self::S2 => "S2",
            Self::S3 => "S3",
            Self::Sf => "SF",
            Self::Rej => "REJ",
            Self::Rsto => "RSTO",
            Self::Rstr => "RSTR",
            Self::Rstos0 => "RSTOS0",
            Self::Rstrh => "RSTRH",
            Self::Sh => "SH",
            Self::Shr => "SHR",
            Self::Oth => "OTH",
        }
    }
}

/// Kinds of segments that each side (low, high endpoint) has sent.
//
// Invariants: flags are only ever set, so the state depends on which segments were captured and not on their order, with one
// exception: `reset` keeps the side of the first RST, and stays `None` if both sides had sent FIN before, because hosts
// answer late segments of a closed connection with RST.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TcpHistory {
    syn: [bool; 2],
    syn_ack: [bool; 2],
    fin: [bool; 2],
    other: [bool; 2],
    /// True if the low endpoint sent the first RST that came before both FINs.
    reset: Option<bool>,
}

impl TcpHistory {
    pub(super) fn note(&mut self, from_low: bool, flags: TcpFlags) {
        let Self { syn, syn_ack, fin, other, reset } = self;
        let mark = |sides: &mut [bool; 2]| {
            let [low, high] = sides;
            *if from_low { low } else { high } = true;
        };
        if flags.syn_only() {
            mark(syn);
        } else if flags.syn_ack() {
            mark(syn_ack);
        } else if flags.has(TcpFlags::RST) {
            let [low, high] = *fin;
            if reset.is_none() && !(low && high) {
                *reset = Some(from_low);
            }
            // FIN in the same segment does not count: the reset has ended the connection.
            return;
        } else {
            mark(other);
        }
        if flags.has(TcpFlags::FIN) {
            mark(fin);
        }
    }

    /// Returns true after RST, or after FIN of both sides.
    pub(super) fn is_closed(&self) -> bool {
        self.reset.is_some() || self.fin == [true; 2]
    }

    /// Returns true if the handshake was answered: a SYN-ACK was captured, or segments of both sides after the SYN.
    pub(super) fn is_answered(&self) -> bool {
        let any = |side: fn(&[bool; 2]) -> bool| side(&self.syn_ack) || side(&self.other);
        any(|[low, _]| *low) && any(|[_, high]| *high) || self.syn_ack != [false; 2]
    }

    /// Returns the state by the rules of Zeek's `base/protocols/conn`.
    // The arms are in the order of Zeek's tests: a reset decides before FINs, and FINs before the handshake. The initiator
    // is active if its SYN was captured, or a segment of it beside a SYN-ACK of the responder.
    pub(super) fn state(&self, initiated_by_low: bool) -> TcpState {
        let sides = |[low, high]: [bool; 2]| if initiated_by_low { (low, high) } else { (high, low) };
        let (initiator_syn, _) = sides(self.syn);
        let (_, syn_ack) = sides(self.syn_ack);
        let (initiator_other, responder_other) = sides(self.other);
        let initiator_active = initiator_syn || syn_ack && initiator_other;
        match (self.reset.map(|from_low| from_low == initiated_by_low), sides(self.fin)) {
            (Some(false), _) if initiator_syn && !syn_ack && !responder_other => TcpState::Rej,
            (Some(false), _) if !initiator_active => TcpState::Rstrh,
            (Some(false), _) => TcpState::Rstr,
            (Some(true), _) if !syn_ack => TcpState::Rstos0,
            (Some(true), _) => TcpState::Rsto,
            (None, (true, true)) => TcpState::Sf,
            (None, (true, false)) if syn_ack => TcpState::S2,
            (None, (true, false)) => TcpState::Sh,
            (None, (false, true)) if initiator_active => TcpState::S3,
            (None, (false, true)) => TcpState::Shr,
            (None, (false, false)) if initiator_syn && !syn_ack && !responder_other => TcpState::S0,
            (None, (false, false)) if initiator_active && syn_ack => TcpState::S1,
            (None, (false, false)) => TcpState::Oth,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYN: u8 = 0x02;
    const ACK: u8 = 0x10;
    const SYN_ACK: u8 = 0x12;
    const FIN: u8 = 0x11;
    const RST: u8 = 0x04;

    /// State after segments of initiator (`>`) and responder (`<`), which must not depend on which endpoint is lower.
    fn state(segments: &[(char, u8)]) -> &'static str {
        let [one, other] = [true, false].map(|initiated_by_low| {
            let mut history = TcpHistory::default();
            for (side, flags) in segments {
                history.note((*side == '>') == initiated_by_low, TcpFlags(*flags));
            }
            history.state(initiated_by_low).name()
        });
        assert_eq!(one, other);
        one
    }

    #[test]
    fn states_match_those_of_zeek() {
        let open = [('>', SYN), ('<', SYN_ACK), ('>', ACK)];
        let with = |more: &[(char, u8)]| state(&[&open, more].concat());
        assert_eq!(state(&[('>', SYN)]), "S0");
        assert_eq!(state(&[('>', SYN), ('>', ACK)]), "S0", "the other direction was not captured");
        assert_eq!(with(&[]), "S1");
        assert_eq!(state(&[('>', SYN), ('<', SYN_ACK)]), "S1");
        assert_eq!(state(&[('<', SYN_ACK), ('>', ACK)]), "S1", "began before the capture");
        assert_eq!(with(&[('>', FIN)]), "S2");
        assert_eq!(with(&[('<', FIN)]), "S3");
        assert_eq!(with(&[('<', FIN), ('>', FIN)]), "SF");
        assert_eq!(with(&[('<', FIN), ('>', FIN), ('<', RST)]), "SF", "a reset after both FINs");
        assert_eq!(with(&[('>', FIN), ('>', RST)]), "RSTO");
        assert_eq!(with(&[('>', RST), ('<', RST)]), "RSTO", "the first reset counts");
        assert_eq!(with(&[('<', RST)]), "RSTR");
        assert_eq!(state(&[('>', SYN), ('<', RST)]), "REJ");
        assert_eq!(state(&[('>', SYN), ('>', RST)]), "RSTOS0");
        assert_eq!(state(&[('<', SYN_ACK), ('<', RST)]), "RSTRH");
        assert_eq!(state(&[('>', SYN), ('>', FIN)]), "SH");
        assert_eq!(state(&[('<', SYN_ACK), ('<', FIN)]), "SHR");
        assert_eq!(state(&[('>', ACK), ('<', ACK)]), "OTH");
        assert_eq!(state(&[]), "OTH");
    }

    #[test]
    fn a_connection_is_closed_by_rst_or_by_both_fins() {
        let mut history = TcpHistory::default();
        for (from_low, flags, closed, answered) in [
            (true, SYN, false, false),
            (false, SYN_ACK, false, true),
            (true, FIN, false, true),
            (true, FIN, false, true),
            (false, FIN, true, true),
        ] {
            history.note(from_low, TcpFlags(flags));
            assert_eq!((history.is_closed(), history.is_answered()), (closed, answered), "{flags:#x}");
        }
    }
}
