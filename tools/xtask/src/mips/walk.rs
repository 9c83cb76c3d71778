//! Code that can run after one system call, up to the next call.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use anyhow::{Context, Result, ensure};

use super::elf::Text;
use super::instruction::{Flow, Instruction, Registers};

/// A read of registers whose values the kernel has changed.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Fault {
    address: u32,
    registers: Registers,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, registers } = self;
        write!(f, "{registers} is read at {address:#010x} before the program has written it")
    }
}

/// Forward data-flow analysis over all paths from one `syscall`: the set of registers that still hold what the kernel left.
///
/// A path ends at a return, a call, a jump to an address in a register or the next system call, or when all registers are
/// written. After a call or return the calling convention says that these registers hold nothing. Jumps through a table are not
/// followed.
///
/// It ends because the set at an instruction only grows, and an instruction is visited again only if it does.
#[derive(Debug)]
pub(super) struct Walk<'t> {
    text: &'t Text,
    /// For each visited instruction the union of the sets on the paths to it.
    visited: BTreeMap<u32, Registers>,
    queue: Vec<(u32, Registers)>,
    faults: BTreeSet<Fault>,
}

impl<'t> Walk<'t> {
    /// Follows all paths from the instruction `syscall` at this address.
    ///
    /// # Errors
    /// An instruction that is unknown, outside the section or in a delay slot where it cannot be.
    pub(super) fn from_syscall(text: &'t Text, address: u32) -> Result<Self> {
        let mut walk = Self { text, visited: BTreeMap::new(), queue: Vec::new(), faults: BTreeSet::new() };
        let before = address.checked_sub(4).and_then(|before| walk.instruction(before).ok());
        let has_slot = before.is_some_and(|before| !matches!(before.flow, Flow::Next | Flow::Stop));
        ensure!(!has_slot, "{address:#010x}: syscall in a delay slot");
        walk.continue_at(address.wrapping_add(4), Registers::CHANGED_BY_LINUX);
        while let Some((address, stale)) = walk.queue.pop() {
            walk.step(address, stale)?;
        }
        Ok(walk)
    }

    /// Number of instructions on the paths, delay slots not counted.
    pub(super) fn followed(&self) -> usize {
        self.visited.len()
    }

    pub(super) const fn faults(&self) -> &BTreeSet<Fault> {
        &self.faults
    }

    fn step(&mut self, address: u32, stale: Registers) -> Result<()> {
        let instruction = self.instruction(address)?;
        let stale = self.execute(address, instruction, stale);
        let (slot, next) = (address.wrapping_add(4), address.wrapping_add(8));
        match instruction.flow {
            Flow::Next => self.continue_at(slot, stale),
            Flow::Stop => {}
            Flow::Leave => {
                self.delay_slot(slot, stale)?;
            }
            Flow::Jump { target } => {
                let stale = self.delay_slot(slot, stale)?;
                self.continue_at(target, stale);
            }
            Flow::Branch { target } => {
                let stale = self.delay_slot(slot, stale)?;
                self.continue_at(target, stale);
                self.continue_at(next, stale);
            }
            Flow::BranchLikely { target } => {
                self.continue_at(next, stale);
                let stale = self.delay_slot(slot, stale)?;
                self.continue_at(target, stale);
            }
        }
        Ok(())
    }

    fn delay_slot(&mut self, address: u32, stale: Registers) -> Result<Registers> {
        let instruction = self.instruction(address)?;
        ensure!(
            matches!(instruction.flow, Flow::Next | Flow::Stop),
            "{address:#010x}: branch in a delay slot"
        );
        Ok(self.execute(address, instruction, stale))
    }

    /// Records a fault if `instruction` reads one of `stale`; returns those that are stale after it. A register is reported
    /// where it is first read on a path.
    fn execute(&mut self, address: u32, instruction: Instruction, stale: Registers) -> Registers {
        let registers = instruction.reads.and(stale);
        if registers != Registers::NONE {
            self.faults.insert(Fault { address, registers });
        }
        stale.without(registers).without(instruction.writes)
    }

    fn continue_at(&mut self, address: u32, stale: Registers) {
        let visited = self.visited.entry(address).or_default();
        if stale.without(*visited) != Registers::NONE {
            *visited = visited.or(stale);
            self.queue.push((address, *visited));
        }
    }

    fn instruction(&self, address: u32) -> Result<Instruction> {
        let word = self.text.word(address).with_context(|| format!("{address:#010x}: not in .text"))?;
        let instruction = Instruction::decode(word, address);
        instruction.with_context(|| format!("{address:#010x}: unknown instruction {word:#010x}"))
    }
}
