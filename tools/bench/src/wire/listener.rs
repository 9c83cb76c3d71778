//! Collector's side of the protocol without a store: enrolls any sensor that has the token, and reports each alert with its
//! time of arrival.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use sentinel_alert::{Alert, AlertId};
use sentinel_units::Uptime;
use sentinel_uplink::{
    Batch, CollectorEvent, CollectorSession, KeyPair, Limits, PROTOCOL_VERSION, ToCollector, ToSensor, Token,
    Welcome,
};

/// Read timeout, the longest delay of a ping.
const READ_TIMEOUT: Duration = Duration::from_millis(100);

/// Event of a connection.
pub(crate) enum Event {
    /// A sensor is connected and has been welcomed.
    Connected,
    /// An alert has been read.
    Alert(Instant, Box<Alert>),
}

/// Listening socket with the collector's key pair and its token.
pub(crate) struct Listener {
    keys: KeyPair,
    /// Token for any number of enrollments.
    pub(crate) token: Token,
    socket: TcpListener,
    begin: Instant,
}

/// Event of a session that does not borrow from it, so that the session can answer.
enum SessionEvent {
    Peer,
    Enrollment,
    Hello,
    Enroll,
    Alerts(Option<AlertId>),
    Other,
}

impl Listener {
    /// Listens on a free port of the loopback.
    pub(crate) fn new() -> Result<Self> {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let keys = KeyPair::generate()?;
        let address = socket.local_addr()?.to_string();
        let token = Token::generate(&address, keys.public()).with_context(|| address.clone())?;
        Ok(Self { keys, token, socket, begin: Instant::now() })
    }

    /// Serves one connection after the other, until the receiver of `events` is dropped.
    pub(crate) fn serve(&self, events: &Sender<Event>) -> Result<()> {
        loop {
            let (stream, _) = self.socket.accept()?;
            self.connection(stream, events)?;
        }
    }

    fn now(&self) -> Uptime {
        Uptime::from_millis(u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    fn connection(&self, mut stream: TcpStream, events: &Sender<Event>) -> Result<()> {
        stream.set_read_timeout(Some(READ_TIMEOUT))?;
        stream.set_nodelay(true)?;
        let mut session = CollectorSession::accept(&self.keys, Limits::COLLECTOR, self.now());
        let mut buffer = [0; 4_096];
        loop {
            self.handle_events(&mut session, events)?;
            write(&mut stream, &mut session, self.now())?;
            let count = match stream.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => 0,
                Err(error) => return Err(error).context("reading from the sensor"),
            };
            let mut bytes = buffer.get(..count).unwrap_or_default();
            while !bytes.is_empty() {
                let taken = session.receive(bytes)?;
                bytes = bytes.get(taken..).unwrap_or_default();
                self.handle_events(&mut session, events)?;
            }
        }
    }

    /// Answers the session's events until it is idle.
    fn handle_events(&self, session: &mut CollectorSession, events: &Sender<Event>) -> Result<()> {
        loop {
            let now = self.now();
            let event = match session.poll(now)? {
                CollectorEvent::Idle => return Ok(()),
                CollectorEvent::Peer { .. } => SessionEvent::Peer,
                CollectorEvent::Enrollment { .. } => SessionEvent::Enrollment,
                CollectorEvent::Message(ToCollector::Hello(_)) => SessionEvent::Hello,
                CollectorEvent::Message(ToCollector::Enroll(_)) => SessionEvent::Enroll,
                CollectorEvent::Message(ToCollector::Alerts(batch)) => {
                    SessionEvent::Alerts(report(&batch, events)?)
                }
                CollectorEvent::Message(ToCollector::Gap(gap)) => SessionEvent::Alerts(Some(gap.last())),
                _ => SessionEvent::Other,
            };
            match event {
                SessionEvent::Peer => session.admit(now)?,
                SessionEvent::Enrollment => session.admit_enrollment(self.token.secret(), now)?,
                SessionEvent::Hello => {
                    self.send(session, &welcome())?;
                    events.send(Event::Connected)?;
                }
                SessionEvent::Enroll => self.send(session, &welcome())?,
                SessionEvent::Alerts(Some(last)) => self.send(session, &ToSensor::Ack(last))?,
                SessionEvent::Alerts(None) | SessionEvent::Other => {}
            }
        }
    }

    fn send(&self, session: &mut CollectorSession, message: &ToSensor<'_>) -> Result<()> {
        session.send(message, self.now()).context("answering the sensor")
    }
}

/// Reports the alerts of a batch. Returns the number of the last one, which is to be acknowledged.
fn report(batch: &Batch<'_>, events: &Sender<Event>) -> Result<Option<AlertId>> {
    let at = Instant::now();
    let mut last = None;
    for entry in batch.iter() {
        let entry = entry.context("an entry of a batch")?;
        last = Some(entry.id);
        if let Ok(alert) = entry.alert {
            events.send(Event::Alert(at, Box::new(alert)))?;
        }
    }
    Ok(last)
}

const fn welcome() -> ToSensor<'static> {
    ToSensor::Welcome(Welcome { protocol: PROTOCOL_VERSION, sensor_id: 1, name: "bench", acked: None })
}

/// Writes everything that the session has to send.
fn write(stream: &mut TcpStream, session: &mut CollectorSession, now: Uptime) -> Result<()> {
    while !session.pending().is_empty() {
        let count = stream.write(session.pending())?;
        session.sent(count, now);
    }
    Ok(())
}
