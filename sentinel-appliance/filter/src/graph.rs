//! Control-flow graph of a filter: basic blocks of one test each, and their edges.
//!
//! Read first: "The BSD Packet Filter" (1993), section 3.1; Aho, Lam, Sethi and Ullman, "Compilers", section
//! 6.7 (backpatching).
//!
//! A condition is built in the order in which it is evaluated, so every edge leads to a block with a higher
//! index. The graph is therefore acyclic and the vector of blocks is in topological order: each data-flow
//! pass is one loop over it, forwards or backwards.

use alloc::vec;
use alloc::vec::Vec;

use crate::value::{Operation, Value, ValueId, Values};

/// Comparison of two unsigned 32-bit values, one for each branch instruction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Comparison {
    /// `jeq`.
    Equal,
    /// `jgt`.
    Greater,
    /// `jge`.
    AtLeast,
    /// `jset`: the values have a bit in common.
    AnyBit,
}

/// The test that ends a basic block.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Test {
    pub(crate) left: ValueId,
    pub(crate) comparison: Comparison,
    pub(crate) right: ValueId,
}

/// The target of an edge.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Successor {
    /// The packet matches.
    Accept,
    /// The packet does not match.
    Reject,
    /// The block of this index.
    Block(usize),
    /// Not known yet; the next edge of the same [`PatchList`], if there is one.
    Unpatched(Option<Edge>),
}

/// A basic block: the loads that its test needs, which are implied by the values, and the test.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BasicBlock {
    pub(crate) test: Test,
    /// First if the test is false, second if it is true.
    pub(crate) successors: [Successor; 2],
}

impl BasicBlock {
    pub(crate) fn successor(&self, outcome: bool) -> Successor {
        let [if_false, if_true] = self.successors;
        if outcome { if_true } else { if_false }
    }

    pub(crate) fn successor_mut(&mut self, outcome: bool) -> &mut Successor {
        let [if_false, if_true] = &mut self.successors;
        if outcome { if_true } else { if_false }
    }
}

/// An edge by its block and the outcome of the block's test, in 16 bits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Edge(u16);

impl Edge {
    /// The parser stops at 16,384 blocks and values, so the index fits 15 bits. Were there more, an edge
    /// would be patched to a wrong block, but never to one outside the graph.
    fn new(block: usize, outcome: bool) -> Self {
        Self(u16::try_from(block).unwrap_or(u16::MAX).wrapping_mul(2) | u16::from(outcome))
    }

    fn block(self) -> usize {
        usize::from(self.0 / 2)
    }

    fn outcome(self) -> bool {
        self.0 & 1 == 1
    }
}

/// Edges to be patched with one target, as a linked list through [`Successor::Unpatched`]; never empty.
#[derive(Clone, Copy, Debug)]
struct PatchList {
    first: Edge,
    last: Edge,
}

/// A condition whose true and false edges are not patched yet. Each condition may be used once only, because
/// joining two patches the edges of both.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Condition {
    entry: usize,
    if_true: PatchList,
    if_false: PatchList,
}

impl Condition {
    pub(crate) fn negated(self) -> Self {
        Self { entry: self.entry, if_true: self.if_false, if_false: self.if_true }
    }
}

/// The control-flow graph and the values that its tests compare.
#[derive(Default)]
pub(crate) struct Graph {
    pub(crate) values: Values,
    pub(crate) blocks: Vec<BasicBlock>,
}

impl Graph {
    /// Appends a block with this test.
    pub(crate) fn compare(&mut self, left: ValueId, comparison: Comparison, right: ValueId) -> Condition {
        let (test, same_sense) = self.simplify(Test { left, comparison, right });
        let entry = self.blocks.len();
        self.blocks.push(BasicBlock { test, successors: [Successor::Unpatched(None); 2] });
        let list = |outcome| {
            let edge = Edge::new(entry, outcome);
            PatchList { first: edge, last: edge }
        };
        let condition = Condition { entry, if_true: list(true), if_false: list(false) };
        // A test whose sense was inverted swaps its edges, which costs no instruction.
        if same_sense { condition } else { condition.negated() }
    }

    pub(crate) fn equal(&mut self, value: ValueId, k: u32) -> Condition {
        self.compare_constant(value, Comparison::Equal, k)
    }

    /// Returns true if `value` under `mask` is `wanted`.
    pub(crate) fn masked_equal(&mut self, value: ValueId, wanted: u32, mask: u32) -> Condition {
        let value = self.values.masked(value, mask);
        self.equal(value, wanted)
    }

    /// `value` is one of `wanted`; false if that is empty.
    pub(crate) fn equals_any(&mut self, value: ValueId, wanted: &[u32]) -> Condition {
        let mut any: Option<Condition> = None;
        for number in wanted {
            let same = self.equal(value, *number);
            any = Some(self.or_optional(any, same));
        }
        any.unwrap_or_else(|| self.constant(false))
    }

    pub(crate) fn compare_constant(&mut self, value: ValueId, comparison: Comparison, k: u32) -> Condition {
        let k = self.values.constant(k);
        self.compare(value, comparison, k)
    }

    /// A condition that is always `outcome`. It is a test of two constants, which the optimiser folds.
    pub(crate) fn constant(&mut self, outcome: bool) -> Condition {
        let zero = self.values.constant(0);
        self.equal(zero, u32::from(!outcome))
    }

    /// Short-circuit conjunction. `second` must have been built after `first`, or the order of blocks is not
    /// topological.
    pub(crate) fn and(&mut self, first: Condition, second: Condition) -> Condition {
        self.backpatch(first.if_true, Successor::Block(second.entry));
        // Concatenates both lists in constant time: the last edge of the first links to the first edge of the
        // second.
        if let Some(successor) = self.successor_mut(first.if_false.last) {
            *successor = Successor::Unpatched(Some(second.if_false.first));
        }
        let if_false = PatchList { first: first.if_false.first, last: second.if_false.last };
        Condition { entry: first.entry, if_true: second.if_true, if_false }
    }

    /// Short-circuit disjunction (De Morgan). `second` must have been built after `first`.
    pub(crate) fn or(&mut self, first: Condition, second: Condition) -> Condition {
        self.and(first.negated(), second.negated()).negated()
    }

    /// `first` and `second`, or `second` alone if there is no `first`.
    pub(crate) fn and_optional(&mut self, first: Option<Condition>, second: Condition) -> Condition {
        match first {
            Some(first) => self.and(first, second),
            None => second,
        }
    }

    /// `first` or `second`, or `second` alone if there is no `first`.
    pub(crate) fn or_optional(&mut self, first: Option<Condition>, second: Condition) -> Condition {
        self.and_optional(first.map(Condition::negated), second.negated()).negated()
    }

    /// Patches the edges of the whole expression with the two ends of the program; returns its entry.
    pub(crate) fn finish(&mut self, condition: Condition) -> Successor {
        self.backpatch(condition.if_true, Successor::Accept);
        self.backpatch(condition.if_false, Successor::Reject);
        Successor::Block(condition.entry)
    }

    fn successor_mut(&mut self, edge: Edge) -> Option<&mut Successor> {
        Some(self.blocks.get_mut(edge.block())?.successor_mut(edge.outcome()))
    }

    /// Sets the target of all edges of `list`.
    fn backpatch(&mut self, list: PatchList, target: Successor) {
        // Ends: the links form a chain without a cycle, because an edge is in one list only.
        let mut next = Some(list.first);
        while let Some(edge) = next {
            let Some(successor) = self.successor_mut(edge) else { return };
            next = match *successor {
                Successor::Unpatched(next) => next,
                _ => None,
            };
            *successor = target;
        }
    }

    /// Algebraic simplification (Muchnick, section 12.3): an equivalent test that costs fewer instructions,
    /// and whether it is true when `test` is (else it is true when `test` is false).
    ///
    /// - A constant goes to the right, because only there does an instruction have room for it.
    /// - `value + c == k` becomes `value == k - c`, and likewise for `-` and `^`.
    /// - `value & c == 0`, and `value & c == c` for a single bit, become `jset`.
    fn simplify(&mut self, test: Test) -> (Test, bool) {
        let Test { mut left, mut comparison, mut right } = test;
        let mut same_sense = true;
        if self.values.constant_of(left).is_some() && self.values.constant_of(right).is_none() {
            (left, right) = (right, left);
            // `k > v` is the negation of `v >= k`, and `k >= v` that of `v > k`; the machine has no "less
            // than".
            match comparison {
                Comparison::Greater => (comparison, same_sense) = (Comparison::AtLeast, false),
                Comparison::AtLeast => (comparison, same_sense) = (Comparison::Greater, false),
                Comparison::Equal | Comparison::AnyBit => {}
            }
        }
        // Ends: each iteration goes one operation deeper into a finite expression.
        while let (Comparison::Equal, Some(k), Value::Binary(operation, inner, operand)) =
            (comparison, self.values.constant_of(right), self.values.definition(left))
        {
            let Some(operand) = self.values.constant_of(operand) else { break };
            // Addition, subtraction and xor of a constant are one-to-one on 32 bits, so the equation keeps
            // its solutions when the machine wraps around.
            let wanted = match operation {
                Operation::Add => k.wrapping_sub(operand),
                Operation::Subtract => k.wrapping_add(operand),
                Operation::Xor => k ^ operand,
                Operation::And if k == 0 || k == operand && operand.is_power_of_two() => {
                    comparison = Comparison::AnyBit;
                    same_sense ^= k == 0;
                    left = inner;
                    right = self.values.constant(operand);
                    break;
                }
                _ => break,
            };
            left = inner;
            right = self.values.constant(wanted);
        }
        (Test { left, comparison, right }, same_sense)
    }

    /// The outcome of a test of two constants. A test such as `ip[8] >= 0` has one outcome only and is kept
    /// all the same: its load ends the program if the byte is not there.
    pub(crate) fn constant_outcome(&self, test: &Test) -> Option<bool> {
        let (left, right) = (self.values.constant_of(test.left)?, self.values.constant_of(test.right)?);
        Some(outcome(left, test.comparison, right))
    }
}

fn outcome(left: u32, comparison: Comparison, right: u32) -> bool {
    match comparison {
        Comparison::Equal => left == right,
        Comparison::Greater => left > right,
        Comparison::AtLeast => left >= right,
        Comparison::AnyBit => left & right != 0,
    }
}

/// Number of edges into each block that can be reached from `entry`; zero for a block that cannot.
pub(crate) fn predecessor_counts(blocks: &[BasicBlock], entry: Successor) -> Vec<u32> {
    let mut counts = vec![0_u32; blocks.len()];
    let count_edge = |target: Successor, counts: &mut Vec<u32>| {
        if let Successor::Block(index) = target
            && let Some(count) = counts.get_mut(index)
        {
            *count = count.saturating_add(1);
        }
    };
    count_edge(entry, &mut counts);
    // One pass is enough: all predecessors of a block come before it.
    for (index, block) in blocks.iter().enumerate() {
        if counts.get(index).is_some_and(|count| *count > 0) {
            block.successors.iter().for_each(|target| count_edge(*target, &mut counts));
        }
    }
    counts
}
