//! Configuration of a ring.

use core::time::Duration;

use sentinel_filter::Instruction;

/// Interface, memory and filter of a ring.
#[derive(Clone, Copy, Debug)]
pub struct RingConfig<'c> {
    /// Name of the interface.
    pub interface: &'c str,
    /// Value of [`Frame::interface`](crate::Frame::interface) for frames of this ring.
    pub number: u16,
    /// Size of the ring: a multiple of the block size, at least two blocks.
    pub ring_bytes: u32,
    /// Size of one block, the unit of hand-over: a multiple of the page size. A frame longer than a block is
    /// truncated.
    pub block_bytes: u32,
    /// Snap length: most bytes to keep of a frame. A filter that returns a computed length (`RET_A`)
    /// overrides it.
    pub snap_bytes: u32,
    /// Time after which a block that is not full is handed over. Whole milliseconds, at least one.
    pub block_timeout: Duration,
    /// Captures frames that are addressed to other hosts too.
    pub promiscuous: bool,
    /// Captures only received frames of this type (`ETH_P_*`); `None` captures all, received and sent.
    pub ethertype: Option<u16>,
    /// Distributes the frames of the interface over the rings of a group.
    pub fanout: Option<Fanout>,
    /// Captures only frames that this program matches; see [`sentinel_filter`].
    pub filter: Option<&'c [Instruction]>,
}

impl<'c> RingConfig<'c> {
    /// A ring of 1 MiB in blocks of 64 KiB on `interface`: complete frames, promiscuous, unfiltered, block
    /// timeout 2 ms.
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
            ethertype: None,
            fanout: None,
            filter: None,
        }
    }
}

/// Membership in a fan-out group (`PACKET_FANOUT`). The kernel numbers the rings of a group in the order in
/// which they join.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Fanout {
    /// Number of the group in the network namespace; `None` creates a group with an unused number, which
    /// [`Ring::fanout_group`](super::Ring::fanout_group) returns.
    pub group: Option<u16>,
    /// Assignment of frames to rings.
    pub mode: FanoutMode,
}

/// Assignment of frames to the rings of a group.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum FanoutMode {
    /// By the kernel's symmetric flow hash: both directions of a flow go to one ring. Fragments are
    /// reassembled first, so that they follow their flow.
    Flow,
    /// By the CPU that received the frame.
    Cpu,
    /// By the program of [`Ring::set_fanout_program`](super::Ring::set_fanout_program); until it is set all
    /// frames go to the first ring.
    Program,
}
