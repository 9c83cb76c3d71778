//! A ring on an interface.

use std::cell::Cell;
use std::ffi::{c_int, c_uint};
use std::fmt;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use rustix::io::Errno;
use sentinel_filter::Instruction;
use sentinel_units::LinkType;

use super::block::{Frames, Origin};
use super::config::{Fanout, FanoutMode, RingConfig};
use super::filter::{self, NOTHING, attach, length};
use super::map::Map;
use crate::interfaces::link_type;
use crate::packet_socket::{OpenError, PacketSocket, system};
use crate::readiness;

/// A packet ring on one interface: frames that come in and go out, as the kernel sees them. On the loopback each
/// frame comes once.
///
/// Its memory is mapped when it is opened and stays as it is. Reading makes no system call.
#[derive(Debug)]
pub struct Ring {
    map: Map,
    socket: PacketSocket,
    origin: Origin,
    /// The block that comes next.
    next: usize,
    snap_bytes: u32,
    block_timeout: Duration,
    counters: Counters,
    damaged: Cell<u32>,
}

/// What became of the frames so far.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counters {
    /// Frames that passed the filter, those dropped included.
    pub received: u64,
    /// Frames that found no room in the ring.
    pub dropped: u64,
    /// Times that the ring was full and the kernel stopped filling it.
    pub freezes: u64,
    /// Blocks that were left before their end because an offset in them was wrong.
    pub damaged_blocks: u32,
}

/// Why [`Ring::wait`] came back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WaitOutcome {
    /// A block is ready.
    Ready,
    /// The time was up.
    TimedOut,
    /// A signal was handled.
    Interrupted,
    /// The interface went down. Frames come again when it is up, unless [`Ring::is_attached`] says it is gone.
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
    /// Opens a ring. No frame that the filter refuses gets into it, not even at the start.
    ///
    /// # Errors
    /// Any [`OpenError`]; nothing is left open.
    pub fn open(config: &RingConfig<'_>) -> Result<Self, OpenError> {
        const NO_PROTOCOL: c_int = 0;
        const TRUE: c_int = 1;
        let (block_bytes, block_count) = sizes(config)?;
        let socket = PacketSocket::open(config.interface)?;
        socket.bind(NO_PROTOCOL)?; // so that the kernel tells what the interface is
        let hardware_type = socket.bound()?.hardware_type;
        let link = link_type(hardware_type).ok_or(OpenError::HardwareType(hardware_type))?;
        if hardware_type == libc::ARPHRD_LOOPBACK {
            // There every frame would come twice: as it goes out and as it comes in.
            socket.set("PACKET_IGNORE_OUTGOING", libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, &TRUE)?;
        }
        set_up_ring(&socket, config, block_count)?;
        attach(&socket, config.filter, config.snap_bytes)?;
        let counted = usize::try_from(block_count).map_err(|_| system("mmap", Errno::NOMEM))?;
        // SAFETY: the ring was just set up with these sizes, and this is its first mapping.
        let map = unsafe { Map::new(socket.as_fd(), block_bytes, counted) }
            .map_err(|errno| system("mmap", errno))?;
        // Only now do frames arrive: until here the socket had no protocol.
        socket.bind(libc::ETH_P_ALL)?;
        if config.promiscuous {
            be_promiscuous(&socket)?;
        }
        if let Some(fanout) = config.fanout {
            join(&socket, fanout)?;
        }
        let origin = Origin { link, interface: config.number };
        Ok(Self {
            map,
            socket,
            origin,
            next: 0,
            snap_bytes: config.snap_bytes,
            block_timeout: config.block_timeout,
            counters: Counters::default(),
            damaged: Cell::new(0),
        })
    }

    /// What the frames begin with.
    #[must_use]
    pub fn link(&self) -> LinkType {
        self.origin.link
    }

    /// The next block that the kernel has handed over, if there is one. Dropping it gives it back.
    pub fn next_block(&mut self) -> Option<Block<'_>> {
        let index = self.next;
        if !self.map.is_ours(index) {
            return None;
        }
        self.next = if index + 1 == self.map.block_count() { 0 } else { index + 1 };
        Some(Block {
            map: &self.map,
            index,
            origin: self.origin,
            damaged: &self.damaged,
            exclusive: PhantomData,
        })
    }

    /// Sleeps until a block is ready, the interface goes down, or `timeout` has passed (rounded up to milliseconds).
    ///
    /// # Errors
    /// [`WaitError`]; the ring stays open and may be waited on again.
    pub fn wait(&mut self, timeout: Duration) -> Result<WaitOutcome, WaitError> {
        if self.map.is_ours(self.next) {
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

    /// Reads and clears the error that poll reported.
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

    /// Puts another filter in the place of the one that the ring has; `None` lets every frame through. The kernel
    /// changes over between two frames: those that passed the old filter may still lie in the ring.
    ///
    /// # Errors
    /// [`OpenError::FilterLength`], or [`OpenError::System`] if the kernel refuses; then the old filter stays.
    pub fn replace_filter(&mut self, filter: Option<&[Instruction]>) -> Result<(), OpenError> {
        attach(&self.socket, filter, self.snap_bytes)
    }

    /// As [`Ring::replace_filter`], but with a clean cut: first nothing passes any more, then `old` gets what passed
    /// the old filter, and only then the new one begins. Until then, for two block timeouts and
    /// [`LAST_FRAMES`](Self::LAST_FRAMES), all frames are refused.
    ///
    /// # Errors
    /// As [`Ring::replace_filter`]; [`OpenError::System`] may also come after the cut, and then nothing passes until
    /// another filter is set.
    pub fn set_filter(
        &mut self,
        filter: Option<&[Instruction]>,
        old: &mut dyn FnMut(&Block<'_>),
    ) -> Result<(), OpenError> {
        if let Some(program) = filter {
            length(program)?;
        }
        attach(&self.socket, Some(&NOTHING), self.snap_bytes)?;
        let patience = self.block_timeout.saturating_mul(2).saturating_add(Self::LAST_FRAMES);
        // No more than was in the ring, and the block that was being filled.
        for _ in 0..=self.map.block_count() {
            while let Some(block) = self.next_block() {
                old(&block);
            }
            match self.wait(patience) {
                Ok(WaitOutcome::Ready | WaitOutcome::Interrupted | WaitOutcome::InterfaceDown) => {}
                Ok(WaitOutcome::TimedOut) | Err(_) => break,
            }
        }
        attach(&self.socket, filter, self.snap_bytes)
    }

    /// Lets `program` choose the ring of each frame, for the whole group: what it returns, modulo the number of rings,
    /// counts them in the order in which they joined. The kernel runs it before it puts the link header back, so that
    /// its loads must be relative to the network header (`SKF_NET_OFF`).
    ///
    /// # Errors
    /// [`OpenError::FilterLength`], or [`OpenError::System`] if the kernel refuses or the ring is in no such group.
    pub fn set_fanout_program(&mut self, program: &[Instruction]) -> Result<(), OpenError> {
        filter::set_fanout_program(&self.socket, program)
    }

    /// The group that this ring shares frames with, if it does.
    #[must_use]
    pub fn fanout_group(&self) -> Option<u16> {
        let mut group: c_int = 0;
        self.socket.read("PACKET_FANOUT", libc::SOL_PACKET, libc::PACKET_FANOUT, &mut group).ok()?;
        // Zero also means that there is none; our own groups are numbered from one.
        let [low, high, ..] = group.cast_unsigned().to_le_bytes();
        Some(u16::from_le_bytes([low, high])).filter(|_| group != 0)
    }

    /// Time for frames that are just on their way through the old filter, and for the kernel's timer, which counts
    /// in ticks of up to 10 ms.
    pub const LAST_FRAMES: Duration = Duration::from_millis(30);

    /// Whether the interface still exists. If not, no frame will come, even if one of the same name appears: open
    /// another ring.
    #[must_use]
    pub fn is_attached(&self) -> bool {
        self.socket.bound().is_ok_and(|bound| bound.interface == self.socket.interface())
    }

    /// What became of the frames since the ring was opened.
    ///
    /// The kernel counts in 32 bits and starts again at each reading, so read at least once per 2^32 frames.
    ///
    /// # Errors
    /// [`OpenError::System`] if the kernel refuses; no count is lost.
    pub fn counters(&mut self) -> Result<Counters, OpenError> {
        let mut more = libc::tpacket_stats_v3 { tp_packets: 0, tp_drops: 0, tp_freeze_q_cnt: 0 };
        self.socket.read("PACKET_STATISTICS", libc::SOL_PACKET, libc::PACKET_STATISTICS, &mut more)?;
        let counters = &mut self.counters;
        counters.received = counters.received.saturating_add(u64::from(more.tp_packets));
        counters.dropped = counters.dropped.saturating_add(u64::from(more.tp_drops));
        counters.freezes = counters.freezes.saturating_add(u64::from(more.tp_freeze_q_cnt));
        counters.damaged_blocks = self.damaged.get();
        Ok(*counters)
    }
}

/// For polling together with other descriptors: readable when a block is ready.
impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A block of frames that is ours until it is dropped.
#[derive(Debug)]
pub struct Block<'r> {
    map: &'r Map,
    index: usize,
    origin: Origin,
    damaged: &'r Cell<u32>,
    /// One block of a ring at a time, so that blocks go back in the order in which they came.
    exclusive: PhantomData<&'r mut Ring>,
}

impl Block<'_> {
    /// The frames, in the order in which the kernel took them in.
    #[must_use]
    pub fn frames(&self) -> Frames<'_> {
        // SAFETY: the block is given back only when `self` is dropped, which the borrow of `self` prevents.
        let bytes = unsafe { self.map.block(self.index) }.unwrap_or_default();
        Frames::new(bytes, self.origin, self.damaged)
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
        self.map.give_back(self.index);
    }
}

/// Bytes in a block and number of blocks.
fn sizes(config: &RingConfig<'_>) -> Result<(usize, c_uint), OpenError> {
    let RingConfig { ring_bytes, block_bytes, .. } = *config;
    let page_bytes = u32::try_from(rustix::param::page_size()).unwrap_or(4096);
    let fits =
        block_bytes != 0 && block_bytes.is_multiple_of(page_bytes) && ring_bytes.is_multiple_of(block_bytes);
    let count = ring_bytes.checked_div(block_bytes).filter(|count| fits && *count >= 2);
    match (usize::try_from(block_bytes), count) {
        (Ok(bytes), Some(count)) => Ok((bytes, count)),
        _ => Err(OpenError::RingSize { ring_bytes, block_bytes, page_bytes }),
    }
}

fn set_up_ring(socket: &PacketSocket, config: &RingConfig<'_>, block_count: c_uint) -> Result<(), OpenError> {
    /// Only their number is checked by the kernel: version 3 packs frames of any size.
    const FRAME_BYTES: c_uint = 2048;
    const VERSION_3: c_int = 2; // TPACKET_V3 of the enumeration that begins with TPACKET_V1 = 0
    socket.set("PACKET_VERSION", libc::SOL_PACKET, libc::PACKET_VERSION, &VERSION_3)?;
    let millis = c_uint::try_from(config.block_timeout.as_millis()).unwrap_or(c_uint::MAX);
    let request = libc::tpacket_req3 {
        tp_block_size: config.block_bytes,
        tp_block_nr: block_count,
        tp_frame_size: FRAME_BYTES,
        tp_frame_nr: config.block_bytes / FRAME_BYTES * block_count,
        tp_retire_blk_tov: millis.max(1), // zero would let the kernel choose
        tp_sizeof_priv: 0,
        tp_feature_req_word: 0,
    };
    socket.set("PACKET_RX_RING", libc::SOL_PACKET, libc::PACKET_RX_RING, &request)
}

fn be_promiscuous(socket: &PacketSocket) -> Result<(), OpenError> {
    let membership = libc::packet_mreq {
        mr_ifindex: socket.interface(),
        mr_type: u16::try_from(libc::PACKET_MR_PROMISC).unwrap_or(1),
        mr_alen: 0,
        mr_address: [0; 8],
    };
    socket.set("PACKET_ADD_MEMBERSHIP", libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &membership)
}

fn join(socket: &PacketSocket, fanout: Fanout) -> Result<(), OpenError> {
    let mode = match fanout.mode {
        FanoutMode::Flow => libc::PACKET_FANOUT_HASH | libc::PACKET_FANOUT_FLAG_DEFRAG,
        FanoutMode::Cpu => libc::PACKET_FANOUT_CPU,
        FanoutMode::Program => libc::PACKET_FANOUT_CBPF,
    };
    let unique = if fanout.group.is_none() { libc::PACKET_FANOUT_FLAG_UNIQUEID } else { 0 };
    let argument: u32 = u32::from(fanout.group.unwrap_or(0)) | (mode | unique) << 16;
    socket.set("PACKET_FANOUT", libc::SOL_PACKET, libc::PACKET_FANOUT, &argument)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_may_move_to_the_thread_that_reads_it() {
        fn moves<T: Send>() {}
        moves::<Ring>();
    }

    #[test]
    fn a_ring_is_two_or_more_whole_blocks_of_whole_pages() {
        let page = u32::try_from(rustix::param::page_size()).unwrap();
        let config =
            |ring_bytes, block_bytes| RingConfig { ring_bytes, block_bytes, ..RingConfig::new("eth0") };
        assert_eq!(sizes(&config(page * 6, page * 2)), Ok((usize::try_from(page * 2).unwrap(), 3)));
        for (ring_bytes, block_bytes) in
            [(page, page), (page * 3, page * 2), (page, page / 2), (page, 0), (0, page), (u32::MAX, page)]
        {
            let refused = OpenError::RingSize { ring_bytes, block_bytes, page_bytes: page };
            assert_eq!(sizes(&config(ring_bytes, block_bytes)), Err(refused));
        }
    }
}
