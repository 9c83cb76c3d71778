//! Allocation of the storage of tables, once, at start.

/// Source of memory for tables that live as long as `'m`.
///
/// Each table lists the slices that it needs in an `allocate` function; the program implements this trait and decides where
/// the memory comes from (leaked boxes in the sensor, vectors in tests). Nothing is allocated after start.
pub trait TableAllocator<'m> {
    /// Allocates `count` copies of `empty`.
    fn allocate<T: Clone + 'm>(&mut self, count: usize, empty: T) -> &'m mut [T];

    /// Allocates `count` default values.
    fn allocate_default<T: Clone + Default + 'm>(&mut self, count: usize) -> &'m mut [T] {
        self.allocate(count, T::default())
    }

    /// Allocates bytes that only the operator fills, never traffic: they need not be backed by memory before that.
    fn allocate_bytes(&mut self, count: usize) -> &'m mut [u8] {
        self.allocate_default(count)
    }
}
