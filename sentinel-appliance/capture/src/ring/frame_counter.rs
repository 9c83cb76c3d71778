//! Counting all frames of an interface, whatever the filter of a ring lets through.

use std::ffi::c_int;

use crate::interfaces::link_type;
use crate::packet_socket::{OpenError, PacketSocket};

/// A socket that receives nothing but is asked about every frame: how many there were, to the frame.
///
/// The kernel does not count what a filter refuses. This socket refuses nothing, and has no room: a frame costs two
/// counters, and no copy. (The first few frames stay in its queue for ever; they are what fills it.)
#[derive(Debug)]
pub struct FrameCounter {
    socket: PacketSocket,
    counted: u64,
}

impl FrameCounter {
    /// Counts from here on the frames that a ring on that interface would see, were it without a filter.
    ///
    /// # Errors
    /// Any [`OpenError`] but those about rings and filters.
    pub fn open(interface: &str) -> Result<Self, OpenError> {
        const NO_PROTOCOL: c_int = 0;
        const TRUE: c_int = 1;
        const MIN: c_int = 1; // the kernel makes it two kilobytes
        let socket = PacketSocket::open(interface)?;
        socket.bind(NO_PROTOCOL)?;
        let hardware_type = socket.bound()?.hardware_type;
        link_type(hardware_type).ok_or(OpenError::HardwareType(hardware_type))?;
        if hardware_type == libc::ARPHRD_LOOPBACK {
            socket.set("PACKET_IGNORE_OUTGOING", libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, &TRUE)?;
        }
        socket.set("SO_RCVBUF", libc::SOL_SOCKET, libc::SO_RCVBUF, &MIN)?;
        socket.bind(libc::ETH_P_ALL)?;
        Ok(Self { socket, counted: 0 })
    }

    /// Frames since it was opened.
    ///
    /// The kernel counts in 32 bits and starts again at each reading, so read at least once per 2^32 frames.
    ///
    /// # Errors
    /// [`OpenError::System`] if the kernel refuses; no count is lost.
    pub fn count(&mut self) -> Result<u64, OpenError> {
        let mut more = libc::tpacket_stats { tp_packets: 0, tp_drops: 0 };
        self.socket.read("PACKET_STATISTICS", libc::SOL_PACKET, libc::PACKET_STATISTICS, &mut more)?;
        self.counted = self.counted.saturating_add(u64::from(more.tp_packets));
        Ok(self.counted)
    }

    /// Whether the interface still exists; if not, nothing more will be counted.
    #[must_use]
    pub fn is_attached(&self) -> bool {
        self.socket.bound().is_ok_and(|bound| bound.interface == self.socket.interface())
    }
}
