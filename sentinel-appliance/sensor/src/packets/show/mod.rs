//! Packets for people and scripts.
//!
//! - `facts`: one packet, dissected, with the name of the protocol that matters most in it;
//! - `detail`: what it says, in a few words;
//! - `line`, `json`, `hex`: a packet as one line, as one object, as bytes;
//! - `statistics`, `talkers`: sums over packets, in fixed memory;
//! - `progress`: how far a file has been read.

mod detail;
mod facts;
pub(crate) mod hex;
pub(crate) mod json;
pub(crate) mod line;
pub(crate) mod progress;
pub(crate) mod statistics;
mod talkers;

pub(crate) use facts::Facts;
