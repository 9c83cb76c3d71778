//! Packet builders: headers with correct lengths and checksums.
//!
//! From the inside out: [`Tcp`], [`udp`], [`Icmp`] make a segment for given [`Addresses`], [`Network`] puts an IP header in
//! front, [`Link`] a frame header with its tags. [`Path`] does all three for one direction between two machines.
//!
//! Every builder panics if a payload does not fit a 16-bit length field, which is an error in the scenario.

mod arp;
mod icmp;
mod link;
mod network;
mod path;
mod transport;
mod tunnel;

pub use arp::{Arp, Operation};
pub use icmp::{Icmp, Icmp6};
pub use link::{Encapsulation, Link, ethertype};
pub use network::{Addresses, Extension, Network, protocol};
pub use path::{Family, Path};
pub use transport::{Options, Tcp, flags, udp};
pub use tunnel::gre;

use pnet_base::MacAddr;
use sentinel_units::Mac;

fn hardware(mac: Mac) -> MacAddr {
    MacAddr::from(mac.0)
}

/// Length as a 16-bit header field.
#[expect(
    clippy::expect_used,
    reason = "scenarios are constants; a payload that is too long must fail the test that built it"
)]
fn length_field(length: usize) -> u16 {
    u16::try_from(length).expect("a payload must fit a 16-bit length field")
}

/// View of a header over a buffer that was allocated for it.
#[expect(clippy::expect_used, reason = "each caller allocates a buffer at least as long as the header")]
fn view<V>(view: Option<V>) -> V {
    view.expect("the buffer holds the header")
}
