//! VXLAN.
//!
//! Read first: RFC 7348 section 5; draft-ietf-nvo3-vxlan-gpe-12 section 3.

use sentinel_units::LinkType;

use crate::read::CapturedSlice;

const HEADER_LEN: u32 = 8;

/// The frame inside, if the header has only the flag that says that its network identifier is valid.
pub(super) fn decapsulate(slice: CapturedSlice<'_>) -> Option<(LinkType, CapturedSlice<'_>)> {
    match *slice.header().ok()? {
        [0x08, 0, 0, 0, _, _, _, 0] => Some((LinkType::ETHERNET, slice.after(HEADER_LEN))),
        _ => None,
    }
}

/// The packet inside, whose type the header names (generic protocol extension).
pub(super) fn decapsulate_gpe(slice: CapturedSlice<'_>) -> Option<(LinkType, CapturedSlice<'_>)> {
    let [0x0c, 0, 0, next, _, _, _, 0] = *slice.header().ok()? else { return None };
    let link = match next {
        1 => LinkType::IPV4,
        2 => LinkType::IPV6,
        3 => LinkType::ETHERNET,
        _ => return None,
    };
    Some((link, slice.after(HEADER_LEN)))
}
