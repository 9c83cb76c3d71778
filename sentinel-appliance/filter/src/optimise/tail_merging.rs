//! Tail merging, or cross jumping (Muchnick, "Advanced Compiler Design and Implementation", section 18.8), as
//! in libpcap's `intern_blocks`.

use alloc::vec::Vec;

use crate::graph::{BasicBlock, Successor, predecessor_counts};

/// Replaces each block by a later one that has the same test and the same successors; returns true if one was.
///
/// Going backwards, the successors of a block are final when it is compared, so one pass merges whole tails.
/// The later block stays, so that edges still lead to higher indices only.
pub(super) fn merge_equal_blocks(blocks: &mut [BasicBlock], entry: &mut Successor) -> bool {
    let counts = predecessor_counts(blocks, *entry);
    let mut replacement: Vec<Successor> = (0..blocks.len()).map(Successor::Block).collect();
    let resolve = |replacement: &[Successor], target: Successor| match target {
        Successor::Block(index) => replacement.get(index).copied().unwrap_or(target),
        end => end,
    };
    let mut kept: Vec<usize> = Vec::new();
    let mut changed = false;
    for index in (0..blocks.len()).rev() {
        if counts.get(index).is_none_or(|count| *count == 0) {
            continue;
        }
        // Successors have higher indices, so their replacements are known.
        let Some(block) = blocks.get_mut(index) else { continue };
        block.successors = block.successors.map(|target| resolve(&replacement, target));
        let block = *block;
        // Linear search in the blocks kept, whose number the parser bounds.
        let equal = kept.iter().copied().find(|other| {
            blocks
                .get(*other)
                .is_some_and(|other| other.test == block.test && other.successors == block.successors)
        });
        match equal {
            Some(other) => {
                changed = true;
                if let Some(replacement) = replacement.get_mut(index) {
                    *replacement = Successor::Block(other);
                }
            }
            None => kept.push(index),
        }
    }
    *entry = resolve(&replacement, *entry);
    changed
}
