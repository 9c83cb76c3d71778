//! Capture files written: pcap and pcapng.
//!
//! Little-endian and with nanoseconds, whatever the machine, so that the same frames give the same file everywhere.

mod pcap;
mod pcapng;

use sentinel_units::LinkType;

use crate::Frame;

pub use pcap::PcapWriter;
pub use pcapng::{InterfaceId, PcapngWriter};

/// A frame's bytes in the order to write them: before the tag, the tag that the kernel took off, after the tag.
///
/// Only Ethernet has a place for the tag: after the two addresses (IEEE 802.1Q).
fn tagged<'f>(frame: &Frame<'f>) -> (&'f [u8], Option<[u8; 4]>, &'f [u8]) {
    const ADDRESSES_LEN: usize = 12;
    match (frame.vlan, frame.link, frame.bytes.split_at_checked(ADDRESSES_LEN)) {
        (Some(tag), LinkType::ETHERNET, Some((addresses, rest))) => {
            let [high, low] = tag.to_be_bytes();
            (addresses, Some([0x81, 0x00, high, low]), rest)
        }
        _ => (frame.bytes, None, &[]),
    }
}
