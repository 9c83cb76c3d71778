//! Detectors: state to findings, findings to incidents, incidents to alerts.
//!
//! In: dissected packets with their times, and ticks while traffic is idle. Out: alerts, through a
//! callback. Memory: only what the caller lends ([`Storage`]), sized once by [`Capacities`].
//! It never allocates, never reads a clock, uses integers only, and gives the same alerts for the same
//! packets on every machine.
//!
//! One file per detector. A new one: its file, an entry in [`registry::DETECTORS`], a field in
//! [`Engine`]'s list of detectors, its table in [`Storage`].

#![no_std]
#![forbid(unsafe_code)]

mod detectors;
mod engine;
mod incident;
pub mod registry;
mod shared;

pub use detectors::access::brute_force::{LoginAttempts, LoginAttemptsSet};
pub use detectors::lists::suspicious_port::{ListedPort, PortProtocol};
pub use detectors::source_table::{SourceActivity, SourceActivitySet};
pub use detectors::transfer::exfiltration::{EgressBytes, EgressBytesSet};
pub use engine::memory::{Capacities, Storage, TableSize};
pub use engine::reassembly::{ReassemblyCapacities, ReassemblyStorage};
pub use engine::siblings::{Direction, FirstPacketReport};
pub use engine::{Counts, Engine, IncidentLimits, Losses};
pub use incident::Incident;
pub use shared::home_net::{HomeNet, MAX_PREFIXES, TooManyPrefixes};
pub use shared::rate::SourceSet;
