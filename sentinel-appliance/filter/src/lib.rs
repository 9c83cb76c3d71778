//! Packet filters: classic BPF programs, their interpreter, and the simple filters that compile to them.
//!
//! In: a choice of protocol, address and port. Out: a [`Program`] that the kernel runs on live frames and
//! [`Program::run`] runs on frames from files, with the same answer. Memory: the instructions, allocated once
//! when the filter is compiled; running allocates nothing. It never panics, whatever the program or the frame:
//! a load past the end of the frame ends the program without a match, as in the kernel.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod assembler;
pub mod code;
#[doc(hidden)]
pub mod fuzzing;
mod instruction;
mod program;
mod protocol;
mod run;
mod simple;
mod validate;

pub use instruction::Instruction;
pub use program::Program;
pub use protocol::{ParseProtocolError, Protocol};
pub use run::{Packet, run};
pub use simple::{CompileError, Simple};
pub use validate::{Fault, Invalid, MAX_INSTRUCTIONS, validate};
