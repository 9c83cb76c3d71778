//! Programs on a packet socket.
//!
//! Read first: `socket(7)`, `SO_ATTACH_FILTER`; `Documentation/networking/filter.rst` of the kernel.

use std::ffi::c_int;

use sentinel_filter::{Instruction, MAX_INSTRUCTIONS, code};

use crate::packet_socket::{OpenError, PacketSocket};

/// Matches nothing.
pub(super) const NOTHING: [Instruction; 1] = [Instruction::plain(code::RET_K, 0)];
/// Matches everything, whole.
const EVERYTHING: [Instruction; 1] = [Instruction::plain(code::RET_K, u32::MAX)];

/// Puts `program` in the place of the one before, if any, with its matches cut to `snap_bytes`; without one, all frames
/// match. The kernel changes over between two frames.
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

/// Gives the group of `socket` the program that chooses who gets a frame.
pub(super) fn set_fanout_program(socket: &PacketSocket, program: &[Instruction]) -> Result<(), OpenError> {
    set(socket, "PACKET_FANOUT_DATA", libc::SOL_PACKET, libc::PACKET_FANOUT_DATA, program, u32::MAX)
}

fn set(
    socket: &PacketSocket,
    call: &'static str,
    level: c_int,
    option: c_int,
    program: &[Instruction],
    most: u32,
) -> Result<(), OpenError> {
    let length = length(program)?;
    let mut lines: Vec<libc::sock_filter> = program
        .iter()
        .map(|line| {
            let k = if line.code == code::RET_K { line.k.min(most) } else { line.k };
            libc::sock_filter { code: line.code, jt: line.jt, jf: line.jf, k }
        })
        .collect();
    let program = libc::sock_fprog { len: length, filter: lines.as_mut_ptr() };
    socket.set(call, level, option, &program)
}

/// How many instructions, if the kernel takes so many.
pub(super) fn length(program: &[Instruction]) -> Result<u16, OpenError> {
    match u16::try_from(program.len()) {
        Ok(length @ 1..) if program.len() <= MAX_INSTRUCTIONS => Ok(length),
        _ => Err(OpenError::FilterLength(program.len())),
    }
}
