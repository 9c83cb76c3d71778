//! `sentinel run`: opens everything, starts the workers, becomes the control thread.

use std::path::PathBuf;

use sentinel_ringlog::Recovery;
use sentinel_units::Prefix;

use crate::control::accounting::FilterAccounting;
use crate::control::command_socket;
use crate::control::state::{Prepared, Reload, WorkerThreads};
use crate::control::status_socket;
use crate::control::tasks;
use crate::control::worker_spawner::WorkerSpawner;
use crate::limits::MAX_INTERFACES;
use crate::settings::Settings;
use crate::spool::Spool;
use crate::system::clock::Clock;
use crate::system::keys;
use crate::system::local_socket;
use crate::terminal::failure::Failure;
use crate::terminal::log;
use crate::worker::analyser::LiveConfig;
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
    keys::private_directory(&settings.state_dir)?;
    keys::private_directory(&settings.run_dir)?;
    // Sockets first: they also show whether another sensor uses these directories.
    let listeners = [
        local_socket::listen(&status_socket::path(&settings.run_dir))?,
        local_socket::listen(&command_socket::path(&settings.run_dir))?,
    ];
    let keys = keys::sensor_key(&settings.state_dir)?;
    let collector = keys::collector(&settings.state_dir)?;
    let listed_ports = crate::settings::suspicious_ports::load(settings.suspicious_ports_file.as_deref())
        .map_err(Failure::new)?;
    let seed = match request.seed {
        Some(seed) => seed,
        None => keys::random_u64()?,
    };
    let filters = KernelFilters::new(&settings.filter, settings.kernel_snap).map_err(Failure::new)?;
    // The low half of the seed, which the hash tables use whole: no remote host knows either.
    let [a, b, c, d, ..] = seed.to_le_bytes();
    let fanout: &'static FanoutGroup =
        Box::leak(Box::new(FanoutGroup::new(settings.workers, u32::from_le_bytes([a, b, c, d]))));
    let (interfaces, prefixes) = open_interfaces(&settings, fanout)?;
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
    let prepared = Prepared { clock, workers, settings, collector, spool, keys, listeners, reload };
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
/// interfaces are in. The rings refuse every frame: the fan-out is right only once all have joined.
fn open_interfaces(
    settings: &Settings,
    fanout: &'static FanoutGroup,
) -> Result<(Vec<Vec<CaptureInterface>>, Vec<Prefix>), Failure> {
    let existing = existing_interfaces()?;
    let options = RingOptions::for_worker(settings);
    let mut interfaces = Vec::new();
    for worker in 0..fanout.workers() {
        let mut own = Vec::new();
        for (number, name) in (0..).zip(settings.interface.iter().take(MAX_INTERFACES)) {
            let interface = CaptureInterface::open(name, number, worker, options, fanout);
            own.push(interface.map_err(|error| open_failure(name, error, &existing))?);
        }
        interfaces.push(own);
    }
    Ok((interfaces, prefixes(&existing, &settings.interface)))
}
