//! The uplink: moves bytes between the session and a socket, and alerts from the spool into the session.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::rc::Rc;
use std::time::Duration;

use sentinel_units::{Timestamp, Uptime};
use sentinel_uplink::{
    Backoff, BatchBuilder, Cipher, Counter, Hello, KeyPair, Limits, Origin, PROTOCOL_VERSION, RejectReason,
    SendError, SensorEvent, SensorSession, SessionError, Telemetry, ToCollector, ToSensor,
};
use smol::{Async, Timer, future};

use crate::control::tasks::{LinkPhase, Shared};
use crate::spool::Item;
use crate::system::connect::connect;
use crate::system::keys::Collector;

/// Waiting for enrollment or for `uplink_enabled`.
const RECHECK: Duration = Duration::from_secs(5);
/// After a refusal that only a person can mend.
const REFUSED_WAIT: Duration = Duration::from_secs(300);
/// Time for delivering the last alerts at shutdown.
pub(crate) const SHUTDOWN_DRAIN: Duration = Duration::from_secs(2);
/// Room for one batch; the session may set a lower limit.
const BATCH_BYTES: usize = 4096;

/// Why a conversation ended.
#[derive(Debug)]
pub(crate) enum DisconnectReason {
    /// The socket failed or the collector closed it.
    Socket(String),
    /// The session failed.
    Session(SessionError),
    /// The collector said no.
    Refused(RejectReason),
    /// The collector took too long to acknowledge.
    Overdue,
    /// Settings or enrollment changed, or the program ends.
    Ours,
}

impl std::fmt::Display for DisconnectReason {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Socket(what) => out.write_str(what),
            Self::Session(error) => error.fmt(out),
            Self::Refused(reason) => reason.fmt(out),
            Self::Overdue => out.write_str("no acknowledgement within 30 s"),
            Self::Ours => out.write_str("closed by the sensor"),
        }
    }
}

impl From<SessionError> for DisconnectReason {
    fn from(error: SessionError) -> Self {
        Self::Session(error)
    }
}

impl From<std::io::Error> for DisconnectReason {
    fn from(error: std::io::Error) -> Self {
        Self::Socket(error.to_string())
    }
}

/// Keeps the sensor connected for as long as it runs.
pub(crate) async fn keep_connected(shared: Rc<Shared>, keys: KeyPair) {
    let mut backoff = Backoff::new();
    while !shared.stopping() {
        let (enabled, cipher) = {
            let settings = shared.settings.borrow();
            (settings.uplink_enabled, settings.uplink_cipher.into())
        };
        let collector = shared.collector.borrow().clone();
        let Some(collector) = collector.filter(|_| enabled) else {
            shared.set_link(if enabled { LinkPhase::NotEnrolled } else { LinkPhase::Disabled });
            shared.pause(RECHECK).await;
            shared.look_for_enrollment();
            continue;
        };
        shared.set_link(LinkPhase::Connecting);
        let delivered = shared.spool.borrow().delivered();
        let end = run_session(&shared, &keys, &collector, cipher).await;
        shared.spool.borrow_mut().delivery().disconnected();
        if shared.spool.borrow().delivered() > delivered {
            backoff.reset();
        }
        let random = crate::system::keys::random_u64().unwrap_or_default().to_le_bytes();
        let [a, b, c, d, ..] = random;
        let wait = match &end {
            DisconnectReason::Refused(reason) if !reason.is_temporary() => REFUSED_WAIT,
            DisconnectReason::Ours => Duration::ZERO,
            _ => backoff.next(u32::from_le_bytes([a, b, c, d])),
        };
        if !matches!(end, DisconnectReason::Ours) {
            shared.link_lost(&end, wait);
        }
        shared.pause(wait).await;
    }
}

/// One connection from the first byte to the last.
async fn run_session(
    shared: &Shared,
    keys: &KeyPair,
    collector: &Collector,
    cipher: Cipher,
) -> DisconnectReason {
    match try_session(shared, keys, collector, cipher).await {
        Ok(never) => match never {},
        Err(end) => end,
    }
}

async fn try_session(
    shared: &Shared,
    keys: &KeyPair,
    collector: &Collector,
    cipher: Cipher,
) -> Result<std::convert::Infallible, DisconnectReason> {
    let stream = connect(&collector.address).await?;
    let session =
        SensorSession::connect(keys, &collector.key, cipher, Limits::SENSOR, shared.clock.uptime())?;
    let host = crate::control::tasks::host_name();
    let interfaces = shared.interface_list();
    let hello = Hello {
        protocol: PROTOCOL_VERSION,
        software: env!("CARGO_PKG_VERSION"),
        host: cut(&host, 64),
        boot: shared.spool.borrow().boot(),
        started_us: shared.started.as_micros(),
        interfaces: cut(&interfaces, 128),
    };
    let mut talk = UplinkConnection {
        shared,
        session,
        origin: hello.origin(),
        welcomed: false,
        telemetry_due: Uptime::ZERO,
    };
    let generation = shared.generation.get();
    let mut incoming = [0; 2048];
    loop {
        talk.events(&hello)?;
        // Until the spool is empty, the window is full, or the socket takes no more.
        while talk.fill()? {
            flush(&stream, &mut talk.session, shared.clock.uptime())?;
        }
        flush(&stream, &mut talk.session, shared.clock.uptime())?;
        if shared.generation.get() != generation || shared.drain_is_over() {
            return Err(DisconnectReason::Ours);
        }
        let deadline = talk.deadline()?;
        wait(shared, &stream, !talk.session.pending().is_empty(), deadline).await?;
        match (&mut stream.get_ref()).read(&mut incoming) {
            Ok(0) => return Err(DisconnectReason::Socket("the collector closed the connection".into())),
            Ok(count) => talk.take(incoming.get(..count).unwrap_or_default(), &hello)?,
            Err(error) if is_later(error.kind()) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The session and what it needs of the rest.
struct UplinkConnection<'s> {
    shared: &'s Shared,
    session: SensorSession,
    origin: Origin,
    welcomed: bool,
    telemetry_due: Uptime,
}

impl UplinkConnection<'_> {
    /// Feeds bytes frame by frame.
    fn take(&mut self, mut bytes: &[u8], hello: &Hello<'_>) -> Result<(), DisconnectReason> {
        while !bytes.is_empty() {
            let used = self.session.receive(bytes)?;
            self.events(hello)?;
            bytes = bytes.get(used..).unwrap_or_default();
        }
        Ok(())
    }

    /// Acts on what the session says until it is idle.
    fn events(&mut self, hello: &Hello<'_>) -> Result<(), DisconnectReason> {
        let now = self.shared.clock.uptime();
        loop {
            match self.session.poll(now)? {
                SensorEvent::Idle => return Ok(()),
                SensorEvent::Established => queued(self.session.send(&ToCollector::Hello(*hello), now))?,
                SensorEvent::Message(ToSensor::Welcome(welcome)) => {
                    self.welcomed = true;
                    self.shared.spool.borrow_mut().welcome(welcome.acked);
                    self.shared.set_link(LinkPhase::Connected);
                }
                SensorEvent::Message(ToSensor::Ack(id)) => {
                    self.shared.spool.borrow_mut().acked(id);
                }
                SensorEvent::Message(ToSensor::Rejected(reason)) => {
                    return Err(DisconnectReason::Refused(reason));
                }
                SensorEvent::Message(_) | _ => {}
            }
        }
    }

    /// Queues one message of what there is to say, if there is room; says whether it did.
    fn fill(&mut self) -> Result<bool, DisconnectReason> {
        let now = self.shared.clock.uptime();
        if self.shared.spool.borrow_mut().delivery().is_overdue(now) {
            return Err(DisconnectReason::Overdue);
        }
        if !self.welcomed || !self.session.pending().is_empty() {
            return Ok(false);
        }
        if now >= self.telemetry_due {
            self.telemetry_due = now.after(self.shared.settings.borrow().uplink_telemetry);
            queued(self.session.send(&ToCollector::Telemetry(self.shared.telemetry()), now))?;
            return Ok(true);
        }
        let mut spool = self.shared.spool.borrow_mut();
        if !spool.delivery().has_room() {
            return Ok(false);
        }
        let mut buffer = [0; BATCH_BYTES];
        let limit = self.session.batch_limit().min(BATCH_BYTES);
        let mut batch = BatchBuilder::new(self.origin, buffer.get_mut(..limit).unwrap_or_default());
        let (mut last_record, mut gap) = (None, None);
        spool.unsent(|record, item| match item {
            Item::Alert(id, alert) => {
                // Full, or of another run: it starts the next batch.
                let fits = batch.push(id, &alert).is_ok();
                if fits {
                    last_record = Some(record);
                }
                fits
            }
            Item::Gap(found) => {
                if batch.count() == 0 {
                    gap = Some((record, found));
                }
                false
            }
        });
        let (message, last, record, records) = match (gap, batch.batch(), batch.last(), last_record) {
            (Some((record, gap)), ..) => (ToCollector::Gap(gap), gap.last(), record, 1),
            (None, Some(alerts), Some(last), Some(record)) => {
                (ToCollector::Alerts(alerts), last, record, batch.count())
            }
            _ => return Ok(false),
        };
        if let Err(SendError::Busy) = self.session.send(&message, now) {
            return Ok(false);
        }
        let _booked_because_there_was_room = spool.delivery().sent(last, record, records, now);
        Ok(true)
    }

    fn deadline(&self) -> Result<Uptime, DisconnectReason> {
        let mut deadline = self.session.next_deadline();
        // While the socket takes nothing, telemetry waits for it and not for the time.
        if self.welcomed && self.session.pending().is_empty() {
            deadline = deadline.min(self.telemetry_due);
        }
        if let Some(ack_due) = self.shared.spool.borrow_mut().delivery().deadline() {
            deadline = deadline.min(ack_due);
        }
        Ok(deadline)
    }
}

/// A full send buffer is no error: the session keeps its turn.
pub(crate) fn queued(outcome: Result<(), SendError>) -> Result<(), DisconnectReason> {
    match outcome {
        Ok(()) | Err(SendError::Busy) => Ok(()),
        Err(SendError::Closed(error)) => Err(error.into()),
        Err(other) => Err(DisconnectReason::Socket(other.to_string())),
    }
}

pub(crate) fn flush(
    stream: &Async<TcpStream>,
    session: &mut SensorSession,
    now: Uptime,
) -> Result<(), DisconnectReason> {
    while !session.pending().is_empty() {
        match (&mut stream.get_ref()).write(session.pending()) {
            Ok(count) => session.sent(count, now),
            Err(error) if is_later(error.kind()) => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

pub(crate) fn is_later(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// Until the socket is ready, new alerts are there, or time is up.
async fn wait(
    shared: &Shared,
    stream: &Async<TcpStream>,
    wants_to_write: bool,
    deadline: Uptime,
) -> Result<(), DisconnectReason> {
    let socket = async {
        if wants_to_write {
            future::or(stream.readable(), stream.writable()).await
        } else {
            stream.readable().await
        }
    };
    let news = async {
        shared.news.wait().await;
        Ok(())
    };
    let time = async {
        Timer::at(shared.clock.instant(deadline)).await;
        Ok(())
    };
    future::or(socket, future::or(news, time)).await.map_err(DisconnectReason::from)
}

/// The counters that travel.
pub(crate) fn telemetry(values: &[(Counter, u64)]) -> Telemetry {
    let mut telemetry = Telemetry::new();
    values.iter().for_each(|(counter, value)| telemetry.set(*counter, *value));
    telemetry
}

/// At most so many bytes of a text, cut between characters.
pub(crate) fn cut(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// Wall-clock time of the start, for the hello.
pub(crate) fn started(clock: &crate::system::clock::Clock) -> Timestamp {
    let since = clock.uptime().since(Uptime::ZERO);
    let now = crate::system::clock::wall().as_nanos();
    Timestamp::from_nanos(now.saturating_sub(Timestamp::ZERO.after(since).as_nanos()))
}
