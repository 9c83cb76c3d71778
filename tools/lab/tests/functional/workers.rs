//! Several workers and frames cut by the kernel: the alerts must not depend on either.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use sentinel_lab::{Lab, Sensor, experiment, json, traffic};
use serde_json::Value;

/// Alerts without their times. Without the severity of `icmp_flood`: another worker may see the replies, which make it low.
fn found(alerts: &[Value]) -> BTreeSet<Vec<String>> {
    let fields = ["kind", "test", "severity", "src", "dst", "dst_port", "phase"];
    let is_stated = |alert: &Value, name: &str| name != "severity" || alert["kind"] != "icmp_flood";
    let of = |alert: &Value| {
        fields.iter().filter(|name| is_stated(alert, name)).map(|name| alert[*name].to_string()).collect()
    };
    alerts.iter().map(of).collect()
}

/// With several workers the sequential test of scans is off, because each sees the packets of its own sources only.
const NO_SEQUENTIAL_TEST: &str = "config detector 'port_scan'\n\toption failed_contacts '64'\n";

/// Alerts and last status of a sensor with these settings, after ordinary traffic and the attacks.
fn attacked(lab: &Lab, name: &str, options: &str) -> Result<(BTreeSet<Vec<String>>, Value)> {
    let mut sensor = Sensor::new(lab, name, &format!("{options}{NO_SEQUENTIAL_TEST}"))?;
    sensor.start()?;
    traffic::sent(lab, "mixed", &["--speed", "50"])?;
    traffic::sent(lab, "attack-mix", &["--speed", "4"])?;
    let status = sensor.wait_until_counted()?;
    sensor.stop()?;
    let alerts = sensor.logged_alerts()?;
    // Numbers of incidents are unique across workers.
    let opened: Vec<u64> = alerts
        .iter()
        .filter(|alert| alert["phase"] == "open")
        .map(|alert| json::number(alert, "/incident"))
        .collect::<Result<_>>()?;
    let distinct: BTreeSet<u64> = opened.iter().copied().collect();
    ensure!(distinct.len() == opened.len(), "{opened:?}");
    Ok((found(&alerts), status))
}

#[test]
fn one_two_and_four_workers_raise_the_same_alerts() -> Result<()> {
    experiment(|lab| {
        let (expected, _) = attacked(lab, "one", "")?;
        let kinds: BTreeSet<_> = expected.iter().filter_map(|alert| alert.first()).collect();
        ensure!(kinds.len() == 8, "{kinds:?}");
        for workers in ["2", "4"] {
            let name = format!("workers-{workers}");
            let (now, status) = attacked(lab, &name, &format!("\toption workers '{workers}'\n"))?;
            ensure!(now == expected, "{workers} workers: {:#?}", now.symmetric_difference(&expected));
            let shares = json::list(&status, "/workers")?;
            ensure!(shares.len() == workers.parse::<usize>()?, "{status}");
            let analysed = |worker: &Value| json::number(worker, "/analysed");
            let sum =
                shares.iter().try_fold(0, |sum, worker| Ok::<_, anyhow::Error>(sum + analysed(worker)?))?;
            ensure!(sum == json::number(&status, "/frames/analysed")?, "{status}");
            ensure!(shares.iter().all(|worker| analysed(worker).is_ok_and(|count| count > 0)), "{status}");
        }
        Ok(())
    })
}

#[test]
fn frames_cut_by_the_kernel_raise_the_same_alerts() -> Result<()> {
    experiment(|lab| {
        let (expected, uncut) = attacked(lab, "uncut", "\toption kernel_snap 'off'\n")?;
        let (cut, status) = attacked(lab, "cut", "\toption kernel_snap 'content'\n")?;
        ensure!(expected == cut, "{:#?}", expected.symmetric_difference(&cut));
        let truncated = |status: &Value| json::number(status, "/frames/truncated");
        ensure!(truncated(&uncut)? == 0 && truncated(&status)? > 0, "nothing was cut: {status}");
        ensure!(
            json::number(&status, "/frames/malformed")? == json::number(&uncut, "/frames/malformed")?,
            "{status}"
        );
        Ok(())
    })
}

#[test]
fn several_workers_survive_the_removal_of_an_interface() -> Result<()> {
    experiment(|lab| {
        let mut sensor = Sensor::new(lab, "router", "\toption workers '3'\n")?;
        sensor.start()?;
        let scan_is_seen = |from: &str| -> Result<()> {
            traffic::sent(lab, "port-scan-at", &["--attacker-ip", from, "--speed", "10"])?;
            sensor.wait_for_alert("port_scan", "open", from).map(drop)
        };
        for last in 1..4 {
            scan_is_seen(&format!("10.20.31.{last}"))?;
        }
        lab.network.set_bridge(false)?;
        lab.network.set_bridge(true)?;
        for last in 4..7 {
            scan_is_seen(&format!("10.20.31.{last}"))?;
        }
        let is_open = |open: bool| {
            sentinel_lab::wait::until_true("the interface", sentinel_lab::wait::WAIT_TIMEOUT, || {
                Ok(sensor.status()?["interfaces"][0]["open"] == open)
            })
        };
        lab.network.delete_bridge()?;
        is_open(false)?;
        lab.network.add_bridge()?;
        lab.network.add_ports()?;
        is_open(true)?;
        for last in 7..13 {
            scan_is_seen(&format!("10.20.31.{last}"))?;
        }
        let status = sensor.wait_until_counted()?;
        let shares = json::list(&status, "/workers")?;
        ensure!(shares.iter().all(|worker| worker["analysed"].as_u64() > Some(0)), "{status}");
        sensor.program().context("the sensor")?.is_running().map(drop)
    })
}
