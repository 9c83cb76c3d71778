//! Loss-free rate of live receivers: `sentinel run` in two configurations, and a bare reader of the same ring.
//!
//! Sender and receiver are at the two ends of a virtual wire in a namespace of their own, on different processors. On such a
//! wire the kernel's part of receiving runs on the sender's processor, so the receiver's CPU time is that of reading the
//! ring.

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
use crate::wire::receiver::{FrameCounts, Receiver, RingSize};
use crate::wire::send::SentFrames;

/// Steps of the binary search between zero and the sender's full rate.
const SEARCH_STEPS: u32 = 6;
/// Duration of the warm-up, which makes every page and table entry resident before the measurement.
const WARM_UP: Duration = Duration::from_millis(50);
/// Setting by which the kernel cuts frames according to their content, and its two values.
const KERNEL_SNAP: &str = "kernel_snap";
const BY_CONTENT: &str = "content";
const NO_SNAP: &str = "off";

/// Kinds of frames, ring sizes, duration and number of attempts.
#[derive(Clone, Debug)]
pub(crate) struct LiveOptions {
    pub(crate) frames: Vec<Pattern>,
    pub(crate) rings_kib: Vec<u32>,
    /// Duration of each attempt.
    pub(crate) time: Duration,
    /// Attempts at a rate before it counts as lossy: other load on the machine causes losses too.
    pub(crate) attempts: u32,
}

/// Receiver to measure, and its settings.
struct Candidate {
    name: &'static str,
    settings: Vec<(&'static str, String)>,
    is_bare: bool,
}

/// Outcome of one attempt.
#[derive(Clone, Copy, Debug)]
struct Attempt {
    sent: SentFrames,
    counts: FrameCounts,
    cpu_ns: u64,
}

impl Attempt {
    fn lost(&self) -> u64 {
        self.sent.frames.saturating_sub(self.counts.taken)
    }
}

/// Binary search for the loss-free rate of one candidate.
struct RateSearch {
    candidate: Candidate,
    /// Best attempt at the sender's full rate.
    full_rate: Option<Attempt>,
    ns_per_frame: f64,
    /// Highest rate, in frames per second, without loss.
    loss_free: u64,
    /// Lowest rate with loss; `None` if the full rate was without loss.
    lossy: Option<u64>,
}

impl RateSearch {
    const fn new(candidate: Candidate) -> Self {
        Self { candidate, full_rate: None, ns_per_frame: f64::INFINITY, loss_free: 0, lossy: None }
    }

    /// Records an attempt at the sender's full rate.
    fn record_full_rate(&mut self, attempt: Attempt) {
        self.ns_per_frame = self.ns_per_frame.min(per(attempt.cpu_ns, attempt.counts.taken));
        // Less loss is better; at equal loss the higher rate.
        let is_better = self
            .full_rate
            .is_none_or(|best| (attempt.lost(), best.sent.rate()) < (best.lost(), attempt.sent.rate()));
        if is_better {
            self.full_rate = Some(attempt);
            (self.loss_free, self.lossy) = match attempt.lost() {
                0 => (attempt.sent.rate(), None),
                _ => (0, Some(attempt.sent.rate())),
            };
        }
    }

    /// Next rate to try, the middle of the interval; `None` if the full rate was without loss.
    fn next(&self) -> Option<u64> {
        self.lossy.map(|lossy| self.loss_free + lossy.saturating_sub(self.loss_free) / 2)
    }

    /// Loss-free rate as a share of another candidate's; 1 if the sender's full rate was without loss, because then the
    /// sender is the limit.
    fn share_of(&self, other: &Self) -> f64 {
        if self.lossy.is_none() { 1.0 } else { per(self.loss_free, other.loss_free) }
    }

    /// Records the outcome of the attempts at `rate`: the rate reached if one was without loss.
    fn record(&mut self, rate: u64, reached: Option<u64>) {
        match reached {
            Some(reached) => self.loss_free = reached.clamp(self.loss_free, rate),
            None => self.lossy = Some(rate),
        }
    }
}

/// Measures every kind of frame with every ring size. Where no namespace can be created it prints that it is skipped and
/// succeeds.
pub(crate) fn measure(sentinel: &Path, options: &LiveOptions, report: &mut Report) -> Result<()> {
    let namespace = match Namespace::new() {
        Ok(namespace) => namespace,
        Err(error) => {
            eprintln!("bench: live skipped, needs root: {error:#}");
            return Ok(());
        }
    };
    let settings = Settings::of(sentinel)?;
    if !settings.has(KERNEL_SNAP) {
        eprintln!("bench: this program has no setting '{KERNEL_SNAP}'; measured without it");
    }
    eprintln!(
        "{:<10} {:>9} {:<14} {:>10} {:>6} {:>9} {:>10} {:>8}",
        "frames", "ring KiB", "receiver", "loss-free", "share", "ns/frame", "over bare", "lost %"
    );
    let bench = LiveBench { sentinel, settings: &settings, namespace: &namespace, options };
    for pattern in &options.frames {
        for ring_kib in &options.rings_kib {
            bench.search(*pattern, *ring_kib, report)?;
        }
    }
    Ok(())
}

/// Program, settings, wire and options, which every attempt needs.
#[derive(Clone, Copy)]
struct LiveBench<'b> {
    sentinel: &'b Path,
    settings: &'b Settings,
    namespace: &'b Namespace,
    options: &'b LiveOptions,
}

impl LiveBench<'_> {
    /// Measures one kind of frame with one ring size. Attempts of the candidates are interleaved, so that a disturbance of
    /// the machine affects all of them alike.
    fn search(&self, pattern: Pattern, ring_kib: u32, report: &mut Report) -> Result<()> {
        let candidates = candidates(ring_kib, self.settings.has(KERNEL_SNAP));
        let mut searches: Vec<RateSearch> = candidates.into_iter().map(RateSearch::new).collect();
        for _ in 0..self.options.attempts {
            for search in &mut searches {
                search.record_full_rate(self.attempt(pattern, ring_kib, &search.candidate, 0)?);
            }
        }
        for _ in 0..SEARCH_STEPS {
            for search in &mut searches {
                let Some(rate) = search.next() else { continue };
                let mut reached = None;
                for _ in 0..self.options.attempts {
                    let attempt = self.attempt(pattern, ring_kib, &search.candidate, rate)?;
                    if attempt.lost() == 0 {
                        reached = Some(attempt.sent.rate());
                        break;
                    }
                }
                search.record(rate, reached);
            }
        }
        self.print(pattern, ring_kib, &searches, report)
    }

    /// Prints the table's lines and the JSON line.
    fn print(
        &self,
        pattern: Pattern,
        ring_kib: u32,
        searches: &[RateSearch],
        report: &mut Report,
    ) -> Result<()> {
        let mut receivers = Map::new();
        let bare = searches.iter().find(|search| search.candidate.is_bare).context("no bare reader")?;
        for row in searches.iter().filter_map(|search| Row::compared(search, bare)) {
            row.print(pattern, ring_kib);
            let candidate = &row.search.candidate;
            receivers.insert(candidate.name.into(), row.to_json());
            if !candidate.is_bare {
                report.worst("live_loss_of_rate", 1.0 - row.share);
                report.worst("live_ns_over_bare", row.over);
            }
        }
        let milliseconds = u64::try_from(self.options.time.as_millis())?;
        report.line(json!({
            "bench": "live",
            "frames": pattern.name(),
            "ring_kib": ring_kib,
            "milliseconds": milliseconds,
            "tries": self.options.attempts,
            "receivers": receivers,
        }));
        Ok(())
    }

    /// Starts a receiver and sends at `rate` frames per second; 0 is as fast as possible.
    fn attempt(&self, pattern: Pattern, ring_kib: u32, candidate: &Candidate, rate: u64) -> Result<Attempt> {
        let Self { sentinel, namespace, options, settings } = *self;
        let (receiving, sending) = processors();
        let mut receiver = if candidate.is_bare {
            let size = RingSize {
                ring_kib,
                snap_bytes: settings.number("snap_bytes")?,
                block_timeout: Duration::from_millis(settings.number("block_timeout_ms")?.into()),
            };
            Receiver::bare(namespace, size, receiving)?
        } else {
            Receiver::sensor(sentinel, namespace, &candidate.settings, receiving)?
        };
        let warm_up = send(namespace, pattern, 0, WARM_UP, sending)?;
        receiver.wait_for(FrameCounts::default(), warm_up.frames)?;
        let (before, cpu_before) = (receiver.counts()?, receiver.cpu_ns()?);
        let sent = send(namespace, pattern, rate, options.time, sending)?;
        let counts = receiver.wait_for(before, sent.frames)?;
        ensure!(
            counts.seen <= sent.frames && counts.add_up(),
            "{}: frame counters do not add up: {counts:?} of {} sent",
            candidate.name,
            sent.frames
        );
        Ok(Attempt { sent, counts, cpu_ns: receiver.cpu_ns()?.saturating_sub(cpu_before) })
    }
}

/// Result of one receiver beside the bare reader.
struct Row<'s> {
    search: &'s RateSearch,
    full_rate: Attempt,
    /// Loss-free rate as a share of the bare reader's.
    share: f64,
    /// Nanoseconds per frame above the bare reader's.
    over: f64,
}

impl<'s> Row<'s> {
    /// Compares `search` with `bare`; `None` if it has no attempt at the full rate.
    fn compared(search: &'s RateSearch, bare: &RateSearch) -> Option<Self> {
        let over = ((search.ns_per_frame - bare.ns_per_frame) * 10.0).round() / 10.0;
        Some(Self { search, full_rate: search.full_rate?, share: search.share_of(bare), over })
    }

    fn print(&self, pattern: Pattern, ring_kib: u32) {
        let Self { search, full_rate, share, over } = self;
        eprintln!(
            "{:<10} {ring_kib:>9} {:<14} {:>10} {share:>6.2} {:>9.1} {over:>10.1} {:>8.3}",
            pattern.name(),
            search.candidate.name,
            search.loss_free,
            search.ns_per_frame,
            per(full_rate.lost() * 100, full_rate.sent.frames),
        );
    }

    fn to_json(&self) -> Value {
        let Self { search, full_rate, share, over } = self;
        json!({
            "loss_free_frames_per_s": search.loss_free,
            "limited_by_sender": search.lossy.is_none(),
            "share_of_bare": share,
            "ns_per_frame": search.ns_per_frame,
            "ns_over_bare": over,
            "flat_out": {
                "frames_per_s": full_rate.sent.rate(),
                "sent": full_rate.sent.frames,
                "seen": full_rate.counts.seen,
                "taken": full_rate.counts.taken,
                "dropped_in_ring": full_rate.counts.dropped,
                "lost_before_ring": full_rate.sent.frames - full_rate.counts.seen,
            },
        })
    }
}

/// The bare reader first, then `sentinel run` with and, if it has the setting, without the kernel's cut.
fn candidates(ring_kib: u32, has_kernel_snap: bool) -> Vec<Candidate> {
    let ring = ("ring_kib", ring_kib.to_string());
    let sensor = |name, more: Option<&str>| Candidate {
        name,
        settings: std::iter::once(ring.clone())
            .chain(more.map(|value| (KERNEL_SNAP, value.to_owned())))
            .collect(),
        is_bare: false,
    };
    let mut candidates = vec![Candidate { name: "bare", settings: Vec::new(), is_bare: true }];
    if has_kernel_snap {
        candidates.extend([sensor("sentinel", Some(BY_CONTENT)), sensor("sentinel-whole", Some(NO_SNAP))]);
    } else {
        candidates.push(sensor("sentinel", None));
    }
    candidates
}

/// Sends from the other end of the wire, on processor `cpu` if one is given.
fn send(
    namespace: &Namespace,
    pattern: Pattern,
    rate: u64,
    time: Duration,
    cpu: Option<usize>,
) -> Result<SentFrames> {
    let bench = std::env::current_exe().context("path of the running program")?;
    let mut command = namespace.command_on(cpu, bench);
    command.args(["send", SEND, pattern.name(), "--rate", &rate.to_string()]);
    command.args(["--milliseconds", &time.as_millis().to_string()]);
    let output = command.stdin(Stdio::null()).output()?;
    ensure!(output.status.success(), "sending: {}", String::from_utf8_lossy(&output.stderr).trim());
    SentFrames::from_json(&String::from_utf8_lossy(&output.stdout))
}

/// Processors of receiver and sender; `None` for both if there is only one.
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
    fn every_frame_that_was_not_taken_counts_as_lost() {
        let sent = SentFrames { frames: 100, took_ns: 1_000_000_000 };
        let attempt = Attempt { sent, counts: FrameCounts { seen: 95, dropped: 5, taken: 90 }, cpu_ns: 0 };
        assert_eq!(attempt.lost(), 10);
    }

    #[test]
    fn the_search_halves_the_interval() {
        let attempt = |rate: u64, taken: u64| Attempt {
            sent: SentFrames { frames: rate, took_ns: 1_000_000_000 },
            counts: FrameCounts { seen: rate, dropped: rate - taken, taken },
            cpu_ns: taken * 50,
        };
        let mut search = RateSearch::new(candidates(256, true).remove(0));
        search.record_full_rate(attempt(1_000, 900));
        assert_eq!(search.next(), Some(500));
        search.record(500, Some(499));
        assert_eq!((search.loss_free, search.next()), (499, Some(749)));
        search.record(749, None);
        assert_eq!(search.next(), Some(624));
        let mut bare = RateSearch::new(candidates(256, true).remove(0));
        bare.record_full_rate(attempt(998, 998));
        assert_eq!((search.share_of(&bare), bare.share_of(&search)), (0.5, 1.0));
        search.record_full_rate(attempt(990, 990));
        assert_eq!((search.loss_free, search.next(), search.ns_per_frame), (990, None, 50.0));
    }

    #[test]
    fn the_bare_reader_comes_first() {
        let names: Vec<_> = candidates(256, true).iter().map(|candidate| candidate.name).collect();
        assert_eq!(names, ["bare", "sentinel", "sentinel-whole"]);
        assert_eq!(candidates(256, false).len(), 2);
    }
}
