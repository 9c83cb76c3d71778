//! First message of a peer: its last byte, which makes the session decrypt it, waits for a turn.

use tokio::sync::oneshot;

use crate::ingest::turns::{Turn, Turns};
use crate::ingest::unproved::Place;

/// Bytes up to the end of the first message: preface 4, length 2, message (PROTOCOL.md section 2).
const SESSION_LEN: usize = 4 + 2 + 96;
/// Length with the token id of an enrollment.
const ENROLLMENT_LEN: usize = 4 + 2 + 104;
/// Position of the suite in the preface, and the bit that enrollments have.
const SUITE_AT: usize = 3;
const ENROLLMENT_BIT: u8 = 0x10;

/// Progress of a peer towards its first message.
#[derive(Debug, Default)]
pub(super) struct FirstMessage {
    /// Bytes that the session has taken.
    taken: usize,
    is_enrollment: bool,
    turn: Progress,
}

#[derive(Debug, Default)]
enum Progress {
    /// The first message is not complete.
    #[default]
    Incomplete,
    /// Complete but for its last byte, which the session gets when it is this peer's turn.
    Waiting(oneshot::Receiver<Turn>),
    /// The session may decrypt it. Held until it is answered.
    Granted { _turn: Option<Turn> },
    /// Answered.
    Done,
}

impl FirstMessage {
    /// Bytes of `input` that the session may take now. Asks for a turn if the first message is complete.
    pub(super) fn available(&mut self, input: &[u8], place: &Place, turns: &Turns) -> usize {
        match self.turn {
            Progress::Incomplete => {}
            Progress::Waiting(_) => return 0,
            Progress::Granted { .. } | Progress::Done => return input.len(),
        }
        // All but the last byte goes to the session at once: it finds foreign protocols and wrong lengths without a turn. Before
        // the suite is known, the shorter length holds more back than needed, until the next call.
        let len = if self.is_enrollment { ENROLLMENT_LEN } else { SESSION_LEN };
        let free = (len - 1).saturating_sub(self.taken).min(input.len());
        if free == 0 && !input.is_empty() {
            place.heard();
            self.turn = Progress::Waiting(turns.request(place.source()));
        }
        free
    }

    /// Notes the bytes that the session took.
    pub(super) fn taken(&mut self, bytes: &[u8]) {
        let suite = SUITE_AT.checked_sub(self.taken).and_then(|at| bytes.get(at));
        if let Some(suite) = suite {
            self.is_enrollment = suite & ENROLLMENT_BIT != 0;
        }
        self.taken = self.taken.saturating_add(bytes.len());
    }

    /// Channel on which the turn comes.
    pub(super) const fn waiting(&mut self) -> Option<&mut oneshot::Receiver<Turn>> {
        match &mut self.turn {
            Progress::Waiting(granted) => Some(granted),
            _ => None,
        }
    }

    /// Returns true if the session may decrypt the message now.
    pub(super) const fn is_granted(&self) -> bool {
        matches!(self.turn, Progress::Granted { .. })
    }

    /// It is this peer's turn. None if the queue is gone, which stops with the process.
    pub(super) fn granted(&mut self, turn: Option<Turn>) {
        self.turn = Progress::Granted { _turn: turn };
    }

    /// The first message is answered: returns the turn.
    pub(super) fn done(&mut self) {
        self.turn = Progress::Done;
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::ingest::unproved::Unproved;

    /// Bytes taken one read at a time until nothing is available; returns how many.
    fn fed(first: &mut FirstMessage, bytes: &[u8], read: usize, place: &Place, turns: &Turns) -> usize {
        let mut at = 0;
        loop {
            let input = &bytes[at..bytes.len().min(at + read)];
            let available = first.available(input, place, turns);
            if available == 0 {
                return at;
            }
            first.taken(&input[..available]);
            at += available;
        }
    }

    #[test]
    fn the_last_byte_of_the_first_message_waits_for_a_turn() {
        for (suite, len) in [(0x01, 102), (0x02, 102), (0x11, 110), (0x12, 110)] {
            let mut bytes = vec![0x53, 0x41, 1, suite];
            bytes.resize(300, 7);
            for read in [1, 7, 300] {
                let (place, _open) = Unproved::new(1).add(IpAddr::from([192, 0, 2, 1]).into());
                let turns = Turns::new(1);
                let held = turns.request(place.source()).try_recv().unwrap();
                let mut first = FirstMessage::default();
                assert_eq!(fed(&mut first, &bytes, read, &place, &turns), len - 1, "{suite:#x} {read}");
                assert!(first.waiting().unwrap().try_recv().is_err());
                drop(held);
                let turn = first.waiting().unwrap().try_recv().unwrap();
                first.granted(Some(turn));
                assert_eq!(first.available(&bytes[len - 1..], &place, &turns), 300 - (len - 1));
                assert!(turns.request(place.source()).try_recv().is_err(), "held until it is answered");
                first.done();
                assert!(turns.request(place.source()).try_recv().is_ok());
            }
        }
    }
}
