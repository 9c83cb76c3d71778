//! Transport layer: TCP, UDP and both versions of ICMP.

mod icmp;
mod icmp_message;
mod icmpv6;
mod tcp;
mod udp;

pub use icmp::Icmp;
pub use icmpv6::{Icmpv6, Neighbour, RouterAdvertisement};
pub use tcp::{Tcp, TcpFlags, TcpOption, TcpOptions};
pub use udp::Udp;
