//! State of flows, hosts and neighbours, in tables over storage that the caller lends.
//!
//! In: facts from `dissect` and packet times. Out: what has been seen before and how often.
//! Memory: none of its own; each table says the size of a set, and the caller decides how many sets.
//! It never allocates, never reads a clock and never decides what is an attack.
//!
//! Every table is set-associative: a key may lie in one of the [`table::WAYS`] places of a set. When all are taken, the
//! entry used longest ago gives way; if it had not outlived its lifetime, live state is lost, and that is counted
//! ([`table::Table::evictions`]).
//! Where losing an entry early would show ([`conversation`], [`fragment`], [`reassembly`]) keys are chained instead, and the
//! entry used longest ago of all gives way ([`places`]).

#![no_std]
#![forbid(unsafe_code)]

pub mod allocator;
pub mod clock;
pub mod distinct;
pub mod flow;
pub mod flow_record;
pub mod fragment;
#[doc(hidden)]
pub mod fuzzing;
pub mod hash;
pub mod hashed_lru;
pub mod neighbour;
mod range_set;
pub mod reassembly;
pub mod recent;
pub mod table;
pub mod window;
