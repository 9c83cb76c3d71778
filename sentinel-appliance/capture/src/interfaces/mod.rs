//! The machine's interfaces: names, addresses, which bridge they belong to.
//!
//! Read first: `rtnetlink(7)`, `linux/if_link.h`.

mod link;
mod list;
mod netlink;

pub use link::link_type;
pub use list::{Interface, InterfaceAddress, list};
pub use netlink::ListError;
