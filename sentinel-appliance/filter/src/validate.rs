//! Validation of a program by the rules of the kernel, which itself says no more than `EINVAL`.
//!
//! Read first: `bpf_check_classic` and `check_load_and_stores` in the kernel's `net/core/filter.c`.

use alloc::vec;
use core::fmt;

use crate::code;
use crate::instruction::Instruction;

/// The longest program the kernel takes (`BPF_MAXINSNS`).
pub const MAX_INSTRUCTIONS: usize = 4096;

/// A program that the kernel would refuse.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidProgram {
    /// Index of the instruction.
    pub at: usize,
    /// Reason why the kernel would refuse it.
    pub reason: InvalidReason,
}

/// Reason of an [`InvalidProgram`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum InvalidReason {
    /// The program is empty.
    Empty,
    /// The program has more than [`MAX_INSTRUCTIONS`].
    TooLong,
    /// No such instruction.
    UnknownCode(u16),
    /// A division or remainder by the constant zero.
    DivisionByZero,
    /// A shift by a constant of 32 or more.
    Shift(u32),
    /// A scratch slot of 16 or more.
    Slot(u32),
    /// A scratch slot that is read but not written on every path to the read.
    SlotUnwritten(u32),
    /// A jump past the last instruction.
    JumpTooFar,
    /// A load from a negative offset that is no known ancillary datum.
    Offset(u32),
    /// The last instruction is not a return.
    NoReturn,
}

impl fmt::Display for InvalidProgram {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "instruction {}: ", self.at)?;
        match self.reason {
            InvalidReason::Empty => out.write_str("a program has at least one"),
            InvalidReason::TooLong => write!(out, "a program has at most {MAX_INSTRUCTIONS}"),
            InvalidReason::UnknownCode(code) => write!(out, "code {code:#06x} does not exist"),
            InvalidReason::DivisionByZero => out.write_str("division by zero"),
            InvalidReason::Shift(bits) => write!(out, "shift by {bits}, the most is 31"),
            InvalidReason::Slot(slot) => write!(out, "scratch slot {slot}, the last is 15"),
            InvalidReason::SlotUnwritten(slot) => {
                write!(out, "scratch slot {slot} is read before it is written")
            }
            InvalidReason::JumpTooFar => out.write_str("jump past the end"),
            InvalidReason::Offset(offset) => write!(out, "offset {offset:#010x} is not in a packet"),
            InvalidReason::NoReturn => out.write_str("the last must be a return"),
        }
    }
}

impl core::error::Error for InvalidProgram {}

/// Checks that the kernel would accept `program`. Linear in its length: jumps lead forwards only.
///
/// # Errors
/// [`InvalidProgram`] names the first instruction that is wrong.
pub fn validate(program: &[Instruction]) -> Result<(), InvalidProgram> {
    let last = match program {
        [] => return Err(InvalidProgram { at: 0, reason: InvalidReason::Empty }),
        [.., last] => last,
    };
    if program.len() > MAX_INSTRUCTIONS {
        return Err(InvalidProgram { at: MAX_INSTRUCTIONS, reason: InvalidReason::TooLong });
    }
    for (at, instruction) in program.iter().enumerate() {
        let remaining = program.len() - at - 1;
        check(instruction, remaining).map_err(|reason| InvalidProgram { at, reason })?;
    }
    if !matches!(last.code, code::RET_K | code::RET_A) {
        return Err(InvalidProgram { at: program.len() - 1, reason: InvalidReason::NoReturn });
    }
    check_scratch(program)
}

/// Checks one instruction by itself; `remaining` instructions follow it.
fn check(instruction: &Instruction, remaining: usize) -> Result<(), InvalidReason> {
    let k = instruction.k;
    match instruction.code {
        code::DIV_K | code::MOD_K if k == 0 => Err(InvalidReason::DivisionByZero),
        code::LSH_K | code::RSH_K if k >= 32 => Err(InvalidReason::Shift(k)),
        code::LD_MEM | code::LDX_MEM | code::ST | code::STX if k >= code::SCRATCH_SLOTS => {
            Err(InvalidReason::Slot(k))
        }
        code::LD_W_ABS | code::LD_H_ABS | code::LD_B_ABS => match k {
            code::ANCILLARY_VLAN_TAG
            | code::ANCILLARY_VLAN_TAG_PRESENT
            | code::ANCILLARY_PACKET_TYPE
            | code::ANCILLARY_INTERFACE => Ok(()),
            _ if k > u32::MAX / 2 => Err(InvalidReason::Offset(k)),
            _ => Ok(()),
        },
        code::LDX_B_MSH if k > u32::MAX / 2 => Err(InvalidReason::Offset(k)),
        code::JA => within(k, remaining),
        code if is_branch(code) => {
            within(u32::from(instruction.jt), remaining)?;
            within(u32::from(instruction.jf), remaining)
        }
        code if is_known(code) => Ok(()),
        code => Err(InvalidReason::UnknownCode(code)),
    }
}

/// Checks that a jump over `skip` instructions stays inside the program.
fn within(skip: u32, remaining: usize) -> Result<(), InvalidReason> {
    match usize::try_from(skip) {
        Ok(skip) if skip < remaining => Ok(()),
        _ => Err(InvalidReason::JumpTooFar),
    }
}

fn is_branch(code: u16) -> bool {
    matches!(
        code,
        code::JEQ_K
            | code::JGT_K
            | code::JGE_K
            | code::JSET_K
            | code::JEQ_X
            | code::JGT_X
            | code::JGE_X
            | code::JSET_X
    )
}

#[rustfmt::skip]
fn is_known(code: u16) -> bool {
    matches!(
        code,
        code::LD_W_IND | code::LD_H_IND | code::LD_B_IND | code::LD_W_LEN | code::LD_IMM | code::LD_MEM
            | code::LDX_IMM | code::LDX_MEM | code::LDX_W_LEN | code::LDX_B_MSH | code::ST | code::STX
            | code::ADD_K | code::SUB_K | code::MUL_K | code::DIV_K | code::OR_K | code::AND_K | code::LSH_K
            | code::RSH_K | code::NEG | code::MOD_K | code::XOR_K
            | code::ADD_X | code::SUB_X | code::MUL_X | code::DIV_X | code::OR_X | code::AND_X | code::LSH_X
            | code::RSH_X | code::MOD_X | code::XOR_X
            | code::RET_K | code::RET_A | code::TAX | code::TXA
    )
}

/// Checks that no scratch slot is read before it is written: a forward "must" analysis with bit sets of
/// written slots, intersected where paths join.
///
/// All jumps lead forwards, so the set of an instruction is complete when it is visited: one pass, as in the
/// kernel.
fn check_scratch(program: &[Instruction]) -> Result<(), InvalidProgram> {
    let mut written_before = vec![u16::MAX; program.len()];
    let mut written = 0_u16;
    for (at, instruction) in program.iter().enumerate() {
        // Intersection of the fall-through path and all jumps to here.
        written &= written_before.get(at).copied().unwrap_or(0);
        let bit = 1_u16.checked_shl(instruction.k).unwrap_or(0);
        let mut meet_at = |skip: u32, written: u16| {
            let target = usize::try_from(skip).ok().and_then(|skip| at.checked_add(skip)?.checked_add(1));
            if let Some(slots) = target.and_then(|target| written_before.get_mut(target)) {
                *slots &= written;
            }
        };
        match instruction.code {
            code::ST | code::STX => written |= bit,
            code::LD_MEM | code::LDX_MEM if written & bit == 0 => {
                return Err(InvalidProgram { at, reason: InvalidReason::SlotUnwritten(instruction.k) });
            }
            code::JA => {
                meet_at(instruction.k, written);
                // The next instruction is reached by jumps only; all slots is the neutral element of the
                // intersection.
                written = u16::MAX;
            }
            code if is_branch(code) => {
                meet_at(u32::from(instruction.jt), written);
                meet_at(u32::from(instruction.jf), written);
                written = u16::MAX;
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::code::*;
    use std::vec::Vec;

    const RETURN: Instruction = Instruction::plain(RET_K, 0);

    /// The reason why a program of one instruction and a return is refused, if it is.
    fn reason_for(code: u16, k: u32) -> Option<InvalidReason> {
        validate(&[Instruction::plain(code, k), RETURN]).err().map(|invalid| invalid.reason)
    }

    #[test]
    fn each_reason_is_reported() {
        for (code, k, expected) in [
            (DIV_K, 0, InvalidReason::DivisionByZero),
            (MOD_K, 0, InvalidReason::DivisionByZero),
            (LSH_K, 32, InvalidReason::Shift(32)),
            (RSH_K, u32::MAX, InvalidReason::Shift(u32::MAX)),
            (ST, 16, InvalidReason::Slot(16)),
            (LDX_MEM, 99, InvalidReason::Slot(99)),
            (LD_MEM, 3, InvalidReason::SlotUnwritten(3)),
            (JA, 1, InvalidReason::JumpTooFar),
            (JA, u32::MAX, InvalidReason::JumpTooFar),
            (LD_W_ABS, 0xffff_f000, InvalidReason::Offset(0xffff_f000)),
            (LDX_B_MSH, 0x8000_0000, InvalidReason::Offset(0x8000_0000)),
            (0x08, 0, InvalidReason::UnknownCode(0x08)),
            (0x0e, 0, InvalidReason::UnknownCode(0x0e)), // return X: libpcap has it, the kernel has not
            (0x120, 0, InvalidReason::UnknownCode(0x120)),
        ] {
            assert_eq!(reason_for(code, k), Some(expected), "{code:#x} {k:#x}");
        }
        assert_eq!(validate(&[]), Err(InvalidProgram { at: 0, reason: InvalidReason::Empty }));
        let long: Vec<_> = (0..=MAX_INSTRUCTIONS).map(|_| RETURN).collect();
        assert_eq!(
            validate(&long),
            Err(InvalidProgram { at: MAX_INSTRUCTIONS, reason: InvalidReason::TooLong })
        );
        assert_eq!(validate(&long[1..]), Ok(()));
        let no_return = [RETURN, Instruction::plain(LD_IMM, 1)];
        assert_eq!(validate(&no_return), Err(InvalidProgram { at: 1, reason: InvalidReason::NoReturn }));
    }

    #[test]
    fn accepts_what_the_kernel_accepts() {
        for (code, k) in [
            (LD_W_ABS, u32::MAX / 2),
            (LD_B_IND, u32::MAX),
            (LD_H_ABS, ANCILLARY_VLAN_TAG),
            (LSH_K, 31),
            (DIV_X, 0),
            (ST, 15),
            (JA, 0),
        ] {
            assert_eq!(reason_for(code, k), None, "{code:#x} {k:#x}");
        }
    }

    #[test]
    fn both_targets_of_a_branch_must_be_in_the_program() {
        for (jt, jf) in [(1, 0), (0, 1), (255, 255)] {
            let program = [Instruction::branch(JEQ_K, 0, jt, jf), RETURN];
            assert_eq!(validate(&program), Err(InvalidProgram { at: 0, reason: InvalidReason::JumpTooFar }));
        }
    }

    #[test]
    fn a_scratch_slot_must_be_written_on_every_path() {
        let read = Instruction::plain(LD_MEM, 0);
        let write = Instruction::plain(ST, 0);
        let one_path = [Instruction::branch(JEQ_K, 0, 0, 1), write, read, RETURN];
        assert_eq!(
            validate(&one_path),
            Err(InvalidProgram { at: 2, reason: InvalidReason::SlotUnwritten(0) })
        );
        let both_paths =
            [Instruction::branch(JEQ_K, 0, 0, 2), write, Instruction::plain(JA, 1), write, read, RETURN];
        assert_eq!(validate(&both_paths), Ok(()));
    }

    #[test]
    fn messages_give_the_instruction_and_the_reason() {
        let message = std::format!("{}", InvalidProgram { at: 7, reason: InvalidReason::Shift(40) });
        assert_eq!(message, "instruction 7: shift by 40, the most is 31");
    }
}
