//! How a ring is opened.

use core::time::Duration;

use sentinel_filter::Instruction;

/// What to capture, and with how much memory.
#[derive(Clone, Copy, Debug)]
pub struct RingConfig<'c> {
    /// Name of the interface.
    pub interface: &'c str,
    /// What [`Frame::interface`](crate::Frame::interface) shall say of frames from this ring.
    pub number: u16,
    /// Memory of the ring: at least two whole blocks.
    pub ring_bytes: u32,
    /// Memory of one block, in whole pages: what is handed over at once. A frame longer than a block is cut.
    pub block_bytes: u32,
    /// Most bytes to keep of a frame. A filter that returns a computed length (`RET_A`) overrides it.
    pub snap_bytes: u32,
    /// How long a block that is not full may wait before it is handed over. Whole milliseconds, at least one.
    pub block_timeout: Duration,
    /// Also frames that are addressed to others.
    pub promiscuous: bool,
    /// Shares the interface's frames with other rings of the same group.
    pub fanout: Option<Fanout>,
    /// Only frames that this program matches; see [`sentinel_filter`].
    pub filter: Option<&'c [Instruction]>,
}

impl<'c> RingConfig<'c> {
    /// A ring of 1 MiB in blocks of 64 KiB on `interface`: whole frames, promiscuous, unfiltered, none older than 2 ms.
    #[must_use]
    pub const fn new(interface: &'c str) -> Self {
        Self {
            interface,
            number: 0,
            ring_bytes: 1 << 20,
            block_bytes: 1 << 16,
            snap_bytes: crate::file::MAX_FRAME,
            block_timeout: Duration::from_millis(2),
            promiscuous: true,
            fanout: None,
            filter: None,
        }
    }
}

/// Membership in a group of rings that share frames (`PACKET_FANOUT`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Fanout {
    /// The group, a number in the network namespace; `None` makes a group that nobody else has, which
    /// [`Ring::fanout_group`](super::Ring::fanout_group) tells.
    pub group: Option<u16>,
    /// Which ring gets a frame.
    pub mode: FanoutMode,
}

/// Which ring of a group gets a frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum FanoutMode {
    /// By the flow's hash: both directions of a flow come to one ring. Fragments are put together first, so that
    /// they follow their flow.
    Flow,
    /// By the CPU that took the frame in.
    Cpu,
    /// As the program of [`Ring::set_fanout_program`](super::Ring::set_fanout_program) says; until then everything goes to the first ring.
    Program,
}
