//! Form of the suites: small for CI, full by hand.

/// Size of the suites.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Form {
    /// One seed, rates that take little time, noise for short attacks only.
    Small,
    /// Five seeds, every rate; in noise every attack once.
    Full,
}

impl Form {
    /// Number of seeds of a cell.
    pub(crate) const fn seeds(self, with_noise: bool) -> u64 {
        match (self, with_noise) {
            (Self::Full, false) => 5,
            (Self::Full, true) | (Self::Small, _) => 1,
        }
    }
}
