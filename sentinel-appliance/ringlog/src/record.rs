//! Records, their numbers, and positions in main.

use core::fmt;

use sentinel_seal::Chain;

/// Longest record, in bytes. An encoded alert has at most 256.
pub const MAX_RECORD: usize = 1024;

/// Number of a record: 0 for the first of a log, one more for each after it.
///
/// Numbers only rise while the log is open or its journal survives. After a power cut that took the journal, which lies in
/// RAM, the numbers of the records lost with it are assigned again. A number kept outside the log must be limited to
/// [`crate::RingLog::next_id`] after opening.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RecordId(pub u64);

impl RecordId {
    /// Returns the next number; saturates at 2^64 - 1.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// Returns this number plus `count`; saturates at 2^64 - 1.
    #[must_use]
    pub const fn plus(self, count: u64) -> Self {
        Self(self.0.saturating_add(count))
    }

    /// Number of records from `earlier` up to, but not including, this one; zero if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// Position in main: a record number and the hash chain over everything before it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct ChainHead {
    /// All records in main below this position have lower numbers.
    pub(crate) next_id: RecordId,
    /// SHA-256 hash chain over main up to this position.
    pub(crate) chain: Chain,
}

impl ChainHead {
    /// Position before the first record of a new log.
    pub(crate) const START: Self = Self { next_id: RecordId(0), chain: Chain::START };
}
