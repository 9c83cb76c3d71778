//! One instruction of the classic BPF machine.
//!
//! Read first: "The BSD Packet Filter" (1993); `linux/filter.h`.

/// One instruction, field for field the kernel's `struct sock_filter`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Instruction {
    /// Operation; see [`code`](crate::code).
    pub code: u16,
    /// Instructions to skip if the comparison of a branch is true.
    pub jt: u8,
    /// Instructions to skip if it is false.
    pub jf: u8,
    /// The constant: an operand, an offset, a scratch slot or a jump distance.
    pub k: u32,
}

impl Instruction {
    /// An instruction that does not branch.
    #[must_use]
    pub const fn plain(code: u16, k: u32) -> Self {
        Self { code, jt: 0, jf: 0, k }
    }

    /// A conditional jump.
    #[must_use]
    pub const fn branch(code: u16, k: u32, jt: u8, jf: u8) -> Self {
        Self { code, jt, jf, k }
    }
}
