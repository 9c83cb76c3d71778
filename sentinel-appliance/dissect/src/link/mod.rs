//! Link layer: everything before the network header.

pub(crate) mod cooked;
pub(crate) mod ethernet;
pub(crate) mod loopback;
pub(crate) mod mpls;
pub(crate) mod pppoe;
pub(crate) mod vlan;

pub use cooked::Cooked;
pub use ethernet::Ethernet;
pub use vlan::{VlanTag, Vlans};
