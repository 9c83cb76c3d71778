//! Sizes of tables.

use sentinel_track::table::WAYS;

/// One row of the memory table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TableSize {
    /// Name of the table.
    pub name: &'static str,
    /// Entries that fit.
    pub slots: usize,
    /// Bytes of one entry.
    pub slot_bytes: usize,
}

impl TableSize {
    /// A plain list of `T`.
    pub(crate) const fn of_list<T>(name: &'static str, slots: usize) -> Self {
        Self { name, slots, slot_bytes: size_of::<T>() }
    }

    /// A set-associative table of sets `T`.
    pub(crate) const fn of_sets<T>(name: &'static str, slots: usize) -> Self {
        Self { name, slots, slot_bytes: size_of::<T>() / WAYS }
    }

    /// Bytes of the whole table.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.slots.saturating_mul(self.slot_bytes)
    }
}

/// Entries in as many sets `T` as fit into `share` of `shares` parts of `bytes`: a power of two, as the tables use no others,
/// and at least one set.
pub(crate) const fn slots<T>(bytes: usize, share: usize, shares: usize) -> usize {
    let sets = bytes / shares * share / size_of::<T>();
    match sets.checked_ilog2() {
        Some(log) => WAYS << log,
        None => WAYS,
    }
}
