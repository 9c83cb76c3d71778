//! Every alert is stored exactly once, also when programs are killed.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use sentinel_lab::{AlertKey, Collector, Lab, Sensor, experiment, json, key, traffic, wait};

/// Settings with which incidents close and open again all the time.
/// Many alerts; and the log of the sensor stays readable, because it is compared with the store.
const BUSY: &str =
    "\toption incident_update_s '1'\n\toption incident_idle_s '1'\n\toption log_delivered_readable '1'\n";

/// Duration of the collector's outage.
fn outage() -> Duration {
    Duration::from_secs(if std::env::var_os("LAB_FULL").is_some_and(|value| value == "1") { 30 } else { 5 })
}

/// Timeout of a reconnection: the sensor's longest backoff and a margin.
const RECONNECT: Duration = Duration::from_secs(90);

#[test]
fn every_alert_is_stored_once_when_collector_and_sensor_are_killed() -> Result<()> {
    experiment(|lab| {
        let mut collector = Collector::start(lab)?;
        let mut sensor = Sensor::started(lab, &collector, "router", BUSY)?;
        traffic::during_attacks(lab, 8, || {
            stored_grows(&collector, 10)?;
            collector.kill()?;
            // The outage itself is under test, so this sleep does not synchronise.
            thread::sleep(outage());
            alerts_wait(&sensor, 1)?;
            sensor.kill()?;
            sensor.start()?;
            alerts_wait(&sensor, 5)?;
            collector.start_again()?;
            collector.wait_for("router", RECONNECT)?;
            stored_grows(&collector, 10)?;
            // Also while it is connected.
            sensor.kill()?;
            sensor.start()?;
            collector.wait_for("router", RECONNECT)?;
            stored_grows(&collector, 10)?;
            collector.kill()?;
            collector.start_again()?;
            collector.wait_for("router", RECONNECT)?;
            stored_grows(&collector, 10)
        })?;
        each_is_stored_once(&collector, &sensor, 3)
    })
}

#[test]
fn a_link_failure_delays_alerts_and_loses_none() -> Result<()> {
    experiment(|lab| {
        let collector = Collector::start(lab)?;
        let sensor = Sensor::started(lab, &collector, "router", BUSY)?;
        traffic::during_attacks(lab, 8, || {
            stored_grows(&collector, 5)?;
            lab.network.set_management(false)?;
            alerts_wait(&sensor, 10)?;
            lab.network.set_management(true)?;
            stored_grows(&collector, 10)
        })?;
        each_is_stored_once(&collector, &sensor, 1)
    })
}

/// Waits until `by` more alerts are stored than now.
fn stored_grows(collector: &Collector<'_>, by: usize) -> Result<()> {
    let before = collector.alerts()?.len();
    wait::until_true(&format!("{by} more alerts are stored"), RECONNECT, || {
        Ok(collector.alerts()?.len() >= before + by)
    })
}

/// Waits until `count` alerts are raised and not delivered.
fn alerts_wait(sensor: &Sensor<'_>, count: u64) -> Result<()> {
    wait::until_true("alerts wait for the collector", wait::WAIT_TIMEOUT, || {
        Ok(json::number(&sensor.status()?, "/alerts/waiting")? >= count)
    })
}

/// Waits until every incident is closed and every alert is delivered.
fn nothing_waits(sensor: &Sensor<'_>) -> Result<()> {
    wait::until_true("nothing waits and no incident is open", RECONNECT, || {
        let status = sensor.status()?;
        Ok(json::number(&status, "/alerts/waiting")? == 0
            && json::number(&status, "/alerts/open_incidents")? == 0)
    })
}

/// Compares the stored alerts with the sensor's log, which is large enough for all of them and has `starts` start records.
fn each_is_stored_once(collector: &Collector<'_>, sensor: &Sensor<'_>, starts: usize) -> Result<()> {
    nothing_waits(sensor)?;
    let records = sensor.log_export()?;
    let of = |kind: &str| records.iter().filter(|record| record["record"] == kind).count();
    ensure!(of("start") == starts, "{} starts in the log", of("start"));
    ensure!(of("gap") == 0, "{} gaps in the log", of("gap"));
    let raised: BTreeSet<AlertKey> =
        records.iter().filter(|record| record.get("kind").is_some()).map(key).collect::<Result<_>>()?;

    let mut last_of: BTreeMap<u64, u64> = BTreeMap::new();
    for (boot, seq) in &raised {
        let last = last_of.entry(*boot).or_insert(0);
        ensure!(*seq == *last + 1, "run {boot}: alert {seq} follows {last}");
        *last = *seq;
    }

    let stored = collector.stored()?;
    let twice: Vec<_> = stored.iter().filter(|(_, times)| **times != 1).collect();
    ensure!(twice.is_empty(), "stored more than once: {twice:?}");
    let stored: BTreeSet<AlertKey> = stored.into_keys().collect();
    let missing: Vec<_> = raised.difference(&stored).collect();
    ensure!(missing.is_empty(), "raised and not stored: {missing:?}");
    let unknown: Vec<_> = stored.difference(&raised).collect();
    ensure!(unknown.is_empty(), "stored and never raised: {unknown:?}");

    let row = collector.sensor("router").context("the sensor's row")?;
    ensure!(json::number(&row, "/alerts_stored")? == u64::try_from(raised.len())?, "{row}");
    ensure!(json::number(&row, "/alerts_lost")? == 0 && json::number(&row, "/alerts_missing")? == 0, "{row}");
    Ok(())
}

#[test]
fn alerts_lost_to_a_full_spool_are_reported_and_counted() -> Result<()> {
    // The smallest log size, 48 KiB.
    let small = format!(
        "{BUSY}\toption log_segment_kib '16'\n\toption log_segments '3'\n\toption log_daily_kib '0'\n\
         \toption incident_burst '1000000'\n"
    );
    experiment(|lab| {
        let mut collector = Collector::start(lab)?;
        let sensor = Sensor::started(lab, &collector, "router", &small)?;
        collector.kill()?;
        let mut round = 0;
        wait::until_true("the spool is full", RECONNECT, || {
            round += 1;
            traffic::attack(lab, round, 0)?;
            Ok(json::number(&sensor.status()?, "/alerts/lost_spool_full")? > 50)
        })?;
        collector.start_again()?;
        collector.wait_for("router", RECONNECT)?;
        nothing_waits(&sensor)?;
        let status = sensor.status()?;
        let of = |name: &str| json::number(&status, &format!("/alerts/{name}"));
        let lost = of("lost_spool_full")? + of("lost_queue_full")? + of("lost_storage")?;
        let row = collector.sensor("router")?;
        ensure!(json::number(&row, "/alerts_lost")? == lost, "the sensor lost {lost}: {row}");
        ensure!(json::number(&row, "/alerts_missing")? == 0, "{row}");
        let stored = json::number(&row, "/alerts_stored")?;
        ensure!(stored + lost == of("raised")?, "{stored} stored and {lost} lost: {status}");
        let gaps = sensor.log_export()?.iter().filter(|record| record["record"] == "gap").count();
        ensure!(gaps > 0, "no gap is logged");
        Ok(())
    })
}

#[test]
fn a_stopped_collector_acknowledges_what_it_has_stored() -> Result<()> {
    experiment(|lab: &Lab| {
        let mut collector = Collector::start(lab)?;
        let sensor = Sensor::started(lab, &collector, "router", BUSY)?;
        traffic::during_attacks(lab, 8, || {
            stored_grows(&collector, 5)?;
            collector.stop()?;
            collector.start_again()?;
            collector.wait_for("router", RECONNECT)?;
            stored_grows(&collector, 5)
        })?;
        each_is_stored_once(&collector, &sensor, 1)
    })
}
