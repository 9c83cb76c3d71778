//! Views of single packets and sums over packets.
//!
//! - `facts`: one packet, dissected, with the name of the highest protocol that is recognised;
//! - `detail`: its contents in a few words;
//! - `line`, `json`, `hex`: a packet as one line, as one object, as bytes;
//! - `statistics`, `talkers`: sums over packets, in fixed memory;
//! - `progress`: bar for a large file that is read.

mod detail;
mod facts;
pub(crate) mod hex;
pub(crate) mod json;
pub(crate) mod line;
pub(crate) mod progress;
pub(crate) mod statistics;
mod talkers;

pub(crate) use facts::Facts;
