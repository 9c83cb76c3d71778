//! Resident memory and start of a live sensor, while every table and the ring are flooded.

use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::report::Report;
use crate::settings::Settings;
use crate::wire::namespace::{Namespace, SEND};
use crate::wire::pattern::Pattern;
use crate::wire::receiver::{Receiver, Resident};
use crate::wire::send::Sent;

/// Starts, of which the quickest counts.
const STARTS: u32 = 5;
/// How long it is looked at before the first flood. Once a second it takes a page and gives it back.
const IDLE: Duration = Duration::from_millis(1_500);
/// Time between two looks.
const LOOK: Duration = Duration::from_millis(100);
/// Floods: ordinary, then random sources, ports, names, fragments.
const FLOODS: [Pattern; 5] =
    [Pattern::Mixed, Pattern::Sources, Pattern::Ports, Pattern::Names, Pattern::Fragments];
/// The setting that takes a size by name too.
const PROFILE: &str = "memory_kib";
/// The name of what is not set.
pub(crate) const DEFAULT_PROFILE: &str = "default";
pub(crate) const MIN_PROFILE_KIB: &str = "tiny";

/// Measures one profile with `packets` of all floods together; says so and passes where no namespace can be made.
pub(crate) fn measure(sentinel: &Path, profile: &str, packets: u64, report: &mut Report) -> Result<()> {
    let namespace = match Namespace::new() {
        Ok(namespace) => namespace,
        Err(error) => {
            eprintln!("bench: memory skipped, wants root: {error:#}");
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
    let before = sensor.books()?;
    let ready = idle(&sensor)?;
    let (mut sent, mut highest) = (0, ready);
    let each = packets / u64::try_from(FLOODS.len())?;
    for pattern in FLOODS {
        let mut sending = start_flood(&namespace, pattern, each)?;
        while sending.try_wait()?.is_none() {
            highest = highest.highest(sensor.resident()?);
            thread::sleep(LOOK);
        }
        sent += finish_flood(sending)?.frames;
        highest = highest.highest(sensor.resident()?);
    }
    let books = sensor.settled(before, sent)?;
    let after = sensor.resident()?;
    let highest = highest.highest(after);
    let growth_kib = highest.all_kib.saturating_sub(ready.all_kib);
    let own_growth_kib = highest.own_kib().saturating_sub(ready.own_kib());
    eprintln!(
        "{profile}: {} KiB when ready, {} after {sent} packets, highest {}; grew by {growth_kib} KiB, own memory by \
         {own_growth_kib} KiB; for a moment {} KiB; started in {start_ms} ms",
        ready.all_kib, after.all_kib, highest.all_kib, after.peak_kib
    );
    report.line(json!({
        "bench": "memory",
        "profile": profile,
        "rss_ready_kib": ready.all_kib,
        "rss_highest_kib": highest.all_kib,
        "rss_peak_kib": after.peak_kib,
        "rss_after_flood_kib": after.all_kib,
        "anonymous_kib": after.anonymous_kib,
        "file_kib": after.file_kib,
        "shared_kib": after.shared_kib,
        "growth_kib": growth_kib,
        "own_growth_kib": own_growth_kib,
        "flood_packets": sent,
        "seen": books.seen,
        "analysed": books.taken,
        "dropped": books.dropped,
        "start_ms": u64::try_from(start_ms).unwrap_or(u64::MAX),
    }));
    ensure!(books.balance(), "the books do not balance: {books:?} of {sent} sent");
    #[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "far below 2^53")]
    {
        let name = if profile == DEFAULT_PROFILE { "rss_kib".into() } else { format!("rss_{profile}_kib") };
        report.figure(name, highest.all_kib as f64);
        report.worst("growth_kib", growth_kib as f64);
        report.worst("start_ms", start_ms as f64);
    }
    Ok(())
}

/// What it has when nothing comes.
fn idle(sensor: &Receiver) -> Result<Resident> {
    let (begin, mut highest) = (Instant::now(), sensor.resident()?);
    while begin.elapsed() < IDLE {
        thread::sleep(LOOK);
        highest = highest.highest(sensor.resident()?);
    }
    Ok(highest)
}

/// Sends on the other end of the wire, as fast as it goes.
fn start_flood(namespace: &Namespace, pattern: Pattern, packets: u64) -> Result<Child> {
    let bench = std::env::current_exe().context("where am I?")?;
    let mut command = namespace.command(bench);
    command.args(["send", SEND, pattern.name(), "--packets", &packets.to_string()]);
    Ok(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?)
}

fn finish_flood(sending: Child) -> Result<Sent> {
    let output = sending.wait_with_output()?;
    ensure!(output.status.success(), "sending failed");
    Sent::from_json(&String::from_utf8_lossy(&output.stdout))
}
