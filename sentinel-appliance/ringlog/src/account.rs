//! What was found when opening, and what was done since.

/// What was found when opening.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Recovery {
    /// There was no log: this one starts with its first record.
    pub is_new: bool,
    /// Records in the log, those from the journal included, those sealed with an older key not.
    pub records: u64,
    /// Of these, records that only the journal had.
    pub from_journal: u64,
    /// Writes that were not finished and are left out: at most one at the end of main and one at the end of the journal.
    pub torn_writes: u32,
    /// Segments whose header is damaged, or that do not belong where they lie.
    pub damaged_segments: u32,
    /// Segments that this key does not reach back to.
    pub older_key_segments: u32,
    /// Records that main once had, by the journal's word, and has no more.
    pub missing_records: u64,
}

/// Counters since opening. All only grow.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Stats {
    /// Records appended.
    pub appended: u64,
    /// Bytes of these records.
    pub appended_bytes: u64,
    /// Records not accepted: the caller lost them.
    pub refused: u64,
    /// Records destroyed by rotation.
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
    /// Damaged blocks passed by while reading; one that is read twice counts twice.
    pub damaged_blocks: u64,
}
