//! `sentinel-collector run`: start, signals, orderly stop.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, bail};
use sentinel_uplink::Limits;
use tokio::net::TcpSocket;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::access::Access;
use crate::api::{self, HostPolicy};
use crate::enroll::{self, KeyRing};
use crate::http::{self, HttpLimits, HttpServer};
use crate::ingest::{self, IngestLimits, IngestShared, IngestThreads, Rejections};
use crate::log::Log;
use crate::metrics::Metrics;
use crate::model::Loopback;
use crate::service::{Service, watch_states};
use crate::store::access::audit;
use crate::store::key::hex;
use crate::store::{
    AdmissionReader, Files, Indexer, IndexerSettings, ReadLimits, ReaderPool, StoreLimits, Writer,
    WriterHandle, initial_totals,
};
use crate::threads::Threads;
use crate::tls::{CertificateFiles, Tls};
use crate::{dashboard, file_limit, first_start};

/// Settings of a collector.
#[derive(Debug)]
pub struct CollectorSettings {
    /// Database and keys.
    pub files: Files,
    /// Address for sensors.
    pub listen: SocketAddr,
    /// Address for the page and the API.
    pub http: SocketAddr,
    /// Certificate of `http`; it speaks TLS then, and other machines may reach it.
    pub certificate: Option<CertificateFiles>,
    /// Rights of clients on this machine that have not logged in.
    pub loopback: Loopback,
    /// The log.
    pub log: Log,
    /// Maximum number of connections of sensors.
    pub max_connections: usize,
    /// Limits of what the store keeps, of one sensor and of all.
    pub store_limits: StoreLimits,
}

/// Runs until SIGTERM or SIGINT (SIGHUP reads the certificate again), then stores and acknowledges the alerts that have arrived, and returns.
///
/// # Errors
/// Errors of [`RunningCollector::start`].
pub fn run(settings: CollectorSettings) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let collector = RunningCollector::start(settings).await?;
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = hangup.recv() => collector.reload(),
            }
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
    tls: Option<Tls>,
    stop: watch::Sender<bool>,
    ingest: JoinHandle<()>,
    server: HttpServer,
    /// Held until the server and the tasks of connections have ended.
    _threads: (IngestThreads, Threads),
    indexer: Indexer,
    writer: Writer,
    /// Held until the store is closed.
    lock: File,
}

impl RunningCollector {
    /// Opens the store, binds both addresses, and starts to serve.
    ///
    /// # Errors
    /// A remote `http` address without a certificate, files that cannot be opened or are in use, addresses that cannot
    /// be bound. Once it has started, failures are logged and counted.
    pub async fn start(settings: CollectorSettings) -> anyhow::Result<Self> {
        Self::start_with(settings, Limits::COLLECTOR).await
    }

    /// [`RunningCollector::start`] with other sizes and times of a session.
    ///
    /// # Errors
    /// Errors of [`RunningCollector::start`].
    pub async fn start_with(settings: CollectorSettings, session: Limits) -> anyhow::Result<Self> {
        Self::start_with_limits(settings, session, None, ReaderPool::SEARCH).await
    }

    /// [`RunningCollector::start_with`] with other limits of HTTP clients and of searches.
    ///
    /// # Errors
    /// Errors of [`RunningCollector::start`].
    pub async fn start_with_limits(
        settings: CollectorSettings,
        session: Limits,
        http_limits: Option<HttpLimits>,
        searches: ReadLimits,
    ) -> anyhow::Result<Self> {
        check_http_address(&settings)?;
        let CollectorSettings {
            files,
            listen,
            http,
            certificate,
            loopback,
            log,
            max_connections,
            store_limits,
        } = settings;
        let tls = certificate.map(Tls::load).transpose()?;
        let (shares, default_limits) = file_limit::divide(&log, max_connections);
        let http_limits = http_limits.unwrap_or(default_limits);
        let limits = IngestLimits {
            connections: shares.sensors,
            // Besides them: peers without a proved key cannot keep sensors out. As many as sensors that come back at once.
            handshakes: shares.handshakes,
            session,
        };
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
        let identity = KeyRing::load(&files)?;
        let (sensors, listen) = bind(listen)?;
        let (pages, http) = bind_http(http)?;
        let (stop, stopping) = watch::channel(false);
        let admission = AdmissionReader::new(Arc::clone(&files));
        let http_threads = http::threads()?;
        let service = http_threads.enter(|| {
            Service::with_limits(&files, Arc::clone(&metrics), stopping.clone(), searches, log.clone())
        });
        let has_certificate = tls.is_some();
        http_threads
            .enter(|| admit_clients(&service.access, (loopback, has_certificate), &stopping, &log))?;
        let events = service.events.clone();
        let (mut writer, handle) = Writer::start(
            (connection, files.open_reader()?),
            store_limits,
            events,
            Arc::clone(&metrics),
            log.clone(),
        )?;
        let settings = IndexerSettings {
            retention: store_limits.retention,
            metrics: Arc::clone(&metrics),
            log: log.clone(),
            stopping: stopping.clone(),
        };
        let indexer = Indexer::start(&files, &mut writer, settings)?;
        let service = service.with_writer(handle.clone());
        service.sessions.set_silence(limits.session.silence);
        http_threads.enter(|| watch_states(service.clone(), handle.clone()));
        log.info(format_args!("sentinel-collector {} key {}", env!("CARGO_PKG_VERSION"), identity.current()));
        let shared = ingest_shared(&service, admission, identity, handle, limits, &log);
        let access = service.access.clone();
        // Over TLS a foreign name shows by its certificate, and the collector has the name that `init` was given.
        let hosts = if tls.is_some() { HostPolicy::Any } else { HostPolicy::LocalOnly };
        let router = api::router(service, hosts, &http_limits, dashboard::router());
        let ingest_threads = IngestThreads::start()?;
        let ingest = ingest::serve(&ingest_threads, sensors, shared)?;
        let counted = (Arc::clone(&metrics.http), log.clone());
        let listener = (pages, tls.clone());
        let start = || HttpServer::start(listener, router, http_limits, api::rejection, counted, stopping);
        let server = http_threads.enter(start)?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        log.info(format_args!("sensors connect to {listen}; page and API on {scheme}://{http}/"));
        if let Some(tls) = &tls {
            log.info(format_args!("certificate {}", tls.fingerprint()));
        }
        let url = format!("{scheme}://{}/start", enroll::likely_address(http));
        first_start::announce(&access, files.directory(), (&url, has_certificate), &log)?;
        Ok(Self {
            listen,
            http,
            metrics,
            log,
            tls,
            stop,
            ingest,
            server,
            _threads: (ingest_threads, http_threads),
            indexer,
            writer,
            lock,
        })
    }

    /// Reads the certificate again. One that cannot be used is refused, and the one before it stays in force.
    pub fn reload(&self) {
        let Some(tls) = &self.tls else {
            return self.log.info(format_args!("nothing to reload: there is no certificate"));
        };
        match tls.reload() {
            Ok(fingerprint) => self.log.info(format_args!("certificate {fingerprint}")),
            Err(error) => self.log.error(format_args!(
                "the new certificate is refused, the one before it stays in force ({}): {error}",
                tls.fingerprint()
            )),
        }
    }

    /// Stops accepting, stores and acknowledges the alerts that have arrived, and closes the store.
    pub async fn stop(self) {
        self.log.info(format_args!("stopping"));
        let _ = self.stop.send(true);
        let _ = self.ingest.await; // a panic of the task has been printed by its own hook
        self.server.join().await;
        // The writer ends when its last handle is dropped: with the ingest task, and the routes of the server, which hold
        // it.
        let (indexer, writer) = (self.indexer, self.writer);
        let join = move || {
            indexer.join();
            writer.join();
        };
        let _ = tokio::task::spawn_blocking(join).await;
        drop(self.lock);
        self.log.info(format_args!("stopped"));
    }
}

fn ingest_shared(
    service: &Service,
    admission: AdmissionReader,
    identity: KeyRing,
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

/// Reads users and keys, and says what clients of this machine may do: with a certificate they log in as all others do.
fn admit_clients(
    access: &Access,
    (loopback, has_certificate): (Loopback, bool),
    stopping: &watch::Receiver<bool>,
    log: &Log,
) -> anyhow::Result<()> {
    access.refresh()?;
    access.set_loopback(loopback.role(access.directory().is_set_up() || has_certificate));
    access.follow(stopping.clone());
    // In the log, the hash is out of reach of who changes the audit.
    if let Some((row, hash)) = access.look(audit::newest)? {
        log.info(format_args!("audit: row {row} has the hash {}", hex(&hash)));
    }
    Ok(())
}

fn check_http_address(settings: &CollectorSettings) -> anyhow::Result<()> {
    let http = settings.http;
    if !http.ip().to_canonical().is_loopback() && settings.certificate.is_none() {
        bail!(
            "--http {http} can be reached by other machines, which needs TLS and a log-in: run `sentinel-collector init --name \
             HOST`, or give --certificate and --certificate-key, or use a loopback address and ssh -L"
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
        socket.listen(BACKLOG)?.into_std()
    };
    let listener = listen().with_context(|| format!("cannot listen on {address}"))?;
    let bound = listener.local_addr()?;
    Ok((listener, bound))
}

/// [`bind`] for the HTTP side, which accepts on threads of its own.
fn bind_http(address: SocketAddr) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?;
    let bound = listener.local_addr()?;
    Ok((listener, bound))
}
