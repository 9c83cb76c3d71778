//! Writer of the database: equal contents stand once, as apk-tools writes them.

use std::collections::HashMap;

use anyhow::{Result, ensure};

use super::{
    ARRAY, BLOB_8, BLOB_16, BLOB_32, HEADER_LENGTH, INTEGER_32, INTEGER_64, OBJECT, Reader, SMALL_INTEGER,
    Value,
};

/// Database that is being written.
#[derive(Debug)]
pub struct Writer {
    bytes: Vec<u8>,
    /// Offset of each content that may stand for an equal one.
    offsets: HashMap<Vec<u8>, usize>,
}

impl Default for Writer {
    fn default() -> Self {
        Self { bytes: vec![0; HEADER_LENGTH], offsets: HashMap::new() }
    }
}

impl Writer {
    /// A byte string; the empty one is no value.
    ///
    /// # Errors
    /// If the database is full (256 MiB).
    pub fn blob(&mut self, bytes: &[u8]) -> Result<Value> {
        if bytes.is_empty() {
            return Ok(Value::NONE);
        }
        let (kind, alignment, content) = with_length(bytes)?;
        self.shared(kind, content, alignment)
    }

    /// A byte string of its own, which may be replaced by [`Writer::replace`], and its offset.
    ///
    /// # Errors
    /// If it is longer than 255 bytes, or the database is full.
    pub fn own_blob(&mut self, bytes: &[u8]) -> Result<(Value, usize)> {
        let mut content = vec![u8::try_from(bytes.len())?];
        content.extend(bytes);
        let offset = self.append(&content, 1);
        Ok((value(BLOB_8, offset)?, offset.saturating_add(1)))
    }

    /// A number.
    ///
    /// # Errors
    /// If the database is full.
    pub fn integer(&mut self, number: u64) -> Result<Value> {
        match u32::try_from(number) {
            Ok(small) if small < 0x1000_0000 => Ok(Value(SMALL_INTEGER | small)),
            Ok(number) => self.shared(INTEGER_32, number.to_le_bytes().to_vec(), 4),
            Err(_) => self.shared(INTEGER_64, number.to_le_bytes().to_vec(), 4),
        }
    }

    /// An object or array; `members` begins with member 1. Without any it is no value.
    ///
    /// # Errors
    /// If the database is full.
    pub fn object(&mut self, members: &[Value]) -> Result<Value> {
        let used =
            members.iter().rposition(|member| !member.is_none()).map_or(0, |last| last.saturating_add(1));
        if used == 0 {
            return Ok(Value::NONE);
        }
        let count = u32::try_from(used.saturating_add(1))?;
        let mut content = count.to_le_bytes().to_vec();
        members.iter().take(used).for_each(|member| content.extend(member.0.to_le_bytes()));
        self.shared(OBJECT, content, 4)
    }

    /// A value of another database, with everything below it.
    ///
    /// # Errors
    /// If the other database is damaged or this one is full.
    pub fn copy(&mut self, from: &Reader<'_>, value: Value) -> Result<Value> {
        match value.kind() {
            0 => Ok(value),
            SMALL_INTEGER | INTEGER_32 | INTEGER_64 => self.integer(from.integer(value)?),
            ARRAY | OBJECT => {
                let members = from.object(value)?;
                let copied: Result<Vec<Value>> =
                    members.into_iter().map(|member| self.copy(from, member)).collect();
                self.object(&copied?)
            }
            _ => self.blob(from.blob(value)?),
        }
    }

    /// Replaces bytes that were written by [`Writer::own_blob`] in the finished database.
    pub fn replace(bytes: &mut [u8], offset: usize, with: &[u8]) {
        let room = bytes.get_mut(offset..).unwrap_or_default();
        room.iter_mut().zip(with).for_each(|(byte, with)| *byte = *with);
    }

    /// The database with `root` as its root object.
    #[must_use]
    pub fn finish(mut self, root: Value) -> Vec<u8> {
        Self::replace(&mut self.bytes, 4, &root.0.to_le_bytes());
        self.bytes
    }

    /// Offset of an equal content with the same alignment, or of a new one.
    fn shared(&mut self, kind: u32, content: Vec<u8>, alignment: usize) -> Result<Value> {
        if let Some(&offset) = self.offsets.get(&content)
            && offset.is_multiple_of(alignment)
        {
            return value(kind, offset);
        }
        let offset = self.append(&content, alignment);
        self.offsets.insert(content, offset);
        value(kind, offset)
    }

    fn append(&mut self, content: &[u8], alignment: usize) -> usize {
        let offset = self.bytes.len().next_multiple_of(alignment);
        self.bytes.resize(offset, 0);
        self.bytes.extend(content);
        offset
    }
}

fn with_length(bytes: &[u8]) -> Result<(u32, usize, Vec<u8>)> {
    let length = u32::try_from(bytes.len())?;
    let (kind, mut content) = match length {
        0..=0xff => (BLOB_8, length.to_le_bytes().get(..1).unwrap_or_default().to_vec()),
        0x100..=0xffff => (BLOB_16, length.to_le_bytes().get(..2).unwrap_or_default().to_vec()),
        _ => (BLOB_32, length.to_le_bytes().to_vec()),
    };
    let alignment = content.len();
    content.extend(bytes);
    Ok((kind, alignment, content))
}

fn value(kind: u32, offset: usize) -> Result<Value> {
    let offset = u32::try_from(offset)?;
    ensure!(offset < SMALL_INTEGER, "a database of more than 256 MiB");
    Ok(Value(kind | offset))
}
