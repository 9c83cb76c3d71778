//! Program listings in the formats of `tcpdump -d`, `-dd` and `-ddd`.
//!
//! Read first: `bpf_image` and `bpf_dump` of libpcap.

use core::fmt;

use crate::code;
use crate::instruction::Instruction;
use crate::program::Program;

/// Format of a listing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DumpStyle {
    /// Assembly for people (`-d`).
    Assembly,
    /// Initialisers of a C array (`-dd`).
    C,
    /// Decimal numbers, the number of instructions first (`-ddd`).
    Decimal,
}

/// A program listing, to be formatted with [`Display`](fmt::Display).
#[derive(Clone, Copy, Debug)]
pub struct Dump<'p> {
    program: &'p Program,
    style: DumpStyle,
}

impl Program {
    /// Listing of the program: one line per instruction, each ended by a line feed.
    #[must_use]
    pub fn dump(&self, style: DumpStyle) -> Dump<'_> {
        Dump { program: self, style }
    }
}

impl fmt::Display for Dump<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.program.instructions();
        if self.style == DumpStyle::Decimal {
            writeln!(out, "{}", lines.len())?;
        }
        for (at, line) in lines.iter().enumerate() {
            let Instruction { code, jt, jf, k } = *line;
            match self.style {
                DumpStyle::Assembly => assembly(out, at, *line)?,
                DumpStyle::C => writeln!(out, "{{ {code:#x}, {jt}, {jf}, {k:#010x} }},")?,
                DumpStyle::Decimal => writeln!(out, "{code} {jt} {jf} {k}")?,
            }
        }
        Ok(())
    }
}

/// Formatting buffer for one operand, so that it can be padded; 24 bytes fit the longest.
struct Operand {
    bytes: [u8; 24],
    len: usize,
}

impl fmt::Write for Operand {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if let Some(place) = self.bytes.get_mut(self.len) {
                *place = byte;
                self.len += 1;
            }
        }
        Ok(())
    }
}

fn assembly(out: &mut fmt::Formatter<'_>, at: usize, line: Instruction) -> fmt::Result {
    let Instruction { code, jt, jf, .. } = line;
    let name = name(code);
    let mut operand = Operand { bytes: [0; 24], len: 0 };
    write_operand(&mut operand, at, line)?;
    let text = operand.bytes.get(..operand.len).and_then(|bytes| core::str::from_utf8(bytes).ok());
    let text = text.unwrap_or("");
    if code & 0x07 == 0x05 && code != code::JA {
        let (yes, no) = (at + 1 + usize::from(jt), at + 1 + usize::from(jf));
        return writeln!(out, "({at:03}) {name:<8} {text:<16} jt {yes}\tjf {no}");
    }
    writeln!(out, "({at:03}) {name:<8} {text}")
}

fn name(code: u16) -> &'static str {
    const ARITHMETIC: [&str; 11] =
        ["add", "sub", "mul", "div", "or", "and", "lsh", "rsh", "neg", "mod", "xor"];
    const JUMPS: [&str; 5] = ["ja", "jeq", "jgt", "jge", "jset"];
    let operation = usize::from(code >> 4);
    match code {
        code::RET_K | code::RET_A => "ret",
        code::TAX => "tax",
        code::TXA => "txa",
        code::ST => "st",
        code::STX => "stx",
        code::LDX_B_MSH => "ldxb",
        _ => match (code & 0x07, code & 0x18) {
            (0, 0x00) => "ld",
            (0, 0x08) => "ldh",
            (0, _) => "ldb",
            (1, _) => "ldx",
            (4, _) => ARITHMETIC.get(operation & 0x0f).copied().unwrap_or("unimp"),
            (5, _) => JUMPS.get(operation & 0x0f).copied().unwrap_or("unimp"),
            _ => "unimp",
        },
    }
}

fn write_operand(out: &mut Operand, at: usize, line: Instruction) -> fmt::Result {
    use fmt::Write;
    let k = line.k;
    match line.code {
        code::LD_W_LEN | code::LDX_W_LEN => out.write_str("#pktlen"),
        code::LD_W_ABS | code::LD_H_ABS | code::LD_B_ABS => write!(out, "[{k}]"),
        code::LD_W_IND | code::LD_H_IND | code::LD_B_IND => write!(out, "[x + {k}]"),
        code::LD_IMM | code::LDX_IMM => write!(out, "#{k:#x}"),
        code::LD_MEM | code::LDX_MEM | code::ST | code::STX => write!(out, "M[{k}]"),
        code::LDX_B_MSH => write!(out, "4*([{k}]&0xf)"),
        code::RET_K => write!(out, "#{k}"),
        code::JA => write!(out, "{}", u64::from(k) + 1 + u64::try_from(at).unwrap_or(0)),
        code::RET_A | code::TAX | code::TXA | code::NEG => Ok(()),
        other if other & code::FROM_X != 0 => out.write_str("x"),
        // Masks and patterns read better in hexadecimal, amounts in decimal.
        code::AND_K | code::OR_K | code::XOR_K => write!(out, "#{k:#x}"),
        other if other & 0x07 == 0x05 => write!(out, "#{k:#x}"),
        _ => write!(out, "#{k}"),
    }
}
