//! Registers that an instruction of MIPS32 release 2 reads and writes, and where execution continues.
//!
//! Read first: MIPS Architecture for Programmers, volume II-A (instruction set) and appendix A (tables of opcodes).
//!
//! Only what compilers emit for user programs without a floating-point unit: an instruction outside this set is unknown, and the
//! check reports it instead of passing over it.

use std::fmt;

/// The instruction `syscall` with code 0.
pub(super) const SYSCALL: u32 = 0x0000_000c;

/// A set of registers: $0 to $31, hi and lo.
///
/// Each register has one bit for its more significant bytes and one for the rest: `lwl` and `lwr` write one part each, and a pair
/// of them writes the whole register.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Registers(u128);

impl Registers {
    pub(super) const NONE: Self = Self(0);
    /// $1, $8 to $15, $24, $25, hi and lo. The list of musl (`arch/mips/syscall_arch.h`) and glibc
    /// (`sysdeps/unix/sysv/linux/mips/mips32/sysdep.h`) without $2, $3 and $7, which carry results.
    pub(super) const CHANGED_BY_LINUX: Self = Self::numbered(0x0300_ff02).or(Self::HI).or(Self::LO);
    const HI: Self = Self::of(32);
    const LO: Self = Self::of(33);
    /// Distance of the two bits of a register.
    const PART: u32 = 64;

    const fn of(register: u32) -> Self {
        Self::left(register).or(Self::right(register))
    }

    const fn left(register: u32) -> Self {
        Self(1 << register)
    }

    const fn right(register: u32) -> Self {
        Self(1 << (register + Self::PART))
    }

    const fn numbered(mask: u128) -> Self {
        Self(mask | (mask << Self::PART))
    }

    pub(super) const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(super) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl fmt::Display for Registers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for register in (0..34).filter(|register| self.and(Self::of(*register)) != Self::NONE) {
            match register {
                32 => write!(f, "{separator}hi")?,
                33 => write!(f, "{separator}lo")?,
                _ => write!(f, "{separator}${register}")?,
            }
            separator = ", ";
        }
        Ok(())
    }
}

/// Continuation after an instruction. The instruction after a branch, jump or call is its delay slot and runs before the target.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Flow {
    /// Next instruction.
    Next,
    /// Delay slot, then `target` or the instruction after the slot.
    Branch { target: u32 },
    /// `target` after the delay slot, or the instruction after the slot without it.
    BranchLikely { target: u32 },
    /// Delay slot, then `target`.
    Jump { target: u32 },
    /// Delay slot, then a call, a return or an address in a register.
    Leave,
    /// A trap: `break` and `sigrie` end the program, and a further `syscall` has a walk of its own.
    Stop,
}

/// Effect of one instruction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Instruction {
    pub(super) reads: Registers,
    pub(super) writes: Registers,
    pub(super) flow: Flow,
}

impl Instruction {
    const fn new(reads: Registers, writes: Registers, flow: Flow) -> Self {
        Self { reads, writes, flow }
    }

    const fn plain(reads: Registers, writes: Registers) -> Self {
        Self::new(reads, writes, Flow::Next)
    }

    /// Decodes the instruction `word` at `address`; none if it is unknown.
    pub(super) const fn decode(word: u32, address: u32) -> Option<Self> {
        let Fields { source, target, .. } = Fields::of(word);
        let (both, none) = (source.or(target), Registers::NONE);
        let branch = Flow::Branch { target: branch_target(word, address) };
        let likely = Flow::BranchLikely { target: branch_target(word, address) };
        Some(match word >> 26 {
            0x00 => return Self::special(word),
            0x01 => return Self::register_immediate(word, address),
            0x02 => Self::new(none, none, Flow::Jump { target: jump_target(word, address) }),
            0x03 => Self::new(none, Registers::of(31), Flow::Leave),
            // beq of a register with itself is the unconditional branch `b`.
            0x04 if source.0 == target.0 => {
                Self::new(none, none, Flow::Jump { target: branch_target(word, address) })
            }
            0x04..=0x07 => Self::new(both, none, branch),
            0x14..=0x17 => Self::new(both, none, likely),
            // addi to xori and lui; loads of a byte, half or word, and ll
            0x08..=0x0f | 0x20 | 0x21 | 0x23..=0x25 | 0x30 => Self::plain(source, target),
            0x22 => Self::plain(source, Registers::left((word >> 16) & 31)),
            0x26 => Self::plain(source, Registers::right((word >> 16) & 31)),
            // sb, sh, swl, sw, swr
            0x28..=0x2b | 0x2e => Self::plain(both, none),
            // pref has a hint in place of the second register.
            0x33 => Self::plain(source, none),
            // sc writes whether it has stored.
            0x38 => Self::plain(both, target),
            0x1c => return Self::special2(word),
            0x1f => return Self::special3(word),
            _ => return None,
        })
    }

    const fn special(word: u32) -> Option<Self> {
        let Fields { source, target, destination } = Fields::of(word);
        let (both, none) = (source.or(target), Registers::NONE);
        Some(match word & 63 {
            // Shifts by a constant: bit 21 makes `ror` of `srl`, and is no register.
            0x00 | 0x02 | 0x03 => Self::plain(target, destination),
            0x08 => Self::new(source, none, Flow::Leave),
            0x09 => Self::new(source, destination, Flow::Leave),
            // movz and movn leave the destination as it is if the condition does not hold.
            0x0a | 0x0b => Self::plain(both.or(destination), destination),
            0x0c => Self::new(Registers::numbered(0xf4), Registers::numbered(0x8c), Flow::Stop),
            0x0d => Self::new(none, none, Flow::Stop),
            0x0f => Self::plain(none, none),
            0x10 => Self::plain(Registers::HI, destination),
            0x11 => Self::plain(source, Registers::HI),
            0x12 => Self::plain(Registers::LO, destination),
            0x13 => Self::plain(source, Registers::LO),
            0x18..=0x1b => Self::plain(both, Registers::HI.or(Registers::LO)),
            // Shifts by a register; add to nor, slt, sltu
            0x04 | 0x06 | 0x07 | 0x20..=0x27 | 0x2a | 0x2b => Self::plain(both, destination),
            // Conditional traps have a code in place of the third register.
            0x30..=0x34 | 0x36 => Self::plain(both, none),
            _ => return None,
        })
    }

    /// `REGIMM`: branches and traps on one register.
    const fn register_immediate(word: u32, address: u32) -> Option<Self> {
        let (source, none) = (Fields::of(word).source, Registers::NONE);
        let target = branch_target(word, address);
        Some(match (word >> 16) & 31 {
            0x00 | 0x01 => Self::new(source, none, Flow::Branch { target }),
            0x02 | 0x03 => Self::new(source, none, Flow::BranchLikely { target }),
            0x08..=0x0c | 0x0e => Self::plain(source, none),
            // sigrie, with which lld fills gaps between functions
            0x17 => Self::new(none, none, Flow::Stop),
            // bltzal and bgezal, of which `bal` is a case: calls
            0x10 | 0x11 => Self::new(source, Registers::of(31), Flow::Leave),
            _ => return None,
        })
    }

    /// `SPECIAL2`: multiplication with addition, counting of leading bits.
    const fn special2(word: u32) -> Option<Self> {
        let Fields { source, target, destination } = Fields::of(word);
        let (both, wide) = (source.or(target), Registers::HI.or(Registers::LO));
        Some(match word & 63 {
            0x00 | 0x01 | 0x04 | 0x05 => Self::plain(both.or(wide), wide),
            0x02 => Self::plain(both, destination),
            // clz and clo repeat the destination in the second field.
            0x20 | 0x21 => Self::plain(source, destination),
            _ => return None,
        })
    }

    /// `SPECIAL3`: bit fields, byte swaps, and `rdhwr`, which reads the thread pointer.
    const fn special3(word: u32) -> Option<Self> {
        let Fields { source, target, destination } = Fields::of(word);
        Some(match word & 63 {
            0x00 => Self::plain(source, target),
            0x04 => Self::plain(source.or(target), target),
            0x20 => Self::plain(target, destination),
            0x3b => Self::plain(Registers::NONE, target),
            _ => return None,
        })
    }
}

/// The fields rs, rt and rd.
struct Fields {
    source: Registers,
    target: Registers,
    destination: Registers,
}

impl Fields {
    const fn of(word: u32) -> Self {
        Self {
            source: Registers::of((word >> 21) & 31),
            target: Registers::of((word >> 16) & 31),
            destination: Registers::of((word >> 11) & 31),
        }
    }
}

/// The last 16 bits count instructions, with a sign, from the delay slot.
const fn branch_target(word: u32, address: u32) -> u32 {
    // Shifted to the top and back, with its sign, to count bytes.
    let bytes = (word << 16).cast_signed() >> 14;
    address.wrapping_add(4).wrapping_add_signed(bytes)
}

/// The last 26 bits count instructions from the start of the 256 MiB that hold the delay slot.
const fn jump_target(word: u32, address: u32) -> u32 {
    (address.wrapping_add(4) & 0xf000_0000) | ((word & 0x03ff_ffff) << 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One instruction of each form, its assembler text, and the registers that it reads and writes.
    const SAMPLES: &[(u32, &str, &str, &str)] = &[
        (0x0004_0c02, "srl $1,$4,16", "$4", "$1"),
        (0x0022_1402, "ror $2,$2,16", "$2", "$2"),
        (0x0011_17c3, "sra $2,$17,31", "$17", "$2"),
        (0x0022_0804, "sllv $1,$2,$1", "$1, $2", "$1"),
        (0x0025_100a, "movz $2,$1,$5", "$1, $2, $5", "$2"),
        (0x0000_000c, "syscall", "$2, $4, $5, $6, $7", "$2, $3, $7"),
        (0x0000_000f, "sync", "", ""),
        (0x0000_0810, "mfhi $1", "hi", "$1"),
        (0x0020_0011, "mthi $1", "$1", "hi"),
        (0x0000_0812, "mflo $1", "lo", "$1"),
        (0x00a0_0013, "mtlo $5", "$5", "lo"),
        (0x00a6_0019, "multu $5,$6", "$5, $6", "hi, lo"),
        (0x0241_001a, "div $18,$1", "$1, $18", "hi, lo"),
        (0x00bc_2821, "addu $5,$5,$28", "$5, $28", "$5"),
        (0x0082_082a, "slt $1,$4,$2", "$2, $4", "$1"),
        (0x0241_01f4, "teq $18,$1,7", "$1, $18", ""),
        (0x2421_fff8, "addiu $1,$1,-8", "$1", "$1"),
        (0x3426_ffff, "ori $6,$1,65535", "$1", "$6"),
        (0x70e1_0001, "maddu $7,$1", "$1, $7, hi, lo", "hi, lo"),
        (0x7028_8802, "mul $17,$1,$8", "$1, $8", "$17"),
        (0x7061_0820, "clz $1,$3", "$3", "$1"),
        (0x7c42_0080, "ext $2,$2,2,1", "$2", "$2"),
        (0x7e90_fc04, "ins $16,$20,16,16", "$16, $20", "$16"),
        (0x7c16_1e20, "seh $3,$22", "$22", "$3"),
        (0x7c03_e83b, "rdhwr $3,$29", "", "$3"),
        (0x810c_0000, "lb $12,0($8)", "$8", "$12"),
        (0x8a41_0000, "lwl $1,0($18)", "$18", "$1"),
        (0xaa61_0000, "swl $1,0($19)", "$1, $19", ""),
        (0xafbf_001c, "sw $31,28($29)", "$29, $31", ""),
        (0xc161_0000, "ll $1,0($11)", "$11", "$1"),
        (0xe162_0000, "sc $2,0($11)", "$2, $11", "$2"),
    ];

    /// Registers other than $0, which always reads as zero.
    fn names(registers: Registers) -> String {
        registers.without(Registers::of(0)).to_string()
    }

    #[test]
    fn registers_of_each_form_are_those_of_its_assembler_text() {
        for (word, text, reads, writes) in SAMPLES {
            let instruction = Instruction::decode(*word, 0).unwrap();
            let decoded = (names(instruction.reads), names(instruction.writes));
            assert_eq!((decoded.0.as_str(), decoded.1.as_str()), (*reads, *writes), "{text}");
        }
    }

    #[test]
    fn branches_and_jumps_continue_at_their_target() {
        let flow = |word| Instruction::decode(word, 0x1003_8410).unwrap().flow;
        // beq $1,$0,+9; bltz $1,-1; bnel $7,$0,+2; b +4
        assert_eq!(flow(0x1020_0009), Flow::Branch { target: 0x1003_8438 });
        assert_eq!(flow(0x0420_ffff), Flow::Branch { target: 0x1003_8410 });
        assert_eq!(flow(0x54e0_0002), Flow::BranchLikely { target: 0x1003_841c });
        assert_eq!(flow(0x1000_0004), Flow::Jump { target: 0x1003_8424 });
        // j 0x0003841c of the same 256 MiB
        assert_eq!(flow(0x0800_e107), Flow::Jump { target: 0x1003_841c });
        // jal, jalr $25, jr $31, bal; break, sigrie 1
        for word in [0x0c04_86e2, 0x0320_f809, 0x03e0_0008, 0x0411_0004] {
            assert_eq!(flow(word), Flow::Leave, "{word:#x}");
        }
        assert_eq!([0x0000_000d, 0x0417_0001].map(flow), [Flow::Stop; 2]);
    }

    #[test]
    fn instructions_that_compilers_do_not_emit_for_these_programs_are_unknown() {
        // mfc0 $1,$12; add.s $f0,$f0,$f0; addiupc of release 6; sdc1
        for word in [0x4001_6000, 0x4600_0000, 0xec00_0001, 0xf400_0000] {
            assert_eq!(Instruction::decode(word, 0), None, "{word:#x}");
        }
    }
}
