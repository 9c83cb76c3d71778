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

mod arp_spoof;
mod brute_force;
mod dns_tunnel;
mod engine;
mod event;
mod exfiltration;
mod fast_path;
mod home_net;
mod icmp_flood;
mod incident;
mod memory;
mod per_source;
mod port_bloom;
mod port_scan;
mod reassembly;
pub mod registry;
mod siblings;
mod suspicious_port;
mod syn_flood;
mod syn_sources;

pub use brute_force::{LoginAttempts, LoginAttemptsSet};
pub use engine::{Counts, Engine, IncidentLimits, Losses};
pub use exfiltration::{EgressBytes, EgressBytesSet};
pub use home_net::{HomeNet, MAX_PREFIXES, TooManyPrefixes};
pub use incident::Incident;
pub use memory::{Capacities, Storage, TableSize};
pub use per_source::SourceSet;
pub use reassembly::{ReassemblyCapacities, ReassemblyStorage};
pub use siblings::{Direction, FirstPacketReport};
pub use suspicious_port::{ListedPort, PortProtocol};
pub use syn_sources::{SourceActivity, SourceActivitySet};
