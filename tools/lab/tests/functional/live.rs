//! Attacks on the bridge, alerts at the collector.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use sentinel_lab::{Collector, Sensor, experiment, json, run, time, traffic, wait};
use serde_json::Value;

/// Longest time from the packet that completes an attack to the collector's event stream.
const MAX_LATENCY: Duration = Duration::from_secs(1);

#[test]
fn live_alerts_arrive_within_a_second_and_equal_those_of_the_capture_file() -> Result<()> {
    experiment(|lab| {
        let collector = Collector::start(lab)?;
        let sensor = Sensor::started(lab, &collector, "router", "")?;
        let events = collector.events()?;
        let mut sender = traffic::send(lab, "attack-mix", &[])?;
        ensure!(sender.end(Duration::from_secs(60))?.success(), "{}", sender.errors()?);
        sensor.wait_until_counted()?;

        let file = lab.path("attack-mix.pcap");
        traffic::write(lab, "attack-mix", &file, &[])?;
        let name = file.to_str().context("a path that is text")?;
        let read = run(&mut sensor.command(&["read", name, "--alerts"]))?;
        let read: Vec<Value> = read.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        let expected = openings(&read)?;
        let kinds: BTreeSet<_> = expected.iter().map(|opening| opening[0].clone()).collect();
        ensure!(kinds.len() == 8, "the file has {kinds:?}");
        wait::until_true("every opening alert of the file is stored", wait::WAIT_TIMEOUT, || {
            Ok(openings(&collector.alerts()?)? == expected)
        })
        .with_context(|| format!("expected {expected:#?}, stored {:#?}", collector.alerts()))?;

        let arrived = events.arrived();
        ensure!(
            openings(arrived.iter().map(|(_, alert)| alert))? == expected,
            "on the event stream: {arrived:?}"
        );
        for (at, alert) in arrived.iter().filter(|(_, alert)| alert["phase"] == "open") {
            let raised = time::since_1970(json::text(alert, "/time")?).context("a time")?;
            let lag = at.saturating_sub(raised);
            ensure!(lag < MAX_LATENCY, "{lag:?} late: {alert}");
        }
        let row = collector.sensor("router")?;
        ensure!(
            json::number(&row, "/alerts_lost")? == 0 && json::number(&row, "/alerts_missing")? == 0,
            "{row}"
        );
        Ok(())
    })
}

/// Opening alerts without their times.
fn openings<'v>(alerts: impl IntoIterator<Item = &'v Value>) -> Result<BTreeSet<Vec<String>>> {
    let mut found = BTreeSet::new();
    for alert in alerts {
        if json::text(alert, "/phase")? == "open" {
            let fields = ["kind", "test", "severity", "src", "dst", "dst_port"];
            found.insert(fields.iter().map(|name| alert[*name].to_string()).collect());
        }
    }
    Ok(found)
}

#[test]
fn ordinary_traffic_raises_no_alert() -> Result<()> {
    experiment(|lab| {
        let collector = Collector::start(lab)?;
        let sensor = Sensor::started(lab, &collector, "router", "")?;
        traffic::sent(lab, "mixed", &["--speed", "20"])?;
        let status = sensor.wait_until_counted()?;
        ensure!(json::number(&status, "/frames/analysed")? >= 10_000, "{status}");
        ensure!(json::number(&status, "/alerts/raised")? == 0, "{:?}", sensor.logged_alerts());
        ensure!(collector.alerts()?.is_empty());
        Ok(())
    })
}
