//! Who gives tables their memory.

/// Gives memory, once, for as long as the tables live.
///
/// Which tables there are is said where they are defined; where their memory comes from, by the program.
pub trait Lender<'m> {
    /// `count` copies of `empty`.
    fn lend<T: Clone + 'm>(&mut self, count: usize, empty: T) -> &'m mut [T];

    /// `count` new values.
    fn lend_new<T: Clone + Default + 'm>(&mut self, count: usize) -> &'m mut [T] {
        self.lend(count, T::default())
    }
}
