//! The page in a real browser: collectors in several states, and `npx playwright test` against them.
//!
//! Needs Node, the packages of `web/package-lock.json` and Chromium; `ci/check.sh web` installs and runs it.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "the lints spare test functions only, and what they call serves tests alone"
)]

mod support;

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use sentinel_alert::{Alert, AlertId, Evidence, Phase, Severity, ShortName, Subject, Test};
use sentinel_collector::run::RunningCollector;
use sentinel_units::{Address, ByteCount, Port, Timestamp};
use sentinel_uplink::{BatchBuilder, Counter, Gap, GapReason, KeyPair, PublicKey, Telemetry, ToCollector};
use support::sensor::{SensorClient, connected_run, enrolled, hello};
use support::tls::{set_up, start_set_up};
use support::{revoke, start, token};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Incidents of the full collector.
const INCIDENTS: u32 = 30;
const BOOT: u32 = 1;
/// Interval of a sensor's figures: below the 15 s after which it counts as silent.
const TELEMETRY_INTERVAL: Duration = Duration::from_secs(2);
/// Text that would run if the page made markup of it.
const HOSTILE: &str = "<img src=x onerror=document.title='hit'>";

fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp::from_parts(since.as_secs(), since.subsec_micros())
}

/// Opening message of incident `number`: kinds and severities alternate.
fn opening(number: u32) -> Alert {
    let forms = [
        (
            Test::PortScanPortsInWindow,
            Severity::Medium,
            Evidence::Ports { at_least: 15, at_most: 19, threshold: 15, window_s: 10 },
        ),
        (
            Test::BruteForceSynInWindow,
            Severity::High,
            Evidence::Attempts { count: 330, threshold: 30, window_s: 30 },
        ),
        (
            Test::SynFloodPerSource,
            Severity::Critical,
            Evidence::Packets { count: 20_000, threshold: 200, window_s: 5 },
        ),
        (
            Test::DnsTunnelNameLength,
            Severity::Low,
            Evidence::Name { length: 180, threshold: 100, count: 12, suffix: short(HOSTILE) },
        ),
        (
            Test::ExfiltrationBytesInWindow,
            Severity::Info,
            Evidence::Bytes { count: ByteCount(3 << 30), threshold: ByteCount(1 << 30), window_s: 3_600 },
        ),
    ];
    let (test, severity, evidence) = forms[usize::try_from(number).unwrap() % forms.len()].clone();
    let time = now();
    Alert {
        time,
        first: time,
        test,
        severity,
        phase: Phase::Open,
        incident: number,
        suppressed: 3,
        subject: Subject {
            source: Some(Address::v4(0x0a14_1e00 | (number % 7))),
            destination: Some(Address::v4(0xc0a8_0139)),
            destination_port: Some(Port(22)),
            host: Some(short(if number % 5 == 1 { HOSTILE } else { "laptop" })),
            ..Subject::default()
        },
        evidence,
    }
}

fn short(text: &str) -> ShortName {
    ShortName::try_from(text).unwrap()
}

async fn send(peer: &mut SensorClient, seq: u64, alert: &Alert) {
    let mut buffer = vec![0; peer.session.batch_limit()];
    let mut builder = BatchBuilder::new(hello(BOOT).origin(), &mut buffer);
    let id = AlertId { boot: BOOT, seq };
    builder.push(id, alert).unwrap();
    peer.send(&ToCollector::Alerts(builder.batch().unwrap())).await;
    peer.until_acked(id).await;
}

/// A connected sensor that goes on sending figures, and numbers its alerts.
struct Sensor {
    peer: SensorClient,
    seq: u64,
    readings: u64,
    frames_per_reading: u64,
}

impl Sensor {
    async fn connect(to: SocketAddr, keys: &(KeyPair, PublicKey), frames_per_reading: u64) -> Self {
        let (peer, _) = connected_run(to, &keys.0, &keys.1, (BOOT, 0, 0)).await;
        let mut sensor = Self { peer, seq: 0, readings: 0, frames_per_reading };
        sensor.tell().await;
        sensor.tell().await;
        sensor
    }

    /// Sends figures: a reading each two seconds by the sensor's clock.
    async fn tell(&mut self) {
        self.readings += 1;
        let mut telemetry = Telemetry::new();
        for (counter, value) in [
            (Counter::UptimeMs, self.readings * 2_000),
            (Counter::FramesSeen, self.readings * self.frames_per_reading),
            (Counter::FramesAnalysed, self.readings * self.frames_per_reading),
            (Counter::AlertsRaised, self.seq),
            (Counter::AlertsDelivered, self.seq),
            (Counter::ResidentKib, 4_096),
        ] {
            telemetry.set(counter, value);
        }
        self.peer.send(&ToCollector::Telemetry(telemetry)).await;
    }

    async fn alert(&mut self, alert: &Alert) {
        self.seq += 1;
        send(&mut self.peer, self.seq, alert).await;
    }
}

/// 30 incidents and sensors in every state that a collector can tell.
async fn filled(directory: &Path, collector: &RunningCollector) -> Vec<Sensor> {
    let to = collector.listen;
    let mut sensors = Vec::new();
    for (name, frames) in [("wien", 4_000), ("kiel", 0), ("lyon", 900)] {
        let keys = enrolled(directory, to, name).await;
        sensors.push(Sensor::connect(to, &keys, frames).await);
    }
    for number in 1..=INCIDENTS {
        sensors[0].alert(&opening(number)).await;
    }
    let lost_by_severity = [4, 0, 0, 0, 0];
    let gap = Gap { boot: BOOT, first_seq: 1, last_seq: 4, lost_by_severity, reason: GapReason::SpoolFull };
    sensors[2].peer.send(&ToCollector::Gap(gap)).await;
    let gone = enrolled(directory, to, "bonn").await;
    drop(Sensor::connect(to, &gone, 100).await);
    enrolled(directory, to, "oslo").await;
    enrolled(directory, to, "rom").await;
    revoke(directory, "rom").unwrap();
    let _ = token(directory, "graz", Duration::from_secs(60));
    sensors
}

/// Orders of the browser's tests: `GET /alert` opens another incident, `/update` sends a message of the latest one, `/stop` ends
/// the collector that tests stop.
async fn serve(orders: TcpListener, mut sensors: Vec<Sensor>, mut stoppable: Option<RunningCollector>) {
    let mut number = INCIDENTS;
    let mut clock = tokio::time::interval(TELEMETRY_INTERVAL);
    loop {
        tokio::select! {
            _ = clock.tick() => {
                for sensor in &mut sensors {
                    sensor.tell().await;
                }
            }
            order = orders.accept() => {
                let (mut stream, _) = order.unwrap();
                match order_of(&mut stream).await.as_str() {
                    "/alert" => {
                        number += 1;
                        sensors[0].alert(&opening(number)).await;
                    }
                    "/update" => {
                        let update = Alert { phase: Phase::Update, ..opening(number) };
                        sensors[0].alert(&update).await;
                    }
                    "/stop" => {
                        if let Some(collector) = stoppable.take() {
                            collector.stop().await;
                        }
                    }
                    other => panic!("no order: {other}"),
                }
                let answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    }
}

async fn order_of(stream: &mut TcpStream) -> String {
    let mut buffer = [0; 4_096];
    let count = stream.read(&mut buffer).await.unwrap();
    String::from_utf8_lossy(&buffer[..count]).split(' ').nth(1).unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Node, its packages and Chromium: ci/check.sh web"]
async fn the_page_works_in_a_browser() {
    let web = Path::new(env!("CARGO_MANIFEST_DIR")).join("web");
    let directories: Vec<_> = (0..4).map(|_| tempfile::tempdir().unwrap()).collect();
    let empty = start(directories[0].path()).await;
    let full = start(directories[1].path()).await;
    let sensors = filled(directories[1].path(), &full).await;
    let stoppable = start(directories[2].path()).await;
    let secrets = set_up(directories[3].path());
    let locked = start_set_up(directories[3].path()).await;
    let keys = enrolled(directories[3].path(), locked.listen, "graz").await;
    let mut sensor = Sensor::connect(locked.listen, &keys, 500).await;
    sensor.alert(&opening(1)).await;
    let mut sensors = sensors;
    sensors.push(sensor);

    let orders = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut command = Command::new(web.join("node_modules/.bin/playwright"));
    command.arg("test").current_dir(&web).stdin(Stdio::null());
    if let Ok(arguments) = std::env::var("PLAYWRIGHT_ARGUMENTS") {
        command.args(arguments.split_whitespace());
    }
    command
        .env("PAGE_EMPTY", format!("http://{}", empty.http))
        .env("PAGE_FULL", format!("http://{}", full.http))
        .env("PAGE_STOPPABLE", format!("http://{}", stoppable.http))
        .env("PAGE_LOCKED", format!("https://localhost:{}", locked.http.port()))
        .env("PAGE_CODE", secrets.code)
        .env("PAGE_ORDERS", format!("http://{}", orders.local_addr().unwrap()));
    let served = tokio::spawn(serve(orders, sensors, Some(stoppable)));
    let mut child = command.spawn().expect("node_modules is missing: npm ci in web");
    let status = tokio::task::spawn_blocking(move || child.wait()).await.unwrap().unwrap();
    served.abort();
    assert!(status.success(), "{status}");
    empty.stop().await;
    full.stop().await;
    locked.stop().await;
}
