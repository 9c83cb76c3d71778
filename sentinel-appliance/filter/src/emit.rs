//! Instructions for a graph of tests: what each test needs is loaded, unless the registers hold it already on
//! every way there.

use alloc::vec;
use alloc::vec::Vec;

use crate::code;
use crate::graph::{Comparison, Graph, Target, Test};
use crate::instruction::Instruction;
use crate::optimise::edges_in;
use crate::validate::MAX_INSTRUCTIONS;
use crate::value::{LoadSize, Operation, Value, ValueId, Values};

/// The program would be too long, or hold more numbers at a time than there are scratch slots.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct TooLong;

/// The program that returns `keep` where the graph accepts, and zero elsewhere.
pub(crate) fn emit(graph: &Graph, entry: Target, keep: u32) -> Result<Vec<Instruction>, TooLong> {
    let count = edges_in(&graph.nodes, entry);
    let mut arriving: Vec<Option<Registers>> = vec![None; graph.nodes.len()];
    if let Target::Node(at) = entry
        && let Some(arriving) = arriving.get_mut(at)
    {
        *arriving = Some(Registers::default());
    }
    let mut blocks: Vec<Block> = Vec::new();
    let mut length = 0;
    for (at, node) in graph.nodes.iter().enumerate() {
        if count.get(at).is_none_or(|count| *count == 0) {
            continue;
        }
        let registers = arriving.get(at).copied().flatten().unwrap_or_default();
        let mut loader = Loader { values: &graph.values, registers, slots: 0, out: Vec::new() };
        let branch = loader.branch(&node.test)?;
        for target in node.edges {
            if let Target::Node(next) = target
                && let Some(arriving) = arriving.get_mut(next)
            {
                *arriving = Some(arriving.map_or(loader.registers, |known| known.meet(loader.registers)));
            }
        }
        length += loader.out.len() + 1;
        if length > MAX_INSTRUCTIONS {
            return Err(TooLong);
        }
        blocks.push(Block { at, loads: loader.out, branch, edges: node.edges, far: [false; 2] });
    }
    let mut entry = entry;
    merge(&mut blocks, &mut entry, graph.nodes.len());
    lay_out(blocks, graph.nodes.len(), entry, keep)
}

/// Blocks that do the same and lead to the same places become the last of them, though they may stand for tests
/// of different values: then each finds its value in a register.
fn merge(blocks: &mut Vec<Block>, entry: &mut Target, nodes: usize) {
    let mut instead: Vec<Target> = (0..nodes).map(Target::Node).collect();
    let resolve = |instead: &[Target], target: Target| match target {
        Target::Node(at) => instead.get(at).copied().unwrap_or(target),
        end => end,
    };
    let mut kept: Vec<Block> = Vec::with_capacity(blocks.len());
    for mut block in blocks.drain(..).rev() {
        block.edges = block.edges.map(|target| resolve(&instead, target));
        let same = kept.iter().find(|other| {
            other.branch == block.branch && other.edges == block.edges && other.loads == block.loads
        });
        match (same, instead.get_mut(block.at)) {
            (Some(same), Some(instead)) => *instead = Target::Node(same.at),
            _ => kept.push(block),
        }
    }
    kept.reverse();
    *blocks = kept;
    *entry = resolve(&instead, *entry);
}

/// One test: its loads, its branch, and after it a jump for each edge that a branch cannot reach.
struct Block {
    at: usize,
    loads: Vec<Instruction>,
    branch: (u16, u32),
    edges: [Target; 2],
    far: [bool; 2],
}

impl Block {
    fn len(&self) -> usize {
        self.loads.len() + 1 + self.far.iter().filter(|far| **far).count()
    }
}

fn lay_out(
    mut blocks: Vec<Block>,
    nodes: usize,
    entry: Target,
    keep: u32,
) -> Result<Vec<Instruction>, TooLong> {
    let is_used =
        |blocks: &[Block], end: Target| entry == end || blocks.iter().any(|block| block.edges.contains(&end));
    let accepts = is_used(&blocks, Target::Accept);
    let rejects = is_used(&blocks, Target::Reject);
    let mut starts = vec![0_usize; nodes];
    loop {
        let mut length = 0;
        for block in &blocks {
            if let Some(start) = starts.get_mut(block.at) {
                *start = length;
            }
            length += block.len();
        }
        let place = |target: Target| match target {
            Target::Accept => length,
            Target::Reject | Target::Open(_) => length + usize::from(accepts),
            Target::Node(at) => starts.get(at).copied().unwrap_or(0),
        };
        let mut out = Vec::with_capacity(length + 2);
        let mut is_stable = true;
        for block in &mut blocks {
            out.extend_from_slice(&block.loads);
            let branch_at = out.len();
            let skips = block.edges.map(|target| place(target).saturating_sub(branch_at + 1));
            for (far, skip) in block.far.iter_mut().zip(skips) {
                if !*far && skip > usize::from(u8::MAX) {
                    *far = true;
                    is_stable = false;
                }
            }
            let [no_far, yes_far] = block.far;
            let [no, yes] = skips.map(|skip| u8::try_from(skip).unwrap_or(u8::MAX));
            let jt = if yes_far { u8::from(no_far) } else { yes };
            let jf = if no_far { 0 } else { no };
            let (code, k) = block.branch;
            out.push(Instruction::branch(code, k, jt, jf));
            for (far, target) in block.far.iter().zip(block.edges) {
                if *far {
                    let skip = place(target).saturating_sub(out.len() + 1);
                    out.push(Instruction::plain(code::JA, u32::try_from(skip).unwrap_or(u32::MAX)));
                }
            }
        }
        if !is_stable {
            continue;
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

/// What the registers hold, if that is known.
#[derive(Clone, Copy, Default)]
struct Registers {
    a: Option<ValueId>,
    x: Option<ValueId>,
}

impl Registers {
    fn meet(self, other: Self) -> Self {
        Self { a: self.a.filter(|a| other.a == Some(*a)), x: self.x.filter(|x| other.x == Some(*x)) }
    }
}

struct Loader<'g> {
    values: &'g Values,
    registers: Registers,
    /// Scratch slots in use.
    slots: u32,
    out: Vec<Instruction>,
}

impl Loader<'_> {
    fn push(&mut self, code: u16, k: u32) {
        self.out.push(Instruction::plain(code, k));
    }

    /// Loads what `test` needs and returns its branch.
    fn branch(&mut self, test: &Test) -> Result<(u16, u32), TooLong> {
        let code = match test.comparison {
            Comparison::Equal => code::JEQ_K,
            Comparison::Greater => code::JGT_K,
            Comparison::AtLeast => code::JGE_K,
            Comparison::AnyBit => code::JSET_K,
        };
        if let Some(k) = self.values.constant_of(test.right) {
            self.load_a(test.left)?;
            return Ok((code, k));
        }
        let is_commutative = matches!(test.comparison, Comparison::Equal | Comparison::AnyBit);
        self.load_both(test.left, test.right, is_commutative)?;
        Ok((code | code::FROM_X, 0))
    }

    fn load_a(&mut self, id: ValueId) -> Result<(), TooLong> {
        if self.registers.a == Some(id) {
            return Ok(());
        }
        if self.registers.x == Some(id) {
            self.push(code::TXA, 0);
            self.registers.a = Some(id);
            return Ok(());
        }
        match self.values.definition(id) {
            Value::Constant(k) => self.push(code::LD_IMM, k),
            Value::Length => self.push(code::LD_W_LEN, 0),
            Value::Load { size, at, index: None } => {
                let code = match size {
                    LoadSize::Byte => code::LD_B_ABS,
                    LoadSize::Half => code::LD_H_ABS,
                    LoadSize::Word => code::LD_W_ABS,
                };
                self.push(code, at);
            }
            Value::Load { size, at, index: Some(index) } => {
                self.load_x(index)?;
                let code = match size {
                    LoadSize::Byte => code::LD_B_IND,
                    LoadSize::Half => code::LD_H_IND,
                    LoadSize::Word => code::LD_W_IND,
                };
                self.push(code, at);
            }
            Value::HeaderLength(_) => {
                self.load_x(id)?;
                self.push(code::TXA, 0);
            }
            Value::Negated(inner) => {
                self.load_a(inner)?;
                self.push(code::NEG, 0);
            }
            Value::Binary(operation, left, right) => match self.values.constant_of(right) {
                Some(k) => {
                    self.load_a(left)?;
                    self.push(operation.with_constant(), k);
                }
                None => {
                    self.load_both(left, right, operation.is_commutative())?;
                    self.push(operation.with_register(), 0);
                }
            },
        }
        self.registers.a = Some(id);
        Ok(())
    }

    fn load_x(&mut self, id: ValueId) -> Result<(), TooLong> {
        if self.registers.x == Some(id) {
            return Ok(());
        }
        match self.values.definition(id) {
            Value::HeaderLength(at) => self.push(code::LDX_B_MSH, at),
            Value::Constant(k) => self.push(code::LDX_IMM, k),
            Value::Length => self.push(code::LDX_W_LEN, 0),
            _ => {
                self.load_a(id)?;
                self.push(code::TAX, 0);
            }
        }
        self.registers.x = Some(id);
        Ok(())
    }

    /// `left` in A and `right` in X, or the other way round if that is as good.
    fn load_both(&mut self, left: ValueId, right: ValueId, is_commutative: bool) -> Result<(), TooLong> {
        let swapped = is_commutative.then_some((right, left));
        let ways = || [Some((left, right)), swapped].into_iter().flatten();
        let registers = self.registers;
        // Best is what is in X already, then what is in A, then whatever spoils nothing.
        let way = ways()
            .find(|(a, x)| registers.x == Some(*x) && self.spares_x(*a, *x))
            .or_else(|| ways().find(|(a, x)| registers.a == Some(*x) && self.spares_x(*a, *x)))
            .or_else(|| ways().find(|(a, x)| self.spares_x(*a, *x)));
        if let Some((a, x)) = way {
            self.load_x(x)?;
            return self.load_a(a);
        }
        let slot = self.slots;
        if slot >= code::SCRATCH_SLOTS {
            return Err(TooLong);
        }
        self.load_a(right)?;
        self.push(code::ST, slot);
        self.slots += 1;
        self.load_a(left)?;
        self.slots = slot;
        self.push(code::LDX_MEM, slot);
        self.registers.x = Some(right);
        Ok(())
    }

    /// Whether `id` can be loaded into A while X holds `x` and keeps it.
    fn spares_x(&self, id: ValueId, x: ValueId) -> bool {
        id == x
            || match self.values.definition(id) {
                Value::Constant(_) | Value::Length | Value::Load { index: None, .. } => true,
                Value::Load { index: Some(index), .. } => index == x,
                Value::HeaderLength(_) => false,
                Value::Negated(inner) => self.spares_x(inner, x),
                Value::Binary(operation, left, right) => self.pair_spares_x(operation, left, right, x),
            }
    }

    fn pair_spares_x(&self, operation: Operation, left: ValueId, right: ValueId, x: ValueId) -> bool {
        if self.values.constant_of(right).is_some() {
            return self.spares_x(left, x);
        }
        right == x && self.spares_x(left, x)
            || operation.is_commutative() && left == x && self.spares_x(right, x)
    }
}
