//! Accepts connections within limits, and evicts revoked sensors.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use super::connection::{Connection, Open};
use super::gate::{Entrance, Gate};
use super::stages::{IngestThreads, Stages};
use super::{EvictReason, IngestShared};
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

/// Starts to serve the connections that `listener` accepts, with the runtime of the caller for sessions that send little.
///
/// # Errors
/// Errors of registering the listener.
pub fn serve(
    threads: &IngestThreads,
    listener: std::net::TcpListener,
    shared: IngestShared,
) -> io::Result<JoinHandle<()>> {
    let stages = threads.stages()?;
    threads.enter_accept(|| Ok(tokio::spawn(Ingest::new(listener, shared, stages)?.run())))
}

/// The listening side of the collector.
#[derive(Debug)]
struct Ingest {
    listener: TcpListener,
    shared: Arc<IngestShared>,
    stages: Stages,
}

impl Ingest {
    pub(super) fn new(
        listener: std::net::TcpListener,
        shared: IngestShared,
        stages: Stages,
    ) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        Ok(Self { listener, shared: Arc::new(shared), stages })
    }

    /// Accepts until `stopping` turns true, then lets every connection store and acknowledge what it has received,
    /// and returns.
    async fn run(self) {
        let Self { listener, shared, stages } = self;
        let mut stopping = shared.stopping.clone();
        let gate = Gate::new(&shared.limits);
        let mut tasks = JoinSet::new();
        let revocations = stages.spawn_aside(each_second(Arc::clone(&shared), stages.clone()));
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = stopping.wait_for(|stop| *stop) => break,
            };
            match accepted {
                Err(error) => pause_accepting(&shared.log, &error).await,
                Ok((stream, peer)) => {
                    if let Some(entrance) = admit(peer, &gate, &shared).await {
                        let (gate, shared) = (gate.clone(), Arc::clone(&shared));
                        tasks.spawn(begin((stream, peer), entrance, gate, shared, stages.clone()));
                    }
                }
            }
            while tasks.try_join_next().is_some() {} // frees the memory of finished tasks
        }
        // The port closes before the drain: a sensor that connects now is refused at once and comes back after a backoff.
        drop(listener);
        let drain = async {
            while tasks.join_next().await.is_some() {} // first, because they begin the other stages
            stages.join().await;
        };
        if tokio::time::timeout(DRAIN_TIMEOUT, drain).await.is_err() {
            shared.log.warn(format_args!("connections did not end in time, closing them"));
        }
        revocations.abort();
        stages.abort();
    }
}

/// Lets a connection begin. One over the limit is closed and takes no memory.
async fn admit(peer: SocketAddr, gate: &Gate, shared: &IngestShared) -> Option<Entrance> {
    shared.metrics.connections_accepted.inc();
    let entrance = gate.enter(peer.ip()).await;
    if entrance.is_none() {
        shared.rejections.address(RejectionCause::TooMany, peer.ip(), "too many connections");
    }
    entrance
}

/// Serves a connection until its first message is complete and its turn has come, and passes it on.
async fn begin(
    (stream, peer): (TcpStream, SocketAddr),
    entrance: Entrance,
    gate: Gate,
    shared: Arc<IngestShared>,
    stages: Stages,
) {
    let Entrance { arriving, socket, place, crowded_out } = entrance;
    drop(arriving);
    // Acknowledgements are small and must not wait for more. Fails if the connection is gone.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let open = Open::count(Arc::clone(&shared.metrics), socket);
    let connection = Connection::new((stream, peer, open), (place, crowded_out), gate, shared);
    if let Some(complete) = Box::new(connection).await_turn().await {
        stages.prove(complete);
    }
}

async fn pause_accepting(log: &Log, error: &io::Error) {
    log.limited_warn("accept", format_args!("cannot accept connections: {error}"));
    tokio::time::sleep(ACCEPT_RETRY_INTERVAL).await;
}

/// Evicts the sessions of sensors that `sentinel-collector revoke`, another process, has revoked, and logs how many lines were
/// left out.
async fn each_second(shared: Arc<IngestShared>, stages: Stages) {
    let mut interval = tokio::time::interval(REVOCATION_INTERVAL);
    loop {
        interval.tick().await;
        shared.log.count_left_out();
        stages.reap();
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
