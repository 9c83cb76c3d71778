//! A validated program.

use alloc::vec::Vec;

use crate::code;
use crate::instruction::Instruction;
use crate::interpreter::{Packet, run};
use crate::validate::{InvalidProgram, InvalidReason, validate};

/// A classic BPF program that the kernel will accept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Program(Vec<Instruction>);

impl Program {
    /// Takes `instructions` if they pass [`validate`].
    ///
    /// # Errors
    /// [`InvalidProgram`] if [`validate`] refuses them.
    pub fn new(instructions: Vec<Instruction>) -> Result<Self, InvalidProgram> {
        validate(&instructions)?;
        Ok(Self(instructions))
    }

    /// The instructions, for the kernel.
    #[must_use]
    pub fn instructions(&self) -> &[Instruction] {
        &self.0
    }

    /// Number of bytes of `packet` to keep; zero is no match.
    #[must_use]
    pub fn run(&self, packet: &Packet<'_>) -> u32 {
        run(&self.0, packet)
    }

    /// Returns true if `packet` matches.
    #[must_use]
    pub fn matches(&self, packet: &Packet<'_>) -> bool {
        self.run(packet) != 0
    }

    /// Concatenation: the program that matches what both match, and then returns what `second` returns.
    ///
    /// Every `ret` of `self` with a length becomes a jump to the start of `second`, whose own jumps are
    /// relative and stay. `second` must load all that it uses, as compiled programs do, because the registers
    /// are as `self` leaves them.
    ///
    /// # Errors
    /// [`InvalidProgram`] if both together are too long, or `self` returns a length that it computes.
    pub fn and(&self, second: &Self) -> Result<Self, InvalidProgram> {
        let length = self.0.len();
        let mut joined = Vec::with_capacity(length + second.0.len());
        for (at, line) in self.0.iter().enumerate() {
            joined.push(match line.code {
                code::RET_K if line.k != 0 => {
                    let skip = u32::try_from(length - at - 1).unwrap_or(u32::MAX);
                    Instruction::plain(code::JA, skip)
                }
                code::RET_A => {
                    return Err(InvalidProgram { at, reason: InvalidReason::UnknownCode(line.code) });
                }
                _ => *line,
            });
        }
        joined.extend_from_slice(&second.0);
        Self::new(joined)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::{SimpleFilter, compile};
    use sentinel_units::{LinkType, Port};
    use std::vec;

    #[test]
    fn concatenation_matches_what_both_match_and_keeps_what_the_second_returns() {
        let link = LinkType::RAW;
        // IPv4 header of 20 bytes with protocol 6, from 192.0.2.1 to 192.0.2.2, ports 1000 to 443.
        let mut packet = vec![0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2];
        packet.extend([3, 232, 1, 187]);
        let packet = Packet { bytes: &packet, wire_len: 40, vlan: None };
        let simple =
            |port| SimpleFilter { port: Some(Port(port)), ..SimpleFilter::default() }.compile(link).unwrap();
        let expression = |text| compile(text, link, 96).unwrap();
        for (port, text, keep) in [
            (443, "src host 192.0.2.1", 96),
            (443, "src host 192.0.2.2", 0),
            (444, "src host 192.0.2.1", 0),
            (443, "", 96),
        ] {
            assert_eq!(simple(port).and(&expression(text)).unwrap().run(&packet), keep, "{port} {text}");
            let full = if keep == 0 { 0 } else { 0x0004_0000 };
            assert_eq!(expression(text).and(&simple(port)).unwrap().run(&packet), full, "{port} {text}");
        }
        let everything = SimpleFilter::default().compile(link).unwrap();
        assert_eq!(everything.and(&expression("ip")).unwrap().run(&packet), 96);
    }

    #[test]
    fn concatenation_rejects_a_computed_return_and_too_long_a_program() {
        let computed = Program::new(vec![Instruction::plain(code::RET_A, 0)]).unwrap();
        let all = Program::new(vec![Instruction::plain(code::RET_K, 1)]).unwrap();
        assert!(computed.and(&all).is_err());
        assert_eq!(all.and(&computed).unwrap().instructions().len(), 2);
        let most = Program::new(vec![Instruction::plain(code::RET_K, 1); 4096]).unwrap();
        assert_eq!(most.and(&all).unwrap_err().reason, InvalidReason::TooLong);
    }
}
