//! The whole system on one machine: network namespaces, the real programs, traffic on a real bridge.
//!
//! In: the programs of this build (`sentinel`, `sentinel-collector`, `trafficgen`) and the name of a scenario. Out: what
//! they say through their public interfaces: JSON of the collector's API, `sentinel status`, `sentinel log`. Nothing
//! here looks into a program in any other way.
//!
//! ```text
//!  attacker eth0 --- lan-attacker \
//!                                  br-lan  router  mgmt0 --- mgmt0  collector
//!  victim   eth0 --- lan-victim   /        (sensor)                 (collector, page on its loopback)
//! ```
//!
//! Every address is inside namespaces that a [`Lab`] makes and deletes, also when a test panics. Programs are ended by
//! their process id. Nothing sleeps to synchronise: [`wait::until`] polls a condition and fails at a deadline.
//! One lab exists at a time on a machine, because times are measured in it.
//!
//! `LAB_FULL=1` makes outages as long as the promise speaks of (30 s); `LAB_SENSOR`, `LAB_COLLECTOR` and `LAB_TRAFFICGEN`
//! name other programs than those of this build, such as a release or a static one. Variables that begin with `SENTINEL_`
//! are not passed on. Experiments by hand: `cargo run -p sentinel-lab -- network`.
//!
//! Memory: the output of programs lies in files of a temporary directory; answers are held whole.
//!
//! The map: [`Namespace`] and [`Network`] are the wires, [`Program`] is a process, [`Sensor`], [`Collector`] and
//! [`traffic`] are the three programs, [`Lab`] holds wires and files together, [`demo`] is what `ci/demo.sh` shows.

#![forbid(unsafe_code)]

mod binaries;
mod collector;
pub mod demo;
mod disk;
pub mod http;
pub mod json;
mod lab;
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
