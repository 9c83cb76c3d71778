//! `sentinel ctl`, and the counters of frames that a filter rejects.

use anyhow::{Result, ensure};
use sentinel_lab::{Lab, Sensor, experiment, json, run, traffic, wait};
use serde_json::Value;

fn ctl(sensor: &Sensor<'_>, words: &[&str]) -> Result<String> {
    run(&mut sensor.command(&[&["ctl"], words].concat()))
}

fn frames(status: &Value, name: &str) -> Result<u64> {
    json::number(status, &format!("/frames/{name}"))
}

/// Sends `port-scan-at`. Returns the increase of the counters seen, analysed and filtered.
fn scan(lab: &Lab, sensor: &Sensor<'_>, from: &str) -> Result<(u64, u64, u64)> {
    let before = sensor.wait_until_counted()?;
    traffic::sent(lab, "port-scan-at", &["--attacker-ip", from, "--speed", "50"])?;
    let after = sensor.wait_until_counted()?;
    let grown = |name| Ok::<_, anyhow::Error>(frames(&after, name)? - frames(&before, name)?);
    Ok((grown("seen")?, grown("analysed")?, grown("filtered")?))
}

#[test]
fn a_filter_set_at_run_time_counts_every_rejected_frame() -> Result<()> {
    experiment(|lab| set_filter(lab, ""))
}

#[test]
fn a_filter_set_at_run_time_counts_every_rejected_frame_with_several_workers() -> Result<()> {
    experiment(|lab| set_filter(lab, "\toption workers '3'\n"))
}

fn set_filter(lab: &Lab, options: &str) -> Result<()> {
    let mut sensor = Sensor::new(lab, "router", options)?;
    sensor.start()?;
    let file = lab.path("scan.pcap");
    traffic::write(lab, "port-scan-at", &file, &[])?;
    let count = run(&mut sensor.command(&["read", &file.to_string_lossy(), "--count-only"]))?;
    let count: u64 = count.trim().parse()?;
    // The hosts may send an ARP request for the attacker's address: one more frame, which is not TCP.
    let (all, analysed, filtered) = scan(lab, &sensor, "10.20.30.131")?;
    ensure!(all == analysed && analysed >= count && filtered == 0, "{all} {analysed} {filtered}");
    sensor.wait_for_alert("port_scan", "open", "10.20.30.131")?;

    // Frames that the hosts send of their own accord meanwhile pass the filter.
    ctl(&sensor, &["set-filter", "not", "(tcp and host 10.20.30.132)"])?;
    ensure!(sensor.status()?["filter"] == "not (tcp and host 10.20.30.132)");
    for _ in 0..4 {
        let (all, analysed, filtered) = scan(lab, &sensor, "10.20.30.132")?;
        ensure!(filtered == count && all == analysed + filtered, "{all} {analysed} {filtered}");
    }
    ctl(&sensor, &["set-filter", "tcp[tcpflags] & tcp-syn != 0 and not src host 10.20.30.133"])?;
    ensure!(scan(lab, &sensor, "10.20.30.134")?.1 > 0);
    sensor.wait_for_alert("port_scan", "open", "10.20.30.134")?;

    let error = ctl(&sensor, &["set-filter", "tcp port"]).unwrap_err().to_string();
    ensure!(error.contains("column"), "{error}");
    ensure!(sensor.status()?["filter"].as_str().is_some_and(|filter| filter.starts_with("tcp[")));
    ctl(&sensor, &["set-filter"])?;
    let (all, analysed, filtered) = scan(lab, &sensor, "10.20.30.135")?;
    ensure!(all == analysed && analysed >= count && filtered == 0, "{all} {analysed} {filtered}");
    let missed = ["10.20.30.132", "10.20.30.133"];
    let alerts = sensor.logged_alerts()?;
    ensure!(!alerts.iter().any(|alert| missed.contains(&alert["src"].as_str().unwrap_or_default())));
    Ok(())
}

#[test]
fn a_filter_in_the_settings_applies_from_the_first_frame_and_is_reloaded() -> Result<()> {
    experiment(|lab| {
        let mut sensor = Sensor::new(lab, "router", "\toption filter 'udp'\n")?;
        sensor.start()?;
        let (all, analysed, filtered) = scan(lab, &sensor, "10.20.30.141")?;
        ensure!(analysed == 0 && filtered == all && all >= 30, "{all} {analysed} {filtered}");
        sensor.write_settings("\toption filter 'tcp'\n")?;
        sensor.reload()?;
        wait::until_true("the filter has changed", wait::WAIT_TIMEOUT, || {
            Ok(sensor.status()?["filter"] == "tcp")
        })?;
        let (all, analysed, filtered) = scan(lab, &sensor, "10.20.30.142")?;
        ensure!(filtered <= 1 && analysed >= 30 && all == analysed + filtered, "{all} {analysed} {filtered}");
        sensor.wait_for_alert("port_scan", "open", "10.20.30.142").map(drop)
    })
}

/// A reload for another reason took the filter back.
#[test]
fn a_filter_set_at_run_time_survives_a_reload_and_is_reset() -> Result<()> {
    experiment(|lab| {
        let mut sensor = Sensor::new(lab, "router", "\toption filter 'udp'\n")?;
        sensor.start()?;
        ensure!(sensor.status()?["filter_source"] == "settings");
        ctl(&sensor, &["set-filter", "tcp"])?;
        sensor.write_settings("\toption filter 'icmp'\n")?;
        sensor.reload()?;
        wait::until_true("the reload", wait::WAIT_TIMEOUT, || Ok(sensor.status()?["reload"]["ok"] == true))?;
        let status = sensor.status()?;
        ensure!(status["filter"] == "tcp" && status["filter_source"] == "ctl", "{status}");
        let (all, analysed, filtered) = scan(lab, &sensor, "10.20.30.143")?;
        ensure!(analysed >= 30 && all == analysed + filtered, "{all} {analysed} {filtered}");
        // Back to the setting, as it is since the reload.
        ctl(&sensor, &["set-filter"])?;
        let status = sensor.status()?;
        ensure!(status["filter"] == "icmp" && status["filter_source"] == "settings", "{status}");
        let (all, analysed, filtered) = scan(lab, &sensor, "10.20.30.144")?;
        ensure!(analysed == 0 && filtered == all, "{all} {analysed} {filtered}");
        Ok(())
    })
}

#[test]
fn capture_can_be_stopped_and_started() -> Result<()> {
    experiment(|lab| {
        let mut sensor = Sensor::new(lab, "router", "")?;
        sensor.start()?;
        ensure!(ctl(&sensor, &["start"]).unwrap_err().to_string().contains("already"));
        ctl(&sensor, &["stop"])?;
        ensure!(sensor.status()?["capturing"] == false);
        ensure!(ctl(&sensor, &["stop"]).unwrap_err().to_string().contains("not capturing"));
        ensure!(scan(lab, &sensor, "10.20.30.151")? == (0, 0, 0));
        ctl(&sensor, &["start"])?;
        ensure!(scan(lab, &sensor, "10.20.30.152")?.1 > 0);
        sensor.wait_for_alert("port_scan", "open", "10.20.30.152")?;
        ensure!(sensor.program()?.is_running()?);
        Ok(())
    })
}

#[test]
fn the_newest_packets_can_be_listed_and_saved() -> Result<()> {
    experiment(|lab| {
        let mut sensor = Sensor::new(lab, "router", "\toption max_packets '64'\n\toption workers '2'\n")?;
        sensor.start()?;
        traffic::sent(lab, "mixed", &["--speed", "0"])?;
        traffic::sent(lab, "port-scan-at", &["--attacker-ip", "10.20.30.161", "--speed", "0"])?;
        sensor.wait_until_counted()?;
        let lines = ctl(&sensor, &["packets", "--limit", "5", "src", "host", "10.20.30.161"])?;
        ensure!(
            lines.lines().count() == 5 && lines.lines().all(|line| line.contains("TCP 10.20.30.161")),
            "{lines}"
        );
        let all = ctl(&sensor, &["packets", "-n", "0"])?;
        ensure!((32..=64).contains(&all.lines().count()), "{all}");
        ensure!(all.lines().is_sorted(), "by their times: {all}");
        let file = lab.path("kept.pcapng");
        let name = file.to_string_lossy().into_owned();
        ctl(&sensor, &["packets", "-w", &name, "tcp"])?;
        let read = run(&mut sensor.command(&["read", &name, "--count-only"]))?;
        let lines = ctl(&sensor, &["packets", "-n", "0", "tcp"])?;
        ensure!(read.trim() == lines.lines().count().to_string(), "{read} {lines}");

        let mut other = Sensor::new(lab, "other", "")?;
        other.start()?;
        let error = ctl(&other, &["packets"]).unwrap_err().to_string();
        ensure!(error.contains("max_packets"), "{error}");
        Ok(())
    })
}
