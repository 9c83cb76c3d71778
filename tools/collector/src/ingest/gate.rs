//! Admission of connections: bounds on sockets, on peers without a proved key, on handshakes at a time, and on sessions.

use std::net::IpAddr;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::IngestLimits;
use super::turns::Turns;
use super::unproved::{Place, Unproved};

/// Sockets beyond the sum of the two tables: connections that were told to close and have not done so yet.
const CLOSING: usize = 16;
/// Time for one of these to close.
const SOCKET_WAIT: Duration = Duration::from_secs(1);

/// First messages under way for each processor: most wait for the store at any time, and the processors must not wait with them.
const TURNS_PER_PROCESSOR: usize = 8;

/// State that all connections share before they are established. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    arriving: Arc<Semaphore>,
    sockets: Arc<Semaphore>,
    unproved: Unproved,
    pub(super) turns: Turns,
    sessions: Arc<Semaphore>,
    bulk: Arc<Semaphore>,
}

/// Sessions that are read at the same time although they send much. Enough that the writer always has the next transaction
/// in its queue.
const BULK_TURNS: usize = 32;

/// A connection that may begin.
#[derive(Debug)]
pub(super) struct Entrance {
    /// Held until the task of the connection runs.
    pub(super) arriving: OwnedSemaphorePermit,
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
            arriving: Arc::new(Semaphore::new((limits.handshakes / 4).clamp(16, Semaphore::MAX_PERMITS))),
            sockets: Arc::new(Semaphore::new(sockets.min(Semaphore::MAX_PERMITS))),
            unproved: Unproved::new(limits.handshakes),
            turns: Turns::new(processors.saturating_mul(TURNS_PER_PROCESSOR)),
            sessions: Arc::new(Semaphore::new(limits.connections.min(Semaphore::MAX_PERMITS))),
            bulk: Arc::new(Semaphore::new(BULK_TURNS)),
        }
    }

    /// Lets a connection begin, for which another one may have to go. Waits while a quarter of the table has not been looked at yet:
    /// a sensor among them could be crowded out before its first message is read. Waits for those that were told to close: they are accepted
    /// faster than they can go. None if they do not go in time.
    pub(super) async fn enter(&self, peer: IpAddr) -> Option<Entrance> {
        let arriving = Arc::clone(&self.arriving).acquire_owned().await.ok()?;
        let socket = tokio::time::timeout(SOCKET_WAIT, Arc::clone(&self.sockets).acquire_owned());
        let socket = socket.await.ok()?.ok()?;
        let (place, crowded_out) = self.unproved.add(peer.into());
        Some(Entrance { arriving, socket, place, crowded_out })
    }

    /// A turn to deliver much, in the order of the requests; none if the queue is gone.
    pub(super) async fn bulk_turn(self) -> Option<OwnedSemaphorePermit> {
        self.bulk.acquire_owned().await.ok()
    }

    /// Place of a session for a peer that has proved its key; none if all are taken.
    pub(super) fn session(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.sessions).try_acquire_owned().ok()
    }
}
