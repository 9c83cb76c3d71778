//! Assembler for programs with a fixed layout: jumps name a label and are resolved to distances at the end.
//!
//! Short jumps only. Programs that may be longer than 255 instructions are laid out by [`crate::emit`].

use alloc::vec::Vec;

use crate::code;
use crate::instruction::Instruction;

/// Label of an instruction, which may come later.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Label(usize);

/// A branch distance does not fit its eight bits, or a label was never placed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Unreachable;

/// A program being assembled.
#[derive(Debug, Default)]
pub struct Assembler {
    drafts: Vec<Draft>,
    /// Index of the instruction of each label, once it is placed.
    places: Vec<Option<usize>>,
}

/// An instruction whose jump may not be resolved yet.
#[derive(Debug)]
enum Draft {
    Plain(Instruction),
    Jump(Label),
    Branch { code: u16, k: u32, yes: Option<Label>, no: Option<Label> },
}

impl Assembler {
    /// A new label, to be placed later.
    pub fn label(&mut self) -> Label {
        self.places.push(None);
        Label(self.places.len() - 1)
    }

    /// Places `label` at the next instruction.
    pub fn place(&mut self, label: Label) {
        if let Some(place) = self.places.get_mut(label.0) {
            *place = Some(self.drafts.len());
        }
    }

    /// Appends an instruction that does not jump.
    pub fn plain(&mut self, code: u16, k: u32) {
        self.drafts.push(Draft::Plain(Instruction::plain(code, k)));
    }

    /// Appends a jump.
    pub fn jump(&mut self, to: Label) {
        self.drafts.push(Draft::Jump(to));
    }

    /// Appends a branch to `yes` if the comparison is true, and to the next instruction otherwise.
    pub fn branch_if(&mut self, code: u16, k: u32, yes: Label) {
        self.drafts.push(Draft::Branch { code, k, yes: Some(yes), no: None });
    }

    /// Appends a branch to `no` if the comparison is false, and to the next instruction otherwise.
    pub fn branch_unless(&mut self, code: u16, k: u32, no: Label) {
        self.drafts.push(Draft::Branch { code, k, yes: None, no: Some(no) });
    }

    /// Resolves all labels. Jumps lead forwards only, as the kernel demands.
    ///
    /// # Errors
    /// [`Unreachable`] if a label was not placed behind its branches, or too far.
    pub fn finish(self) -> Result<Vec<Instruction>, Unreachable> {
        let distance = |from: usize, to: Option<Label>| match to {
            None => Ok(0),
            Some(label) => {
                let place = self.places.get(label.0).copied().flatten().ok_or(Unreachable)?;
                place.checked_sub(from + 1).ok_or(Unreachable)
            }
        };
        let short =
            |from: usize, to: Option<Label>| u8::try_from(distance(from, to)?).map_err(|_| Unreachable);
        self.drafts
            .iter()
            .enumerate()
            .map(|(at, draft)| match *draft {
                Draft::Plain(instruction) => Ok(instruction),
                Draft::Jump(to) => {
                    let skip = u32::try_from(distance(at, Some(to))?).map_err(|_| Unreachable)?;
                    Ok(Instruction::plain(code::JA, skip))
                }
                Draft::Branch { code, k, yes, no } => {
                    Ok(Instruction::branch(code, k, short(at, yes)?, short(at, no)?))
                }
            })
            .collect()
    }
}
