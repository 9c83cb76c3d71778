//! Frames out: a link-layer sender, for replay and tests.

use std::io::{self, IoSlice};

use rustix::io::retry_on_intr;
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, sendmmsg};

pub use crate::packet_socket::OpenError;
use crate::packet_socket::PacketSocket;

/// Most frames that one system call sends.
pub const MAX_BATCH: usize = 64;

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

    /// Sends the first of `frames`, up to [`MAX_BATCH`], with one system call (`sendmmsg(2)`); says how many went
    /// out, at least one.
    ///
    /// # Errors
    /// As for [`Sender::send`], about the first frame; then none was sent. No frame is no error.
    pub fn send_batch(&self, frames: &[&[u8]]) -> io::Result<usize> {
        let count = frames.len().min(MAX_BATCH);
        if count == 0 {
            return Ok(0);
        }
        let parts: [[IoSlice<'_>; 1]; MAX_BATCH] =
            core::array::from_fn(|index| [IoSlice::new(frames.get(index).copied().unwrap_or_default())]);
        let mut controls: [SendAncillaryBuffer<'_, '_, '_>; MAX_BATCH] =
            core::array::from_fn(|_| SendAncillaryBuffer::default());
        // Messages borrow one control buffer each, all of them empty.
        let mut messages: Vec<MMsgHdr<'_>> = parts
            .iter()
            .zip(&mut controls)
            .take(count)
            .map(|(part, control)| MMsgHdr::new(part, control))
            .collect();
        Ok(retry_on_intr(|| sendmmsg(&self.socket, &mut messages, SendFlags::empty()))?)
    }
}
