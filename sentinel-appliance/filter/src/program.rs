//! A program that has been checked.

use alloc::vec::Vec;

use crate::instruction::Instruction;
use crate::run::{Packet, run};
use crate::validate::{Invalid, validate};

/// A classic BPF program that the kernel will accept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Program(Vec<Instruction>);

impl Program {
    /// Takes `instructions` if they pass [`validate`].
    ///
    /// # Errors
    /// What [`validate`] says.
    pub fn new(instructions: Vec<Instruction>) -> Result<Self, Invalid> {
        validate(&instructions)?;
        Ok(Self(instructions))
    }

    /// The instructions, for the kernel.
    #[must_use]
    pub fn instructions(&self) -> &[Instruction] {
        &self.0
    }

    /// How many bytes of `packet` to keep; zero is no match.
    #[must_use]
    pub fn run(&self, packet: &Packet<'_>) -> u32 {
        run(&self.0, packet)
    }

    /// Whether `packet` matches.
    #[must_use]
    pub fn matches(&self, packet: &Packet<'_>) -> bool {
        self.run(packet) != 0
    }
}
