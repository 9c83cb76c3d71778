//! The workers as the control thread sees them: what they report, and what they are asked to do.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use heapless::spsc::{Consumer, Producer};
use sentinel_capture::Frame;
use sentinel_filter::{Packet, Program};
use smol::Timer;
use smol::lock::Mutex;

use crate::control::accounting::FilterAccounting;
use crate::settings::KernelSnap;
use crate::worker::event_loop::{COMMAND_QUEUE_LEN, Command, EventFd};
use crate::worker::interface::KernelFilters;
use crate::worker::packet_memory::PacketMemory;
use crate::worker::snapshot::{MAX_INTERFACES, Snapshot, SnapshotCells};

/// A worker looks at its commands at every block, and when it is woken.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_micros(500);

/// The way to one worker.
pub(crate) struct WorkerHandle {
    pub(crate) commands: Producer<'static, Command>,
    pub(crate) copies: Consumer<'static, PacketMemory>,
    pub(crate) wake: EventFd,
}

/// All workers.
pub(crate) struct Workers {
    boards: SnapshotCells,
    hands: RefCell<Vec<WorkerHandle>>,
    /// Frames that each worker keeps.
    kept_frames: usize,
    ledger: RefCell<FilterAccounting>,
    is_capturing: Cell<bool>,
    /// One change at a time.
    turn: Mutex<()>,
}

/// What all workers report, with the frames that the kernel's filter refused.
pub(crate) struct FrameCounts {
    pub(crate) snapshot: Snapshot,
    /// For each interface.
    pub(crate) refused: [u64; MAX_INTERFACES],
}

impl FrameCounts {
    /// Frames that were on the interfaces.
    pub(crate) fn seen(&self) -> u64 {
        self.snapshot.seen() + self.filtered()
    }

    /// Frames that the filter refused.
    pub(crate) fn filtered(&self) -> u64 {
        self.refused.iter().sum()
    }
}

impl Workers {
    pub(crate) fn new(
        boards: SnapshotCells,
        hands: Vec<WorkerHandle>,
        kept_frames: usize,
        ledger: FilterAccounting,
    ) -> Self {
        Self {
            boards,
            hands: RefCell::new(hands),
            kept_frames,
            ledger: RefCell::new(ledger),
            is_capturing: Cell::new(true),
            turn: Mutex::new(()),
        }
    }

    pub(crate) fn boards(&self) -> SnapshotCells {
        self.boards
    }

    /// What was seen until now, and what became of it.
    pub(crate) fn books(&self) -> FrameCounts {
        // In this order: what a ring takes meanwhile must not look refused.
        let mut ledger = self.ledger.borrow_mut();
        ledger.read();
        let snapshot = self.boards.read();
        let refused = ledger.refused(&snapshot.interfaces);
        FrameCounts { snapshot, refused }
    }

    /// Meters of interfaces that went away or came back.
    pub(crate) fn tend_meters(&self) {
        let snapshot = self.boards.read();
        self.ledger.borrow_mut().tend(&snapshot.interfaces);
    }

    pub(crate) fn is_capturing(&self) -> bool {
        self.is_capturing.get()
    }

    /// Takes over new settings; refused while earlier commands wait.
    pub(crate) async fn reconfigure(&self, make: impl Fn() -> Command) -> Result<(), String> {
        let _turn = self.turn.lock().await;
        self.all(&make).await
    }

    /// Begins to capture, with this filter: first nothing passes, then everything is counted, then the filter begins.
    ///
    /// # Errors
    /// What is wrong with the filter, and then nothing changes; or which worker did not follow.
    pub(crate) async fn open(&self, expression: &str, snap: KernelSnap) -> Result<(), String> {
        let programs = KernelFilters::new(expression, snap)?;
        let _turn = self.turn.lock().await;
        self.all(&|| Command::Close).await?;
        self.ledger.borrow_mut().measure(!expression.is_empty(), &self.boards.read().interfaces);
        self.all(&|| Command::Open(Box::new(programs.clone()))).await?;
        self.is_capturing.set(true);
        Ok(())
    }

    /// Ends capturing; the sensor goes on.
    pub(crate) async fn close(&self) -> Result<(), String> {
        let _turn = self.turn.lock().await;
        self.all(&|| Command::Close).await?;
        self.ledger.borrow_mut().measure(false, &self.boards.read().interfaces);
        self.is_capturing.set(false);
        Ok(())
    }

    /// Gives a command to every worker, and waits until all have done it.
    async fn all(&self, make: &dyn Fn() -> Command) -> Result<(), String> {
        let done =
            |boards: SnapshotCells| boards.each().map(|board| (board.commands, board.refused_commands));
        let before: Vec<(u64, u64)> = done(self.boards).collect();
        {
            let mut hands = self.hands.borrow_mut();
            if hands.iter().any(|hand| hand.commands.len() >= COMMAND_QUEUE_LEN - 1) {
                return Err("the last command is still under way".into());
            }
            for hand in hands.iter_mut() {
                let _has_room = hand.commands.enqueue(make());
                hand.wake.ring();
            }
        }
        let looks = COMMAND_TIMEOUT.as_micros() / LOOK.as_micros();
        for _ in 0..looks {
            let mut pairs = done(self.boards).zip(&before);
            if pairs.all(|((now, _), (before, _))| now > *before) {
                let refused = done(self.boards).zip(&before).any(|((_, now), (_, before))| now > *before);
                let answer = "the kernel does not take this filter on every interface";
                return if refused { Err(answer.into()) } else { Ok(()) };
            }
            Timer::after(LOOK).await;
        }
        Err("a worker does not answer".into())
    }

    /// Whether frames are kept.
    pub(crate) fn remembers(&self) -> bool {
        self.kept_frames > 0
    }

    /// Calls `take` with the newest `limit` frames that match, oldest first.
    pub(crate) async fn packets(
        &self,
        limit: usize,
        matches: impl Fn(&Frame<'_>) -> bool,
        take: impl FnMut(&Frame<'_>),
    ) -> Result<(), String> {
        let _turn = self.turn.lock().await;
        // What an attempt left behind that nobody waited for.
        self.copies().clear();
        self.all(&|| Command::Copy(PacketMemory::new(self.kept_frames))).await?;
        let kept = self.copies();
        let mut frames: Vec<Frame<'_>> =
            kept.iter().flat_map(PacketMemory::frames).filter(|frame| matches(frame)).collect();
        frames.sort_by_key(|frame| frame.at);
        let skip = frames.len().saturating_sub(limit);
        frames.iter().skip(skip).for_each(take);
        Ok(())
    }

    fn copies(&self) -> Vec<PacketMemory> {
        self.hands.borrow_mut().iter_mut().filter_map(|hand| hand.copies.dequeue()).collect()
    }
}

/// Whether a frame that was kept matches; of a link type without a program, none does.
pub(crate) fn matches(programs: &[(sentinel_units::LinkType, Program)], frame: &Frame<'_>) -> bool {
    let packet = Packet { bytes: frame.bytes, wire_len: frame.wire_len, vlan: frame.vlan };
    programs.iter().any(|(link, program)| *link == frame.link && program.matches(&packet))
}
