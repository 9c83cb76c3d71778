//! `sentinel run`: opens everything, starts the workers, becomes the control thread.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sentinel_capture::interfaces::Interface;
use sentinel_units::Prefix;

use crate::commands::start;
use crate::commands::status;
use crate::control::accounting::FilterAccounting;
use crate::control::command_socket;
use crate::control::state::{Prepared, Reload, SerialConsole, WorkerThreads};
use crate::control::status_socket;
use crate::control::tasks;
use crate::control::visibility::Visibility;
use crate::control::watchdog::Watchdog;
use crate::control::worker_spawner::WorkerSpawner;
use crate::control::workers::Workers;
use crate::limits::MAX_INTERFACES;
use crate::serial::port::Port;
use crate::settings::{Loaded, Settings};
use crate::spool::repair;
use crate::system::clock::Clock;
use crate::system::keys;
use crate::system::local_socket;
use crate::system::notify::ServiceManager;
use crate::system::prefault;
use crate::system::private_files;
use crate::system::privileges::{Privileges, Target};
use crate::system::process::total_memory_kib;
use crate::system::restart;
use crate::system::restarts::Restarts;
use crate::system::wake::EventFd;
use crate::terminal::failure::Failure;
use crate::terminal::log;
use crate::worker::analyser::LiveConfig;
use crate::worker::canary::{Canary, KernelCanary};
use crate::worker::fanout::FanoutGroup;
use crate::worker::interface::{CaptureInterface, RingOptions, existing_interfaces, open_failure, prefixes};
use crate::worker::kernel_filters::KernelFilters;
use crate::worker::snapshot::Snapshot;

/// Arguments of `run`.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) config: Option<PathBuf>,
    pub(crate) flags: Vec<(String, String)>,
    /// Key of the hash tables, if not random.
    pub(crate) seed: Option<u64>,
    /// Interfaces that do not exist at the start are waited for; otherwise they are an error.
    pub(crate) waits_for_interfaces: bool,
    /// A service manager would start the sensor again for ever: it waits for what it lacks instead.
    pub(crate) is_supervised: bool,
}

/// First wait before another attempt to open what the sensor needs, doubled up to [`MAX_RETRY`].
const FIRST_RETRY: Duration = Duration::from_secs(2);
const MAX_RETRY: Duration = Duration::from_secs(60);

/// Runs the sensor until SIGTERM or SIGINT.
pub(crate) fn run(request: Request, loaded: Loaded) -> Result<(), Failure> {
    let (settings, set_aside) = in_force(loaded)?;
    let (prepared, workers) = prepare(request, settings, set_aside)?;
    tasks::run(prepared, workers)
}

/// Settings to start with, and what was set aside of them.
#[inline(never)]
fn in_force(mut loaded: Loaded) -> Result<(Settings, Vec<String>), Failure> {
    log::set_level(loaded.settings.log_level);
    start::mend(&mut loaded, &existing_interfaces().unwrap_or_default()).map_err(Failure::new)?;
    loaded.warnings.iter().for_each(|warning| log::warn(format_args!("{warning}")));
    if loaded.settings.memory_kib < Settings::default().memory_kib && loaded.is_default("memory_kib") {
        log::info(format_args!("memory_kib is tiny: this device has {} KiB of memory", total_memory_kib()));
    }
    let set_aside: Vec<String> = loaded.set_aside.iter().map(ToString::to_string).collect();
    set_aside.iter().for_each(|problem| log::warn(format_args!("{problem}; set aside")));
    Ok((loaded.settings, set_aside))
}

/// Everything that takes privileges to open.
struct Opened {
    clock: Clock,
    /// Key of the hash tables.
    seed: u64,
    filters: KernelFilters,
    fanout: &'static FanoutGroup,
    interfaces: Vec<Vec<CaptureInterface>>,
    /// Networks of the interfaces.
    prefixes: Vec<Prefix>,
    visibility: Visibility,
    /// Sockets of the canary frames, or the reason why there are none.
    canary: Result<Canary, String>,
    /// Serial device, or the reason why it is not open.
    port: Result<Option<Port>, String>,
    privileges: Privileges,
    manager: Option<ServiceManager>,
}

/// Opens what takes privileges, and gives them up.
///
/// Not inlined, and boxed, as the steps after it: each uses the same part of the stack, whose pages stay resident.
#[inline(never)]
fn open(request: &Request, settings: &Settings) -> Result<Box<Opened>, Failure> {
    let clock = Clock::start();
    // Before the sandbox, which would refuse an address outside.
    let manager = ServiceManager::from_environment();
    let target = Target::of(settings);
    prepare_directories(settings, &target)?;
    restart::wait_after_crash(&status_socket::path(&settings.run_dir));
    let seed = match request.seed {
        Some(seed) => seed,
        None => keys::random_u64()?,
    };
    let filters = KernelFilters::new(&settings.filter, settings.kernel_snap).map_err(Failure::new)?;
    // The low half of the seed, which the hash tables use whole: no remote host knows either.
    let [a, b, c, d, ..] = seed.to_le_bytes();
    let fanout: &'static FanoutGroup =
        Box::leak(Box::new(FanoutGroup::new(settings.workers, u32::from_le_bytes([a, b, c, d]))));
    let (interfaces, prefixes) = open_interfaces(settings, fanout, request.waits_for_interfaces)?;
    let visibility = Visibility::new(settings.interface.clone());
    visibility.at_start().iter().for_each(|advice| log::warn(format_args!("{advice}")));
    let canary = Canary::open(&settings.interface, settings.workers).map_err(|failure| failure.to_string());
    if let Err(problem) = &canary {
        log::warn(format_args!("no canary frames: {problem}"));
    }
    let port =
        settings.console_device.as_ref().map(|path| Port::open(path, settings.console_speed)).transpose();
    // Reads its own memory through /proc, which a process that gave up its user may not open.
    let is_enrolled = settings.uplink_enabled && keys::enrollment_stamp(&settings.state_dir).is_some();
    prefault::program(is_enrolled);
    // Everything that takes privileges is open, and there is one thread. What follows is done with those that are left: files
    // are read and made as the sensor's own user.
    let privileges = Privileges::drop_all(target, settings, request.config.as_deref());
    Ok(Box::new(Opened {
        clock,
        seed,
        filters,
        fanout,
        interfaces,
        prefixes,
        visibility,
        canary,
        port,
        privileges,
        manager,
    }))
}

/// As [`open`]. Under a service manager it waits after a failure and tries again: a restart would find the same.
#[inline(never)]
fn open_at_last(request: &Request, settings: &Settings) -> Result<Box<Opened>, Failure> {
    let mut wait = FIRST_RETRY;
    loop {
        match open(request, settings) {
            Err(failure) if request.is_supervised => {
                log::error(format_args!("{failure}; next attempt in {} s", wait.as_secs()));
                std::thread::sleep(wait);
                wait = (wait * 2).min(MAX_RETRY);
            }
            outcome => return outcome,
        }
    }
}

/// Makes the directories of the sensor, if they can be made.
fn prepare_directories(settings: &Settings, target: &Target) -> Result<(), Failure> {
    for directory in [&settings.state_dir, &settings.run_dir] {
        match private_files::prepare_directory(directory, target.account) {
            // Full, or read-only: the sensor watches without it.
            Err(failure) if std::fs::symlink_metadata(directory).is_err() => {
                log::error(format_args!("{failure}; the sensor watches, and keeps alerts in memory"));
            }
            outcome => outcome?,
        }
    }
    Ok(())
}

/// Opens everything and starts the workers.
#[inline(never)]
fn prepare(
    request: Request,
    settings: Settings,
    mut set_aside: Vec<String>,
) -> Result<(Box<Prepared>, WorkerThreads), Failure> {
    let mut opened = open_at_last(&request, &settings)?;
    // The sockets also show whether another sensor uses these directories.
    let listeners = [
        local_socket::listen(&status_socket::path(&settings.run_dir))?,
        local_socket::listen(&command_socket::path(&settings.run_dir))?,
    ];
    let state = repair::open(&settings)?;
    if state.recovery.torn_writes > 0 {
        log::warn(format_args!("log: {} torn writes ignored", state.recovery.torn_writes));
    }
    let restarts = Restarts::count(&settings.run_dir, state.spool.previous_end().map(|end| end.cause));
    let (workers, threads, watchdog) = start_workers(&mut opened, &settings)?;
    let reload = Reload { file: request.config, flags: request.flags };
    let Opened { clock, visibility, canary, port, privileges, .. } = *opened;
    let kernel_canary = KernelCanary::new(canary.map(|canary| canary.sender));
    if let (Err(problem), Some(device)) = (&port, &settings.console_device) {
        let problem = format!("console_device: {}: {problem}", device.display());
        log::warn(format_args!("{problem}"));
        set_aside.push(problem);
    }
    let prepared = Prepared {
        clock,
        workers,
        settings,
        set_aside,
        restarts,
        state,
        listeners,
        reload,
        visibility,
        kernel_canary,
        console: SerialConsole { port, page: status::page },
        privileges,
        watchdog,
    };
    Ok((Box::new(prepared), threads))
}

/// Starts the workers on the open interfaces, and the watchdog.
#[inline(never)]
fn start_workers(
    opened: &mut Opened,
    settings: &Settings,
) -> Result<(Workers, WorkerThreads, &'static Watchdog), Failure> {
    let lists = crate::settings::lists::Lists::load(settings, settings)?;
    crate::settings::indicators::begin(settings)?;
    let config = Arc::new(LiveConfig::new(settings, &opened.prefixes, lists));
    // Before the filters are attached, so that every frame is counted.
    let mut accounting = FilterAccounting::new(settings.interface.clone());
    accounting.restart(!settings.filter.is_empty(), &Snapshot::default().interfaces);
    let alert_event =
        EventFd::new().map_err(|error| Failure::new(format!("starting the watchdog: {error}")))?;
    let watchdog = Watchdog::new(settings.workers, alert_event, opened.manager.take());
    let spawner = WorkerSpawner {
        settings,
        seed: opened.seed,
        fanout: opened.fanout,
        config,
        filters: &opened.filters,
        clock: opened.clock,
        watchdog,
    };
    let canaries = opened.canary.as_mut().map(|canary| std::mem::take(&mut canary.rings));
    let (workers, threads) =
        spawner.start(std::mem::take(&mut opened.interfaces), canaries.unwrap_or_default(), accounting)?;
    watchdog.start(opened.clock)?;
    Ok((workers, threads, watchdog))
}

/// Opens a ring on each interface for each worker, in the order of the workers; also gives the networks that these
/// interfaces are in. The rings refuse every frame: the fan-out is right only once all have joined. An interface that does not
/// exist yet is opened when it comes, as one is that vanished and came back.
fn open_interfaces(
    settings: &Settings,
    fanout: &'static FanoutGroup,
    waits: bool,
) -> Result<(Vec<Vec<CaptureInterface>>, Vec<Prefix>), Failure> {
    let existing = existing_interfaces()?;
    let options = RingOptions::for_worker(settings);
    let mut interfaces = Vec::new();
    for worker in 0..fanout.workers() {
        let mut own = Vec::new();
        for (number, name) in (0..).zip(settings.interface.iter().take(MAX_INTERFACES)) {
            let is_down = existing.iter().any(|found| found.name == *name && !found.is_up);
            let opened = CaptureInterface::open_or_wait(name, number, worker, options, fanout, is_down);
            let (interface, absent) = opened.map_err(|error| open_failure(name, error, &existing))?;
            if let Some(error) = absent {
                let failure = open_failure(name, error, &existing);
                if !waits {
                    return Err(failure);
                }
                warn_of_wait(&failure, &existing, settings);
            }
            own.push(interface);
        }
        interfaces.push(own);
    }
    Ok((interfaces, prefixes(&existing, &settings.interface)))
}

/// Warns that an interface is waited for. If none of those to capture on exists, nothing is watched: then it also says how to
/// choose another.
fn warn_of_wait(failure: &Failure, existing: &[Interface], settings: &Settings) {
    let is_captured = |found: &Interface| settings.interface.contains(&found.name);
    let other =
        existing.iter().find(|found| found.is_up && found.kind != "loopback" && found.bridge.is_none());
    match other.filter(|_| !existing.iter().any(is_captured)) {
        Some(other) => log::warn(format_args!(
            "{failure}; waiting for it; for another: 'sentinel run -i {0}', or the setting interface ('{0}')",
            other.name
        )),
        None => log::warn(format_args!("{failure}; waiting for it")),
    }
}
