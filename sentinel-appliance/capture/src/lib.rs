//! Frames in and out: the kernel's packet ring, pcap and pcapng files, sending on a link.
//!
//! In: an interface, or the bytes of a capture file. Out: [`Frame`]s, borrowed from where they lie. Memory: one
//! ring, mapped when it is opened, or one buffer per file reader, bounded whatever the file says. It never looks
//! inside a frame, never reads a clock, and allocates nothing per frame. The only crate with `unsafe` code: the
//! mapping of the ring and the socket options that no safe interface offers.

mod frame;

pub mod file;
pub mod interfaces;
pub mod ring;
pub mod send;
pub mod write;

mod packet_socket;
mod readiness;

#[doc(hidden)]
pub mod fuzzing;

pub use frame::Frame;
