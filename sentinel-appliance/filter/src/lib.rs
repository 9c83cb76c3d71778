//! Packet filters: tcpdump's language and simple filters, compiled to classic BPF, and an interpreter for it.
//!
//! In: an expression of `pcap-filter(7)`, a choice of protocol, address and port, or nothing but the wish to keep of
//! bulk traffic the headers only ([`content_snap`]). Out: a [`Program`] that the
//! kernel runs on live frames and [`Program::run`] runs on frames from files, with the same answer. Memory: the
//! instructions, allocated once when the filter is compiled, and while it is being compiled a graph of its tests;
//! running allocates nothing. It never panics, whatever the expression, the program or the frame: a load past the
//! end of the frame ends the program without a match, as in the kernel. It never looks up a name.
//!
//! An expression selects the frames that tcpdump (libpcap 1.10.3) selects, frames that are too short for a test
//! included. What differs, and why:
//!
//! - Hosts and networks go by address; ports and protocols by number or one of the well-known names.
//! - 802.11, ATM, SS7, Geneve, `decnet host`, `gateway` and what needs a BSD packet filter are refused.
//! - `vlan` for the kernel finds the tag in the frame or beside it, and everything behind it in both cases.
//! - On BSD loopback the family is taken in either byte order: one program fits files of all machines.
//! - `protochain` steps over at most six headers, because the kernel takes no jump back; libpcap loops, and then
//!   filters in the program. Behind an authentication header it counts from that header (libpcap: from the start).
//! - `byte 20 & 1` and `byte 20 | 1` look at byte 20; libpcap forgets to load it.
//! - Division by zero and shifts too far are refused if the right side is constant; libpcap looks at the first
//!   instruction of it, and so refuses `ip[8] >> tcp[32]` and takes `1 / (4 & 2)`.
//! - An expression that can match nothing is refused more often, because more is known of it.
//!
//! Kept though it surprises: only the left side of `ip[0] + tcp[0]` is asked to be there, and `%` and `^` take all
//! that follows as their right side.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod assembler;
pub mod code;
mod dump;
mod emit;
mod error;
mod expression;
mod fanout_hash;
#[doc(hidden)]
pub mod fuzzing;
mod graph;
mod headers;
mod instruction;
mod interpreter;
mod lexer;
mod names;
mod optimise;
mod parser;
mod primitive;
mod program;
mod protocol;
mod simple;
mod snap;
mod target;
mod validate;
mod value;

pub use dump::{Dump, DumpStyle};
pub use error::{ExpressionError, ExpressionErrorReason};
pub use expression::{compile, compile_for};
pub use fanout_hash::FanoutHash;
pub use instruction::Instruction;
pub use interpreter::{Packet, run};
pub use program::Program;
pub use protocol::{ParseProtocolError, Protocol};
pub use simple::{CompileError, SimpleFilter};
pub use snap::{HEADERS, content_snap};
pub use target::Target;
pub use validate::{InvalidProgram, InvalidReason, MAX_INSTRUCTIONS, validate};
