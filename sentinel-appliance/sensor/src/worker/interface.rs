//! One captured interface of one worker: its ring, the filter of the ring, and the counts of all rings it has had.

use std::time::Duration;

use rustix::io::Errno;
use sentinel_capture::interfaces::{self, Interface};
use sentinel_capture::ring::{Block, Fanout, FanoutMode, OpenError, Ring, RingConfig};
use sentinel_units::Prefix;

use crate::settings::Settings;
use crate::terminal::failure::Failure;
use crate::worker::fanout::{FanoutGroup, JoinOrder};
use crate::worker::kernel_filters::{KernelFilters, REFUSE_ALL};
use crate::worker::overlap;
use crate::worker::snapshot::InterfaceCounts;

/// Largest block: smaller ones make small rings useful, larger ones cost fewer wake-ups.
const MAX_BLOCK_BYTES: u32 = 64 * 1024;
/// Smallest block, a whole number of pages on all our machines.
const MIN_BLOCK_BYTES: u32 = 16 * 1024;
/// Blocks that a ring has at least.
const MIN_BLOCKS: u32 = 4;
/// Blocks of the ring of a worker. The kernel hands a block over after its timeout even if it is nearly empty, and does
/// not fill it again until it was read, so a late reader needs many: 64 bridge 128 ms at any rate, and cost a few
/// nanoseconds for each frame.
const BLOCKS: u32 = 64;
/// Bytes of a frame in a block besides its data, rounded up.
const FRAME_OVERHEAD: u32 = 256;

/// Options of all rings of a program.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RingOptions {
    pub(crate) ring_bytes: u32,
    pub(crate) block_bytes: u32,
    pub(crate) snap_bytes: u32,
    pub(crate) block_timeout: Duration,
    pub(crate) promiscuous: bool,
}

impl RingOptions {
    /// Options of a worker's rings: many blocks, each with room for a frame of `snap_bytes`.
    pub(crate) fn for_worker(settings: &Settings) -> Self {
        let (ring_bytes, largest) = ring_sizes(settings.ring_kib);
        // The kernel cuts a frame that does not fit a block.
        let least = (settings.snap_bytes + FRAME_OVERHEAD).next_power_of_two().max(MIN_BLOCK_BYTES);
        Self {
            ring_bytes,
            block_bytes: (ring_bytes / BLOCKS).max(least).min(largest),
            snap_bytes: settings.snap_bytes,
            block_timeout: settings.block_timeout,
            promiscuous: settings.promiscuous,
        }
    }

    /// Options of a ring of `ring_kib` (at least 16) with the largest blocks, for whole frames.
    pub(crate) fn for_frames(
        ring_kib: u32,
        snap_bytes: u32,
        promiscuous: bool,
        block_timeout: Duration,
    ) -> Self {
        let (ring_bytes, block_bytes) = ring_sizes(ring_kib);
        Self { ring_bytes, block_bytes, snap_bytes, block_timeout, promiscuous }
    }

    /// Blocks of each ring.
    pub(super) fn blocks(&self) -> u32 {
        self.ring_bytes.checked_div(self.block_bytes).unwrap_or(0)
    }
}

/// Bytes of the ring and of its largest block, for a ring of `ring_kib`, at least 16.
fn ring_sizes(ring_kib: u32) -> (u32, u32) {
    let ring_bytes = ring_kib.saturating_mul(1024);
    // A power of two, so that blocks are whole pages and fill the ring but for less than a block.
    let block_bytes = (ring_bytes / MIN_BLOCKS).min(MAX_BLOCK_BYTES);
    let block_bytes = 1 << block_bytes.ilog2();
    (ring_bytes / block_bytes * block_bytes, block_bytes)
}

/// Frames taken from all rings that an interface has had.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FrameTotals {
    pub(crate) frames: u64,
    /// Bytes of these frames on the wire.
    pub(crate) bytes: u64,
}

/// One captured interface of one worker.
#[derive(Debug)]
pub(crate) struct CaptureInterface {
    name: String,
    number: u16,
    worker: u32,
    options: RingOptions,
    fanout: &'static FanoutGroup,
    /// `None` while the interface is absent.
    ring: Option<Ring>,
    taken: FrameTotals,
    /// Counts of rings that were closed.
    closed: InterfaceCounts,
}

impl CaptureInterface {
    /// Opens the ring. It refuses every frame until [`CaptureInterface::set_filter`].
    pub(crate) fn open(
        name: &str,
        number: u16,
        worker: u32,
        options: RingOptions,
        fanout: &'static FanoutGroup,
    ) -> Result<Self, OpenError> {
        let mut interface = Self::absent(name, number, worker, options, fanout);
        interface.ring = interface.open_ring()?;
        Ok(interface)
    }

    /// Opens the ring if the interface is there; else, and if a worker before this one has found it absent, the housekeeping
    /// opens it later. The error of an interface that is absent is given beside it. While an interface `is_down`, the kernel
    /// refuses to share it between workers (`EINVAL`), so it counts as absent.
    ///
    /// # Errors
    /// Opening failed for another reason.
    pub(crate) fn open_or_wait(
        name: &str,
        number: u16,
        worker: u32,
        options: RingOptions,
        fanout: &'static FanoutGroup,
        is_down: bool,
    ) -> Result<(Self, Option<OpenError>), OpenError> {
        let mut interface = Self::absent(name, number, worker, options, fanout);
        match interface.reopen(None) {
            Ok(()) => Ok((interface, None)),
            Err(error) if is_absent(error) || is_down && is_refused_sharing(error) => {
                Ok((interface, Some(error)))
            }
            Err(error) => Err(error),
        }
    }

    /// Without a ring.
    fn absent(
        name: &str,
        number: u16,
        worker: u32,
        options: RingOptions,
        fanout: &'static FanoutGroup,
    ) -> Self {
        Self {
            name: name.to_owned(),
            number,
            worker,
            options,
            fanout,
            ring: None,
            taken: FrameTotals::default(),
            closed: InterfaceCounts::default(),
        }
    }

    /// Name of the interface.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Ring, if the interface is there.
    pub(crate) const fn ring(&self) -> Option<&Ring> {
        self.ring.as_ref()
    }

    /// Ring, if the interface is there, to wait for a block.
    pub(crate) const fn ring_mut(&mut self) -> Option<&mut Ring> {
        self.ring.as_mut()
    }

    /// Next block, if one is ready, and the totals that its frames are to be added to.
    pub(crate) fn next_block(&mut self) -> Option<(Block<'_>, &mut FrameTotals)> {
        Some((self.ring.as_mut()?.next_block()?, &mut self.taken))
    }

    /// Attaches the program of `filters` to the ring, or refuses every frame without them.
    ///
    /// # Errors
    /// The kernel refuses the program; the old one stays.
    pub(crate) fn set_filter(&mut self, filters: Option<&KernelFilters>) -> Result<(), OpenError> {
        let Some(ring) = &mut self.ring else { return Ok(()) };
        let program = match filters {
            Some(filters) => filters.program(ring.link()),
            None => Some(REFUSE_ALL.as_slice()),
        };
        ring.replace_filter(program)
    }

    /// Counts of all rings that this interface has had.
    pub(crate) fn counts(&mut self) -> InterfaceCounts {
        let FrameTotals { frames, bytes } = self.taken;
        let is_open = u64::from(self.ring.is_some());
        let mut counts = InterfaceCounts { is_open, taken: frames, bytes, ..self.closed };
        if let Some(now) = self.ring.as_mut().and_then(|ring| ring.counters().ok()) {
            counts.counted += now.received;
            counts.dropped += now.dropped;
            counts.freezes += now.freezes;
        }
        counts
    }

    /// Returns true if the ring will get no more frames: the interface has vanished, or another worker has left its group.
    pub(super) fn must_close(&self) -> bool {
        let is_dissolving = self.join_order().is_some_and(JoinOrder::is_dissolving);
        self.ring.as_ref().is_some_and(|ring| is_dissolving || !ring.is_attached())
    }

    /// Closes the ring. Frames that are still in it count as dropped.
    pub(super) fn close(&mut self) {
        // Counted first: the kernel's counters vanish with the socket. The group is left last: when every worker has
        // left, all sockets of the old group are closed, and worker 0 may make a new one.
        self.closed = self.counts().closed();
        self.ring = None;
        if let Some(order) = self.join_order() {
            order.left();
        }
    }

    /// Opens the ring again with the program of `filters`, if this worker joins next.
    ///
    /// # Errors
    /// The interface is still absent, or the kernel refuses the ring or the program. With the program refused the ring is
    /// open and refuses every frame.
    pub(super) fn reopen(&mut self, filters: Option<&KernelFilters>) -> Result<(), OpenError> {
        // Not an error: the next housekeeping, a second later, tries again.
        if self.join_order().is_some_and(|order| !order.is_next(self.worker)) {
            return Ok(());
        }
        self.ring = self.open_ring()?;
        self.set_filter(filters)
    }

    fn join_order(&self) -> Option<&'static JoinOrder> {
        self.fanout.join_order(self.number)
    }

    /// Opens a ring and joins the group; `None` if another worker has left it meanwhile.
    fn open_ring(&self) -> Result<Option<Ring>, OpenError> {
        let RingOptions { ring_bytes, block_bytes, snap_bytes, block_timeout, promiscuous } = self.options;
        let order = self.join_order();
        let fanout =
            |order: &JoinOrder| Fanout { group: order.group(self.worker), mode: FanoutMode::Program };
        let mut ring = Ring::open(&RingConfig {
            number: self.number,
            ring_bytes,
            block_bytes,
            snap_bytes,
            block_timeout,
            promiscuous,
            // No frame gets into the ring before the caller sets the filter; at the start it first starts the frame accounting.
            filter: Some(&REFUSE_ALL),
            fanout: order.map(fanout),
            ..RingConfig::new(&self.name)
        })?;
        // `joined` comes last. It publishes the group to the next worker, and after an error before it the ring is
        // dropped and this worker is still the next.
        if let Some(order) = order {
            if self.worker == 0 {
                ring.set_fanout_program(&self.fanout.instructions())?;
                order.set_group(ring.fanout_group()?.unwrap_or(0));
            }
            if !order.joined(self.worker) {
                return Ok(None);
            }
        }
        Ok(Some(ring))
    }
}

/// Returns true if the interface does not exist, or is down in a way that the kernel opens no ring on it.
const fn is_absent(error: OpenError) -> bool {
    match error {
        OpenError::UnknownInterface => true,
        OpenError::System { errno, .. } => matches!(errno, Errno::NODEV | Errno::NXIO | Errno::NETDOWN),
        _ => false,
    }
}

const fn is_refused_sharing(error: OpenError) -> bool {
    matches!(error, OpenError::System { errno: Errno::INVAL, .. })
}

/// Interfaces of this machine.
pub(crate) fn existing_interfaces() -> Result<Vec<Interface>, Failure> {
    let mut existing =
        interfaces::list().map_err(|error| Failure::new(format!("listing interfaces: {error}")))?;
    overlap::find_pppoe(&mut existing);
    Ok(existing)
}

/// Networks that the captured interfaces are in now.
pub(crate) fn interface_prefixes(captured: &[String]) -> Result<Vec<Prefix>, Failure> {
    Ok(prefixes(&existing_interfaces()?, captured))
}

/// Networks that `captured` are in.
pub(crate) fn prefixes(existing: &[Interface], captured: &[String]) -> Vec<Prefix> {
    let captured = existing.iter().filter(|interface| captured.contains(&interface.name));
    captured.flat_map(|found| &found.addresses).filter_map(|address| address.prefix().ok()).collect()
}

/// Failure to open an interface, with the cause, and the remedy where the error names one.
pub(crate) fn open_failure(name: &str, error: OpenError, existing: &[Interface]) -> Failure {
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
            let options = RingOptions::for_worker(&Settings { ring_kib, snap_bytes, ..Settings::default() });
            let RingOptions { ring_bytes, block_bytes, .. } = options;
            assert_eq!(ring_bytes, ring_kib * 1024);
            assert!(ring_bytes.is_multiple_of(block_bytes) && block_bytes >= snap_bytes + 128);
            options.blocks()
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
        let found = prefixes(&existing, &["br-lan".into(), "absent".into()]);
        assert_eq!(found, [Prefix::new(Address::v4(0xc0a8_0100), 24).unwrap()]);
    }

    #[test]
    fn a_refusal_names_the_cause_and_the_remedy() {
        let refused = |call| {
            let error = OpenError::System { call, errno: Errno::NOMEM };
            open_failure("br-lan", error, &[]).to_string()
        };
        assert!(refused("SO_ATTACH_FILTER").contains("optmem_max"), "{}", refused("SO_ATTACH_FILTER"));
        assert!(refused("PACKET_RX_RING").contains("ring_kib"), "{}", refused("PACKET_RX_RING"));
    }
}
