//! Accepts HTTP connections within the limits, on threads of its own.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::connection::{self, Session};
use super::connections::{Admitted, Connections};
use super::rejection::{RejectionBody, reject};
use super::{HttpLimit, HttpLimits, HttpMetrics};
use crate::log::Log;
use crate::threads::{LOWEST_PRIORITY, ThreadLimits, Threads};
use crate::tls::Tls;

/// Sockets beside those that are served: being told that there is no place, or closed for another one and not gone yet.
/// A connection for which there is none of these is closed without an answer.
pub const MARGIN: usize = 32;
/// Time for which a connection waits for one of these.
const SOCKET_WAIT: Duration = Duration::from_millis(50);
/// Time between two looks for answers that do not leave.
const OVERDUE_INTERVAL: Duration = Duration::from_millis(500);
/// First and longest wait after a failure to accept; it doubles in between.
const ACCEPT_BACKOFF: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));
/// Time between two log lines about such failures.
const ACCEPT_LOG_INTERVAL: Duration = Duration::from_secs(60);
/// Time for clients to close when the process stops.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(3);
/// Threads that may block: readers of the store.
const MAX_BLOCKING_THREADS: usize = 16;

/// Threads of the HTTP side, so that no request can take the time of those that receive alerts: half as many as there are
/// processors, two to four.
///
/// # Errors
/// Errors of starting a thread.
pub fn threads() -> io::Result<Threads> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let workers = (processors / 2).clamp(2, 4);
    Threads::start(ThreadLimits {
        name: "http",
        workers,
        blocking: MAX_BLOCKING_THREADS,
        niceness: LOWEST_PRIORITY,
    })
}

/// A running HTTP server.
#[derive(Debug)]
pub struct HttpServer {
    task: JoinHandle<()>,
}

struct Shared {
    router: Router,
    tls: Option<Tls>,
    limits: HttpLimits,
    metrics: Arc<HttpMetrics>,
    log: Log,
    rejection_body: RejectionBody,
    connections: Connections,
    sockets: Arc<Semaphore>,
    stopping: watch::Receiver<bool>,
}

impl HttpServer {
    /// Serves `router` on `listener`, over TLS if there is a certificate, until `stopping` turns true. Must be called inside the runtime that serves it.
    ///
    /// # Errors
    /// Errors of registering the listener.
    pub fn start(
        (listener, tls): (std::net::TcpListener, Option<Tls>),
        router: Router,
        limits: HttpLimits,
        rejection_body: RejectionBody,
        (metrics, log): (Arc<HttpMetrics>, Log),
        stopping: watch::Receiver<bool>,
    ) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let connections = Connections::new(limits);
        let sockets = Arc::new(Semaphore::new(limits.connections + MARGIN));
        let shared =
            Shared { router, tls, limits, metrics, log, rejection_body, connections, sockets, stopping };
        Ok(Self { task: tokio::spawn(run(listener, Arc::new(shared))) })
    }

    /// Waits until every connection has ended; those that do not end in time are closed.
    pub async fn join(self) {
        let _ = self.task.await; // a panic of the task has been printed by its own hook
    }
}

async fn run(listener: TcpListener, shared: Arc<Shared>) {
    let mut tasks = JoinSet::new();
    let mut stopping = shared.stopping.clone();
    let mut overdue = tokio::time::interval(OVERDUE_INTERVAL);
    let mut failures = AcceptFailures::default();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = overdue.tick() => {
                shared.connections.close_overdue(Instant::now());
                continue;
            }
            // Frees the memory of a finished task. Without tasks it yields none, which disables this branch.
            Some(_) = tasks.join_next() => continue,
            _ = stopping.wait_for(|stop| *stop) => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                failures.delay = ACCEPT_BACKOFF.0;
                accept(stream, peer, &shared, &mut tasks).await;
            }
            Err(error) => failures.pause(&error, &shared.metrics, &shared.log).await,
        }
    }
    drop(listener);
    let drain = async { while tasks.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(DRAIN_TIMEOUT, drain).await; // the rest closes with the set
}

/// Serves the connection, or rejects it.
async fn accept(stream: TcpStream, peer: SocketAddr, shared: &Arc<Shared>, tasks: &mut JoinSet<()>) {
    shared.metrics.accepted.inc();
    // Waits while those that were told to end close, so that a flood is accepted as fast as it is cleared. None if clients
    // that are being rejected hold all of them: closed without an answer, which would need another one.
    let socket = tokio::time::timeout(SOCKET_WAIT, Arc::clone(&shared.sockets).acquire_owned());
    let Ok(Ok(socket)) = socket.await else {
        return shared.count(HttpLimit::Connections, peer);
    };
    let admitted = shared.connections.admit(peer);
    match &admitted {
        Ok((_, None)) => {}
        Ok((_, Some(replaced))) => shared.count(HttpLimit::Idle, *replaced),
        Err(limit) => shared.count(*limit, peer),
    }
    let shared = Arc::clone(shared);
    tasks.spawn(async move {
        let _socket: OwnedSemaphorePermit = socket;
        match admitted {
            Ok((admitted, _)) => serve(stream, peer, admitted, &shared).await,
            // Over TLS an answer would cost a handshake, which is what there is no place for: closed without one.
            Err(_) if shared.tls.is_some() => drop(stream),
            Err(limit) => reject(stream, &(shared.rejection_body)(limit)).await,
        }
    });
}

async fn serve(stream: TcpStream, peer: SocketAddr, mut admitted: Admitted, shared: &Shared) {
    let _ = stream.set_nodelay(true); // an event is small and must not wait for more
    shared.metrics.connections.inc();
    let (router, stopping) = (shared.router.clone(), shared.stopping.clone());
    let session = Session { peer, limits: &shared.limits, router, stopping };
    let acceptor = shared.tls.as_ref().map(Tls::acceptor);
    let ended = connection::serve(stream, acceptor, &mut admitted, session).await;
    shared.metrics.connections.dec();
    // A connection that made room was counted when it did.
    if let Some(limit) = ended.filter(|limit| *limit != HttpLimit::Idle) {
        shared.count(limit, peer);
    }
}

impl Shared {
    fn count(&self, limit: HttpLimit, peer: SocketAddr) {
        self.metrics.count_and_log(limit, peer.ip(), &self.log);
    }
}

/// Failures to accept, such as a lack of descriptors: the listener waits and goes on. The connection stays in the queue
/// of the kernel meanwhile.
struct AcceptFailures {
    delay: Duration,
    logged_at: Option<Instant>,
}

impl Default for AcceptFailures {
    fn default() -> Self {
        Self { delay: ACCEPT_BACKOFF.0, logged_at: None }
    }
}

impl AcceptFailures {
    async fn pause(&mut self, error: &io::Error, metrics: &HttpMetrics, log: &Log) {
        metrics.accept_errors.inc();
        if self.logged_at.is_none_or(|at| at.elapsed() > ACCEPT_LOG_INTERVAL) {
            self.logged_at = Some(Instant::now());
            log.error(format_args!(
                "cannot accept HTTP connections: {error}; trying again, counted in http_accept_errors"
            ));
        }
        tokio::time::sleep(self.delay).await;
        self.delay = (self.delay * 2).min(ACCEPT_BACKOFF.1);
    }
}
