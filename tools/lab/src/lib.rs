//! Whole-system tests on one machine: network namespaces, the real programs, traffic on a bridge.
//!
//! In: the programs of this build (`sentinel`, `sentinel-collector`, `trafficgen`) and the name of a scenario. Out: the
//! output of their public interfaces: JSON of the collector's API, `sentinel status`, `sentinel log`. Tests use no other
//! interface.
//!
//! ```text
//!  attacker eth0 --- lan-attacker \
//!                                  br-lan  router  mgmt0 --- mgmt0  collector
//!  victim   eth0 --- lan-victim   /        (sensor)                 (collector, page on its loopback)
//! ```
//!
//! Every address is inside namespaces that a [`Lab`] creates and deletes, also when a test panics. Programs are ended by
//! their process id. No test sleeps to synchronise: [`wait::until`] polls a condition and fails at a deadline.
//! One lab exists at a time on a machine, because tests measure times.
//!
//! `LAB_FULL=1` makes outages as long as those that are guaranteed to lose nothing (30 s); `LAB_SENSOR`, `LAB_COLLECTOR` and `LAB_TRAFFICGEN`
//! name other programs than those of this build, such as a release or a static one. Variables that begin with `SENTINEL_`
//! are not passed on. Experiments by hand: `cargo run -p sentinel-lab -- network`.
//!
//! Memory: the output of programs is in files of a temporary directory; responses are held in memory.
//!
//! The map: [`Namespace`] and [`Network`] are the network, [`Program`] is a process, [`Sensor`], [`Collector`] and
//! [`traffic`] are the three programs, [`Lab`] owns network and files, [`machine`] is a machine whose power is cut,
//! [`machine::board`] boots the device program on other architectures, [`demo`] is the demonstration of `ci/demo.sh`.

#![forbid(unsafe_code)]

mod binaries;
mod collector;
pub mod demo;
mod disk;
pub mod http;
pub mod json;
mod lab;
pub mod machine;
mod namespace;
mod network;
mod program;
mod relay;
mod sensor;
pub mod time;
pub mod traffic;
pub mod wait;

pub use binaries::Binaries;
pub use collector::{AlertKey, Collector, key};
pub use disk::SmallDisk;
pub use lab::{Lab, experiment, impossible};
pub use namespace::Namespace;
pub use network::{COLLECTOR_ADDRESS, COLLECTOR_PORT, Network};
pub use program::{Program, run};
pub use relay::Relay;
pub use sensor::Sensor;
