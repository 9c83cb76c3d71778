//! Live capture: a ring of blocks that the kernel fills and we read in place (`TPACKET_V3`).
//!
//! Read first: `packet(7)`; the kernel's `Documentation/networking/packet_mmap.rst`; `linux/if_packet.h`.

mod block;
mod config;
mod filter;
mod frame_counter;
mod map;
mod socket;

pub use crate::packet_socket::OpenError;
pub use block::Frames;
pub use config::{Fanout, FanoutMode, RingConfig};
pub use frame_counter::FrameCounter;
pub use socket::{Block, Counters, Ring, WaitError, WaitOutcome};
