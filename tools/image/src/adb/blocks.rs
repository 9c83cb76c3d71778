//! Blocks of a file: the database, signatures of it, data. Each begins with its type and length and is padded to eight bytes.

use anyhow::{Context as _, Result, bail, ensure};

use crate::gzip;

const ALIGNMENT: usize = 8;
const HEADER_LENGTH: usize = 4;
const MAX_LENGTH: usize = 0x3fff_ffff - HEADER_LENGTH;

/// Type of the database.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Schema {
    /// A package.
    Package,
    /// An index of packages.
    Index,
}

impl Schema {
    /// Four bytes after the magic number, part of what is signed.
    #[must_use]
    pub const fn magic(self) -> [u8; 4] {
        match self {
            Self::Package => *b"pckg",
            Self::Index => *b"indx",
        }
    }
}

/// One block.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Block {
    /// The database; the first block, and the only one of its kind.
    Database(Vec<u8>),
    /// A signature of it.
    Signature(Vec<u8>),
    /// Numbers of a directory and of a file in it, counted from one, and the file's bytes.
    Data(Vec<u8>),
}

impl Block {
    fn parts(&self) -> (u32, &[u8]) {
        match self {
            Self::Database(bytes) => (0, bytes),
            Self::Signature(bytes) => (1, bytes),
            Self::Data(bytes) => (2, bytes),
        }
    }
}

/// File of blocks, deflated.
///
/// # Errors
/// If a block is longer than a gigabyte.
pub fn write_blocks(schema: Schema, blocks: &[Block]) -> Result<Vec<u8>> {
    let mut plain = [*b"ADB.", schema.magic()].concat();
    for (kind, bytes) in blocks.iter().map(Block::parts) {
        ensure!(bytes.len() <= MAX_LENGTH, "a block of {} bytes", bytes.len());
        let length = u32::try_from(bytes.len().saturating_add(HEADER_LENGTH))?;
        plain.extend(((kind << 30) | length).to_le_bytes());
        plain.extend(bytes);
        plain.resize(plain.len().next_multiple_of(ALIGNMENT), 0);
    }
    Ok([b"ADBd".to_vec(), gzip::deflate(&plain)?].concat())
}

/// Blocks of a file, deflated or plain.
///
/// # Errors
/// If it is cut, compressed otherwise, of another schema, or its blocks are not in order.
pub fn read_blocks(bytes: &[u8], schema: Schema) -> Result<Vec<Block>> {
    let plain = match bytes.get(..4) {
        Some(b"ADBd") => gzip::inflate(bytes.get(4..).unwrap_or_default())?,
        Some(b"ADB.") => bytes.to_vec(),
        Some(b"ADBc") => bail!("compressed by another method than deflate"),
        _ => bail!("no file of apk version 3"),
    };
    ensure!(plain.starts_with(b"ADB."), "no file of apk version 3");
    ensure!(plain.get(4..8) == Some(&schema.magic()), "its content is no {schema:?}");
    let (mut rest, mut blocks, mut before) = (plain.get(8..).unwrap_or_default(), Vec::new(), None);
    while let Some((head, _)) = rest.split_first_chunk() {
        let head = u32::from_le_bytes(*head);
        let (kind, length) = (head >> 30, usize::try_from(head & 0x3fff_ffff)?);
        let body = rest.get(HEADER_LENGTH..length).context("a block that is cut")?.to_vec();
        let padded = length.next_multiple_of(ALIGNMENT);
        let padding = rest.get(length..padded).context("a block without its padding")?;
        ensure!(padding.iter().all(|byte| *byte == 0), "padding that is not zero");
        let is_in_order = match before {
            None => kind == 0,
            Some(before) => kind > 0 && kind >= before,
        };
        ensure!(is_in_order, "blocks that are not in the order database, signatures, data");
        blocks.push(match kind {
            0 => Block::Database(body),
            1 => Block::Signature(body),
            2 => Block::Data(body),
            _ => bail!("a block longer than a gigabyte"),
        });
        before = Some(kind);
        rest = rest.get(padded..).unwrap_or_default();
    }
    ensure!(rest.is_empty() && !blocks.is_empty(), "a file that ends within a block");
    Ok(blocks)
}
