//! Admission of connections: bounds on sockets, on peers without a proved key, on handshakes at a time, and on sessions.

use std::net::IpAddr;
use std::sync::Arc;
use std::thread::available_parallelism;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::IngestLimits;
use super::turns::Turns;
use super::unproved::{Place, Unproved};

/// Sockets beyond the sum of the two tables: connections that were told to close and have not done so yet.
const CLOSING: usize = 16;

/// State that all connections share before they are established. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    sockets: Arc<Semaphore>,
    unproved: Unproved,
    pub(super) turns: Turns,
    sessions: Arc<Semaphore>,
}

/// A connection that may begin.
#[derive(Debug)]
pub(super) struct Entrance {
    /// Held until the socket is closed.
    pub(super) socket: OwnedSemaphorePermit,
    /// Held until the peer has proved a key.
    pub(super) place: Place,
    /// Ends when the connection has to make room for another.
    pub(super) crowded_out: oneshot::Receiver<()>,
}

impl Gate {
    /// A gate with nobody in it.
    pub(super) fn new(limits: &IngestLimits) -> Self {
        let sockets = limits.connections.saturating_add(limits.handshakes).saturating_add(CLOSING);
        let processors = available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            sockets: Arc::new(Semaphore::new(sockets.min(Semaphore::MAX_PERMITS))),
            unproved: Unproved::new(limits.handshakes),
            turns: Turns::new(processors),
            sessions: Arc::new(Semaphore::new(limits.connections.min(Semaphore::MAX_PERMITS))),
        }
    }

    /// Lets a connection begin, for which another one may have to go. None if the process has no socket left for it: then
    /// every session is taken.
    pub(super) fn enter(&self, peer: IpAddr) -> Option<Entrance> {
        let socket = Arc::clone(&self.sockets).try_acquire_owned().ok()?;
        let (place, crowded_out) = self.unproved.add(peer.into());
        Some(Entrance { socket, place, crowded_out })
    }

    /// Place of a session for a peer that has proved its key; none if all are taken.
    pub(super) fn session(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.sessions).try_acquire_owned().ok()
    }
}
