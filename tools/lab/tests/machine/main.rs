//! Power cuts of a virtual machine: the sensor on ext4, on a disk that loses what was not flushed.
//!
//! `SENTINEL_MACHINE_CUTS` is the number of cuts, 50 by default, `SENTINEL_CUT_SEED` selects moments and what each cut leaves
//! on the disk, `SENTINEL_SOAK_SECONDS` bounds the time. `ci/soak.sh machine-cuts` runs it.

#![cfg(test)]

mod books;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use sentinel_lab::machine::{self, DiskServer, Kept, Machine, VolatileDisk};
use sentinel_lab::{Collector, Lab, experiment, json, run, wait};
use serde_json::Value;

use books::Books;

const NAME: &str = "router";
const DISK_MIB: usize = 24;
/// Many alerts, a small segment so that flash is written often, and a log that holds what waits.
const SETTINGS: &str = "config sentinel 'main'
	list interface 'veth1'
	option state_dir '/data/state'
	option run_dir '/run/sentinel'
	option incident_update_s '1'
	option incident_idle_s '1'
	option incident_burst '1000000'
	option log_segment_kib '16'
	option log_segments '64'
	option log_daily_kib '0'
";
const USERS: [(&str, &str); 2] = [
    ("/etc/passwd", "root:x:0:0::/:/bin/sh\nsentinel-appliance:x:600:600::/:/bin/false\n"),
    ("/etc/group", "root:x:0:\nsentinel-appliance:x:600:\n"),
];
/// Time in which a machine starts and its sensor answers, on a busy host and without KVM.
const START: Duration = Duration::from_secs(180);
/// Longest wait for a write to aim a cut at.
const WRITES: Duration = Duration::from_secs(6);
/// Time in which everything that waits is delivered.
const DRAIN: Duration = Duration::from_secs(180);

/// Seeded generator (xorshift64*, Vigna 2016).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) % sides
    }
}

fn variable(name: &str, default: u64) -> Result<u64> {
    std::env::var(name).map_or(Ok(default), |text| text.parse().with_context(|| format!("{name}={text}")))
}

/// Written directly: the test harness captures the output of macros.
fn print(line: &str) -> Result<()> {
    writeln!(io::stderr(), "{line}").context("standard error")
}

#[test]
#[ignore = "minutes; ci/soak.sh machine-cuts"]
fn no_power_cut_of_a_machine_leaves_an_alert_unaccounted_or_doubled() -> Result<()> {
    if let Some(reason) = machine::impossible() {
        return print(&format!("skipped: {reason}"));
    }
    let (cuts, seed) = (variable("SENTINEL_MACHINE_CUTS", 50)?, variable("SENTINEL_CUT_SEED", 1)?);
    let end = Instant::now() + Duration::from_secs(variable("SENTINEL_SOAK_SECONDS", 3_600)?);
    experiment(|lab| {
        let mut test = Test::start(lab, seed)?;
        let mut done = 0;
        while done < cuts && Instant::now() < end {
            test.round(done)?;
            done += 1;
        }
        test.finish(done)?;
        ensure!(done == cuts, "only {done} of {cuts} cuts in the time given");
        Ok(())
    })
}

struct Test<'l> {
    lab: &'l Lab,
    collector: Collector<'l>,
    machine: Machine<'l>,
    server: DiskServer,
    dice: Dice,
    books: Books,
    /// Unflushed sectors at all cuts, and those that did not keep their newest content.
    sectors: (usize, usize),
    offline: u64,
}

impl<'l> Test<'l> {
    fn start(lab: &'l Lab, seed: u64) -> Result<Self> {
        let collector = Collector::start(lab)?;
        let token = collector.token(NAME, &[])?;
        let machine = Machine::new(lab, include_str!("init.sh"), |files| {
            files.text("/etc/settings", 0o644, SETTINGS)?;
            files.text("/etc/token", 0o600, &token)?;
            USERS.iter().try_for_each(|(path, text)| files.text(path, 0o644, text))
        })?;
        let server = DiskServer::start(empty_disk(lab)?, &lab.path("disk"))?;
        let dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        Ok(Self {
            lab,
            collector,
            machine,
            server,
            dice,
            books: Books::default(),
            sectors: (0, 0),
            offline: 0,
        })
    }

    fn ports(&self, round: u64) -> [PathBuf; 2] {
        ["status", "messages"].map(|name| self.lab.path(&format!("{name}-{round}")))
    }

    fn power_on(&mut self, round: u64, words: &str) -> Result<()> {
        let [status, messages] = self.ports(round);
        let words = format!("lab.round={} {words}", round % 200);
        self.machine.power_on(&words, self.server.socket(), [&status, &messages])
    }

    /// Turns the power on, cuts it at a random moment, in every third round without a collector.
    fn round(&mut self, round: u64) -> Result<()> {
        let is_offline = round > 0 && self.dice.roll(3) == 0;
        if is_offline {
            self.offline += 1;
            self.collector.stop()?;
        }
        // In every second round each alert is flushed, which writes more often.
        let severity = if round.is_multiple_of(2) { "critical" } else { "info" };
        self.power_on(round, &format!("lab.flush={severity}"))?;
        // Every fourth cut hits the start: opening of the log, first connection.
        if round == 0 || self.dice.roll(4) > 0 {
            self.status_where(round, START, "the sensor answers", |_| true)?;
            if round == 0 {
                // The token is valid once.
                self.collector.wait_for(NAME, START)?;
            }
            self.pause(12_000);
        } else {
            let messages = self.ports(round)[1].clone();
            wait::until_true("the disk is mounted", START, || {
                self.machine.must_run()?;
                Ok(std::fs::read_to_string(&messages).is_ok_and(|text| text.contains("mounted")))
            })?;
            self.pause(2_500);
        }
        if self.dice.roll(2) == 0 {
            self.wait_for_writes();
        }
        self.cut(round)?;
        if is_offline {
            self.collector.start_again()?;
        }
        Ok(())
    }

    /// A random moment is what is under test, so this sleep does not synchronise.
    fn pause(&mut self, at_most_ms: u64) {
        thread::sleep(Duration::from_millis(self.dice.roll(at_most_ms)));
    }

    /// Waits for a moment at which the disk holds back what was written; there may be none.
    fn wait_for_writes(&self) {
        let end = Instant::now() + WRITES;
        while self.server.unflushed() == 0 && Instant::now() < end {
            thread::sleep(Duration::from_micros(200));
        }
    }

    fn cut(&mut self, round: u64) -> Result<()> {
        self.machine.must_run()?;
        self.machine.cut()?;
        let kept = Kept::of(self.dice.roll(8));
        let dice = &mut self.dice;
        let mut next = || usize::try_from(dice.roll(1 << 31)).unwrap_or(0);
        let (unflushed, outdated) = self.server.disk().cut(kept, &mut next);
        self.sectors.0 += unflushed;
        self.sectors.1 += outdated;
        let newest = self.enter(round)?;
        let raised = newest.map_or(Value::Null, |status| status["alerts"]["raised"].clone());
        print(&format!(
            "cut {}: {kept:?}, {outdated} of {unflushed} unflushed sectors are old; raised {raised}",
            round + 1
        ))
    }

    fn enter(&mut self, round: u64) -> Result<Option<Value>> {
        let [status, messages] =
            self.ports(round).map(|path| std::fs::read_to_string(path).unwrap_or_default());
        self.books.enter_messages(&messages);
        let ended = messages.lines().find(|line| line.starts_with("the sensor ended"));
        ensure!(ended.is_none(), "round {round}: {ended:?}\n{messages}");
        self.books.enter(&status)
    }

    fn status_where(
        &mut self,
        round: u64,
        timeout: Duration,
        what: &str,
        is_right: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let outcome = wait::until(what, timeout, || {
            self.machine.must_run()?;
            Ok(self.enter(round)?.filter(&is_right))
        });
        outcome.with_context(|| console(self.lab))
    }

    /// Starts without traffic, waits until everything is delivered, and compares.
    fn finish(&mut self, done: u64) -> Result<()> {
        self.power_on(done, "lab.traffic=no")?;
        let number = |status: &Value, pointer: &str| json::number(status, pointer).unwrap_or(u64::MAX);
        self.status_where(done, DRAIN, "everything is delivered", |status| {
            let waiting = number(status, "/alerts/waiting") + number(status, "/alerts/earlier_runs/waiting");
            waiting == 0
                && number(status, "/alerts/open_incidents") == 0
                && status["uplink"]["state"] == "connected"
        })?;
        let sums = self.books.compare(&self.collector, NAME)?;
        let (unflushed, outdated) = self.sectors;
        print(&format!(
            "{done} cuts ({} without collector), {} runs, {} of them told as cut off; {outdated} of {unflushed} unflushed sectors old; \
             raised {}, stored {}, told as unknown {}, told as lost {}, unaccounted {}, doubled {}",
            self.offline,
            sums.runs,
            sums.cut_runs,
            sums.raised,
            sums.stored,
            sums.told_unknown,
            sums.told_lost,
            sums.unaccounted,
            sums.doubled
        ))?;
        ensure!(sums.unaccounted == 0 && sums.doubled == 0, "{sums:?}: {:?}", self.books);
        ensure!(sums.raised > done && sums.stored > 0, "a test of nothing: {sums:?}");
        Ok(())
    }
}

fn empty_disk(lab: &Lab) -> Result<VolatileDisk> {
    let image = lab.path("image");
    let file = std::fs::File::create(&image)?;
    file.set_len(u64::try_from(DISK_MIB << 20)?)?;
    run(Command::new("mke2fs").args(["-q", "-t", "ext4", "-F"]).arg(&image))?;
    Ok(VolatileDisk::new(std::fs::read(&image).with_context(|| image.display().to_string())?))
}

fn console(lab: &Lab) -> String {
    let path: &Path = &lab.path("machine.out");
    let text = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let start = text.len().saturating_sub(4_000);
    text.get(start..).unwrap_or_default().to_owned()
}
