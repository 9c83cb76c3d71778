//! Network layer: ARP, IPv4 and IPv6. Both versions of IP give [`Ip`].

mod arp;
mod ip;
pub(crate) mod ipv4;
pub(crate) mod ipv6;

pub use arp::Arp;
pub use ip::{Fragment, Ip};
