//! Geneve.
//!
//! Read first: RFC 8926 section 3.

use sentinel_units::{LinkType, ethertype};

use crate::read::CapturedSlice;

const FIXED_LEN: u32 = 8;

/// The packet inside, if the header is of version 0.
pub(super) fn decapsulate(slice: CapturedSlice<'_>) -> Option<(LinkType, CapturedSlice<'_>)> {
    // Version and length of the options in units of four bytes, flags, type, network identifier, reserved.
    let [options @ 0..=0x3f, _, high, low, _, _, _, 0] = *slice.header().ok()? else { return None };
    let link = match u16::from_be_bytes([high, low]) {
        ethertype::TRANSPARENT_ETHERNET => LinkType::ETHERNET,
        ethertype::IPV4 => LinkType::IPV4,
        ethertype::IPV6 => LinkType::IPV6,
        _ => return None,
    };
    Some((link, slice.after(FIXED_LEN + u32::from(options) * 4)))
}
