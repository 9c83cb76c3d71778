//! The captured interface goes down, is removed and comes back.

use anyhow::{Result, ensure};
use sentinel_lab::{Lab, Sensor, experiment, json, traffic, wait};

fn scan_is_seen(lab: &Lab, sensor: &Sensor<'_>, from: &str) -> Result<()> {
    traffic::sent(lab, "port-scan-at", &["--attacker-ip", from, "--speed", "10"])?;
    sensor.wait_for_alert("port_scan", "open", from).map(drop)
}

fn wait_until_open(sensor: &Sensor<'_>, open: bool) -> Result<()> {
    wait::until_true(&format!("the interface is open: {open}"), wait::WAIT_TIMEOUT, || {
        Ok(sensor.status()?["interfaces"][0]["open"] == open)
    })
}

#[test]
fn an_interface_that_goes_down_and_up_is_captured_again() -> Result<()> {
    experiment(|lab| {
        let mut sensor = Sensor::new(lab, "router", "")?;
        sensor.start()?;
        scan_is_seen(lab, &sensor, "10.20.30.111")?;
        for round in 0..3_u8 {
            lab.network.set_bridge(false)?;
            // None of these frames may arrive, and the sensor must not end.
            traffic::sent(lab, "port-scan-at", &["--attacker-ip", "10.20.30.112", "--speed", "100"])?;
            lab.network.set_bridge(true)?;
            scan_is_seen(lab, &sensor, &format!("10.20.30.{}", 113 + round))?;
        }
        let missed = sensor.logged_alerts()?.iter().filter(|alert| alert["src"] == "10.20.30.112").count();
        ensure!(missed == 0, "frames came from an interface that is down");
        ensure!(sensor.program()?.is_running()?);
        Ok(())
    })
}

#[test]
fn an_interface_that_is_removed_and_created_again_is_captured_again() -> Result<()> {
    experiment(|lab| {
        let mut sensor = Sensor::new(lab, "router", "")?;
        sensor.start()?;
        scan_is_seen(lab, &sensor, "10.20.30.121")?;
        let before = sensor.wait_until_counted()?;
        lab.network.delete_bridge()?;
        wait_until_open(&sensor, false)?;
        lab.network.add_bridge()?;
        lab.network.add_ports()?;
        wait_until_open(&sensor, true)?;
        scan_is_seen(lab, &sensor, "10.20.30.122")?;
        let after = sensor.wait_until_counted()?;
        for counter in ["/frames/seen", "/frames/analysed", "/interfaces/0/seen"] {
            let (before, after) = (json::number(&before, counter)?, json::number(&after, counter)?);
            ensure!(after > before, "{counter} was {before} and is {after}");
        }
        ensure!(
            json::number(&after, "/boot")? == json::number(&before, "/boot")?,
            "the sensor was restarted"
        );
        Ok(())
    })
}

#[test]
fn an_unknown_interface_is_an_error_that_lists_the_others() -> Result<()> {
    experiment(|lab| {
        let sensor = Sensor::new(lab, "router", "")?;
        let error = sentinel_lab::run(&mut sensor.command(&["run", "-i", "wan9"])).unwrap_err().to_string();
        ensure!(error.contains("exit status: 1"), "{error}");
        ensure!(
            ["wan9", "br-lan", "lan-attacker", "mgmt0"].iter().all(|name| error.contains(name)),
            "{error}"
        );
        Ok(())
    })
}
