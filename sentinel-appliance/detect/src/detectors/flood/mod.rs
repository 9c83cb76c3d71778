//! Denial of service by sheer number of packets.

pub(crate) mod icmp;
pub(crate) mod syn;
