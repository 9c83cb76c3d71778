//! A sensor: [`SensorSession`] over a TCP connection.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use sentinel_alert::{Alert, AlertId, Evidence, Phase, Severity, Subject, Test};
use sentinel_units::{Address, Timestamp, Uptime};
use sentinel_uplink::{
    BatchBuilder, Cipher, CollectorKey, Enroll, Hello, KeyAnswer, KeyPair, Limits, PublicKey, RejectReason,
    RunIdentity, SendError, SensorEvent, SensorSession, SessionError, ToCollector, ToSensor, Token,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{WAIT_TIMEOUT, token};

/// Wall-clock start of every sensor: 2023-11-14T22:13:20Z.
pub(crate) const STARTED: Timestamp = Timestamp::from_parts(1_700_000_000, 0);

pub(crate) fn alert(second: u64, severity: Severity) -> Alert {
    let time = STARTED.after(Duration::from_secs(second));
    Alert {
        time,
        first: time,
        test: Test::PortScanPortsInWindow,
        severity,
        phase: Phase::Open,
        incident: 1,
        suppressed: 0,
        subject: Subject {
            source: Some(Address::v4(0x0a14_1e42)),
            destination: Some(Address::v4(0x0a14_1e0a)),
            ..Subject::default()
        },
        evidence: Evidence::Ports { at_least: 15, at_most: 15, threshold: 15, window_s: 10 },
    }
}

/// Message `seq`: opening, update and closing of incident 1, then of incident 2, and so on, each of a source of its own, 10.x.y.z.
pub(crate) fn message(seq: u64) -> Alert {
    let number = u32::try_from((seq - 1) / 3 + 1).unwrap();
    let phase = [Phase::Open, Phase::Update, Phase::Close][usize::try_from((seq - 1) % 3).unwrap()];
    let base = alert(seq, Severity::Medium);
    let source = Some(Address::v4(0x0a00_0000 | number));
    Alert { incident: number, phase, subject: Subject { source, ..base.subject.clone() }, ..base }
}

/// An event of the sensor's session, in a form that does not borrow from it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Received {
    Established,
    Welcome {
        name: String,
        acked: Option<AlertId>,
    },
    Ack(AlertId),
    Rejected(RejectReason),
    KeyAnswer(KeyAnswer),
    CollectorKey(CollectorKey),
    ReplaceKey,
    /// The collector closed the connection.
    Closed,
    Failed(SessionError),
}

/// The sensor's end of one connection.
pub(crate) struct SensorClient {
    pub(crate) session: SensorSession,
    pub(crate) stream: TcpStream,
    input: Vec<u8>,
    started: Instant,
}

impl SensorClient {
    pub(crate) async fn connect(to: SocketAddr, session: SensorSession) -> Self {
        let stream = TcpStream::connect(to).await.unwrap();
        Self { session, stream, input: Vec::new(), started: Instant::now() }
    }

    fn now(&self) -> Uptime {
        Uptime::ZERO.after(self.started.elapsed())
    }

    pub(crate) async fn flush(&mut self) {
        while !self.session.pending().is_empty() {
            match self.stream.write(self.session.pending()).await {
                Ok(count) => self.session.sent(count, self.now()),
                Err(_) => return, // the next read tells
            }
        }
    }

    pub(crate) async fn send(&mut self, message: &ToCollector<'_>) {
        loop {
            match self.session.send(message, self.now()) {
                Ok(()) => break,
                Err(SendError::Busy) => self.flush().await,
                Err(error) => panic!("{error}"),
            }
        }
        self.flush().await;
    }

    pub(crate) async fn next(&mut self) -> Received {
        tokio::time::timeout(WAIT_TIMEOUT, self.next_or_wait()).await.expect("the collector says nothing")
    }

    /// None if nothing comes within `span`.
    pub(crate) async fn next_within(&mut self, span: Duration) -> Option<Received> {
        tokio::time::timeout(span, self.next_or_wait()).await.ok()
    }

    async fn next_or_wait(&mut self) -> Received {
        loop {
            self.flush().await;
            let now = self.now();
            match self.session.poll(now) {
                Err(error) => return Received::Failed(error),
                Ok(SensorEvent::Established) => return Received::Established,
                Ok(SensorEvent::Message(ToSensor::Welcome(welcome))) => {
                    return Received::Welcome { name: welcome.name.into(), acked: welcome.acked };
                }
                Ok(SensorEvent::Message(ToSensor::Ack(id))) => return Received::Ack(id),
                Ok(SensorEvent::Message(ToSensor::Rejected(reason))) => return Received::Rejected(reason),
                Ok(SensorEvent::Message(ToSensor::KeyAnswer(answer))) => return Received::KeyAnswer(answer),
                Ok(SensorEvent::Message(ToSensor::CollectorKey(key))) => return Received::CollectorKey(key),
                Ok(SensorEvent::Message(ToSensor::ReplaceKey)) => return Received::ReplaceKey,
                Ok(_) => {}
            }
            if self.input.is_empty() {
                let mut buffer = [0; 2048];
                match self.stream.read(&mut buffer).await {
                    Ok(0) | Err(_) => return Received::Closed,
                    Ok(count) => self.input.extend_from_slice(&buffer[..count]),
                }
            }
            match self.session.receive(&self.input) {
                Ok(taken) => drop(self.input.drain(..taken)),
                Err(error) => return Received::Failed(error),
            }
        }
    }

    /// Sends the alerts `seqs` of run `boot` as one batch and returns the id that acknowledges them.
    pub(crate) async fn send_alerts(&mut self, boot: u32, seqs: std::ops::RangeInclusive<u64>) -> AlertId {
        let origin = hello(boot).origin();
        let mut buffer = vec![0; self.session.batch_limit()];
        let mut builder = BatchBuilder::new(origin, &mut buffer);
        for seq in seqs {
            builder.push(AlertId { boot, seq }, &alert(seq, Severity::Medium)).unwrap();
        }
        let last = builder.last().unwrap();
        self.send(&ToCollector::Alerts(builder.batch().unwrap())).await;
        last
    }

    /// Sends the messages `seqs` of [`message`] as one batch and returns the id that acknowledges them.
    pub(crate) async fn send_messages(&mut self, boot: u32, seqs: std::ops::RangeInclusive<u64>) -> AlertId {
        let origin = hello(boot).origin();
        let mut buffer = vec![0; self.session.batch_limit()];
        let mut builder = BatchBuilder::new(origin, &mut buffer);
        for seq in seqs {
            builder.push(AlertId { boot, seq }, &message(seq)).unwrap();
        }
        let last = builder.last().unwrap();
        self.send(&ToCollector::Alerts(builder.batch().unwrap())).await;
        last
    }

    /// Reads until everything up to `last` is acknowledged.
    pub(crate) async fn until_acked(&mut self, last: AlertId) {
        loop {
            match self.next().await {
                Received::Ack(id) if id == last => return,
                Received::Ack(_) => {}
                other => panic!("{other:?} instead of an acknowledgement of {last:?}"),
            }
        }
    }
}

pub(crate) fn hello(boot: u32) -> Hello<'static> {
    Hello {
        protocol: 1,
        software: "0.1.0",
        host: "router",
        boot,
        started_us: STARTED.as_micros(),
        interfaces: "br-lan",
        run: RunIdentity::default(),
    }
}

/// As [`connected`], with a sensor of protocol version 2.
pub(crate) async fn connected_version_2(
    to: SocketAddr,
    pair: &KeyPair,
    collector: &PublicKey,
    boot: u32,
) -> (SensorClient, Option<AlertId>) {
    let session =
        SensorSession::connect(pair, collector, Cipher::AesGcm, Limits::SENSOR, Uptime::ZERO).unwrap();
    let mut peer = SensorClient::connect(to, session).await;
    assert_eq!(peer.next().await, Received::Established);
    peer.send(&ToCollector::Hello(Hello { protocol: 2, ..hello(boot) })).await;
    match peer.next().await {
        Received::Welcome { acked, .. } => (peer, acked),
        other => panic!("{other:?} instead of a welcome"),
    }
}

/// Answer to the hello of run `boot` of a sensor of protocol version 3, which continues run `previous`.
pub(crate) async fn hello_of_run(
    to: SocketAddr,
    pair: &KeyPair,
    collector: &PublicKey,
    (boot, previous, witness): (u32, u32, u64),
) -> (SensorClient, Received) {
    let session =
        SensorSession::connect(pair, collector, Cipher::AesGcm, Limits::SENSOR, Uptime::ZERO).unwrap();
    let mut peer = SensorClient::connect(to, session).await;
    match peer.next().await {
        Received::Established => {}
        other => return (peer, other),
    }
    let run = RunIdentity { previous, witness };
    peer.send(&ToCollector::Hello(Hello { protocol: 3, run, ..hello(boot) })).await;
    let answer = peer.next().await;
    (peer, answer)
}

/// [`hello_of_run`] that is welcomed, and the position that it gets.
pub(crate) async fn connected_run(
    to: SocketAddr,
    pair: &KeyPair,
    collector: &PublicKey,
    run: (u32, u32, u64),
) -> (SensorClient, Option<AlertId>) {
    match hello_of_run(to, pair, collector, run).await {
        (peer, Received::Welcome { acked, .. }) => (peer, acked),
        (_, other) => panic!("{other:?} instead of a welcome"),
    }
}

/// A connection with the hello sent.
pub(crate) async fn connect(
    to: SocketAddr,
    pair: &KeyPair,
    collector: &PublicKey,
    boot: u32,
) -> SensorClient {
    let session =
        SensorSession::connect(pair, collector, Cipher::AesGcm, Limits::SENSOR, Uptime::ZERO).unwrap();
    let mut peer = SensorClient::connect(to, session).await;
    if peer.next().await == Received::Established {
        peer.send(&ToCollector::Hello(hello(boot))).await;
    }
    peer
}

/// A connection that was welcomed, and what was acknowledged before.
pub(crate) async fn connected(
    to: SocketAddr,
    pair: &KeyPair,
    collector: &PublicKey,
    boot: u32,
) -> (SensorClient, Option<AlertId>) {
    let mut peer = connect(to, pair, collector, boot).await;
    match peer.next().await {
        Received::Welcome { acked, .. } => (peer, acked),
        other => panic!("{other:?} instead of a welcome"),
    }
}

/// Tries to enroll `pair` and returns the answer.
pub(crate) async fn enroll(pair: &KeyPair, token: &Token, to: SocketAddr, name: &str) -> Received {
    let session = SensorSession::enroll(pair, token, Cipher::AesGcm, Limits::SENSOR, Uptime::ZERO).unwrap();
    let mut peer = SensorClient::connect(to, session).await;
    match peer.next().await {
        Received::Established => {
            peer.send(&ToCollector::Enroll(Enroll { protocol: 1, name, software: "0.1.0" })).await;
            peer.next().await
        }
        other => other,
    }
}

/// A new sensor that is enrolled under `name`, and the collector's key.
pub(crate) async fn enrolled(directory: &Path, to: SocketAddr, name: &str) -> (KeyPair, PublicKey) {
    let token = token(directory, name, Duration::from_secs(60));
    let pair = KeyPair::generate().unwrap();
    assert_eq!(enroll(&pair, &token, to, "").await, Received::Welcome { name: name.into(), acked: None });
    (pair, *token.collector())
}
