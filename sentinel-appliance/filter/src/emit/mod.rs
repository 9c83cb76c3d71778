//! Code generation: a control-flow graph to a linear program.
//!
//! Each basic block becomes the loads that its test needs, less what the registers hold on every path to it,
//! and one branch. The blocks stay in the order of the graph, so that all jumps lead forwards, as the kernel
//! demands.

mod codegen;
mod layout;

use alloc::vec;
use alloc::vec::Vec;

use crate::graph::{Graph, Successor, predecessor_counts};
use crate::instruction::Instruction;
use crate::validate::MAX_INSTRUCTIONS;
use codegen::{CodeGenerator, Registers};
use layout::lay_out;

/// The program would be longer than [`MAX_INSTRUCTIONS`], or need more than 16 scratch slots at a time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct TooLong;

/// A basic block as instructions, its jumps not resolved yet.
struct CodeBlock {
    /// Index of the block in the graph.
    index: usize,
    loads: Vec<Instruction>,
    /// Code and constant of the branch.
    branch: (u16, u32),
    /// First if the test is false, second if it is true.
    successors: [Successor; 2],
    /// The successor is out of reach of the branch, and a `ja` behind the branch leads to it.
    needs_long_jump: [bool; 2],
}

impl CodeBlock {
    fn len(&self) -> usize {
        self.loads.len() + 1 + self.needs_long_jump.iter().filter(|needed| **needed).count()
    }
}

/// The program that returns `keep` where the graph accepts, and zero elsewhere.
pub(crate) fn emit(graph: &Graph, entry: Successor, keep: u32) -> Result<Vec<Instruction>, TooLong> {
    let mut code = code_blocks(graph, entry)?;
    let mut entry = entry;
    merge_equal_code(&mut code, &mut entry, graph.blocks.len());
    lay_out(code, graph.blocks.len(), entry, keep)
}

/// The instructions of all reachable blocks.
///
/// Register contents are a forward data-flow analysis with intersection as meet operator. Predecessors come
/// first in topological order, so one pass is the fixpoint.
fn code_blocks(graph: &Graph, entry: Successor) -> Result<Vec<CodeBlock>, TooLong> {
    let counts = predecessor_counts(&graph.blocks, entry);
    let mut on_entry: Vec<Option<Registers>> = vec![None; graph.blocks.len()];
    if let Successor::Block(index) = entry
        && let Some(on_entry) = on_entry.get_mut(index)
    {
        *on_entry = Some(Registers::default());
    }
    let mut code: Vec<CodeBlock> = Vec::new();
    let mut length = 0;
    for (index, block) in graph.blocks.iter().enumerate() {
        if counts.get(index).is_none_or(|count| *count == 0) {
            continue;
        }
        let registers = on_entry.get(index).copied().flatten().unwrap_or_default();
        let mut generator = CodeGenerator::new(&graph.values, registers);
        let branch = generator.branch(&block.test)?;
        let (loads, registers) = generator.into_parts();
        for target in block.successors {
            if let Successor::Block(next) = target
                && let Some(on_entry) = on_entry.get_mut(next)
            {
                *on_entry = Some(on_entry.map_or(registers, |known| known.meet(registers)));
            }
        }
        length += loads.len() + 1;
        if length > MAX_INSTRUCTIONS {
            return Err(TooLong);
        }
        let successors = block.successors;
        code.push(CodeBlock { index, loads, branch, successors, needs_long_jump: [false; 2] });
    }
    Ok(code)
}

/// Tail merging once more, on instructions: blocks that test different values can still have equal code, if
/// each finds its value in a register.
fn merge_equal_code(code: &mut Vec<CodeBlock>, entry: &mut Successor, block_count: usize) {
    let mut replacement: Vec<Successor> = (0..block_count).map(Successor::Block).collect();
    let resolve = |replacement: &[Successor], target: Successor| match target {
        Successor::Block(index) => replacement.get(index).copied().unwrap_or(target),
        end => end,
    };
    let mut kept: Vec<CodeBlock> = Vec::with_capacity(code.len());
    for mut block in code.drain(..).rev() {
        block.successors = block.successors.map(|target| resolve(&replacement, target));
        let equal = kept.iter().find(|other| {
            other.branch == block.branch && other.successors == block.successors && other.loads == block.loads
        });
        match (equal, replacement.get_mut(block.index)) {
            (Some(equal), Some(replacement)) => *replacement = Successor::Block(equal.index),
            _ => kept.push(block),
        }
    }
    kept.reverse();
    *code = kept;
    *entry = resolve(&replacement, *entry);
}
