//! Accepts connections within limits, and evicts revoked sensors.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use super::connection::Connection;
use super::gate::{Entrance, Gate};
use super::{EvictReason, IngestShared};
use crate::clock;
use crate::log::Log;
use crate::metrics::RejectionCause;
use crate::threads::{LOW_PRIORITY, ThreadLimits, Threads};

/// Time between two looks for revocations, which other processes write into the store.
const REVOCATION_INTERVAL: Duration = Duration::from_secs(1);
/// Time for all connections to close when the process stops.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// Time before accepting again after a failure, most likely for want of file descriptors. The connection stays in
/// the kernel's queue meanwhile.
const ACCEPT_RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Threads that read the store for handshakes: as many as the pool of that purpose has readers, and one to spare.
const BLOCKING_THREADS: usize = 5;

/// Threads on which handshakes are made: what strangers cost comes second.
///
/// # Errors
/// Errors of starting a thread.
pub fn handshake_threads() -> io::Result<Threads> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let workers = processors.clamp(1, 4);
    let (blocking, niceness) = (BLOCKING_THREADS, LOW_PRIORITY);
    Threads::start(ThreadLimits { name: "handshake", workers, blocking, niceness })
}

/// The thread that accepts. At full priority: a sensor whose connection the kernel has to drop, because nobody takes those before
/// it, comes back after seconds. All that it does for one takes some microseconds.
///
/// # Errors
/// Errors of starting a thread.
pub fn accept_thread() -> io::Result<Threads> {
    Threads::start(ThreadLimits { name: "accept", workers: 1, blocking: 1, niceness: 0 })
}

/// The listening side of the collector.
#[derive(Debug)]
pub struct Ingest {
    listener: TcpListener,
    shared: Arc<IngestShared>,
    handshakes: Handle,
    sessions: SessionTasks,
}

/// Tasks of established sessions, on a runtime that strangers have no part of. Cheap to clone.
#[derive(Clone, Debug)]
struct SessionTasks {
    runtime: Handle,
    tasks: Arc<Mutex<JoinSet<()>>>,
}

impl SessionTasks {
    fn spawn(&self, connection: Box<Connection>, closes: impl FnOnce() + Send + 'static) {
        let session = async move {
            connection.run().await;
            closes();
        };
        self.lock().spawn_on(session, &self.runtime);
    }

    /// Frees the memory of finished tasks.
    fn reap(&self) {
        let mut tasks = self.lock();
        while tasks.try_join_next().is_some() {}
    }

    async fn join(&self) {
        let mut tasks = std::mem::take(&mut *self.lock());
        while tasks.join_next().await.is_some() {}
    }

    fn lock(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ingest {
    /// Serves the connections that `listener` accepts. Handshakes run on the runtime `handshakes`, sessions on `sessions` once
    /// their peer has proved a key. Must be called inside the runtime that [`Ingest::run`] is spawned on.
    ///
    /// # Errors
    /// Errors of registering the listener.
    pub fn new(
        listener: std::net::TcpListener,
        shared: IngestShared,
        handshakes: Handle,
        sessions: Handle,
    ) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let sessions = SessionTasks { runtime: sessions, tasks: Arc::default() };
        Ok(Self { listener, shared: Arc::new(shared), handshakes, sessions })
    }

    /// Accepts until `stopping` turns true, then lets every connection store and acknowledge what it has received,
    /// and returns.
    pub async fn run(self) {
        let Self { listener, shared, handshakes, sessions } = self;
        let mut stopping = shared.stopping.clone();
        let gate = Gate::new(&shared.limits);
        let mut tasks = JoinSet::new();
        let revocations = handshakes.spawn(each_second(Arc::clone(&shared), sessions.clone()));
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = stopping.wait_for(|stop| *stop) => break,
            };
            match accepted.and_then(|(stream, peer)| Ok((stream.into_std()?, peer))) {
                Err(error) => pause_accepting(&shared.log, &error).await,
                Ok((stream, peer)) => {
                    if let Some(entrance) = admit(peer, &gate, &shared).await {
                        let (gate, shared) = (gate.clone(), Arc::clone(&shared));
                        let served = serve(stream, peer, entrance, gate, shared, sessions.clone());
                        tasks.spawn_on(served, &handshakes);
                    }
                }
            }
            while tasks.try_join_next().is_some() {} // frees the memory of finished tasks
        }
        // The port closes before the drain: a sensor that connects now is refused at once and comes back after a backoff.
        drop(listener);
        let drain = async {
            while tasks.join_next().await.is_some() {} // first, because they begin sessions
            sessions.join().await;
        };
        if tokio::time::timeout(DRAIN_TIMEOUT, drain).await.is_err() {
            shared.log.warn(format_args!("connections did not end in time, closing them"));
        }
        revocations.abort();
        // Held by every session: none is left once the tasks are dropped.
        drop(std::mem::take(&mut *sessions.lock()));
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

async fn serve(
    stream: std::net::TcpStream,
    peer: SocketAddr,
    entrance: Entrance,
    gate: Gate,
    shared: Arc<IngestShared>,
    sessions: SessionTasks,
) {
    let Entrance { arriving, socket, place, crowded_out } = entrance;
    drop(arriving);
    shared.metrics.connections.inc();
    let counted = Arc::clone(&shared);
    let closes = move || {
        counted.metrics.connections.dec();
        drop(socket);
    };
    // Fails if the kernel has no memory for it: the connection is closed.
    if let Ok(stream) = register(stream) {
        let connection = Connection::new(stream, peer, (place, crowded_out), gate, shared);
        if let Some(established) = Box::new(connection).prove().await {
            return sessions.spawn(established, closes);
        }
    }
    closes();
}

/// The socket, for the runtime of the caller.
fn register(stream: std::net::TcpStream) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?; // acknowledgements are small and must not wait for more
    TcpStream::from_std(stream)
}

async fn pause_accepting(log: &Log, error: &io::Error) {
    log.limited_warn("accept", format_args!("cannot accept connections: {error}"));
    tokio::time::sleep(ACCEPT_RETRY_INTERVAL).await;
}

/// Evicts the sessions of sensors that `sentinel-collector revoke`, another process, has revoked, and logs how many lines were
/// left out.
async fn each_second(shared: Arc<IngestShared>, sessions: SessionTasks) {
    let mut interval = tokio::time::interval(REVOCATION_INTERVAL);
    loop {
        interval.tick().await;
        shared.log.count_left_out();
        sessions.reap();
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
