//! Packet filters: tcpdump's language and simple filters, compiled to classic BPF, and an interpreter for it.
//!
//! In: an expression of `pcap-filter(7)`, or a choice of protocol, address and port. Out: a [`Program`] that the
//! kernel runs on live frames and [`Program::run`] runs on frames from files, with the same answer. Memory: the
//! instructions, allocated once when the filter is compiled, and while it is being compiled a graph of its tests;
//! running allocates nothing. It never panics, whatever the expression, the program or the frame: a load past the
//! end of the frame ends the program without a match, as in the kernel. It never looks up a name.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod address;
mod arithmetic;
mod assembler;
mod carried;
pub mod code;
mod dump;
mod emit;
mod expression;
mod fault;
#[doc(hidden)]
pub mod fuzzing;
mod grammar;
mod graph;
mod headers;
mod instruction;
mod lexer;
mod names;
mod optimise;
mod primitive;
mod program;
mod protocol;
mod run;
mod simple;
mod transport;
mod validate;
mod value;

pub use dump::{Dump, DumpStyle};
pub use expression::{Target, compile, compile_for};
pub use fault::{ExpressionError, ExpressionFault};
pub use instruction::Instruction;
pub use program::Program;
pub use protocol::{ParseProtocolError, Protocol};
pub use run::{Packet, run};
pub use simple::{CompileError, Simple};
pub use validate::{Fault, Invalid, MAX_INSTRUCTIONS, validate};
