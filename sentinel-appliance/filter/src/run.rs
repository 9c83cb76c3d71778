//! The classic BPF machine.
//!
//! Read first: `Documentation/networking/filter.rst` of the kernel; `bpf_convert_filter` in `net/core/filter.c`.
//! Where the kernel and libpcap differ (a shift by a register of 32 or more), the kernel decides, because live
//! and offline must agree.

use crate::code::{self, ANCILLARY_VLAN_TAG, ANCILLARY_VLAN_TAG_PRESENT};
use crate::instruction::Instruction;

/// What a program looks at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Packet<'p> {
    /// The bytes captured, from the link-layer header on.
    pub bytes: &'p [u8],
    /// Length on the wire, which may be more.
    pub wire_len: u32,
    /// Tag control information that is no longer in the bytes.
    pub vlan: Option<u16>,
}

/// Runs `program` and returns how many bytes of the packet to keep; zero is no match.
///
/// Time is bounded by the length of the program, because no jump goes back. A program that
/// [`validate`](crate::validate) would refuse is safe too: whatever cannot be done ends it with zero.
#[must_use]
pub fn run(program: &[Instruction], packet: &Packet<'_>) -> u32 {
    let mut machine = Machine { a: 0, x: 0, scratch: [0; 16] };
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

struct Machine {
    a: u32,
    x: u32,
    scratch: [u32; 16],
}

enum Next {
    Skip(u32),
    Return(u32),
}

impl Machine {
    /// `None` ends the program without a match.
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
            code::LDX_B_MSH => self.x = (packet.load(k, Size::Byte)? & 0x0f) << 2,
            code::ST => *self.slot(k)? = self.a,
            code::STX => *self.slot(k)? = self.x,
            code::TAX => self.x = self.a,
            code::TXA => self.a = self.x,
            code::NEG => self.a = self.a.wrapping_neg(),
            other => return self.by_class(other, instruction, packet),
        }
        Some(Next::Skip(0))
    }

    /// Loads from the packet, arithmetic and branches: their codes are fields, not a list.
    fn by_class(&mut self, code: u16, instruction: &Instruction, packet: &Packet<'_>) -> Option<Next> {
        const LOAD: u16 = 0x00;
        const ARITHMETIC: u16 = 0x04;
        const JUMP: u16 = 0x05;
        match code & 0x07 {
            LOAD => {
                let size = Size::of(code)?;
                self.a = match code & 0xe0 {
                    0x20 => packet.load(instruction.k, size)?,
                    // Wraps as the kernel's signed sum does; a sum below zero reads nothing.
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

fn arithmetic(operation: u16, a: u32, operand: u32) -> Option<u32> {
    Some(match operation {
        0x00 => a.wrapping_add(operand),
        0x10 => a.wrapping_sub(operand),
        0x20 => a.wrapping_mul(operand),
        0x30 => a.checked_div(operand)?,
        0x40 => a | operand,
        0x50 => a & operand,
        0x60 => a.wrapping_shl(operand),
        0x70 => a.wrapping_shr(operand),
        0x90 => a.checked_rem(operand)?,
        0xa0 => a ^ operand,
        _ => return None,
    })
}

fn compare(operation: u16, a: u32, operand: u32) -> Option<bool> {
    Some(match operation {
        0x10 => a == operand,
        0x20 => a > operand,
        0x30 => a >= operand,
        0x40 => a & operand != 0,
        _ => return None,
    })
}

#[derive(Clone, Copy)]
enum Size {
    Word,
    Half,
    Byte,
}

impl Size {
    fn of(code: u16) -> Option<Self> {
        match code & 0x18 {
            0x00 => Some(Self::Word),
            0x08 => Some(Self::Half),
            0x10 => Some(Self::Byte),
            _ => None,
        }
    }
}

impl Packet<'_> {
    /// An absolute load: bytes, or a fact about the packet.
    fn load(&self, offset: u32, size: Size) -> Option<u32> {
        match offset {
            ANCILLARY_VLAN_TAG => Some(u32::from(self.vlan.unwrap_or(0))),
            ANCILLARY_VLAN_TAG_PRESENT => Some(u32::from(self.vlan.is_some())),
            _ => self.bytes_at(offset, size),
        }
    }

    fn bytes_at(&self, offset: u32, size: Size) -> Option<u32> {
        if offset > u32::MAX / 2 {
            return None; // negative in the kernel's eyes
        }
        let rest = self.bytes.get(usize::try_from(offset).ok()?..)?;
        match size {
            Size::Word => rest.first_chunk().map(|bytes| u32::from_be_bytes(*bytes)),
            Size::Half => rest.first_chunk().map(|bytes| u32::from(u16::from_be_bytes(*bytes))),
            Size::Byte => rest.first().copied().map(u32::from),
        }
    }
}
