//! What a live receiver keeps up with, beside a bare reader of the same ring.
//!
//! Two ends of a virtual wire in a namespace of their own, sender and receiver on different processors. On such a wire the
//! kernel's part of receiving runs on the sender's processor: what is measured on the receiver's is reading the ring.

use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};

use crate::report::{Report, per};
use crate::settings::Settings;
use crate::wire::namespace::{Namespace, SEND};
use crate::wire::pattern::Pattern;
use crate::wire::receiver::{Books, Receiver, RingSize};
use crate::wire::send::Sent;

/// Rates that are tried between none and flat out: each halves what is not known.
const STEPS: u32 = 6;
/// What is sent first, so that every page and table line was touched.
const FIRST: Duration = Duration::from_millis(200);
/// The setting that has the kernel cut frames by what they are, and its two values.
const KERNEL_SNAP: &str = "kernel_snap";
const BY_CONTENT: &str = "content";
const NO_SNAP: &str = "off";

/// What is tried, and how long.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) frames: Vec<Pattern>,
    pub(crate) rings_kib: Vec<u32>,
    /// How long each rate is sent.
    pub(crate) time: Duration,
    /// Tries of a rate before it counts as lossy: the machine has other things to do at times.
    pub(crate) tries: u32,
}

/// A receiver and what is said about it.
struct Contestant {
    name: &'static str,
    settings: Vec<(&'static str, String)>,
    is_bare: bool,
}

/// What came of one rate.
#[derive(Clone, Copy, Debug)]
struct Trial {
    sent: Sent,
    books: Books,
    cpu_ns: u64,
}

impl Trial {
    fn lost(&self) -> u64 {
        self.sent.frames.saturating_sub(self.books.taken)
    }
}

/// What came of all rates.
struct Outcome {
    loss_free_rate: u64,
    flat_out: Trial,
    ns_per_frame: f64,
}

/// Measures every kind of frame with every ring; says so and passes where no namespace can be made.
pub(crate) fn measure(sentinel: &Path, plan: &Plan, report: &mut Report) -> Result<()> {
    let namespace = match Namespace::new() {
        Ok(namespace) => namespace,
        Err(error) => {
            eprintln!("bench: live skipped, wants root: {error:#}");
            return Ok(());
        }
    };
    let settings = Settings::of(sentinel)?;
    if !settings.has(KERNEL_SNAP) {
        eprintln!("bench: this program has no setting '{KERNEL_SNAP}': measured as it is");
    }
    eprintln!(
        "{:<10} {:>9} {:<14} {:>10} {:>6} {:>9} {:>10} {:>8}",
        "frames", "ring KiB", "receiver", "loss-free", "share", "ns/frame", "over bare", "lost %"
    );
    for pattern in &plan.frames {
        for ring_kib in &plan.rings_kib {
            let wire = Wire { sentinel, settings: &settings, namespace: &namespace, plan };
            wire.one(*pattern, *ring_kib, report)?;
        }
    }
    Ok(())
}

/// Where all of them compete.
#[derive(Clone, Copy)]
struct Wire<'w> {
    sentinel: &'w Path,
    settings: &'w Settings,
    namespace: &'w Namespace,
    plan: &'w Plan,
}

impl Wire<'_> {
    /// One kind of frame with one ring: the bare reader, then the sensor.
    fn one(&self, pattern: Pattern, ring_kib: u32, report: &mut Report) -> Result<()> {
        let mut receivers = Map::new();
        let mut bare: Option<Outcome> = None;
        for contestant in contestants(ring_kib, self.settings.has(KERNEL_SNAP)) {
            let outcome = self.contest(pattern, ring_kib, &contestant)?;
            let flat = outcome.flat_out;
            let ceiling = bare.as_ref().unwrap_or(&outcome);
            let share = per(outcome.loss_free_rate, ceiling.loss_free_rate);
            let over = outcome.ns_per_frame - ceiling.ns_per_frame;
            eprintln!(
                "{:<10} {ring_kib:>9} {:<14} {:>10} {share:>6.2} {:>9.1} {over:>10.1} {:>8.3}",
                pattern.name(),
                contestant.name,
                outcome.loss_free_rate,
                outcome.ns_per_frame,
                per(flat.lost() * 100, flat.sent.frames),
            );
            receivers.insert(contestant.name.into(), line(&outcome, share, over));
            if contestant.is_bare {
                bare = Some(outcome);
            } else {
                report.worst("live_loss_of_rate", 1.0 - share);
                report.worst("live_ns_over_bare", over);
            }
        }
        report.line(json!({
            "bench": "live",
            "frames": pattern.name(),
            "ring_kib": ring_kib,
            "receivers": receivers,
        }));
        Ok(())
    }

    /// Starts a receiver, finds the highest rate that it takes without loss, and what a frame costs it flat out.
    fn contest(&self, pattern: Pattern, ring_kib: u32, contestant: &Contestant) -> Result<Outcome> {
        let Self { sentinel, namespace, plan, settings } = *self;
        let (receiving, sending) = processors();
        let mut receiver = if contestant.is_bare {
            let size = RingSize {
                ring_kib,
                snap_bytes: settings.number("snap_bytes")?,
                block_timeout: Duration::from_millis(settings.number("block_timeout_ms")?.into()),
            };
            Receiver::bare(namespace, size, receiving)?
        } else {
            Receiver::sensor(sentinel, namespace, &contestant.settings, receiving)?
        };
        let mut trial = |rate: u64, time: Duration| -> Result<Trial> {
            let (before, cpu_before) = (receiver.books()?, receiver.cpu_ns()?);
            let sent = send(namespace, pattern, rate, time, sending)?;
            let books = receiver.settled(before, sent.frames)?;
            ensure!(
                books.seen <= sent.frames && books.balance(),
                "{}: the books do not balance: {books:?} of {} sent",
                contestant.name,
                sent.frames
            );
            Ok(Trial { sent, books, cpu_ns: receiver.cpu_ns()?.saturating_sub(cpu_before) })
        };
        let _warm = trial(0, FIRST)?;
        // Flat out several times: the best for the cost, and for whether anything is lost at all.
        let mut flat_out = trial(0, plan.time)?;
        let mut ns_per_frame = per(flat_out.cpu_ns, flat_out.books.taken);
        for _ in 1..plan.tries {
            let again = trial(0, plan.time)?;
            ns_per_frame = ns_per_frame.min(per(again.cpu_ns, again.books.taken));
            if (again.lost(), flat_out.sent.rate()) < (flat_out.lost(), again.sent.rate()) {
                flat_out = again;
            }
        }
        if flat_out.lost() == 0 {
            return Ok(Outcome { loss_free_rate: flat_out.sent.rate(), flat_out, ns_per_frame });
        }
        let (mut good, mut bad) = (0, flat_out.sent.rate());
        for _ in 0..STEPS {
            let rate = good + (bad - good) / 2;
            let mut reached = None;
            for _ in 0..plan.tries {
                let trial = trial(rate, plan.time)?;
                if trial.lost() == 0 {
                    reached = Some(trial.sent.rate());
                    break;
                }
            }
            match reached {
                Some(reached) => good = reached.clamp(good, rate),
                None => bad = rate,
            }
        }
        Ok(Outcome { loss_free_rate: good, flat_out, ns_per_frame })
    }
}

fn line(outcome: &Outcome, share: f64, over: f64) -> Value {
    let flat = outcome.flat_out;
    json!({
        "loss_free_frames_per_s": outcome.loss_free_rate,
        "share_of_bare": share,
        "ns_per_frame": outcome.ns_per_frame,
        "ns_over_bare": (over * 10.0).round() / 10.0,
        "flat_out": {
            "frames_per_s": flat.sent.rate(),
            "sent": flat.sent.frames,
            "seen": flat.books.seen,
            "taken": flat.books.taken,
            "dropped_in_ring": flat.books.dropped,
            "lost_before_ring": flat.sent.frames - flat.books.seen,
        },
    })
}

fn contestants(ring_kib: u32, snaps: bool) -> Vec<Contestant> {
    let ring = ("ring_kib", ring_kib.to_string());
    let sensor = |name, more: Option<&str>| Contestant {
        name,
        settings: std::iter::once(ring.clone())
            .chain(more.map(|value| (KERNEL_SNAP, value.to_owned())))
            .collect(),
        is_bare: false,
    };
    let mut all = vec![Contestant { name: "bare", settings: Vec::new(), is_bare: true }];
    if snaps {
        all.extend([sensor("sentinel", Some(BY_CONTENT)), sensor("sentinel-whole", Some(NO_SNAP))]);
    } else {
        all.push(sensor("sentinel", None));
    }
    all
}

fn send(
    namespace: &Namespace,
    pattern: Pattern,
    rate: u64,
    time: Duration,
    cpu: Option<usize>,
) -> Result<Sent> {
    let bench = std::env::current_exe().context("where am I?")?;
    let mut command = namespace.command_on(cpu, bench);
    command.args(["send", SEND, pattern.name(), "--rate", &rate.to_string()]);
    command.args(["--milliseconds", &time.as_millis().to_string()]);
    let output = command.stdin(Stdio::null()).output()?;
    ensure!(output.status.success(), "sending: {}", String::from_utf8_lossy(&output.stderr).trim());
    Sent::from_json(&String::from_utf8_lossy(&output.stdout))
}

/// One for the receiver, another for the sender, if there are two.
fn processors() -> (Option<usize>, Option<usize>) {
    match thread::available_parallelism().map_or(1, usize::from) {
        0 | 1 => (None, None),
        count => (Some(0), Some(count - 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_taken_is_lost_wherever_that_was() {
        let sent = Sent { frames: 100, took_ns: 1_000_000_000 };
        let trial = Trial { sent, books: Books { seen: 95, dropped: 5, taken: 90 }, cpu_ns: 0 };
        assert_eq!(trial.lost(), 10);
    }

    #[test]
    fn the_bare_reader_comes_first() {
        let names: Vec<_> = contestants(256, true).iter().map(|contestant| contestant.name).collect();
        assert_eq!(names, ["bare", "sentinel", "sentinel-whole"]);
        assert_eq!(contestants(256, false).len(), 2);
    }
}
