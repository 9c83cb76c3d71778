//! How a TCP connection went.
//!
//! Read first: RFC 9293 section 3.3.2 (states of a connection); "conn.log" in the book of Zeek (names of the ways that a
//! connection can go).

use sentinel_dissect::TcpFlags;

/// How a TCP connection went, as far as it was seen: the names that Zeek gives in `conn_state`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TcpState {
    /// A SYN, and no answer.
    S0,
    /// Opened, and not closed.
    S1,
    /// Opened, and closed by the opener; no closing of the other side.
    S2,
    /// Opened, and closed by the other side; no closing of the opener.
    S3,
    /// Closed by both sides.
    Sf,
    /// The SYN was answered by a reset.
    Rej,
    /// Opened, then reset by the opener.
    Rsto,
    /// Opened, then reset by the other side.
    Rstr,
    /// A SYN, then a reset by the opener; no SYN-ACK.
    Rstos0,
    /// Reset by the other side; no SYN.
    Rstrh,
    /// A SYN, then a FIN by the opener; no SYN-ACK.
    Sh,
    /// A SYN-ACK, then a FIN by the other side; nothing of the opener.
    Shr,
    /// Its opening was not seen, and it was not closed either.
    Oth,
}

impl TcpState {
    /// As Zeek writes it.
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

/// What each side (low, high) has sent.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TcpHistory {
    syn: [bool; 2],
    syn_ack: [bool; 2],
    fin: [bool; 2],
    other: [bool; 2],
    /// Who sent the first reset before both had closed.
    reset: Option<bool>,
}

impl TcpHistory {
    pub(super) fn note(&mut self, from_low: bool, flags: TcpFlags) {
        let Self { syn, syn_ack, fin, other, reset } = self;
        let side = |sides: &mut [bool; 2]| {
            let [low, high] = sides;
            *if from_low { low } else { high } = true;
        };
        if flags.syn_only() {
            side(syn);
        } else if flags.syn_ack() {
            side(syn_ack);
        } else if flags.has(TcpFlags::RST) {
            let [low, high] = *fin;
            if reset.is_none() && !(low && high) {
                *reset = Some(from_low);
            }
            return;
        } else {
            side(other);
        }
        if flags.has(TcpFlags::FIN) {
            side(fin);
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.reset.is_some() || self.fin == [true; 2]
    }

    pub(super) fn is_answered(&self) -> bool {
        let any = |side: fn(&[bool; 2]) -> bool| side(&self.syn_ack) || side(&self.other);
        any(|[low, _]| *low) && any(|[_, high]| *high) || self.syn_ack != [false; 2]
    }

    /// As `conn_state` of Zeek's `base/protocols/conn` decides. A side is active if its part of the opening was seen.
    pub(super) fn state(&self, initiated_by_low: bool) -> TcpState {
        let sides = |[low, high]: [bool; 2]| if initiated_by_low { (low, high) } else { (high, low) };
        let (opener_syn, _) = sides(self.syn);
        let (_, syn_ack) = sides(self.syn_ack);
        let (opener_other, answerer_other) = sides(self.other);
        let opener_active = opener_syn || syn_ack && opener_other;
        match (self.reset.map(|from_low| from_low == initiated_by_low), sides(self.fin)) {
            (Some(false), _) if opener_syn && !syn_ack && !answerer_other => TcpState::Rej,
            (Some(false), _) if !opener_active => TcpState::Rstrh,
            (Some(false), _) => TcpState::Rstr,
            (Some(true), _) if !syn_ack => TcpState::Rstos0,
            (Some(true), _) => TcpState::Rsto,
            (None, (true, true)) => TcpState::Sf,
            (None, (true, false)) if syn_ack => TcpState::S2,
            (None, (true, false)) => TcpState::Sh,
            (None, (false, true)) if opener_active => TcpState::S3,
            (None, (false, true)) => TcpState::Shr,
            (None, (false, false)) if opener_syn && !syn_ack && !answerer_other => TcpState::S0,
            (None, (false, false)) if opener_active && syn_ack => TcpState::S1,
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

    /// Segments of opener (`>`) and answerer (`<`); the state must not depend on which end has the lower address.
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
    fn states_are_those_of_zeek() {
        let open = [('>', SYN), ('<', SYN_ACK), ('>', ACK)];
        let with = |more: &[(char, u8)]| state(&[&open, more].concat());
        assert_eq!(state(&[('>', SYN)]), "S0");
        assert_eq!(state(&[('>', SYN), ('>', ACK)]), "S0", "half of the connection takes another way");
        assert_eq!(with(&[]), "S1");
        assert_eq!(state(&[('>', SYN), ('<', SYN_ACK)]), "S1");
        assert_eq!(state(&[('<', SYN_ACK), ('>', ACK)]), "S1", "began before the capture");
        assert_eq!(with(&[('>', FIN)]), "S2");
        assert_eq!(with(&[('<', FIN)]), "S3");
        assert_eq!(with(&[('<', FIN), ('>', FIN)]), "SF");
        assert_eq!(with(&[('<', FIN), ('>', FIN), ('<', RST)]), "SF", "a reset of what is closed");
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
    fn over_is_a_reset_or_two_closings() {
        let mut history = TcpHistory::default();
        for (from_low, flags, over, answered) in [
            (true, SYN, false, false),
            (false, SYN_ACK, false, true),
            (true, FIN, false, true),
            (true, FIN, false, true),
            (false, FIN, true, true),
        ] {
            history.note(from_low, TcpFlags(flags));
            assert_eq!((history.is_over(), history.is_answered()), (over, answered), "{flags:#x}");
        }
    }
}
