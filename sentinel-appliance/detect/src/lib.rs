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
mod askers;
mod assembly;
mod brute_force;
mod dns_tunnel;
mod engine;
mod event;
mod exfiltration;
mod icmp_flood;
mod incident;
mod inside;
mod memory;
mod pass;
mod per_source;
mod port_scan;
mod port_sieve;
pub mod registry;
mod sighting;
mod suspicious_port;
mod syn_flood;

pub use askers::{Asker, AskerSet};
pub use assembly::{AssemblyCapacities, AssemblyStorage};
pub use brute_force::{Door, DoorSet};
pub use engine::{Counts, Engine, Losses, Pace};
pub use exfiltration::{Outbound, OutboundSet};
pub use incident::Incident;
pub use inside::{Inside, MAX_PREFIXES, TooManyPrefixes};
pub use memory::{Capacities, Storage, TableSize};
pub use per_source::SourceSet;
pub use sighting::{Sighting, Verdict};
pub use suspicious_port::{ListedPort, PortProtocol};
