//! Blocks of 4,096 neighbouring rows: what a search has to know to pass over them.
//!
//! One row for each block, so a search by time reads 25,000 rows of blocks in a table of 100 million. A block says "perhaps": its bounds
//! only grow.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use crate::store::StoreError;

/// Binary logarithm of the rows of a block.
pub(in crate::store) const BLOCK_BITS: u32 = 12;

/// Number of the block of a row.
pub(in crate::store) const fn block_of(id: i64) -> i64 {
    id >> BLOCK_BITS
}

/// First row of a block.
pub(in crate::store) const fn first_row(block: i64) -> i64 {
    block << BLOCK_BITS
}

/// The bit of a kind or severity in a mask of 63. Kinds that share one are both looked at.
pub(in crate::store) const fn bit(number: i64) -> i64 {
    1 << number.rem_euclid(63)
}

/// Additions to blocks, by number.
#[derive(Debug, Default)]
pub(super) struct Blocks(BTreeMap<i64, Block>);

#[derive(Debug)]
struct Block {
    first_us: i64,
    last_us: i64,
    kinds: i64,
    severities: i64,
}

impl Blocks {
    /// Adds a row with these packet times, kind and severity.
    pub(super) fn add(&mut self, id: i64, (first_us, last_us): (i64, i64), kind: i64, severity: i64) {
        let empty = Block { first_us: i64::MAX, last_us: i64::MIN, kinds: 0, severities: 0 };
        let block = self.0.entry(block_of(id)).or_insert(empty);
        block.first_us = block.first_us.min(first_us);
        block.last_us = block.last_us.max(last_us);
        block.kinds |= bit(kind);
        block.severities |= bit(severity);
    }

    /// Writes the additions to table `alert_blocks`.
    ///
    /// # Errors
    /// Errors of the database.
    pub(super) fn write_alerts(&self, connection: &Connection) -> Result<(), StoreError> {
        let sql =
            "INSERT INTO alert_blocks (block, first_us, last_us, kinds, severities) VALUES (?, ?, ?, ?, ?)
                   ON CONFLICT (block) DO UPDATE SET first_us = min(first_us, excluded.first_us),
                   last_us = max(last_us, excluded.last_us), kinds = kinds | excluded.kinds,
                   severities = severities | excluded.severities";
        let mut statement = connection.prepare_cached(sql)?;
        for (number, block) in &self.0 {
            let values = params![number, block.first_us, block.last_us, block.kinds, block.severities];
            statement.execute(values)?;
        }
        Ok(())
    }

    /// Writes the additions to table `incident_blocks`.
    ///
    /// # Errors
    /// Errors of the database.
    pub(super) fn write_incidents(&self, connection: &Connection) -> Result<(), StoreError> {
        let sql = "INSERT INTO incident_blocks (block, first_us, last_us) VALUES (?, ?, ?)
                   ON CONFLICT (block) DO UPDATE SET first_us = min(first_us, excluded.first_us),
                   last_us = max(last_us, excluded.last_us)";
        let mut statement = connection.prepare_cached(sql)?;
        for (number, block) in &self.0 {
            statement.execute(params![number, block.first_us, block.last_us])?;
        }
        Ok(())
    }
}
