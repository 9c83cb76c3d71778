//! Detection engine and the memory of its tables: frames in, alerts out, live and from files alike.

use sentinel_alert::Alert;
use sentinel_capture::Frame;
use sentinel_detect::{
    AllowRule, Configs, Counts, Device, Engine, FirstPacketReport, HomeNet, IncidentLimits, RawFrame,
    ReassemblyStorage, Storage, TableSize,
};
use sentinel_track::allocator::TableAllocator;
use sentinel_track::hash::HashKey;
use sentinel_units::{Prefix, Timestamp};

use crate::settings::Settings;
use crate::settings::indicators;
use crate::settings::lists::Lists;
use crate::settings::signatures::BUILT_IN;
use crate::worker::memory::capacities;

/// Detection engine with its tables, allocated once.
#[derive(Debug)]
pub(crate) struct Analyser {
    engine: Engine<'static>,
    /// Compiled list, for the thread that analyses.
    indicators: indicators::Shared,
}

/// Settings that a running engine can take over.
#[derive(Debug)]
pub(crate) struct LiveConfig {
    home_net: HomeNet,
    incident_limits: IncidentLimits,
    detectors: Configs,
    allow_rules: Vec<AllowRule>,
    lists: Lists,
    indicators: indicators::Shared,
}

impl LiveConfig {
    /// Combines settings, the prefixes of the captured interfaces, the lists of the detectors, and the compiled list of this thread.
    pub(crate) fn new(settings: &Settings, interface_prefixes: &[Prefix], lists: Lists) -> Self {
        let mut home_net = HomeNet::default();
        for prefix in settings.home_net.iter().chain(interface_prefixes) {
            // The settings allow 16 of 32 prefixes; of a machine with more than 16 of its own the last are left out.
            let _full = home_net.add(*prefix);
        }
        let incident_limits = IncidentLimits {
            idle_timeout: settings.incident_idle,
            update: settings.incident_update,
            burst: settings.incident_burst,
        };
        let (detectors, allow_rules) = (settings.detectors.clone(), settings.allow.clone());
        Self { home_net, incident_limits, detectors, allow_rules, lists, indicators: indicators::current() }
    }

    /// Gives the lists to the engine. They fit: that was checked when they were read, for the same memory.
    fn lists(&self, engine: &mut Engine<'static>) {
        let Lists { ports, signatures } = &self.lists;
        engine.set_listed_ports(ports);
        let _fits = engine.set_signatures(signatures.lists.as_deref(), &BUILT_IN);
        engine.set_indicators(indicators::enter(self.indicators.clone()));
        engine.set_transfer_sizes(signatures.transfer_thresholds.sizes());
    }
}

/// Tables with their sizes, for status.
pub(crate) fn tables(memory_kib: u32) -> impl Iterator<Item = TableSize> {
    let (capacities, reassembly) = capacities(memory_kib);
    capacities.sizes().chain(reassembly.tables())
}

impl Analyser {
    /// Allocates all tables, for the life of the program. Boxed: by value the engine, of some twenty KiB, would be in the frame of each
    /// caller, and MIPS does not address a frame of more than 32 KiB in one instruction.
    #[inline(never)]
    pub(crate) fn new(memory_kib: u32, key: HashKey, live_config: &LiveConfig) -> Box<Self> {
        let (capacities, reassembly) = capacities(memory_kib);
        let storage = Storage::allocate(&capacities, &mut PrefaultedAllocator);
        let mut engine = Engine::new(
            storage,
            key,
            live_config.home_net.clone(),
            live_config.incident_limits,
            &live_config.detectors,
        );
        live_config.lists(&mut engine);
        // The settings allow as many as fit.
        let _all_fit = engine.set_allow_rules(&live_config.allow_rules);
        engine.enable_reassembly(ReassemblyStorage::allocate(&reassembly, &mut PrefaultedAllocator));
        Box::new(Self { engine, indicators: live_config.indicators.clone() })
    }

    /// From now on this thread analyses.
    pub(crate) fn enter_thread(&mut self) {
        indicators::replace(self.indicators.take());
    }

    /// Applies new settings; tables and open incidents stay.
    pub(crate) fn reconfigure(&mut self, live_config: &LiveConfig) {
        self.engine.configure(
            live_config.home_net.clone(),
            live_config.incident_limits,
            &live_config.detectors,
        );
        live_config.lists(&mut self.engine);
        let _all_fit = self.engine.set_allow_rules(&live_config.allow_rules);
    }

    /// Makes this the engine of worker `index` of `workers`.
    pub(crate) const fn set_shard(&mut self, index: u32, workers: u32) {
        self.engine.set_shard(index, workers);
    }

    /// Report of the last frame for the other workers, if it was the first of an ambiguous flow.
    #[inline]
    pub(crate) const fn take_report(&mut self) -> Option<FirstPacketReport> {
        self.engine.take_report()
    }

    /// Decides that the source of an own report is the initiator.
    pub(crate) fn resolve_initiator(&mut self, own: &FirstPacketReport, raise: &mut dyn FnMut(Alert)) {
        self.engine.resolve_initiator(own, raise);
    }

    /// Decides that the source of an own report is the responder.
    pub(crate) fn resolve_responder(&mut self, own: &FirstPacketReport, raise: &mut dyn FnMut(Alert)) {
        self.engine.resolve_responder(own, raise);
    }

    /// Applies the report of another worker.
    pub(crate) fn apply_remote(&mut self, report: &FirstPacketReport, raise: &mut dyn FnMut(Alert)) {
        self.engine.apply_remote(report, raise);
    }

    /// Analyses one frame.
    // Always: this crate is compiled for size, and a call in between costs 8 instructions for each frame.
    #[inline(always)]
    pub(crate) fn frame(&mut self, frame: &Frame<'_>, raise: &mut dyn FnMut(Alert)) {
        let Frame { at, link, bytes, wire_len, interface, vlan, .. } = *frame;
        self.engine.frame(RawFrame { at, link, bytes, wire_len, interface, vlan }, raise);
    }

    /// Analyses `frame` as a canary packet; returns true if the answer is right.
    pub(crate) fn canary(&mut self, frame: &[u8], raise: &mut dyn FnMut(Alert)) -> bool {
        self.engine.canary(frame, raise)
    }

    /// Counts of the frames so far.
    pub(crate) const fn counts(&self) -> Counts {
        self.engine.counts()
    }

    /// Advances the clock while there is no traffic.
    pub(crate) fn tick(&mut self, now: Timestamp, raise: &mut dyn FnMut(Alert)) {
        self.engine.tick(now, raise);
    }

    /// Closes all incidents.
    pub(crate) fn finish(&mut self, raise: &mut dyn FnMut(Alert)) {
        self.engine.finish(raise);
    }

    /// Stations of the link that are known, as [`Engine::devices`].
    pub(crate) fn devices(&mut self) -> (&[Device], bool, [u32; 2]) {
        self.engine.devices()
    }

    /// Takes over stations of an earlier run.
    pub(crate) fn restore_devices(&mut self, devices: &[Device], is_complete: bool) {
        self.engine.restore_devices(devices, is_complete);
    }

    /// Engine, for its losses and open incidents.
    pub(crate) const fn engine(&self) -> &Engine<'static> {
        &self.engine
    }
}

/// Allocator of tables that live as long as the program, with every page written once.
///
/// `vec![0; n]` would map zero pages, which the kernel backs with memory only when traffic first writes to them.
struct PrefaultedAllocator;

impl TableAllocator<'static> for PrefaultedAllocator {
    fn allocate<T: Clone + 'static>(&mut self, count: usize, empty: T) -> &'static mut [T] {
        let mut memory = Vec::with_capacity(count);
        // `black_box`: of a value known to be zero the compiler may make a zeroed allocation, which writes no page.
        memory.extend(std::iter::repeat_n(std::hint::black_box(empty), count));
        memory.leak()
    }

    #[inline(never)] // short frames: together they would be longer than MIPS addresses in one instruction
    fn allocate_default<T: Clone + Default + 'static>(&mut self, count: usize) -> &'static mut [T] {
        // `black_box` as above, of the memory: the values are made in their places.
        let mut memory = std::hint::black_box(Vec::with_capacity(count));
        memory.resize_with(count, T::default);
        memory.leak()
    }

    fn allocate_bytes(&mut self, count: usize) -> &'static mut [u8] {
        vec![0; count].leak()
    }
}
