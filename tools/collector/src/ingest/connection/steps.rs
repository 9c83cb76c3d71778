//! Steps of a connection, and the points at which it goes on on other threads.

use super::close::CloseReason;
use super::phase::Phase;
use super::{Connection, Wake, or_pending};
use crate::store::Lane;

impl Connection {
    /// Serves the connection until its first message is complete and may be decrypted; none if it ended before.
    pub(in crate::ingest) async fn await_turn(self: Box<Self>) -> Option<Box<Self>> {
        self.step_until(|connection| connection.first_message.is_granted()).await
    }

    /// Serves the connection, on the runtime of the caller, until its peer has proved a key; none if it ended before.
    pub(in crate::ingest) async fn prove(mut self: Box<Self>) -> Option<Box<Self>> {
        if let Err(error) = self.register_socket() {
            self.end(CloseReason::Socket(error)).await;
            return None;
        }
        self.step_until(|connection| matches!(connection.phase, Phase::Established(_))).await
    }

    /// Serves an established session, on the runtime of the caller, until it needs the threads of the other lane; none if it has
    /// ended, which is logged with the reason.
    pub(in crate::ingest) async fn run(mut self: Box<Self>) -> Option<Box<Self>> {
        if let Err(error) = self.register_socket() {
            self.end(CloseReason::Socket(error)).await;
            return None;
        }
        let lane = self.lane;
        self.step_until(|connection| connection.lane != lane).await
    }

    /// Threads that the session needs.
    pub(in crate::ingest) const fn lane(&self) -> Lane {
        self.lane
    }

    /// Serves the connection until `is_due`, which is asked after each step and each wait; none if it ended before.
    async fn step_until(mut self: Box<Self>, is_due: impl Fn(&Self) -> bool) -> Option<Box<Self>> {
        loop {
            let advanced = self.advance().await;
            if advanced.is_ok() && is_due(&self) {
                return Some(self);
            }
            let step = if advanced.is_ok() { self.wake().await } else { advanced };
            match step {
                Ok(()) if is_due(&self) => return Some(self),
                Ok(()) => {}
                Err(reason) => {
                    self.end(reason).await;
                    return None;
                }
            }
        }
    }

    async fn end(mut self: Box<Self>, reason: CloseReason) {
        // The channel of a connection that was crowded out has ended, and must not be awaited again.
        let mut unproved = self.unproved.take().filter(|_| !matches!(reason, CloseReason::CrowdedOut));
        // Peers that are being rejected are in the table of unproved ones still, and make room like the others.
        tokio::select! {
            () = self.close(reason) => {}
            _ = or_pending(unproved.as_mut().map(|(_, crowded_out)| crowded_out)) => {}
        }
    }

    /// Waits for the next event, and takes it.
    async fn wake(&mut self) -> Result<(), CloseReason> {
        match self.wait().await {
            Wake::Turn(turn) => {
                self.first_message.granted(turn);
                Ok(())
            }
            Wake::BulkReady => {
                self.lane = Lane::Bulk;
                self.bulk.request(&self.gate);
                Ok(())
            }
            Wake::BulkTurn(turn) => {
                self.bulk.begin(turn);
                Ok(())
            }
            Wake::CrowdedOut => Err(CloseReason::CrowdedOut),
            Wake::Socket => self.transfer(),
            Wake::Deadline => {
                self.note_silence();
                Ok(())
            }
            Wake::Stored(result) => self.stored(result),
            Wake::Evicted(reason) => Err(CloseReason::Evicted(reason)),
            Wake::Stopping => Err(CloseReason::Stopping),
        }
    }
}
