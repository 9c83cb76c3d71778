//! Jump threading by known test outcomes, the global form of libpcap's `opt_j` with its edge dominators.
//!
//! Read first: Muchnick, "Advanced Compiler Design and Implementation", section 8.2 (data-flow lattices);
//! BPF+ (1999), section 4 (redundant predicate elimination).

use alloc::vec;
use alloc::vec::Vec;

use crate::graph::{Comparison, Graph, Successor, Test};
use crate::value::ValueId;

/// Outcomes known at one point of the program: facts that hold on every path to it.
#[derive(Clone, Default)]
struct Facts {
    /// Bit sets over the distinct tests.
    known_true: Vec<u32>,
    known_false: Vec<u32>,
    /// Sets of equality tests of one value with constants, exactly one of which is true.
    alternatives: Vec<Vec<usize>>,
}

/// Most equality tests in one set of alternatives; a larger one is dropped, which costs precision only.
const MAX_ALTERNATIVES: usize = 8;

fn bit(test: usize) -> (usize, u32) {
    (test / 32, 1 << (test % 32))
}

impl Facts {
    fn add(&mut self, test: usize, outcome: bool) {
        let (word, bit) = bit(test);
        let words = if outcome { &mut self.known_true } else { &mut self.known_false };
        if words.len() <= word {
            words.resize(word + 1, 0);
        }
        if let Some(word) = words.get_mut(word) {
            *word |= bit;
        }
    }

    fn outcome(&self, test: usize) -> Option<bool> {
        let (word, bit) = bit(test);
        let has = |words: &[u32]| words.get(word).is_some_and(|word| word & bit != 0);
        if has(&self.known_true) {
            Some(true)
        } else if has(&self.known_false) {
            Some(false)
        } else {
            None
        }
    }
}

/// The distinct tests of the graph, numbered in order of appearance, so that facts are bits.
struct DistinctTests {
    tests: Vec<Test>,
    /// Number of the test of each block.
    of_block: Vec<usize>,
    /// A test whose two edges lead to one place is removed.
    removes_redundant: bool,
}

impl DistinctTests {
    fn new(graph: &Graph, removes_redundant: bool) -> Self {
        let mut tests: Vec<Test> = Vec::new();
        let mut number = |test: Test| {
            tests.iter().position(|known| *known == test).unwrap_or_else(|| {
                tests.push(test);
                tests.len() - 1
            })
        };
        let of_block = graph.blocks.iter().map(|block| number(block.test)).collect();
        Self { tests, of_block, removes_redundant }
    }

    fn number(&self, block: usize) -> usize {
        self.of_block.get(block).copied().unwrap_or(usize::MAX)
    }

    /// The outcome of the test of `block`, if `facts` decide it.
    fn known_outcome(&self, graph: &Graph, block: usize, facts: &Facts) -> Option<bool> {
        let number = self.number(block);
        let test = self.tests.get(number)?;
        if let Some(known) = graph.constant_outcome(test).or_else(|| facts.outcome(number)) {
            return Some(known);
        }
        // A value known to equal one constant equals no other. That it is then also less than a third
        // constant is not used: libpcap does not, so its program keeps the load, which ends the program on a
        // short frame.
        if test.comparison != Comparison::Equal || graph.values.constant_of(test.right).is_none() {
            return None;
        }
        let equals_another = |(other, known): (usize, &Test)| {
            known.left == test.left
                && known.comparison == Comparison::Equal
                && facts.outcome(other) == Some(true)
                && graph.values.constant_of(known.right).is_some()
        };
        if self.tests.iter().enumerate().any(equals_another) {
            return Some(false);
        }
        // All alternatives but one are false: that one is true. A constant outside the set is never equal.
        let set = facts.alternatives.iter().find(|set| self.value(set) == Some(test.left))?;
        let mut possible = set.iter().filter(|other| facts.outcome(**other) != Some(false));
        match (possible.next(), possible.next()) {
            (Some(only), None) => Some(*only == number),
            _ if !set.contains(&number) => Some(false),
            _ => None,
        }
    }

    /// The value that the tests of a set of alternatives compare.
    fn value(&self, set: &[usize]) -> Option<ValueId> {
        Some(self.tests.get(*set.first()?)?.left)
    }

    /// The sets of alternatives in `facts`; an equality known to be true is a set of one.
    fn alternatives(&self, graph: &Graph, facts: &Facts) -> Vec<Vec<usize>> {
        let is_known = |(number, test): &(usize, &Test)| {
            test.comparison == Comparison::Equal
                && facts.outcome(*number) == Some(true)
                && graph.values.constant_of(test.right).is_some()
        };
        let certain = self.tests.iter().enumerate().filter(is_known).map(|(number, _)| vec![number]);
        certain.chain(facts.alternatives.iter().cloned()).collect()
    }

    /// Meet operator of the data-flow analysis: keeps in `facts` what holds on both paths.
    ///
    /// Outcomes are intersected. Alternatives of one value are united: on one path the value is one of these,
    /// on the other one of those, so after the join it is one of all.
    fn meet(&self, graph: &Graph, facts: &mut Facts, other: &Facts) {
        let others = self.alternatives(graph, other);
        let mut sets = self.alternatives(graph, facts);
        sets.retain_mut(|set| {
            let Some(same) = others.iter().find(|other| self.value(other) == self.value(set)) else {
                return false;
            };
            set.extend(same);
            set.sort_unstable();
            set.dedup();
            (2..=MAX_ALTERNATIVES).contains(&set.len())
        });
        facts.alternatives = sets;
        for (words, others) in
            [(&mut facts.known_true, &other.known_true), (&mut facts.known_false, &other.known_false)]
        {
            // Words past the end are zero.
            words.truncate(others.len());
            words.iter_mut().zip(others).for_each(|(word, other)| *word &= other);
        }
    }

    /// Follows an edge past tests whose outcome is known, and past redundant ones. Ends because edges lead
    /// forwards.
    fn final_target(&self, graph: &Graph, target: Successor, facts: &Facts) -> Successor {
        let mut target = target;
        while let Successor::Block(index) = target {
            let Some(block) = graph.blocks.get(index) else { break };
            let [if_false, if_true] = block.successors;
            target = match self.known_outcome(graph, index, facts) {
                Some(outcome) => block.successor(outcome),
                None if if_false == if_true && self.removes_redundant => if_false,
                None => break,
            };
        }
        target
    }
}

/// Redirects all edges past tests whose outcome is known; returns true if one was.
///
/// The blocks are in topological order, so when one is visited its facts are already the meet over all
/// reachable predecessors: one pass over the graph is the fixpoint of the analysis. Blocks without facts are
/// unreachable.
pub(super) fn thread_jumps(graph: &mut Graph, entry: &mut Successor, removes_redundant: bool) -> bool {
    let tests = DistinctTests::new(graph, removes_redundant);
    let mut facts_on_entry: Vec<Option<Facts>> = vec![None; graph.blocks.len()];
    let before = *entry;
    *entry = tests.final_target(graph, *entry, &Facts::default());
    let mut changed = *entry != before;
    if let Successor::Block(index) = *entry
        && let Some(facts) = facts_on_entry.get_mut(index)
    {
        *facts = Some(Facts::default());
    }
    for index in 0..graph.blocks.len() {
        let Some(facts) = facts_on_entry.get_mut(index).and_then(Option::take) else { continue };
        for outcome in [false, true] {
            let Some(was) = graph.blocks.get(index).map(|block| block.successor(outcome)) else { continue };
            // Facts of an edge: those of its block, and the outcome that leads to the edge.
            let mut facts = facts.clone();
            facts.add(tests.number(index), outcome);
            let target = tests.final_target(graph, was, &facts);
            if target != was {
                changed = true;
                if let Some(block) = graph.blocks.get_mut(index) {
                    *block.successor_mut(outcome) = target;
                }
            }
            if let Successor::Block(next) = target
                && let Some(known) = facts_on_entry.get_mut(next)
            {
                // Join: what an earlier predecessor knows and this one does not is dropped.
                match known {
                    Some(known) => tests.meet(graph, known, &facts),
                    None => *known = Some(facts),
                }
            }
        }
    }
    changed
}
