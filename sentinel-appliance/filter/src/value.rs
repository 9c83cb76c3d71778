//! Values that tests compare, by value numbering: equal computations have one number.
//!
//! Read first: Muchnick, "Advanced Compiler Design and Implementation", sections 12.1 (constant folding),
//! 12.3 (algebraic simplification) and 12.4 (value numbering).
//!
//! A packet does not change while a program looks at it, so a value has one result wherever it is computed.
//! That is what lets the optimiser compare tests by number, and the code generator keep values in registers.

use alloc::vec::Vec;

use crate::code;

/// Value number: index into [`Values`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct ValueId(usize);

/// The computation that defines a value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Value {
    Constant(u32),
    /// Length of the frame on the wire.
    Length,
    /// Big-endian bytes at offset `at`, plus the value `index` if there is one. Past the end of the frame the
    /// program ends without a match.
    Load {
        size: LoadSize,
        at: u32,
        index: Option<ValueId>,
    },
    /// Four times the low nibble of the byte at this offset: the length of an IPv4 header (`ldxb`).
    HeaderLength(u32),
    Binary(Operation, ValueId, ValueId),
    Negated(ValueId),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum LoadSize {
    Byte,
    Half,
    Word,
}

impl LoadSize {
    /// The size in an instruction code (`BPF_SIZE`).
    pub(crate) fn from_code(code: u16) -> Option<Self> {
        match code & 0x18 {
            0x00 => Some(Self::Word),
            0x08 => Some(Self::Half),
            0x10 => Some(Self::Byte),
            _ => None,
        }
    }

    /// The size of this many bytes, if there is a load of it.
    pub(crate) fn from_bytes(bytes: u32) -> Option<Self> {
        match bytes {
            1 => Some(Self::Byte),
            2 => Some(Self::Half),
            4 => Some(Self::Word),
            _ => None,
        }
    }
}

/// Binary operation of the machine, on unsigned 32-bit numbers with wrap-around.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Operation {
    Add,
    Subtract,
    Multiply,
    Divide,
    Or,
    And,
    ShiftLeft,
    ShiftRight,
    Remainder,
    Xor,
}

impl Operation {
    pub(crate) fn with_constant(self) -> u16 {
        match self {
            Self::Add => code::ADD_K,
            Self::Subtract => code::SUB_K,
            Self::Multiply => code::MUL_K,
            Self::Divide => code::DIV_K,
            Self::Or => code::OR_K,
            Self::And => code::AND_K,
            Self::ShiftLeft => code::LSH_K,
            Self::ShiftRight => code::RSH_K,
            Self::Remainder => code::MOD_K,
            Self::Xor => code::XOR_K,
        }
    }

    pub(crate) fn with_register(self) -> u16 {
        self.with_constant() | code::FROM_X
    }

    pub(crate) fn is_commutative(self) -> bool {
        matches!(self, Self::Add | Self::Multiply | Self::Or | Self::And | Self::Xor)
    }

    /// Constant folding; `None` where the machine ends the program or kernel and libpcap differ.
    fn evaluate(self, left: u32, right: u32) -> Option<u32> {
        Some(match self {
            Self::Add => left.wrapping_add(right),
            Self::Subtract => left.wrapping_sub(right),
            Self::Multiply => left.wrapping_mul(right),
            Self::Divide => left.checked_div(right)?,
            Self::Or => left | right,
            Self::And => left & right,
            Self::ShiftLeft => left.checked_shl(right)?,
            Self::ShiftRight => left.checked_shr(right)?,
            Self::Remainder => left.checked_rem(right)?,
            Self::Xor => left ^ right,
        })
    }
}

/// A constant right operand with which the operation always fails.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ArithmeticError {
    DivisionByZero,
    ShiftTooFar,
}

/// Offset into the frame: a constant, plus a value where headers of variable length come before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Offset {
    pub(crate) fixed: u32,
    pub(crate) variable: Option<ValueId>,
}

impl Offset {
    pub(crate) const fn fixed(fixed: u32) -> Self {
        Self { fixed, variable: None }
    }

    pub(crate) fn plus(self, bytes: u32) -> Self {
        Self { fixed: self.fixed.wrapping_add(bytes), ..self }
    }
}

/// All values of one program, in the order in which they were first computed.
#[derive(Default)]
pub(crate) struct Values(Vec<Value>);

impl Values {
    pub(crate) fn definition(&self, id: ValueId) -> Value {
        self.0.get(id.0).copied().unwrap_or(Value::Constant(0))
    }

    pub(crate) fn constant_of(&self, id: ValueId) -> Option<u32> {
        match self.definition(id) {
            Value::Constant(k) => Some(k),
            _ => None,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The number of `value`, a new one if no equal computation has one. Linear search: the parser bounds the
    /// table.
    fn intern(&mut self, value: Value) -> ValueId {
        let known = self.0.iter().position(|other| *other == value);
        ValueId(known.unwrap_or_else(|| {
            self.0.push(value);
            self.0.len() - 1
        }))
    }

    pub(crate) fn constant(&mut self, k: u32) -> ValueId {
        self.intern(Value::Constant(k))
    }

    pub(crate) fn length(&mut self) -> ValueId {
        self.intern(Value::Length)
    }

    /// The bytes at `offset`. Constant parts of the index move into the instruction, which has room for one.
    pub(crate) fn load(&mut self, offset: Offset, size: LoadSize) -> ValueId {
        let Offset { mut fixed, variable: mut index } = offset;
        while let Some(id) = index {
            match self.definition(id) {
                Value::Constant(k) => {
                    fixed = fixed.wrapping_add(k);
                    index = None;
                }
                Value::Binary(Operation::Add, base, more) => {
                    let Some(k) = self.constant_of(more) else { break };
                    fixed = fixed.wrapping_add(k);
                    index = Some(base);
                }
                _ => break,
            }
        }
        if index.is_none() && fixed > code::LAST_OFFSET && fixed < code::ANCILLARY {
            // The kernel refuses a program with such an absolute offset. Through X it accepts it, and the
            // load fails.
            index = Some(self.constant(fixed));
            fixed = 0;
        }
        self.intern(Value::Load { size, at: fixed, index })
    }

    /// Length of the IPv4 header at `offset`: one instruction at a constant offset, four elsewhere.
    pub(crate) fn header_length(&mut self, offset: Offset) -> ValueId {
        if offset.variable.is_none() {
            return self.intern(Value::HeaderLength(offset.fixed));
        }
        let first = self.load(offset, LoadSize::Byte);
        let (mask, two) = (self.constant(0x0f), self.constant(2));
        let words = self.intern(Value::Binary(Operation::And, first, mask));
        self.intern(Value::Binary(Operation::ShiftLeft, words, two))
    }

    pub(crate) fn negated(&mut self, value: ValueId) -> ValueId {
        match self.definition(value) {
            Value::Constant(k) => self.constant(k.wrapping_neg()),
            _ => self.intern(Value::Negated(value)),
        }
    }

    /// The sum; an addition cannot fail.
    pub(crate) fn sum(&mut self, left: ValueId, right: ValueId) -> ValueId {
        self.binary(Operation::Add, left, right).unwrap_or(left)
    }

    pub(crate) fn masked(&mut self, value: ValueId, mask: u32) -> ValueId {
        let mask = self.constant(mask);
        self.binary(Operation::And, value, mask).unwrap_or(value)
    }

    /// The result of `operation`, folded and simplified where an operand is constant.
    ///
    /// # Errors
    /// [`ArithmeticError`] if the constant right operand can never work.
    pub(crate) fn binary(
        &mut self,
        operation: Operation,
        left: ValueId,
        right: ValueId,
    ) -> Result<ValueId, ArithmeticError> {
        use Operation::{Add, And, Divide, Multiply, Or, Remainder, ShiftLeft, ShiftRight, Subtract, Xor};
        let (mut left, mut right) = (left, right);
        if operation.is_commutative() && self.constant_of(left).is_some() {
            (left, right) = (right, left);
        }
        let Some(k) = self.constant_of(right) else {
            if self.constant_of(left) == Some(0) && operation != Subtract {
                return Ok(left); // zero divided or shifted; commutative operations have the constant on the right
            }
            return Ok(self.intern(Value::Binary(operation, left, right)));
        };
        match (operation, k) {
            (Divide | Remainder, 0) => Err(ArithmeticError::DivisionByZero),
            (ShiftLeft | ShiftRight, 32..) => Err(ArithmeticError::ShiftTooFar),
            (Add | Subtract | Or | Xor | ShiftLeft | ShiftRight, 0) | (Multiply | Divide, 1) => Ok(left),
            (Multiply | And, 0) => Ok(right),
            (And, u32::MAX) => Ok(left),
            _ => Ok(self.with_constant(operation, left, right, k)),
        }
    }

    /// The result of an operation with the constant `k` on the right that is not the identity.
    fn with_constant(&mut self, operation: Operation, left: ValueId, right: ValueId, k: u32) -> ValueId {
        use Operation::And;
        match (operation, self.definition(left)) {
            (_, Value::Constant(first)) => {
                if let Some(result) = operation.evaluate(first, k) {
                    return self.constant(result);
                }
            }
            // (value & mask) & k is value & (mask & k)
            (And, Value::Binary(And, inner, mask)) => {
                if let Some(mask) = self.constant_of(mask).filter(|mask| mask & k != 0) {
                    return self.masked(inner, mask & k);
                }
            }
            // A mask that keeps all bits of a load.
            (And, Value::Load { size: LoadSize::Byte, .. }) if k & 0xff == 0xff => return left,
            (And, Value::Load { size: LoadSize::Half, .. }) if k & 0xffff == 0xffff => return left,
            _ => {}
        }
        self.intern(Value::Binary(operation, left, right))
    }
}
