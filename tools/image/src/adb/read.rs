//! Reader of the database. Everything in it is somebody else's until a signature is checked: every offset and count is.

use anyhow::{Context as _, Result, bail, ensure};

use super::{
    ARRAY, BLOB_8, BLOB_16, BLOB_32, HEADER_LENGTH, INTEGER_32, INTEGER_64, OBJECT, SMALL_INTEGER, Value,
};

/// Most members of one object or array.
const MAX_MEMBERS: usize = 65_536;

/// Database over its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'b> {
    bytes: &'b [u8],
}

impl<'b> Reader<'b> {
    /// Checks the header.
    ///
    /// # Errors
    /// If it is cut or of a version that is not known.
    pub fn new(bytes: &'b [u8]) -> Result<Self> {
        let header = bytes.get(..HEADER_LENGTH).context("a database that is cut")?;
        ensure!(header.starts_with(&[0; 4]), "a database of an unknown version");
        Ok(Self { bytes })
    }

    /// Members of the root object.
    ///
    /// # Errors
    /// If it is no object.
    pub fn root(&self) -> Result<Vec<Value>> {
        self.object(Value(self.word(4)?))
    }

    /// Members of an object or array, the first of which is number 1; of no value, none.
    ///
    /// # Errors
    /// If the value is something else or points outside.
    pub fn object(&self, value: Value) -> Result<Vec<Value>> {
        if value.is_none() {
            return Ok(Vec::new());
        }
        ensure!(
            matches!(value.kind(), ARRAY | OBJECT),
            "want an object, found type {:#x}",
            value.kind() >> 28
        );
        let offset = usize::try_from(value.number())?;
        let count = usize::try_from(self.word(offset)?)?;
        ensure!((1..=MAX_MEMBERS).contains(&count), "an object with {count} members");
        let from = offset.saturating_add(4);
        let length = count.saturating_sub(1).saturating_mul(4);
        let members = self.bytes.get(from..from.saturating_add(length)).context("an object that is cut")?;
        Ok(members.as_chunks().0.iter().map(|word| Value(u32::from_le_bytes(*word))).collect())
    }

    /// Bytes of a byte string; of no value, none.
    ///
    /// # Errors
    /// If the value is something else or points outside.
    pub fn blob(&self, value: Value) -> Result<&'b [u8]> {
        let offset = usize::try_from(value.number())?;
        let width = match value.kind() {
            0 if value.is_none() => return Ok(&[]),
            BLOB_8 => 1,
            BLOB_16 => 2,
            BLOB_32 => 4,
            other => bail!("want a byte string, found type {:#x}", other >> 28),
        };
        let digits = self.bytes.get(offset..offset.saturating_add(width)).context("a length that is cut")?;
        let length = digits.iter().rev().fold(0_usize, |length, byte| (length << 8) | usize::from(*byte));
        let from = offset.saturating_add(width);
        self.bytes.get(from..from.saturating_add(length)).context("a byte string that is cut")
    }

    /// Text of a byte string.
    ///
    /// # Errors
    /// As [`Reader::blob`], and if it is no UTF-8.
    pub fn text(&self, value: Value) -> Result<String> {
        Ok(std::str::from_utf8(self.blob(value)?).context("a name that is no text")?.to_owned())
    }

    /// A number; of no value, 0.
    ///
    /// # Errors
    /// If the value is something else or points outside.
    pub fn integer(&self, value: Value) -> Result<u64> {
        let offset = usize::try_from(value.number())?;
        match value.kind() {
            0 if value.is_none() => Ok(0),
            SMALL_INTEGER => Ok(u64::from(value.number())),
            INTEGER_32 => Ok(u64::from(self.word(offset)?)),
            INTEGER_64 => {
                let high = u64::from(self.word(offset.saturating_add(4))?);
                Ok((high << 32) | u64::from(self.word(offset)?))
            }
            other => bail!("want a number, found type {:#x}", other >> 28),
        }
    }

    fn word(&self, offset: usize) -> Result<u32> {
        let word = self.bytes.get(offset..offset.saturating_add(4)).context("a value that points outside")?;
        Ok(u32::from_le_bytes(word.try_into()?))
    }
}
