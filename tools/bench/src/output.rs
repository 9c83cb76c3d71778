//! Standard output: one line for each result, or for each answer to the process that started this one.

use std::fmt::Display;

/// Prints one line. Panics, as `println!` does, if standard output is closed.
#[expect(clippy::print_stdout, reason = "the one place where this program writes its results")]
pub(crate) fn line(text: impl Display) {
    println!("{text}");
}
