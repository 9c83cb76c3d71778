//! Claims to an identity that belongs to another.

pub(crate) mod arp;
