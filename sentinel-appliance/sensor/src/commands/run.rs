//! `sentinel run`: opens everything, starts the workers, becomes the control thread.

use std::path::PathBuf;

use sentinel_capture::interfaces::Interface;
use sentinel_ringlog::Recovery;
use sentinel_units::Prefix;

use crate::control::accounting::FilterAccounting;
use crate::control::command_socket;
use crate::control::state::{Prepared, Reload, WorkerThreads};
use crate::control::status_socket;
use crate::control::tasks;
use crate::control::visibility::Visibility;
use crate::control::worker_spawner::WorkerSpawner;
use crate::limits::MAX_INTERFACES;
use crate::settings::Settings;
use crate::spool::Spool;
use crate::system::clock::Clock;
use crate::system::keyring::Keyring;
use crate::system::keys;
use crate::system::local_socket;
use crate::system::prefault;
use crate::system::private_files;
use crate::system::privileges::{Privileges, Target};
use crate::terminal::failure::Failure;
use crate::terminal::log;
use crate::worker::analyser::LiveConfig;
use crate::worker::fanout::FanoutGroup;
use crate::worker::interface::{CaptureInterface, RingOptions, existing_interfaces, open_failure, prefixes};
use crate::worker::kernel_filters::KernelFilters;
use crate::worker::overlap;
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
}

/// Runs the sensor until SIGTERM or SIGINT.
pub(crate) fn run(request: Request, settings: Settings) -> Result<(), Failure> {
    let (prepared, workers) = prepare(request, settings)?;
    tasks::run(prepared, workers)
}

/// Opens everything and starts the workers.
///
/// Not inlined, and boxed: the control thread uses this part of the stack again.
#[inline(never)]
fn prepare(request: Request, settings: Settings) -> Result<(Box<Prepared>, WorkerThreads), Failure> {
    let clock = Clock::start();
    log::set_level(settings.log_level);
    let target = Target::of(&settings);
    private_files::prepare_directory(&settings.state_dir, target.account)?;
    private_files::prepare_directory(&settings.run_dir, target.account)?;
    let seed = match request.seed {
        Some(seed) => seed,
        None => keys::random_u64()?,
    };
    let filters = KernelFilters::new(&settings.filter, settings.kernel_snap).map_err(Failure::new)?;
    // The low half of the seed, which the hash tables use whole: no remote host knows either.
    let [a, b, c, d, ..] = seed.to_le_bytes();
    let fanout: &'static FanoutGroup =
        Box::leak(Box::new(FanoutGroup::new(settings.workers, u32::from_le_bytes([a, b, c, d]))));
    let (interfaces, prefixes) = open_interfaces(&settings, fanout, request.waits_for_interfaces)?;
    let visibility = Visibility::new(settings.interface.clone());
    // Reads its own memory through /proc, which a process that gave up its user may not open.
    prefault::program();
    // Everything that takes privileges is open, and there is one thread. What follows is done with those that are left: files
    // are read and made as the sensor's own user.
    let privileges = Privileges::drop_all(target, &settings, request.config.as_deref());
    // The sockets also show whether another sensor uses these directories.
    let listeners = [
        local_socket::listen(&status_socket::path(&settings.run_dir))?,
        local_socket::listen(&command_socket::path(&settings.run_dir))?,
    ];
    let keys = Keyring::load(&settings.state_dir)?;
    let collector = keys::collector(&settings.state_dir)?;
    let listed_ports = crate::settings::suspicious_ports::load(settings.suspicious_ports_file.as_deref())
        .map_err(Failure::new)?;
    let (spool, recovery) = Spool::open(&settings, keys::log_key(&settings.state_dir)?)?;
    warn_of_damage(&recovery);
    let config = LiveConfig::new(&settings, &prefixes, listed_ports);
    // Before the filters are attached, so that every frame is counted.
    let mut accounting = FilterAccounting::new(settings.interface.clone());
    accounting.restart(!settings.filter.is_empty(), &Snapshot::default().interfaces);
    let spawner =
        WorkerSpawner { settings: &settings, seed, fanout, config: &config, filters: &filters, clock };
    let (workers, threads) = spawner.start(interfaces, accounting)?;
    let reload = Reload { file: request.config, flags: request.flags };
    let prepared = Prepared {
        clock,
        workers,
        settings,
        collector,
        spool,
        keys,
        listeners,
        reload,
        visibility,
        privileges,
    };
    Ok((Box::new(prepared), threads))
}

fn warn_of_damage(recovery: &Recovery) {
    let Recovery { torn_writes, damaged_segments, missing_records, is_rolled_back, .. } = *recovery;
    if is_rolled_back {
        log::warn(format_args!(
            "log: older than its key; it was rolled back or wiped, see 'sentinel log verify'"
        ));
    }
    if torn_writes > 0 || damaged_segments > 0 || missing_records > 0 {
        log::warn(format_args!(
            "log: {torn_writes} torn writes ignored, {damaged_segments} damaged segments, {missing_records} records missing"
        ));
    }
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
    overlap::check(&settings.interface, &existing, settings.allow_overlap)
        .map_err(|overlap| Failure::new(format!("interfaces: {overlap}")))?;
    warn_of_routes(settings, &existing);
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
                log::warn(format_args!("{failure}; waiting for it"));
            }
            own.push(interface);
        }
        interfaces.push(own);
    }
    Ok((interfaces, prefixes(&existing, &settings.interface)))
}

/// Warns of interfaces between which this machine routes: only address translation makes two different frames of a frame that
/// passes both.
fn warn_of_routes(settings: &Settings, existing: &[Interface]) {
    if let Some((first, second)) =
        overlap::routed(&settings.interface, existing).filter(|_| !settings.allow_overlap)
    {
        log::warn(format_args!(
            "interfaces: this machine routes between '{first}' and '{second}'; packets that it forwards without address \
             translation, such as IPv6, count on both, and thresholds are reached at half; choose one of them to avoid that"
        ));
    }
}
