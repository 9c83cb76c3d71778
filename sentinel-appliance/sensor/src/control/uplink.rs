//! Uplink task: moves bytes between the session and a socket, and alerts from the spool into the session.
//!
//! One connection at a time. The session (`sentinel_uplink`) has no socket and no clock: [`UplinkConnection`] feeds it, and
//! sleeps until the socket is ready, there are new alerts, or its next deadline. The spool keeps every alert until the
//! collector has acknowledged it, so a connection that ends loses nothing.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::rc::Rc;
use std::time::Duration;

use sentinel_units::Uptime;
use sentinel_uplink::{
    Backoff, BatchBuilder, Cipher, Hello, LOG_HEAD_VERSION, Limits, LogHead, Origin, PROTOCOL_VERSION,
    RunIdentity, SendError, SensorEvent, SensorSession, ToCollector, ToSensor,
};
use smol::{Async, Timer, future};

use crate::control::key_exchange::KeyExchange;
use crate::control::route::{Progress, Route, addresses};
use crate::control::state::{LinkPhase, Shared};
use crate::control::telemetry_schedule::TelemetrySchedule;
use crate::spool::{Item, SentRecords, Spool};
use crate::system::connect::connect;
use crate::system::damage::FileState;
use crate::system::disconnect_reason::DisconnectReason;
use crate::system::keyring::Keyring;
use crate::system::keys::{self, Collector, random_u64};
use crate::system::process::host_name;
use crate::terminal::log;

/// Time between two checks for enrollment or `uplink_enabled`: one failing `open(2)`.
const RECHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Wait after a rejection that only an operator can end.
const REJECTED_WAIT: Duration = Duration::from_secs(300);
/// Minimum time between two heads of the log.
const HEAD_INTERVAL: Duration = Duration::from_secs(60);
/// Bytes of a batch; the session may set a lower limit.
const BATCH_BYTES: usize = 4096;

/// Keeps the sensor connected for as long as it runs; without a key pair, once there is one in the state directory.
pub(crate) async fn keep_connected(shared: Rc<Shared>, ring: Option<Keyring>) {
    let (mut backoff, mut route) = (Backoff::new(), Route::default());
    let Some(mut ring) = own_keys(&shared, ring).await else { return };
    // Known to this run only: who copies the files of the sensor has not got it.
    let witness = random_u64().unwrap_or_default();
    let mut generation = shared.generation.get();
    while !shared.is_stopping() {
        let (enabled, cipher) = {
            let settings = shared.settings.borrow();
            (settings.uplink_enabled, settings.uplink_cipher.into())
        };
        let collector = shared.collector.borrow().clone();
        let Some(collector) = collector.filter(|_| enabled) else {
            shared.set_link(if enabled { LinkPhase::NotEnrolled } else { LinkPhase::Disabled });
            shared.sleep(RECHECK_INTERVAL).await;
            shared.reload_enrollment();
            continue;
        };
        // Settings and collector are copies, because no borrow may be held over the connection; a reload that changes
        // them ends it through `generation`.
        shared.set_link(LinkPhase::Connecting);
        let acknowledged = shared.spool.borrow().acknowledged();
        // Enrollment or settings changed.
        if std::mem::replace(&mut generation, shared.generation.get()) != shared.generation.get() {
            read_keys(&shared, &mut ring);
            route = Route::default();
        }
        let session =
            Session { shared: &shared, ring: &mut ring, route: &mut route, collector: &collector, witness };
        let (progress, reason) = session.run(cipher).await;
        shared.spool.borrow_mut().delivery().disconnected();
        // A collector that accepts the session and then closes it must not be tried again at once: only progress resets.
        if shared.spool.borrow().acknowledged() > acknowledged {
            backoff.reset();
        }
        let count = addresses(&shared.settings.borrow(), &collector).len();
        let wait = if route.failed(progress, &reason, &ring, count) {
            Duration::ZERO
        } else {
            reconnect_wait(&reason, &mut backoff)
        };
        if !matches!(reason, DisconnectReason::Local) {
            shared.link_lost(&reason, wait);
        }
        if wait == REJECTED_WAIT {
            until_enrolled_again(&shared, wait).await;
            read_keys(&shared, &mut ring);
        } else {
            shared.sleep(wait).await;
        }
    }
}

/// Key pair of the sensor; waits for one that can be read. `None` at shutdown.
async fn own_keys(shared: &Shared, mut ring: Option<Keyring>) -> Option<Keyring> {
    while ring.is_none() {
        if shared.is_stopping() {
            return None;
        }
        shared.link.borrow_mut().last_error = Some("the key of this sensor cannot be read or stored".into());
        shared.sleep(RECHECK_INTERVAL).await;
        if let Some(found) = stored_keys(shared) {
            shared.link.borrow_mut().last_error = None;
            ring = Some(found);
        }
    }
    ring
}

/// Waits after a rejection that only an operator can end: `span`, or until `sentinel enroll` has written the file of the
/// collector again. Its content may be the same, because a revoked sensor that is enrolled again keeps key and collector.
async fn until_enrolled_again(shared: &Shared, span: Duration) {
    let until = shared.clock.uptime().after(span);
    let generation = shared.generation.get();
    let stamp = || keys::enrollment_stamp(&shared.settings.borrow().state_dir);
    let before = stamp();
    while shared.clock.uptime() < until && !shared.is_stopping() && shared.generation.get() == generation {
        let now = stamp();
        if now.is_some() && now != before {
            shared.reload_enrollment();
            return;
        }
        shared.sleep(RECHECK_INTERVAL).await;
    }
}

/// Wait before the next connection.
fn reconnect_wait(reason: &DisconnectReason, backoff: &mut Backoff) -> Duration {
    match reason {
        DisconnectReason::Rejected(rejection) if !rejection.is_temporary() => REJECTED_WAIT,
        DisconnectReason::Local => Duration::ZERO,
        _ => {
            // Jitter: sensors whose collector was restarted do not all come back at the same moment.
            let [a, b, c, d, ..] = random_u64().unwrap_or_default().to_le_bytes();
            backoff.next(u32::from_le_bytes([a, b, c, d]))
        }
    }
}

/// Reads the keys again: `sentinel enroll` may have made others. Those in memory stay if that fails.
fn read_keys(shared: &Shared, ring: &mut Keyring) {
    if let Some(found) = stored_keys(shared) {
        *ring = found;
    }
}

/// Keys in the state directory, if they can be read.
fn stored_keys(shared: &Shared) -> Option<Keyring> {
    let state = shared.settings.borrow().state_dir.clone();
    let read = || {
        Keyring::finish_return(&state)?;
        match keys::stored_sensor_key(&state) {
            FileState::Good(own) => Keyring::beside(&state, own).map(Some),
            _ => Ok(None),
        }
    };
    read().inspect_err(|failure| log::warn(format_args!("{failure}"))).ok().flatten()
}

/// One connection, from the choice of the address to its end.
struct Session<'s> {
    shared: &'s Shared,
    ring: &'s mut Keyring,
    route: &'s mut Route,
    collector: &'s Collector,
    witness: u64,
}

impl Session<'_> {
    /// Runs it; gives the reason for its end, and how far it came.
    async fn run(mut self, cipher: Cipher) -> (Progress, DisconnectReason) {
        let mut progress = Progress::None;
        match self.try_run(cipher, &mut progress).await {
            Ok(never) => match never {},
            Err(reason) => (progress, reason),
        }
    }

    async fn try_run(
        &mut self,
        cipher: Cipher,
        progress: &mut Progress,
    ) -> Result<std::convert::Infallible, DisconnectReason> {
        let shared = self.shared;
        let address = self.route.address(&shared.settings.borrow(), self.collector);
        shared.link.borrow_mut().address = Some(address.clone());
        let stream = connect(&address).await?;
        let collector_key = self.route.collector_key(self.ring, self.collector);
        let own = self.route.own_key(self.ring);
        let now = shared.clock.uptime();
        let session = SensorSession::connect(own, &collector_key, cipher, Limits::SENSOR, now)?;
        let (host, interfaces) = (host_name(), shared.interface_list());
        let hello = hello(shared, &host, &interfaces, self.witness);
        let own = own.public();
        let keys = KeyExchange::new(self.ring, self.route, self.collector, collector_key, own);
        let mut connection = UplinkConnection {
            shared,
            session,
            origin: hello.origin(),
            is_welcomed: false,
            progress,
            keys,
            telemetry: TelemetrySchedule::default(),
            head: HeadReport::default(),
        };
        let generation = shared.generation.get();
        let mut incoming = [0; 2048];
        loop {
            connection.handle_events(&hello)?;
            connection.send(&stream)?;
            if shared.generation.get() != generation || shared.is_drained() || connection.keys.must_reconnect
            {
                return Err(DisconnectReason::Local);
            }
            let deadline = connection.deadline();
            wait(shared, &stream, !connection.session.pending().is_empty(), deadline).await?;
            connection.read(&stream, &mut incoming, &hello)?;
        }
    }
}

/// First message of the sensor.
fn hello<'h>(shared: &Shared, host: &'h str, interfaces: &'h str, witness: u64) -> Hello<'h> {
    Hello {
        protocol: PROTOCOL_VERSION,
        software: env!("CARGO_PKG_VERSION"),
        host: cut(host, 64),
        boot: shared.spool.borrow().boot(),
        started_us: shared.started.as_micros(),
        interfaces: cut(interfaces, 128),
        run: RunIdentity { previous: shared.spool.borrow().previous_boot(), witness },
    }
}

/// Session with the state that feeds it.
struct UplinkConnection<'s> {
    shared: &'s Shared,
    session: SensorSession,
    origin: Origin,
    /// The collector has accepted the session and named the last alert that it has.
    is_welcomed: bool,
    progress: &'s mut Progress,
    keys: KeyExchange<'s>,
    telemetry: TelemetrySchedule,
    head: HeadReport,
}

/// Reports of the head of the log on one connection: one at its start, and one after a write to flash, at most one in
/// [`HEAD_INTERVAL`].
#[derive(Debug, Default)]
struct HeadReport {
    /// The collector reads heads.
    is_wanted: bool,
    sent: Option<LogHead>,
    due: Uptime,
}

impl HeadReport {
    /// Time at which `head` must be sent; `None` if the collector has it, or reads none.
    fn due(&self, head: &LogHead) -> Option<Uptime> {
        (self.is_wanted && self.sent.as_ref() != Some(head)).then_some(self.due)
    }

    fn record_sent(&mut self, head: LogHead, now: Uptime) {
        self.sent = Some(head);
        self.due = now.after(HEAD_INTERVAL);
    }
}

impl UplinkConnection<'_> {
    /// Sends until the spool is empty, the window of unacknowledged records is full, or the socket takes no more.
    fn send(&mut self, stream: &Async<TcpStream>) -> Result<(), DisconnectReason> {
        // Before the first message, too: after a heartbeat that the session has queued, there is no room for records.
        flush(stream, &mut self.session, self.shared.clock.uptime())?;
        while self.fill()? {
            flush(stream, &mut self.session, self.shared.clock.uptime())?;
        }
        Ok(())
    }

    /// Reads once, if the socket has bytes.
    fn read(
        &mut self,
        stream: &Async<TcpStream>,
        incoming: &mut [u8],
        hello: &Hello<'_>,
    ) -> Result<(), DisconnectReason> {
        match (&mut stream.get_ref()).read(incoming) {
            Ok(0) => Err(DisconnectReason::Closed),
            Ok(count) => self.receive(incoming.get(..count).unwrap_or_default(), hello),
            Err(error) if is_retryable(error.kind()) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Feeds received bytes to the session frame by frame.
    fn receive(&mut self, mut bytes: &[u8], hello: &Hello<'_>) -> Result<(), DisconnectReason> {
        while !bytes.is_empty() {
            let used = self.session.receive(bytes)?;
            self.handle_events(hello)?;
            bytes = bytes.get(used..).unwrap_or_default();
        }
        Ok(())
    }

    /// Handles the events of the session until there are no more.
    fn handle_events(&mut self, hello: &Hello<'_>) -> Result<(), DisconnectReason> {
        let now = self.shared.clock.uptime();
        loop {
            match self.session.poll(now)? {
                SensorEvent::Idle => return Ok(()),
                SensorEvent::Established => {
                    *self.progress = Progress::Proved;
                    queued(self.session.send(&ToCollector::Hello(*hello), now))?;
                }
                SensorEvent::Message(ToSensor::Welcome(welcome)) => {
                    self.is_welcomed = true;
                    *self.progress = Progress::Welcomed;
                    self.keys.welcomed(self.shared, welcome.protocol);
                    self.head.is_wanted = welcome.protocol >= LOG_HEAD_VERSION;
                    self.shared.spool.borrow_mut().welcome(welcome.acked, welcome.protocol);
                    self.shared.set_link(LinkPhase::Connected);
                }
                SensorEvent::Message(ToSensor::Ack(id)) => {
                    let mut spool = self.shared.spool.borrow_mut();
                    spool.acked(id);
                    spool.delivery().restart_timer(now);
                }
                SensorEvent::Message(ToSensor::Rejected(reason)) => {
                    return Err(DisconnectReason::Rejected(reason));
                }
                SensorEvent::Message(ToSensor::KeyAnswer(answer)) => self.keys.answered(self.shared, answer),
                SensorEvent::Message(ToSensor::CollectorKey(key)) => self.keys.announced(key),
                SensorEvent::Message(ToSensor::ReplaceKey) => self.keys.replace_own(self.shared),
                SensorEvent::Message(_) | _ => {}
            }
        }
    }

    /// Queues one message: telemetry that is due, or records of the spool. Returns false if there is none, or no room.
    fn fill(&mut self) -> Result<bool, DisconnectReason> {
        let now = self.shared.clock.uptime();
        if self.shared.spool.borrow_mut().delivery().is_overdue(now) {
            return Err(DisconnectReason::AcknowledgementTimeout);
        }
        if !self.is_welcomed || !self.session.pending().is_empty() {
            return Ok(false);
        }
        if let Some(message) = self.keys.take() {
            queued(self.session.send(&message, now))?;
            return Ok(true);
        }
        // Before the alerts: with a long backlog there is always another batch.
        if now >= self.telemetry.due {
            let (reading, interval) =
                (self.shared.telemetry(), self.shared.settings.borrow().uplink_telemetry);
            if self.telemetry.take(&reading, now, interval) {
                queued(self.session.send(&ToCollector::Telemetry(reading), now))?;
                return Ok(true);
            }
        }
        let head = self.log_head();
        if self.head.due(&head).is_some_and(|due| now >= due) {
            self.head.record_sent(head, now);
            queued(self.session.send(&ToCollector::LogHead(head), now))?;
            return Ok(true);
        }
        self.send_records(now)
    }

    fn log_head(&self) -> LogHead {
        let head = self.shared.spool.borrow().log().head();
        LogHead { next_id: head.next_id.0, epoch: head.epoch, chain: *head.chain.as_bytes() }
    }

    /// Queues the oldest records that were not sent: a batch of alerts, a gap, or the end of a run. Returns false if there are
    /// none, or no room.
    fn send_records(&mut self, now: Uptime) -> Result<bool, DisconnectReason> {
        // Checked before the session takes a message: one that `sent` below does not track must not be sent.
        let mut spool = self.shared.spool.borrow_mut();
        if !spool.delivery().has_room() {
            return Ok(false);
        }
        let mut buffer = [0; BATCH_BYTES];
        let limit = self.session.batch_limit().min(BATCH_BYTES);
        let mut batch = BatchBuilder::new(self.origin, buffer.get_mut(..limit).unwrap_or_default());
        let (records, single) = collect(&mut spool, &mut batch);
        let (message, last) = match (single, batch.batch(), batch.last()) {
            (Some(Item::Gap(gap)), ..) => (ToCollector::Gap(gap), gap.last()),
            (Some(Item::End(end)), ..) => (ToCollector::RunEnd(end), end.last()),
            (_, Some(alerts), Some(last)) => (ToCollector::Alerts(alerts), last),
            _ => return Ok(false),
        };
        let Some(records) = records else { return Ok(false) };
        // Nothing is recorded as sent then: the same items are read again at the next attempt.
        if let Err(SendError::Busy) = self.session.send(&message, now) {
            return Ok(false);
        }
        // `has_room` was checked above, and nothing was sent since.
        let _has_room = spool.sent(last, records, now);
        Ok(true)
    }

    /// Time of the next event that no socket announces.
    fn deadline(&self) -> Uptime {
        let mut deadline = self.session.next_deadline();
        // While the socket is full, telemetry waits for the socket, not for its time.
        if self.is_welcomed && self.session.pending().is_empty() {
            deadline = deadline.min(self.telemetry.due);
            if let Some(head_due) = self.head.due(&self.log_head()) {
                deadline = deadline.min(head_due);
            }
        }
        if let Some(ack_due) = self.shared.spool.borrow_mut().delivery().deadline() {
            deadline = deadline.min(ack_due);
        }
        deadline
    }
}

/// Adds unsent alerts to an empty batch; gives their records. If a gap or the end of a run comes before any alert, gives that
/// one.
fn collect(spool: &mut Spool, batch: &mut BatchBuilder<'_>) -> (Option<SentRecords>, Option<Item>) {
    let (mut records, mut single, boot) = (None, None, spool.boot());
    spool.unsent(|record, item| match &item {
        Item::Alert(id, alert) => {
            // If the batch is full, or of another run, this alert starts the next one.
            let fits = batch.push(*id, alert).is_ok();
            if fits {
                SentRecords::add(&mut records, record, &item, boot);
            }
            fits
        }
        // Sent in the order of the log, because an acknowledgement is of everything before it. So these end the batch, and
        // are messages of their own.
        Item::Gap(_) | Item::End(_) => {
            if batch.count() == 0 {
                SentRecords::add(&mut records, record, &item, boot);
                single = Some(item);
            }
            false
        }
    });
    (records, single)
}

/// Ignores a full send buffer: the message is sent at the next attempt.
pub(crate) fn queued(outcome: Result<(), SendError>) -> Result<(), DisconnectReason> {
    match outcome {
        Ok(()) | Err(SendError::Busy) => Ok(()),
        Err(SendError::Closed(error)) => Err(error.into()),
        Err(other) => Err(DisconnectReason::Send(other)),
    }
}

/// Writes what the session has to send, as far as the socket takes it.
pub(crate) fn flush(
    stream: &Async<TcpStream>,
    session: &mut SensorSession,
    now: Uptime,
) -> Result<(), DisconnectReason> {
    while !session.pending().is_empty() {
        match (&mut stream.get_ref()).write(session.pending()) {
            Ok(count) => session.sent(count, now),
            Err(error) if is_retryable(error.kind()) => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Returns true for errors of a non-blocking socket that a later attempt does not have.
pub(crate) fn is_retryable(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// Waits until the socket is ready, new alerts are in the spool, or `deadline` passes.
async fn wait(
    shared: &Shared,
    stream: &Async<TcpStream>,
    has_output: bool,
    deadline: Uptime,
) -> Result<(), DisconnectReason> {
    let socket = async {
        if has_output {
            future::or(stream.readable(), stream.writable()).await
        } else {
            stream.readable().await
        }
    };
    let alerts = async {
        shared.wake_uplink.wait().await;
        Ok(())
    };
    let timer = async {
        Timer::at(shared.clock.instant(deadline)).await;
        Ok(())
    };
    future::or(socket, future::or(alerts, timer)).await.map_err(DisconnectReason::from)
}

/// Cuts a text to `max_len` bytes, between characters.
pub(crate) fn cut(text: &str, max_len: usize) -> &str {
    let mut end = text.len().min(max_len);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_sent_at_the_start_and_then_once_a_minute_if_it_changed() {
        let head = LogHead { next_id: 1, epoch: 0, chain: [1; 32] };
        let second = |seconds| Uptime::ZERO.after(Duration::from_secs(seconds));
        let mut report = HeadReport::default();
        assert_eq!(report.due(&head), None, "a collector of version 1 never gets one");
        report.is_wanted = true;
        assert_eq!(report.due(&head), Some(Uptime::ZERO));
        report.record_sent(head, second(5));
        assert_eq!(report.due(&head), None);
        let next = LogHead { next_id: 2, ..head };
        assert_eq!(report.due(&next), Some(second(65)));
        report.record_sent(next, second(65));
        assert_eq!(report.due(&head), Some(second(125)), "a roll-back is a change as well");
    }
}
