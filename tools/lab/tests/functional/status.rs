//! `sentinel status`: its counters add up, and its text fits a serial terminal.

use std::time::Duration;

use anyhow::{Result, ensure};
use sentinel_lab::{Collector, Sensor, experiment, json, run, traffic, wait};

#[test]
fn the_text_fits_80_by_24_and_has_no_control_characters() -> Result<()> {
    experiment(|lab| {
        let collector = Collector::start(lab)?;
        let sensor = Sensor::started(lab, &collector, "router", "")?;
        traffic::sent(lab, "attack-mix", &["--speed", "0"])?;
        sensor.wait_until_counted()?;
        let text = run(&mut sensor.command(&["status"]))?;
        ensure!(text.lines().count() <= 24, "{text}");
        let longest = text.lines().map(|line| line.chars().count()).max();
        ensure!(longest.is_some_and(|longest| longest <= 80), "{longest:?} characters:\n{text}");
        ensure!(!text.chars().any(|character| character.is_control() && character != '\n'), "{text:?}");
        for part in ["br-lan", "capturing", "frames", "alerts", "connected to 192.0.2.1:4477", "memory"] {
            ensure!(text.contains(part), "no {part} in\n{text}");
        }
        Ok(())
    })
}

#[test]
fn frame_counters_add_up_after_a_flood() -> Result<()> {
    experiment(|lab| {
        let mut sensor = Sensor::new(lab, "router", "\toption ring_kib '64'\n\toption snap_bytes '1024'\n")?;
        sensor.start()?;
        // More frames than the small ring holds, sent as fast as possible: frames may be dropped.
        traffic::sent(lab, "mixed", &["--packets", "100000", "--speed", "0"])?;
        // The kernel's drops are counted once a second.
        wait::until_true("all frames are counted", Duration::from_secs(10), || {
            Ok(json::number(&sensor.status()?, "/frames/seen")? >= 100_000)
        })?;
        // Waits for seen = analysed + filtered + dropped.
        let status = sensor.wait_until_counted()?;
        let frames = |name: &str| json::number(&status, &format!("/frames/{name}"));
        ensure!(frames("in_ring")? == 0, "{status}");
        let alerts = |name: &str| json::number(&status, &format!("/alerts/{name}"));
        let lost = alerts("lost_queue_full")? + alerts("lost_spool_full")? + alerts("lost_storage")?;
        ensure!(alerts("raised")? == alerts("stored")? + lost, "{status}");
        Ok(())
    })
}

#[test]
fn frame_counters_add_up_at_any_time() -> Result<()> {
    experiment(|lab| {
        let mut sensor = Sensor::new(lab, "router", "")?;
        sensor.start()?;
        let mut sender = traffic::send(lab, "mixed", &["--packets", "30000", "--duration", "5"])?;
        let mut polls = 0;
        while sender.is_running()? {
            let status = sensor.status()?;
            let frames = |name: &str| json::number(&status, &format!("/frames/{name}"));
            let counted = frames("analysed")? + frames("filtered")? + frames("dropped")? + frames("in_ring")?;
            ensure!(frames("seen")? == counted, "{status}");
            polls += 1;
        }
        ensure!(polls > 20, "{polls} polls");
        Ok(())
    })
}
