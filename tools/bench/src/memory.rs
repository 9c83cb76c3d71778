//! Resident memory and start-up time of a live sensor while floods fill every table and the ring.

use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::report::Report;
use crate::settings::Settings;
use crate::wire::namespace::{Namespace, SEND};
use crate::wire::pattern::Pattern;
use crate::wire::receiver::{FrameCounts, Receiver, Resident};
use crate::wire::send::SentFrames;

/// Number of starts; the fastest counts.
const STARTS: u32 = 5;
/// Time of observation before the first flood; longer than a second, because once a second the sensor uses one more page
/// for a moment.
const IDLE: Duration = Duration::from_millis(1_500);
/// Interval at which memory is sampled.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(100);
/// Floods: ordinary traffic, then random sources, ports, names and fragments.
const FLOODS: [Pattern; 5] =
    [Pattern::Mixed, Pattern::Sources, Pattern::Ports, Pattern::Names, Pattern::Fragments];
/// Setting of the table size; takes the names of profiles too.
const PROFILE: &str = "memory_kib";
/// Profile with which [`PROFILE`] is not set.
pub(crate) const DEFAULT_PROFILE: &str = "default";
/// Profile with the smallest tables.
pub(crate) const SMALLEST_PROFILE: &str = "tiny";

/// Measures one profile with `packets` of all floods together. Where no namespace can be created it prints that it is
/// skipped and succeeds.
pub(crate) fn measure(sentinel: &Path, profile: &str, packets: u64, report: &mut Report) -> Result<()> {
    let namespace = match Namespace::new() {
        Ok(namespace) => namespace,
        Err(error) => {
            eprintln!("bench: memory skipped, needs root: {error:#}");
            return Ok(());
        }
    };
    let mut settings = Vec::new();
    if profile != DEFAULT_PROFILE {
        settings.push((PROFILE, profile.to_owned()));
        Settings::with(sentinel, &settings)?;
    }
    let start = || Receiver::sensor(sentinel, &namespace, &settings, None);
    let mut start_ms = u128::MAX;
    for _ in 1..STARTS {
        start_ms = start_ms.min(start()?.start.as_millis());
    }
    let mut sensor = start()?;
    let start_ms = start_ms.min(sensor.start.as_millis());
    let before = sensor.counts()?;
    let ready = idle(&sensor)?;
    let (sent, highest) = flood(&namespace, &sensor, packets)?;
    let counts = sensor.wait_for(before, sent)?;
    let after = sensor.resident()?;
    let highest = highest.highest(ready).highest(after);
    let measured = Measured { profile, ready, highest, after, sent, counts, start_ms };
    measured.print(report)
}

/// Sends every flood while sampling the sensor's memory. Returns the frames sent and the highest samples.
fn flood(namespace: &Namespace, sensor: &Receiver, packets: u64) -> Result<(u64, Resident)> {
    let (mut sent, mut highest) = (0, sensor.resident()?);
    let each = packets / u64::try_from(FLOODS.len())?;
    for pattern in FLOODS {
        let mut sending = start_flood(namespace, pattern, each)?;
        while sending.try_wait()?.is_none() {
            highest = highest.highest(sensor.resident()?);
            thread::sleep(SAMPLE_INTERVAL);
        }
        sent += finish_flood(sending)?.frames;
        highest = highest.highest(sensor.resident()?);
    }
    Ok((sent, highest))
}

/// Figures of one profile.
struct Measured<'p> {
    profile: &'p str,
    /// Highest samples before the first flood.
    ready: Resident,
    /// Highest samples of all.
    highest: Resident,
    /// Sample after the last flood.
    after: Resident,
    /// Frames sent.
    sent: u64,
    counts: FrameCounts,
    start_ms: u128,
}

impl Measured<'_> {
    /// Prints the table's line and the JSON line, and keeps the figures that have budgets.
    fn print(&self, report: &mut Report) -> Result<()> {
        let Self { profile, ready, highest, after, sent, counts, start_ms } = self;
        let (growth_kib, own_growth_kib) = (self.growth_kib(), self.own_growth_kib());
        eprintln!(
            "{profile}: {} KiB when ready, {} after {sent} packets, highest {}; grew by {growth_kib} KiB, anonymous and \
         shared memory by {own_growth_kib} KiB; peak {} KiB; started in {start_ms} ms",
            ready.all_kib, after.all_kib, highest.all_kib, after.peak_kib
        );
        report.line(self.to_json());
        ensure!(counts.add_up(), "frame counters do not add up: {counts:?} of {sent} sent");
        self.record(report);
        Ok(())
    }

    /// Growth of the resident memory since the sensor was ready.
    const fn growth_kib(&self) -> u64 {
        self.highest.all_kib.saturating_sub(self.ready.all_kib)
    }

    /// Growth without pages of files.
    const fn own_growth_kib(&self) -> u64 {
        self.highest.own_kib().saturating_sub(self.ready.own_kib())
    }

    fn to_json(&self) -> Value {
        let Self { profile, ready, highest, after, sent, counts, start_ms } = self;
        json!({
            "bench": "memory",
            "profile": profile,
            "rss_ready_kib": ready.all_kib,
            "rss_highest_kib": highest.all_kib,
            "rss_peak_kib": after.peak_kib,
            "rss_after_flood_kib": after.all_kib,
            "anonymous_kib": after.anonymous_kib,
            "file_kib": after.file_kib,
            "shared_kib": after.shared_kib,
            "growth_kib": self.growth_kib(),
            "own_growth_kib": self.own_growth_kib(),
            "flood_packets": sent,
            "seen": counts.seen,
            "analysed": counts.taken,
            "dropped": counts.dropped,
            "start_ms": u64::try_from(*start_ms).unwrap_or(u64::MAX),
        })
    }

    /// Keeps the figures that have budgets.
    #[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "far below 2^53")]
    fn record(&self, report: &mut Report) {
        let name = match self.profile {
            DEFAULT_PROFILE => "rss_kib".into(),
            profile => format!("rss_{profile}_kib"),
        };
        report.figure(name, self.highest.all_kib as f64);
        report.worst("growth_kib", self.growth_kib() as f64);
        report.worst("start_ms", self.start_ms as f64);
    }
}

/// Highest samples of the sensor's memory within [`IDLE`], without traffic.
fn idle(sensor: &Receiver) -> Result<Resident> {
    let (begin, mut highest) = (Instant::now(), sensor.resident()?);
    while begin.elapsed() < IDLE {
        thread::sleep(SAMPLE_INTERVAL);
        highest = highest.highest(sensor.resident()?);
    }
    Ok(highest)
}

/// Starts to send at the other end of the wire, as fast as possible.
fn start_flood(namespace: &Namespace, pattern: Pattern, packets: u64) -> Result<Child> {
    let bench = std::env::current_exe().context("path of the running program")?;
    let mut command = namespace.command(bench);
    command.args(["send", SEND, pattern.name(), "--packets", &packets.to_string()]);
    Ok(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?)
}

/// Waits for the sender to finish.
fn finish_flood(sending: Child) -> Result<SentFrames> {
    let output = sending.wait_with_output()?;
    ensure!(output.status.success(), "sending failed");
    SentFrames::from_json(&String::from_utf8_lossy(&output.stdout))
}
