//! `sentinel run`: opens everything, starts the worker, becomes the control thread.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use heapless::spsc::Queue;
use sentinel_alert::Alert;
use sentinel_capture::interfaces::{self, Interface};
use sentinel_capture::ring::OpenError;
use sentinel_track::hash::HashKey;
use sentinel_units::Prefix;

use crate::analysis::{Analyser, Tuning};
use crate::clock::Clock;
use crate::control::{self, FromWorker, Prepared};
use crate::failure::Failure;
use crate::identity;
use crate::message;
use crate::reload::Reload;
use crate::settings::Settings;
use crate::snapshot::{Board, MAX_INTERFACES};
use crate::spool::Spool;
use crate::status;
use crate::worker::{Bell, QUEUE_LEN, RingOptions, Source, TUNING_QUEUE_LEN, Worker};

/// What `run` was asked to do.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) config: Option<PathBuf>,
    pub(crate) flags: Vec<(String, String)>,
    /// Key of the hash tables, if not random.
    pub(crate) seed: Option<u64>,
}

/// Blocks are handed over whole: smaller ones make small rings useful, larger ones cost fewer wake-ups.
const LARGEST_BLOCK_BYTES: u32 = 64 * 1024;
/// Blocks that a ring has at least.
const LEAST_BLOCKS: u32 = 4;
const WORKER_STACK_BYTES: usize = 128 * 1024;

/// Runs the sensor until SIGTERM or SIGINT.
pub(crate) fn run(request: Request, settings: Settings) -> Result<(), Failure> {
    let clock = Clock::start();
    message::set_level(settings.log_level);
    identity::private_directory(&settings.state_dir)?;
    identity::private_directory(&settings.run_dir)?;
    // The socket first: it also tells whether another sensor uses these directories.
    let listener = status::listen(&settings.run_dir)?;
    let keys = identity::sensor_key(&settings.state_dir)?;
    let collector = identity::collector(&settings.state_dir)?;
    let listed = crate::ports::load(settings.suspicious_ports_file.as_deref()).map_err(Failure::Other)?;
    let (sources, prefixes) = open_sources(&settings)?;
    let (spool, recovery) = Spool::open(&settings, identity::log_key(&settings.state_dir)?)?;
    if recovery.torn_writes > 0 || recovery.damaged_segments > 0 || recovery.missing_records > 0 {
        message::warn(format_args!(
            "log: {} unfinished writes left out, {} damaged segments, {} records missing",
            recovery.torn_writes, recovery.damaged_segments, recovery.missing_records
        ));
    }
    let seed = match request.seed {
        Some(seed) => seed,
        None => identity::random_u64()?,
    };
    let tuning = Tuning::new(&settings, &prefixes, listed);
    let analyser = Analyser::new(settings.memory_kib, HashKey::new(seed), &tuning);

    let alerts: &'static mut Queue<Alert, QUEUE_LEN> = Box::leak(Box::default());
    let (alert_producer, alert_consumer) = alerts.split();
    let tunings: &'static mut Queue<Box<Tuning>, TUNING_QUEUE_LEN> = Box::leak(Box::default());
    let (tuning_producer, tuning_consumer) = tunings.split();
    let board: &'static Board = Box::leak(Box::new(Board::new()));
    let stop: &'static AtomicBool = Box::leak(Box::new(AtomicBool::new(false)));
    let bell = rustix::event::eventfd(
        0,
        rustix::event::EventfdFlags::NONBLOCK | rustix::event::EventfdFlags::CLOEXEC,
    )
    .map_err(|error| Failure::new(format!("eventfd: {error}")))?;
    let bell = Bell(Arc::new(bell));
    let worker = Worker {
        sources,
        analyser,
        alerts: alert_producer,
        tunings: tuning_consumer,
        board,
        bell: bell.clone(),
        stop,
        clock,
    };
    let thread = std::thread::Builder::new()
        .name("worker".into())
        .stack_size(WORKER_STACK_BYTES)
        .spawn(move || worker.run())
        .map_err(|error| Failure::new(format!("starting the worker: {error}")))?;
    message::info(format_args!(
        "capturing on {}, ready after {} ms",
        settings.interface.join(", "),
        clock.uptime().as_millis()
    ));
    let reload = Reload { file: request.config, flags: request.flags };
    let prepared = Prepared { clock, board, settings, collector, spool, keys, listener, reload };
    let from_worker = FromWorker { alerts: alert_consumer, tunings: tuning_producer, bell, stop, thread };
    control::run(prepared, from_worker)
}

/// Opens a ring on each interface; also gives the networks that these interfaces are in.
fn open_sources(settings: &Settings) -> Result<(Vec<Source>, Vec<Prefix>), Failure> {
    let existing = existing_interfaces()?;
    let options = ring_options(settings);
    let mut sources = Vec::new();
    for name in settings.interface.iter().take(MAX_INTERFACES) {
        sources.push(Source::open(name, options).map_err(|error| explain(name, error, &existing))?);
    }
    Ok((sources, prefixes(&existing, &settings.interface)))
}

pub(crate) fn existing_interfaces() -> Result<Vec<Interface>, Failure> {
    interfaces::list().map_err(|error| Failure::new(format!("listing interfaces: {error}")))
}

/// The networks that the captured interfaces are in now.
pub(crate) fn interface_prefixes(captured: &[String]) -> Result<Vec<Prefix>, Failure> {
    Ok(prefixes(&existing_interfaces()?, captured))
}

/// The networks that `captured` are in.
pub(crate) fn prefixes(existing: &[Interface], captured: &[String]) -> Vec<Prefix> {
    let captured = existing.iter().filter(|interface| captured.contains(&interface.name));
    captured.flat_map(|found| &found.addresses).filter_map(|address| address.prefix().ok()).collect()
}

/// Bytes of the ring and of one block, for a ring of so many KiB, at least 16.
pub(crate) fn ring_sizes(ring_kib: u32) -> (u32, u32) {
    let ring_bytes = ring_kib.saturating_mul(1024);
    // A power of two, so that blocks are whole pages and fill the ring but for less than a block.
    let block_bytes = (ring_bytes / LEAST_BLOCKS).min(LARGEST_BLOCK_BYTES);
    let block_bytes = 1 << block_bytes.ilog2();
    (ring_bytes / block_bytes * block_bytes, block_bytes)
}

fn ring_options(settings: &Settings) -> RingOptions {
    let (ring_bytes, block_bytes) = ring_sizes(settings.ring_kib);
    RingOptions {
        ring_bytes,
        block_bytes,
        snap_bytes: settings.snap_bytes,
        block_timeout: settings.block_timeout,
        promiscuous: settings.promiscuous,
    }
}

/// What is wrong with an interface, for people.
pub(crate) fn explain(name: &str, error: OpenError, existing: &[Interface]) -> Failure {
    if error == OpenError::UnknownInterface {
        let names: Vec<&str> = existing.iter().map(|interface| interface.name.as_str()).collect();
        return Failure::new(format!("interface '{name}' does not exist; there are: {}", names.join(", ")));
    }
    Failure::new(format!("interface '{name}': {error}"))
}

#[cfg(test)]
mod tests {
    use sentinel_capture::interfaces::InterfaceAddress;
    use sentinel_units::Address;

    use super::*;

    #[test]
    fn the_prefixes_are_those_of_the_captured_interfaces() {
        let interface = |name: &str, address, prefix_length| Interface {
            name: name.into(),
            index: 1,
            mac: None,
            addresses: vec![InterfaceAddress { address: Address::v4(address), prefix_length }],
            is_up: true,
            is_running: true,
            bridge: None,
            ports: Vec::new(),
            kind: "ethernet".into(),
            driver: None,
            mtu: 1500,
            link: None,
        };
        let existing = [interface("br-lan", 0xc0a8_0101, 24), interface("wan", 0xc633_6401, 22)];
        let found = prefixes(&existing, &["br-lan".into(), "gone".into()]);
        assert_eq!(found, [Prefix::new(Address::v4(0xc0a8_0100), 24).unwrap()]);
    }
}
