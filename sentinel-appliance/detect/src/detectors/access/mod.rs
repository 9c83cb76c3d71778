//! Guessed or stolen access.

pub(crate) mod brute_force;
mod failures;
mod session;
