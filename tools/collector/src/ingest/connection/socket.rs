//! Bytes between the socket and the session, without blocking.

use std::io;
use std::os::fd::AsFd as _;

use tokio::net::TcpStream;

use super::{CloseReason, Connection};

/// Bytes read from the socket at once: about the longest frame, so that a first delivery is not a whole window.
const READ_LEN: usize = 4 * 1024;
/// Bytes read at once before a key is proved: the longest message of a peer is then the hello, and memory for it is anybody's to claim.
const UNPROVED_READ_LEN: usize = 512;

impl Connection {
    /// Registers the socket with the runtime of the caller, which then reports that it is ready. By a second descriptor: the
    /// first one stays usable if that fails.
    pub(super) fn register_socket(&mut self) -> io::Result<()> {
        let descriptor = self.stream.as_fd().try_clone_to_owned()?;
        self.stream = TcpStream::from_std(descriptor.into())?;
        Ok(())
    }

    /// Writes and reads as much as the socket takes and has.
    pub(super) fn transfer(&mut self) -> Result<(), CloseReason> {
        self.write()?;
        if !self.input.is_empty() || self.is_full() {
            return Ok(());
        }
        // One read for each step: a peer that sends without pause cannot keep the task from its other events. The buffer is
        // not part of the task, because this function does not wait.
        let mut buffer = [0; READ_LEN];
        let len = if self.unproved.is_some() { UNPROVED_READ_LEN } else { self.bulk.read_len(READ_LEN) };
        if len == 0 {
            return Ok(());
        }
        match self.stream.try_read(buffer.get_mut(..len).unwrap_or_default()) {
            Ok(0) => Err(CloseReason::EndOfStream),
            Ok(count) => {
                self.note_heard();
                if self.unproved.is_none() {
                    self.bulk.note_read(count, len);
                }
                self.input.extend_from_slice(buffer.get(..count).unwrap_or_default());
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.bulk.note_read(0, len);
                Ok(())
            }
            Err(error) => Err(CloseReason::Socket(error)),
        }
    }

    /// Writes as much as the socket takes.
    pub(super) fn write(&mut self) -> Result<(), CloseReason> {
        while !self.session.pending().is_empty() {
            // Makes progress: writing bytes to a TCP socket takes at least one of them or would block.
            match self.stream.try_write(self.session.pending()) {
                Ok(count) => self.session.sent(count, self.shared.uptime()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(CloseReason::Socket(error)),
            }
        }
        Ok(())
    }

    /// Writes everything that is queued.
    pub(super) async fn flush(&mut self) -> Result<(), CloseReason> {
        self.write()?;
        while !self.session.pending().is_empty() {
            self.stream.writable().await.map_err(CloseReason::Socket)?;
            self.write()?;
        }
        Ok(())
    }

    /// Writes everything that is queued, closes the sending side, and waits for the peer to close.
    ///
    /// Closing a socket with unread bytes makes the kernel send a reset (RFC 9293 section 3.6.1), upon which the peer's
    /// kernel discards the bytes that its program has not read yet: the reason of the close.
    pub(super) async fn shut_down(&mut self) -> Result<(), CloseReason> {
        use tokio::io::AsyncWriteExt as _;
        self.flush().await?;
        self.stream.shutdown().await.map_err(CloseReason::Socket)?;
        // The caller bounds the time: a peer may send for as long as it likes.
        let mut buffer = [0; 1024];
        loop {
            self.stream.readable().await.map_err(CloseReason::Socket)?;
            match self.stream.try_read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(CloseReason::Socket(error)),
            }
        }
    }
}
