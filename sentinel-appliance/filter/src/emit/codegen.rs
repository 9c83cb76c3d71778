//! Code generation for one test: loads into the two registers A and X.
//!
//! Read first: "The BSD Packet Filter" (1993), section 3.3 (the machine).
//!
//! The machine computes in A only and compares A with a constant or with X. A value is loaded on demand, and
//! not at all if a register already holds it. Scratch memory is used only where both operands need A and X at
//! the same time.

use alloc::vec::Vec;

use super::TooLong;
use crate::code;
use crate::graph::{Comparison, Test};
use crate::instruction::Instruction;
use crate::value::{LoadSize, Operation, Value, ValueId, Values};

/// Values that the registers are known to hold.
#[derive(Clone, Copy, Default)]
pub(super) struct Registers {
    a: Option<ValueId>,
    x: Option<ValueId>,
}

impl Registers {
    /// Meet operator of the data-flow analysis: what the registers hold on both paths.
    pub(super) fn meet(self, other: Self) -> Self {
        Self { a: self.a.filter(|a| other.a == Some(*a)), x: self.x.filter(|x| other.x == Some(*x)) }
    }
}

/// Generates the instructions of one basic block and tracks the registers. Its recursion follows the
/// expression tree of a value, whose depth the parser limits.
pub(super) struct CodeGenerator<'g> {
    values: &'g Values,
    registers: Registers,
    /// Scratch slots in use; they are a stack, because operands nest.
    slots_in_use: u32,
    out: Vec<Instruction>,
}

impl<'g> CodeGenerator<'g> {
    pub(super) fn new(values: &'g Values, registers: Registers) -> Self {
        Self { values, registers, slots_in_use: 0, out: Vec::new() }
    }

    /// The loads, and what the registers hold after them.
    pub(super) fn into_parts(self) -> (Vec<Instruction>, Registers) {
        (self.out, self.registers)
    }

    fn push(&mut self, code: u16, k: u32) {
        self.out.push(Instruction::plain(code, k));
    }

    /// Loads the operands of `test` and returns code and constant of its branch.
    pub(super) fn branch(&mut self, test: &Test) -> Result<(u16, u32), TooLong> {
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

    /// Loads a value into A. X may be lost.
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
            Value::Load { size, at, index } => self.load_packet_data(size, at, index)?,
            Value::HeaderLength(_) => {
                self.load_x(id)?;
                self.push(code::TXA, 0);
            }
            Value::Negated(inner) => {
                self.load_a(inner)?;
                self.push(code::NEG, 0);
            }
            Value::Binary(operation, left, right) => self.load_result(operation, left, right)?,
        }
        self.registers.a = Some(id);
        Ok(())
    }

    /// Loads bytes of the frame into A: absolute, or relative to X.
    fn load_packet_data(&mut self, size: LoadSize, at: u32, index: Option<ValueId>) -> Result<(), TooLong> {
        let code = match (size, index) {
            (LoadSize::Byte, None) => code::LD_B_ABS,
            (LoadSize::Half, None) => code::LD_H_ABS,
            (LoadSize::Word, None) => code::LD_W_ABS,
            (LoadSize::Byte, Some(_)) => code::LD_B_IND,
            (LoadSize::Half, Some(_)) => code::LD_H_IND,
            (LoadSize::Word, Some(_)) => code::LD_W_IND,
        };
        if let Some(index) = index {
            // Computes the index in A where X cannot be loaded directly; A is overwritten by the load anyway.
            self.load_x(index)?;
        }
        self.push(code, at);
        Ok(())
    }

    /// Computes a binary operation in A, with a constant or X as right operand.
    fn load_result(&mut self, operation: Operation, left: ValueId, right: ValueId) -> Result<(), TooLong> {
        if let Some(k) = self.values.constant_of(right) {
            self.load_a(left)?;
            self.push(operation.with_constant(), k);
        } else {
            self.load_both(left, right, operation.is_commutative())?;
            self.push(operation.with_register(), 0);
        }
        Ok(())
    }

    /// Loads a value into X. A is lost unless X can be loaded directly.
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

    /// Loads `left` into A and `right` into X, or the other way round if the operation allows it.
    ///
    /// X is loaded first, so loading A must preserve it: this is known from the shape of the value, without
    /// trial. If no order does, the value for X waits in a scratch slot.
    fn load_both(&mut self, left: ValueId, right: ValueId, is_commutative: bool) -> Result<(), TooLong> {
        let swapped = is_commutative.then_some((right, left));
        let orders = || [Some((left, right)), swapped].into_iter().flatten();
        let registers = self.registers;
        // In order of cost: the value for X is there already, is in A (one `tax`), or must be loaded.
        let order = orders()
            .find(|(a, x)| registers.x == Some(*x) && self.preserves_x(*a, *x))
            .or_else(|| orders().find(|(a, x)| registers.a == Some(*x) && self.preserves_x(*a, *x)))
            .or_else(|| orders().find(|(a, x)| self.preserves_x(*a, *x)));
        if let Some((a, x)) = order {
            self.load_x(x)?;
            return self.load_a(a);
        }
        let slot = self.slots_in_use;
        if slot >= code::SCRATCH_SLOTS {
            return Err(TooLong);
        }
        // Loading either operand destroys X, so the right one is computed first and saved. While the left one
        // is loaded its slot stays in use: a nested operation takes the next.
        self.load_a(right)?;
        self.push(code::ST, slot);
        self.slots_in_use += 1;
        self.load_a(left)?;
        self.slots_in_use = slot;
        self.push(code::LDX_MEM, slot);
        self.registers.x = Some(right);
        Ok(())
    }

    /// Returns true if `id` can be loaded into A while X holds `x` without changing X.
    fn preserves_x(&self, id: ValueId, x: ValueId) -> bool {
        id == x
            || match self.values.definition(id) {
                Value::Constant(_) | Value::Length | Value::Load { index: None, .. } => true,
                Value::Load { index: Some(index), .. } => index == x,
                Value::HeaderLength(_) => false,
                Value::Negated(inner) => self.preserves_x(inner, x),
                Value::Binary(operation, left, right) => self.binary_preserves_x(operation, left, right, x),
            }
    }

    /// Returns true if a binary operation can be computed in A while X holds `x`: its right operand is a
    /// constant or `x` itself, and its left operand preserves X too.
    fn binary_preserves_x(&self, operation: Operation, left: ValueId, right: ValueId, x: ValueId) -> bool {
        if self.values.constant_of(right).is_some() {
            return self.preserves_x(left, x);
        }
        right == x && self.preserves_x(left, x)
            || operation.is_commutative() && left == x && self.preserves_x(right, x)
    }
}
