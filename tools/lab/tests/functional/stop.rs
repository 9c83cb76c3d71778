//! SIGTERM closes open incidents and writes them to flash.

use std::fs;

use anyhow::{Result, ensure};
use sentinel_lab::{Collector, Sensor, experiment, run, traffic};

#[test]
fn closing_alerts_are_on_flash_after_a_stop() -> Result<()> {
    experiment(|lab| {
        let mut sensor = Sensor::new(lab, "router", "")?;
        sensor.start()?;
        traffic::sent(lab, "port-scan-at", &["--speed", "10"])?;
        sensor.wait_for_alert("port_scan", "open", "10.20.30.66")?;
        sensor.stop()?;
        // A reboot clears the RAM disk.
        fs::remove_dir_all(sensor.run_dir())?;
        let phases: Vec<_> = sensor.logged_alerts()?.iter().map(|alert| alert["phase"].clone()).collect();
        ensure!(phases == ["open", "close"], "{phases:?}");
        let report = run(&mut sensor.command(&["log", "verify"]))?;
        ensure!(report.contains(" 0 findings"), "{report}");
        Ok(())
    })
}

#[test]
fn closing_alerts_are_delivered_before_the_sensor_ends() -> Result<()> {
    experiment(|lab| {
        let collector = Collector::start(lab)?;
        let mut sensor = Sensor::started(lab, &collector, "router", "")?;
        traffic::sent(lab, "port-scan-at", &["--speed", "10"])?;
        sensor.wait_for_alert("port_scan", "open", "10.20.30.66")?;
        sensor.stop()?;
        let phases: Vec<_> = collector.alerts()?.iter().map(|alert| alert["phase"].clone()).collect();
        ensure!(phases == ["open", "close"], "{phases:?}");
        Ok(())
    })
}
