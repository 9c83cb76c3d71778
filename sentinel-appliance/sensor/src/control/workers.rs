//! Workers as the control thread uses them: their counters, commands to all of them, and the replies.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::path::Path;
use std::time::Duration;

use heapless::spsc::{Consumer, Producer};
use sentinel_capture::Frame;
use sentinel_filter::{Packet, Program};
use sentinel_units::Uptime;
use smol::{Async, Timer, future};

use crate::control::accounting::FilterAccounting;
use crate::control::notification::{Turn, Turns};
use crate::limits::MAX_INTERFACES;
use crate::settings::KernelSnap;
use crate::system::wake::EventFd;
use crate::terminal::log;
use crate::worker::command::{COMMAND_QUEUE_LEN, Command, NumberedCommand, Reply};
use crate::worker::devices::DeviceKeeper;
use crate::worker::kernel_filters::{FilterError, KernelFilters};
use crate::worker::packet_memory::PacketMemory;
use crate::worker::ring_set::FilterRejected;
use crate::worker::snapshot::{Snapshot, SnapshotCells};

/// Limit of the reply to a command. A worker looks for commands after every block, and when it is woken.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(2);

/// Queues to and from one worker.
pub(crate) struct WorkerHandle {
    pub(crate) commands: Producer<'static, NumberedCommand>,
    pub(crate) replies: Consumer<'static, Reply>,
    pub(crate) wake: EventFd,
}

/// Filters that the rings have.
#[derive(Clone, Debug)]
pub(crate) struct OpenFilters {
    pub(crate) filters: KernelFilters,
    /// They refuse some frames, which are to be counted.
    pub(crate) refuses_frames: bool,
}

/// All workers.
pub(crate) struct Workers {
    snapshots: SnapshotCells,
    /// Stations that the first worker knows.
    devices: RefCell<Option<DeviceKeeper>>,
    handles: RefCell<Vec<WorkerHandle>>,
    /// Signalled by every worker after a reply.
    reply_event: EventFd,
    /// Frames that each worker keeps.
    kept_frames: usize,
    accounting: RefCell<FilterAccounting>,
    /// Filters in force; `None` while capturing is stopped.
    open_filters: RefCell<Option<OpenFilters>>,
    /// Number of the last command.
    last_command: Cell<u32>,
    /// Of the commands: there is one under way at a time.
    turns: Turns,
}

/// Reason why a command was not done, or not by all workers.
#[derive(Debug)]
pub(crate) enum CommandError {
    /// The filter cannot be compiled; nothing has changed.
    Filter(FilterError),
    /// The kernel refuses the filter on an interface.
    Rejected(FilterRejected),
    /// Earlier commands still wait; nothing has changed.
    QueueFull,
    /// A worker has not replied in time. It may still execute the command.
    Timeout,
    /// The eventfd of the replies cannot be waited for; the command is executed, its outcome is not known.
    Event(std::io::Error),
}

impl fmt::Display for CommandError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Filter(error) => error.fmt(out),
            Self::Rejected(rejected) => write!(out, "{rejected}; nothing has changed"),
            Self::QueueFull => out.write_str("the last command is still under way"),
            Self::Timeout => write!(out, "a worker has not replied within {} s", COMMAND_TIMEOUT.as_secs()),
            Self::Event(error) => write!(out, "waiting for the workers: {error}"),
        }
    }
}

/// Frame counts of all workers, with the frames that the kernel filter refused.
pub(crate) struct FrameCounts {
    pub(crate) snapshot: Snapshot,
    /// Frames refused on each interface.
    pub(crate) refused: [u64; MAX_INTERFACES],
}

impl FrameCounts {
    /// Frames of all interfaces.
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
        (snapshots, devices): (SnapshotCells, Option<DeviceKeeper>),
        handles: Vec<WorkerHandle>,
        reply_event: EventFd,
        kept_frames: usize,
        accounting: FilterAccounting,
        open_filters: OpenFilters,
    ) -> Self {
        Self {
            snapshots,
            devices: RefCell::new(devices),
            handles: RefCell::new(handles),
            reply_event,
            kept_frames,
            accounting: RefCell::new(accounting),
            open_filters: RefCell::new(Some(open_filters)),
            last_command: Cell::new(0),
            turns: Turns::default(),
        }
    }

    /// Keeps the stations that the workers know in their file, if it is time or the end.
    pub(crate) fn save_devices(&self, state_dir: &Path, now: Uptime, is_end: bool) {
        if let Some(devices) = self.devices.borrow_mut().as_mut() {
            devices.save(state_dir, now, is_end);
        }
    }

    pub(crate) const fn snapshots(&self) -> SnapshotCells {
        self.snapshots
    }

    /// Frame counts until now.
    pub(crate) fn frame_counts(&self) -> FrameCounts {
        // In this order: a frame that a ring takes between the two readings must not look refused.
        let mut accounting = self.accounting.borrow_mut();
        accounting.refresh();
        let snapshot = self.snapshots.read();
        let refused = accounting.refused(&snapshot.interfaces);
        FrameCounts { snapshot, refused }
    }

    /// Closes and opens the frame counters of interfaces that went away or came back.
    pub(crate) fn follow_interfaces(&self) {
        let snapshot = self.snapshots.read();
        self.accounting.borrow_mut().follow_interfaces(&snapshot.interfaces);
    }

    /// Wakes all workers, so that they see a flag at once.
    pub(crate) fn wake(&self) {
        self.handles.borrow().iter().for_each(|handle| handle.wake.notify());
    }

    pub(crate) fn is_capturing(&self) -> bool {
        self.open_filters.borrow().is_some()
    }

    /// Gives new settings to every worker.
    ///
    /// # Errors
    /// [`CommandError::QueueFull`], [`CommandError::Timeout`], [`CommandError::Event`].
    pub(crate) async fn reconfigure(&self, make: impl Fn() -> Command) -> Result<(), CommandError> {
        let turn = self.turns.next().await;
        self.send(&turn, &make).await.map(drop)
    }

    /// Starts to capture with this filter.
    ///
    /// # Errors
    /// The filter cannot be compiled, the kernel refuses it, or a worker did not follow. Then the filter before stays in
    /// force; if no frame was captured before, none is.
    pub(crate) async fn open(&self, expression: &str, snap: KernelSnap) -> Result<(), CommandError> {
        let filters = KernelFilters::new(expression, snap).map_err(CommandError::Filter)?;
        let new = OpenFilters { filters, refuses_frames: !expression.is_empty() };
        // The turn lasts over all commands, so that no other command runs between them.
        let turn = self.turns.next().await;
        match self.replace_filters(&turn, &new).await {
            Ok(()) => {
                self.open_filters.replace(Some(new));
                Ok(())
            }
            // No worker has got a command.
            Err(CommandError::QueueFull) => Err(CommandError::QueueFull),
            Err(error) => {
                self.restore_filters(&turn).await;
                Err(error)
            }
        }
    }

    /// First the rings refuse every frame, then the accounting starts, then the filters are attached: so every frame is
    /// counted once. A worker publishes its counts before it replies, so the snapshot read after `Close` has every frame that
    /// passed the old filters.
    async fn replace_filters(&self, turn: &Turn<'_>, new: &OpenFilters) -> Result<(), CommandError> {
        self.send(turn, &|| Command::Close).await?;
        self.accounting.borrow_mut().restart(new.refuses_frames, &self.snapshots.read().interfaces);
        self.send(turn, &|| Command::Open(Box::new(new.filters.clone()))).await.map(drop)
    }

    /// Attaches the filters of before again, after others were refused: some rings may have those, the others refuse every
    /// frame. Workers execute commands in order, so this also follows a command that timed out.
    async fn restore_filters(&self, turn: &Turn<'_>) {
        let before = self.open_filters.borrow().clone();
        let restored = match &before {
            Some(before) => self.replace_filters(turn, before).await,
            None => self.send(turn, &|| Command::Close).await.map(drop),
        };
        if let Err(error) = restored {
            log::error(format_args!("the filter of before cannot be attached again: {error}"));
        }
    }

    /// Stops capturing; the sensor runs on.
    ///
    /// # Errors
    /// A worker did not follow.
    pub(crate) async fn close(&self) -> Result<(), CommandError> {
        let turn = self.turns.next().await;
        self.send(&turn, &|| Command::Close).await?;
        self.accounting.borrow_mut().restart(false, &self.snapshots.read().interfaces);
        self.open_filters.replace(None);
        Ok(())
    }

    /// Returns true if frames are kept.
    pub(crate) const fn keeps_packets(&self) -> bool {
        self.kept_frames > 0
    }

    /// Calls `take` with the newest `limit` frames that match, oldest first.
    ///
    /// # Errors
    /// A worker did not reply.
    pub(crate) async fn packets(
        &self,
        limit: usize,
        matches: impl Fn(&Frame<'_>) -> bool,
        take: impl FnMut(&Frame<'_>),
    ) -> Result<(), CommandError> {
        let turn = self.turns.next().await;
        let copies = self.send(&turn, &|| Command::Copy(PacketMemory::new(self.kept_frames))).await?;
        let mut frames: Vec<Frame<'_>> =
            copies.iter().flat_map(PacketMemory::frames).filter(|frame| matches(frame)).collect();
        // Stable: frames of one worker with the same timestamp keep their order.
        frames.sort_by_key(|frame| frame.at);
        let skip = frames.len().saturating_sub(limit);
        frames.iter().skip(skip).for_each(take);
        Ok(())
    }

    /// Sends a command to every worker and waits for all replies; gives the copies of packets in them.
    async fn send(
        &self,
        _turn: &Turn<'_>,
        make: &dyn Fn() -> Command,
    ) -> Result<Vec<PacketMemory>, CommandError> {
        let number = self.last_command.get().wrapping_add(1);
        self.last_command.set(number);
        {
            let mut handles = self.handles.borrow_mut();
            // All queues are checked before the first is filled: a command goes to every worker or to none. Only this
            // thread fills them, so the room stays.
            if handles.iter().any(|handle| handle.commands.len() >= COMMAND_QUEUE_LEN - 1) {
                return Err(CommandError::QueueFull);
            }
            for handle in handles.iter_mut() {
                let command = NumberedCommand { number, command: make() };
                let _has_room = handle.commands.enqueue(command);
                handle.wake.notify();
            }
        }
        let timeout = async {
            Timer::after(COMMAND_TIMEOUT).await;
            Err(CommandError::Timeout)
        };
        future::or(self.replies(number), timeout).await
    }

    /// Waits for the reply of every worker to command `number`. Late replies to earlier commands are dropped.
    async fn replies(&self, number: u32) -> Result<Vec<PacketMemory>, CommandError> {
        // Registered for this command only, so that nothing has to be registered before the executor runs.
        let event = Async::new(self.reply_event.clone()).map_err(CommandError::Event)?;
        let mut missing = self.handles.borrow().len();
        let (mut copies, mut rejected) = (Vec::new(), None);
        loop {
            // Cleared before the queues are read: a reply that comes later signals again.
            self.reply_event.clear();
            for handle in self.handles.borrow_mut().iter_mut() {
                while let Some(reply) = handle.replies.dequeue() {
                    if reply.number != number {
                        continue;
                    }
                    // Never below zero: a worker replies once to each number.
                    missing -= 1;
                    match reply.outcome {
                        Ok(copy) => copies.extend(copy),
                        Err(error) => rejected = Some(error),
                    }
                }
            }
            if missing == 0 {
                return rejected.map_or(Ok(copies), |rejected| Err(CommandError::Rejected(rejected)));
            }
            event.readable().await.map_err(CommandError::Event)?;
        }
    }
}

/// Returns true if a kept frame matches the program of its link type; false if there is none.
pub(crate) fn matches(programs: &[(sentinel_units::LinkType, Program)], frame: &Frame<'_>) -> bool {
    let packet = Packet { bytes: frame.bytes, wire_len: frame.wire_len, vlan: frame.vlan };
    programs.iter().any(|(link, program)| *link == frame.link && program.matches(&packet))
}

#[cfg(test)]
mod tests {
    use heapless::spsc::Queue;
    use sentinel_capture::ring::OpenError;

    use super::*;
    use crate::worker::command::REPLY_QUEUE_LEN;
    use crate::worker::snapshot::SnapshotCell;

    type Answer = Box<dyn Fn(&NumberedCommand) -> Vec<Reply> + Send>;

    /// Workers of a test, one thread for each of `replies`: it sends the replies that the function makes of a command's number.
    fn workers(replies: Vec<Answer>) -> Workers {
        static CELLS: [SnapshotCell; 2] = [const { SnapshotCell::new() }; 2];
        let reply_event = EventFd::new().unwrap();
        let mut handles = Vec::new();
        for reply in replies {
            let commands: &'static mut Queue<NumberedCommand, COMMAND_QUEUE_LEN> = Box::leak(Box::default());
            let queue: &'static mut Queue<Reply, REPLY_QUEUE_LEN> = Box::leak(Box::default());
            let ((commands, mut incoming), (mut outgoing, replies)) = (commands.split(), queue.split());
            let event = reply_event.clone();
            std::thread::spawn(move || {
                loop {
                    if let Some(command) = incoming.dequeue() {
                        for reply in reply(&command) {
                            outgoing.enqueue(reply).map_err(drop).unwrap();
                        }
                        event.notify();
                    }
                    std::thread::sleep(Duration::from_millis(1));
                }
            });
            handles.push(WorkerHandle { commands, replies, wake: EventFd::new().unwrap() });
        }
        let filters = OpenFilters { filters: filters("udp"), refuses_frames: true };
        Workers::new(
            (SnapshotCells(&CELLS), None),
            handles,
            reply_event,
            1,
            FilterAccounting::new(Vec::new()),
            filters,
        )
    }

    fn filters(expression: &str) -> KernelFilters {
        KernelFilters::new(expression, KernelSnap::Off).unwrap()
    }

    fn done(command: &NumberedCommand) -> Vec<Reply> {
        vec![Reply { number: command.number, outcome: Ok(Some(PacketMemory::new(1))) }]
    }

    #[test]
    fn a_command_is_done_once_every_worker_has_replied() {
        let workers = workers(vec![Box::new(done), Box::new(done)]);
        for _ in 0..20 {
            smol::block_on(workers.packets(1, |_| true, |_| {})).unwrap();
        }
    }

    #[test]
    fn a_late_reply_does_not_complete_a_later_command() {
        let stale = |command: &NumberedCommand| {
            vec![Reply { number: command.number.wrapping_sub(1), outcome: Ok(None) }]
        };
        let workers = workers(vec![Box::new(done), Box::new(stale)]);
        let error = smol::block_on(workers.close()).unwrap_err();
        assert_eq!(error.to_string(), "a worker has not replied within 2 s");
        assert!(workers.is_capturing(), "unchanged");
    }

    #[test]
    fn a_refusal_of_the_kernel_names_interface_and_cause() {
        let refused = |command: &NumberedCommand| {
            let error = OpenError::System { call: "SO_ATTACH_FILTER", errno: rustix::io::Errno::NOMEM };
            let outcome = Err(FilterRejected { interface: "br-lan".into(), error });
            vec![Reply { number: command.number, outcome }]
        };
        let workers = workers(vec![Box::new(refused), Box::new(done)]);
        let error = smol::block_on(workers.close()).unwrap_err().to_string();
        assert!(error.contains("interface 'br-lan': SO_ATTACH_FILTER: "), "{error}");
        assert!(error.contains("optmem_max"), "{error}");
    }

    /// The rings refused every frame from then on, and a ring that was opened later got the filter that was refused.
    #[test]
    fn a_filter_that_the_kernel_refuses_leaves_the_one_before_in_force() {
        let (sender, commands) = std::sync::mpsc::channel();
        let only_udp = move |command: &NumberedCommand| {
            let text = format!("{:?}", command.command);
            let is_refused = text.contains("Open") && text != format!("{:?}", opening("udp"));
            sender.send(text).unwrap();
            let error = OpenError::System { call: "SO_ATTACH_FILTER", errno: rustix::io::Errno::NOMEM };
            let rejected = FilterRejected { interface: "br-lan".into(), error };
            let outcome = if is_refused { Err(rejected) } else { Ok(None) };
            vec![Reply { number: command.number, outcome }]
        };
        fn opening(expression: &str) -> Command {
            Command::Open(Box::new(filters(expression)))
        }
        let workers = workers(vec![Box::new(only_udp)]);
        let set = |expression| smol::block_on(workers.open(expression, KernelSnap::Off));
        let error = set("tcp").unwrap_err().to_string();
        assert!(error.contains("os error 12") && error.contains("nothing has changed"), "{error}");
        assert!(workers.is_capturing());
        let expected = [Command::Close, opening("tcp"), Command::Close, opening("udp")];
        let expected = expected.map(|command| format!("{command:?}"));
        assert_eq!(commands.try_iter().collect::<Vec<String>>(), expected);
        // Stopped before, stopped after.
        smol::block_on(workers.close()).unwrap();
        assert!(set("tcp").is_err() && !workers.is_capturing());
        let expected = [Command::Close, Command::Close, opening("tcp"), Command::Close];
        assert_eq!(
            commands.try_iter().collect::<Vec<String>>(),
            expected.map(|command| format!("{command:?}"))
        );
        set("udp").unwrap();
        assert!(workers.is_capturing());
    }
}
