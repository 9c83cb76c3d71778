//! Counters: state found at opening, and work done since.

/// State found at opening.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Recovery {
    /// There was no log: this one starts with its first record.
    pub is_new: bool,
    /// Records in the log, including those in the journal, without those sealed with an older key.
    pub records: u64,
    /// Of these, records that only the journal had.
    pub from_journal: u64,
    /// Unfinished writes that were left out: at most one at the end of main and one at the end of the journal.
    pub torn_writes: u32,
    /// The journal holds bytes, and not even its first section opens: it is damaged, or was sealed with another key.
    pub journal_unreadable: bool,
    /// Segments whose header is damaged, or that are in a slot they do not belong to.
    pub damaged_segments: u32,
    /// Segments sealed with a key older than the one given.
    pub older_key_segments: u32,
    /// The key is of a later epoch than the newest segment: main was rolled back or wiped since the key was stored.
    pub is_rolled_back: bool,
    /// Records that main once had, according to the journal, and has no more.
    pub missing_records: u64,
}

/// Counters since opening. All only grow.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Stats {
    /// Records appended.
    pub appended: u64,
    /// Bytes of these records.
    pub appended_bytes: u64,
    /// Records rejected by [`crate::RingLog::append`]: the caller lost them.
    pub rejected: u64,
    /// Records overwritten by rotation.
    pub overwritten: u64,
    /// Segments begun in main.
    pub rotations: u64,
    /// Blocks written to main.
    pub blocks: u64,
    /// Bytes of these blocks: deflated and sealed, with headers, before padding to pages.
    pub sealed_bytes: u64,
    /// Bytes written to main, failed writes included: what wears out the flash. Divided by `sealed_bytes` it is the write
    /// amplification.
    pub main_bytes: u64,
    /// Bytes written to the journal.
    pub journal_bytes: u64,
    /// Writes and flushes that failed.
    pub write_errors: u64,
    /// Damaged blocks skipped while reading; a block that is read twice counts twice.
    pub damaged_blocks: u64,
}
