//! Capture loop over the rings of several interfaces: `run` and `capture` are visitors of this one loop.
//!
//! Each iteration reads at most one block of each ring, so that no interface starves another, then sleeps if there was
//! none. Once a second the rings of interfaces that vanished are drained and closed, and opened again when their
//! interface is back.

use std::ops::ControlFlow;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use sentinel_capture::Frame;
use sentinel_capture::ring::{Block, OpenError, Ring, WaitOutcome};
use sentinel_units::{Timestamp, Uptime};

use crate::limits::MAX_INTERFACES;
use crate::system::clock::{self, Clock};
use crate::system::signals::poll;
use crate::terminal::failure::Failure;
use crate::terminal::log;
use crate::worker::idle::IdleBackoff;
use crate::worker::interface::{CaptureInterface, FrameTotals, RingOptions};
use crate::worker::kernel_filters::KernelFilters;

/// Longest sleep: bounds how late a closing alert comes without traffic.
pub(crate) const MAX_SLEEP: Duration = Duration::from_millis(250);
/// Ticks of an idle analysis are so far behind the clock that no frame still in the kernel is older: packet time alone
/// decides.
const TICK_DELAY: Duration = Duration::from_secs(2);
/// Time between two checks of the interfaces, and two readings of the kernel's counters, which have 32 bits.
const HOUSEKEEPING_INTERVAL: Duration = Duration::from_secs(1);

/// Result of a step: continue, or end the loop.
pub(crate) type Flow = Result<ControlFlow<()>, Failure>;

/// Work of a program on the blocks of its rings.
///
/// A trait object called once for each block: a generic parameter would have the loop over the frames compiled where
/// the loop is, and a call for each frame costs 8 instructions.
pub(crate) trait CaptureVisitor {
    /// Starts an iteration, before the rings are read: commands, timers, the end.
    fn start_iteration(&mut self, rings: &mut RingSet, now: Uptime) -> Flow;

    /// Begins or ends work on a ring that takes as long as the kernel does: it is opened or closed.
    fn rings_change(&mut self, _is_under_way: bool) {}

    /// Takes the frames of a block of ring `index`, adds them to `totals`, and returns the time of the last one, or
    /// `Break` to end the loop.
    fn block(
        &mut self,
        index: usize,
        block: &Block<'_>,
        totals: &mut FrameTotals,
    ) -> Result<ControlFlow<(), Timestamp>, Failure>;

    /// Takes a block of canary frames.
    fn canary_block(&mut self, _block: &Block<'_>) {}

    /// Ends the reading of the rings. Every frame before `complete_until` has been taken from the rings that had a
    /// block; `is_any_empty` if a ring had none. `Break` ends the loop.
    fn rings_read(&mut self, complete_until: Timestamp, is_any_empty: bool) -> Flow;

    /// Lets time pass up to `now`: no ring has a block.
    fn idle(&mut self, now: Timestamp) -> Result<(), Failure>;

    /// Follows the housekeeping, after which the counts of `rings` are up to date.
    fn interfaces_checked(&mut self, rings: &mut RingSet) -> Result<(), Failure>;

    /// Reports that an interface went down. Its ring stays open.
    fn interface_down(&mut self, _name: &str) {}

    /// Ends an iteration.
    fn end_iteration(&mut self, is_after_housekeeping: bool) -> Result<(), Failure>;

    /// Descriptor that ends a sleep.
    fn wake(&self) -> BorrowedFd<'_>;

    /// Follows a sleep.
    fn woken(&mut self) {}

    /// Longest sleep now.
    fn max_sleep(&self) -> Duration {
        MAX_SLEEP
    }
}

/// Rings of one thread, one for each captured interface.
#[derive(Debug)]
pub(crate) struct RingSet {
    interfaces: Vec<CaptureInterface>,
    /// Ring of the canary frames, which is no captured interface: nothing in it is counted.
    canary: Option<Ring>,
    /// Filters of rings that are opened again; `None` while capturing is stopped.
    filters: Option<Box<KernelFilters>>,
    clock: Clock,
    idle: IdleBackoff,
    /// Blocks of each ring.
    ring_blocks: u32,
    /// Blocks taken from all rings.
    blocks: u64,
    housekeeping_due: Uptime,
}

/// Filter that the kernel does not take, and the interface.
#[derive(Clone, Debug)]
pub(crate) struct FilterRejected {
    pub(crate) interface: String,
    pub(crate) error: OpenError,
}

impl std::fmt::Display for FilterRejected {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { interface, error } = self;
        write!(out, "filter: refused by the kernel on interface '{interface}': {error}")
    }
}

impl RingSet {
    /// For interfaces that are open with `options`; they refuse every frame until [`RingSet::set_filters`].
    pub(crate) fn new(interfaces: Vec<CaptureInterface>, options: &RingOptions, clock: Clock) -> Self {
        let housekeeping_due = clock.uptime().after(HOUSEKEEPING_INTERVAL);
        let ring_blocks = options.blocks();
        let idle = IdleBackoff::new(ring_blocks);
        Self {
            interfaces,
            canary: None,
            filters: None,
            clock,
            idle,
            ring_blocks,
            blocks: 0,
            housekeeping_due,
        }
    }

    /// Takes canary frames from this ring too.
    pub(crate) fn set_canary(&mut self, ring: Option<Ring>) {
        self.canary = ring;
    }

    /// Interfaces in the order of their numbers.
    pub(crate) fn interfaces(&mut self) -> &mut [CaptureInterface] {
        &mut self.interfaces
    }

    /// Sets the filters of all rings, also of those that are opened later. `None` refuses every frame.
    ///
    /// # Errors
    /// The kernel refuses one of the programs. All other rings have theirs.
    pub(crate) fn set_filters(&mut self, filters: Option<Box<KernelFilters>>) -> Result<(), FilterRejected> {
        // Kept also if a ring refuses them, and every ring is tried: otherwise the filter of a ring would depend on its
        // place in the order.
        self.filters = filters;
        let mut outcome = Ok(());
        for interface in &mut self.interfaces {
            if let Err(error) = interface.set_filter(self.filters.as_deref()) {
                outcome = Err(FilterRejected { interface: interface.name().to_owned(), error });
            }
        }
        outcome
    }

    /// Runs the loop until `visitor` ends it.
    ///
    /// # Errors
    /// Those of `visitor`.
    pub(crate) fn run(&mut self, visitor: &mut dyn CaptureVisitor) -> Result<(), Failure> {
        loop {
            let now = self.clock.uptime();
            if visitor.start_iteration(self, now)?.is_break() {
                return Ok(());
            }
            let is_housekeeping = now >= self.housekeeping_due;
            if is_housekeeping {
                // Counted from now, not from when it was due: after a suspension one check follows, not one for each
                // second missed.
                self.housekeeping_due = now.after(HOUSEKEEPING_INTERVAL);
                if self.housekeeping(visitor)?.is_break() {
                    return Ok(());
                }
            }
            let blocks = self.blocks;
            if self.read(visitor)?.is_break() {
                return Ok(());
            }
            if self.blocks == blocks {
                self.sleep(visitor)?;
            }
            visitor.end_iteration(is_housekeeping)?;
        }
    }

    /// Reads at most one block of each ring.
    fn read(&mut self, visitor: &mut dyn CaptureVisitor) -> Flow {
        // Least time of a last frame. Each ring is in the order of time, so every earlier frame of the rings that had a
        // block has been taken.
        let (mut complete_until, mut is_any_empty) = (Timestamp::MAX, false);
        for index in 0..self.interfaces.len() {
            match self.take_block(index, visitor)? {
                ControlFlow::Break(()) => return Ok(ControlFlow::Break(())),
                ControlFlow::Continue(Some(last)) => complete_until = complete_until.min(last),
                ControlFlow::Continue(None) => is_any_empty = true,
            }
        }
        if let Some(block) = self.canary.as_mut().and_then(Ring::next_block) {
            visitor.canary_block(&block);
        }
        // Still `MAX` if no ring had a block: the visitor bounds it by the clock.
        visitor.rings_read(complete_until, is_any_empty)
    }

    /// Takes one block of one ring; gives the time of its last frame, or `None` if no block was ready.
    fn take_block(
        &mut self,
        index: usize,
        visitor: &mut dyn CaptureVisitor,
    ) -> Result<ControlFlow<(), Option<Timestamp>>, Failure> {
        let Some((block, totals)) = self.interfaces.get_mut(index).and_then(CaptureInterface::next_block)
        else {
            return Ok(ControlFlow::Continue(None));
        };
        self.blocks += 1;
        // The block is dropped, and its memory returned to the kernel, when the visitor is done with all frames.
        visitor.block(index, &block, totals).map(|flow| flow.map_continue(Some))
    }

    /// Drains and closes the rings of interfaces that vanished, opens them when they are back, and reads the kernel's
    /// counters.
    pub(crate) fn housekeeping(&mut self, visitor: &mut dyn CaptureVisitor) -> Flow {
        for index in 0..self.interfaces.len() {
            let Some(interface) = self.interfaces.get_mut(index) else { break };
            if interface.must_close() {
                // One pass over the ring empties it: the kernel adds nothing to the ring of a vanished interface. A ring
                // that is closed because its group dissolves may get more, which counts as dropped.
                for _ in 0..self.ring_blocks {
                    match self.take_block(index, visitor)? {
                        ControlFlow::Break(()) => return Ok(ControlFlow::Break(())),
                        ControlFlow::Continue(None) => break,
                        ControlFlow::Continue(Some(_)) => {}
                    }
                }
                if let Some(interface) = self.interfaces.get_mut(index) {
                    visitor.rings_change(true);
                    interface.close();
                    visitor.rings_change(false);
                }
            } else if interface.ring().is_none() {
                visitor.rings_change(true);
                let reopened = interface.reopen(self.filters.as_deref());
                visitor.rings_change(false);
                // While the interface is absent the error is expected; a ring without its filter is reported.
                if let (Err(error), true) = (reopened, interface.ring().is_some()) {
                    let rejected = FilterRejected { interface: interface.name().to_owned(), error };
                    log::error(format_args!("{rejected}; nothing is captured on it"));
                }
            }
        }
        visitor.interfaces_checked(self)?;
        Ok(ControlFlow::Continue(()))
    }

    /// Sleeps because no ring had a block, for a moment while blocks come fast, else until one comes.
    fn sleep(&mut self, visitor: &mut dyn CaptureVisitor) -> Result<(), Failure> {
        let span = self.idle.next_sleep(self.blocks);
        if !span.is_zero() {
            std::thread::sleep(span);
            return Ok(());
        }
        let start = self.clock.elapsed();
        // Then the eventfd is cleared, then the next iteration reads queues and flags. A signal that comes after the
        // clearing ends the next poll, and what an earlier one announced is found in the queues: none is lost.
        self.poll(visitor);
        visitor.woken();
        self.idle.polled(self.clock.elapsed().saturating_sub(start));
        // Frames that wait in a block are analysed before the clock advances past them.
        if self.is_empty() {
            let now = Timestamp::ZERO.after(clock::wall().since(Timestamp::ZERO).saturating_sub(TICK_DELAY));
            visitor.idle(now)?;
        }
        Ok(())
    }

    /// Waits for a block of any ring, or for the visitor's descriptor.
    fn poll(&self, visitor: &mut dyn CaptureVisitor) {
        let timeout = visitor.max_sleep();
        let is_failed = {
            let rings = self.interfaces.iter().filter_map(CaptureInterface::ring).take(MAX_INTERFACES);
            let mut entries: heapless::Vec<PollFd<'_>, { MAX_INTERFACES + 2 }> =
                rings.chain(&self.canary).map(|ring| PollFd::new(ring, PollFlags::IN)).collect();
            let wake = visitor.wake();
            let _has_room = entries.push(PollFd::from_borrowed_fd(wake, PollFlags::IN));
            // An error is found again by the next iteration; EINTR is as good as a wake-up.
            let _ready = poll(&mut entries, Some(timeout));
            entries.iter().any(|entry| entry.revents().intersects(PollFlags::ERR | PollFlags::NVAL))
        };
        if is_failed {
            // An interface is down: reading the error clears it, else poll would not sleep again.
            let _loopback_is_down = self.canary.as_ref().map(Ring::socket_error);
            for interface in &self.interfaces {
                let outcome = interface.ring().map(Ring::socket_error);
                if let Some(Ok(WaitOutcome::InterfaceDown)) = outcome {
                    visitor.interface_down(interface.name());
                }
            }
        }
    }

    fn is_empty(&mut self) -> bool {
        let mut rings = self.interfaces.iter_mut().filter_map(CaptureInterface::ring_mut);
        rings.all(|ring| matches!(ring.wait(Duration::ZERO), Ok(WaitOutcome::TimedOut)))
    }

    /// Takes the frames that came before `end` and lie in a block that the kernel still fills; waits `timeout` for
    /// such a block of each ring.
    ///
    /// # Errors
    /// Those of `visit`.
    pub(crate) fn last_frames(
        &mut self,
        end: Timestamp,
        timeout: Duration,
        visit: &mut dyn FnMut(&Frame<'_>) -> Flow,
    ) -> Result<(), Failure> {
        for interface in &mut self.interfaces {
            // Ends at the first wait without a block, or at a frame after `end`: under steady traffic there is always
            // another block.
            while let Some(Ok(WaitOutcome::Ready)) = interface.ring_mut().map(|ring| ring.wait(timeout)) {
                let Some((block, totals)) = interface.next_block() else { break };
                let mut is_past_end = false;
                for frame in &block {
                    totals.frames += 1;
                    totals.bytes += u64::from(frame.wire_len);
                    is_past_end |= frame.at > end;
                    if frame.at <= end && visit(&frame)?.is_break() {
                        return Ok(());
                    }
                }
                if is_past_end {
                    break;
                }
            }
        }
        Ok(())
    }
}
