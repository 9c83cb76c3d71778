//! `sentinel-collector run`: start, signals, orderly stop.

use std::fs::File;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use axum::Router;
use sentinel_uplink::{KeyPair, Limits};
use tokio::net::{TcpListener, TcpSocket};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::api::{self, HostPolicy};
use crate::ingest::{Ingest, IngestLimits, IngestShared, Rejections};
use crate::log::Log;
use crate::metrics::Metrics;
use crate::service::Service;
use crate::store::{AdmissionReader, Files, ReaderPool, StoreLimits, Writer, WriterHandle, initial_totals};
use crate::{dashboard, enroll};

/// Settings of a collector.
#[derive(Debug)]
pub struct CollectorSettings {
    /// Database and keys.
    pub files: Files,
    /// Address for sensors.
    pub listen: SocketAddr,
    /// Address for the page and the API.
    pub http: SocketAddr,
    /// True if `http` may be an address that other machines reach.
    pub http_allow_remote: bool,
    /// The log.
    pub log: Log,
    /// Maximum number of connections of sensors.
    pub max_connections: usize,
    /// Limits of what one sensor can make the store keep.
    pub store_limits: StoreLimits,
}

/// Runs until SIGTERM or SIGINT, then stores and acknowledges the alerts that have arrived, and returns.
///
/// # Errors
/// Errors of [`RunningCollector::start`].
pub fn run(settings: CollectorSettings) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let collector = RunningCollector::start(settings).await?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        collector.stop().await;
        Ok(())
    })
}

/// A started collector.
#[derive(Debug)]
pub struct RunningCollector {
    /// Bound address for sensors.
    pub listen: SocketAddr,
    /// Bound address for the page and the API.
    pub http: SocketAddr,
    /// Counters of this process.
    pub metrics: Arc<Metrics>,
    log: Log,
    stop: watch::Sender<bool>,
    ingest: JoinHandle<()>,
    server: JoinHandle<()>,
    writer: Writer,
    /// Held until the store is closed.
    lock: File,
}

impl RunningCollector {
    /// Opens the store, binds both addresses, and starts to serve.
    ///
    /// # Errors
    /// A remote `http` address that is not allowed, files that cannot be opened or are in use, addresses that cannot
    /// be bound. Once it has started, failures are logged and counted.
    pub async fn start(settings: CollectorSettings) -> anyhow::Result<Self> {
        Self::start_with(settings, Limits::COLLECTOR).await
    }

    /// [`RunningCollector::start`] with other sizes and times of a session.
    ///
    /// # Errors
    /// Errors of [`RunningCollector::start`].
    pub async fn start_with(settings: CollectorSettings, session: Limits) -> anyhow::Result<Self> {
        check_http_address(&settings)?;
        let CollectorSettings { files, listen, http, http_allow_remote, log, max_connections, store_limits } =
            settings;
        let limits = IngestLimits {
            connections: max_connections,
            // Besides them: peers without a proved key cannot keep sensors out. As many as sensors that come back at once.
            handshakes: max_connections.div_ceil(2).max(16),
            session,
        };
        raise_file_limit(&log, limits.connections.saturating_add(limits.handshakes));
        let files = Arc::new(files);
        let lock = files.lock()?;
        if !files.database().exists() {
            log.info(format_args!(
                "new collector: database and keys are made in {}",
                files.directory().display()
            ));
        }
        let connection = files.open_writer()?;
        let metrics = Arc::new(Metrics::new(&initial_totals(&connection)?));
        let identity = enroll::identity(&files)?;
        let (sensors, listen) = bind(listen)?;
        let (pages, http) = bind(http)?;
        let (stop, stopping) = watch::channel(false);
        let admission = AdmissionReader::new(Arc::clone(&files));
        let service = Service::new(ReaderPool::new(files), Arc::clone(&metrics), stopping.clone());
        let events = service.events.clone();
        let (writer, handle) =
            Writer::start(connection, store_limits, events, Arc::clone(&metrics), log.clone())?;
        log.info(format_args!("sentinel-collector {} key {}", env!("CARGO_PKG_VERSION"), identity.public()));
        let shared = ingest_shared(&service, admission, identity, handle, limits, &log);
        let hosts = if http_allow_remote { HostPolicy::Any } else { HostPolicy::LocalOnly };
        let router = api::router(service, hosts, dashboard::router());
        let ingest = tokio::spawn(Ingest::new(sensors, shared).run());
        let server = tokio::spawn(serve(pages, router, stopping, log.clone()));
        log.info(format_args!("sensors connect to {listen}; page and API on http://{http}/"));
        Ok(Self { listen, http, metrics, log, stop, ingest, server, writer, lock })
    }

    /// Stops accepting, stores and acknowledges the alerts that have arrived, and closes the store.
    pub async fn stop(self) {
        self.log.info(format_args!("stopping"));
        let _ = self.stop.send(true);
        let _ = self.ingest.await; // a panic of the task has been printed by its own hook
        let mut server = self.server;
        if tokio::time::timeout(SHUTDOWN_TIMEOUT, &mut server).await.is_err() {
            server.abort(); // a client neither reads nor closes
        }
        // The writer ends when its last handle is dropped: with the ingest task, which holds it.
        let writer = self.writer;
        let _ = tokio::task::spawn_blocking(move || writer.join()).await;
        drop(self.lock);
        self.log.info(format_args!("stopped"));
    }
}

/// Time for HTTP clients to close.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(3);

fn ingest_shared(
    service: &Service,
    admission: AdmissionReader,
    identity: KeyPair,
    writer: WriterHandle,
    limits: IngestLimits,
    log: &Log,
) -> IngestShared {
    IngestShared {
        identity,
        writer,
        admission,
        events: service.events.clone(),
        sessions: service.sessions.clone(),
        metrics: Arc::clone(&service.metrics),
        rejections: Rejections::new(Arc::clone(&service.metrics), log.clone()),
        log: log.clone(),
        limits,
        stopping: service.stopping.clone(),
        started: Instant::now(),
    }
}

fn check_http_address(settings: &CollectorSettings) -> anyhow::Result<()> {
    let http = settings.http;
    if !http.ip().to_canonical().is_loopback() && !settings.http_allow_remote {
        bail!(
            "--http {http} can be reached by other machines, and nobody has to log in yet: every machine that reaches it \
             can read every alert. Use a loopback address and ssh -L, or give --http-allow-remote"
        );
    }
    Ok(())
}

/// Connections that the kernel keeps until they are accepted: thousands of sensors may come back at once. The kernel
/// takes at most `net.core.somaxconn`, 4,096 by default.
const BACKLOG: u32 = 4_096;

/// A listener and its address, which has the port that the kernel chose for port 0.
fn bind(address: SocketAddr) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listen = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?; // as `TcpListener::bind` does
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    let listener = listen().with_context(|| format!("cannot listen on {address}"))?;
    let bound = listener.local_addr()?;
    Ok((listener, bound))
}

async fn serve(listener: TcpListener, router: Router, mut stopping: watch::Receiver<bool>, log: Log) {
    let server = axum::serve(listener, router).with_graceful_shutdown(async move {
        let _ = stopping.wait_for(|stop| *stop).await; // a dropped sender stops it as well
    });
    if let Err(error) = server.await {
        log.error(format_args!("page and API are not served: {error}"));
    }
}

/// Open files beside those of the sensors: database, log, HTTP clients.
const OTHER_FILES: u64 = 256;

/// Raises the limit of open files, of which each sensor takes one. The usual soft limit of 1024 is only a default.
fn raise_file_limit(log: &Log, connections: usize) {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let wanted = u64::try_from(connections).unwrap_or(u64::MAX).saturating_add(OTHER_FILES);
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return;
    }
    limit.current = Some(limit.maximum.map_or(wanted, |maximum| maximum.min(wanted)));
    let too_low = limit.current.is_some_and(|current| current < wanted);
    match setrlimit(Resource::Nofile, limit) {
        Err(error) => log.warn(format_args!(
            "the limit of open files cannot be raised to {wanted} ({error}); fewer sensors can connect"
        )),
        Ok(()) if too_low => {
            log.warn(format_args!("the limit of open files is below {wanted}; fewer sensors can connect"));
        }
        Ok(()) => {}
    }
}
