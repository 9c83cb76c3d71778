//! A sensor whose flash is full.

use anyhow::{Result, ensure};
use sentinel_lab::{Collector, Sensor, SmallDisk, experiment, json, run, traffic, wait};

/// Frequent writes to flash, a small log that wraps around, and incidents that close at once.
const OPTIONS: &str = "\toption log_delivered_readable '1'\n\toption log_segment_kib '16'\n\toption log_segments '8'\n\toption log_daily_kib '0'\n\
    \toption log_flush_severity 'info'\n\toption incident_idle_s '1'\n\toption incident_update_s '1'\n";

#[test]
fn a_full_disk_leaves_the_log_readable_and_its_loss_is_counted_and_ends() -> Result<()> {
    experiment(|lab| {
        let collector = Collector::start(lab)?;
        let sensor = Sensor::new(lab, "router", OPTIONS)?;
        let disk = SmallDisk::mount(lab, &sensor.state_dir(), 256)?;
        let mut sensor = sensor.on_disk(&disk);
        sensor.enroll(&collector.token("router", &[])?)?;
        sensor.start()?;
        collector.wait_for("router", wait::WAIT_TIMEOUT)?;
        traffic::attack(lab, 0, 0)?;
        sensor.wait_for_alert("port_scan", "open", "10.21.0.1")?;

        // The collector is unreachable as well, so an alert that is not stored is lost.
        lab.network.set_management(false)?;
        disk.fill()?;
        let mut round = 0;
        let mut reported = false;
        let full = wait::until("the full disk is reported", wait::WAIT_TIMEOUT * 3, || {
            round += 1;
            traffic::attack(lab, round, 0)?;
            let status = sensor.status()?;
            let has_error =
                json::text(&status, "/log/last_error").is_ok_and(|error| error.contains("No space left"));
            // The error stays reported while alerts still fit the journal.
            ensure!(has_error || !reported, "the error is no longer reported: {status}");
            reported = has_error;
            Ok((reported && json::number(&status, "/alerts/lost_storage")? > 0).then_some(status))
        })?;
        let text = run(&mut sensor.command(&["status"]))?;
        ensure!(text.contains("No space left"), "{text}");
        // A failed write counts as an error; as written counts only the part before the failure, less than a segment each
        // time.
        let before = json::number(&full, "/log/write_errors")?;
        round += 1;
        traffic::attack(lab, round, 0)?;
        // The backoff between two attempts is half a minute at most.
        let fuller = wait::until("the write is tried again", wait::WAIT_TIMEOUT * 2, || {
            let status = sensor.status()?;
            Ok((json::number(&status, "/log/write_errors")? > before).then_some(status))
        })?;
        let errors = json::number(&fuller, "/log/write_errors")? - before;
        let written = |status| json::number(status, "/log/flash_bytes");
        ensure!(before > 0 && written(&fuller)? - written(&full)? < errors * 16 * 1024, "{full} {fuller}");

        // Earlier records can be read, and lost alerts are counted.
        let records = sensor.logged_alerts()?;
        ensure!(records.iter().any(|alert| alert["src"] == "10.21.0.1"), "the first alerts are missing");
        let report = run(&mut sensor.command(&["log", "verify"]))?;
        ensure!(report.contains(" 0 findings"), "{report}");
        alert_counters_add_up(&sensor)?;

        disk.empty()?;
        lab.network.set_management(true)?;
        wait::until_true("alerts are stored again", wait::WAIT_TIMEOUT * 3, || {
            round += 1;
            traffic::attack(lab, round, 0)?;
            let status = sensor.status()?;
            Ok(json::number(&status, "/alerts/stored")? > json::number(&full, "/alerts/stored")? + 20)
        })?;
        // Severe alerts are stored before the gap: an eighth of memory is theirs.
        wait::until_true("the gap is logged", wait::WAIT_TIMEOUT * 3, || {
            Ok(sensor.log_export()?.iter().any(|record| record["record"] == "gap"))
        })?;
        wait::until_true("all is delivered", wait::WAIT_TIMEOUT * 3, || {
            let status = sensor.status()?;
            Ok(json::number(&status, "/alerts/waiting")? == 0
                && json::number(&status, "/alerts/open_incidents")? == 0)
        })?;
        // What was delivered meanwhile is not written any more; the next alerts are, once the wait between two attempts is over.
        wait::until_true("the log is written again", wait::WAIT_TIMEOUT * 3, || {
            round += 1;
            traffic::attack(lab, round, 0)?;
            Ok(sensor.program()?.errors()?.contains("log written again after"))
        })?;
        wait::until_true("all incidents are closed", wait::WAIT_TIMEOUT * 3, || {
            let status = sensor.status()?;
            Ok(json::number(&status, "/alerts/waiting")? == 0
                && json::number(&status, "/alerts/open_incidents")? == 0)
        })?;
        let status = alert_counters_add_up(&sensor)?;
        ensure!(sensor.program()?.is_running()?);
        // One message for the outage, not one for each alert or attempt.
        let messages = sensor.program()?.errors()?;
        let times = |what: &str| messages.matches(what).count();
        ensure!(
            (times("log not written: No space left"), times("log written again after")) == (1, 1),
            "{messages}"
        );

        // The collector accounts for every number, stored or lost; gaps arrive after the alerts before them.
        let lost = ["lost_storage", "lost_spool_full", "lost_queue_full"]
            .iter()
            .map(|name| json::number(&status, &format!("/alerts/{name}")))
            .sum::<Result<u64>>()?;
        wait::until_true("the collector's counters equal those of the sensor", wait::WAIT_TIMEOUT, || {
            let row = collector.sensor("router")?;
            Ok(json::number(&row, "/alerts_missing")? == 0 && json::number(&row, "/alerts_lost")? == lost)
        })
    })
}

/// Waits until raised = stored + lost. Alerts lost to a full spool had been stored before.
fn alert_counters_add_up(sensor: &Sensor<'_>) -> Result<serde_json::Value> {
    wait::until("raised = stored + lost", wait::WAIT_TIMEOUT, || {
        let status = sensor.status()?;
        let alerts = |name: &str| json::number(&status, &format!("/alerts/{name}"));
        let balanced =
            alerts("raised")? == alerts("stored")? + alerts("lost_queue_full")? + alerts("lost_storage")?;
        Ok(balanced.then_some(status))
    })
}

/// Without room for its keys the sensor watches, keeps alerts in memory, and writes them once there is room.
#[test]
fn a_disk_that_is_full_at_the_start_does_not_keep_the_sensor_from_watching() -> Result<()> {
    experiment(|lab| {
        let sensor = Sensor::new(lab, "router", OPTIONS)?;
        let disk = SmallDisk::mount(lab, &sensor.state_dir(), 256)?;
        let mut sensor = sensor.on_disk(&disk);
        disk.fill()?;
        sensor.start()?;
        traffic::attack(lab, 0, 0)?;
        let full = wait::until("alerts are raised", wait::WAIT_TIMEOUT, || {
            let status = sensor.status()?;
            Ok((json::number(&status, "/alerts/raised")? > 0).then_some(status))
        })?;
        ensure!(json::number(&full, "/log/flash_bytes")? == 0, "{full}");
        ensure!(json::text(&full, "/uplink/last_error")?.contains("cannot be read or stored"), "{full}");
        let messages = sensor.program()?.errors()?;
        ensure!(messages.contains("sensor.key: No space left"), "{messages}");

        disk.empty()?;
        wait::until_true("the log is on flash", wait::WAIT_TIMEOUT * 3, || {
            Ok(json::number(&sensor.status()?, "/log/flash_bytes")? > 0)
        })?;
        let records = sensor.logged_alerts()?;
        ensure!(records.iter().any(|alert| alert["src"] == "10.21.0.1"), "the first alerts are missing");
        Ok(())
    })
}
