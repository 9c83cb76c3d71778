//! State of flows, hosts and neighbours, in tables over storage that the caller lends.
//!
//! In: facts from `dissect` and packet times. Out: what has been seen before and how often.
//! Memory: none of its own; each table says its slot size, and the caller decides how many slots.
//! It never allocates, never reads a clock and never decides what is an attack.
//!
//! Every table is set-associative: a key may lie in one of [`table::WAYS`] neighbouring slots. When all
//! are taken, a slot that has outlived its lifetime is reused first, then the one touched longest ago;
//! the latter loses live state and is counted ([`table::Table::evictions`]).

#![no_std]
#![forbid(unsafe_code)]

pub mod conversation;
pub mod distinct;
pub mod flow;
pub mod hash;
pub mod neighbour;
pub mod places;
pub mod recent;
pub mod table;
mod tcp_state;
mod ticks;
pub mod window;
