//! Head of a program file: for which CPU it is.
//!
//! Read first: elf(5); the ELF supplements of MIPS (`EF_MIPS_ARCH`) and of ARM (`EF_ARM_ABI_FLOAT_HARD`).

use std::fmt;

use anyhow::{Context as _, Result, bail, ensure};

/// CPU and calling convention of a program.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cpu {
    /// 32-bit MIPS release 2 or older.
    Mips {
        /// Order of the bytes in memory.
        big_endian: bool,
    },
    /// 32-bit ARM.
    Arm {
        /// Arguments in registers of the floating-point unit, which must be there.
        hard_float: bool,
    },
    /// 64-bit ARM.
    Aarch64,
    /// 64-bit x86.
    X86_64,
}

impl fmt::Display for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mips { big_endian: true } => "big-endian MIPS",
            Self::Mips { big_endian: false } => "little-endian MIPS",
            Self::Arm { hard_float: true } => "32-bit ARM with a floating-point unit",
            Self::Arm { hard_float: false } => "32-bit ARM without a floating-point unit",
            Self::Aarch64 => "64-bit ARM",
            Self::X86_64 => "x86-64",
        })
    }
}

const MIPS: u16 = 8;
const ARM: u16 = 40;
const X86_64: u16 = 62;
const AARCH64: u16 = 183;
/// Levels of MIPS by the upper four bits of the flags: 0x5 is MIPS32, 0x7 its release 2.
const MIPS32_LEVELS: [u32; 4] = [0x0, 0x1, 0x5, 0x7];
const HARD_FLOAT: u32 = 0x400;

/// CPU of a program.
///
/// # Errors
/// If it is no ELF file, or for a CPU that none of our programs is for.
pub fn cpu(bytes: &[u8]) -> Result<Cpu> {
    ensure!(bytes.starts_with(b"\x7fELF"), "no ELF file");
    let at = |offset: usize| bytes.get(offset).copied().context("an ELF file that is cut");
    let (is_64, big_endian) = match (at(4)?, at(5)?) {
        (class @ (1 | 2), order @ (1 | 2)) => (class == 2, order == 2),
        (class, order) => bail!("an ELF file of class {class} and byte order {order}"),
    };
    let number = |offset: usize, length: usize| -> Result<u32> {
        let field = bytes.get(offset..offset.saturating_add(length)).context("an ELF file that is cut")?;
        let next = |number: u32, byte: &u8| (number << 8) | u32::from(*byte);
        Ok(if big_endian { field.iter().fold(0, next) } else { field.iter().rev().fold(0, next) })
    };
    let machine = u16::try_from(number(18, 2)?)?;
    let flags = number(if is_64 { 48 } else { 36 }, 4)?;
    match (machine, is_64) {
        (MIPS, false) => {
            let level = flags >> 28;
            ensure!(
                MIPS32_LEVELS.contains(&level),
                "a program for MIPS level {level:#x}; want MIPS32 release 2"
            );
            Ok(Cpu::Mips { big_endian })
        }
        (ARM, false) if !big_endian => Ok(Cpu::Arm { hard_float: flags & HARD_FLOAT != 0 }),
        (AARCH64, true) if !big_endian => Ok(Cpu::Aarch64),
        (X86_64, true) if !big_endian => Ok(Cpu::X86_64),
        _ => bail!("a program for machine {machine}, of which there is no package"),
    }
}

/// Head of a program for tests and samples: 64 bytes that name a CPU and run on none.
#[must_use]
pub fn head_of(cpu: Cpu) -> Vec<u8> {
    let (is_64, big_endian, machine, flags) = match cpu {
        Cpu::Mips { big_endian } => (false, big_endian, MIPS, 0x7000_1005_u32),
        Cpu::Arm { hard_float } => (false, false, ARM, 0x0500_0000 | if hard_float { HARD_FLOAT } else { 0 }),
        Cpu::Aarch64 => (true, false, AARCH64, 0),
        Cpu::X86_64 => (true, false, X86_64, 0),
    };
    let mut bytes = b"\x7fELF".to_vec();
    bytes.extend([if is_64 { 2 } else { 1 }, if big_endian { 2 } else { 1 }, 1]);
    bytes.resize(64, 0);
    let mut put = |offset: usize, field: &[u8]| {
        let room = bytes.iter_mut().skip(offset);
        if big_endian {
            room.zip(field.iter().rev()).for_each(|(to, from)| *to = *from);
        } else {
            room.zip(field).for_each(|(to, from)| *to = *from);
        }
    };
    put(16, &2_u16.to_le_bytes());
    put(18, &machine.to_le_bytes());
    put(if is_64 { 48 } else { 36 }, &flags.to_le_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_head_names_its_cpu_and_every_cut_is_an_error() -> Result<()> {
        let all = [
            Cpu::Mips { big_endian: true },
            Cpu::Mips { big_endian: false },
            Cpu::Arm { hard_float: true },
            Cpu::Arm { hard_float: false },
            Cpu::Aarch64,
            Cpu::X86_64,
        ];
        for wanted in all {
            let head = head_of(wanted);
            assert_eq!(cpu(&head)?, wanted);
            for length in 0..40 {
                assert!(cpu(head.get(..length).unwrap_or_default()).is_err(), "{wanted} {length}");
            }
        }
        Ok(())
    }

    #[test]
    fn mips_of_a_later_release_is_refused() {
        let mut head = head_of(Cpu::Mips { big_endian: false });
        // Release 6: its encodings differ, no router of ours has it.
        head.splice(36..40, 0x9000_1005_u32.to_le_bytes());
        assert!(cpu(&head).is_err());
    }
}
