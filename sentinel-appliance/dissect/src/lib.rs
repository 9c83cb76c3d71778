//! Parsers: bytes of a frame to facts, in one pass.
//!
//! In: the bytes of one frame, its link type and its length on the wire ([`packet()`], [`summarize`]), or the payload of a
//! segment or datagram ([`application`]). Out: plain values and slices of the same bytes. Memory: none; everything borrows
//! from the frame, and the one buffer ([`dns::NameBuffer`]) is the caller's. It never allocates, never panics, keeps no state
//! between packets, verifies no checksums (network cards fill them in after a local capture), and decides nothing: a wrong
//! length or version is a [`Malformed`] fact that a detector may count.
//!
//! # The map
//!
//! | bytes | folder |
//! |---|---|
//! | frame -> everything up to the transport header; the fast path for common frames | `packet` |
//! | Ethernet (IEEE 802.3, LLC, SNAP), VLAN tags, Linux cooked, BSD loopback, `PPPoE`, MPLS | `link` |
//! | ARP, IPv4, IPv6 with extension headers (both give [`Ip`]) | `network` |
//! | TCP, UDP, ICMP, `ICMPv6` with neighbour messages | `transport` |
//! | IP in IP, GRE, VXLAN, Geneve, GTP-U | [`tunnel`] |
//! | payloads: the table of protocols, their parsers, lengths of their messages | [`application`] |
//! | cursor, captured slice, faults | `read` |
//!
//! # Two lengths
//!
//! A capture may hold less of a frame than was on the wire. So every layer has the captured bytes and a length taken from the
//! headers: `payload` and `payload_wire_len`. The first is never longer than the second, and neither holds link-layer padding.
//!
//! # Views of `pnet_packet`
//!
//! Headers of fixed size whose fields have no conditions (Ethernet, VLAN, ARP, ICMP) are read through
//! `pnet_packet` views: their constructors check the size, so their getters cannot fail. The payload is
//! always taken from our own slice, because a view's payload borrows from the view. All other headers are read by own code:
//! IPv4, IPv6 and TCP have lengths inside that `pnet_packet` clamps silently where a sensor must notice; the
//! getters of its UDP view are not inlined and cost a call and a bounds check each, on every datagram; and
//! its DNS, GRE and NDP option readers panic on hostile bytes.

#![no_std]
#![forbid(unsafe_code)]

// `#[inline]` marks what runs for every packet. A public function is then compiled with its callers in `track` and `detect`,
// which the device profile compiles for speed (this crate: for size); a private one becomes part of `packet` or `summarize`.

pub mod application;
#[doc(hidden)]
pub mod fuzzing;
mod link;
mod network;
mod packet;
mod read;
mod transport;
pub mod tunnel;

pub use application::{dhcp, dns, framing, http, quic, ssh, tls, x509};
pub use link::{Cooked, Ethernet, VlanTag, Vlans};
pub use network::{Arp, Fragment, Ip};
pub use packet::{
    FiveTuple, Network, Packet, PacketSummary, Transport, packet, reassembled, reread_v4, reread_v6,
    resummarize_v4, sender, source_v4, source_v6, summarize, summarize_v4, summarize_v6, summarize_v6_inline,
};
pub use read::{Layer, Malformed};
pub use sentinel_units::ip_protocol as protocol;
pub use transport::{
    Icmp, Icmpv6, Neighbour, RouterAdvertisement, Tcp, TcpFlags, TcpOption, TcpOptions, Udp,
};
