//! SIGHUP changes settings and keeps state and counters.

use anyhow::{Result, ensure};
use sentinel_lab::{Sensor, experiment, json, traffic, wait};

fn ports(count: u32) -> String {
    format!("config detector 'port_scan'\n\toption ports '{count}'\n\toption failed_contacts '64'\n")
}

fn scan(lab: &sentinel_lab::Lab, from: &str) -> Result<()> {
    traffic::sent(lab, "port-scan-at", &["--attacker-ip", from, "--speed", "10"])
}

/// Waits until the sensor has logged `what` at least `times` times.
fn wait_for_message(sensor: &mut Sensor<'_>, what: &str, times: usize) -> Result<()> {
    wait::until_true(what, wait::WAIT_TIMEOUT, || Ok(sensor.messages()?.matches(what).count() >= times))
}

#[test]
fn a_reload_changes_a_threshold_and_keeps_the_counters() -> Result<()> {
    experiment(|lab| {
        let mut sensor = Sensor::new(lab, "router", &ports(16))?;
        sensor.start()?;
        scan(lab, "10.20.30.101")?;
        let before = sensor.wait_until_counted()?;
        ensure!(json::number(&before, "/frames/analysed")? >= 15, "{before}");
        ensure!(sensor.logged_alerts()?.is_empty(), "15 ports are less than 16");

        sensor.write_settings(&ports(15))?;
        sensor.reload()?;
        wait_for_message(&mut sensor, "settings reloaded", 1)?;
        scan(lab, "10.20.30.102")?;
        sensor.wait_for_alert("port_scan", "open", "10.20.30.102")?;
        let after = sensor.wait_until_counted()?;
        ensure!(
            json::number(&after, "/boot")? == json::number(&before, "/boot")?,
            "the sensor was restarted"
        );
        for counter in ["/uptime_ms", "/frames/seen", "/frames/analysed"] {
            let (before, after) = (json::number(&before, counter)?, json::number(&after, counter)?);
            ensure!(after > before, "{counter} was {before} and is {after}");
        }
        Ok(())
    })
}

#[test]
fn a_reload_keeps_the_state_of_a_scan_under_way() -> Result<()> {
    experiment(|lab| {
        let mut sensor = Sensor::new(lab, "router", &ports(15))?;
        sensor.start()?;
        let mut sender =
            traffic::send(lab, "port-scan-at", &["--attacker-ip", "10.20.30.103", "--speed", "3"])?;
        wait::until_true("a third of the scan", wait::WAIT_TIMEOUT, || {
            Ok(json::number(&sensor.status()?, "/frames/analysed")? >= 5)
        })?;
        let other = "config detector 'syn_flood'\n\toption packets '300'\n";
        sensor.write_settings(&format!("{}{other}", ports(15)))?;
        sensor.reload()?;
        wait_for_message(&mut sensor, "settings reloaded", 1)?;
        ensure!(sender.is_running()?, "the scan was over before the reload: this shows nothing");
        ensure!(sensor.logged_alerts()?.is_empty(), "the scan was complete before the reload");
        ensure!(sender.end(wait::WAIT_TIMEOUT)?.success());
        let alert = sensor.wait_for_alert("port_scan", "open", "10.20.30.103")?;
        ensure!(json::number(&alert, "/evidence/ports_at_least")? == 15, "{alert}");
        Ok(())
    })
}

#[test]
fn a_bad_file_is_reported_and_the_old_settings_stay() -> Result<()> {
    experiment(|lab| {
        let mut sensor = Sensor::new(lab, "router", &ports(15))?;
        sensor.start()?;
        sensor.write_settings("config detector 'port_scan'\n\toption ports 'many'\n")?;
        sensor.reload()?;
        wait_for_message(&mut sensor, "the old ones stay in force", 1)?;
        let messages = sensor.messages()?;
        // The first lines of the file are written by the lab: its section and four options.
        ensure!(messages.contains("settings:7:") && messages.contains("many"), "{messages}");
        // `sentinel status` is not taken away by the file, and says that the reload failed.
        let reload = sensor.status()?["reload"].clone();
        ensure!(reload["ok"] == false && reload["time"].is_string(), "{reload}");
        ensure!(reload["error"].as_str().is_some_and(|error| error.contains("settings:7:")), "{reload}");
        let text = sentinel_lab::run(&mut sensor.command(&["status"]))?;
        ensure!(text.contains("reload  failed at ") && text.contains("settings:7:"), "{text}");
        sensor.write_settings(&ports(16))?;
        scan(lab, "10.20.30.104")?;
        sensor.wait_for_alert("port_scan", "open", "10.20.30.104")?;
        sensor.reload()?;
        wait_for_message(&mut sensor, "settings reloaded", 1)?;
        ensure!(sensor.status()?["reload"]["ok"] == true, "{}", sensor.status()?["reload"]);
        let before = sensor.logged_alerts()?.len();
        scan(lab, "10.20.30.105")?;
        sensor.wait_until_counted()?;
        ensure!(sensor.logged_alerts()?.len() == before, "15 ports are less than 16");
        Ok(())
    })
}

#[test]
fn interfaces_that_see_the_same_frames_are_refused_at_a_reload() -> Result<()> {
    experiment(|lab| {
        let mut sensor = Sensor::new(lab, "router", "")?;
        sensor.start()?;
        sensor.write_settings("\tlist interface 'lan-victim'\n")?;
        sensor.reload()?;
        wait_for_message(&mut sensor, "'lan-victim' is a port of 'br-lan'; choose 'br-lan'", 1)?;
        ensure!(sensor.status()?["reload"]["ok"] == false);
        sensor.write_settings("\tlist interface 'lan-victim'\n\toption allow_overlap 'on'\n")?;
        sensor.reload()?;
        wait_for_message(&mut sensor, "settings reloaded", 1)
    })
}
