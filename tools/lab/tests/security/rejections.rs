//! Peers that the collector rejects.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use sentinel_lab::{
    COLLECTOR_ADDRESS, COLLECTOR_PORT, Collector, Lab, Sensor, experiment, json, run, traffic, wait,
};

/// Runs `work`, which must count as `times` rejections for `reason` and add one line to the log.
fn rejected(
    collector: &Collector<'_>,
    reason: &str,
    times: u64,
    work: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let marker = format!("({reason})");
    let lines = || Ok::<_, anyhow::Error>(collector.log()?.matches(&marker).count());
    let (counted, logged) = (collector.rejections(reason)?, lines()?);
    work()?;
    wait::until_true(&format!("{times} rejections for {reason}"), wait::WAIT_TIMEOUT, || {
        Ok(collector.rejections(reason)? == counted + times)
    })?;
    ensure!(lines()? == logged + 1, "logged {} times: {}", lines()? - logged, collector.log()?);
    Ok(())
}

/// Runs `work` beside a connected sensor, which must stay connected and deliver alerts afterwards.
fn undisturbed(lab: &Lab, work: impl FnOnce(&Collector<'_>) -> Result<()>) -> Result<()> {
    let collector = Collector::start(lab)?;
    let sensor = Sensor::started(lab, &collector, "reference", "")?;
    let since = json::text(&collector.sensor("reference")?, "/connected_since")?.to_owned();
    work(&collector)?;
    let row = collector.sensor("reference")?;
    ensure!(json::text(&row, "/connected_since")? == since, "it had to connect again: {row}");
    ensure!(json::number(&sensor.status()?, "/uplink/failures")? == 0);
    traffic::sent(lab, "suspicious-port-4444", &["--speed", "100"])?;
    wait::until_true("its alert arrives", wait::WAIT_TIMEOUT, || Ok(!collector.alerts()?.is_empty()))
}

/// Enrolls with `token`, which must fail with a message that contains `what`.
fn not_enrolled(lab: &Lab, name: &str, token: &str, what: &str) -> Result<()> {
    let sensor = Sensor::new(lab, name, "")?;
    match sensor.enroll(token) {
        Ok(output) => anyhow::bail!("{name} was enrolled: {output}"),
        Err(error) => ensure!(error.to_string().contains(what), "{error}"),
    }
    ensure!(
        !sensor.state_dir().join("collector").exists(),
        "a rejected sensor has stored the collector's address"
    );
    Ok(())
}

#[test]
fn a_token_can_be_used_once() -> Result<()> {
    experiment(|lab| {
        undisturbed(lab, |collector| {
            let token = collector.token("first", &[])?;
            Sensor::new(lab, "first", "")?.enroll(&token)?;
            rejected(collector, "token", 1, || not_enrolled(lab, "second", &token, "used before"))
        })
    })
}

#[test]
fn a_token_expires() -> Result<()> {
    experiment(|lab| {
        undisturbed(lab, |collector| {
            let token = collector.token("late", &["--expires", "1s"])?;
            // Its lifetime and a margin; an attempt to use it earlier would consume it.
            thread::sleep(Duration::from_millis(1_200));
            rejected(collector, "expired_token", 1, || not_enrolled(lab, "late", &token, "has expired"))
        })
    })
}

#[test]
fn a_token_of_another_collector_is_rejected() -> Result<()> {
    experiment(|lab| {
        undisturbed(lab, |collector| {
            let mut command: Command = lab.network.collector.command(&lab.binaries.collector);
            command.args(["enroll", "--create"]).arg("--data").arg(lab.path("other-collector"));
            command.args(["--name", "lost", "--address", &format!("{COLLECTOR_ADDRESS}:{COLLECTOR_PORT}")]);
            let token = run(&mut command)?;
            let before = rejections(collector)?;
            not_enrolled(lab, "lost", token.trim(), "made by another collector")?;
            wait::until_true("the rejection is counted", wait::WAIT_TIMEOUT, || {
                Ok(rejections(collector)? == before + 1)
            })
        })
    })
}

#[test]
fn a_token_with_a_wrong_letter_is_rejected_without_a_connection() -> Result<()> {
    experiment(|lab| {
        undisturbed(lab, |collector| {
            let token = collector.token("typo", &[])?;
            let accepted = collector.metric("sentinel_collector_connections_accepted_total")?;
            let (place, letter) = (token.len() / 2, &token[token.len() / 2..=token.len() / 2]);
            let mut wrong = token.clone();
            wrong.replace_range(place..=place, if letter == "a" { "b" } else { "a" });
            not_enrolled(lab, "typo", &wrong, "token")?;
            ensure!(collector.metric("sentinel_collector_connections_accepted_total")? == accepted);
            // The attempt has not consumed it.
            Sensor::new(lab, "right", "")?.enroll(&token).map(drop)
        })
    })
}

#[test]
fn an_unknown_sensor_is_rejected_and_waits() -> Result<()> {
    experiment(|lab| {
        undisturbed(lab, |collector| {
            let mut sensor = Sensor::new(lab, "unknown", "")?;
            rejected(collector, "unknown_key", 1, || {
                // It has the collector's address and key, but was never enrolled.
                fs::create_dir(sensor.state_dir())?;
                let known = lab.path("reference").join("state/collector");
                fs::copy(known, sensor.state_dir().join("collector"))?;
                sensor.start()?;
                wait::until_true("the sensor counts a failure", wait::WAIT_TIMEOUT, || {
                    Ok(json::number(&sensor.status()?, "/uplink/failures")? == 1)
                })
            })?;
            // It does not reconnect at once, and it still detects.
            ensure!(sensor.status()?["uplink"]["state"] == "waiting", "{}", sensor.status()?);
            traffic::sent(lab, "port-scan-at", &["--speed", "10", "--attacker-ip", "10.20.30.99"])?;
            sensor.wait_for_alert("port_scan", "open", "10.20.30.99").map(drop)
        })
    })
}

#[test]
fn a_revoked_sensor_is_disconnected_and_rejected() -> Result<()> {
    experiment(|lab| {
        undisturbed(lab, |collector| {
            let mut sensor = Sensor::started(lab, collector, "withdrawn", "")?;
            run(collector.command("revoke").arg("withdrawn"))?;
            wait::until_true("its session is ended", wait::WAIT_TIMEOUT, || {
                Ok(sensor.status()?["uplink"]["state"] == "waiting")
            })?;
            ensure!(collector.log()?.contains("withdrawn disconnected: revoked"), "{}", collector.log()?);
            ensure!(sensor.messages()?.contains("was revoked"), "{}", sensor.messages()?);
            // It would reconnect in five minutes; after a restart it does so at once.
            rejected(collector, "revoked", 1, || {
                sensor.stop()?;
                sensor.start()?;
                wait::until_true("it is rejected", wait::WAIT_TIMEOUT, || {
                    Ok(json::number(&sensor.status()?, "/uplink/failures")? == 1)
                })
            })?;
            ensure!(sensor.program()?.is_running()?);
            Ok(())
        })
    })
}

/// It waited for up to five minutes, and SIGHUP did not help.
#[test]
fn a_revoked_sensor_that_is_enrolled_again_connects_at_once() -> Result<()> {
    experiment(|lab| {
        undisturbed(lab, |collector| {
            let sensor = Sensor::started(lab, collector, "withdrawn", "")?;
            run(collector.command("revoke").arg("withdrawn"))?;
            wait::until_true("its session is ended", wait::WAIT_TIMEOUT, || {
                Ok(sensor.status()?["uplink"]["state"] == "waiting")
            })?;
            sensor.enroll(&collector.token("withdrawn", &[])?)?;
            wait::until_true("it is connected again", Duration::from_secs(5), || {
                Ok(sensor.status()?["uplink"]["state"] == "connected")
            })
        })
    })
}

#[test]
fn foreign_protocols_are_rejected_counted_and_logged_once() -> Result<()> {
    experiment(|lab| {
        undisturbed(lab, |collector| {
            let http = b"GET / HTTP/1.1\r\nHost: collector\r\n\r\n".to_vec();
            // A TLS 1.2 record with the beginning of a ClientHello.
            let tls =
                [0x16, 3, 1, 0, 0xa5, 1, 0, 0, 0xa1, 3, 3].into_iter().chain((0..160).map(|_| 7)).collect();
            let ssh = b"SSH-2.0-OpenSSH_9.2p1\r\n".to_vec();
            let noise = pseudo_random(4_096);
            let foreign: [Vec<u8>; 4] = [http, tls, ssh, noise];
            rejected(collector, "foreign_protocol", 4, || {
                foreign.iter().try_for_each(|bytes| lab.network.router.inside(|| closes(bytes))?)
            })?;
            // Two hundred more add no line to the log.
            let log = collector.log()?;
            let before = collector.rejections("foreign_protocol")?;
            lab.network.router.inside(|| (0..200).try_for_each(|_| closes(&foreign[0])))??;
            wait::until_true("all are counted", wait::WAIT_TIMEOUT, || {
                Ok(collector.rejections("foreign_protocol")? == before + 200)
            })?;
            ensure!(collector.log()? == log, "{}", collector.log()?);
            Ok(())
        })
    })
}

#[test]
fn silent_connections_are_closed_after_a_timeout() -> Result<()> {
    const SILENT: usize = 50;
    experiment(|lab| {
        undisturbed(lab, |collector| {
            let connect = || TcpStream::connect((COLLECTOR_ADDRESS, COLLECTOR_PORT));
            rejected(collector, "handshake_timeout", u64::try_from(SILENT)?, || {
                let mut silent: Vec<_> = lab
                    .network
                    .router
                    .inside(|| (0..SILENT).map(|_| connect()).collect::<Result<_, _>>())??;
                for stream in &mut silent {
                    stream.set_read_timeout(Some(wait::WAIT_TIMEOUT))?;
                    ensure!(matches!(stream.read(&mut [0]), Ok(0)), "it was not closed");
                }
                Ok(())
            })
        })
    })
}

/// Sends bytes to the collector's port and expects that it closes the connection.
fn closes(bytes: &[u8]) -> Result<()> {
    let mut stream = TcpStream::connect((COLLECTOR_ADDRESS, COLLECTOR_PORT))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    // It may close before everything is written.
    let _closed_early = stream.write_all(bytes);
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => anyhow::bail!("not closed: {error}"),
    }
    ensure!(answer.is_empty(), "it answered {answer:02x?}");
    Ok(())
}

/// Constant pseudo-random bytes (xorshift, Marsaglia 2003); the first two are a length that no first frame has.
fn pseudo_random(count: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_be_bytes()[0]
    };
    (0..count).map(|_| next()).collect()
}

/// Number of rejections for any reason.
fn rejections(collector: &Collector<'_>) -> Result<u64> {
    let reasons = [
        "foreign_protocol",
        "unknown_key",
        "revoked",
        "token",
        "expired_token",
        "authentication",
        "handshake_timeout",
        "too_many",
        "version",
        "malformed",
        "name_taken",
    ];
    reasons.iter().map(|reason| collector.rejections(reason)).sum()
}
