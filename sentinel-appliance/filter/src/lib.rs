//! Packet filters: tcpdump's language and simple filters, compiled to classic BPF, and an interpreter for it.
//!
//! In: an expression of `pcap-filter(7)`; or a protocol, an address and a port ([`SimpleFilter`]); or a link
//! type, for the program that truncates bulk traffic to its headers ([`content_snap`]). Out: a [`Program`],
//! which the kernel runs on live frames and [`Program::run`] on frames from files, with the same result.
//! Memory: the instructions, allocated once when the filter is compiled, and meanwhile the control-flow
//! graph; running allocates nothing. No expression, program or frame makes it panic: a load past the end of
//! the frame ends the program without a match, as in the kernel. It resolves no names.
//!
//! The compiler: `lexer` -> `parser` (with `primitive` and `headers`) -> `graph` of `value`s -> `optimise` ->
//! `emit` -> `validate`.
//!
//! An expression selects the frames that tcpdump (libpcap 1.10.3) selects, including frames that are too
//! short for a test. Differences:
//!
//! - Hosts and networks are given by address; ports and protocols by number or well-known name.
//! - 802.11, ATM, SS7, Geneve, `decnet host`, `gateway` and what needs a BSD packet filter are not supported.
//! - `vlan` for the kernel finds the outer tag in the frame or in its metadata, and offsets behind it are
//!   right in both cases.
//! - On BSD loopback the address family matches in either byte order, so one program fits files of all
//!   machines.
//! - `protochain` steps over at most six headers, because the kernel accepts no backward jump; libpcap
//!   generates a loop and filters in user space. Behind an authentication header it counts from that header
//!   (libpcap: from the start).
//! - `byte 20 & 1` and `byte 20 | 1` test byte 20; libpcap omits the load.
//! - Division by zero and shifts by more than 31 are refused if the right side is constant; libpcap tests its
//!   first instruction, and so refuses `ip[8] >> tcp[32]` and accepts `1 / (4 & 2)`.
//! - More expressions that can never match are refused, because the optimiser knows more of them.
//!
//! Kept for compatibility: in `ip[0] + tcp[0]` only the left operand must be present, and `%` and `^` take
//! all that follows as their right operand.

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
mod numbers;
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

pub use assembler::{Assembler, Label, Unreachable};
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
