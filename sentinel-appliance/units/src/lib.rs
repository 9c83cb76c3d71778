//! Quantities with a type of their own, and the numbers of protocols: `EtherType`s, IP protocols, ports, services.
//!
//! In: plain integers from the wire, the kernel or a settings file. Out: types that carry the unit.
//! Memory: none. It never reads a clock, never allocates and holds no logic beyond arithmetic.

#![no_std]
#![forbid(unsafe_code)]

mod address;
mod count;
pub mod ethertype;
pub mod ip_protocol;
mod link;
mod mac;
pub mod port;
pub mod ppp_protocol;
mod prefix;
pub mod service;
mod time;

pub use address::Address;
pub use count::{ByteCount, Port, Rate};
pub use link::LinkType;
pub use mac::{Mac, ParseMacError};
pub use prefix::{ParsePrefixError, Prefix};
pub use time::{Timestamp, TimestampText, Uptime, millis};
