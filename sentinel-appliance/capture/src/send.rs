//! Link-layer sender, for replay and tests.

use std::io::{self, IoSlice};

use rustix::io::retry_on_intr;
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, sendmmsg};

pub use crate::open_error::OpenError;
use crate::packet_socket::PacketSocket;

/// Most frames in one system call.
pub const MAX_BATCH: usize = 64;

/// Sender of complete frames on one interface. Receives nothing.
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
    /// The kernel's, among others: the frame exceeds the MTU of the interface (`EMSGSIZE`), the queue is full
    /// (`ENOBUFS`, the frame may be sent again), the interface is down (`ENETDOWN`).
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        let sent = retry_on_intr(|| rustix::net::send(&self.socket, frame, SendFlags::empty()))?;
        if sent == frame.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    }

    /// Sends the first of `frames`, up to [`MAX_BATCH`], with one system call (`sendmmsg(2)`); returns the
    /// number of frames sent, at least one.
    ///
    /// # Errors
    /// That of [`Sender::send`] for the first frame; then none was sent. An empty batch is no error.
    pub fn send_batch(&self, frames: &[&[u8]]) -> io::Result<usize> {
        let count = frames.len().min(MAX_BATCH);
        if count == 0 {
            return Ok(0);
        }
        let parts: [[IoSlice<'_>; 1]; MAX_BATCH] =
            core::array::from_fn(|index| [IoSlice::new(frames.get(index).copied().unwrap_or_default())]);
        let mut controls: [SendAncillaryBuffer<'_, '_, '_>; MAX_BATCH] =
            core::array::from_fn(|_| SendAncillaryBuffer::default());
        // Each message borrows a control buffer of its own; all are empty.
        let mut messages: Vec<MMsgHdr<'_>> = parts
            .iter()
            .zip(&mut controls)
            .take(count)
            .map(|(part, control)| MMsgHdr::new(part, control))
            .collect();
        Ok(retry_on_intr(|| sendmmsg(&self.socket, &mut messages, SendFlags::empty()))?)
    }
}
