//! Denial of service by a high rate of packets.

pub(crate) mod icmp;
pub(crate) mod per_source;
pub(crate) mod syn;
pub(crate) mod udp;
pub(crate) mod victims;
