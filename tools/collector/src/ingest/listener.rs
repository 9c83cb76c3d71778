//! Accepts connections within limits, and evicts revoked sensors.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::gate::{Entrance, Gate};
use super::{EvictReason, IngestShared, connection};
use crate::clock;
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
        let gate = Gate::new(&shared.limits);
        let mut tasks = JoinSet::new();
        let revocations = tokio::spawn(each_second(Arc::clone(&shared)));
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
                    // Never waits: a connection over the limit is closed at once and takes no memory.
                    if let Some(entrance) = gate.enter(peer.ip()) {
                        tasks.spawn(serve(stream, peer, entrance, gate.clone(), Arc::clone(&shared)));
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

async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    entrance: Entrance,
    gate: Gate,
    shared: Arc<IngestShared>,
) {
    let Entrance { socket, place, crowded_out } = entrance;
    shared.metrics.connections.inc();
    let _ = stream.set_nodelay(true); // acknowledgements are small and must not wait for more
    connection::serve(stream, peer, place, crowded_out, &gate, &shared).await;
    shared.metrics.connections.dec();
    drop(socket);
}

async fn pause_accepting(log: &Log, error: &io::Error) {
    log.limited_warn("accept", format_args!("cannot accept connections: {error}"));
    tokio::time::sleep(ACCEPT_RETRY_INTERVAL).await;
}

/// Evicts the sessions of sensors that `sentinel-collector revoke`, another process, has revoked, and logs how many lines were
/// left out.
async fn each_second(shared: Arc<IngestShared>) {
    let mut interval = tokio::time::interval(REVOCATION_INTERVAL);
    loop {
        interval.tick().await;
        shared.log.count_left_out();
        // An unreadable store shows in /health; the next look comes in a second.
        for id in shared.admission.revoked_sensors().await.unwrap_or_default() {
            shared.sessions.evict(id, EvictReason::Revoked);
        }
        follow_keys(&shared).await;
    }
}

/// Follows what the operator's commands have written about keys.
async fn follow_keys(shared: &Arc<IngestShared>) {
    let Ok(plan) = shared.admission.key_plan().await else { return };
    let ring = Arc::clone(shared);
    // Reads files, and writes at a switch.
    let followed = tokio::task::spawn_blocking(move || ring.identity.follow(&plan, clock::now())).await;
    match followed {
        Ok(Ok(Some(key))) => shared.log.info(format_args!("the key of this collector is {key} from now on")),
        Ok(Err(error)) => shared.log.limited_warn("keys", format_args!("keys of this collector: {error:#}")),
        Ok(Ok(None)) | Err(_) => {}
    }
}
