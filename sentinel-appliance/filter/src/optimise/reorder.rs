//! Groups tests of the same value, as libpcap's `or_pullup` and `and_pullup` do.

use alloc::vec;
use alloc::vec::Vec;

use crate::graph::{BasicBlock, Successor, Test, predecessor_counts};
use crate::value::ValueId;

/// Reorders the tests of each chain by value; returns true if one moved.
///
/// A chain is one disjunction (`outcome` false continues it) or conjunction (`outcome` true does), so its
/// tests may be evaluated in any order as far as the result goes. Only the tests move between the blocks; the
/// edges stay, and with them the topological order.
pub(super) fn reorder_tests(blocks: &mut [BasicBlock], entry: Successor) -> bool {
    let counts = predecessor_counts(blocks, entry);
    let on_entry = values_on_entry(blocks, &counts);
    let mut changed = false;
    for outcome in [false, true] {
        let mut in_chain = vec![false; blocks.len()];
        for head in 0..blocks.len() {
            // The head of a chain has the lowest index in it, so ascending order finds each chain at its
            // head.
            let is_seen = in_chain.get(head).copied().unwrap_or(true);
            if is_seen || counts.get(head).is_none_or(|count| *count == 0) {
                continue;
            }
            let chain = chain(blocks, &counts, head, outcome);
            for index in &chain {
                if let Some(in_chain) = in_chain.get_mut(*index) {
                    *in_chain = true;
                }
            }
            let tests: Vec<Test> =
                chain.iter().filter_map(|index| blocks.get(*index)).map(|block| block.test).collect();
            let ordered = grouped_by_value(&tests, on_entry.get(head).copied().flatten());
            if ordered != tests {
                changed = true;
                for (index, test) in chain.iter().zip(ordered) {
                    if let Some(block) = blocks.get_mut(*index) {
                        block.test = test;
                    }
                }
            }
        }
    }
    changed
}

/// The longest chain from `head`: each block is reached by `outcome` of the one before and by no other edge,
/// and the other outcome of all of them leads to the same place.
fn chain(blocks: &[BasicBlock], counts: &[u32], head: usize, outcome: bool) -> Vec<usize> {
    let mut chain = vec![head];
    let Some(first) = blocks.get(head) else { return chain };
    let exit = first.successor(!outcome);
    let mut next = first.successor(outcome);
    // Ends: every edge leads to a higher index.
    while let Successor::Block(index) = next {
        let Some(block) = blocks.get(index) else { break };
        if block.successor(!outcome) != exit || counts.get(index) != Some(&1) {
            break;
        }
        chain.push(index);
        next = block.successor(outcome);
    }
    chain
}

/// For each block the value that all of its predecessors compare, which is then still in register A.
fn values_on_entry(blocks: &[BasicBlock], counts: &[u32]) -> Vec<Option<ValueId>> {
    // Outer `None`: no predecessor visited yet. Inner `None`: the predecessors differ.
    let mut on_entry: Vec<Option<Option<ValueId>>> = vec![None; blocks.len()];
    for (index, block) in blocks.iter().enumerate() {
        if counts.get(index).is_none_or(|count| *count == 0) {
            continue;
        }
        for target in block.successors {
            if let Successor::Block(next) = target
                && let Some(on_entry) = on_entry.get_mut(next)
            {
                *on_entry = Some(match *on_entry {
                    Some(known) => known.filter(|value| *value == block.test.left),
                    None => Some(block.test.left),
                });
            }
        }
    }
    on_entry.into_iter().map(Option::flatten).collect()
}

/// The tests of `first` in front, the others by the first appearance of their value. The order within a value
/// stays, so that a second run changes nothing.
fn grouped_by_value(tests: &[Test], first: Option<ValueId>) -> Vec<Test> {
    let mut ordered: Vec<Test> = Vec::with_capacity(tests.len());
    let values = first.into_iter().chain(tests.iter().map(|test| test.left));
    for value in values {
        if !ordered.iter().any(|test| test.left == value) {
            ordered.extend(tests.iter().filter(|test| test.left == value));
        }
    }
    ordered
}
