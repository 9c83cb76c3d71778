//! Programs on a packet socket.
//!
//! Read first: `socket(7)`, `SO_ATTACH_FILTER`; `Documentation/networking/filter.rst` of the kernel.

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
    let program = program.unwrap_or(&EVERYTHING);
    let length = length(program)?;
    let mut lines: Vec<libc::sock_filter> = program
        .iter()
        .map(|line| {
            let k = if line.code == code::RET_K { line.k.min(snap_bytes) } else { line.k };
            libc::sock_filter { code: line.code, jt: line.jt, jf: line.jf, k }
        })
        .collect();
    let program = libc::sock_fprog { len: length, filter: lines.as_mut_ptr() };
    socket.set("SO_ATTACH_FILTER", libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
}

/// How many instructions, if the kernel takes so many.
pub(super) fn length(program: &[Instruction]) -> Result<u16, OpenError> {
    match u16::try_from(program.len()) {
        Ok(length @ 1..) if program.len() <= MAX_INSTRUCTIONS => Ok(length),
        _ => Err(OpenError::FilterLength(program.len())),
    }
}
