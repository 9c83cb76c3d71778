//! The ring: socket and mapping of one interface, blocks, waiting, counters.

#![allow(unsafe_code, reason = "borrows blocks of the mapped ring")]

use std::cell::Cell;
use std::ffi::c_int;
use std::fmt;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use rustix::io::Errno;
use sentinel_filter::Instruction;
use sentinel_units::LinkType;

use super::block::{Frames, RingInterface};
use super::config::RingConfig;
use super::filter::{self, NOTHING, attach, length};
use super::map::RingMap;
use super::setup::{enable_promiscuous, join_fanout, request_ring, ring_geometry};
use crate::open_error::OpenError;
use crate::packet_socket::{PacketSocket, system};
use crate::readiness;

/// A packet ring on one interface: received and sent frames, as the network stack sees them; on the loopback
/// each frame once.
///
/// Its memory is mapped when it is opened and never grows. Reading makes no system call.
#[derive(Debug)]
pub struct Ring {
    map: RingMap,
    socket: PacketSocket,
    source: RingInterface,
    /// Index of the next block to read. The kernel fills the blocks in order, round and round.
    next: usize,
    snap_bytes: u32,
    block_timeout: Duration,
    counters: Counters,
    /// Number of damaged blocks; a cell, because iterators over frames share the ring.
    damaged: Cell<u32>,
}

/// Counters of a ring since it was opened.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counters {
    /// Frames that passed the filter, those dropped included.
    pub received: u64,
    /// Frames dropped because the ring was full.
    pub dropped: u64,
    /// Number of times that the ring was full and the kernel stopped filling it.
    pub freezes: u64,
    /// Blocks abandoned before their end because an offset in them was invalid.
    pub damaged_blocks: u32,
}

/// Result of [`Ring::wait`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WaitOutcome {
    /// A block is ready.
    Ready,
    /// The timeout expired.
    TimedOut,
    /// A signal was handled.
    Interrupted,
    /// The interface went down. The ring continues when it is up again, unless [`Ring::is_attached`] returns
    /// false.
    InterfaceDown,
}

/// Waiting failed; the ring stays open.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct WaitError(pub Errno);

impl fmt::Display for WaitError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "waiting for frames: {}", self.0)
    }
}

impl std::error::Error for WaitError {}

impl Ring {
    /// Opens a ring. The filter is attached before the socket receives, so no frame that it rejects gets into
    /// the ring.
    ///
    /// # Errors
    /// Any [`OpenError`]; nothing is left open.
    pub fn open(config: &RingConfig<'_>) -> Result<Self, OpenError> {
        let (block_bytes, block_count) = ring_geometry(config)?;
        let (socket, link) = PacketSocket::open_for_capture(config.interface)?;
        request_ring(&socket, config, block_count)?;
        attach(&socket, config.filter, config.snap_bytes)?;
        let counted = usize::try_from(block_count).map_err(|_| system("mmap", Errno::NOMEM))?;
        // SAFETY: the ring was just set up with these sizes, and this is its first mapping.
        let map = unsafe { RingMap::new(socket.as_fd(), block_bytes, counted) }
            .map_err(|errno| system("mmap", errno))?;
        // From here on frames arrive: ring, filter and mapping must be complete.
        socket.bind(config.ethertype.map_or(libc::ETH_P_ALL, c_int::from))?;
        if config.promiscuous {
            enable_promiscuous(&socket)?;
        }
        if let Some(fanout) = config.fanout {
            join_fanout(&socket, fanout)?;
        }
        let source = RingInterface { link, number: config.number };
        Ok(Self {
            map,
            socket,
            source,
            next: 0,
            snap_bytes: config.snap_bytes,
            block_timeout: config.block_timeout,
            counters: Counters::default(),
            damaged: Cell::new(0),
        })
    }

    /// Link type of the frames.
    #[must_use]
    pub fn link(&self) -> LinkType {
        self.source.link
    }

    /// The next block that the kernel has handed over, if there is one. Dropping it releases it to the kernel.
    ///
    /// The borrow allows one block at a time, so blocks are released in order: the kernel stops at the first
    /// block that it does not own, whether or not later ones are free.
    pub fn next_block(&mut self) -> Option<Block<'_>> {
        let index = self.next;
        if !self.map.is_user_owned(index) {
            return None;
        }
        self.next = if index + 1 == self.map.block_count() { 0 } else { index + 1 };
        Some(Block {
            map: &self.map,
            index,
            source: self.source,
            damaged: &self.damaged,
            exclusive: PhantomData,
        })
    }

    /// Sleeps until a block is ready, the interface goes down, or `timeout` has passed (rounded up to
    /// milliseconds).
    ///
    /// # Errors
    /// [`WaitError`]; the ring stays open and may be waited on again.
    pub fn wait(&mut self, timeout: Duration) -> Result<WaitOutcome, WaitError> {
        if self.map.is_user_owned(self.next) {
            return Ok(WaitOutcome::Ready);
        }
        match readiness::wait(self.socket.as_fd(), timeout) {
            Ok(None) => Ok(WaitOutcome::TimedOut),
            Ok(Some(events)) if events & libc::POLLERR != 0 => self.socket_error(),
            Ok(Some(_)) => Ok(WaitOutcome::Ready),
            Err(Errno::INTR) => Ok(WaitOutcome::Interrupted),
            Err(errno) => Err(WaitError(errno)),
        }
    }

    /// Reads and clears the pending error of the socket (`SO_ERROR`).
    ///
    /// # Errors
    /// [`WaitError`]; the ring stays open and may be waited on again.
    pub fn socket_error(&self) -> Result<WaitOutcome, WaitError> {
        match rustix::net::sockopt::socket_error(&self.socket) {
            Ok(Err(Errno::NETDOWN)) => Ok(WaitOutcome::InterfaceDown),
            Ok(Ok(())) => Ok(WaitOutcome::Ready),
            Ok(Err(errno)) | Err(errno) => Err(WaitError(errno)),
        }
    }

    /// Replaces the filter of the ring; `None` matches every frame. The replacement is atomic, between two
    /// frames, but frames that passed the old filter may still be in the ring.
    ///
    /// # Errors
    /// [`OpenError::FilterLength`], or [`OpenError::System`] if the kernel refuses; the old filter then stays.
    pub fn replace_filter(&mut self, filter: Option<&[Instruction]>) -> Result<(), OpenError> {
        attach(&self.socket, filter, self.snap_bytes)
    }

    /// Replaces the filter and separates the frames of both: attaches a filter that rejects all, passes the
    /// blocks that are left to `old`, then attaches the new filter. Meanwhile, for two block timeouts and
    /// [`DRAIN_TIMEOUT`](Self::DRAIN_TIMEOUT), all frames are rejected.
    ///
    /// # Errors
    /// - [`OpenError::FilterLength`], before anything is changed.
    /// - [`OpenError::System`] of `SO_ATTACH_FILTER`: if it is of the new filter, no frame matches until
    ///   another is attached.
    /// - [`OpenError::System`] of `poll`: the new filter is attached, but blocks of the old one may still come.
    pub fn drain_and_replace_filter(
        &mut self,
        filter: Option<&[Instruction]>,
        old: &mut dyn FnMut(&Block<'_>),
    ) -> Result<(), OpenError> {
        if let Some(program) = filter {
            length(program)?;
        }
        attach(&self.socket, Some(&NOTHING), self.snap_bytes)?;
        let timeout = self.block_timeout.saturating_mul(2).saturating_add(Self::DRAIN_TIMEOUT);
        // No new frame enters, so the ring holds at most its blocks, and a frame that was being filtered when
        // the program was replaced lands in the open one. A block that is not full is handed over after its
        // timeout; a timer that ran out just before needs a second one. So the first wait that times out
        // means that the ring is empty.
        let mut waited = Ok(());
        for _ in 0..=self.map.block_count() {
            while let Some(block) = self.next_block() {
                old(&block);
            }
            match self.wait(timeout) {
                Ok(WaitOutcome::Ready | WaitOutcome::Interrupted | WaitOutcome::InterfaceDown) => {}
                Ok(WaitOutcome::TimedOut) => break,
                Err(WaitError(errno)) => {
                    waited = Err(system("poll", errno));
                    break;
                }
            }
        }
        attach(&self.socket, filter, self.snap_bytes)?;
        waited
    }

    /// Sets the fan-out program of the group: its result, modulo the number of rings, is the index of the
    /// ring of a frame, in the order of joining. The kernel runs it before it restores the link header, so
    /// its loads must be relative to the network header (`SKF_NET_OFF`).
    ///
    /// # Errors
    /// [`OpenError::FilterLength`], or [`OpenError::System`] if the kernel refuses or the ring is in no group
    /// of [`FanoutMode::Program`](super::FanoutMode::Program).
    pub fn set_fanout_program(&mut self, program: &[Instruction]) -> Result<(), OpenError> {
        filter::set_fanout_program(&self.socket, program)
    }

    /// Number of the fan-out group of this ring, if it is in one.
    ///
    /// # Errors
    /// [`OpenError::System`] if the kernel refuses.
    pub fn fanout_group(&self) -> Result<Option<u16>, OpenError> {
        let mut group: c_int = 0;
        self.socket.read_option("PACKET_FANOUT", libc::SOL_PACKET, libc::PACKET_FANOUT, &mut group)?;
        // Flags, mode and number in one word, or zero without a group. No mode here is zero with its flags,
        // so that is unambiguous even for a group of number zero.
        let [low, high, ..] = group.cast_unsigned().to_le_bytes();
        Ok(Some(u16::from_le_bytes([low, high])).filter(|_| group != 0))
    }

    /// Time, beyond the block timeouts, for frames that are being filtered while the filter is replaced, and
    /// for the kernel's block timer, whose ticks are up to 10 ms.
    pub const DRAIN_TIMEOUT: Duration = Duration::from_millis(30);

    /// Returns true while the interface exists. Once it was removed no frame arrives, even if an interface of
    /// the same name appears: open another ring.
    #[must_use]
    pub fn is_attached(&self) -> bool {
        self.socket.bound_address().is_ok_and(|bound| bound.interface == self.socket.interface())
    }

    /// Counters since the ring was opened.
    ///
    /// The kernel counts in 32 bits and resets the counts at each call, so call at least once per 2^32 frames.
    ///
    /// # Errors
    /// [`OpenError::System`] if the kernel refuses; no frame is lost from the counts.
    pub fn counters(&mut self) -> Result<Counters, OpenError> {
        let mut increment = libc::tpacket_stats_v3 { tp_packets: 0, tp_drops: 0, tp_freeze_q_cnt: 0 };
        self.socket.read_option(
            "PACKET_STATISTICS",
            libc::SOL_PACKET,
            libc::PACKET_STATISTICS,
            &mut increment,
        )?;
        let counters = &mut self.counters;
        counters.received = counters.received.saturating_add(u64::from(increment.tp_packets));
        counters.dropped = counters.dropped.saturating_add(u64::from(increment.tp_drops));
        counters.freezes = counters.freezes.saturating_add(u64::from(increment.tp_freeze_q_cnt));
        counters.damaged_blocks = self.damaged.get();
        Ok(*counters)
    }
}

/// To poll the ring together with other descriptors: readable when a block is ready.
impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A block of frames, owned by user space until it is dropped.
#[derive(Debug)]
pub struct Block<'r> {
    map: &'r RingMap,
    index: usize,
    source: RingInterface,
    damaged: &'r Cell<u32>,
    /// Borrows the ring mutably, so that there is one block at a time.
    exclusive: PhantomData<&'r mut Ring>,
}

impl Block<'_> {
    /// The frames, in the order in which the kernel captured them.
    #[must_use]
    pub fn frames(&self) -> Frames<'_> {
        // SAFETY: the block is released only when `self` is dropped, which the borrow of `self` by the slice
        // excludes.
        let bytes = unsafe { self.map.block(self.index) }.unwrap_or_default();
        Frames::new(bytes, self.source, self.damaged)
    }
}

impl<'b> IntoIterator for &'b Block<'_> {
    type Item = crate::Frame<'b>;
    type IntoIter = Frames<'b>;

    fn into_iter(self) -> Frames<'b> {
        self.frames()
    }
}

impl Drop for Block<'_> {
    fn drop(&mut self) {
        self.map.release_block(self.index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_may_move_to_the_thread_that_reads_it() {
        fn moves<T: Send>() {}
        moves::<Ring>();
    }
}
