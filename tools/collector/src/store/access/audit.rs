//! The audit: lines that are only appended, each with a SHA-256 over itself and the line before.
//!
//! A line that is changed, removed or put in between shows, because the hashes after it do not fit any more. Who can write the file
//! and has its key can make the whole chain anew: against that a hash is kept elsewhere, which is why the log names the newest one.

use rusqlite::{Connection, Row, params};
use sha2::{Digest as _, Sha256};

use crate::clock::{from_micros, to_micros};
use crate::model::{AuditEntry, AuditRow};
use crate::store::StoreError;

/// Longest text of a column, in characters: names and values of a caller are cut to it.
const MAX_TEXT_LEN: usize = 400;

/// Appends a line. In the transaction of the change that it is about, if there is one: neither is stored without the other.
///
/// # Errors
/// Errors of the database.
pub(crate) fn append(connection: &Connection, entry: &AuditEntry) -> Result<(), StoreError> {
    let (id, before) = newest(connection)?.unwrap_or((0, START));
    let cut = |text: &str| text.chars().take(MAX_TEXT_LEN).collect::<String>();
    let mut row = AuditRow {
        id: id + 1,
        at: from_micros(to_micros(entry.at)),
        who: cut(&entry.who),
        whence: entry.whence.to_string(),
        what: cut(&entry.what),
        detail: cut(&entry.detail),
        result: cut(&entry.result),
        hash: START,
    };
    row.hash = hash(&row, &before);
    let sql = "INSERT INTO audit (id, at_us, who, whence, what, detail, result, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
    let at = to_micros(row.at);
    connection
        .execute(sql, params![row.id, at, row.who, row.whence, row.what, row.detail, row.result, row.hash])?;
    Ok(())
}

/// Row number and hash of the newest line; none before the first.
///
/// # Errors
/// Errors of the database.
pub(crate) fn newest(connection: &Connection) -> Result<Option<(i64, [u8; 32])>, StoreError> {
    let sql = "SELECT id, hash FROM audit ORDER BY id DESC LIMIT 1";
    match connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))) {
        Ok(newest) => Ok(Some(newest)),
        Err(rusqlite::Error::QueryReturnedNoRows) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Hash before the first line.
const START: [u8; 32] = [0; 32];

/// SHA-256 of the hash before, and of each column with its length before it, so that no two rows give the same bytes.
fn hash(row: &AuditRow, before: &[u8; 32]) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update(before);
    digest.update(row.id.to_be_bytes());
    digest.update(to_micros(row.at).to_be_bytes());
    for text in [&row.who, &row.whence, &row.what, &row.detail, &row.result] {
        digest.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
        digest.update(text);
    }
    digest.finalize().into()
}

/// Up to `limit` lines before the row `before`, newest first.
///
/// # Errors
/// Errors of the database.
pub(crate) fn page(connection: &Connection, before: i64, limit: u32) -> Result<Vec<AuditRow>, StoreError> {
    let sql = "SELECT * FROM audit WHERE id < ? ORDER BY id DESC LIMIT ?";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![before, limit])?;
    let mut lines = Vec::new();
    while let Some(row) = rows.next()? {
        lines.push(read(row)?);
    }
    Ok(lines)
}

fn read(row: &Row<'_>) -> Result<AuditRow, StoreError> {
    Ok(AuditRow {
        id: row.get("id")?,
        at: from_micros(row.get("at_us")?),
        who: row.get("who")?,
        whence: row.get("whence")?,
        what: row.get("what")?,
        detail: row.get("detail")?,
        result: row.get("result")?,
        hash: row.get("hash")?,
    })
}

/// Result of a check of the whole chain.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Chain {
    /// Every line is in its place. Their number, and the hash of the newest.
    Whole(i64, [u8; 32]),
    /// The line of this number is missing, changed, or not where it was.
    Broken(i64),
}

/// Checks every line.
///
/// # Errors
/// Errors of the database.
pub(crate) fn verify(connection: &Connection) -> Result<Chain, StoreError> {
    let mut statement = connection.prepare("SELECT * FROM audit ORDER BY id")?;
    let mut rows = statement.query([])?;
    let (mut count, mut before) = (0, START);
    while let Some(row) = rows.next()? {
        let line = read(row)?;
        if line.id != count + 1 || hash(&line, &before) != line.hash {
            return Ok(Chain::Broken(count + 1));
        }
        (count, before) = (line.id, line.hash);
    }
    Ok(Chain::Whole(count, before))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Whence;
    use crate::store::testing::open;
    use sentinel_units::Timestamp;

    fn entry(number: u64) -> AuditEntry {
        AuditEntry {
            at: Timestamp::from_parts(number, 5_000),
            who: "user anna".into(),
            whence: Whence::CommandLine,
            what: "create_key".into(),
            detail: format!("key {number}"),
            result: "ok".into(),
        }
    }

    fn filled(directory: &std::path::Path) -> Connection {
        let connection = open(&directory.join("db"));
        for number in 1..=5 {
            append(&connection, &entry(number)).unwrap();
        }
        connection
    }

    #[test]
    fn a_whole_chain_is_whole_and_paged() {
        let directory = tempfile::tempdir().unwrap();
        let connection = filled(directory.path());
        assert!(matches!(verify(&connection).unwrap(), Chain::Whole(5, _)));
        let ids = |before| page(&connection, before, 2).unwrap().iter().map(|row| row.id).collect::<Vec<_>>();
        assert_eq!((ids(i64::MAX), ids(2)), (vec![5, 4], vec![1]));
    }

    #[test]
    fn the_table_refuses_changes() {
        let directory = tempfile::tempdir().unwrap();
        let connection = filled(directory.path());
        for sql in ["UPDATE audit SET who = 'x'", "DELETE FROM audit WHERE id = 5"] {
            assert!(connection.execute(sql, []).unwrap_err().to_string().contains("append only"));
        }
    }

    #[test]
    fn a_broken_chain_is_named_with_its_row() {
        for (sql, row) in [
            ("UPDATE audit SET detail = 'key 9' WHERE id = 3", 3),
            ("UPDATE audit SET at_us = at_us + 1 WHERE id = 1", 1),
            (
                "UPDATE audit SET who = who || substr(whence, 1, 1), whence = substr(whence, 2) WHERE id = 2",
                2,
            ),
            ("DELETE FROM audit WHERE id = 2", 2),
            ("DELETE FROM audit WHERE id = 1", 1),
            ("UPDATE audit SET hash = zeroblob(32) WHERE id = 4", 4),
            ("UPDATE audit SET id = 9 WHERE id = 5", 5),
        ] {
            let directory = tempfile::tempdir().unwrap();
            let connection = filled(directory.path());
            connection
                .execute_batch("DROP TRIGGER audit_is_not_changed; DROP TRIGGER audit_is_not_deleted")
                .unwrap();
            connection.execute(sql, []).unwrap();
            assert_eq!(verify(&connection).unwrap(), Chain::Broken(row), "{sql}");
        }
    }
}
