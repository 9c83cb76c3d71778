//! Commands of the control thread to a worker, and the replies, over one queue each way.

use heapless::spsc::{Consumer, Producer};
use sentinel_alert::Alert;

use crate::worker::analyser::LiveConfig;
use crate::worker::kernel_filters::KernelFilters;
use crate::worker::packet_memory::PacketMemory;
use crate::worker::ring_set::FilterRejected;

/// Slots for alerts; the queue holds one less. The control thread wakes within milliseconds; alerts that find the queue
/// full are lost and counted.
pub(crate) const ALERT_QUEUE_LEN: usize = 256;
/// Slots for commands; the queue holds one less.
pub(crate) const COMMAND_QUEUE_LEN: usize = 4;
/// Slots for replies: for every command of a full queue, for the one in the worker's hands, and for those whose
/// replies came after their timeout. So a reply always has room.
pub(crate) const REPLY_QUEUE_LEN: usize = 2 * COMMAND_QUEUE_LEN;

/// Producer of alerts. Options, because every slot of the queue is written once at start.
pub(crate) type AlertProducer = Producer<'static, Option<Alert>>;
/// Consumer of alerts.
pub(crate) type AlertConsumer = Consumer<'static, Option<Alert>>;

/// Command with the number that its reply will carry.
#[derive(Debug)]
pub(crate) struct NumberedCommand {
    /// Distinguishes the reply from late replies to commands that timed out.
    pub(crate) number: u32,
    pub(crate) command: Command,
}

/// Command of the control thread.
#[derive(Debug)]
pub(crate) enum Command {
    /// Replaces the settings that a running engine can take over.
    Reconfigure(Box<LiveConfig>),
    /// Refuses every further frame, and reads the kernel's counters.
    Close,
    /// Accepts frames that pass these filters.
    Open(Box<KernelFilters>),
    /// Copies the newest frames into this memory and returns it.
    Copy(PacketMemory),
}

/// Reply of a worker, once the command is done.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) number: u32,
    pub(crate) outcome: Result<Option<PacketMemory>, FilterRejected>,
}
