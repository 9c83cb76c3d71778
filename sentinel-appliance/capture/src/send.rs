//! Frames out: a link-layer sender, for replay and tests.

use std::io;

use rustix::io::retry_on_intr;
use rustix::net::SendFlags;

pub use crate::packet_socket::OpenError;
use crate::packet_socket::PacketSocket;

/// Sends whole frames on one interface. Receives nothing.
#[derive(Debug)]
pub struct Sender {
    socket: PacketSocket,
}

impl Sender {
    /// Opens a sender on the interface of that name.
    ///
    /// # Errors
    /// [`OpenError`], except those about rings and filters.
    pub fn open(interface: &str) -> Result<Self, OpenError> {
        let socket = PacketSocket::open(interface)?;
        socket.bind(0)?;
        Ok(Self { socket })
    }

    /// Sends one frame, link-layer header first, without frame check sequence.
    ///
    /// # Errors
    /// What the kernel says, among it: the frame is longer than the interface's MTU allows, the queue is full
    /// (`ENOBUFS`, the frame may be sent again), the interface is down.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        let sent = retry_on_intr(|| rustix::net::send(&self.socket, frame, SendFlags::empty()))?;
        if sent == frame.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    }
}
