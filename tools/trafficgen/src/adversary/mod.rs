//! Adversaries: scans, floods, channels and evasions by their parameters, and the noise under which they hide.
//!
//! Beside [`scenario`](crate::scenario), whose entries every build must pass: these say what a good sensor should find, and
//! `bench accuracy` reports what it does. All use the roles of [`Topology`](crate::Topology): the attacker attacks the victim, or sends to the
//! host outside.

mod channel;
mod evasion;
mod flood;
mod link;
mod noise;
mod scan;
mod tricks;

pub use channel::{Beacon, Carrier, Tunnel};
pub use flood::{Flood, FloodKind, Origin};
pub use noise::{NOISE_RATE, noise};
pub use scan::{Scan, Technique};
pub use tricks::{Named, TRICKS, Trick};
