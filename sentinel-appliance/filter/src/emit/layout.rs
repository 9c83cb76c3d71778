//! Branch displacement: chooses short or long jumps and resolves their distances.
//!
//! Read first: T. G. Szymanski, "Assembling Code for Machines with Span-Dependent Instructions", CACM 21
//! (1978).
//!
//! A branch reaches 255 instructions forwards; a longer way needs a `ja` with 32 bits of distance behind the
//! branch. All jumps start short. Those that do not reach become long, which moves the blocks behind them and
//! may put others out of reach, so the layout is repeated until nothing changes. A jump never becomes short
//! again: each round but the last lengthens at least one of two jumps per block, so there are at most `2 *
//! blocks + 1` rounds.

use alloc::vec;
use alloc::vec::Vec;

use super::{CodeBlock, TooLong};
use crate::code;
use crate::graph::Successor;
use crate::instruction::Instruction;
use crate::validate::MAX_INSTRUCTIONS;

/// Lays out `blocks` in order, followed by the returns that are used: `ret keep`, then `ret 0`.
pub(super) fn lay_out(
    mut blocks: Vec<CodeBlock>,
    block_count: usize,
    entry: Successor,
    keep: u32,
) -> Result<Vec<Instruction>, TooLong> {
    let is_used = |end: Successor| entry == end || blocks.iter().any(|block| block.successors.contains(&end));
    let accepts = is_used(Successor::Accept);
    let rejects = is_used(Successor::Reject);
    let mut starts = vec![0_usize; block_count];
    loop {
        let length = place(&blocks, &mut starts);
        let address = |target: Successor| match target {
            Successor::Accept => length,
            Successor::Reject | Successor::Unpatched(_) => length + usize::from(accepts),
            Successor::Block(index) => starts.get(index).copied().unwrap_or(0),
        };
        if lengthen_jumps(&mut blocks, address) {
            continue;
        }
        let mut out = Vec::with_capacity(length + 2);
        for block in &blocks {
            push_block(block, address, &mut out);
        }
        if accepts {
            out.push(Instruction::plain(code::RET_K, keep));
        }
        if rejects {
            out.push(Instruction::plain(code::RET_K, 0));
        }
        return if out.len() > MAX_INSTRUCTIONS { Err(TooLong) } else { Ok(out) };
    }
}

/// Sets the address of each block, by its index, to the sum of the lengths before it; returns the length of all.
fn place(blocks: &[CodeBlock], starts: &mut [usize]) -> usize {
    let mut length = 0;
    for block in blocks {
        if let Some(start) = starts.get_mut(block.index) {
            *start = length;
        }
        length += block.len();
    }
    length
}

/// Makes jumps long that do not reach their target at these addresses; returns true if there was one.
fn lengthen_jumps(blocks: &mut [CodeBlock], address: impl Fn(Successor) -> usize) -> bool {
    let mut changed = false;
    let mut start = 0;
    for block in blocks {
        let after_branch = start + block.loads.len() + 1;
        start += block.len();
        for (is_long, target) in block.needs_long_jump.iter_mut().zip(block.successors) {
            // Edges lead to later blocks, so a distance is never negative.
            let skip = address(target).saturating_sub(after_branch);
            if !*is_long && skip > usize::from(u8::MAX) {
                *is_long = true;
                changed = true;
            }
        }
    }
    changed
}

/// Appends loads, branch and long jumps of one block.
fn push_block(block: &CodeBlock, address: impl Fn(Successor) -> usize, out: &mut Vec<Instruction>) {
    out.extend_from_slice(&block.loads);
    let after_branch = out.len() + 1;
    let [false_is_long, true_is_long] = block.needs_long_jump;
    let [if_false, if_true] = block.successors.map(|target| {
        let skip = address(target).saturating_sub(after_branch);
        u8::try_from(skip).unwrap_or(u8::MAX)
    });
    // The long jump of the false edge comes first, so the true edge skips it if there is one.
    let jt = if true_is_long { u8::from(false_is_long) } else { if_true };
    let jf = if false_is_long { 0 } else { if_false };
    let (code, k) = block.branch;
    out.push(Instruction::branch(code, k, jt, jf));
    for (is_long, target) in block.needs_long_jump.iter().zip(block.successors) {
        if *is_long {
            let skip = address(target).saturating_sub(out.len() + 1);
            out.push(Instruction::plain(code::JA, u32::try_from(skip).unwrap_or(u32::MAX)));
        }
    }
}
