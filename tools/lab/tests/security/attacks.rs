//! Attacks of strangers on a collector, all of them together, beside a sensor that delivers and others that enroll and connect.
//!
//! Each attack alone, floods of enrolled sensors, and figures: `tools/collector/tests/limits.rs`, and `attacks.rs` beside it, which
//! `ci/soak.sh attacks` runs.

use std::collections::VecDeque;
use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use sentinel_lab::{
    COLLECTOR_ADDRESS, COLLECTOR_PORT, Collector, Lab, Namespace, Sensor, experiment, http, json, traffic,
    wait,
};

/// Connections that each attacker keeps open: the attackers of the port for sensors have the address of the sensors that connect, and
/// the fewer connections a table holds the sooner an address crowds out its own.
const KEPT: usize = 100;
/// Time within which a sensor enrolls, connects and delivers in a debug build that shares the processors with the attackers.
const PROMPT: Duration = Duration::from_secs(10);

/// A preface and a first message that no collector can decrypt: it costs a Diffie-Hellman operation.
fn forged_first_message() -> Vec<u8> {
    let mut bytes = vec![0x53, 0x41, 1, 1, 0, 96];
    bytes.resize(4 + 2 + 96, 9);
    bytes
}

/// Opens connections to `to` and sends `bytes` on each, until `stop`; the newest [`KEPT`] stay open. Returns their number.
fn flood(
    from: &Namespace,
    to: SocketAddr,
    bytes: &[u8],
    stop: &AtomicBool,
    opened: &AtomicU64,
) -> Result<()> {
    from.inside(|| {
        let mut open = VecDeque::new();
        while !stop.load(Ordering::Relaxed) {
            let Ok(mut stream) = TcpStream::connect_timeout(&to, Duration::from_secs(2)) else { continue };
            let _closed_early = stream.write_all(bytes);
            opened.fetch_add(1, Ordering::Relaxed);
            open.push_back(stream);
            if open.len() > KEPT {
                open.pop_front();
            }
        }
    })
}

/// Runs `work` during all attacks.
fn under_attack(lab: &Lab, work: impl FnOnce() -> Result<()>) -> Result<u64> {
    let (stop, opened) = (AtomicBool::new(false), AtomicU64::new(0));
    let sensors = SocketAddr::from((COLLECTOR_ADDRESS, COLLECTOR_PORT));
    let pages: SocketAddr = http::HTTP_ADDRESS.parse()?;
    let search =
        b"GET /api/v1/alerts?kind=dns_tunnel&severity=info HTTP/1.0\r\nHost: localhost\r\n\r\n".to_vec();
    let (router, collector) = (&lab.network.router, &lab.network.collector);
    let attacks = [
        (router, sensors, Vec::new()),
        (router, sensors, b"GET / HTTP/1.1\r\nHost: collector\r\n\r\n".to_vec()),
        (router, sensors, forged_first_message()),
        (collector, pages, b"GET / HTTP/1.1\r\nHost: local".to_vec()),
        (collector, pages, search),
    ];
    let outcome = thread::scope(|scope| {
        for (from, to, bytes) in &attacks {
            scope.spawn(|| flood(from, *to, bytes, &stop, &opened));
        }
        // Also when `work` panics: otherwise the scope would wait for ever.
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        stop.store(true, Ordering::Relaxed);
        outcome
    });
    outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    Ok(opened.into_inner())
}

#[test]
fn all_attacks_of_strangers_together_delay_no_sensor() -> Result<()> {
    experiment(|lab| {
        let collector = Collector::start(lab)?;
        let sensor = Sensor::started(lab, &collector, "reference", "")?;
        let since = json::text(&collector.sensor("reference")?, "/connected_since")?.to_owned();
        let events = collector.events()?;
        let opened = under_attack(lab, || {
            for round in 0..5 {
                let client = format!("10.20.32.{}", round + 1);
                let began = Instant::now();
                traffic::sent(lab, "suspicious-port-4444", &["--client-ip", &client, "--speed", "0"])?;
                let (_, alert) = events.next(PROMPT).with_context(|| format!("alert {round}"))?;
                ensure!(json::text(&alert, "/src")? == client, "{alert}");
                ensure!(began.elapsed() < PROMPT, "{:?}", began.elapsed());
            }
            let began = Instant::now();
            let _late = Sensor::started(lab, &collector, "late", "")?;
            ensure!(began.elapsed() < PROMPT, "enrolled and connected after {:?}", began.elapsed());
            Ok(())
        })?;
        ensure!(opened > 1_000, "{opened} connections are no attack");
        ensure!(json::number(&sensor.status()?, "/uplink/failures")? == 0);
        let row = collector.sensor("reference")?;
        ensure!(json::text(&row, "/connected_since")? == since, "it had to connect again: {row}");
        ensure!(collector.rejections("foreign_protocol")? > 0 && collector.rejections("authentication")? > 0);
        // Ten lines a minute for each reason, whatever strangers do.
        let log = collector.log()?;
        ensure!(log.lines().count() < 150, "{} lines", log.lines().count());
        wait::until_true("half-sent requests are limited", wait::WAIT_TIMEOUT, || {
            Ok(collector.metric("sentinel_collector_http_connections")? <= 256)
        })
    })
}
