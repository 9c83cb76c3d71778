//! Filter and fan-out programs on a packet socket.
//!
//! Read first: `socket(7)`, `SO_ATTACH_FILTER`; `Documentation/networking/filter.rst` of the kernel.

use std::ffi::c_int;

use sentinel_filter::{Instruction, MAX_INSTRUCTIONS, code};

use crate::open_error::OpenError;
use crate::packet_socket::PacketSocket;

/// Program that matches nothing.
pub(super) const NOTHING: [Instruction; 1] = [Instruction::plain(code::RET_K, 0)];
/// Program that matches every frame, without truncation.
const EVERYTHING: [Instruction; 1] = [Instruction::plain(code::RET_K, u32::MAX)];

/// Attaches `program`, which replaces the one before, with its matches truncated to `snap_bytes`; `None`
/// matches all frames. The replacement is atomic: each frame is tested by the old or the new program.
pub(super) fn attach(
    socket: &PacketSocket,
    program: Option<&[Instruction]>,
    snap_bytes: u32,
) -> Result<(), OpenError> {
    set(
        socket,
        "SO_ATTACH_FILTER",
        libc::SOL_SOCKET,
        libc::SO_ATTACH_FILTER,
        program.unwrap_or(&EVERYTHING),
        snap_bytes,
    )
}

/// Sets the program that assigns frames to the rings of the group of `socket`.
pub(super) fn set_fanout_program(socket: &PacketSocket, program: &[Instruction]) -> Result<(), OpenError> {
    set(socket, "PACKET_FANOUT_DATA", libc::SOL_PACKET, libc::PACKET_FANOUT_DATA, program, u32::MAX)
}

/// Sets a socket option whose value is a program, with the constants of its returns limited to `max_keep`.
fn set(
    socket: &PacketSocket,
    call: &'static str,
    level: c_int,
    option: c_int,
    program: &[Instruction],
    max_keep: u32,
) -> Result<(), OpenError> {
    let length = length(program)?;
    let mut lines: Vec<libc::sock_filter> = program
        .iter()
        .map(|line| {
            // The constant is the number of bytes to keep of a match. Zero, no match, is not changed.
            let k = if line.code == code::RET_K { line.k.min(max_keep) } else { line.k };
            libc::sock_filter { code: line.code, jt: line.jt, jf: line.jf, k }
        })
        .collect();
    // The kernel copies the instructions during the call; `lines` outlives it.
    let program = libc::sock_fprog { len: length, filter: lines.as_mut_ptr() };
    socket.set_option(call, level, option, &program)
}

/// Number of instructions of `program`.
///
/// # Errors
/// [`OpenError::FilterLength`] if the kernel does not accept so many.
pub(super) fn length(program: &[Instruction]) -> Result<u16, OpenError> {
    match u16::try_from(program.len()) {
        Ok(length @ 1..) if program.len() <= MAX_INSTRUCTIONS => Ok(length),
        _ => Err(OpenError::FilterLength(program.len())),
    }
}
