//! Interpreter for classic BPF, with the results of the kernel's.
//!
//! Read first: `Documentation/networking/filter.rst` of the kernel; `bpf_convert_filter` in
//! `net/core/filter.c`. Where the kernel and libpcap differ (a shift by a register of 32 or more) this
//! follows the kernel, so that a filter matches the same frames live and in files.

use crate::code::{self, ANCILLARY_VLAN_TAG, ANCILLARY_VLAN_TAG_PRESENT};
use crate::instruction::Instruction;
use crate::value::LoadSize;

/// A frame and its metadata, as a program sees it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Packet<'p> {
    /// The bytes captured, from the link-layer header on.
    pub bytes: &'p [u8],
    /// Length on the wire; more than the bytes here if the capture truncated the frame.
    pub wire_len: u32,
    /// Tag control information of the VLAN tag that was removed from the bytes, if one was.
    pub vlan: Option<u16>,
}

/// Runs `program` and returns the number of bytes of the packet to keep; zero is no match.
///
/// Executes each instruction at most once, because jumps are unsigned distances forwards. An invalid program
/// ([`validate`](crate::validate)) is safe too: an unknown code, a slot or a jump outside, and the end of the
/// program return zero, as does a load outside the frame.
#[must_use]
pub fn run(program: &[Instruction], packet: &Packet<'_>) -> u32 {
    let mut machine = Machine { a: 0, x: 0, scratch: [0; 16] };
    // `at` grows with every iteration, so the loop ends at the latest behind the last instruction.
    let mut at = 0_usize;
    while let Some(instruction) = program.get(at) {
        match machine.step(instruction, packet) {
            Some(Next::Skip(count)) => {
                let Some(target) = usize::try_from(count).ok().and_then(|count| at.checked_add(count)) else {
                    return 0;
                };
                at = target.saturating_add(1);
            }
            Some(Next::Return(keep)) => return keep,
            None => return 0,
        }
    }
    0
}

/// The registers: accumulator, index register and scratch memory. All start at zero: the kernel clears A and
/// X, and a valid program reads no slot before it has written it.
struct Machine {
    a: u32,
    x: u32,
    scratch: [u32; 16],
}

/// Effect of an instruction on the control flow.
enum Next {
    /// Go on after skipping this many instructions.
    Skip(u32),
    Return(u32),
}

impl Machine {
    /// Executes one instruction; `None` ends the program without a match.
    fn step(&mut self, instruction: &Instruction, packet: &Packet<'_>) -> Option<Next> {
        let k = instruction.k;
        match instruction.code {
            code::RET_K => return Some(Next::Return(k)),
            code::RET_A => return Some(Next::Return(self.a)),
            code::JA => return Some(Next::Skip(k)),
            code::LD_IMM => self.a = k,
            code::LD_MEM => self.a = *self.slot(k)?,
            code::LD_W_LEN => self.a = packet.wire_len,
            code::LDX_IMM => self.x = k,
            code::LDX_MEM => self.x = *self.slot(k)?,
            code::LDX_W_LEN => self.x = packet.wire_len,
            code::LDX_B_MSH => self.x = (packet.load(k, LoadSize::Byte)? & 0x0f) << 2,
            code::ST => *self.slot(k)? = self.a,
            code::STX => *self.slot(k)? = self.x,
            code::TAX => self.x = self.a,
            code::TXA => self.a = self.x,
            code::NEG => self.a = self.a.wrapping_neg(),
            other => return self.by_class(other, instruction, packet),
        }
        Some(Next::Skip(0))
    }

    /// Executes loads from the packet, arithmetic and branches, whose codes are bit fields: class
    /// (`BPF_CLASS`), then size and mode of a load, or operation and source of the operand.
    fn by_class(&mut self, code: u16, instruction: &Instruction, packet: &Packet<'_>) -> Option<Next> {
        const LOAD: u16 = 0x00;
        const ARITHMETIC: u16 = 0x04;
        const JUMP: u16 = 0x05;
        match code & 0x07 {
            LOAD => {
                let size = LoadSize::from_code(code)?;
                self.a = match code & 0xe0 {
                    0x20 => packet.load(instruction.k, size)?,
                    // X + k wraps like the kernel's signed sum. A negative sum is past the end of any frame
                    // here.
                    0x40 => packet.bytes_at(self.x.wrapping_add(instruction.k), size)?,
                    _ => return None,
                };
                Some(Next::Skip(0))
            }
            ARITHMETIC => {
                self.a = arithmetic(code & 0xf0, self.a, self.operand(code, instruction.k))?;
                Some(Next::Skip(0))
            }
            JUMP => {
                let holds = compare(code & 0xf0, self.a, self.operand(code, instruction.k))?;
                Some(Next::Skip(u32::from(if holds { instruction.jt } else { instruction.jf })))
            }
            _ => None,
        }
    }

    fn operand(&self, code: u16, k: u32) -> u32 {
        const FROM_X: u16 = 0x08;
        if code & FROM_X == 0 { k } else { self.x }
    }

    fn slot(&mut self, k: u32) -> Option<&mut u32> {
        self.scratch.get_mut(usize::try_from(k).ok()?)
    }
}

/// `None` for a division by zero, which ends the program, and for an unknown operation.
fn arithmetic(operation: u16, a: u32, operand: u32) -> Option<u32> {
    Some(match operation {
        0x00 => a.wrapping_add(operand),
        0x10 => a.wrapping_sub(operand),
        0x20 => a.wrapping_mul(operand),
        0x30 => a.checked_div(operand)?,
        0x40 => a | operand,
        0x50 => a & operand,
        // The low five bits of the operand count, as in the kernel.
        0x60 => a.wrapping_shl(operand),
        0x70 => a.wrapping_shr(operand),
        0x90 => a.checked_rem(operand)?,
        0xa0 => a ^ operand,
        _ => return None,
    })
}

/// Unsigned comparison; `None` for an unknown operation.
fn compare(operation: u16, a: u32, operand: u32) -> Option<bool> {
    Some(match operation {
        0x10 => a == operand,
        0x20 => a > operand,
        0x30 => a >= operand,
        0x40 => a & operand != 0,
        _ => return None,
    })
}

impl Packet<'_> {
    /// Absolute load: bytes of the frame, or ancillary data.
    fn load(&self, offset: u32, size: LoadSize) -> Option<u32> {
        match offset {
            ANCILLARY_VLAN_TAG => Some(u32::from(self.vlan.unwrap_or(0))),
            ANCILLARY_VLAN_TAG_PRESENT => Some(u32::from(self.vlan.is_some())),
            _ => self.bytes_at(offset, size),
        }
    }

    /// Big-endian bytes at `offset`; `None` if they are not all in the frame.
    fn bytes_at(&self, offset: u32, size: LoadSize) -> Option<u32> {
        if offset > u32::MAX / 2 {
            return None; // negative for the kernel, whose offsets are signed
        }
        let bytes = self.bytes.get(usize::try_from(offset).ok()?..)?;
        match size {
            LoadSize::Word => bytes.first_chunk().map(|bytes| u32::from_be_bytes(*bytes)),
            LoadSize::Half => bytes.first_chunk().map(|bytes| u32::from(u16::from_be_bytes(*bytes))),
            LoadSize::Byte => bytes.first().copied().map(u32::from),
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::code::*;
    use std::vec::Vec;

    const PACKET: Packet<'static> =
        Packet { bytes: &[0x12, 0x34, 0x56, 0x78, 0x9a, 0x45], wire_len: 1_500, vlan: Some(0x2064) };

    /// Runs lines of (code, k) and returns A.
    fn a_after(lines: &[(u16, u32)]) -> u32 {
        let mut program: Vec<_> = lines.iter().map(|(code, k)| Instruction::plain(*code, *k)).collect();
        program.push(Instruction::plain(RET_A, 0));
        run(&program, &PACKET)
    }

    #[test]
    fn loads_take_big_endian_numbers_from_the_packet() {
        assert_eq!(a_after(&[(LD_W_ABS, 0)]), 0x1234_5678);
        assert_eq!(a_after(&[(LD_W_ABS, 2)]), 0x5678_9a45);
        assert_eq!(a_after(&[(LD_H_ABS, 1)]), 0x3456);
        assert_eq!(a_after(&[(LD_B_ABS, 4)]), 0x9a);
        assert_eq!(a_after(&[(LDX_IMM, 1), (LD_W_IND, 1)]), 0x5678_9a45);
        assert_eq!(a_after(&[(LDX_IMM, 1), (LD_H_IND, 0)]), 0x3456);
        assert_eq!(a_after(&[(LDX_IMM, 3), (LD_B_IND, 1)]), 0x9a);
        assert_eq!(a_after(&[(LDX_IMM, 5), (LD_B_IND, 0xffff_ffff)]), 0x9a); // 5 - 1
    }

    #[test]
    fn a_load_outside_the_packet_ends_without_a_match() {
        for (code, k) in [
            (LD_W_ABS, 3),
            (LD_H_ABS, 5),
            (LD_B_ABS, 6),
            (LD_B_ABS, u32::MAX / 2),
            (LD_B_ABS, u32::MAX),
            (LD_B_IND, u32::MAX),
            (LDX_B_MSH, 6),
        ] {
            let program = [Instruction::plain(code, k), Instruction::plain(RET_K, 1)];
            assert_eq!(run(&program, &PACKET), 0, "code {code:#x}, offset {k:#x}");
        }
    }

    #[test]
    fn lengths_constants_and_ancillary_data_are_loaded() {
        assert_eq!(a_after(&[(LD_W_LEN, 0)]), 1_500);
        assert_eq!(a_after(&[(LD_IMM, 77)]), 77);
        assert_eq!(a_after(&[(LDX_W_LEN, 0), (TXA, 0)]), 1_500);
        assert_eq!(a_after(&[(LDX_IMM, 78), (TXA, 0)]), 78);
        assert_eq!(a_after(&[(LDX_B_MSH, 5), (TXA, 0)]), 20); // 5 words of IPv4 header
        assert_eq!(a_after(&[(LD_H_ABS, ANCILLARY_VLAN_TAG)]), 0x2064);
        assert_eq!(a_after(&[(LD_B_ABS, ANCILLARY_VLAN_TAG_PRESENT)]), 1);
        let untagged = Packet { vlan: None, ..PACKET };
        for fact in [ANCILLARY_VLAN_TAG, ANCILLARY_VLAN_TAG_PRESENT] {
            let program = [Instruction::plain(LD_W_ABS, fact), Instruction::plain(RET_A, 0)];
            assert_eq!(run(&program, &untagged), 0);
        }
    }

    #[test]
    fn scratch_memory_keeps_what_is_stored() {
        assert_eq!(a_after(&[(LD_IMM, 5), (ST, 15), (LD_IMM, 6), (ST, 0), (LD_MEM, 15)]), 5);
        assert_eq!(a_after(&[(LDX_IMM, 7), (STX, 3), (LDX_IMM, 0), (LDX_MEM, 3), (TXA, 0)]), 7);
        assert_eq!(a_after(&[(LD_IMM, 5), (ST, 16)]), 0, "there is no such slot");
    }

    #[test]
    fn arithmetic_is_unsigned_and_wraps() {
        for (with_constant, with_register, a, operand, result) in [
            (ADD_K, ADD_X, u32::MAX, 2, 1),
            (SUB_K, SUB_X, 1, 2, u32::MAX),
            (MUL_K, MUL_X, 0x8000_0001, 2, 2),
            (DIV_K, DIV_X, u32::MAX, 2, 0x7fff_ffff),
            (MOD_K, MOD_X, 17, 5, 2),
            (OR_K, OR_X, 0b1100, 0b1010, 0b1110),
            (AND_K, AND_X, 0b1100, 0b1010, 0b1000),
            (XOR_K, XOR_X, 0b1100, 0b1010, 0b0110),
            (LSH_K, LSH_X, 0x8000_0001, 1, 2),
            (RSH_K, RSH_X, 0x8000_0001, 1, 0x4000_0000),
        ] {
            assert_eq!(a_after(&[(LD_IMM, a), (with_constant, operand)]), result, "{with_constant:#x}");
            assert_eq!(
                a_after(&[(LD_IMM, a), (LDX_IMM, operand), (with_register, 99)]),
                result,
                "{with_register:#x}"
            );
        }
        assert_eq!(a_after(&[(LD_IMM, 1), (NEG, 0)]), u32::MAX);
        assert_eq!(a_after(&[(LD_IMM, 9), (TAX, 0), (LD_IMM, 1), (ADD_X, 0)]), 10);
        assert_eq!(
            a_after(&[(LD_IMM, 3), (LDX_IMM, 33), (LSH_X, 0)]),
            6,
            "the kernel shifts by the low five bits"
        );
    }

    #[test]
    fn division_by_zero_ends_without_a_match() {
        for code in [DIV_X, MOD_X, DIV_K, MOD_K] {
            let program =
                [Instruction::plain(LD_IMM, 5), Instruction::plain(code, 0), Instruction::plain(RET_K, 1)];
            assert_eq!(run(&program, &PACKET), 0, "{code:#x}");
        }
    }

    #[test]
    fn branches_compare_without_sign() {
        for (with_constant, with_register, operand, holds) in [
            (JEQ_K, JEQ_X, 0x9000_0000, true),
            (JEQ_K, JEQ_X, 1, false),
            (JGT_K, JGT_X, 1, true),
            (JGT_K, JGT_X, 0x9000_0000, false),
            (JGE_K, JGE_X, 0x9000_0000, true),
            (JGE_K, JGE_X, 0x9000_0001, false),
            (JSET_K, JSET_X, 0x1000_0001, true),
            (JSET_K, JSET_X, 0x6fff_ffff, false),
        ] {
            for code in [with_constant, with_register] {
                let k = if code == with_constant { operand } else { 0 };
                let program = [
                    Instruction::plain(LDX_IMM, operand),
                    Instruction::plain(LD_IMM, 0x9000_0000),
                    Instruction::branch(code, k, 1, 2),
                    Instruction::plain(RET_K, 1),
                    Instruction::plain(RET_K, 2),
                    Instruction::plain(RET_K, 3),
                ];
                assert_eq!(run(&program, &PACKET), if holds { 2 } else { 3 }, "{code:#x} {operand:#x}");
            }
        }
    }

    #[test]
    fn jumps_skip_and_may_not_leave_the_program() {
        let skip =
            |k| [Instruction::plain(JA, k), Instruction::plain(RET_K, 1), Instruction::plain(RET_K, 2)];
        assert_eq!(run(&skip(0), &PACKET), 1);
        assert_eq!(run(&skip(1), &PACKET), 2);
        assert_eq!(run(&skip(2), &PACKET), 0);
        assert_eq!(run(&skip(u32::MAX), &PACKET), 0);
        assert_eq!(run(&[], &PACKET), 0);
    }

    #[test]
    fn unknown_codes_end_without_a_match() {
        for code in [0x08, 0x18, 0xa0, 0xb0, 0xb4, 0x55, 0x1e, 0xffff, 0x100] {
            let program = [Instruction::plain(code, 0), Instruction::plain(RET_K, 1)];
            assert_eq!(run(&program, &PACKET), 0, "{code:#x}");
        }
    }
}
