//! Detectors: packets and flow state to findings, findings to incidents, incidents to alerts.
//!
//! In: captured frames or parsed packets with their times, and ticks while traffic is idle. Out: alerts, through a
//! callback. Memory: only what the caller lends ([`Storage`]), sized once by [`Capacities`].
//! It never allocates, never reads a clock, uses integers only, and gives the same alerts for the same
//! packets on every machine.
//!
//! | folder | content |
//! |---|---|
//! | `engine` | fast path, slow path, hand-off between workers, reassembly, division of the memory |
//! | `detectors` | one file for each detector, in the folder of its family, and the table that wires them |
//! | `incident` | life of an incident, merging of evidence, token buckets |
//! | `shared` | packets as detectors see them, home network, thresholds |
//! | `registry` | types that describe a detector and its settings |
//!
//! A new detector: see `detectors/mod.rs`.

#![no_std]
#![forbid(unsafe_code)]

mod detectors;
mod engine;
mod incident;
pub mod registry;
mod shared;
#[cfg(test)]
mod testkit;

#[cfg(test)]
extern crate self as sentinel_detect;

pub use detectors::access::brute_force::{LoginAttempts, LoginAttemptsSet};
pub use detectors::beacon::Pair as BeaconPair;
pub use detectors::dns::dga::HostNames;
#[doc(hidden)]
pub use detectors::dns::dga::names_until_reported;
pub use detectors::dns::leaks::LeakSet;
pub use detectors::dns::score as dga;
pub use detectors::flood::icmp::{EchoRequests, SourceSet};
pub use detectors::flood::victims::Victim;
pub use detectors::lists::address_list::SINGLE_ADDRESS;
pub use detectors::lists::fingerprint::is_fingerprint;
pub use detectors::lists::indicators;
pub use detectors::lists::name_list::{MAX_NAME, MAX_NAME_LABELS, name_entry};
pub use detectors::lists::signatures::{
    ABUSED_ZONE, ALLOWED, AddressClass, MALICIOUS, MALICIOUS_FINGERPRINT, MAX_SERVICES, MAX_URL,
    SIGNATURES_HEADER, signatures_header, signatures_need,
};
pub use detectors::lists::suspicious_port::{ListedPort, PortProtocol};
pub use detectors::payload::icmp_tunnel::EchoPair;
pub use detectors::payload::watch::Watch;
pub use detectors::scan::contact_table::ContactSet;
pub use detectors::source_table::{SourceActivity, SourceActivitySet};
pub use detectors::spoof::device_table::Device;
pub use detectors::transfer::exfiltration::{EgressBytes, EgressBytesSet};
pub use detectors::transfer::large::Transfer;
pub use detectors::{Configs, DETECTORS, TableCapacities, Tables};
pub use engine::canary::FRAME as CANARY_FRAME;
pub use engine::memory::{Capacities, Storage};
pub use engine::reassembly::{ReassemblyCapacities, ReassemblyStorage};
pub use engine::siblings::{Direction, FirstPacketReport};
pub use engine::{Counts, Engine, Losses, RawFrame};
pub use incident::{AllowRule, Incident, IncidentLimits, MAX_ALLOW_RULES, ParseAllowRuleError};
pub use shared::home_net::{HomeNet, MAX_PREFIXES, TooManyPrefixes};
pub use shared::table_size::TableSize;
