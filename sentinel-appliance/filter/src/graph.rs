//! Tests and where they lead. A condition is built in the order in which it is evaluated, so every edge leads to
//! a test with a higher number, and every pass is a loop.

use alloc::vec::Vec;

use crate::value::{LoadSize, Operation, Value, ValueId, Values};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Comparison {
    Equal,
    Greater,
    AtLeast,
    AnyBit,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Test {
    pub(crate) left: ValueId,
    pub(crate) comparison: Comparison,
    pub(crate) right: ValueId,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Target {
    Accept,
    Reject,
    Node(usize),
    /// Not known yet; which other edge will lead to the same place.
    Open(Option<Edge>),
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Node {
    pub(crate) test: Test,
    /// Where to go: first if the test fails, second if it holds.
    pub(crate) edges: [Target; 2],
}

impl Node {
    pub(crate) fn edge(&self, holds: bool) -> Target {
        let [no, yes] = self.edges;
        if holds { yes } else { no }
    }

    pub(crate) fn edge_mut(&mut self, holds: bool) -> &mut Target {
        let [no, yes] = &mut self.edges;
        if holds { yes } else { no }
    }
}

/// An edge by its node and outcome.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Edge(u16);

impl Edge {
    /// The grammar stops at half as many nodes; were there more, the condition would lead astray but not out.
    fn new(node: usize, holds: bool) -> Self {
        Self(u16::try_from(node).unwrap_or(u16::MAX).wrapping_mul(2) | u16::from(holds))
    }

    fn node(self) -> usize {
        usize::from(self.0 / 2)
    }

    fn holds(self) -> bool {
        self.0 & 1 == 1
    }
}

/// Open edges that will lead to the same place, each naming the next. There is always one.
#[derive(Clone, Copy, Debug)]
struct Exits {
    first: Edge,
    last: Edge,
}

/// A condition whose outcomes lead nowhere yet. To be used once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Condition {
    entry: usize,
    yes: Exits,
    no: Exits,
}

impl Condition {
    pub(crate) fn negated(self) -> Self {
        Self { entry: self.entry, yes: self.no, no: self.yes }
    }
}

#[derive(Default)]
pub(crate) struct Graph {
    pub(crate) values: Values,
    pub(crate) nodes: Vec<Node>,
}

impl Graph {
    /// A test and its outcomes.
    pub(crate) fn compare(&mut self, left: ValueId, comparison: Comparison, right: ValueId) -> Condition {
        let (test, as_asked) = self.simplify(Test { left, comparison, right });
        let entry = self.nodes.len();
        self.nodes.push(Node { test, edges: [Target::Open(None); 2] });
        let exits = |holds| {
            let edge = Edge::new(entry, holds);
            Exits { first: edge, last: edge }
        };
        let condition = Condition { entry, yes: exits(true), no: exits(false) };
        if as_asked { condition } else { condition.negated() }
    }

    pub(crate) fn equal(&mut self, value: ValueId, k: u32) -> Condition {
        self.compare_constant(value, Comparison::Equal, k)
    }

    pub(crate) fn compare_constant(&mut self, value: ValueId, comparison: Comparison, k: u32) -> Condition {
        let k = self.values.constant(k);
        self.compare(value, comparison, k)
    }

    /// A condition whose outcome is known.
    pub(crate) fn constant_condition(&mut self, holds: bool) -> Condition {
        let zero = self.values.constant(0);
        self.equal(zero, u32::from(!holds))
    }

    /// `second` must have been built after `first`.
    pub(crate) fn and(&mut self, first: Condition, second: Condition) -> Condition {
        self.lead(first.yes, Target::Node(second.entry));
        if let Some(target) = self.target_mut(first.no.last) {
            *target = Target::Open(Some(second.no.first));
        }
        let no = Exits { first: first.no.first, last: second.no.last };
        Condition { entry: first.entry, yes: second.yes, no }
    }

    /// `second` must have been built after `first`.
    pub(crate) fn or(&mut self, first: Condition, second: Condition) -> Condition {
        self.and(first.negated(), second.negated()).negated()
    }

    /// `second`, if there is a `first` only together with that.
    pub(crate) fn and_optional(&mut self, first: Option<Condition>, second: Condition) -> Condition {
        match first {
            Some(first) => self.and(first, second),
            None => second,
        }
    }

    /// `second`, or `first` if there is one.
    pub(crate) fn or_optional(&mut self, first: Option<Condition>, second: Condition) -> Condition {
        self.and_optional(first.map(Condition::negated), second.negated()).negated()
    }

    /// Lets the condition decide about the packet.
    pub(crate) fn finish(&mut self, condition: Condition) -> Target {
        self.lead(condition.yes, Target::Accept);
        self.lead(condition.no, Target::Reject);
        Target::Node(condition.entry)
    }

    fn target_mut(&mut self, edge: Edge) -> Option<&mut Target> {
        Some(self.nodes.get_mut(edge.node())?.edge_mut(edge.holds()))
    }

    /// Leads all of `exits` to `place`.
    fn lead(&mut self, exits: Exits, place: Target) {
        let mut next = Some(exits.first);
        while let Some(edge) = next {
            let Some(target) = self.target_mut(edge) else { return };
            next = match *target {
                Target::Open(next) => next,
                _ => None,
            };
            *target = place;
        }
    }

    /// An equivalent test that costs less, and whether it holds when the first does (and not when it does not).
    fn simplify(&mut self, test: Test) -> (Test, bool) {
        let Test { mut left, mut comparison, mut right } = test;
        let mut as_asked = true;
        if self.values.constant_of(left).is_some() && self.values.constant_of(right).is_none() {
            (left, right) = (right, left);
            match comparison {
                Comparison::Greater => (comparison, as_asked) = (Comparison::AtLeast, false),
                Comparison::AtLeast => (comparison, as_asked) = (Comparison::Greater, false),
                Comparison::Equal | Comparison::AnyBit => {}
            }
        }
        while let (Comparison::Equal, Some(k), Value::Binary(operation, inner, operand)) =
            (comparison, self.values.constant_of(right), self.values.definition(left))
        {
            let Some(operand) = self.values.constant_of(operand) else { break };
            let wanted = match operation {
                Operation::Add => k.wrapping_sub(operand),
                Operation::Subtract => k.wrapping_add(operand),
                Operation::Xor => k ^ operand,
                Operation::And if k == 0 || k == operand && operand.is_power_of_two() => {
                    comparison = Comparison::AnyBit;
                    as_asked ^= k == 0;
                    left = inner;
                    right = self.values.constant(operand);
                    break;
                }
                _ => break,
            };
            left = inner;
            right = self.values.constant(wanted);
        }
        (Test { left, comparison, right }, as_asked)
    }

    /// The outcome of a test of constants. Others that can have only one, such as `ip[8] >= 0`, are made all the
    /// same: the byte must be there.
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

impl LoadSize {
    /// How many bytes.
    pub(crate) fn from_bytes(bytes: u32) -> Option<Self> {
        match bytes {
            1 => Some(Self::Byte),
            2 => Some(Self::Half),
            4 => Some(Self::Word),
            _ => None,
        }
    }
}
