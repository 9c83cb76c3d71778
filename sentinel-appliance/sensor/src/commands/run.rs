//! `sentinel run`: opens everything, starts the worker, becomes the control thread.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use heapless::spsc::Queue;
use sentinel_alert::Alert;
use sentinel_capture::interfaces::{self, Interface};
use sentinel_capture::ring::OpenError;
use sentinel_track::hash::HashKey;
use sentinel_units::Prefix;

use crate::control::accounting::FilterAccounting;
use crate::control::command_socket;
use crate::control::reload::Reload;
use crate::control::status_socket;
use crate::control::tasks::{self, FromWorkers, Prepared};
use crate::control::workers::{WorkerHandle, Workers};
use crate::settings::Settings;
use crate::spool::Spool;
use crate::system::clock::{self, Clock};
use crate::system::keys;
use crate::system::prefault;
use crate::system::thread;
use crate::terminal::failure::Failure;
use crate::terminal::log;
use crate::worker::analyser::{self, Analyser, LiveConfig};
use crate::worker::event_loop::{COMMAND_QUEUE_LEN, Command, EventFd, QUEUE_LEN, Worker};
use crate::worker::interface::{CaptureInterface, FanoutGroup, KernelFilters, RingOptions};
use crate::worker::packet_memory::PacketMemory;
use crate::worker::siblings;
use crate::worker::snapshot::{MAX_INTERFACES, Snapshot, SnapshotCell, SnapshotCells};

/// What `run` was asked to do.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) config: Option<PathBuf>,
    pub(crate) flags: Vec<(String, String)>,
    /// Key of the hash tables, if not random.
    pub(crate) seed: Option<u64>,
}

/// Blocks are handed over whole: smaller ones make small rings useful, larger ones cost fewer wake-ups.
const MAX_BLOCK_BYTES: u32 = 64 * 1024;
/// Bytes of a block at least, which is a whole number of pages on all our machines.
const MIN_BLOCK_BYTES: u32 = 16 * 1024;
/// Blocks that a ring has at least.
const MIN_BLOCKS: u32 = 4;
const WORKER_STACK_BYTES: usize = 128 * 1024;

/// Runs the sensor until SIGTERM or SIGINT.
pub(crate) fn run(request: Request, settings: Settings) -> Result<(), Failure> {
    let (prepared, from_workers) = prepare(request, settings)?;
    tasks::run(prepared, from_workers)
}

/// Opens everything and starts the workers.
///
/// Not inlined, and boxed: what this takes of the stack is used again by the control thread.
#[inline(never)]
fn prepare(request: Request, settings: Settings) -> Result<(Box<Prepared>, FromWorkers), Failure> {
    let clock = Clock::start();
    log::set_level(settings.log_level);
    keys::private_directory(&settings.state_dir)?;
    keys::private_directory(&settings.run_dir)?;
    // The sockets first: they also tell whether another sensor uses these directories.
    let listeners = [status_socket::listen(&settings.run_dir)?, command_socket::listen(&settings.run_dir)?];
    let keys = keys::sensor_key(&settings.state_dir)?;
    let collector = keys::collector(&settings.state_dir)?;
    let listed = crate::settings::suspicious_ports::load(settings.suspicious_ports_file.as_deref())
        .map_err(Failure::other)?;
    let seed = match request.seed {
        Some(seed) => seed,
        None => keys::random_u64()?,
    };
    let programs = KernelFilters::new(&settings.filter, settings.kernel_snap).map_err(Failure::other)?;
    // The low half: the sensor's tables use the seed as it is, and nobody outside knows either.
    let [a, b, c, d, ..] = seed.to_le_bytes();
    let spread = u32::from_le_bytes([a, b, c, d]);
    let sharing: &'static FanoutGroup = Box::leak(Box::new(FanoutGroup::new(settings.workers, spread)));
    let (sources, prefixes) = open_sources(&settings, sharing)?;
    let (spool, recovery) = Spool::open(&settings, keys::log_key(&settings.state_dir)?)?;
    if recovery.torn_writes > 0 || recovery.damaged_segments > 0 || recovery.missing_records > 0 {
        log::warn(format_args!(
            "log: {} unfinished writes left out, {} damaged segments, {} records missing",
            recovery.torn_writes, recovery.damaged_segments, recovery.missing_records
        ));
    }
    let live_config = LiveConfig::new(&settings, &prefixes, listed);
    // Before the first frame passes, so that none is missing in the books.
    let mut ledger = FilterAccounting::new(settings.interface.clone());
    ledger.measure(!settings.filter.is_empty(), &Snapshot::default().interfaces);
    let spawner = WorkerSpawner {
        settings: &settings,
        seed,
        sharing,
        live_config: &live_config,
        programs: &programs,
        clock,
    };
    let (workers, from_workers) = spawner.start(sources, ledger)?;
    let reload = Reload { file: request.config, flags: request.flags };
    let prepared = Prepared { clock, workers, settings, collector, spool, keys, listeners, reload };
    Ok((Box::new(prepared), from_workers))
}

/// What all workers are started with.
struct WorkerSpawner<'c> {
    settings: &'c Settings,
    seed: u64,
    sharing: &'static FanoutGroup,
    live_config: &'c LiveConfig,
    programs: &'c KernelFilters,
    clock: Clock,
}

impl WorkerSpawner<'_> {
    /// Starts one worker for each list of sources, in that order.
    ///
    /// Not inlined: workers are made on the stack, which the control thread uses again.
    #[inline(never)]
    fn start(
        self,
        sources: Vec<Vec<CaptureInterface>>,
        ledger: FilterAccounting,
    ) -> Result<(Workers, FromWorkers), Failure> {
        let Self { settings, .. } = self;
        let count = sources.len();
        let failed = |error: std::io::Error| Failure::new(format!("starting a worker: {error}"));
        let boards: &'static [SnapshotCell] =
            Box::leak((0..count).map(|_| SnapshotCell::new()).collect::<Vec<_>>().into_boxed_slice());
        let kept_frames = usize::try_from(settings.max_packets).unwrap_or(0).div_ceil(count.max(1));
        let stop: &'static AtomicBool = Box::leak(Box::new(AtomicBool::new(false)));
        let bell = EventFd::new().map_err(failed)?;
        let memory_kib = analyser::share(settings.memory_kib, settings.workers);
        let wakes = (0..count).map(|_| EventFd::new()).collect::<Result<Vec<_>, _>>().map_err(failed)?;
        let peers = siblings::connect(self.sharing, &wakes, settings.block_timeout, clock::wall());
        let (mut hands, mut alerts, mut threads) = (Vec::new(), Vec::new(), Vec::new());
        let beside = boards.iter().zip(wakes.into_iter().zip(peers));
        for (index, (mut sources, (board, (wake, peers)))) in (0..).zip(sources.into_iter().zip(beside)) {
            let (alert_producer, alert_consumer) = prefault::queue::<Alert, QUEUE_LEN>().split();
            let queue: &'static mut Queue<Command, COMMAND_QUEUE_LEN> = Box::leak(Box::default());
            let (command_producer, command_consumer) = queue.split();
            let queue: &'static mut Queue<PacketMemory, 2> = Box::leak(Box::default());
            let (copy_producer, copies) = queue.split();
            for source in &mut sources {
                if !source.set_filter(Some(self.programs)) {
                    return Err(Failure::new("filter: the kernel does not take it on every interface"));
                }
            }
            let mut analyser = Analyser::new(memory_kib, HashKey::new(self.seed), self.live_config);
            if peers.is_some() {
                analyser.set_shard(index, settings.workers);
            }
            let worker = Worker {
                sources,
                analyser,
                peers,
                alerts: alert_producer,
                commands: command_consumer,
                ring_blocks: ring_blocks(settings),
                board,
                bell: bell.clone(),
                wake: wake.clone(),
                stop,
                clock: self.clock,
                programs: Some(Box::new(self.programs.clone())),
                memory: (kept_frames > 0).then(|| PacketMemory::new(kept_frames)),
                copies: copy_producer,
            };
            let work = Box::new(move || worker.run());
            let thread = thread::start("worker", WORKER_STACK_BYTES, work).map_err(failed)?;
            hands.push(WorkerHandle { commands: command_producer, copies, wake });
            alerts.push(alert_consumer);
            threads.push(thread);
        }
        let workers = Workers::new(SnapshotCells(boards), hands, kept_frames, ledger);
        Ok((workers, FromWorkers { alerts, bell, stop, threads }))
    }
}

/// Opens a ring on each interface for each worker, in their order; also gives the networks that these interfaces are
/// in. Nothing gets into the rings yet: the workers share frames rightly only once all are there.
fn open_sources(
    settings: &Settings,
    sharing: &'static FanoutGroup,
) -> Result<(Vec<Vec<CaptureInterface>>, Vec<Prefix>), Failure> {
    let existing = existing_interfaces()?;
    let options = ring_options(settings);
    let mut sources = Vec::new();
    for worker in 0..sharing.workers() {
        let mut own = Vec::new();
        for (number, name) in (0..).zip(settings.interface.iter().take(MAX_INTERFACES)) {
            let source = CaptureInterface::open(name, number, worker, options, sharing);
            own.push(source.map_err(|error| explain(name, error, &existing))?);
        }
        sources.push(own);
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
    let block_bytes = (ring_bytes / MIN_BLOCKS).min(MAX_BLOCK_BYTES);
    let block_bytes = 1 << block_bytes.ilog2();
    (ring_bytes / block_bytes * block_bytes, block_bytes)
}

/// A block that holds frames is handed over after its time even if it is nearly empty, and then is not filled again until
/// it was read. So a reader that is late must have many of them: 64 bridge 128 ms at any rate, and cost a few
/// nanoseconds for each frame.
const BLOCKS: u32 = 64;
/// What a frame takes in a block besides its bytes, rounded up.
const FRAME_OVERHEAD: u32 = 256;

fn ring_options(settings: &Settings) -> RingOptions {
    let (ring_bytes, largest) = ring_sizes(settings.ring_kib);
    // A frame that does not fit a block would be cut.
    let least = (settings.snap_bytes + FRAME_OVERHEAD).next_power_of_two().max(MIN_BLOCK_BYTES);
    let block_bytes = (ring_bytes / BLOCKS).max(least).min(largest);
    RingOptions {
        ring_bytes,
        block_bytes,
        snap_bytes: settings.snap_bytes,
        block_timeout: settings.block_timeout,
        promiscuous: settings.promiscuous,
    }
}

fn ring_blocks(settings: &Settings) -> u32 {
    let RingOptions { ring_bytes, block_bytes, .. } = ring_options(settings);
    ring_bytes.checked_div(block_bytes).unwrap_or(0)
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
    fn blocks_are_many_but_hold_a_frame() {
        let blocks = |ring_kib, snap_bytes| {
            let RingOptions { ring_bytes, block_bytes, .. } =
                ring_options(&Settings { ring_kib, snap_bytes, ..Settings::default() });
            assert_eq!(ring_bytes, ring_kib * 1024);
            assert!(ring_bytes.is_multiple_of(block_bytes) && block_bytes >= snap_bytes + 128);
            ring_bytes / block_bytes
        };
        assert_eq!(blocks(1_024, 1_600), 64);
        assert_eq!(blocks(256, 1_600), 16);
        assert_eq!(blocks(64, 96), 4);
        assert_eq!(blocks(4_096, 1_600), 64);
        assert_eq!(blocks(1_024, 16_000), 64);
        assert_eq!(blocks(64, 8_192), 4);
    }

    #[test]
    fn the_prefixes_are_those_of_the_captured_interfaces() {
        let interface = |name: &str, address, prefix_length| Interface {
            name: name.into(),
            addresses: vec![InterfaceAddress { address: Address::v4(address), prefix_length }],
            is_up: true,
            ..Interface::default()
        };
        let existing = [interface("br-lan", 0xc0a8_0101, 24), interface("wan", 0xc633_6401, 22)];
        let found = prefixes(&existing, &["br-lan".into(), "gone".into()]);
        assert_eq!(found, [Prefix::new(Address::v4(0xc0a8_0100), 24).unwrap()]);
    }
}
