//! Who gives tables their memory.

/// Gives memory, once, for as long as the tables live.
///
/// Which tables there are is said where they are defined; where their memory comes from, by the program.
pub trait TableAllocator<'m> {
    /// `count` copies of `empty`.
    fn allocate<T: Clone + 'm>(&mut self, count: usize, empty: T) -> &'m mut [T];

    /// `count` new values.
    fn allocate_default<T: Clone + Default + 'm>(&mut self, count: usize) -> &'m mut [T] {
        self.allocate(count, T::default())
    }
}
