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
        let error = sentinel_lab::run(&mut sensor.command(&["run", "--no-wait", "-i", "wan9"]))
            .unwrap_err()
            .to_string();
        ensure!(error.contains("exit status: 1"), "{error}");
        ensure!(
            ["wan9", "br-lan", "lan-attacker", "mgmt0"].iter().all(|name| error.contains(name)),
            "{error}"
        );
        Ok(())
    })
}

/// `br-lan` and `pppoe-wan` before PPP was up: the sensor ended.
#[test]
fn interfaces_that_are_absent_at_the_start_are_waited_for() -> Result<()> {
    for workers in ["1", "3"] {
        experiment(|lab| {
            let options = format!(
                "\tlist interface 'pppoe-wan'\n\toption filter 'not host 192.0.2.9'\n\toption workers '{workers}'\n"
            );
            let mut sensor = Sensor::new(lab, "router", &options)?;
            sensor.start()?;
            let messages = sensor.messages()?;
            ensure!(messages.contains("interface 'pppoe-wan' does not exist; there are: lo, "), "{messages}");
            ensure!(
                messages.contains("capturing on br-lan, waiting for pppoe-wan, ready after"),
                "{messages}"
            );
            let text = sentinel_lab::run(&mut sensor.command(&["status"]))?;
            ensure!(text.contains("waiting for pppoe-wan"), "{text}");
            scan_is_seen(lab, &sensor, "10.20.30.123")?;
            let router = &lab.network.router;
            router.ip(&["link", "add", "pppoe-wan", "type", "veth", "peer", "name", "provider"])?;
            router.ip(&["address", "add", "198.51.100.7/24", "dev", "pppoe-wan"])?;
            router.ip(&["link", "set", "pppoe-wan", "up"])?;
            wait::until_true("it is captured", wait::WAIT_TIMEOUT, || {
                Ok(sensor.status()?["interfaces"][1]["open"] == true)
            })?;
            wait::until_true("it is reported", wait::WAIT_TIMEOUT, || {
                Ok(sensor.messages()?.contains("interface 'pppoe-wan' is there, capturing"))
            })?;
            scan_is_seen(lab, &sensor, "10.20.30.124")
        })?;
    }
    Ok(())
}

#[test]
fn a_sensor_without_any_interface_waits() -> Result<()> {
    experiment(|lab| {
        lab.network.delete_bridge()?;
        let sensor = Sensor::new(lab, "router", "")?;
        let mut program = sentinel_lab::Program::start(sensor.command(&["run"]), &lab.path("alone"))?;
        wait::until_true("it says so", wait::WAIT_TIMEOUT, || {
            Ok(program.errors()?.contains("waiting for br-lan, ready after"))
        })?;
        lab.network.add_bridge()?;
        lab.network.add_ports()?;
        wait_until_open(&sensor, true)?;
        scan_is_seen(lab, &sensor, "10.20.30.125")?;
        program.terminate(wait::WAIT_TIMEOUT)
    })
}

/// Three false alarms at half the thresholds, two of them `high`.
#[test]
fn a_bridge_and_its_port_are_refused_unless_that_is_allowed() -> Result<()> {
    experiment(|lab| {
        let sensor = Sensor::new(lab, "router", "")?;
        for (interfaces, advice) in [
            (["br-lan", "lan-victim"], "'lan-victim' is a port of 'br-lan'; choose 'br-lan'"),
            (["lan-attacker", "lan-victim"], "are ports of one bridge; choose the bridge"),
        ] {
            let words = ["-i", interfaces[0], "-i", interfaces[1]];
            for command in [&["run"][..], &["capture", "--alerts"]] {
                let words = [command, &words].concat();
                let error = sentinel_lab::run(&mut sensor.command(&words)).unwrap_err().to_string();
                ensure!(error.contains("exit status: 1") && error.contains(advice), "{words:?}: {error}");
            }
        }
        let words = ["config", "check", "--set", "interface=br-lan lan-victim"];
        let output = sensor.command(&words).output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(!output.status.success() && text.contains("'lan-victim' is a port of 'br-lan'"), "{text}");
        let mut sensor =
            Sensor::new(lab, "allowed", "\tlist interface 'lan-victim'\n\toption allow_overlap 'on'\n")?;
        sensor.start()?;
        ensure!(!sensor.messages()?.contains("port of"), "{}", sensor.messages()?);
        Ok(())
    })
}
