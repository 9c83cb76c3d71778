//! Settings that are wrong, or of a later version, do not keep a sensor from watching, and nobody is left in the dark.

use std::time::Duration;

use anyhow::{Result, ensure};
use sentinel_lab::{Collector, Sensor, experiment, json, run, traffic, wait};

const WRONG: &str = "\toption of_a_later_version '1'\n\toption ring_kib 'much'\n\tlist interface 'lan-victim'\n\
                     \toption signatures_file '/no/such/list'\n\
                     config detector 'of_a_later_version'\n\toption enabled '1'\n\
                     config detector 'port_scan'\n\toption ports '0'\n";

/// Any of these ended the sensor at its start, and procd did not even try.
#[test]
fn a_sensor_with_wrong_settings_watches_and_tells() -> Result<()> {
    experiment(|lab| {
        let collector = Collector::start(lab)?;
        let mut sensor = Sensor::new(lab, "router", "")?;
        sensor.enroll(&collector.token("router", &[])?)?;
        sensor.write_settings(WRONG)?;
        let check = sensor.command(&["config", "check"]).output()?;
        let found = String::from_utf8_lossy(&check.stdout).into_owned();
        ensure!(check.status.code() == Some(1) && found.contains("of_a_later_version"), "{found}");
        sensor.start()?;
        traffic::sent(lab, "port-scan-at", &["--attacker-ip", "10.20.30.91", "--speed", "10"])?;
        sensor.wait_for_alert("port_scan", "open", "10.20.30.91")?;
        let status = sensor.status()?;
        ensure!(json::number(&status, "/set_aside/count")? == 6, "{}", status["set_aside"]);
        let told = status["set_aside"]["settings"].to_string();
        for part in [
            "unknown option 'of_a_later_version'",
            "ring_kib 'much'",
            "'lan-victim' is not captured: 'lan-victim' is a port of 'br-lan'",
            "signatures_file: /no/such/list",
            "unknown detector section 'of_a_later_version'",
            "ports '0'",
        ] {
            ensure!(told.contains(part), "no {part} in {told}");
            ensure!(sensor.messages()?.contains(part), "{}", sensor.messages()?);
        }
        ensure!(json::number(&status, "/schema")? == 1 && status["time"].is_string(), "{status}");
        let text = run(&mut sensor.command(&["status"]))?;
        ensure!(text.contains("settings not in force: 6; settings:"), "{text}");
        collector.wait_for("router", wait::WAIT_TIMEOUT)?;
        wait::until_true("the collector is told", wait::WAIT_TIMEOUT, || {
            Ok(collector.sensor("router")?["telemetry"]["settings_set_aside"] == 6)
        })?;
        // A reload passes over names of another version, and refuses values as before.
        sensor.write_settings("\toption of_a_later_version '1'\n")?;
        sensor.reload()?;
        wait::until_true("reloaded", wait::WAIT_TIMEOUT, || Ok(sensor.status()?["reload"]["ok"] == true))?;
        ensure!(json::number(&sensor.status()?, "/set_aside/count")? == 1);
        sensor.write_settings("\toption of_a_later_version '1'\n\toption incident_idle_s 'x'\n")?;
        sensor.reload()?;
        wait::until_true("refused", wait::WAIT_TIMEOUT, || Ok(sensor.status()?["reload"]["ok"] == false))?;
        sensor.stop()
    })
}

/// A missing resource is waited for by a sensor that a service manager would start again for ever, and not by one that was started by
/// hand.
#[test]
fn a_supervised_sensor_waits_for_what_it_lacks() -> Result<()> {
    experiment(|lab| {
        let sensor = Sensor::new(lab, "router", "")?;
        std::fs::write(sensor.run_dir(), "no directory")?;
        let error = run(&mut sensor.command(&["run"])).unwrap_err().to_string();
        ensure!(error.contains("exit status: 1"), "{error}");
        let mut command = sensor.command(&["run"]);
        command.env("NOTIFY_SOCKET", "/nonexistent/notify");
        let mut program = sentinel_lab::Program::start(command, &lab.path("supervised"))?;
        wait::until_true("it says so", wait::WAIT_TIMEOUT, || {
            Ok(program.errors()?.contains("; next attempt in 2 s"))
        })?;
        std::fs::remove_file(sensor.run_dir())?;
        wait::until_true("it captures", Duration::from_secs(10), || {
            Ok(sensor.status().is_ok_and(|status| status["interfaces"][0]["open"] == true))
        })?;
        program.terminate(wait::WAIT_TIMEOUT)
    })
}
