//! Import graph of the modules of one crate, and its circles.
//!
//! Sources are tokenised, not parsed: comments, literals and items under `#[cfg(test)]` are left out, `mod` declarations give
//! the tree of modules, and every path that starts with `crate`, `self`, `super` or the name of a child module gives an
//! edge from the file that holds it to the file that defines its target. Re-exports are followed, so a facade does
//! not hide who uses whom. Names made by macros and glob re-exports are not seen: a circle may be missed, none is invented.
//!
//! - `tokens`: source text to identifiers and punctuation;
//! - `tree`: files of a crate to modules, their imports and re-exports;
//! - `circles`: strongly connected components of the graph.

mod circles;
mod tokens;
mod tree;

pub(crate) use circles::circles;
pub(crate) use tree::Tree;
