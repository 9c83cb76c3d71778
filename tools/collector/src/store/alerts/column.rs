//! Integers of the database, which are signed, for values of the domain.

use sentinel_alert::{Kind, Severity};

/// Microseconds in one row of table `minutes`.
pub(super) const MINUTE_US: i64 = 60_000_000;

/// Saturates: a sequence number past 2^63 would take longer than any boot lasts.
pub(in crate::store) fn unsigned(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The reverse of [`unsigned`]; 0 for a negative number, which the store does not write.
pub(in crate::store) fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

/// Index in [`Kind::ALL`], which is the kind's tag on the wire and therefore never changes.
pub(super) fn kind(kind: Kind) -> i64 {
    index(&Kind::ALL, kind)
}

/// Index in [`Severity::ALL`].
pub(super) fn severity(severity: Severity) -> i64 {
    index(&Severity::ALL, severity)
}

/// The reverse of [`severity`]; none for one that this version does not know.
pub(super) fn known_severity(stored: i64) -> Option<Severity> {
    Severity::ALL.get(usize::try_from(stored).ok()?).copied()
}

fn index<T: Copy + PartialEq>(all: &[T], value: T) -> i64 {
    // Every value is in `all`, so -1 is never stored.
    let index = all.iter().position(|known| *known == value);
    index.and_then(|index| i64::try_from(index).ok()).unwrap_or(-1)
}
