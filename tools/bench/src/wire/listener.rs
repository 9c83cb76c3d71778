//! A collector that stores nothing: it enrolls whoever has its token, and tells when which alert arrived.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use sentinel_alert::{Alert, AlertId};
use sentinel_units::Uptime;
use sentinel_uplink::{
    CollectorEvent, CollectorSession, KeyPair, Limits, PROTOCOL_VERSION, ToCollector, ToSensor, Token,
    Welcome,
};

/// Longest wait for bytes: how late a ping may go.
const MAX_WAIT: Duration = Duration::from_millis(100);

/// What happened.
pub(crate) enum Event {
    /// A sensor is connected and was welcomed.
    Connected,
    /// An alert was read.
    Alert(Instant, Box<Alert>),
}

/// Key, token and socket.
pub(crate) struct Listener {
    keys: KeyPair,
    /// What a sensor enrolls with, over and over.
    pub(crate) token: Token,
    socket: TcpListener,
    begin: Instant,
}

/// What a session said, in a form that does not borrow from it.
enum Heard {
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
        let token =
            Token::generate(&address, keys.public()).map_err(|error| anyhow!("{address}: {error}"))?;
        Ok(Self { keys, token, socket, begin: Instant::now() })
    }

    /// Serves one connection after the other, until nobody wants to hear of it.
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
        stream.set_read_timeout(Some(MAX_WAIT))?;
        stream.set_nodelay(true)?;
        let mut session = CollectorSession::accept(&self.keys, Limits::COLLECTOR, self.now());
        let mut buffer = [0; 4_096];
        loop {
            self.all_said(&mut session, events)?;
            write(&mut stream, &mut session, self.now())?;
            let count = match stream.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => 0,
                Err(error) => bail!("reading from the sensor: {error}"),
            };
            let mut bytes = buffer.get(..count).unwrap_or_default();
            while !bytes.is_empty() {
                let taken = session.receive(bytes)?;
                bytes = bytes.get(taken..).unwrap_or_default();
                self.all_said(&mut session, events)?;
            }
        }
    }

    /// Answers what the session has to say, until it is idle.
    fn all_said(&self, session: &mut CollectorSession, events: &Sender<Event>) -> Result<()> {
        loop {
            let now = self.now();
            let heard = match session.poll(now)? {
                CollectorEvent::Idle => return Ok(()),
                CollectorEvent::Peer { .. } => Heard::Peer,
                CollectorEvent::Enrollment { .. } => Heard::Enrollment,
                CollectorEvent::Message(ToCollector::Hello(_)) => Heard::Hello,
                CollectorEvent::Message(ToCollector::Enroll(_)) => Heard::Enroll,
                CollectorEvent::Message(ToCollector::Alerts(batch)) => {
                    let at = Instant::now();
                    let mut last = None;
                    for entry in batch.iter() {
                        let entry = entry.map_err(|error| anyhow!("{error}"))?;
                        last = Some(entry.id);
                        if let Ok(alert) = entry.alert {
                            events.send(Event::Alert(at, Box::new(alert)))?;
                        }
                    }
                    Heard::Alerts(last)
                }
                CollectorEvent::Message(ToCollector::Gap(gap)) => Heard::Alerts(Some(gap.last())),
                _ => Heard::Other,
            };
            match heard {
                Heard::Peer => session.admit(now)?,
                Heard::Enrollment => session.admit_enrollment(self.token.secret(), now)?,
                Heard::Hello => {
                    self.say(session, &welcome())?;
                    events.send(Event::Connected)?;
                }
                Heard::Enroll => self.say(session, &welcome())?,
                Heard::Alerts(Some(last)) => self.say(session, &ToSensor::Ack(last))?,
                Heard::Alerts(None) | Heard::Other => {}
            }
        }
    }

    fn say(&self, session: &mut CollectorSession, message: &ToSensor<'_>) -> Result<()> {
        session.send(message, self.now()).map_err(|error| anyhow!("{error}"))
    }
}

const fn welcome() -> ToSensor<'static> {
    ToSensor::Welcome(Welcome { protocol: PROTOCOL_VERSION, sensor_id: 1, name: "bench", acked: None })
}

fn write(stream: &mut TcpStream, session: &mut CollectorSession, now: Uptime) -> Result<()> {
    while !session.pending().is_empty() {
        let count = stream.write(session.pending())?;
        session.sent(count, now);
    }
    Ok(())
}
