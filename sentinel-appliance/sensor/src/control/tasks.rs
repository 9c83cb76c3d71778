//! Control thread: one executor for the intake of alerts, the uplink, both local sockets, supervision and signals.

use std::os::unix::net::{UnixListener, UnixStream};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use sentinel_alert::Alert;
use sentinel_units::Uptime;
use smol::io::AsyncReadExt;
use smol::{Async, LocalExecutor, Task, Timer, future};

use crate::control::canary;
use crate::control::command_socket;
use crate::control::console;
use crate::control::reload::reload_settings;
use crate::control::state::{Prepared, Reload, Shared, TaskResources, WorkerThreads};
use crate::control::status_socket;
use crate::control::supervision;
use crate::control::uplink;
use crate::system::executor::{block_on, spawn};
use crate::system::keyring::Keyring;
use crate::system::prefault;
use crate::system::signals::{HANG_UP, TERMINATION, signal_pipe};
use crate::system::wake::EventFd;
use crate::terminal::failure::Failure;
use crate::terminal::log;
use crate::worker::command::AlertConsumer;

/// Longest wait for an alert event, and so the delay of alerts whose event was lost.
const INTAKE_INTERVAL: Duration = Duration::from_secs(1);
/// Time between two checks at the start whether all workers run.
const START_INTERVAL: Duration = Duration::from_millis(1);
/// Time between two checks at shutdown whether all workers have ended.
const END_INTERVAL: Duration = Duration::from_millis(5);
/// Time for the workers that do not hang to end after a fault.
const END_AFTER_FAULT: Duration = Duration::from_millis(200);
/// Time for delivering the last alerts at shutdown.
const SHUTDOWN_DRAIN: Duration = Duration::from_secs(2);

/// Runs the control thread until SIGTERM or SIGINT, or until the watchdog finds a fault. Alerts that are in the queues then
/// are stored, and delivered if the collector takes them within [`SHUTDOWN_DRAIN`]; after a fault the next run delivers them.
///
/// Not inlined: the stack that starting took is used again here.
#[inline(never)]
pub(crate) fn run(prepared: Box<Prepared>, workers: WorkerThreads) -> Result<(), Failure> {
    let (shared, resources) = Shared::new(prepared);
    prefault::reactor();
    // For the life of the program: tasks of the control socket start others.
    let executor: &'static LocalExecutor<'static> = Box::leak(Box::default());
    let mut outcome = Ok(());
    block_on(pin!(async {
        outcome = executor.run(main_task(executor, &shared, resources, workers)).await;
    }));
    // Once more, for the record of what was delivered meanwhile.
    if !outcome.as_ref().is_err_and(Failure::is_fault) {
        shared.spool.borrow_mut().flush_at_end();
        shared.workers.save_devices(&shared.settings.borrow().state_dir, shared.clock.uptime(), true);
        // The next start sees by it that this run ended in order.
        let _left_over = std::fs::remove_file(status_socket::path(&shared.settings.borrow().run_dir));
    }
    outcome
}

/// Starts the other tasks, and ends them once the sensor is to end.
async fn main_task(
    executor: &'static LocalExecutor<'static>,
    shared: &Rc<Shared>,
    resources: TaskResources,
    workers: WorkerThreads,
) -> Result<(), Failure> {
    let TaskResources { keys, listeners, reload, port } = resources;
    let WorkerThreads { alerts, alert_event, stop, threads } = workers;
    let [uplink, intake] = start_tasks(executor, shared, listeners, keys, alerts, alert_event.clone())?;
    if shared.console.borrow().is_some() {
        spawn(executor, Box::pin(console::run(Rc::clone(shared), port))).detach();
    }
    let signals = Signals::catch()?;
    // The tasks run for the first time, and allocate what they need before the sensor is reported as ready.
    future::yield_now().await;
    while !shared.workers.snapshots().are_published() && !threads.iter().any(JoinHandle::is_finished) {
        Timer::after(START_INTERVAL).await;
    }
    log_ready(shared);
    prefault::give_back_start(shared.collector.borrow().is_some());
    let watchdog = shared.watchdog;
    if let Some(manager) = &watchdog.manager {
        manager.ready();
    }
    let mut fault = pin!(supervision::fault(shared));
    let faulty = async { Err(fault.as_mut().await) };
    let outcome = future::or(wait_for_end(shared, signals, &reload), faulty).await;
    watchdog.stopping();
    // The workers close their incidents, which raises the last alerts.
    stop.store(true, Ordering::Relaxed);
    // In this order: workers that have ended raise no more alerts, so intake finds the last ones; only then is the
    // spool complete, and an empty spool means that everything is delivered.
    let outcome = workers_end(shared, &threads, outcome, fault).await;
    shared.workers_ended.set(true);
    alert_event.notify();
    intake.await;
    if outcome.as_ref().is_err_and(Failure::is_fault) {
        shared.end_after_fault();
        return outcome;
    }
    shared.begin_drain(SHUTDOWN_DRAIN);
    // The uplink task ends by itself once everything is delivered; the timer is for a socket that takes nothing.
    let timer = async {
        Timer::after(SHUTDOWN_DRAIN).await;
    };
    future::or(uplink, timer).await;
    outcome
}

/// Waits until all workers have ended; after a fault, or once the watchdog finds one, only as long as those take that do not hang.
async fn workers_end(
    shared: &Shared,
    threads: &[JoinHandle<()>],
    outcome: Result<(), Failure>,
    fault: Pin<&mut dyn Future<Output = Failure>>,
) -> Result<(), Failure> {
    shared.workers.wake();
    let all = async {
        while !threads.iter().all(JoinHandle::is_finished) {
            Timer::after(END_INTERVAL).await;
        }
    };
    let mut all = pin!(all);
    let outcome = match outcome {
        Err(failure) if failure.is_fault() => Err(failure),
        ended => {
            let faulty = async { Err(fault.await) };
            let ended = async {
                all.as_mut().await;
                ended
            };
            future::or(ended, faulty).await
        }
    };
    if outcome.as_ref().is_err_and(Failure::is_fault) {
        let timer = async {
            Timer::after(END_AFTER_FAULT).await;
        };
        future::or(all, timer).await;
    }
    outcome
}

fn log_ready(shared: &Shared) {
    let ready_ms = shared.clock.uptime().as_millis();
    let counts = shared.workers.snapshots().read().interfaces;
    let names = shared.settings.borrow().interface.clone();
    let with = |is_open: bool| {
        let matching = names.iter().zip(&counts).filter(|(_, counts)| (counts.is_open != 0) == is_open);
        matching.map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
    };
    match (with(true).as_str(), with(false).as_str()) {
        (open, "") => log::info(format_args!("capturing on {open}, ready after {ready_ms} ms")),
        ("", absent) => log::warn(format_args!(
            "waiting for {absent}, ready after {ready_ms} ms; nothing is captured yet"
        )),
        (open, absent) => {
            log::info(format_args!("capturing on {open}, waiting for {absent}, ready after {ready_ms} ms"));
        }
    }
}

/// Starts all tasks besides the main one; gives the two that shutdown waits for: uplink and intake.
///
/// Not inlined: tasks are built on the stack, which they use again when they run.
#[inline(never)]
fn start_tasks(
    executor: &'static LocalExecutor<'static>,
    shared: &Rc<Shared>,
    [status, commands]: [Option<UnixListener>; 2],
    keys: Option<Keyring>,
    alerts: Vec<AlertConsumer>,
    alert_event: EventFd,
) -> Result<[Task<()>; 2], Failure> {
    let listener =
        |listener| Async::new(listener).map_err(|error| Failure::new(format!("local socket: {error}")));
    if let Some(status) = status {
        spawn(executor, Box::pin(status_socket::serve(Rc::clone(shared), listener(status)?))).detach();
    }
    if let Some(commands) = commands {
        spawn(executor, Box::pin(command_socket::serve(Rc::clone(shared), listener(commands)?, executor)))
            .detach();
    }
    spawn(executor, Box::pin(supervision::interfaces(Rc::clone(shared)))).detach();
    spawn(executor, Box::pin(canary::run(Rc::clone(shared)))).detach();
    let uplink = spawn(executor, Box::pin(uplink::keep_connected(Rc::clone(shared), keys)));
    let intake = spawn(executor, Box::pin(take_alerts(Rc::clone(shared), alerts, alert_event)));
    Ok([uplink, intake])
}

/// Moves alerts from the queues of the workers into the spool, until the workers have ended.
async fn take_alerts(shared: Rc<Shared>, mut alerts: Vec<AlertConsumer>, alert_event: EventFd) {
    let Ok(readable) = Async::new(alert_event.clone()) else { return };
    // Here, because no other call goes deeper into this thread's stack than the log does from here.
    shared.spool.borrow_mut().preallocate();
    let mut lost_before = [0; 5];
    loop {
        // Read before the queues: a worker that has ended has put its last alert there.
        let is_last = shared.workers_ended.get();
        let now = shared.clock.uptime();
        let lost = shared.workers.snapshots().read().queue_lost();
        let mut newly_lost = [0; 5];
        for ((new, now), before) in newly_lost.iter_mut().zip(lost).zip(lost_before) {
            *new = u32::try_from(now - before).unwrap_or(u32::MAX);
        }
        lost_before = lost;
        if store_alerts(&shared, &mut alerts, newly_lost, now) {
            shared.wake_uplink.notify();
        }
        if shared.watchdog.fault().is_some() {
            shared.wake_main.notify();
        }
        if is_last {
            return;
        }
        let event = async {
            let _is_readable = readable.readable().await;
            alert_event.clear();
        };
        let timer = async {
            Timer::after(INTAKE_INTERVAL).await;
        };
        future::or(event, timer).await;
    }
}

/// Stores all alerts of the queues, and the losses since the last call. Returns true if there is a new record: an alert, or the gap of
/// earlier losses, which a storage that works again has taken.
fn store_alerts(shared: &Shared, alerts: &mut [AlertConsumer], newly_lost: [u32; 5], now: Uptime) -> bool {
    let spool = &mut *shared.spool.borrow_mut();
    let before = spool.log().next_id();
    // Before new alerts are stored: a storage that works again makes room for them.
    spool.tick(now);
    for alerts in alerts {
        while let Some(alert) = alerts.dequeue().flatten() {
            spool.enqueue(&alert, now);
            show(shared, &alert, now);
        }
    }
    spool.record_queue_overflow(newly_lost);
    let _retried_at_the_next_call = spool.write_gaps();
    spool.note_delivered(now);
    spool.release_buffers();
    spool.log().next_id() != before
}

/// Prints an alert on the serial console, if there is one.
fn show(shared: &Shared, alert: &Alert, now: Uptime) {
    let settings = shared.settings.borrow();
    if let Some(console) = shared.console.borrow_mut().as_mut() {
        console.alert(alert, settings.console_severity, settings.console_line_rate, now);
        shared.wake_console.notify();
    }
}

/// Signals, caught from when this is made.
struct Signals {
    end: Async<UnixStream>,
    reload: Async<UnixStream>,
}

impl Signals {
    fn catch() -> Result<Self, Failure> {
        let pipe = |signals| {
            Async::new(signal_pipe(signals)?).map_err(|error| Failure::new(format!("signals: {error}")))
        };
        Ok(Self { end: pipe(TERMINATION)?, reload: pipe(HANG_UP)? })
    }
}

/// Reloads the settings at each SIGHUP; ends at SIGTERM or SIGINT.
async fn wait_for_end(shared: &Shared, signals: Signals, source: &Reload) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::new(format!("signals: {error}"));
    let Signals { end, mut reload } = signals;
    let ended = async { end.readable().await.map(|()| true) };
    let mut ended = pin!(ended);
    loop {
        // One byte for each signal; several at once cause one reload.
        let reloads = async { reload.read(&mut [0; 64]).await.map(|_| false) };
        if future::or(ended.as_mut(), reloads).await.map_err(failed)? {
            return Ok(());
        }
        // Boxed: the future is large and seldom needed, and would otherwise lie on the stack all the time.
        let manager = shared.watchdog.manager.as_ref();
        manager.inspect(|manager| manager.reloading());
        Box::pin(reload_settings(shared, source)).await;
        manager.inspect(|manager| manager.ready());
    }
}
