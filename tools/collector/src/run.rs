//! `sentinel-collector run`: wiring, signals, an orderly end.

use std::fs::File;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use sentinel_uplink::Limits;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::api::{self, App};
use crate::clock;
use crate::enroll;
use crate::ingest::{Ingest, IngestLimits, IngestShared, Rejections, Sessions};
use crate::log::Log;
use crate::metrics::Metrics;
use crate::store::{Files, Readers, Writer, alerts};

/// What to run with.
#[derive(Debug)]
pub struct Settings {
    /// Database and keys.
    pub files: Files,
    /// Where sensors connect.
    pub listen: SocketAddr,
    /// Where page and API are served.
    pub http: SocketAddr,
    /// Whether `http` may be reached by other machines.
    pub http_allow_remote: bool,
    /// The log.
    pub log: Log,
    /// Sensors at the same time.
    pub max_connections: usize,
}

/// Runs until SIGTERM or SIGINT, then stores and acknowledges what has arrived, and returns.
///
/// # Errors
/// What keeps it from starting. Once it runs, it copes.
pub fn run(settings: Settings) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let running = Running::start(settings).await?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        running.stop().await;
        Ok(())
    })
}

/// A collector at work.
#[derive(Debug)]
pub struct Running {
    /// Where sensors connect.
    pub listen: SocketAddr,
    /// Where page and API are served.
    pub http: SocketAddr,
    /// The counters.
    pub metrics: Arc<Metrics>,
    log: Log,
    stop: watch::Sender<bool>,
    ingest: tokio::task::JoinHandle<()>,
    server: tokio::task::JoinHandle<()>,
    writer: Writer,
    /// Held until the store is closed.
    lock: File,
}

impl Running {
    /// Opens the store and both ports, and starts to serve.
    ///
    /// # Errors
    /// What keeps it from starting.
    pub async fn start(settings: Settings) -> anyhow::Result<Self> {
        Self::start_with(settings, Limits::COLLECTOR).await
    }

    /// As [`Running::start`], with other sizes and times of a session.
    ///
    /// # Errors
    /// What keeps it from starting.
    pub async fn start_with(settings: Settings, session: Limits) -> anyhow::Result<Self> {
        let Settings { files, listen, http, http_allow_remote, log, max_connections } = settings;
        let loopback = http.ip().to_canonical().is_loopback();
        if !loopback && !http_allow_remote {
            bail!(
                "--http {http} can be reached by other machines, and nobody has to log in yet: whoever reaches it \
                 reads every alert. Use a loopback address and ssh -L, or give --http-allow-remote"
            );
        }
        allow_many_files(&log, max_connections);
        let files = Arc::new(files);
        let lock = files.lock()?;
        let connection = files.open_writer()?;
        let metrics = Arc::new(Metrics::new(&alerts::totals(&connection)?));
        let identity = enroll::identity(&files)?;
        let sensors =
            TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
        let pages = TcpListener::bind(http).await.with_context(|| format!("cannot listen on {http}"))?;
        let (listen, http) = (sensors.local_addr()?, pages.local_addr()?);
        let (writer, handle) = Writer::start(connection, Arc::clone(&metrics), log.clone())?;
        let readers = Readers::new(Arc::clone(&files));
        let (stop, stopping) = watch::channel(false);
        let sessions = Sessions::default();
        let key = identity.public();
        let app = App {
            readers: readers.clone(),
            events: handle.events(),
            sessions: sessions.clone(),
            metrics: Arc::clone(&metrics),
            started: clock::now(),
            stopping: stopping.clone(),
            allow_remote_host_header: http_allow_remote,
        };
        let shared = IngestShared {
            identity,
            writer: handle,
            readers,
            sessions,
            metrics: Arc::clone(&metrics),
            rejections: Rejections::new(Arc::clone(&metrics), log.clone()),
            log: log.clone(),
            limits: IngestLimits {
                connections: max_connections,
                handshakes: max_connections.div_ceil(4).max(16),
                session,
            },
            stopping: stopping.clone(),
            started: Instant::now(),
        };
        let ingest = tokio::spawn(Ingest::new(sensors, shared).run());
        let server = tokio::spawn(serve(pages, app, stopping, log.clone()));
        log.info(format_args!("sentinel-collector {} key {key}", env!("CARGO_PKG_VERSION")));
        log.info(format_args!("sensors connect to {listen}; page and API on http://{http}/"));
        Ok(Self { listen, http, metrics, log, stop, ingest, server, writer, lock })
    }

    /// Stops accepting, stores and acknowledges what has arrived, and closes the store.
    pub async fn stop(self) {
        self.log.info(format_args!("stopping"));
        let _ = self.stop.send(true);
        let _ = self.ingest.await; // a panic in there has been printed
        let mut server = self.server;
        if tokio::time::timeout(SHUTDOWN_TIMEOUT, &mut server).await.is_err() {
            server.abort(); // a client that neither reads nor leaves
        }
        let writer = self.writer;
        let _ = tokio::task::spawn_blocking(move || writer.join()).await;
        drop(self.lock);
        self.log.info(format_args!("stopped"));
    }
}

/// How long HTTP clients may take to leave.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(3);

async fn serve(listener: TcpListener, app: App, mut stopping: watch::Receiver<bool>, log: Log) {
    let server = axum::serve(listener, api::router(app)).with_graceful_shutdown(async move {
        let _ = stopping.wait_for(|stop| *stop).await; // the sender is gone: stop as well
    });
    if let Err(error) = server.await {
        log.error(format_args!("page and API are not served: {error}"));
    }
}

/// Each sensor is an open file; the usual limit of 1024 is only a default.
fn allow_many_files(log: &Log, connections: usize) {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let wanted = u64::try_from(connections).unwrap_or(u64::MAX).saturating_add(256);
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return;
    }
    limit.current = Some(limit.maximum.map_or(wanted, |maximum| maximum.min(wanted)));
    if setrlimit(Resource::Nofile, limit).is_err() || limit.current.is_some_and(|current| current < wanted) {
        log.warn(format_args!("the limit of open files is below {wanted}; fewer sensors can connect"));
    }
}
