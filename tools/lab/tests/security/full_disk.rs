//! The flash of the sensor is full.

use anyhow::{Result, ensure};
use sentinel_lab::{Collector, Sensor, SmallDisk, experiment, json, run, traffic, wait};

/// Writes to flash often; a small ring, so that it comes round; incidents that end at once.
const OPTIONS: &str = "\toption log_segment_kib '16'\n\toption log_segments '8'\n\toption log_daily_kib '0'\n\
    \toption log_flush_severity 'info'\n\toption incident_idle_s '1'\n\toption incident_update_s '1'\n";

#[test]
fn the_log_stays_readable_the_loss_is_counted_and_it_ends_with_the_fullness() -> Result<()> {
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

        // The collector is cut off as well, so that what is lost here is lost indeed.
        lab.network.set_management(false)?;
        disk.fill()?;
        let mut round = 0;
        let mut told = false;
        let full = wait::until("the fullness is felt", wait::WAIT_TIMEOUT * 3, || {
            round += 1;
            traffic::attack(lab, round, 0)?;
            let status = sensor.status()?;
            let tells =
                json::text(&status, "/log/last_error").is_ok_and(|error| error.contains("No space left"));
            // Alerts that still fit the journal do not make the disk less full.
            ensure!(tells || !told, "the error is no longer told: {status}");
            told = tells;
            Ok((told && json::number(&status, "/alerts/lost_storage")? > 0).then_some(status))
        })?;
        let text = run(&mut sensor.command(&["status"]))?;
        ensure!(text.contains("No space left"), "{text}");
        // What fails is counted as an error, and as written only what went before the place that failed: less than a
        // segment each time.
        let before = json::number(&full, "/log/write_errors")?;
        round += 1;
        traffic::attack(lab, round, 0)?;
        // The pause between two attempts has grown to half a minute at most.
        let fuller = wait::until("it is tried again", wait::WAIT_TIMEOUT * 2, || {
            let status = sensor.status()?;
            Ok((json::number(&status, "/log/write_errors")? > before).then_some(status))
        })?;
        let errors = json::number(&fuller, "/log/write_errors")? - before;
        let written = |status| json::number(status, "/log/flash_bytes");
        ensure!(before > 0 && written(&fuller)? - written(&full)? < errors * 16 * 1024, "{full} {fuller}");

        // What was stored before can be read, and what is lost is in the books.
        let records = sensor.logged_alerts()?;
        ensure!(records.iter().any(|alert| alert["src"] == "10.21.0.1"), "the first alerts are gone");
        let report = run(&mut sensor.command(&["log", "verify"]))?;
        ensure!(report.contains(" 0 findings"), "{report}");
        books_balance(&sensor)?;

        disk.empty()?;
        lab.network.set_management(true)?;
        wait::until_true("alerts are stored again", wait::WAIT_TIMEOUT * 3, || {
            round += 1;
            traffic::attack(lab, round, 0)?;
            let status = sensor.status()?;
            Ok(json::number(&status, "/alerts/stored")? > json::number(&full, "/alerts/stored")? + 20)
        })?;
        ensure!(sensor.log_export()?.iter().any(|record| record["record"] == "gap"), "no gap is told");
        wait::until_true("all is delivered", wait::WAIT_TIMEOUT * 3, || {
            let status = sensor.status()?;
            Ok(json::number(&status, "/alerts/waiting")? == 0
                && json::number(&status, "/alerts/open_incidents")? == 0)
        })?;
        let status = books_balance(&sensor)?;
        ensure!(sensor.program()?.is_running()?);
        // Not for each alert, nor for each attempt.
        let said = sensor.program()?.errors()?;
        let times = |what: &str| said.matches(what).count();
        ensure!(
            (times("log not written: No space left"), times("log written again after")) == (1, 1),
            "{said}"
        );

        // The collector hears of every number, stored or lost; the gaps after the alerts before them.
        let lost = ["lost_storage", "lost_spool_full", "lost_queue_full"]
            .iter()
            .map(|name| json::number(&status, &format!("/alerts/{name}")))
            .sum::<Result<u64>>()?;
        wait::until_true("the collector's books are those of the sensor", wait::WAIT_TIMEOUT, || {
            let row = collector.sensor("router")?;
            Ok(json::number(&row, "/alerts_missing")? == 0 && json::number(&row, "/alerts_lost")? == lost)
        })
    })
}

/// Raised is stored and lost; what was lost because the spool was full had been stored before.
fn books_balance(sensor: &Sensor<'_>) -> Result<serde_json::Value> {
    wait::until("raised = stored + lost", wait::WAIT_TIMEOUT, || {
        let status = sensor.status()?;
        let alerts = |name: &str| json::number(&status, &format!("/alerts/{name}"));
        let balanced =
            alerts("raised")? == alerts("stored")? + alerts("lost_queue_full")? + alerts("lost_storage")?;
        Ok(balanced.then_some(status))
    })
}

#[test]
fn a_disk_that_is_full_from_the_start_is_told_plainly() -> Result<()> {
    experiment(|lab| {
        let sensor = Sensor::new(lab, "router", OPTIONS)?;
        let disk = SmallDisk::mount(lab, &sensor.state_dir(), 64)?;
        let sensor = sensor.on_disk(&disk);
        disk.fill()?;
        // It cannot make its keys: that is no state to run in.
        let error = run(&mut sensor.command(&["run"])).unwrap_err().to_string();
        ensure!(error.contains("exit status: 1") && error.contains("No space left"), "{error}");
        Ok(())
    })
}
