//! Made-up traffic: attacks, their harmless twins, and the exact edges of every threshold.
//!
//! In: the name of a scenario and its [`Parameters`]. Out: frames with their times, as an iterator, a pcap file
//! or transmissions on a test interface. The same name, parameters and seed always give the same bytes.
//!
//! Memory: a scenario of fixed length is held whole (at most some 10 MB, the exfiltration ones); `mixed` streams.
//! It never reads a clock except to pace transmission, never uses a random source but its seed, and shares no
//! code with the parsers it is meant to test: a builder that did could not find their bugs.
//!
//! The map: [`packet`] turns numbers into headers, [`application`] makes what those carry, [`Timeline`] and
//! [`Connection`] put frames in time, [`scenario`] is the registry, [`pcap`] and [`send`] are the ways out.

#![forbid(unsafe_code)]

pub mod application;
mod connection;
pub mod packet;
pub mod pcap;
mod random;
pub mod scenario;
pub mod send;
mod timeline;
mod topology;

pub use connection::{Connection, ping, refused_datagram, udp_exchange};
pub use random::Random;
pub use scenario::{Expected, Parameters, Scenario};
pub use timeline::{Packets, TimedFrame, Timeline};
pub use topology::{Host, Topology};
