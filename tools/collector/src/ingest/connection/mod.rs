//! One connection, from its first byte to its last.

mod close;

use std::future::{Future, pending};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sentinel_alert::AlertId;
use sentinel_uplink::{
    CollectorEvent, CollectorSession, PROTOCOL_VERSION, PublicKey, RejectReason, SendError, SessionError,
    Telemetry, ToCollector, ToSensor, TokenId, Welcome,
};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::batch::{PendingDelivery, append_batch, append_gap, weight};
use super::{EvictReason, IngestShared, SessionGuard};
use crate::clock;
use crate::enroll::sanitize_name;
use crate::log::printable;
use crate::metrics::RejectionCause;
use crate::store::{Enrollment, Receipt, Sensor, SensorInfo, StoreError, sensors};
use close::CloseReason;

/// Bytes read from the socket at once.
const READ_LEN: usize = 8 * 1024;
/// Alerts pending while earlier ones are being stored; then nothing more is read.
const MAX_PENDING_LEN: usize = 512;

/// Serves one connection to its end, and logs why it reason if a sensor was known.
pub(super) async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    handshake: OwnedSemaphorePermit,
    shared: &IngestShared,
) {
    let now = shared.uptime();
    let session = CollectorSession::accept(&shared.identity, shared.limits.session, now);
    let mut connection = Connection {
        stream,
        peer,
        shared,
        session,
        handshake: Some(handshake),
        stage: Stage::Handshake,
        input: Vec::new(),
        pending: None,
        storing: None,
        ack: None,
    };
    let reason = connection.run().await;
    connection.finish(reason).await;
}

/// How far a connection has come.
pub(super) enum Stage {
    /// Nobody has info who he is.
    Handshake,
    /// The owner of a known key, once his hello proves that it is he.
    Identified(Box<Sensor>),
    /// The holder of a token, once his request proves that it is he.
    Enrolling(PublicKey, TokenId),
    /// A sensor at work.
    Serving(Box<Serving>),
    /// Turned away, or enrolled: nothing more is expected.
    Closing,
}

/// A sensor at work.
pub(super) struct Serving {
    pub(super) sensor: Sensor,
    pub(super) name: Arc<str>,
    pub(super) guard: SessionGuard,
    pub(super) evicted: oneshot::Receiver<EvictReason>,
}

pub(super) type Storing =
    Pin<Box<dyn Future<Output = (Result<Receipt, StoreError>, AlertId, Instant)> + Send>>;

/// One connection.
pub(super) struct Connection<'c> {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) shared: &'c IngestShared,
    pub(super) session: CollectorSession,
    /// Bounds how many there are without a proved key; given back when a hello proves one.
    handshake: Option<OwnedSemaphorePermit>,
    pub(super) stage: Stage,
    /// Read from the socket and not yet taken by the session.
    input: Vec<u8>,
    /// Waiting for its turn to be stored, and since when.
    pub(super) pending: PendingDelivery,
    /// Being stored.
    pub(super) storing: Option<Storing>,
    /// Stored, and not yet acknowledged for want of room.
    pub(super) ack: Option<AlertId>,
}

/// What a session info, in a form that does not borrow from it.
enum Inbound {
    Peer(PublicKey),
    Enrollment(PublicKey, TokenId),
    Hello { protocol: u16, info: SensorInfo },
    Enroll { name: String },
    Telemetry(Telemetry),
    Appended,
}

/// What reason the wait.
enum Wake {
    Socket,
    Deadline,
    Stored(Result<Receipt, StoreError>, AlertId, Instant),
    Evicted(EvictReason),
    Stopping,
}

impl Connection<'_> {
    async fn run(&mut self) -> CloseReason {
        loop {
            if let Err(reason) = self.advance().await {
                return reason;
            }
            match self.wait().await {
                Wake::Socket => {
                    if let Err(reason) = self.transfer() {
                        return reason;
                    }
                }
                Wake::Deadline => {}
                Wake::Stored(result, last, arrived) => {
                    self.storing = None;
                    match result {
                        Ok(_) => {
                            self.shared.metrics.observe_ingest(arrived.elapsed());
                            self.ack = Some(last);
                        }
                        Err(error) => return CloseReason::Store(error),
                    }
                }
                Wake::Evicted(end) => return CloseReason::Evicted(end),
                Wake::Stopping => return CloseReason::Stopping,
            }
        }
    }

    /// Does all that can be done without waiting for the peer.
    async fn advance(&mut self) -> Result<(), CloseReason> {
        // Bounded: each turn takes bytes of the input, which holds READ_LEN at most.
        loop {
            // Also without input: deadlines pass, and pings fall due.
            while let Some(inbound) = self.poll()? {
                self.handle(inbound).await?;
            }
            if self.input.is_empty() || self.is_full() {
                break;
            }
            let taken = self.session.receive(&self.input)?;
            self.input.drain(..taken);
            if taken == 0 {
                break;
            }
        }
        self.start_storing();
        if let Some(last) = self.ack {
            match self.session.send(&ToSensor::Ack(last), self.shared.uptime()) {
                Ok(()) => self.ack = None,
                Err(SendError::Closed(reason)) => return Err(reason.into()),
                Err(_) => {} // no room yet: a later acknowledgement may take its place
            }
        }
        self.write().map_err(|error| CloseReason::Socket(Some(error)))
    }

    /// The next thing that the session has to say; none if it is idle.
    fn poll(&mut self) -> Result<Option<Inbound>, CloseReason> {
        let event = self.session.poll(self.shared.uptime())?;
        Ok(Some(match event {
            CollectorEvent::Peer { key } => Inbound::Peer(key),
            CollectorEvent::Enrollment { key, token } => Inbound::Enrollment(key, token),
            CollectorEvent::Message(ToCollector::Hello(hello)) => Inbound::Hello {
                protocol: hello.protocol,
                info: SensorInfo {
                    software: printable(hello.software),
                    host: printable(hello.host),
                    interfaces: printable(hello.interfaces),
                },
            },
            CollectorEvent::Message(ToCollector::Enroll(enroll)) => {
                Inbound::Enroll { name: sanitize_name(enroll.name) }
            }
            CollectorEvent::Message(ToCollector::Telemetry(telemetry)) => Inbound::Telemetry(telemetry),
            CollectorEvent::Message(ToCollector::Alerts(batch)) => {
                if let Stage::Serving(serving) = &self.stage {
                    append_batch(&mut self.pending, &serving.sensor, batch)?;
                }
                Inbound::Appended
            }
            CollectorEvent::Message(ToCollector::Gap(gap)) => {
                if let Stage::Serving(serving) = &self.stage {
                    append_gap(&mut self.pending, &serving.sensor, gap);
                }
                Inbound::Appended
            }
            // Idle, a pong, or what a later version of the session says.
            _ => return Ok(None),
        }))
    }

    async fn handle(&mut self, inbound: Inbound) -> Result<(), CloseReason> {
        match inbound {
            Inbound::Peer(key) => self.claimed(key).await,
            Inbound::Enrollment(key, token) => self.enrolling(key, token).await,
            Inbound::Hello { protocol, info } => self.hello(protocol, info).await,
            Inbound::Enroll { name } => self.enroll(name).await,
            Inbound::Telemetry(telemetry) => self.telemetry(&telemetry).await,
            Inbound::Appended => Ok(()),
        }
    }

    async fn claimed(&mut self, key: PublicKey) -> Result<(), CloseReason> {
        let found =
            self.shared.readers.read(move |connection| sensors::with_key(connection, key.as_bytes())).await;
        let refusal = match found {
            Err(error) => return Err(self.storage_failed(error)),
            Ok(None) => (RejectionCause::UnknownKey, RejectReason::UnknownSensor),
            Ok(Some(sensor)) if sensor.revoked_at.is_some() => {
                (RejectionCause::Revoked, RejectReason::Revoked)
            }
            Ok(Some(sensor)) => {
                self.session.admit(self.shared.uptime())?;
                self.stage = Stage::Identified(Box::new(sensor));
                return Ok(());
            }
        };
        let (reason, refusal) = refusal;
        self.shared.rejections.key(reason, key, self.peer.ip(), refusal);
        Err(self.reject(refusal))
    }

    async fn enrolling(&mut self, key: PublicKey, token: TokenId) -> Result<(), CloseReason> {
        let found = self.shared.readers.read(move |connection| sensors::token(connection, token)).await;
        match found {
            Err(error) => Err(CloseReason::Store(error)),
            Ok(None) => {
                let detail = format_args!("there is no token {token}");
                self.shared.rejections.key(RejectionCause::Token, key, self.peer.ip(), detail);
                Err(CloseReason::Rejected)
            }
            Ok(Some(kept)) => {
                self.session.admit_enrollment(&kept.secret, self.shared.uptime())?;
                self.stage = Stage::Enrolling(key, token);
                Ok(())
            }
        }
    }

    async fn enroll(&mut self, name: String) -> Result<(), CloseReason> {
        let Stage::Enrolling(key, token) = std::mem::replace(&mut self.stage, Stage::Closing) else {
            return Err(SessionError::UnexpectedMessage.into());
        };
        let wanted = Enrollment { token, public_key: key, name, at: clock::now() };
        match self.shared.writer.enroll(wanted).await {
            Err(error) => Err(self.storage_failed(error)),
            Ok(Err(refusal)) => {
                let reason = match refusal {
                    RejectReason::TokenExpired => RejectionCause::ExpiredToken,
                    RejectReason::NameTaken => RejectionCause::NameTaken,
                    _ => RejectionCause::Token,
                };
                self.shared.rejections.key(reason, key, self.peer.ip(), refusal);
                Err(self.reject(refusal))
            }
            Ok(Ok(sensor)) => {
                self.shared.log.info(format_args!("enrolled {} from {}, key {key}", sensor.name, self.peer));
                self.announce("enrolled", &sensor.name, None);
                self.welcome(&sensor)
            }
        }
    }

    async fn hello(&mut self, protocol: u16, info: SensorInfo) -> Result<(), CloseReason> {
        let Stage::Identified(sensor) = std::mem::replace(&mut self.stage, Stage::Closing) else {
            return Err(SessionError::UnexpectedMessage.into());
        };
        if protocol == 0 {
            self.shared.rejections.key(
                RejectionCause::Version,
                sensor.key(),
                self.peer.ip(),
                RejectReason::TooOld,
            );
            return Err(self.reject(RejectReason::TooOld));
        }
        self.handshake = None;
        let now = clock::now();
        let (guard, evicted) = self.shared.sessions.enter(sensor.id, self.peer, now);
        // Read again: since the claim, an earlier session may have stored more, or somebody may have
        // revoked the sensor.
        let key = sensor.public_key;
        let sensor =
            match self.shared.readers.read(move |connection| sensors::with_key(connection, &key)).await {
                Ok(Some(sensor)) if sensor.revoked_at.is_none() => sensor,
                Ok(_) => return Err(self.reject(RejectReason::Revoked)),
                Err(error) => return Err(self.storage_failed(error)),
            };
        self.welcome(&sensor)?;
        self.shared.log.info(format_args!(
            "{} connected from {}: version {}, host {}, interfaces {}",
            sensor.name, self.peer, info.software, info.host, info.interfaces
        ));
        self.announce("connected", &sensor.name, None);
        self.shared.metrics.sensors_connected.inc();
        let name = sensor.name.as_str().into();
        let introduced = self.shared.writer.sensor_info(sensor.id, info, now).await;
        self.stage = Stage::Serving(Box::new(Serving { sensor, name, guard, evicted }));
        introduced.map_err(CloseReason::Store)
    }

    async fn telemetry(&mut self, telemetry: &Telemetry) -> Result<(), CloseReason> {
        let Stage::Serving(serving) = &self.stage else { return Ok(()) };
        serving.guard.telemetry(telemetry);
        let object: serde_json::Map<String, serde_json::Value> =
            telemetry.iter().map(|(counter, value)| (counter.name().into(), value.into())).collect();
        let json = serde_json::Value::Object(object).to_string();
        self.shared.writer.telemetry(serving.sensor.id, json, clock::now()).await.map_err(CloseReason::Store)
    }

    fn welcome(&mut self, sensor: &Sensor) -> Result<(), CloseReason> {
        let sensor_id = u32::try_from(sensor.id.0).unwrap_or(u32::MAX);
        let welcome =
            Welcome { protocol: PROTOCOL_VERSION, sensor_id, name: &sensor.name, acked: sensor.acked };
        match self.session.send(&ToSensor::Welcome(welcome), self.shared.uptime()) {
            Ok(()) => Ok(()),
            Err(SendError::Closed(reason)) => Err(reason.into()),
            Err(_) => Err(SessionError::Internal.into()), // the first message always has room
        }
    }

    fn storage_failed(&mut self, error: StoreError) -> CloseReason {
        let _ = self.session.reject(RejectReason::StorageFailed, self.shared.uptime());
        CloseReason::Store(error)
    }

    /// Queues the reason; [`Connection::finish`] writes it.
    fn reject(&mut self, reason: RejectReason) -> CloseReason {
        let _ = self.session.reject(reason, self.shared.uptime()); // it is turned away in any case
        self.stage = Stage::Closing;
        CloseReason::Rejected
    }

    fn is_full(&self) -> bool {
        self.storing.is_some()
            && self.pending.as_ref().is_some_and(|(delivery, _)| weight(delivery) >= MAX_PENDING_LEN)
    }

    /// Hands on what was pending, unless something is on its way already: then more gathers.
    pub(super) fn start_storing(&mut self) {
        if self.storing.is_some() {
            return;
        }
        let Stage::Serving(serving) = &self.stage else { return };
        let Some((delivery, arrived)) = self.pending.take() else { return };
        let (writer, name, last) = (self.shared.writer.clone(), Arc::clone(&serving.name), delivery.last);
        self.storing = Some(Box::pin(async move { (writer.deliver(delivery, name).await, last, arrived) }));
    }

    async fn wait(&mut self) -> Wake {
        let deadline = self.session.next_deadline().since(self.shared.uptime());
        let wants_write = !self.session.pending().is_empty();
        let wants_read = self.input.is_empty() && !self.is_full();
        let evicted = match &mut self.stage {
            Stage::Serving(serving) => Some(&mut serving.evicted),
            _ => None,
        };
        let mut stopping = self.shared.stopping.clone();
        tokio::select! {
            biased;
            _ = stopping.wait_for(|stop| *stop) => Wake::Stopping,
            end = or_never(evicted) => Wake::Evicted(end.unwrap_or(EvictReason::Replaced)),
            (result, last, arrived) = or_never(self.storing.as_mut()) => Wake::Stored(result, last, arrived),
            _ = self.stream.writable(), if wants_write => Wake::Socket,
            _ = self.stream.readable(), if wants_read => Wake::Socket,
            () = tokio::time::sleep(deadline.max(Duration::from_millis(1))) => Wake::Deadline,
        }
    }

    /// Moves what the socket gives and takes without blocking.
    fn transfer(&mut self) -> Result<(), CloseReason> {
        self.write().map_err(|error| CloseReason::Socket(Some(error)))?;
        if !self.input.is_empty() || self.is_full() {
            return Ok(());
        }
        let mut buffer = [0; READ_LEN];
        match self.stream.try_read(&mut buffer) {
            Ok(0) => Err(CloseReason::Socket(None)),
            Ok(count) => {
                self.input.extend_from_slice(buffer.get(..count).unwrap_or_default());
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(CloseReason::Socket(Some(error))),
        }
    }

    pub(super) fn write(&mut self) -> io::Result<()> {
        while !self.session.pending().is_empty() {
            match self.stream.try_write(self.session.pending()) {
                Ok(count) => self.session.sent(count, self.shared.uptime()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    pub(super) fn announce(&self, event: &str, sensor: &str, reason: Option<&str>) {
        let json = serde_json::json!({
            "time": clock::now().rfc3339().to_string(),
            "event": event,
            "sensor": sensor,
            "peer": self.peer.to_string(),
            "reason": reason,
        });
        self.shared.writer.announce(json.to_string());
    }
}

async fn or_never<F: Future + Unpin>(future: Option<F>) -> F::Output {
    match future {
        Some(future) => future.await,
        None => pending().await,
    }
}
