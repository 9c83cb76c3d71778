//! Analysis thread: blocks of the rings in, alerts, reports to other workers and counters out.
//!
//! After its start it allocates nothing for a frame, and makes no system call but those of the rings, `write(2)` on an
//! eventfd after a block that raised alerts, and reading the kernel's counters once a second.

use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use heapless::spsc::{Consumer, Producer};
use sentinel_alert::{Alert, Severity};
use sentinel_capture::ring::Block;
use sentinel_detect::CANARY_FRAME;
use sentinel_units::{Timestamp, Uptime};

use crate::system::clock::{self, Clock};
use crate::system::prefault;
use crate::system::wake::EventFd;
use crate::terminal::failure::Failure;
use crate::terminal::log;
use crate::worker::analyser::Analyser;
use crate::worker::canary;
use crate::worker::command::{AlertProducer, Command, NumberedCommand, Reply};
use crate::worker::devices::DevicePublisher;
use crate::worker::interface::{CaptureInterface, FrameTotals};
use crate::worker::packet_memory::PacketMemory;
use crate::worker::pulse::{CANARY_INTERVAL, Phase, Pulse};
use crate::worker::ring_set::{CaptureVisitor, Flow, MAX_SLEEP, RingSet};
use crate::worker::siblings::SiblingWorkers;
use crate::worker::snapshot::{Snapshot, SnapshotCell};

/// Bytes of stack below [`Worker::run`] that are written to at start. Every frame of the corpus needs less: 6 KiB.
const STACK_BYTES_BELOW: usize = 8 * 1024;

/// State of a worker besides its rings.
pub(crate) struct Worker {
    pub(crate) analyser: Box<Analyser>,
    pub(crate) alerts: AlertProducer,
    pub(crate) commands: Consumer<'static, NumberedCommand>,
    pub(crate) replies: Producer<'static, Reply>,
    pub(crate) snapshot_cell: &'static SnapshotCell,
    /// Stations, if this is the worker that all of them are shown to.
    pub(crate) devices: Option<DevicePublisher>,
    /// Wakes the control thread for alerts.
    pub(crate) alert_event: EventFd,
    /// Wakes the control thread for replies.
    pub(crate) reply_event: EventFd,
    /// Wakes this worker.
    pub(crate) wake: EventFd,
    pub(crate) stop: &'static AtomicBool,
    /// Signs of life for the watchdog.
    pub(crate) pulse: &'static Pulse,
    pub(crate) clock: Clock,
    /// Time of the next canary packet.
    pub(crate) canary_due: Uptime,
    /// Other workers, if there are any.
    pub(crate) siblings: Option<SiblingWorkers>,
    /// Newest frames, if they are kept.
    pub(crate) memory: Option<PacketMemory>,
    pub(crate) counts: Snapshot,
    /// Counts at the start of the iteration.
    pub(crate) before: Progress,
    /// Time of day before the rings were read; only with siblings.
    pub(crate) read_at: Timestamp,
}

/// Work done so far.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Progress {
    blocks: u64,
    raised: u64,
}

impl Worker {
    /// Captures until the flag `stop` is set, then closes all incidents.
    pub(crate) fn run(&mut self, mut rings: RingSet) {
        let _says_so_also_if_it_panics = ThreadEnd(self.pulse);
        self.pulse.start();
        prefault::stack::<STACK_BYTES_BELOW>();
        self.analyser.enter_thread();
        // At once, so that the first status has the state of the interfaces.
        let outcome = rings.housekeeping(self).inspect(|_| self.publish()).and_then(|_| rings.run(self));
        self.pulse.set_phase(Phase::Busy);
        self.finish(&mut rings);
        if let Err(failure) = outcome {
            log::error(format_args!("worker: {failure}"));
        }
    }

    /// Analyses a canary packet by the function that the frames of a block take. It leaves nothing in tables and counters.
    fn canary(&mut self, now: Uptime) {
        self.canary_due = now.after(CANARY_INTERVAL);
        let Self { analyser, alerts, counts, clock, .. } = self;
        let start = clock.elapsed();
        let is_right = analyser.canary(&CANARY_FRAME, &mut |alert| enqueue(alerts, alert, counts));
        self.pulse.canary(is_right, now, self.clock.elapsed().saturating_sub(start));
    }

    fn execute(&mut self, command: Command, rings: &mut RingSet) -> Reply {
        let mut outcome = Ok(None);
        match command {
            Command::Reconfigure(config) => self.analyser.reconfigure(&config),
            Command::Close => {
                outcome = rings.set_filters(None).map(|()| None);
                // The kernel's counters now hold everything that passed the old filter.
                let _never_fails = rings.housekeeping(self);
            }
            Command::Open(filters) => outcome = rings.set_filters(Some(filters)).map(|()| None),
            Command::Copy(mut copy) => {
                if let Some(memory) = &self.memory {
                    memory.copy_to(&mut copy);
                }
                outcome = Ok(Some(copy));
            }
        }
        // Before the reply: the control thread computes with these counts once it has it.
        self.publish();
        Reply { number: 0, outcome }
    }

    fn publish(&mut self) {
        let Self { analyser, counts, .. } = self;
        let engine = analyser.engine();
        let losses = engine.losses();
        let frames = analyser.counts();
        counts.analysed = frames.analysed;
        counts.unsupported = frames.unsupported;
        counts.malformed = frames.malformed;
        counts.truncated = frames.truncated;
        counts.evictions = losses.evictions;
        counts.closed_early = losses.closed_early;
        counts.unread_messages = losses.unread_messages;
        counts.allowed = losses.allowed;
        counts.unread_payloads = losses.unread_payloads;
        counts.open_incidents = engine.open_incidents().0.into();
        self.snapshot_cell.publish(*counts);
    }

    fn finish(&mut self, rings: &mut RingSet) {
        let Self { analyser, alerts, siblings, counts, .. } = self;
        // Pending flows first: their decision may open incidents, which the analyser then closes.
        if let Some(siblings) = siblings {
            siblings.finish(analyser, &mut |alert| enqueue(alerts, alert, counts));
        }
        analyser.finish(&mut |alert| enqueue(alerts, alert, counts));
        if let Some(devices) = &mut self.devices {
            devices.publish(&mut self.analyser);
        }
        let _never_fails = rings.housekeeping(self);
        self.publish();
        self.alert_event.notify();
    }

    const fn progress(&self) -> Progress {
        Progress { blocks: self.counts.blocks, raised: self.counts.raised }
    }
}

impl CaptureVisitor for Worker {
    fn start_iteration(&mut self, rings: &mut RingSet, now: Uptime) -> Flow {
        self.pulse.beat();
        // Relaxed: nothing else is read because of the flag. The control thread sets it without waking the worker, so the
        // end comes up to `max_sleep` later.
        if self.stop.load(Ordering::Relaxed) {
            return Ok(ControlFlow::Break(()));
        }
        self.before = self.progress();
        while let Some(NumberedCommand { number, command }) = self.commands.dequeue() {
            self.pulse.set_phase(Phase::Busy);
            let reply = Reply { number, ..self.execute(command, rings) };
            let _has_room = self.replies.enqueue(reply);
            self.reply_event.notify();
        }
        // Here and not at the start of the thread: what comes before may take as long as the kernel takes.
        self.pulse.set_phase(Phase::Loop);
        if now >= self.canary_due {
            self.canary(now);
        }
        if self.siblings.is_some() {
            // Before the rings are read: a ring that is empty then had no frame that is older than the block timeout.
            self.read_at = clock::wall();
        }
        Ok(ControlFlow::Continue(()))
    }

    fn rings_change(&mut self, is_under_way: bool) {
        self.pulse.set_phase(if is_under_way { Phase::Busy } else { Phase::Loop });
    }

    fn block(
        &mut self,
        index: usize,
        block: &Block<'_>,
        totals: &mut FrameTotals,
    ) -> Result<ControlFlow<(), Timestamp>, Failure> {
        let Self { analyser, alerts, memory, siblings, counts, .. } = self;
        counts.blocks += 1;
        if let Some(memory) = memory {
            // A loop of its own: without packet memory, which is the default, the loop below has no check for it.
            block.frames().for_each(|frame| memory.keep(&frame));
        }
        let mut newest = Timestamp::ZERO;
        // Every frame of the block is processed before the block goes back to the kernel, so nothing is copied.
        for frame in block {
            totals.frames += 1;
            totals.bytes += u64::from(frame.wire_len);
            newest = frame.at;
            analyser.frame(&frame, &mut |alert| enqueue(alerts, alert, counts));
            // The report is taken after each frame, because the engine keeps one only.
            if let Some(siblings) = siblings
                && let Some(report) = analyser.take_report()
            {
                siblings.hand_off(report, analyser, &mut |alert| enqueue(alerts, alert, counts));
            }
        }
        if let Some(slot) = counts.interfaces.get_mut(index) {
            (slot.taken, slot.bytes) = (totals.frames, totals.bytes);
        }
        Ok(ControlFlow::Continue(newest))
    }

    /// The canary packet in a frame from the kernel takes the way of every captured frame, and leaves no trace. A frame that is
    /// not the one under way is passed over: nobody but the control thread knows its number.
    #[cold]
    fn canary_block(&mut self, block: &Block<'_>) {
        let Self { analyser, alerts, counts, pulse, .. } = self;
        for frame in block {
            let Some((number, packet)) = canary::parse(frame.bytes) else { continue };
            if pulse.takes_frame(number)
                && analyser.canary(packet, &mut |alert| enqueue(alerts, alert, counts))
            {
                pulse.hear();
            }
        }
    }

    fn rings_read(&mut self, complete_until: Timestamp, is_any_empty: bool) -> Flow {
        let Self { analyser, alerts, siblings: Some(siblings), counts, read_at, .. } = self else {
            return Ok(ControlFlow::Continue(()));
        };
        let now = *read_at;
        let complete_until = complete_until.min(now);
        // A ring without a block is complete up to what the kernel may still hold back.
        let complete_until =
            if is_any_empty { complete_until.min(siblings.idle_watermark(now)) } else { complete_until };
        siblings.synchronize(complete_until, now, analyser, &mut |alert| enqueue(alerts, alert, counts));
        counts.handoff_overflow = siblings.handoff_overflow();
        Ok(ControlFlow::Continue(()))
    }

    fn idle(&mut self, now: Timestamp) -> Result<(), Failure> {
        let Self { analyser, alerts, counts, .. } = self;
        analyser.tick(now, &mut |alert| enqueue(alerts, alert, counts));
        Ok(())
    }

    fn interfaces_checked(&mut self, rings: &mut RingSet) -> Result<(), Failure> {
        let interfaces = rings.interfaces().iter_mut().map(CaptureInterface::counts);
        for (slot, counts) in self.counts.interfaces.iter_mut().zip(interfaces) {
            *slot = counts;
        }
        Ok(())
    }

    fn end_iteration(&mut self, is_after_housekeeping: bool) -> Result<(), Failure> {
        let progress = self.progress();
        if is_after_housekeeping && let Some(devices) = &mut self.devices {
            devices.publish(&mut self.analyser);
        }
        if progress != self.before || is_after_housekeeping {
            self.publish();
        }
        // After publishing: the control thread then reads how many alerts the full queue lost.
        if progress.raised != self.before.raised {
            self.alert_event.notify();
        }
        Ok(())
    }

    fn wake(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    fn woken(&mut self) {
        self.wake.clear();
    }

    fn max_sleep(&self) -> Duration {
        let siblings = self.siblings.as_ref();
        siblings.and_then(|siblings| siblings.max_sleep(clock::wall())).unwrap_or(MAX_SLEEP)
    }
}

/// Says that the thread has ended, when dropped.
struct ThreadEnd(&'static Pulse);

impl Drop for ThreadEnd {
    fn drop(&mut self) {
        self.0.set_phase(Phase::Ended);
    }
}

/// Gives an alert to the control thread, or counts it as lost if the queue is full.
fn enqueue(alerts: &mut AlertProducer, alert: Alert, counts: &mut Snapshot) {
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

    /// Without supervision the sensor kept running after the panic of a worker and reported no error.
    #[test]
    fn a_worker_that_panics_is_known_to_have_ended() {
        let pulse: &'static Pulse = Box::leak(Box::default());
        let worker = std::thread::spawn(move || {
            let _says_so = ThreadEnd(pulse);
            std::panic::resume_unwind(Box::new("as a bug would"));
        });
        assert!(worker.join().is_err());
        assert_eq!(pulse.read().phase, Phase::Ended);
    }
}
