//! The control thread: one executor for spool, uplink, status socket and signals.

use std::cell::{Cell, RefCell};
use std::os::unix::net::{UnixListener, UnixStream};
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use heapless::spsc::Consumer;
use sentinel_alert::Alert;
use sentinel_units::{Timestamp, Uptime, millis};
use sentinel_uplink::{Counter, KeyPair, Telemetry};
use smol::io::AsyncReadExt;
use smol::{Async, LocalExecutor, Task, Timer, future};

use crate::control::reload::{Reload, reload_settings};
use crate::control::supervision;
use crate::control::uplink::{self, DisconnectReason};
use crate::control::visibility::Visibility;
use crate::control::workers::Workers;
use crate::settings::Settings;
use crate::spool::Spool;
use crate::system::clock::Clock;
use crate::system::keys::{self, Collector};
use crate::system::prefault;
use crate::system::signals::{END, HANG_UP, caught};
use crate::terminal::failure::Failure;
use crate::terminal::log;
use crate::worker::event_loop::EventFd;

/// A bell may be missed only if the eventfd fails; looking this often bounds the harm.
const LOOK_ANYWAY: Duration = Duration::from_secs(1);
/// Time between two looks at the start whether all workers work.
const LOOK_FOR_WORKERS: Duration = Duration::from_millis(1);

/// Where the uplink stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum LinkPhase {
    /// Switched off by the settings.
    Disabled,
    /// `sentinel enroll` has not been run.
    NotEnrolled,
    /// A connection is being made.
    Connecting,
    /// The collector has said welcome.
    Connected,
    /// Waiting until the next attempt.
    Waiting,
}

impl LinkPhase {
    /// Name in machine output.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::NotEnrolled => "not_enrolled",
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::Waiting => "waiting",
        }
    }
}

/// What status says of the uplink.
#[derive(Clone, Debug)]
pub(crate) struct LinkState {
    pub(crate) phase: LinkPhase,
    pub(crate) since: Uptime,
    /// Connections lost or not made since the start.
    pub(crate) failures: u64,
    pub(crate) last_error: Option<String>,
}

/// A flag that tasks wait for.
#[derive(Debug)]
pub(crate) struct Notify {
    sender: smol::channel::Sender<()>,
    receiver: smol::channel::Receiver<()>,
}

impl Notify {
    fn new() -> Self {
        let (sender, receiver) = smol::channel::bounded(1);
        Self { sender, receiver }
    }

    /// There is something; said once or often before anybody waits, it wakes once.
    pub(crate) fn tell(&self) {
        let _told_already = self.sender.try_send(());
    }

    /// Waits for the next telling.
    pub(crate) async fn wait(&self) {
        let _never_closed = self.receiver.recv().await;
    }
}

/// What the tasks of the control thread share.
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    /// Time of day at the start.
    pub(crate) started: Timestamp,
    pub(crate) workers: Workers,
    pub(crate) visibility: Visibility,
    pub(crate) settings: RefCell<Settings>,
    pub(crate) collector: RefCell<Option<Collector>>,
    /// Why the file that names the collector cannot be read.
    collector_problem: RefCell<Option<String>>,
    pub(crate) spool: RefCell<Spool>,
    pub(crate) link: RefCell<LinkState>,
    /// New alerts for the uplink, or another reason to look up.
    pub(crate) news: Notify,
    /// Grows when the uplink must start afresh.
    pub(crate) generation: Cell<u32>,
    /// The worker has ended and raises no more alerts.
    worker_ended: Cell<bool>,
    /// When shutting down: until when the last alerts may be delivered. Set once they are in the spool.
    drain_until: Cell<Option<Uptime>>,
}

impl Shared {
    /// Whether the program is shutting down.
    pub(crate) fn stopping(&self) -> bool {
        self.drain_until.get().is_some()
    }

    /// Shutting down, and either everything is delivered or the time for it is over.
    pub(crate) fn drain_is_over(&self) -> bool {
        self.drain_until
            .get()
            .is_some_and(|until| self.clock.uptime() >= until || self.spool.borrow().waiting() == 0)
    }

    /// Sleeps, but wakes for a reload and for shutdown.
    pub(crate) async fn pause(&self, span: Duration) {
        let until = self.clock.uptime().after(span);
        let generation = self.generation.get();
        while self.clock.uptime() < until && !self.stopping() && self.generation.get() == generation {
            let time = async {
                Timer::at(self.clock.instant(until)).await;
            };
            future::or(self.news.wait(), time).await;
        }
    }

    /// `sentinel enroll` may have been run since. A file that cannot be read changes nothing, and is told once.
    pub(crate) fn look_for_enrollment(&self) {
        let found = keys::collector(&self.settings.borrow().state_dir);
        let problem = match found {
            Ok(found) => {
                if found.is_some() {
                    self.collector.replace(found);
                }
                None
            }
            Err(failure) => Some(failure.to_string()),
        };
        if let Some(problem) =
            problem.as_ref().filter(|new| self.collector_problem.borrow().as_ref() != Some(*new))
        {
            log::warn(format_args!("{problem}"));
        }
        self.collector_problem.replace(problem);
    }

    /// Notes where the uplink stands.
    pub(crate) fn set_link(&self, phase: LinkPhase) {
        let mut link = self.link.borrow_mut();
        if link.phase != phase {
            link.phase = phase;
            link.since = self.clock.uptime();
            if phase == LinkPhase::Connected {
                log::info(format_args!("connected to the collector"));
                link.last_error = None;
            }
        }
    }

    /// Notes that a conversation ended; the same reason is told once.
    pub(crate) fn link_lost(&self, end: &DisconnectReason, wait: Duration) {
        self.set_link(LinkPhase::Waiting);
        let mut link = self.link.borrow_mut();
        link.failures += 1;
        let reason = end.to_string();
        if link.last_error.as_ref() != Some(&reason) {
            log::warn(format_args!("uplink: {reason}; next attempt in {} ms", millis(wait)));
            link.last_error = Some(reason);
        }
    }

    /// `br-lan, eth1`
    pub(crate) fn interface_list(&self) -> String {
        self.settings.borrow().interface.join(", ")
    }

    /// The counters that travel to the collector.
    pub(crate) fn telemetry(&self) -> Telemetry {
        let books = self.workers.books();
        let snapshot = &books.snapshot;
        let spool = self.spool.borrow();
        let counts = spool.counts();
        let stats = spool.log().stats();
        uplink::telemetry(&[
            (Counter::UptimeMs, self.clock.uptime().as_millis()),
            (Counter::FramesSeen, books.seen()),
            (Counter::FramesAnalysed, snapshot.analysed),
            (Counter::FramesFiltered, books.filtered() + snapshot.unsupported),
            (Counter::FramesDropped, snapshot.dropped()),
            (Counter::RingFreezes, snapshot.freezes()),
            (Counter::Malformed, snapshot.malformed),
            (Counter::Truncated, snapshot.truncated),
            (Counter::TableEvictions, snapshot.evictions),
            (Counter::AlertsRaised, snapshot.raised),
            (Counter::AlertsDelivered, spool.delivered()),
            (Counter::AlertsEvicted, counts.lost_full + counts.lost_queue + counts.lost_storage),
            (Counter::SpoolBytes, spool.waiting_bytes()),
            (Counter::LogBytesWritten, stats.main_bytes),
            (Counter::ResidentKib, resident_kib()),
            (Counter::OpenIncidents, snapshot.open_incidents),
            (Counter::Reconnects, self.link.borrow().failures),
        ])
    }
}

/// What the workers are to the control thread, but for the commands.
pub(crate) struct FromWorkers {
    pub(crate) alerts: Vec<Consumer<'static, Option<Alert>>>,
    pub(crate) bell: EventFd,
    pub(crate) stop: &'static AtomicBool,
    pub(crate) threads: Vec<JoinHandle<()>>,
}

/// Everything `run` has prepared.
pub(crate) struct Prepared {
    pub(crate) clock: Clock,
    pub(crate) workers: Workers,
    pub(crate) settings: Settings,
    pub(crate) collector: Option<Collector>,
    pub(crate) spool: Spool,
    pub(crate) keys: KeyPair,
    /// Of status, and of commands.
    pub(crate) listeners: [UnixListener; 2],
    pub(crate) reload: Reload,
}

/// Of [`Prepared`], what the tasks do not share.
struct Beside {
    keys: KeyPair,
    listeners: [UnixListener; 2],
    reload: Reload,
}

impl Shared {
    /// Not inlined: as [`start_tasks`].
    #[inline(never)]
    fn new(prepared: Box<Prepared>) -> (Rc<Self>, Beside) {
        let Prepared { clock, workers, settings, collector, spool, keys, listeners, reload } = *prepared;
        let shared = Self {
            clock,
            started: uplink::started(&clock),
            workers,
            visibility: Visibility::new(settings.interface.clone()),
            settings: RefCell::new(settings),
            collector: RefCell::new(collector),
            collector_problem: RefCell::new(None),
            spool: RefCell::new(spool),
            link: RefCell::new(LinkState {
                phase: LinkPhase::NotEnrolled,
                since: clock.uptime(),
                failures: 0,
                last_error: None,
            }),
            news: Notify::new(),
            generation: Cell::new(0),
            worker_ended: Cell::new(false),
            drain_until: Cell::new(None),
        };
        (Rc::new(shared), Beside { keys, listeners, reload })
    }
}

/// Starts everything that runs beside the main task; gives what must be waited for at the end: uplink and intake.
///
/// Not inlined: tasks are made on the stack, which they use again when they run.
#[inline(never)]
fn start_tasks(
    executor: &LocalExecutor<'_>,
    shared: &Rc<Shared>,
    [for_status, for_commands]: [UnixListener; 2],
    keys: KeyPair,
    alerts: Vec<Consumer<'static, Option<Alert>>>,
    bell: EventFd,
) -> Result<[Task<()>; 2], Failure> {
    let listener =
        |listener| Async::new(listener).map_err(|error| Failure::new(format!("local socket: {error}")));
    executor.spawn(crate::control::status_socket::serve(Rc::clone(shared), listener(for_status)?)).detach();
    executor
        .spawn(crate::control::command_socket::serve(Rc::clone(shared), listener(for_commands)?))
        .detach();
    executor.spawn(supervision::interfaces(Rc::clone(shared))).detach();
    let uplink = executor.spawn(uplink::keep_connected(Rc::clone(shared), keys));
    let intake = executor.spawn(take_alerts(Rc::clone(shared), alerts, bell));
    Ok([uplink, intake])
}

/// Runs the control thread until SIGTERM or SIGINT, or until the worker ends by itself. What is in the queue then is
/// stored and delivered all the same.
///
/// Not inlined: what starting took of the stack is used again here.
#[inline(never)]
pub(crate) fn run(prepared: Box<Prepared>, from_workers: FromWorkers) -> Result<(), Failure> {
    let (shared, Beside { keys, listeners, reload }) = Shared::new(prepared);
    let clock = shared.clock;
    let FromWorkers { alerts, bell, stop, threads } = from_workers;
    prefault::reactor();
    let executor = LocalExecutor::new();
    let outcome = smol::block_on(executor.run(async {
        let [uplink, intake] = start_tasks(&executor, &shared, listeners, keys, alerts, bell.clone())?;
        let signals = Signals::catch()?;
        // The tasks above run for the first time, and take what they need.
        future::yield_now().await;
        while !shared.workers.boards().are_published() && !threads.iter().any(JoinHandle::is_finished) {
            Timer::after(LOOK_FOR_WORKERS).await;
        }
        log::info(format_args!(
            "capturing on {}, ready after {} ms",
            shared.interface_list(),
            clock.uptime().as_millis()
        ));
        let worker_end = async { Err(supervision::worker_end(&threads).await) };
        let ended = future::or(wait_for_end(&shared, signals, &reload), worker_end).await;
        // The worker closes its incidents, which raises the last alerts.
        stop.store(true, Ordering::Relaxed);
        while !threads.iter().all(JoinHandle::is_finished) {
            Timer::after(Duration::from_millis(5)).await;
        }
        shared.worker_ended.set(true);
        bell.ring();
        intake.await;
        shared.spool.borrow_mut().flush();
        shared.drain_until.set(Some(clock.uptime().after(uplink::SHUTDOWN_DRAIN)));
        shared.news.tell();
        // Ends by itself: what is on its way is delivered or its time is over.
        let time = async {
            Timer::after(uplink::SHUTDOWN_DRAIN).await;
        };
        future::or(uplink, time).await;
        ended
    }));
    shared.spool.borrow_mut().flush();
    outcome
}

/// Moves alerts from the queue into the spool.
async fn take_alerts(shared: Rc<Shared>, mut alerts: Vec<Consumer<'static, Option<Alert>>>, bell: EventFd) {
    let Ok(bell) = Async::new(bell.0) else { return };
    // Here, because nothing goes deeper into this thread's stack than the log does from here.
    shared.spool.borrow_mut().preallocate();
    let mut lost_before = [0; 5];
    loop {
        let is_last_look = shared.worker_ended.get();
        let now = shared.clock.uptime();
        let lost = shared.workers.boards().read().queue_lost();
        let mut newly_lost = [0; 5];
        for ((new, now), before) in newly_lost.iter_mut().zip(lost).zip(lost_before) {
            *new = u32::try_from(now - before).unwrap_or(u32::MAX);
        }
        lost_before = lost;
        let mut taken = 0_u32;
        {
            let mut spool = shared.spool.borrow_mut();
            spool.retry_flush(now);
            for alerts in &mut alerts {
                while let Some(alert) = alerts.dequeue().flatten() {
                    spool.enqueue(&alert, now);
                    taken += 1;
                }
            }
            spool.record_queue_overflow(newly_lost);
            spool.write_gaps();
            spool.note_delivered(now);
            spool.release_buffers();
        }
        if taken > 0 || newly_lost != [0; 5] {
            shared.news.tell();
        }
        if is_last_look {
            return;
        }
        let rung = async {
            let _rings = bell.readable().await;
            let _count = rustix::io::read(bell.get_ref(), &mut [0_u8; 8]);
        };
        let time = async {
            Timer::after(LOOK_ANYWAY).await;
        };
        future::or(rung, time).await;
    }
}

/// Signals, caught from when this is made.
struct Signals {
    end: Async<UnixStream>,
    /// Settings are to be read again.
    again: Async<UnixStream>,
}

impl Signals {
    fn catch() -> Result<Self, Failure> {
        let caught =
            |signals| Async::new(caught(signals)?).map_err(|error| Failure::new(format!("signals: {error}")));
        Ok(Self { end: caught(END)?, again: caught(HANG_UP)? })
    }
}

/// Handles signals until one says to end.
async fn wait_for_end(shared: &Shared, signals: Signals, reload: &Reload) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::new(format!("signals: {error}"));
    let Signals { end, mut again } = signals;
    let ended = async { end.readable().await.map(|()| true) };
    let mut ended = pin!(ended);
    loop {
        // One byte for each signal; a few at once ask for the same.
        let asked = async { again.read(&mut [0; 64]).await.map(|_| false) };
        if future::or(ended.as_mut(), asked).await.map_err(failed)? {
            return Ok(());
        }
        // Large, seldom, and not to lie on the stack meanwhile.
        Box::pin(reload_settings(shared, reload)).await;
    }
}

/// Name of this machine.
pub(crate) fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Resident memory of this process, in KiB; zero if `/proc` is not there.
pub(crate) fn resident_kib() -> u64 {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return 0 };
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|value| value.trim().split(' ').next())
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}
