//! Accepting connections, within limits.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sentinel_units::Uptime;
use sentinel_uplink::{KeyPair, Limits};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::connection;
use super::{EvictReason, Rejections, Sessions};
use crate::log::Log;
use crate::metrics::{Metrics, RejectionCause};
use crate::store::{Readers, StoreError, WriterHandle, sensors};

/// How much the network may ask of us.
#[derive(Clone, Copy, Debug)]
pub struct IngestLimits {
    /// Connections at the same time.
    pub connections: usize,
    /// Of these, how many may be without a proved key.
    pub handshakes: usize,
    /// Sizes and times of each session.
    pub session: Limits,
}

impl Default for IngestLimits {
    fn default() -> Self {
        Self { connections: 10_000, handshakes: 1_000, session: Limits::COLLECTOR }
    }
}

/// What every connection uses.
#[derive(Debug)]
pub struct IngestShared {
    /// The static key of this collector.
    pub identity: KeyPair,
    /// Where what arrives goes.
    pub writer: WriterHandle,
    /// Where keys and tokens are looked up.
    pub readers: Readers,
    /// Who is connected.
    pub sessions: Sessions,
    /// The counters.
    pub metrics: Arc<Metrics>,
    /// Those who are not served.
    pub rejections: Rejections,
    /// The log.
    pub log: Log,
    /// How much the network may ask of us.
    pub limits: IngestLimits,
    /// Turns true when the process stops.
    pub stopping: watch::Receiver<bool>,
    /// The start of this process, by which sessions count time.
    pub started: Instant,
}

impl IngestShared {
    /// Time since the start.
    #[must_use]
    pub fn uptime(&self) -> Uptime {
        Uptime::ZERO.after(self.started.elapsed())
    }
}

/// How often other processes' revocations are looked for.
const REVOCATION_INTERVAL: Duration = Duration::from_secs(1);
/// How long connections may take to say goodbye.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// The listening side of the collector.
#[derive(Debug)]
pub struct Ingest {
    listener: TcpListener,
    shared: Arc<IngestShared>,
}

impl Ingest {
    /// Serves what `listener` accepts.
    #[must_use]
    pub fn new(listener: TcpListener, shared: IngestShared) -> Self {
        Self { listener, shared: Arc::new(shared) }
    }

    /// Accepts until `stopping` turns true, then lets every connection store and acknowledge what it
    /// has, and returns.
    pub async fn run(self) {
        let shared = self.shared;
        let mut stopping = shared.stopping.clone();
        let connections = Arc::new(Semaphore::new(shared.limits.connections));
        let handshakes = Arc::new(Semaphore::new(shared.limits.handshakes));
        let mut tasks = JoinSet::new();
        let watcher = tokio::spawn(evict_revoked(Arc::clone(&shared)));
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                Some(_) = tasks.join_next() => continue, // forget the finished ones
                _ = stopping.wait_for(|stop| *stop) => break,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    cannot_accept(&shared.log, &error).await;
                    continue;
                }
            };
            shared.metrics.connections_accepted.inc();
            let permits = Arc::clone(&connections).try_acquire_owned().ok();
            let Some(permits) = permits.zip(Arc::clone(&handshakes).try_acquire_owned().ok()) else {
                shared.rejections.address(RejectionCause::TooMany, peer.ip(), "too many connections");
                continue;
            };
            tasks.spawn(serve(stream, peer, permits, Arc::clone(&shared)));
        }
        drop(self.listener);
        let all = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN_TIMEOUT, all).await.is_err() {
            shared.log.warn(format_args!("connections did not end in time, closing them"));
        }
        watcher.abort();
    }
}

type Permits = (tokio::sync::OwnedSemaphorePermit, tokio::sync::OwnedSemaphorePermit);

async fn serve(stream: TcpStream, peer: SocketAddr, permits: Permits, shared: Arc<IngestShared>) {
    let (connection, handshake) = permits;
    shared.metrics.connections.inc();
    let _ = stream.set_nodelay(true); // acknowledgements are small and wanted soon
    connection::serve(stream, peer, handshake, &shared).await;
    shared.metrics.connections.dec();
    drop(connection);
}

/// Out of file descriptors, most likely: the connection stays in the queue of the kernel, so wait.
async fn cannot_accept(log: &Log, error: &io::Error) {
    log.error(format_args!("cannot accept connections: {error}"));
    tokio::time::sleep(Duration::from_secs(1)).await;
}

/// `sentinel-collector revoke` is another process: look at what it did.
async fn evict_revoked(shared: Arc<IngestShared>) {
    let mut period = tokio::time::interval(REVOCATION_INTERVAL);
    loop {
        period.tick().await;
        let revoked: Result<_, StoreError> = shared.readers.read(sensors::revoked).await;
        for id in revoked.unwrap_or_default() {
            shared.sessions.end(id, EvictReason::Revoked);
        }
    }
}
