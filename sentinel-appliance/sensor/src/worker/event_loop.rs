//! The analysis thread: rings in, alerts out.
//!
//! It owns rings, parsers, tables and detectors. Per turn it takes at most one block of each ring; it
//! makes no system call but polling the rings, waking the other thread when a block raised alerts, and
//! reading the kernel's counters once a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use heapless::spsc::{Consumer, Producer};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec};
use sentinel_alert::{Alert, Severity};
use sentinel_capture::ring::WaitOutcome;
use sentinel_units::Timestamp;

use crate::system::clock::{self, Clock};
use crate::system::prefault;
use crate::worker::analyser::{Analyser, LiveConfig, MAX_SLEEP};
use crate::worker::interface::{CaptureInterface, KernelFilters};
use crate::worker::packet_memory::PacketMemory;
use crate::worker::siblings::SiblingWorkers;
use crate::worker::snapshot::{MAX_INTERFACES, Snapshot, SnapshotCell};

/// Alerts that may wait for the other thread. It looks within milliseconds; past this they are lost and counted.
pub(crate) const QUEUE_LEN: usize = 256;
/// Commands that may wait for the worker.
pub(crate) const COMMAND_QUEUE_LEN: usize = 4;
/// Ticks stay so far behind the clock that no frame still in the kernel is older: packet time alone decides.
const TICK_BEHIND_NS: u64 = 2_000_000_000;
/// Of the stack below [`Worker::run`], more than any frame of the corpus needs: they need 6 KiB.
const STACK_BYTES_BELOW: usize = 8 * 1024;
/// Blocks that a ring may have at most.
const MAX_BLOCKS: u32 = 65_536 / 16;
/// Time between two readings of the kernel's counters, and two attempts to open a lost interface again.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// What the control thread asks of a worker. Each is counted as done when it is.
#[derive(Debug)]
pub(crate) enum Command {
    /// Takes over new settings.
    Reconfigure(Box<LiveConfig>),
    /// Lets nothing more into the rings, and asks the kernel what came before.
    Close,
    /// Lets in what these programs let through.
    Open(Box<KernelFilters>),
    /// Puts a copy of the newest frames into this memory and hands it back.
    Copy(PacketMemory),
}

/// Everything the worker has.
pub(crate) struct Worker {
    pub(crate) sources: Vec<CaptureInterface>,
    pub(crate) analyser: Analyser,
    pub(crate) alerts: Producer<'static, Option<Alert>>,
    pub(crate) commands: Consumer<'static, Command>,
    pub(crate) board: &'static SnapshotCell,
    /// Blocks of each ring.
    pub(crate) ring_blocks: u32,
    /// Wakes the control thread.
    pub(crate) bell: EventFd,
    /// Wakes this worker.
    pub(crate) wake: EventFd,
    pub(crate) stop: &'static AtomicBool,
    pub(crate) clock: Clock,
    /// What the rings let through; `None` while capturing is stopped.
    pub(crate) programs: Option<Box<KernelFilters>>,
    /// The other workers, if there are any.
    pub(crate) peers: Option<SiblingWorkers>,
    /// The newest frames, if they are kept.
    pub(crate) memory: Option<PacketMemory>,
    /// Copies of them that were asked for.
    pub(crate) copies: Producer<'static, PacketMemory>,
}

/// Wakes another thread.
#[derive(Clone, Debug)]
pub(crate) struct EventFd(pub(crate) Arc<rustix::fd::OwnedFd>);

impl EventFd {
    /// One that does not ring.
    pub(crate) fn new() -> std::io::Result<Self> {
        let flags = EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC;
        Ok(Self(Arc::new(rustix::event::eventfd(0, flags)?)))
    }

    /// Ends the ringing.
    pub(crate) fn quiet(&self) {
        let _was_quiet = rustix::io::read(&*self.0, &mut [0_u8; 8]);
    }

    /// Rings; a bell that rings already stays so.
    pub(crate) fn ring(&self) {
        let _already_ringing = rustix::io::write(&*self.0, &1_u64.to_ne_bytes());
    }
}

impl Worker {
    /// Works until told to stop, then closes all incidents.
    pub(crate) fn run(mut self) {
        prefault::stack::<STACK_BYTES_BELOW>();
        let mut counts = Snapshot::default();
        let mut rest = Rest::new(self.ring_blocks);
        let mut housekeeping_due = self.clock.uptime().after(HOUSEKEEPING);
        // At once, so that status tells the truth from the start.
        self.housekeeping(&mut counts);
        self.publish(&mut counts);
        while !self.stop.load(Ordering::Relaxed) {
            let (blocks, raised) = (counts.blocks, counts.raised);
            while let Some(command) = self.commands.dequeue() {
                self.obey(command, &mut counts);
            }
            let now = self.clock.uptime();
            let housekeeping = now >= housekeeping_due;
            if housekeeping {
                housekeeping_due = now.after(HOUSEKEEPING);
                self.housekeeping(&mut counts);
            }
            self.turn(&mut counts);
            if counts.blocks == blocks && rest.nap(counts.blocks) {
                // Not long enough for anything else.
            } else if counts.blocks == blocks {
                let begin = self.clock.elapsed();
                self.sleep();
                rest.slept(self.clock.elapsed().saturating_sub(begin));
                if self.nothing_waits() {
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

    fn obey(&mut self, command: Command, counts: &mut Snapshot) {
        let mut refused = false;
        match command {
            Command::Reconfigure(live_config) => self.analyser.reconfigure(&live_config),
            Command::Close => {
                self.programs = None;
                refused = !self.set_filter();
                self.housekeeping(counts);
            }
            Command::Open(programs) => {
                self.programs = Some(programs);
                refused = !self.set_filter();
            }
            Command::Copy(mut copy) => {
                if let Some(memory) = &self.memory {
                    memory.copy_to(&mut copy);
                }
                // One is under way at a time, and there is room for it.
                let _taken = self.copies.enqueue(copy);
            }
        }
        counts.refused_commands += u64::from(refused);
        counts.commands += 1;
        self.publish(counts);
    }

    /// Says whether the kernel has taken the programs on every interface.
    fn set_filter(&mut self) -> bool {
        let programs = self.programs.as_deref();
        let mut all = true;
        for source in &mut self.sources {
            all &= source.set_filter(programs);
        }
        all
    }

    /// One block of each ring, and what other workers have to say.
    fn turn(&mut self, counts: &mut Snapshot) {
        let now = self.peers.as_ref().map(|_| clock::wall());
        let mut seen_until = Timestamp::MAX;
        for index in 0..self.sources.len() {
            let newest = self.take_block(index, counts);
            if let (Some(peers), Some(now)) = (&self.peers, now) {
                seen_until = seen_until.min(newest.unwrap_or_else(|| peers.quiet_until(now)));
            }
        }
        let Self { analyser, alerts, peers, .. } = self;
        if let (Some(peers), Some(now)) = (peers, now) {
            let seen_until = seen_until.min(now);
            peers.listen(seen_until, now, analyser, &mut |alert| hand_over(alerts, alert, counts));
            counts.handoff_overflow = peers.handoff_overflow();
        }
    }

    /// One block of one ring; gives the time of its last frame if one was there.
    fn take_block(&mut self, index: usize, counts: &mut Snapshot) -> Option<Timestamp> {
        let Self { sources, analyser, alerts, memory, peers, .. } = self;
        let (block, taken, bytes) = sources.get_mut(index)?.next_block()?;
        counts.blocks += 1;
        if let Some(memory) = memory {
            block.frames().for_each(|frame| memory.keep(&frame));
        }
        let mut newest = Timestamp::ZERO;
        for frame in &block {
            *taken += 1;
            *bytes += u64::from(frame.wire_len);
            newest = frame.at;
            analyser.frame(&frame, &mut |alert| hand_over(alerts, alert, counts));
            if let Some(peers) = peers
                && let Some(report) = analyser.take_report()
            {
                peers.tell(report, analyser, &mut |alert| hand_over(alerts, alert, counts));
            }
        }
        if let Some(slot) = counts.interfaces.get_mut(index) {
            (slot.taken, slot.bytes) = (*taken, *bytes);
        }
        Some(newest)
    }

    fn nothing_waits(&mut self) -> bool {
        self.sources
            .iter_mut()
            .filter_map(CaptureInterface::ring_mut)
            .all(|ring| matches!(ring.wait(Duration::ZERO), Ok(WaitOutcome::TimedOut)))
    }

    /// No frame waits anywhere: time passes all the same.
    fn idle(&mut self, counts: &mut Snapshot) {
        let Self { analyser, alerts, .. } = self;
        let at = Timestamp::from_nanos(clock::wall().as_nanos().saturating_sub(TICK_BEHIND_NS));
        analyser.tick(at, &mut |alert| hand_over(alerts, alert, counts));
    }

    fn sleep(&mut self) {
        let rings = self.sources.iter().filter_map(CaptureInterface::ring);
        let mut entries: heapless::Vec<PollFd<'_>, { MAX_INTERFACES + 1 }> =
            rings.map(|ring| PollFd::new(ring, PollFlags::IN)).take(MAX_INTERFACES).collect();
        let _fits = entries.push(PollFd::new(&*self.wake.0, PollFlags::IN));
        let nap = self.peers.as_ref().and_then(|peers| peers.nap(clock::wall()));
        let span = nap.unwrap_or(MAX_SLEEP);
        let timeout = Timespec { tv_sec: 0, tv_nsec: span.subsec_nanos().into() };
        // An error is seen again by the next turn; a signal is for the other thread.
        let _woken = rustix::event::poll(&mut entries, Some(&timeout));
        let failed = entries.iter().any(|entry| entry.revents().intersects(PollFlags::ERR | PollFlags::NVAL));
        if failed {
            // The interface is down: reading the error clears it, or poll would not sleep again.
            for ring in self.sources.iter().filter_map(CaptureInterface::ring) {
                let _interface_down = ring.socket_error();
            }
        }
        self.wake.quiet();
    }

    /// Empties and closes the rings of interfaces that are gone, opens them when they are back, and asks the kernel.
    fn housekeeping(&mut self, counts: &mut Snapshot) {
        for index in 0..self.sources.len() {
            let is_over = self.sources.get(index).is_some_and(CaptureInterface::is_over);
            // To its end: the kernel adds nothing to the ring of an interface that is gone. Any other is left in the
            // middle, because its group is made anew.
            let blocks = if is_over { MAX_BLOCKS } else { 0 };
            for _ in 0..blocks {
                if self.take_block(index, counts).is_none() {
                    break;
                }
            }
            let programs = self.programs.as_deref();
            let Some(source) = self.sources.get_mut(index) else { continue };
            if is_over {
                source.close();
            } else if source.ring().is_none() {
                source.reopen(programs);
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
        let Self { analyser, alerts, peers, .. } = &mut self;
        if let Some(peers) = peers {
            peers.finish(analyser, &mut |alert| hand_over(alerts, alert, counts));
        }
        analyser.finish(&mut |alert| hand_over(alerts, alert, counts));
        self.housekeeping(counts);
        self.publish(counts);
        self.bell.ring();
    }
}

/// How a worker rests that found no block.
///
/// Poll comes back at every block. When blocks come faster than a worker can fall asleep and wake up, that is most of
/// its work; then it lets some gather. A nap is never so long that they fill more than a part of the ring.
#[derive(Debug)]
struct Rest {
    /// Blocks that may gather.
    most: u64,
    /// Times in a row that a block ended a sleep at once.
    hurried: u32,
    /// Zero while poll is used.
    nap: Duration,
    /// Blocks taken until the last nap.
    blocks: u64,
}

impl Rest {
    /// A sleep that ended sooner was hardly one.
    const HURRY: Duration = Duration::from_micros(300);
    const HURRIES: u32 = 8;
    const MIN_WAIT: Duration = Duration::from_micros(50);
    const MAX_WAIT: Duration = Duration::from_micros(400);
    /// The part of a ring that may be filled meanwhile, and the fewest blocks that leave room for a late awakening.
    const PART: u32 = 8;
    const MIN_FRAMES: u64 = 4;

    fn new(ring_blocks: u32) -> Self {
        let most = u64::from(ring_blocks / Self::PART);
        Self { most, hurried: 0, nap: Duration::ZERO, blocks: 0 }
    }

    /// Sleeps a little if blocks come fast, `blocks` having been taken so far; says whether it did.
    fn nap(&mut self, blocks: u64) -> bool {
        let nap = self.next(blocks);
        if !nap.is_zero() {
            std::thread::sleep(nap);
        }
        !nap.is_zero()
    }

    /// The next nap.
    fn next(&mut self, blocks: u64) -> Duration {
        let gathered = blocks - self.blocks;
        self.blocks = blocks;
        self.nap = match gathered {
            _ if self.nap.is_zero() => Duration::ZERO,
            // It has become quiet: poll again.
            0 => Duration::ZERO,
            gathered if gathered <= self.most / 2 => (self.nap * 2).min(Self::MAX_WAIT),
            gathered if gathered <= self.most => self.nap,
            _ => (self.nap / 2).max(Self::MIN_WAIT),
        };
        self.nap
    }

    /// Poll took so long.
    fn slept(&mut self, span: Duration) {
        self.hurried = if span < Self::HURRY { self.hurried + 1 } else { 0 };
        if self.hurried >= Self::HURRIES && self.most >= Self::MIN_FRAMES {
            (self.hurried, self.nap) = (0, Self::MIN_WAIT);
        }
    }
}

/// Gives an alert to the other thread, or counts it as lost.
fn hand_over(alerts: &mut Producer<'static, Option<Alert>>, alert: Alert, counts: &mut Snapshot) {
    counts.raised += 1;
    let severity = alert.severity;
    if alerts.enqueue(Some(alert)).is_err() {
        *match severity {
            Severity::Info => &mut counts.lost_info,
            Severity::Low => &mut counts.lost_low,
            Severity::Medium => &mut counts.lost_medium,
            Severity::High => &mut counts.lost_high,
            Severity::Critical => &mut counts.lost_critical,
        } += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_naps_only_while_blocks_come_fast() {
        let mut rest = Rest::new(64);
        let micros = Duration::from_micros;
        for _ in 0..20 {
            assert!(rest.next(1).is_zero(), "a block every two milliseconds");
            rest.slept(micros(2_000));
        }
        for _ in 0..Rest::HURRIES {
            assert!(rest.next(1).is_zero());
            rest.slept(micros(100));
        }
        assert_eq!([2, 4, 8, 12].map(|blocks| rest.next(blocks)), [100, 200, 400, 400].map(micros));
        assert_eq!(rest.next(20), micros(400));
        assert_eq!([30, 40, 50, 60].map(|blocks| rest.next(blocks)), [200, 100, 50, 50].map(micros));
        assert!(rest.next(60).is_zero() && rest.next(61).is_zero(), "it has become quiet");
        let mut small = Rest::new(16);
        for _ in 0..20 {
            small.slept(micros(10));
            assert!(small.next(1).is_zero(), "a nap could fill the ring");
        }
    }
}
