//! Count of all frames of an interface, independent of the filter of a ring.

use std::ffi::c_int;

use crate::open_error::OpenError;
use crate::packet_socket::PacketSocket;

/// Exact count of the frames of an interface, by a packet socket without a filter and without room for frames.
///
/// The kernel does not count frames that a filter rejects. This socket accepts every frame, but its receive
/// buffer is full after the first few, which are never read. From then on a frame is not copied and costs two
/// drop counters, which `tp_packets` includes.
#[derive(Debug)]
pub struct FrameCounter {
    socket: PacketSocket,
    counted: u64,
}

impl FrameCounter {
    /// Starts to count the frames that a ring without a filter would see on this interface.
    ///
    /// # Errors
    /// Any [`OpenError`] except those about rings and filters.
    pub fn open(interface: &str) -> Result<Self, OpenError> {
        const MIN_BYTES: c_int = 1; // the kernel rounds it up to about two kilobytes (SOCK_MIN_RCVBUF)
        let (socket, _link) = PacketSocket::open_for_capture(interface)?;
        socket.set_option("SO_RCVBUF", libc::SOL_SOCKET, libc::SO_RCVBUF, &MIN_BYTES)?;
        socket.bind(libc::ETH_P_ALL)?;
        Ok(Self { socket, counted: 0 })
    }

    /// Number of frames since it was opened.
    ///
    /// The kernel counts in 32 bits and resets the count at each call, so call at least once per 2^32 frames.
    ///
    /// # Errors
    /// [`OpenError::System`] if the kernel refuses; no frame is lost from the count.
    pub fn count(&mut self) -> Result<u64, OpenError> {
        let mut increment = libc::tpacket_stats { tp_packets: 0, tp_drops: 0 };
        self.socket.read_option(
            "PACKET_STATISTICS",
            libc::SOL_PACKET,
            libc::PACKET_STATISTICS,
            &mut increment,
        )?;
        self.counted = self.counted.saturating_add(u64::from(increment.tp_packets));
        Ok(self.counted)
    }

    /// Returns true while the interface exists; after that no more frames are counted.
    #[must_use]
    pub fn is_attached(&self) -> bool {
        self.socket.bound_address().is_ok_and(|bound| bound.interface == self.socket.interface())
    }
}
