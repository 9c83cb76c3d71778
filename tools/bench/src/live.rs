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
const FIRST: Duration = Duration::from_millis(50);
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
struct Candidate {
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

/// What is known of a contestant so far.
struct Search {
    contestant: Candidate,
    /// The best of those that were sent as fast as it goes.
    flat_out: Option<Trial>,
    ns_per_frame: f64,
    /// The highest rate of which nothing was lost, and the lowest of which something was.
    good: u64,
    bad: Option<u64>,
}

impl Search {
    const fn new(contestant: Candidate) -> Self {
        Self { contestant, flat_out: None, ns_per_frame: f64::INFINITY, good: 0, bad: None }
    }

    /// Takes in what came of sending as fast as it goes.
    fn flat_out(&mut self, trial: Trial) {
        self.ns_per_frame = self.ns_per_frame.min(per(trial.cpu_ns, trial.books.taken));
        let is_better = self
            .flat_out
            .is_none_or(|best| (trial.lost(), best.sent.rate()) < (best.lost(), trial.sent.rate()));
        if is_better {
            self.flat_out = Some(trial);
            (self.good, self.bad) = match trial.lost() {
                0 => (trial.sent.rate(), None),
                _ => (0, Some(trial.sent.rate())),
            };
        }
    }

    /// The rate to try next, halfway between what is known; none if nothing was lost flat out.
    fn next(&self) -> Option<u64> {
        self.bad.map(|bad| self.good + bad.saturating_sub(self.good) / 2)
    }

    /// The rate as a share of another's. Who loses nothing of what the sender can offer has no share to lose: then it is the
    /// sender that differs.
    fn share_of(&self, other: &Self) -> f64 {
        if self.bad.is_none() { 1.0 } else { per(self.good, other.good) }
    }

    /// Takes in what came of a rate: the rate reached, if nothing was lost.
    fn tried(&mut self, rate: u64, reached: Option<u64>) {
        match reached {
            Some(reached) => self.good = reached.clamp(self.good, rate),
            None => self.bad = Some(rate),
        }
    }
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
    /// One kind of frame with one ring. All contestants take turns, so that what disturbs the machine disturbs all.
    fn one(&self, pattern: Pattern, ring_kib: u32, report: &mut Report) -> Result<()> {
        let all = contestants(ring_kib, self.settings.has(KERNEL_SNAP));
        let mut searches: Vec<Search> = all.into_iter().map(Search::new).collect();
        for _ in 0..self.plan.tries {
            for search in &mut searches {
                search.flat_out(self.trial(pattern, ring_kib, &search.contestant, 0)?);
            }
        }
        for _ in 0..STEPS {
            for search in &mut searches {
                let Some(rate) = search.next() else { continue };
                let mut reached = None;
                for _ in 0..self.plan.tries {
                    let trial = self.trial(pattern, ring_kib, &search.contestant, rate)?;
                    if trial.lost() == 0 {
                        reached = Some(trial.sent.rate());
                        break;
                    }
                }
                search.tried(rate, reached);
            }
        }
        self.tell(pattern, ring_kib, &searches, report)
    }

    fn tell(&self, pattern: Pattern, ring_kib: u32, searches: &[Search], report: &mut Report) -> Result<()> {
        let mut receivers = Map::new();
        let bare = searches.iter().find(|search| search.contestant.is_bare).context("no bare reader")?;
        for search in searches {
            let Some(flat) = search.flat_out else { continue };
            let share = search.share_of(bare);
            let over = ((search.ns_per_frame - bare.ns_per_frame) * 10.0).round() / 10.0;
            eprintln!(
                "{:<10} {ring_kib:>9} {:<14} {:>10} {share:>6.2} {:>9.1} {over:>10.1} {:>8.3}",
                pattern.name(),
                search.contestant.name,
                search.good,
                search.ns_per_frame,
                per(flat.lost() * 100, flat.sent.frames),
            );
            receivers.insert(search.contestant.name.into(), line(search, &flat, share, over));
            if !search.contestant.is_bare {
                report.worst("live_loss_of_rate", 1.0 - share);
                report.worst("live_ns_over_bare", over);
            }
        }
        let milliseconds = u64::try_from(self.plan.time.as_millis())?;
        report.line(json!({
            "bench": "live",
            "frames": pattern.name(),
            "ring_kib": ring_kib,
            "milliseconds": milliseconds,
            "tries": self.plan.tries,
            "receivers": receivers,
        }));
        Ok(())
    }

    /// Starts a receiver and sends; zero is as fast as it goes.
    fn trial(&self, pattern: Pattern, ring_kib: u32, contestant: &Candidate, rate: u64) -> Result<Trial> {
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
        let first = send(namespace, pattern, 0, FIRST, sending)?;
        receiver.settled(Books::default(), first.frames)?;
        let (before, cpu_before) = (receiver.books()?, receiver.cpu_ns()?);
        let sent = send(namespace, pattern, rate, plan.time, sending)?;
        let books = receiver.settled(before, sent.frames)?;
        ensure!(
            books.seen <= sent.frames && books.balance(),
            "{}: the books do not balance: {books:?} of {} sent",
            contestant.name,
            sent.frames
        );
        Ok(Trial { sent, books, cpu_ns: receiver.cpu_ns()?.saturating_sub(cpu_before) })
    }
}

fn line(search: &Search, flat: &Trial, share: f64, over: f64) -> Value {
    json!({
        "loss_free_frames_per_s": search.good,
        "limited_by_sender": search.bad.is_none(),
        "share_of_bare": share,
        "ns_per_frame": search.ns_per_frame,
        "ns_over_bare": over,
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

fn contestants(ring_kib: u32, snaps: bool) -> Vec<Candidate> {
    let ring = ("ring_kib", ring_kib.to_string());
    let sensor = |name, more: Option<&str>| Candidate {
        name,
        settings: std::iter::once(ring.clone())
            .chain(more.map(|value| (KERNEL_SNAP, value.to_owned())))
            .collect(),
        is_bare: false,
    };
    let mut all = vec![Candidate { name: "bare", settings: Vec::new(), is_bare: true }];
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
    fn the_search_halves_what_is_not_known() {
        let trial = |rate: u64, taken: u64| Trial {
            sent: Sent { frames: rate, took_ns: 1_000_000_000 },
            books: Books { seen: rate, dropped: rate - taken, taken },
            cpu_ns: taken * 50,
        };
        let mut search = Search::new(contestants(256, true).remove(0));
        search.flat_out(trial(1_000, 900));
        assert_eq!(search.next(), Some(500));
        search.tried(500, Some(499));
        assert_eq!((search.good, search.next()), (499, Some(749)));
        search.tried(749, None);
        assert_eq!(search.next(), Some(624));
        let mut bare = Search::new(contestants(256, true).remove(0));
        bare.flat_out(trial(998, 998));
        assert_eq!((search.share_of(&bare), bare.share_of(&search)), (0.5, 1.0));
        search.flat_out(trial(990, 990));
        assert_eq!((search.good, search.next(), search.ns_per_frame), (990, None, 50.0));
    }

    #[test]
    fn the_bare_reader_comes_first() {
        let names: Vec<_> = contestants(256, true).iter().map(|contestant| contestant.name).collect();
        assert_eq!(names, ["bare", "sentinel", "sentinel-whole"]);
        assert_eq!(contestants(256, false).len(), 2);
    }
}
