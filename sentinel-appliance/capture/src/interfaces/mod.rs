//! The machine's interfaces: names, addresses, which bridge they belong to, what forwards frames past us.
//!
//! Read first: `rtnetlink(7)`, `linux/if_link.h`.

mod link;
mod list;
mod netlink;
mod offload;

pub use link::link_type;
pub use list::{Interface, InterfaceAddress, list};
pub use netlink::ListError;
pub use offload::{Feature, FlowTable, driver, features, flow_tables};

/// A name that ends at a zero byte.
fn text(value: &[u8]) -> String {
    let name = value.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(name).into_owned()
}
