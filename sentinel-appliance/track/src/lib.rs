//! State of flows, hosts and neighbours, in tables over storage that the caller lends.
//!
//! In: facts from `dissect` and packet times. Out: flow and host state, reassembled datagrams and messages, flow records.
//! Memory: none of its own; each table documents the size of an entry, and the caller decides how many entries.
//! It never allocates, never reads a clock and never decides whether something is an attack.
//!
//! Two kinds of table:
//!
//! - Set-associative ([`table`]): a key may occupy one of the [`table::WAYS`] ways of the set that its hash selects. If all
//!   are taken, the least recently used entry of the set is evicted; if it was within its lifetime, live state is lost, and
//!   [`table::Table::evictions`] counts it. Lookup costs one or two cache lines.
//! - Chained hash with LRU lists ([`hashed_lru`]), where an early eviction would show in the output ([`flow_record`],
//!   [`fragment`], [`reassembly`]): any slot serves any key, and the least recently used entry of all is evicted.
//!
//! | table | key | lifetime | evicted | counter |
//! |---|---|---|---|---|
//! | [`flow::Flows`] | 63 bits of the keyed hash of the 5-tuple | 10 min idle | LRU of 4 | `table().evictions()` |
//! | [`neighbour::Neighbours`] | 39 bits of the keyed hash of link and address | 1 day idle | least evidence of 8 | `evictions()` |
//! | [`flow_record::FlowRecords`] | endpoints and protocol | 2 min, 10 min or 10 s idle | LRU of all | `evictions()` |
//! | [`fragment::Fragments`] | addresses, identification, protocol | 30 s from the first | oldest of all | `counts.evictions` |
//! | [`reassembly::Streams`] | source, destination, channel | 10 s idle | LRU of all | `counts.evictions` |
//!
//! Counters per key are [`window::SlidingSum`], [`recent::SlidingLog`] and [`distinct::Distinct`], as values of a
//! [`table::Table`].

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
