//! The database format of apk-tools 3: values in one byte string, and blocks of a file that hold it, signatures and data.
//!
//! Read first: apk-tools, `doc/apk-v3.5.scd` and `src/adb.h`. All numbers are little-endian. A value is 32 bits: a type in the upper
//! four, a small number or the offset of the content in the others. An object is the number of its members and one, then a
//! value for each; trailing empty members are left out.

mod blocks;
mod read;
mod write;

pub use blocks::{Block, Schema, read_blocks, write_blocks};
pub use read::Reader;
pub use write::Writer;

/// Content of an empty member, or the types in the upper four bits.
const TYPE_MASK: u32 = 0xf000_0000;
const SMALL_INTEGER: u32 = 0x1000_0000;
const INTEGER_32: u32 = 0x2000_0000;
const INTEGER_64: u32 = 0x3000_0000;
const BLOB_8: u32 = 0x8000_0000;
const BLOB_16: u32 = 0x9000_0000;
const BLOB_32: u32 = 0xa000_0000;
const ARRAY: u32 = 0xd000_0000;
const OBJECT: u32 = 0xe000_0000;

/// Header of the byte string: versions, two bytes of padding, root value.
const HEADER_LENGTH: usize = 8;

/// One value.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Value(u32);

impl Value {
    /// No value.
    pub const NONE: Self = Self(0);

    fn kind(self) -> u32 {
        self.0 & TYPE_MASK
    }

    fn number(self) -> u32 {
        self.0 & !TYPE_MASK
    }

    /// True for a member that is left out.
    #[must_use]
    pub fn is_none(self) -> bool {
        self == Self::NONE
    }
}
