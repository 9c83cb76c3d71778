//! Interfaces of the machine: names, addresses, bridges, and offloads that hide frames from a packet ring.
//!
//! Every function is `#[inline]`: so it is compiled with the program, for size, and not with this crate, for speed.
//!
//! Read first: `rtnetlink(7)`, `linux/if_link.h`.

mod error;
mod ethtool;
mod flow_table;
mod link;
mod list;
mod netlink;
mod source_nat;

pub use error::InterfaceError;
pub use ethtool::{Feature, driver, features};
pub use flow_table::{FlowTable, flow_tables};
pub use link::link_type;
pub use list::{Interface, InterfaceAddress, list};
pub use source_nat::{SourceNat, source_nat};

/// Text up to the first zero byte.
#[inline]
fn text(value: &[u8]) -> String {
    let name = value.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(name).into_owned()
}
