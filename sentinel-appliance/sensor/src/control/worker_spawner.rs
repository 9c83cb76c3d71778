//! Start of the worker threads, with the queues between them and the control thread.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use heapless::spsc::Queue;
use sentinel_alert::Alert;
use sentinel_capture::ring::Ring;
use sentinel_track::hash::HashKey;
use sentinel_units::{Timestamp, Uptime};

use crate::control::accounting::FilterAccounting;
use crate::control::state::WorkerThreads;
use crate::control::watchdog::Watchdog;
use crate::control::workers::{OpenFilters, WorkerHandle, Workers};
use crate::settings::Settings;
use crate::system::clock::{self, Clock};
use crate::system::prefault;
use crate::system::thread;
use crate::system::wake::EventFd;
use crate::terminal::failure::Failure;
use crate::worker::analyser::{Analyser, LiveConfig};
use crate::worker::command::{ALERT_QUEUE_LEN, COMMAND_QUEUE_LEN, NumberedCommand, REPLY_QUEUE_LEN, Reply};
use crate::worker::devices;
use crate::worker::event_loop::{Progress, Worker};
use crate::worker::fanout::FanoutGroup;
use crate::worker::interface::{CaptureInterface, RingOptions};
use crate::worker::kernel_filters::KernelFilters;
use crate::worker::memory;
use crate::worker::packet_memory::PacketMemory;
use crate::worker::ring_set::RingSet;
use crate::worker::siblings;
use crate::worker::snapshot::{Snapshot, SnapshotCell, SnapshotCells};

const WORKER_STACK_BYTES: usize = 128 * 1024;
/// Stack on which an engine is built: its frames take 90 KiB on x86-64.
const BUILD_STACK_BYTES: usize = 256 * 1024;

/// Parameters that all workers share.
pub(crate) struct WorkerSpawner<'s> {
    pub(crate) settings: &'s Settings,
    /// Key of the hash tables.
    pub(crate) seed: u64,
    pub(crate) fanout: &'static FanoutGroup,
    pub(crate) config: Arc<LiveConfig>,
    pub(crate) filters: &'s KernelFilters,
    pub(crate) clock: Clock,
    pub(crate) watchdog: &'static Watchdog,
}

/// Descriptors and flags that all workers share.
struct Signals {
    alert_event: EventFd,
    reply_event: EventFd,
    stop: &'static AtomicBool,
}

impl WorkerSpawner<'_> {
    /// Starts one worker for each list of interfaces, in that order; each takes one of `canaries`, as far as there are any.
    ///
    /// Not inlined: the control thread uses this part of the stack again.
    #[inline(never)]
    pub(crate) fn start(
        self,
        interfaces: Vec<Vec<CaptureInterface>>,
        canaries: Vec<Ring>,
        accounting: FilterAccounting,
    ) -> Result<(Workers, WorkerThreads), Failure> {
        let count = interfaces.len();
        let failed = |error: io::Error| Failure::new(format!("starting a worker: {error}"));
        let cells: &'static [SnapshotCell] =
            Box::leak((0..count).map(|_| SnapshotCell::new()).collect::<Vec<_>>().into_boxed_slice());
        let (known, are_all) = devices::read(&self.settings.state_dir);
        let mut keeper = None;
        let kept_frames = usize::try_from(self.settings.max_packets).unwrap_or(0).div_ceil(count.max(1));
        let signals = Signals {
            alert_event: self.watchdog.alert_event.clone(),
            reply_event: EventFd::new().map_err(failed)?,
            stop: Box::leak(Box::new(AtomicBool::new(false))),
        };
        // Made before any worker: each needs the descriptors of all others.
        let wakes = (0..count).map(|_| EventFd::new()).collect::<Result<Vec<_>, _>>().map_err(failed)?;
        let siblings = siblings::connect(self.fanout, &wakes, self.settings.block_timeout, clock::wall());
        let (mut handles, mut alerts, mut threads) = (Vec::new(), Vec::new(), Vec::new());
        let mut canaries = canaries.into_iter();
        let states = cells.iter().zip(&self.watchdog.pulses);
        let parts = interfaces.into_iter().zip(states).zip(wakes.into_iter().zip(siblings));
        for (index, ((interfaces, (cell, pulse)), (wake, siblings))) in (0..).zip(parts) {
            let (alert_producer, alert_consumer) = prefault::queue::<Alert, ALERT_QUEUE_LEN>().split();
            // Not prefaulted, nor are the replies: operators send commands, traffic does not.
            let commands: &'static mut Queue<NumberedCommand, COMMAND_QUEUE_LEN> = Box::leak(Box::default());
            let (command_producer, commands) = commands.split();
            let replies: &'static mut Queue<Reply, REPLY_QUEUE_LEN> = Box::leak(Box::default());
            let (reply_producer, replies) = replies.split();
            let mut analyser = self.analyser(index, siblings.is_some()).map_err(failed)?;
            analyser.restore_devices(&known, are_all);
            let publisher = (index == 0).then(|| devices::connect(&mut analyser));
            let publisher = publisher.map(|(publisher, end)| {
                keeper = Some(end);
                publisher
            });
            let mut worker = Box::new(Worker {
                analyser,
                alerts: alert_producer,
                commands,
                replies: reply_producer,
                snapshot_cell: cell,
                devices: publisher,
                alert_event: signals.alert_event.clone(),
                reply_event: signals.reply_event.clone(),
                wake: wake.clone(),
                stop: signals.stop,
                pulse,
                clock: self.clock,
                canary_due: Uptime::ZERO,
                siblings,
                memory: (kept_frames > 0).then(|| PacketMemory::new(kept_frames)),
                counts: Snapshot::default(),
                before: Progress::default(),
                read_at: Timestamp::ZERO,
            });
            // From here on the kernel fills these rings; frames wait there until the thread runs.
            let rings = self.rings(interfaces, canaries.next())?;
            let work = Box::new(move || worker.run(rings));
            // It may run before the next worker is built: reports to that one wait in the queues.
            threads.push(thread::start("worker", WORKER_STACK_BYTES, work).map_err(failed)?);
            handles.push(WorkerHandle { commands: command_producer, replies, wake });
            alerts.push(alert_consumer);
        }
        let Signals { alert_event, reply_event, stop } = signals;
        let refuses_frames = !self.settings.filter.is_empty();
        let filters = OpenFilters { filters: self.filters.clone(), refuses_frames };
        let workers = Workers::new(
            (SnapshotCells(cells), keeper),
            handles,
            reply_event,
            kept_frames,
            accounting,
            filters,
        );
        Ok((workers, WorkerThreads { alerts, alert_event, stop, threads }))
    }

    fn analyser(&self, index: u32, has_siblings: bool) -> io::Result<Box<Analyser>> {
        let (config, seed, workers) = (Arc::clone(&self.config), self.seed, self.settings.workers);
        let memory_kib = memory::share(self.settings.memory_kib, workers);
        let make = move || Analyser::new(memory_kib, HashKey::new(seed), &config);
        let mut analyser = thread::aside(BUILD_STACK_BYTES, make)?;
        if has_siblings {
            analyser.set_shard(index, workers);
        }
        Ok(analyser)
    }

    fn rings(&self, interfaces: Vec<CaptureInterface>, canary: Option<Ring>) -> Result<RingSet, Failure> {
        let options = RingOptions::for_worker(self.settings);
        let mut rings = RingSet::new(interfaces, &options, self.clock);
        rings.set_canary(canary);
        rings.set_filters(Some(Box::new(self.filters.clone()))).map_err(Failure::new)?;
        Ok(rings)
    }
}
