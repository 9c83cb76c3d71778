//! Live capture: a memory-mapped ring of blocks that the kernel fills and that is read in place
//! (`TPACKET_V3`, Linux 3.2).
//!
//! Read first: `packet(7)`; the kernel's `Documentation/networking/packet_mmap.rst`; `linux/if_packet.h`.

mod block;
mod config;
mod filter;
mod frame_counter;
mod map;
mod setup;
mod socket;

pub use crate::open_error::OpenError;
pub use block::Frames;
pub use config::{Fanout, FanoutMode, RingConfig};
pub use frame_counter::FrameCounter;
pub use socket::{Block, Counters, Ring, WaitError, WaitOutcome};
