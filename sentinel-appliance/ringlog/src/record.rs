//! Records and their numbers.

use core::fmt;

/// Longest record, in bytes. An alert is far smaller; a record that needs more belongs elsewhere.
pub const MAX_RECORD: usize = 1024;

/// The number of a record: 0 for the first of a log, one more for each after it.
///
/// Numbers never go backwards while the log is open or its journal survives. After a power cut that took the journal
/// (it lies in RAM), the numbers of the records lost with it are given again; whoever keeps a number elsewhere clamps it
/// to [`crate::RingLog::next_id`] after opening.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RecordId(pub u64);

impl RecordId {
    /// The number after this one. Stays at the top, which 2^64 records would reach.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// This number plus `count`.
    #[must_use]
    pub const fn plus(self, count: u64) -> Self {
        Self(self.0.saturating_add(count))
    }

    /// How many records lie from `earlier` up to, but not including, this one; zero if it is the other way round.
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
