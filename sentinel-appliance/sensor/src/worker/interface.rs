//! One captured interface of one worker: its ring, what the ring lets through, and what became of the frames.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sentinel_capture::ring::{Block, Fanout, FanoutMode, OpenError, Ring, RingConfig};
use sentinel_filter::{FanoutHash, Instruction, Program, Target, code, content_snap};
use sentinel_units::{Address, LinkType};

use crate::settings::KernelSnap;
use crate::worker::snapshot::{InterfaceCounts, MAX_INTERFACES};

/// How rings are opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RingOptions {
    pub(crate) ring_bytes: u32,
    pub(crate) block_bytes: u32,
    pub(crate) snap_bytes: u32,
    pub(crate) block_timeout: Duration,
    pub(crate) promiscuous: bool,
}

/// Lets nothing through.
const NOTHING: [Instruction; 1] = [Instruction::plain(code::RET_K, 0)];
/// The link types that a ring can have.
const LINKS: [LinkType; 2] = [LinkType::ETHERNET, LinkType::RAW];

/// What the rings let through, and how much of it: a program for each of [`LINKS`]; without one, everything whole.
#[derive(Clone, Debug, Default)]
pub(crate) struct Programs([Option<Program>; LINKS.len()]);

impl Programs {
    /// Frames that match `expression`, which may be empty, cut as `snap` says.
    ///
    /// # Errors
    /// Why the expression is wrong, for people.
    pub(crate) fn new(expression: &str, snap: KernelSnap) -> Result<Self, String> {
        let mut programs = Self::default();
        for (program, link) in programs.0.iter_mut().zip(LINKS) {
            let cut = match snap {
                KernelSnap::Content => content_snap(link),
                KernelSnap::Off => None,
            };
            *program = if expression.trim().is_empty() {
                cut
            } else {
                match sentinel_filter::compile_for(Target::Kernel, expression, link, u32::MAX) {
                    Ok(filter) => match &cut {
                        Some(cut) => Some(filter.and(cut).map_err(|error| error.to_string())?),
                        None => Some(filter),
                    },
                    // Some expressions make sense on Ethernet only; then nothing passes elsewhere.
                    Err(_) if link != LinkType::ETHERNET => Program::new(NOTHING.to_vec()).ok(),
                    Err(error) => return Err(error.to_string()),
                }
            };
        }
        Ok(programs)
    }

    fn of(&self, link: LinkType) -> Option<&[Instruction]> {
        let index = LINKS.iter().position(|known| *known == link)?;
        self.0.get(index)?.as_ref().map(Program::instructions)
    }
}

/// How several workers share the frames of each interface. The kernel counts rings in the order in which they joined,
/// so all workers must join in their order, also after an interface was gone.
#[derive(Debug)]
pub(crate) struct Sharing {
    workers: u32,
    spread: FanoutHash,
    interfaces: [Turn; MAX_INTERFACES],
}

/// Whose turn it is on one interface.
#[derive(Debug)]
struct Turn {
    group: AtomicU32,
    /// Below the number of workers: that worker joins next. From there on: so many have left since all had joined.
    step: AtomicU32,
}

impl Sharing {
    pub(crate) const fn new(workers: u32, key: u32) -> Self {
        let interfaces =
            [const { Turn { group: AtomicU32::new(0), step: AtomicU32::new(0) } }; MAX_INTERFACES];
        Self { workers, spread: FanoutHash::new(key), interfaces }
    }

    pub(crate) const fn workers(&self) -> u32 {
        self.workers
    }

    /// The worker that gets what `source` sends.
    pub(crate) fn owner(&self, source: Address) -> u32 {
        self.spread.hash(source).checked_rem(self.workers).unwrap_or(0)
    }
}

/// One captured interface of one worker.
#[derive(Debug)]
pub(crate) struct Source {
    name: String,
    number: u16,
    worker: u32,
    options: RingOptions,
    sharing: &'static Sharing,
    /// `None` while the interface is gone.
    ring: Option<Ring>,
    /// Frames taken from all rings that this interface has had.
    taken: u64,
    /// Bytes of these on the wire.
    bytes: u64,
    /// Counts of rings that were closed.
    before: InterfaceCounts,
}

impl Source {
    /// Opens the ring. Nothing gets into it until [`Source::let_in`].
    pub(crate) fn open(
        name: &str,
        number: u16,
        worker: u32,
        options: RingOptions,
        sharing: &'static Sharing,
    ) -> Result<Self, OpenError> {
        let mut source = Self {
            name: name.to_owned(),
            number,
            worker,
            options,
            sharing,
            ring: None,
            taken: 0,
            bytes: 0,
            before: InterfaceCounts::default(),
        };
        source.ring = Some(source.open_ring()?);
        Ok(source)
    }

    /// The ring, if the interface is there.
    pub(crate) fn ring(&self) -> Option<&Ring> {
        self.ring.as_ref()
    }

    /// The same, to wait for it.
    pub(crate) fn ring_mut(&mut self) -> Option<&mut Ring> {
        self.ring.as_mut()
    }

    /// The next block, if one is ready, and where to count its frames and their bytes.
    pub(crate) fn next_block(&mut self) -> Option<(Block<'_>, &mut u64, &mut u64)> {
        let Self { ring, taken, bytes, .. } = self;
        Some((ring.as_mut()?.next_block()?, taken, bytes))
    }

    /// Puts `programs` on the ring, or lets nothing in. Says whether the kernel took it.
    pub(crate) fn let_in(&mut self, programs: Option<&Programs>) -> bool {
        let Some(ring) = &mut self.ring else { return true };
        let program = match programs {
            Some(programs) => programs.of(ring.link()),
            None => Some(NOTHING.as_slice()),
        };
        ring.replace_filter(program).is_ok()
    }

    /// Counts of all rings that this interface has had.
    pub(crate) fn counts(&mut self) -> InterfaceCounts {
        let is_open = u64::from(self.ring.is_some());
        let mut counts = InterfaceCounts { is_open, taken: self.taken, bytes: self.bytes, ..self.before };
        if let Some(now) = self.ring.as_mut().and_then(|ring| ring.counters().ok()) {
            counts.counted += now.received;
            counts.dropped += now.dropped;
            counts.freezes += now.freezes;
        }
        counts
    }

    /// The ring will get no more frames: the interface is gone, or another worker has left its group.
    pub(crate) fn is_over(&self) -> bool {
        let others_leave =
            self.turn().is_some_and(|turn| turn.step.load(Ordering::Acquire) > self.sharing.workers);
        self.ring.as_ref().is_some_and(|ring| others_leave || !ring.is_attached())
    }

    /// Closes the ring; what is still in it counts as dropped.
    pub(crate) fn close(&mut self) {
        self.before = self.counts().closed();
        self.ring = None;
        if let Some(turn) = self.turn() {
            let left = turn.step.fetch_add(1, Ordering::AcqRel) + 1;
            if left >= 2 * self.sharing.workers {
                turn.step.store(0, Ordering::Release);
            }
        }
    }

    /// Opens the ring again if the interface is back, and it is this worker's turn.
    pub(crate) fn reopen(&mut self, programs: Option<&Programs>) {
        let my_turn = self.turn().is_none_or(|turn| turn.step.load(Ordering::Acquire) == self.worker);
        if my_turn && let Ok(ring) = self.open_ring() {
            self.ring = Some(ring);
            self.let_in(programs);
        }
    }

    fn turn(&self) -> Option<&'static Turn> {
        let sharing = self.sharing;
        sharing.interfaces.get(usize::from(self.number)).filter(|_| sharing.workers > 1)
    }

    fn open_ring(&self) -> Result<Ring, OpenError> {
        let RingOptions { ring_bytes, block_bytes, snap_bytes, block_timeout, promiscuous } = self.options;
        let turn = self.turn();
        // The first makes the group anew, because the number may belong to somebody else by now.
        let group =
            |turn: &Turn| u16::try_from(turn.group.load(Ordering::Acquire)).ok().filter(|_| self.worker > 0);
        let mut ring = Ring::open(&RingConfig {
            number: self.number,
            ring_bytes,
            block_bytes,
            snap_bytes,
            block_timeout,
            promiscuous,
            filter: Some(&NOTHING),
            fanout: turn.map(|turn| Fanout { group: group(turn), mode: FanoutMode::Program }),
            ..RingConfig::new(&self.name)
        })?;
        if let Some(turn) = turn {
            if self.worker == 0 {
                ring.set_fanout_program(&self.sharing.spread.instructions())?;
                turn.group.store(ring.fanout_group()?.map_or(0, u32::from), Ordering::Release);
            }
            turn.step.store(self.worker + 1, Ordering::Release);
        }
        Ok(ring)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_and_the_snap_are_one_program() {
        let both = Programs::new("tcp port 443", KernelSnap::Content).unwrap();
        let alone = Programs::new("tcp port 443", KernelSnap::Off).unwrap();
        let length = |programs: &Programs| programs.of(LinkType::ETHERNET).map_or(0, <[Instruction]>::len);
        assert!(length(&both) > length(&alone) && length(&alone) > 3);
        assert!(Programs::new("", KernelSnap::Off).unwrap().of(LinkType::RAW).is_none());
        assert!(Programs::new("", KernelSnap::Content).unwrap().of(LinkType::RAW).is_some());
        let error = Programs::new("tcp port", KernelSnap::Content).unwrap_err();
        assert!(error.contains("column"), "{error}");
        // Of a link without hardware addresses nothing can come from one.
        let ethernet = Programs::new("ether host 02:00:00:00:00:01", KernelSnap::Off).unwrap();
        assert_eq!(ethernet.of(LinkType::RAW), Some(&NOTHING[..]));
    }
}
