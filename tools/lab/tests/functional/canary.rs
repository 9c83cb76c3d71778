//! Canary frames through the kernel: they arrive, nobody else sees them, no counter has them, and a sensor that hears none any
//! more is started again.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use sentinel_lab::{Program, Sensor, experiment, json, run, traffic, wait};

/// Filter for the Ethernet type of canary frames.
const CANARIES: &str = "ether proto 0x88b5";

fn heard(sensor: &Sensor<'_>, worker: usize) -> Result<u64> {
    json::number(&sensor.status()?, &format!("/workers/{worker}/canary/frames_heard"))
}

#[test]
fn canary_frames_arrive_and_leave_the_device_on_no_wire() -> Result<()> {
    experiment(|lab| {
        let network = &lab.network;
        let mut watchers = Vec::new();
        for (name, machine, interface) in [
            ("victim", &network.victim, "eth0"),
            ("attacker", &network.attacker, "eth0"),
            ("collector", &network.collector, "mgmt0"),
            ("bridge", &network.router, "br-lan"),
            // Shows that the filter finds them at all.
            ("loopback", &network.router, "lo"),
        ] {
            let mut command = machine.command(&lab.binaries.sensor);
            command.args([
                "capture",
                "--config",
                "/dev/null",
                "-i",
                interface,
                "--json",
                "-c",
                "1",
                CANARIES,
            ]);
            watchers.push((name, Program::start(command, &lab.path(name))?));
        }
        for (name, watcher) in &watchers {
            wait::until_true(name, wait::WAIT_TIMEOUT, || Ok(!watcher.errors()?.is_empty()))?;
        }
        let mut sensor = Sensor::new(lab, "router", "\toption workers '2'\n")?;
        let start = Instant::now();
        sensor.start()?;
        for worker in 0..2 {
            wait::until_true("two frames", Duration::from_secs(20), || Ok(heard(&sensor, worker)? >= 2))?;
        }
        ensure!(start.elapsed() > Duration::from_secs(10), "two frames in {:?}", start.elapsed());
        let status = sensor.status()?;
        ensure!(json::number(&status, "/watchdog/canary_frames")? == 2, "{status}");
        ensure!(json::number(&status, "/watchdog/canary_frames_missed")? == 0, "{status}");
        ensure!(status["watchdog"]["canary_problem"].is_null(), "{status}");
        // What the hosts say when their links come up is all that is counted.
        let before = json::number(&sensor.wait_until_counted()?, "/frames/seen")?;
        let count = heard(&sensor, 0)?;
        wait::until_true("another frame", Duration::from_secs(15), || Ok(heard(&sensor, 0)? > count))?;
        let after = json::number(&sensor.wait_until_counted()?, "/frames/unsupported")?;
        ensure!(after == 0 && before < 100, "{before} frames, {after} unsupported");
        for (name, mut watcher) in watchers {
            let has_seen = watcher.output()?.contains("0x88b5") || !watcher.output()?.is_empty();
            ensure!(has_seen == (name == "loopback"), "{name}: {}", watcher.output()?);
            if watcher.is_running()? {
                watcher.kill()?;
            }
        }
        ensure!(sensor.logged_alerts()?.is_empty(), "{:?}", sensor.logged_alerts()?);
        sensor.stop()
    })
}

/// Takes 35 s: three frames in a row must be missed.
#[test]
fn a_sensor_that_hears_no_canary_frame_any_more_is_started_again() -> Result<()> {
    experiment(|lab| {
        let router = &lab.network.router;
        let nft = |rules: &str| run(router.command("nft").arg(rules));
        let mut sensor = Sensor::new(lab, "router", "")?;
        sensor.start()?;
        wait::until_true("the first frame", wait::WAIT_TIMEOUT, || Ok(heard(&sensor, 0)? >= 1))?;
        // After the packet sockets of all protocols, before that of one: frames vanish in the kernel.
        let table = "table netdev deaf { chain c { type filter hook ingress device \"lo\" priority 0; policy drop; }; }";
        if let Err(error) = nft(table) {
            eprintln!("skipped: no rules can be made here: {error:#}");
            return Ok(());
        }
        // Traffic on the captured interface does not excuse it.
        traffic::sent(lab, "port-scan-at", &["--attacker-ip", "10.20.30.81", "--speed", "10"])?;
        sensor.wait_for_alert("port_scan", "open", "10.20.30.81")?;
        wait::until_true("one is missed", Duration::from_secs(15), || {
            Ok(json::number(&sensor.status()?, "/watchdog/canary_frames_missed")? >= 1)
        })?;
        let text = run(&mut sensor.command(&["status"]))?;
        ensure!(text.contains(", 1 MISSED; 0 restarts"), "{text}");
        let code = sensor.program()?.end(Duration::from_secs(40))?.code();
        let messages = sensor.messages()?;
        ensure!(code == Some(3), "{code:?}: {messages}");
        ensure!(messages.contains("worker 0 gets no canary frames from the kernel any more"), "{messages}");
        // It hears none after the start either, and is not started for ever.
        sensor.start()?;
        wait::until_true("three are missed", Duration::from_secs(45), || {
            Ok(json::number(&sensor.status()?, "/watchdog/canary_frames_missed")? >= 3)
        })?;
        let status = sensor.status()?;
        ensure!(status["restarts"]["latest"] == "watchdog", "{status}");
        ensure!(json::number(&status, "/restarts/since_boot")? == 1, "{status}");
        sensor.stop()
    })
}

/// A loopback that is down is no fault of the sensor.
#[test]
fn without_a_loopback_the_sensor_watches_and_says_so() -> Result<()> {
    experiment(|lab| {
        lab.network.router.ip(&["link", "set", "lo", "down"])?;
        let mut sensor = Sensor::new(lab, "router", "")?;
        sensor.start()?;
        let problem = wait::until("the problem", wait::WAIT_TIMEOUT, || {
            Ok(sensor.status()?["watchdog"]["canary_problem"].as_str().map(str::to_owned))
        })?;
        ensure!(problem.contains("loopback: ") && problem.contains("down"), "{problem}");
        let ticks = |process: u32| -> Result<u64> {
            let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
            let fields: Vec<&str> = stat.split_whitespace().collect();
            Ok(fields.get(13).context("utime")?.parse::<u64>()?
                + fields.get(14).context("stime")?.parse::<u64>()?)
        };
        let process = sensor.program()?.id();
        let (start, before) = (Instant::now(), ticks(process)?);
        traffic::sent(lab, "port-scan-at", &["--attacker-ip", "10.20.30.82", "--speed", "10"])?;
        sensor.wait_for_alert("port_scan", "open", "10.20.30.82")?;
        let (spent, passed) = (ticks(process)? - before, start.elapsed());
        // A socket of an interface that is down has an error pending, with which poll does not sleep.
        ensure!(u128::from(spent) * 10 < passed.as_millis() / 2 + 200, "{spent} ticks in {passed:?}");
        lab.network.router.ip(&["link", "set", "lo", "up"])?;
        wait::until_true("a frame", Duration::from_secs(25), || Ok(heard(&sensor, 0)? >= 1))?;
        ensure!(sensor.status()?["watchdog"]["canary_problem"].is_null());
        sensor.stop()
    })
}
