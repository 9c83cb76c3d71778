//! The analysis thread: rings in, alerts out.
//!
//! It owns rings, parsers, tables and detectors. Per turn it takes at most one block of each ring; it
//! makes no system call but polling the rings, waking the other thread when a block raised alerts, and
//! reading the kernel's counters once a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use heapless::spsc::{Consumer, Producer};
use rustix::event::{PollFd, PollFlags, Timespec};
use sentinel_alert::{Alert, Severity};
use sentinel_capture::ring::{Config, OpenError, Ring, Wake};
use sentinel_units::Timestamp;

use crate::analysis::{Analyser, LONGEST_SLEEP, Tuning};
use crate::clock::{self, Clock};
use crate::snapshot::{Board, InterfaceCounts, MAX_INTERFACES, Snapshot};

/// Alerts that may wait for the other thread. It looks within milliseconds; past this they are lost and counted.
pub(crate) const QUEUE_LEN: usize = 256;
/// Reloads that may wait for the worker.
pub(crate) const TUNING_QUEUE_LEN: usize = 4;
/// Ticks stay so far behind the clock that no frame still in the kernel is older: packet time alone decides.
const TICK_BEHIND_NS: u64 = 2_000_000_000;
/// Time between two readings of the kernel's counters, and two attempts to open a lost interface again.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// One captured interface.
#[derive(Debug)]
pub(crate) struct Source {
    name: String,
    options: RingOptions,
    /// `None` while the interface is gone.
    ring: Option<Ring>,
    /// Frames taken from all rings that this interface has had.
    taken: u64,
    /// Counts of rings that were closed.
    before: InterfaceCounts,
}

/// How rings are opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RingOptions {
    pub(crate) ring_bytes: u32,
    pub(crate) block_bytes: u32,
    pub(crate) snap_bytes: u32,
    pub(crate) block_timeout: Duration,
    pub(crate) promiscuous: bool,
}

impl Source {
    /// Opens the ring.
    pub(crate) fn open(name: &str, options: RingOptions) -> Result<Self, OpenError> {
        let ring = Some(open(name, options)?);
        Ok(Self { name: name.to_owned(), options, ring, taken: 0, before: InterfaceCounts::default() })
    }

    /// Counts of all rings that this interface has had.
    fn counts(&mut self) -> InterfaceCounts {
        let is_open = u64::from(self.ring.is_some());
        let mut counts = InterfaceCounts { is_open, taken: self.taken, ..self.before };
        if let Some(now) = self.ring.as_mut().and_then(|ring| ring.counters().ok()) {
            counts.counted += now.received;
            counts.dropped += now.dropped;
            counts.freezes += now.freezes;
        }
        counts
    }

    /// The interface is gone, and the ring will get no more frames.
    fn is_orphaned(&self) -> bool {
        self.ring.as_ref().is_some_and(|ring| !ring.is_attached())
    }

    fn close(&mut self) {
        self.before = self.counts().closed();
        self.ring = None;
    }
}

fn open(name: &str, options: RingOptions) -> Result<Ring, OpenError> {
    let RingOptions { ring_bytes, block_bytes, snap_bytes, block_timeout, promiscuous } = options;
    Ring::open(&Config {
        ring_bytes,
        block_bytes,
        snap_bytes,
        block_timeout,
        promiscuous,
        ..Config::new(name)
    })
}

/// Everything the worker has.
pub(crate) struct Worker {
    pub(crate) sources: Vec<Source>,
    pub(crate) analyser: Analyser,
    pub(crate) alerts: Producer<'static, Alert>,
    pub(crate) tunings: Consumer<'static, Box<Tuning>>,
    pub(crate) board: &'static Board,
    pub(crate) bell: Bell,
    pub(crate) stop: &'static AtomicBool,
    pub(crate) clock: Clock,
}

/// Wakes the control thread.
#[derive(Clone, Debug)]
pub(crate) struct Bell(pub(crate) Arc<rustix::fd::OwnedFd>);

impl Bell {
    /// Rings; a bell that rings already stays so.
    pub(crate) fn ring(&self) {
        let _already_ringing = rustix::io::write(&*self.0, &1_u64.to_ne_bytes());
    }
}

impl Worker {
    /// Works until told to stop, then closes all incidents.
    pub(crate) fn run(mut self) {
        let mut counts = Snapshot::default();
        let mut housekeeping_due = self.clock.uptime().after(HOUSEKEEPING);
        // At once, so that status tells the truth from the start.
        self.housekeeping(&mut counts);
        self.publish(&mut counts);
        while !self.stop.load(Ordering::Relaxed) {
            while let Some(tuning) = self.tunings.dequeue() {
                self.analyser.tune(&tuning);
            }
            let (blocks, raised) = (counts.blocks, counts.raised);
            let now = self.clock.uptime();
            let housekeeping = now >= housekeeping_due;
            if housekeeping {
                housekeeping_due = now.after(HOUSEKEEPING);
                self.housekeeping(&mut counts);
            }
            self.turn(&mut counts);
            if counts.blocks == blocks {
                self.sleep();
                let quiet = self.sources.iter().filter_map(|source| source.ring.as_ref()).count() == 0
                    || self.nothing_waits();
                if quiet {
                    self.idle(&mut counts);
                }
            }
            if counts.blocks != blocks || counts.raised != raised || housekeeping {
                self.publish(&mut counts);
            }
            // After publishing: who wakes up reads how many alerts the queue had no room for.
            if counts.raised != raised {
                self.bell.ring();
            }
        }
        self.finish(&mut counts);
    }

    /// One block of each ring.
    fn turn(&mut self, counts: &mut Snapshot) {
        for index in 0..self.sources.len() {
            self.take_block(index, counts);
        }
    }

    /// One block of one ring; says whether one was there.
    fn take_block(&mut self, index: usize, counts: &mut Snapshot) -> bool {
        let Self { sources, analyser, alerts, .. } = self;
        let Some(source) = sources.get_mut(index) else { return false };
        let Some(block) = source.ring.as_mut().and_then(Ring::next_block) else { return false };
        counts.blocks += 1;
        for frame in &block {
            source.taken += 1;
            analyser.frame(&frame, &mut |alert| hand_over(alerts, alert, counts));
        }
        if let Some(slot) = counts.interfaces.get_mut(index) {
            slot.taken = source.taken;
        }
        true
    }

    fn nothing_waits(&mut self) -> bool {
        self.sources
            .iter_mut()
            .filter_map(|source| source.ring.as_mut())
            .all(|ring| matches!(ring.wait(Duration::ZERO), Ok(Wake::TimedOut)))
    }

    /// No frame waits anywhere: time passes all the same.
    fn idle(&mut self, counts: &mut Snapshot) {
        let Self { analyser, alerts, .. } = self;
        let at = Timestamp::from_nanos(clock::wall().as_nanos().saturating_sub(TICK_BEHIND_NS));
        analyser.tick(at, &mut |alert| hand_over(alerts, alert, counts));
    }

    fn sleep(&mut self) {
        let rings = self.sources.iter().filter_map(|source| source.ring.as_ref());
        let mut entries: heapless::Vec<PollFd<'_>, MAX_INTERFACES> =
            rings.map(|ring| PollFd::new(ring, PollFlags::IN)).take(MAX_INTERFACES).collect();
        let timeout = Timespec { tv_sec: 0, tv_nsec: LONGEST_SLEEP.subsec_nanos().into() };
        // An error is seen again by the next turn; a signal is for the other thread.
        let _woken = rustix::event::poll(&mut entries, Some(&timeout));
        let failed = entries.iter().any(|entry| entry.revents().intersects(PollFlags::ERR | PollFlags::NVAL));
        if failed {
            // The interface is down: reading the error clears it, or poll would not sleep again.
            for ring in self.sources.iter().filter_map(|source| source.ring.as_ref()) {
                let _interface_down = ring.socket_error();
            }
        }
    }

    /// Empties and closes the rings of interfaces that are gone, opens them when they are back, and asks the kernel.
    fn housekeeping(&mut self, counts: &mut Snapshot) {
        for index in 0..self.sources.len() {
            let is_orphaned = self.sources.get(index).is_some_and(Source::is_orphaned);
            // Ends, because the kernel adds nothing to such a ring.
            while is_orphaned && self.take_block(index, counts) {}
            let Some(source) = self.sources.get_mut(index) else { continue };
            if is_orphaned {
                source.close();
            } else if source.ring.is_none() {
                source.ring = open(&source.name, source.options).ok();
            }
            if let Some(slot) = counts.interfaces.get_mut(index) {
                *slot = source.counts();
            }
        }
    }

    fn publish(&self, counts: &mut Snapshot) {
        let engine = self.analyser.engine();
        let losses = engine.losses();
        counts.analysed = self.analyser.counts().analysed;
        counts.unsupported = self.analyser.counts().unsupported;
        counts.malformed = self.analyser.counts().malformed;
        counts.truncated = self.analyser.counts().truncated;
        counts.evictions = losses.evictions;
        counts.closed_early = losses.closed_early;
        counts.open_incidents = engine.open_incidents().0.into();
        self.board.publish(*counts);
    }

    fn finish(mut self, counts: &mut Snapshot) {
        let Self { analyser, alerts, .. } = &mut self;
        analyser.finish(&mut |alert| hand_over(alerts, alert, counts));
        self.housekeeping(counts);
        self.publish(counts);
        self.bell.ring();
    }
}

/// Gives an alert to the other thread, or counts it as lost.
fn hand_over(alerts: &mut Producer<'static, Alert>, alert: Alert, counts: &mut Snapshot) {
    counts.raised += 1;
    let severity = alert.severity;
    if alerts.enqueue(alert).is_err() {
        *match severity {
            Severity::Info => &mut counts.lost_info,
            Severity::Low => &mut counts.lost_low,
            Severity::Medium => &mut counts.lost_medium,
            Severity::High => &mut counts.lost_high,
            Severity::Critical => &mut counts.lost_critical,
        } += 1;
    }
}
