//! Bounds-checked reading of bytes: a cursor, a slice that knows its length on the wire, and the reasons for failure.

mod captured_slice;
mod cursor;
mod malformed;

pub(crate) use captured_slice::CapturedSlice;
pub(crate) use cursor::Cursor;
pub use malformed::{Layer, Malformed};
