//! Frames in and out: the kernel's packet ring, pcap and pcapng files, a link-layer sender.
//!
//! In: an interface, or the bytes of a capture file. Out: [`Frame`]s, borrowed from the ring or the buffer of
//! the reader. Memory: one ring, mapped when it is opened, or one buffer per file reader, bounded for any
//! file. It never parses a frame, never reads a clock, and allocates nothing per frame. The only crate with
//! `unsafe` code: the mapping of the ring and system calls that have no safe interface.

mod frame;

pub mod file;
pub mod interfaces;
pub mod ring;
pub mod send;
pub mod write;

mod errno;
mod open_error;
mod packet_socket;
mod readiness;

#[doc(hidden)]
pub mod fuzzing;

pub use frame::Frame;
