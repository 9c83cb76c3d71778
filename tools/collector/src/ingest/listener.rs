//! Accepts connections within limits, and evicts revoked sensors.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use super::{EvictReason, IngestShared, connection};
use crate::log::Log;
use crate::metrics::RejectionCause;

/// Time between two looks for revocations, which other processes write into the store.
const REVOCATION_INTERVAL: Duration = Duration::from_secs(1);
/// Time for all connections to close when the process stops.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// Time before accepting again after a failure, most likely for want of file descriptors. The connection stays in
/// the kernel's queue meanwhile.
const ACCEPT_RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// The listening side of the collector.
#[derive(Debug)]
pub struct Ingest {
    listener: TcpListener,
    shared: Arc<IngestShared>,
}

impl Ingest {
    /// Serves the connections that `listener` accepts.
    #[must_use]
    pub fn new(listener: TcpListener, shared: IngestShared) -> Self {
        Self { listener, shared: Arc::new(shared) }
    }

    /// Accepts until `stopping` turns true, then lets every connection store and acknowledge what it has received,
    /// and returns.
    pub async fn run(self) {
        let Self { listener, shared } = self;
        let mut stopping = shared.stopping.clone();
        let permits = PermitPool::new(&shared);
        let mut tasks = JoinSet::new();
        let revocations = tokio::spawn(evict_revoked(Arc::clone(&shared)));
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                // Frees the memory of a finished task. Without tasks it yields none, which disables this branch.
                Some(_) = tasks.join_next() => continue,
                _ = stopping.wait_for(|stop| *stop) => break,
            };
            match accepted {
                Err(error) => pause_accepting(&shared.log, &error).await,
                Ok((stream, peer)) => {
                    shared.metrics.connections_accepted.inc();
                    if let Some(permits) = permits.acquire() {
                        tasks.spawn(serve(stream, peer, permits, Arc::clone(&shared)));
                    } else {
                        let detail = "too many connections";
                        shared.rejections.address(RejectionCause::TooMany, peer.ip(), detail);
                    }
                }
            }
        }
        // The port closes before the drain: a sensor that connects now is refused at once and comes back after a backoff.
        drop(listener);
        let drain = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN_TIMEOUT, drain).await.is_err() {
            shared.log.warn(format_args!("connections did not end in time, closing them"));
        }
        revocations.abort();
    }
}

/// Permits of [`super::IngestLimits`].
struct PermitPool {
    connections: Arc<Semaphore>,
    handshakes: Arc<Semaphore>,
}

/// Permits of one connection. `handshake` is returned when the peer has proved its key: peers that cannot prove one
/// never hold more than their share of the connections.
struct Permits {
    connection: OwnedSemaphorePermit,
    handshake: OwnedSemaphorePermit,
}

impl PermitPool {
    fn new(shared: &IngestShared) -> Self {
        Self {
            connections: Arc::new(Semaphore::new(shared.limits.connections)),
            handshakes: Arc::new(Semaphore::new(shared.limits.handshakes)),
        }
    }

    fn acquire(&self) -> Option<Permits> {
        // Never waits: a connection over a limit is closed at once and takes no memory. If the second permit is missing, the
        // first is returned when it is dropped here.
        Some(Permits {
            connection: Arc::clone(&self.connections).try_acquire_owned().ok()?,
            handshake: Arc::clone(&self.handshakes).try_acquire_owned().ok()?,
        })
    }
}

async fn serve(stream: TcpStream, peer: SocketAddr, permits: Permits, shared: Arc<IngestShared>) {
    let Permits { connection, handshake } = permits;
    shared.metrics.connections.inc();
    let _ = stream.set_nodelay(true); // acknowledgements are small and must not wait for more
    connection::serve(stream, peer, handshake, &shared).await;
    shared.metrics.connections.dec();
    drop(connection);
}

async fn pause_accepting(log: &Log, error: &io::Error) {
    log.error(format_args!("cannot accept connections: {error}"));
    tokio::time::sleep(ACCEPT_RETRY_INTERVAL).await;
}

/// Evicts the sessions of sensors that `sentinel-collector revoke`, another process, has revoked.
async fn evict_revoked(shared: Arc<IngestShared>) {
    let mut interval = tokio::time::interval(REVOCATION_INTERVAL);
    loop {
        interval.tick().await;
        // An unreadable store shows in /health; the next look comes in a second.
        for id in shared.readers.revoked_sensors().await.unwrap_or_default() {
            shared.sessions.evict(id, EvictReason::Revoked);
        }
    }
}
