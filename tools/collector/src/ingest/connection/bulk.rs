//! Turn to deliver much: of thousands of sensors with a full spool, few are read at a time.
//!
//! Bytes that the others have sent stay in the buffers of the kernel, where they cost this process nothing, and TCP slows them down.
//! A sensor that sends little needs no turn.

use std::pin::Pin;

use tokio::sync::OwnedSemaphorePermit;

use crate::ingest::gate::Gate;

/// Longest message that is read without a turn: some sixteen alerts, or any message that is no batch.
const LIGHT_LEN: usize = 512;
/// Entries that may be pending without a turn, while a delivery is being stored.
const LIGHT_ENTRIES: usize = 16;
/// Entries read in one turn: as many as are pending, at most. With a turn in each of [`crate::ingest::gate::BULK_TURNS`] sessions
/// this is the memory of all deliveries.
const TURN_ENTRIES: usize = 512;

/// State of one session.
#[derive(Default)]
pub(super) struct BulkTurn {
    frame: FrameCursor,
    turn: Turn,
}

/// Place in the stream of frames, each with its length before it (PROTOCOL.md section 2).
#[derive(Debug)]
struct FrameCursor {
    /// Bytes up to the end of the frame, or of the preface of a connection.
    left: usize,
    /// Length of that frame.
    len: usize,
    /// First byte of the length of the next frame.
    header: Option<u8>,
}

/// Bytes before the first frame.
const PREFACE_LEN: usize = 4;

impl Default for FrameCursor {
    fn default() -> Self {
        Self { left: PREFACE_LEN, len: PREFACE_LEN, header: None }
    }
}

impl FrameCursor {
    fn advance(&mut self, mut bytes: &[u8]) {
        // Bounded: each iteration takes a byte.
        while let Some((first, rest)) = bytes.split_first() {
            if self.left > 0 {
                let skipped = self.left.min(bytes.len());
                self.left -= skipped;
                bytes = bytes.get(skipped..).unwrap_or_default();
                continue;
            }
            bytes = rest;
            match self.header.take() {
                None => self.header = Some(*first),
                Some(high) => {
                    self.len = usize::from(u16::from_be_bytes([high, *first]));
                    self.left = self.len;
                }
            }
        }
    }

    /// Returns true inside a frame that is longer than a sensor needs that sends little.
    const fn is_long(&self) -> bool {
        self.left > 0 && self.len > LIGHT_LEN
    }
}

#[derive(Default)]
enum Turn {
    /// Not needed so far, or given back.
    #[default]
    None,
    Waiting(Pin<Box<dyn Future<Output = Option<OwnedSemaphorePermit>> + Send>>),
    Held {
        _permit: OwnedSemaphorePermit,
        /// Entries read in this turn.
        entries: usize,
        /// The last read got everything that had arrived.
        is_drained: bool,
    },
}

impl BulkTurn {
    /// Most bytes to read at once; 0 if the session has to wait for a turn, or for the end of the one that it has.
    pub(super) const fn read_len(&self, longest: usize) -> usize {
        match self.turn {
            Turn::Held { entries, .. } if entries >= TURN_ENTRIES => 0,
            Turn::Held { .. } => longest,
            _ if self.frame.is_long() => 0,
            _ => LIGHT_LEN,
        }
    }

    /// Entries that may be pending while a delivery is being stored.
    pub(super) const fn max_pending(&self) -> usize {
        if self.is_held() { TURN_ENTRIES } else { LIGHT_ENTRIES }
    }

    /// Returns true during a turn.
    pub(super) const fn is_held(&self) -> bool {
        matches!(self.turn, Turn::Held { .. })
    }

    /// Returns true if a turn is needed before more is read.
    pub(super) const fn is_needed(&self) -> bool {
        !self.is_held() && self.frame.is_long()
    }

    /// Notes a read of `count` bytes where `wanted` were asked for.
    pub(super) const fn note_read(&mut self, count: usize, wanted: usize) {
        if let Turn::Held { is_drained, .. } = &mut self.turn {
            *is_drained = count < wanted;
        }
    }

    /// Notes bytes that the session has taken.
    pub(super) fn note_taken(&mut self, bytes: &[u8]) {
        self.frame.advance(bytes);
    }

    /// Notes a message with `count` entries.
    pub(super) const fn note_entries(&mut self, count: usize) {
        if let Turn::Held { entries, .. } = &mut self.turn {
            *entries = entries.saturating_add(count);
        }
    }

    /// Gives the turn back if nothing is left to do in it. To be called while nothing is pending or being stored; `may_read` is
    /// false while the sensor exceeds a rate. A sensor that sends half a message and no more therefore holds no turn.
    pub(super) fn release(&mut self, may_read: bool) {
        if let Turn::Held { entries, is_drained, .. } = self.turn
            && (is_drained || entries >= TURN_ENTRIES || !may_read)
        {
            self.turn = Turn::None;
        }
    }

    /// Joins the queue: the next bytes have arrived.
    pub(super) fn request(&mut self, gate: &Gate) {
        self.turn = Turn::Waiting(Box::pin(gate.clone().bulk_turn()));
    }

    /// The wait for a turn, if there is one.
    pub(super) fn waiting(
        &mut self,
    ) -> Option<Pin<&mut (dyn Future<Output = Option<OwnedSemaphorePermit>> + Send)>> {
        match &mut self.turn {
            Turn::Waiting(turn) => Some(turn.as_mut()),
            _ => None,
        }
    }

    /// The turn has come. None if the queue is gone, which stops with the process.
    pub(super) fn begin(&mut self, permit: Option<OwnedSemaphorePermit>) {
        self.turn = match permit {
            Some(permit) => Turn::Held { _permit: permit, entries: 0, is_drained: false },
            None => Turn::None,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Preface, two short frames, the beginning of a long one.
    fn stream() -> Vec<u8> {
        let mut bytes = vec![0x53, 0x41, 1, 1];
        for len in [96_u16, 20, 1_000] {
            bytes.extend_from_slice(&len.to_be_bytes());
            bytes.resize(bytes.len() + usize::from(len), 7);
        }
        bytes
    }

    #[test]
    fn a_turn_is_needed_inside_a_long_message_only() {
        let bytes = stream();
        for read in [1, 3, 512] {
            let mut bulk = BulkTurn::default();
            for chunk in bytes[..bytes.len() - 1_000].chunks(read) {
                assert!(!bulk.is_needed() && bulk.read_len(4_096) == LIGHT_LEN);
                bulk.note_taken(chunk);
            }
            assert!(bulk.is_needed() && bulk.read_len(4_096) == 0, "after the length of a long one");
            bulk.note_taken(&[7; 999]);
            assert!(bulk.is_needed());
            bulk.note_taken(&[7]);
            assert!(!bulk.is_needed());
        }
    }

    #[tokio::test]
    async fn a_turn_ends_with_its_entries_or_when_nothing_more_has_arrived() {
        let turns = std::sync::Arc::new(tokio::sync::Semaphore::new(1));
        let permit = || std::sync::Arc::clone(&turns).try_acquire_owned().ok();
        let mut bulk = BulkTurn::default();
        bulk.note_taken(&stream()[..200]);
        bulk.begin(permit());
        assert_eq!(bulk.read_len(4_096), 4_096);
        bulk.note_read(4_096, 4_096);
        bulk.release(true);
        assert!(permit().is_none(), "there is more to read");
        bulk.note_entries(TURN_ENTRIES);
        assert_eq!(bulk.read_len(4_096), 0, "its turn is over when this is stored");
        bulk.release(true);
        bulk.begin(permit());
        bulk.note_read(100, 4_096); // half a message and no more
        bulk.release(true);
        assert!(permit().is_some());
        bulk.begin(permit());
        bulk.release(false);
        assert!(permit().is_some(), "a sensor that must not be read has no turn");
    }
}
