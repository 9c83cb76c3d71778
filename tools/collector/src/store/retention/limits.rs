//! Limits of age and size, and the room that there is.

use std::path::PathBuf;
use std::time::Duration;

use rusqlite::Connection;
use sentinel_units::Timestamp;

use super::Reason;
use crate::store::StoreError;

/// Part of the disk, in percent, above which nothing more is taken of it.
const DISK_PERCENT: u64 = 90;
/// Part of the file that is kept free for new alerts while the disk is nearly full. Not more: whoever fills the disk must not wipe the store.
const RESERVE_PART: u64 = 8;
/// Length of the file below which it is not what fills a disk.
const SMALL: u64 = 256 << 20;
/// Bytes of a page.
const DEFAULT_PAGE: u64 = 4_096;

/// Limits of what is kept; the smaller one wins.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RetentionLimits {
    /// Age of the last message of an incident; none for no limit.
    pub age: Option<Duration>,
    /// Bytes of the store that are in use; none for no limit.
    pub bytes: Option<u64>,
}

/// 90 days, 10 GiB.
impl Default for RetentionLimits {
    fn default() -> Self {
        Self { age: Some(Duration::from_secs(90 * 86_400)), bytes: Some(10 << 30) }
    }
}

impl RetentionLimits {
    /// Arrival before which is too old; none before the process can trust its clock, or without a limit.
    pub(super) fn oldest(&self, now: Timestamp) -> Option<Timestamp> {
        let age_us = u64::try_from(self.age?.as_micros()).unwrap_or(u64::MAX);
        Some(Timestamp::from_micros(now.as_micros().saturating_sub(age_us)))
    }
}

/// Room of the disk with the store.
#[derive(Debug)]
pub(in crate::store) struct Room {
    directory: PathBuf,
    disk_percent: u64,
    small: u64,
}

impl Room {
    /// Room of the disk that has `directory`.
    pub(in crate::store) const fn new(directory: PathBuf) -> Self {
        Self { directory, disk_percent: DISK_PERCENT, small: SMALL }
    }

    /// Room of a disk that is full in the eyes of a store of at least `small` bytes.
    #[cfg(test)]
    pub(super) const fn full(directory: PathBuf, small: u64) -> Self {
        Self { directory, disk_percent: 0, small }
    }

    /// The limit of size that is exceeded.
    ///
    /// # Errors
    /// Errors of the database.
    pub(super) fn reason(
        &self,
        connection: &Connection,
        limits: &RetentionLimits,
    ) -> Result<Option<Reason>, StoreError> {
        let number = |sql| connection.query_row(sql, [], |row| row.get::<_, u64>(0));
        // SQLCipher answers with its own setting, a text.
        let page: String =
            connection
                .query_row("SELECT CAST(page_size AS TEXT) FROM pragma_page_size", [], |row| row.get(0))?;
        let page = page.parse().unwrap_or(DEFAULT_PAGE);
        let (pages, free) = (number("PRAGMA page_count")?, number("PRAGMA freelist_count")?);
        let used = pages.saturating_sub(free).saturating_mul(page);
        if limits.bytes.is_some_and(|bytes| used > bytes) {
            return Ok(Some(Reason::Size));
        }
        // Deleting gives nothing back to the disk, but room within the file.
        let is_large = pages.saturating_mul(page) >= self.small;
        let is_short = is_large && free < pages / RESERVE_PART && self.is_disk_full();
        Ok(is_short.then_some(Reason::Disk))
    }

    fn is_disk_full(&self) -> bool {
        // A disk that cannot be asked about is taken for an empty one: deleting is not undone.
        rustix::fs::statvfs(&self.directory).is_ok_and(|disk| {
            let used = disk.f_blocks.saturating_sub(disk.f_bfree);
            let usable = used.saturating_add(disk.f_bavail);
            usable > 0 && used.saturating_mul(100) >= usable.saturating_mul(self.disk_percent)
        })
    }
}
