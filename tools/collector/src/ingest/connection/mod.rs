//! One connection, from its first byte to its last.
//!
//! A connection alternates between work that needs no waiting (`advance`) and waiting for whatever comes first
//! (`wait`): the socket, a deadline of the session, a finished commit, eviction, or the stop of the process.

mod bulk;
mod close;
mod first_message;
mod handshake;
mod keys;
mod limits;
mod phase;
mod socket;
mod steps;
mod storing;

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sentinel_alert::AlertId;
use sentinel_units::Uptime;
use sentinel_uplink::{
    CollectorEvent, CollectorSession, Hello, LogHead, PublicKey, RunIdentity, SendError, Telemetry,
    ToCollector, ToSensor, TokenId,
};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::batch::PendingDelivery;
use super::gate::Gate;
use super::turns::Turn;
use super::unproved::Place;
use super::{EvictReason, IngestShared};
use crate::clock;
use crate::log::printable;
use crate::metrics::Metrics;
use crate::model::{DisconnectReason, Limit, SensorChange, SensorInfo, sanitize_name};
use crate::store::Lane;
use bulk::BulkTurn;
use close::CloseReason;
use first_message::FirstMessage;
use keys::SessionKeys;
use limits::Arrived;
use phase::Phase;
use storing::{Storing, StoringResult};

/// Time between two heads of a log that are stored; a sensor sends one a minute.
const HEAD_INTERVAL: Duration = Duration::from_secs(10);

/// One connection.
pub(super) struct Connection {
    stream: TcpStream,
    _open: Open,
    peer: SocketAddr,
    shared: Arc<IngestShared>,
    gate: Gate,
    session: CollectorSession,
    /// Place among the connections without a proved key, and the channel that ends when it is taken away; dropped when a
    /// hello proves a key.
    unproved: Option<(Place, oneshot::Receiver<()>)>,
    first_message: FirstMessage,
    phase: Phase,
    /// Bytes read from the socket that the session has not taken.
    input: Vec<u8>,
    /// Received, and waiting until the delivery before it is stored.
    pending: PendingDelivery,
    /// Entries received since the rates of the sensor were charged.
    arrived: Arrived,
    bulk: BulkTurn,
    /// Threads that the session needs: bulk from the first long message or delivery above the prompt rate to the next delivery
    /// within it.
    lane: Lane,
    /// Nothing is read before this time, because the sensor exceeds a rate.
    read_after: Uptime,
    /// The delivery that is being stored.
    storing: Option<Storing>,
    /// Stored, and not yet acknowledged because the session has no room to send.
    ack: Option<AlertId>,
    /// Time of the last head of the sensor's log that was stored.
    head_taken: Option<Instant>,
    keys: SessionKeys,
}

/// An event of the session, in a form that does not borrow from it.
enum Inbound {
    Peer(PublicKey),
    Enrollment(PublicKey, TokenId),
    Hello {
        protocol: u16,
        boot: u32,
        run: RunIdentity,
        info: SensorInfo,
    },
    NextKey(PublicKey),
    KeyPinned(PublicKey),
    Enroll {
        name: String,
    },
    Telemetry(Telemetry),
    LogHead(LogHead),
    /// Alerts, a gap or the end of a run; they are in the pending delivery.
    Appended,
}

/// The event that ended a wait.
enum Wake {
    Turn(Option<Turn>),
    BulkReady,
    BulkTurn(Option<OwnedSemaphorePermit>),
    CrowdedOut,
    Socket,
    Deadline,
    Stored(StoringResult),
    Evicted(EvictReason),
    Stopping,
}

impl Connection {
    /// A connection whose peer has a place among those without a proved key.
    pub(super) fn new(
        (stream, peer, open): (TcpStream, SocketAddr, Open),
        (place, crowded_out): (Place, oneshot::Receiver<()>),
        gate: Gate,
        shared: Arc<IngestShared>,
    ) -> Self {
        let now = shared.uptime();
        let session = CollectorSession::accept_any(shared.identity.answering(), shared.limits.session, now);
        Self {
            stream,
            _open: open,
            peer,
            shared,
            gate,
            session,
            unproved: Some((place, crowded_out)),
            first_message: FirstMessage::default(),
            phase: Phase::Handshake,
            input: Vec::new(),
            pending: PendingDelivery::default(),
            arrived: Arrived::default(),
            bulk: BulkTurn::default(),
            lane: Lane::Prompt,
            read_after: now,
            storing: None,
            ack: None,
            head_taken: None,
            keys: SessionKeys::default(),
        }
    }

    /// Does everything that is possible without waiting for the peer.
    async fn advance(&mut self) -> Result<(), CloseReason> {
        // Bounded: each iteration takes bytes of the input, which holds one read of the socket at most.
        loop {
            // Without input as well: deadlines pass, and pings fall due.
            while let Some(inbound) = self.poll()? {
                self.handle(inbound).await?;
            }
            if self.input.is_empty() || !self.may_read() || !self.receive()? {
                break;
            }
        }
        if !matches!(self.phase, Phase::Handshake) {
            self.first_message.done(); // the next peer may be decrypted
        }
        self.charge_rates().await?;
        // The acknowledgement before the write: one that is due now leaves with this write.
        self.start_storing();
        self.acknowledge()?;
        self.tell_keys()?;
        self.report_copy().await?;
        self.write()?;
        Ok(())
    }

    /// Gives bytes of the input to the session; false if it takes none now.
    fn receive(&mut self) -> Result<bool, CloseReason> {
        let available = match &self.unproved {
            Some((place, _)) => self.first_message.available(&self.input, place, &self.gate.turns),
            None => self.input.len(),
        };
        let taken = self.session.receive(self.input.get(..available).unwrap_or_default())?;
        let bytes = self.input.get(..taken).unwrap_or_default();
        self.first_message.taken(bytes);
        self.bulk.note_taken(bytes);
        self.input.drain(..taken);
        Ok(taken > 0)
    }

    /// The next event of the session; none if it is idle.
    fn poll(&mut self) -> Result<Option<Inbound>, CloseReason> {
        // Alerts and gaps borrow from the buffer of the session and are appended here; `handle` needs all of `self`.
        let event = self.session.poll(self.shared.uptime())?;
        Ok(Some(match event {
            CollectorEvent::Peer { key } => Inbound::Peer(key),
            CollectorEvent::Enrollment { key, token } => Inbound::Enrollment(key, token),
            CollectorEvent::Message(ToCollector::Hello(hello)) => Inbound::Hello {
                protocol: hello.protocol,
                boot: hello.boot,
                run: hello.run,
                info: sensor_info(&hello),
            },
            CollectorEvent::Message(ToCollector::Enroll(enroll)) => {
                Inbound::Enroll { name: sanitize_name(enroll.name) }
            }
            CollectorEvent::Message(ToCollector::Telemetry(telemetry)) => Inbound::Telemetry(telemetry),
            CollectorEvent::Message(ToCollector::LogHead(head)) => Inbound::LogHead(head),
            CollectorEvent::Message(ToCollector::NextKey(key)) => Inbound::NextKey(key),
            CollectorEvent::Message(ToCollector::KeyPinned(key)) => Inbound::KeyPinned(key),
            // The session returns alerts and gaps only after a hello. If that did not establish it, the peer is rejected:
            // what it sends is neither stored nor acknowledged, and it keeps it.
            CollectorEvent::Message(ToCollector::Alerts(batch)) => {
                if let Phase::Established(established) = &self.phase {
                    let alerts = self.pending.append_batch(&established.sensor, batch)?;
                    self.arrived.alerts += alerts;
                    self.bulk.note_entries(alerts);
                }
                Inbound::Appended
            }
            CollectorEvent::Message(ToCollector::Gap(gap)) => {
                if let Phase::Established(established) = &self.phase {
                    self.pending.append_gap(&established.sensor, gap);
                    self.arrived.gaps += 1;
                    self.bulk.note_entries(1);
                }
                Inbound::Appended
            }
            CollectorEvent::Message(ToCollector::RunEnd(end)) => {
                if let Phase::Established(established) = &self.phase {
                    self.pending.append_run_end(&established.sensor, end);
                    self.bulk.note_entries(1);
                }
                Inbound::Appended
            }
            // Idle, a pong, or an event of a later version of the session.
            _ => return Ok(None),
        }))
    }

    async fn handle(&mut self, inbound: Inbound) -> Result<(), CloseReason> {
        if matches!(inbound, Inbound::Telemetry(_) | Inbound::LogHead(_) | Inbound::Appended) {
            self.note_alive();
        }
        match inbound {
            Inbound::Peer(key) => self.identify(key).await,
            Inbound::Enrollment(key, token) => self.find_token(key, token).await,
            Inbound::Hello { protocol, boot, run, info } => self.establish(protocol, boot, run, info).await,
            Inbound::NextKey(key) => self.next_key(key).await,
            Inbound::KeyPinned(key) => self.key_pinned(key).await,
            Inbound::Enroll { name } => self.enroll(name).await,
            Inbound::Telemetry(telemetry) => self.telemetry(&telemetry).await,
            Inbound::LogHead(head) => self.log_head(head).await,
            Inbound::Appended => Ok(()),
        }
    }

    /// Stores the head of the sensor's log, at most one in [`HEAD_INTERVAL`]: a sensor that sends more costs nothing more.
    async fn log_head(&mut self, head: LogHead) -> Result<(), CloseReason> {
        let Phase::Established(established) = &self.phase else { return Ok(()) };
        if self.head_taken.is_some_and(|at| at.elapsed() < HEAD_INTERVAL) {
            return Ok(());
        }
        self.head_taken = Some(Instant::now());
        let (id, name) = (established.sensor.id, Arc::clone(&established.name));
        self.shared.writer.log_head(id, name, head, clock::now()).await.map_err(CloseReason::Store)
    }

    async fn telemetry(&mut self, telemetry: &Telemetry) -> Result<(), CloseReason> {
        let Phase::Established(established) = &self.phase else { return Ok(()) };
        established.guard.record_telemetry(telemetry);
        let id = established.sensor.id;
        if !established.rates().telemetry(self.shared.elapsed()) {
            return self.count_limit(Limit::TelemetryRate).await; // the next reading replaces it anyhow
        }
        self.shared.writer.telemetry(id, *telemetry, clock::now()).await.map_err(CloseReason::Store)
    }

    /// The sensor was heard, or this side would not have heard it.
    fn note_heard(&mut self) {
        let now = self.shared.uptime();
        let Phase::Established(established) = &mut self.phase else { return };
        if established.silence.heard(now) {
            established.guard.set_silent(false);
            let name = established.name.clone();
            self.shared.metrics.sensors_connected.inc();
            self.shared.log.limited_info("heard", format_args!("{name} is heard again"));
            self.publish(&name, SensorChange::Connected);
        }
    }

    /// Called when the time for a read has passed without bytes.
    fn note_silence(&mut self) {
        let now = self.shared.uptime();
        let Phase::Established(established) = &mut self.phase else { return };
        if established.silence.begins(now) {
            established.guard.set_silent(true);
            let name = established.name.clone();
            let reason = DisconnectReason::Silent(established.silence.limit);
            self.shared.metrics.sensors_connected.dec();
            self.shared.log.limited_info("silent", format_args!("{name} is not heard any more: {reason}"));
            self.publish(&name, SensorChange::Disconnected(reason));
        }
    }

    /// Sends the acknowledgement that is due. Acknowledgements are cumulative: while the session has no room, a
    /// later one replaces it.
    fn acknowledge(&mut self) -> Result<(), CloseReason> {
        let Some(last) = self.ack else { return Ok(()) };
        match self.session.send(&ToSensor::Ack(last), self.shared.uptime()) {
            Ok(()) => self.ack = None,
            Err(SendError::Closed(reason)) => return Err(reason.into()),
            Err(_) => {}
        }
        Ok(())
    }

    async fn wait(&mut self) -> Wake {
        if self.storing.is_none() && self.pending.len() == 0 {
            self.bulk.release(self.may_read());
        }
        if self.input.is_empty() && !self.bulk.is_held() {
            self.input = Vec::new(); // a whole read for each of thousands of sensors that wait for their turn
        }
        // Without these conditions a socket that is ready, and of no use now, would wake the task without end.
        let wants_write = !self.session.pending().is_empty();
        let may_read = self.input.is_empty() && self.may_read();
        let wants_read = may_read && self.bulk.read_len(1) > 0;
        let wants_turn = may_read && self.bulk.is_needed() && self.bulk.waiting().is_none();
        if !wants_read && !wants_turn {
            // The sensor may have sent; while its alerts are being stored or its rate is exceeded, nobody reads. Its silence
            // begins afterwards.
            self.note_heard();
        }
        let now = self.shared.uptime();
        let silent_at = match &self.phase {
            Phase::Established(established) => established.silence.due(),
            _ => None,
        };
        let paused_until = (self.read_after > now).then_some(self.read_after);
        let deadlines = [Some(self.session.next_deadline()), silent_at, paused_until];
        let deadline = deadlines.into_iter().flatten().min().unwrap_or(now).since(now);
        let evicted = self.phase.evicted();
        let crowded_out = self.unproved.as_mut().map(|(_, crowded_out)| crowded_out);
        let mut stopping = self.shared.stopping.clone();
        // Biased, in the order of urgency: a peer that keeps the socket busy cannot delay a stop or an eviction.
        // Every branch may be dropped unfinished: readiness is only observed, and `storing` is polled in place.
        tokio::select! {
            biased;
            _ = stopping.wait_for(|stop| *stop) => Wake::Stopping,
            // The sender is dropped only when the entry in the table is replaced or removed.
            reason = or_pending(evicted) => Wake::Evicted(reason.unwrap_or(EvictReason::Replaced)),
            _ = or_pending(crowded_out) => Wake::CrowdedOut,
            result = or_pending(self.storing.as_mut()) => Wake::Stored(result),
            turn = or_pending(self.first_message.waiting()) => Wake::Turn(turn.ok()),
            turn = or_pending(self.bulk.waiting()) => Wake::BulkTurn(turn),
            _ = self.stream.readable(), if wants_turn => Wake::BulkReady,
            _ = self.stream.writable(), if wants_write => Wake::Socket,
            _ = self.stream.readable(), if wants_read => Wake::Socket,
            () = tokio::time::sleep(deadline.max(Duration::from_millis(1))) => Wake::Deadline,
        }
    }
}

/// Counts an open connection, and holds its place among the sockets.
#[derive(Debug)]
pub(super) struct Open {
    metrics: Arc<Metrics>,
    _socket: OwnedSemaphorePermit,
}

impl Open {
    pub(super) fn count(metrics: Arc<Metrics>, socket: OwnedSemaphorePermit) -> Self {
        metrics.connections.inc();
        Self { metrics, _socket: socket }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.metrics.connections.dec();
    }
}

/// The properties in a hello. Text of a peer reaches logs and terminals, so only printable ASCII is taken.
fn sensor_info(hello: &Hello<'_>) -> SensorInfo {
    SensorInfo {
        software: printable(hello.software),
        host: printable(hello.host),
        interfaces: printable(hello.interfaces),
    }
}

/// The output of `future`; never ready if there is none.
async fn or_pending<F: Future + Unpin>(future: Option<F>) -> F::Output {
    match future {
        Some(future) => future.await,
        None => pending().await,
    }
}
