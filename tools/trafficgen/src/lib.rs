//! Traffic generator: attacks, similar but legitimate traffic, and traffic just below and at every detection threshold.
//!
//! In: the name of a scenario and its [`Parameters`]. Out: frames with their times, as an iterator, a pcap file
//! or transmissions on a test interface. The same name, parameters and seed always give the same bytes.
//!
//! Memory: a scenario of fixed length is held in memory (at most some 10 MB, those of exfiltration); `mixed` is a stream.
//! It reads a clock only to pace transmission, draws random numbers only from its seed, and shares no code with the parsers
//! under test: a builder that did could not find their bugs.
//!
//! [`household`] is apart: days of ordinary networks as a stream, each frame with the behaviour that caused it.
//!
//! The map: [`packet`] builds headers, [`application`] builds payloads, [`Timeline`] orders frames in time, [`Connection`]
//! and the functions beside it record exchanges, [`scenario`] is the registry, [`stream`] has streams of any length for what
//! counts, [`pcap`] and [`send`] are the outputs.

#![forbid(unsafe_code)]

pub mod adversary;
pub mod application;
mod connection;
pub mod household;
pub mod packet;
pub mod pcap;
mod random;
pub mod scenario;
pub mod send;
pub mod stream;
mod timeline;
mod topology;

pub use connection::{Connection, ping, refused_datagram, udp_exchange};
pub use random::Random;
pub use scenario::{Expected, Parameters, Scenario};
pub use timeline::{Packets, TimedFrame, Timeline};
pub use topology::{Host, Topology};
