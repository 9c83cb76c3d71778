//! Makes the graph of tests smaller.
//!
//! Read first: "The BSD Packet Filter" (1993), section 3; "BPF+: Exploiting Global Data-flow Optimization in a
//! Generalized Packet Filter Architecture" (1999), section 4.
//!
//! - An edge that leads to a test whose outcome is known there leads on to where that outcome leads. Known is
//!   what every way to the edge has tested.
//! - Tests in a row that share an exit are put together by the value they definition at, so that it is loaded once.
//! - Tests that are equal and lead to the same places become one.
//!
//! A test that is left out may be one that would have ended the program because the frame is too short. So tests
//! that turn out to lead to one place only after equal ones became one stay in, as they do in libpcap.

use alloc::vec;
use alloc::vec::Vec;

use crate::graph::{Comparison, Graph, Node, Target, Test};
use crate::value::ValueId;

/// Rounds of passes; each removes something or is the last. Real filters need three or four.
const MAX_ROUNDS: usize = 64;

/// Returns where the program begins.
pub(crate) fn optimise(graph: &mut Graph, entry: Target) -> Target {
    let mut entry = entry;
    // Equal tests are put together only when nothing else helps: apart, more is known about the way to each.
    for merging in [false, true] {
        for _ in 0..MAX_ROUNDS {
            let mut changed = thread(graph, &mut entry, !merging);
            changed |= group(&mut graph.nodes, entry);
            if merging {
                changed |= merge(&mut graph.nodes, &mut entry);
            }
            if !changed {
                break;
            }
        }
    }
    entry
}

/// The number of edges to each node that can be reached.
pub(crate) fn edges_in(nodes: &[Node], entry: Target) -> Vec<u32> {
    let mut count = vec![0_u32; nodes.len()];
    let reach = |target: Target, count: &mut Vec<u32>| {
        if let Target::Node(at) = target
            && let Some(count) = count.get_mut(at)
        {
            *count = count.saturating_add(1);
        }
    };
    reach(entry, &mut count);
    for (at, node) in nodes.iter().enumerate() {
        if count.get(at).is_some_and(|count| *count > 0) {
            node.edges.iter().for_each(|target| reach(*target, &mut count));
        }
    }
    count
}

/// Which tests are known to hold and which to fail.
#[derive(Clone, Default)]
struct Facts {
    holding: Vec<u32>,
    failing: Vec<u32>,
    /// Tests for equality of one value, of which one holds.
    choices: Vec<Vec<usize>>,
}

/// Constants that a value may be one of; more are not remembered.
const MAX_CHOICES: usize = 8;

fn bit(test: usize) -> (usize, u32) {
    (test / 32, 1 << (test % 32))
}

impl Facts {
    fn add(&mut self, test: usize, holds: bool) {
        let (word, bit) = bit(test);
        let words = if holds { &mut self.holding } else { &mut self.failing };
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
        if has(&self.holding) {
            Some(true)
        } else if has(&self.failing) {
            Some(false)
        } else {
            None
        }
    }
}

/// The distinct tests, and which of them definition at the same value.
struct Tests {
    distinct: Vec<Test>,
    /// By node.
    numbers: Vec<usize>,
    /// Whether a test that leads to one place only is left out.
    drops_idle: bool,
}

impl Tests {
    fn of(nodes: &[Node], drops_idle: bool) -> Self {
        let mut distinct: Vec<Test> = Vec::new();
        let mut number = |node: &Node| {
            distinct.iter().position(|test| *test == node.test).unwrap_or_else(|| {
                distinct.push(node.test);
                distinct.len() - 1
            })
        };
        let numbers = nodes.iter().map(&mut number).collect();
        Self { distinct, numbers, drops_idle }
    }

    fn number(&self, node: usize) -> usize {
        self.numbers.get(node).copied().unwrap_or(usize::MAX)
    }

    /// The outcome of `node`'s test, if `facts` decide it.
    fn decide(&self, graph: &Graph, node: usize, facts: &Facts) -> Option<bool> {
        let number = self.number(node);
        let test = self.distinct.get(number)?;
        if let Some(known) = graph.constant_outcome(test).or_else(|| facts.outcome(number)) {
            return Some(known);
        }
        // A value known to be one constant is not another. That it is then also less than a third is not used:
        // libpcap does not, and would load what a test removed for it would have loaded.
        if test.comparison != Comparison::Equal || graph.values.constant_of(test.right).is_none() {
            return None;
        }
        let is_known = |(other, known): (usize, &Test)| {
            known.left == test.left
                && known.comparison == Comparison::Equal
                && facts.outcome(other) == Some(true)
                && graph.values.constant_of(known.right).is_some()
        };
        if self.distinct.iter().enumerate().any(is_known) {
            return Some(false);
        }
        let choice = facts.choices.iter().find(|choice| self.value(choice) == Some(test.left))?;
        let mut left = choice.iter().filter(|other| facts.outcome(**other) != Some(false));
        match (left.next(), left.next()) {
            (Some(only), None) => Some(*only == number),
            _ if !choice.contains(&number) => Some(false),
            _ => None,
        }
    }

    /// The value that the tests of a choice definition at.
    fn value(&self, choice: &[usize]) -> Option<ValueId> {
        Some(self.distinct.get(*choice.first()?)?.left)
    }

    /// What `facts` say about which constant a value is: the tests of which one holds.
    fn choices(&self, graph: &Graph, facts: &Facts) -> Vec<Vec<usize>> {
        let is_known = |(number, test): &(usize, &Test)| {
            test.comparison == Comparison::Equal
                && facts.outcome(*number) == Some(true)
                && graph.values.constant_of(test.right).is_some()
        };
        let certain = self.distinct.iter().enumerate().filter(is_known).map(|(number, _)| vec![number]);
        certain.chain(facts.choices.iter().cloned()).collect()
    }

    /// Keeps in `facts` what `other` knows too.
    fn meet(&self, graph: &Graph, facts: &mut Facts, other: &Facts) {
        let others = self.choices(graph, other);
        let mut choices = self.choices(graph, facts);
        choices.retain_mut(|choice| {
            let Some(same) = others.iter().find(|other| self.value(other) == self.value(choice)) else {
                return false;
            };
            choice.extend(same);
            choice.sort_unstable();
            choice.dedup();
            (2..=MAX_CHOICES).contains(&choice.len())
        });
        facts.choices = choices;
        for (words, others) in [(&mut facts.holding, &other.holding), (&mut facts.failing, &other.failing)] {
            words.truncate(others.len());
            words.iter_mut().zip(others).for_each(|(word, other)| *word &= other);
        }
    }

    /// Follows `target` past tests that are decided or decide nothing.
    fn follow(&self, graph: &Graph, target: Target, facts: &Facts) -> Target {
        let mut target = target;
        while let Target::Node(at) = target {
            let Some(node) = graph.nodes.get(at) else { break };
            let [no, yes] = node.edges;
            target = match self.decide(graph, at, facts) {
                Some(holds) => node.edge(holds),
                None if no == yes && self.drops_idle => no,
                None => break,
            };
        }
        target
    }
}

/// One pass over all edges, in order.
fn thread(graph: &mut Graph, entry: &mut Target, drops_idle: bool) -> bool {
    let tests = Tests::of(&graph.nodes, drops_idle);
    let mut known: Vec<Option<Facts>> = vec![None; graph.nodes.len()];
    let before = *entry;
    *entry = tests.follow(graph, *entry, &Facts::default());
    let mut changed = *entry != before;
    if let Target::Node(at) = *entry
        && let Some(known) = known.get_mut(at)
    {
        *known = Some(Facts::default());
    }
    for at in 0..graph.nodes.len() {
        let Some(facts) = known.get_mut(at).and_then(Option::take) else { continue };
        for holds in [false, true] {
            let Some(was) = graph.nodes.get(at).map(|node| node.edge(holds)) else { continue };
            let mut facts = facts.clone();
            facts.add(tests.number(at), holds);
            let target = tests.follow(graph, was, &facts);
            if target != was {
                changed = true;
                if let Some(node) = graph.nodes.get_mut(at) {
                    *node.edge_mut(holds) = target;
                }
            }
            if let Target::Node(next) = target
                && let Some(known) = known.get_mut(next)
            {
                match known {
                    Some(known) => tests.meet(graph, known, &facts),
                    None => *known = Some(facts),
                }
            }
        }
    }
    changed
}

/// Puts tests of the same value next to each other where their order does not matter.
fn group(nodes: &mut [Node], entry: Target) -> bool {
    let count = edges_in(nodes, entry);
    let arriving = values_arriving(nodes, &count);
    let mut changed = false;
    for on in [false, true] {
        let mut seen = vec![false; nodes.len()];
        for head in 0..nodes.len() {
            if seen.get(head).copied().unwrap_or(true) || count.get(head).is_none_or(|count| *count == 0) {
                continue;
            }
            let row = row(nodes, &count, head, on);
            for at in &row {
                if let Some(seen) = seen.get_mut(*at) {
                    *seen = true;
                }
            }
            let tests: Vec<Test> = row.iter().filter_map(|at| nodes.get(*at)).map(|node| node.test).collect();
            let first = arriving.get(head).copied().flatten();
            let ordered = by_value(&tests, first);
            if ordered != tests {
                changed = true;
                for (at, test) in row.iter().zip(ordered) {
                    if let Some(node) = nodes.get_mut(*at) {
                        node.test = test;
                    }
                }
            }
        }
    }
    changed
}

/// The nodes from `head` on that are reached only one from the other by outcome `on`, and whose other outcome
/// leads to the same place.
fn row(nodes: &[Node], count: &[u32], head: usize, on: bool) -> Vec<usize> {
    let mut row = vec![head];
    let Some(first) = nodes.get(head) else { return row };
    let exit = first.edge(!on);
    let mut next = first.edge(on);
    while let Target::Node(at) = next {
        let Some(node) = nodes.get(at) else { break };
        if node.edge(!on) != exit || count.get(at) != Some(&1) {
            break;
        }
        row.push(at);
        next = node.edge(on);
    }
    row
}

/// The value that every way to a node has looked at last.
fn values_arriving(nodes: &[Node], count: &[u32]) -> Vec<Option<ValueId>> {
    let mut arriving: Vec<Option<Option<ValueId>>> = vec![None; nodes.len()];
    for (at, node) in nodes.iter().enumerate() {
        if count.get(at).is_none_or(|count| *count == 0) {
            continue;
        }
        for target in node.edges {
            if let Target::Node(next) = target
                && let Some(arriving) = arriving.get_mut(next)
            {
                *arriving = Some(match *arriving {
                    Some(known) => known.filter(|value| *value == node.test.left),
                    None => Some(node.test.left),
                });
            }
        }
    }
    arriving.into_iter().map(Option::flatten).collect()
}

/// The tests of `first` in front, then by first appearance of their value.
fn by_value(tests: &[Test], first: Option<ValueId>) -> Vec<Test> {
    let mut ordered: Vec<Test> = Vec::with_capacity(tests.len());
    let values = first.into_iter().chain(tests.iter().map(|test| test.left));
    for value in values {
        if !ordered.iter().any(|test| test.left == value) {
            ordered.extend(tests.iter().filter(|test| test.left == value));
        }
    }
    ordered
}

/// Equal tests that lead to the same places become the last of them.
fn merge(nodes: &mut [Node], entry: &mut Target) -> bool {
    let count = edges_in(nodes, *entry);
    let mut instead: Vec<Target> = (0..nodes.len()).map(Target::Node).collect();
    let resolve = |instead: &[Target], target: Target| match target {
        Target::Node(at) => instead.get(at).copied().unwrap_or(target),
        end => end,
    };
    let mut kept: Vec<usize> = Vec::new();
    let mut changed = false;
    for at in (0..nodes.len()).rev() {
        if count.get(at).is_none_or(|count| *count == 0) {
            continue;
        }
        let Some(node) = nodes.get_mut(at) else { continue };
        node.edges = node.edges.map(|target| resolve(&instead, target));
        let node = *node;
        let same = kept.iter().copied().find(|other| {
            nodes.get(*other).is_some_and(|other| other.test == node.test && other.edges == node.edges)
        });
        match same {
            Some(other) => {
                changed = true;
                if let Some(instead) = instead.get_mut(at) {
                    *instead = Target::Node(other);
                }
            }
            None => kept.push(at),
        }
    }
    *entry = resolve(&instead, *entry);
    changed
}
