//! GTP-U: packets of users in mobile networks.
//!
//! Read first: 3GPP TS 29.281 section 5.

use sentinel_units::LinkType;

use crate::read::CapturedSlice;

/// Header of version 1 without its optional fields.
const FIXED_LEN: u32 = 8;
/// Header with its optional fields, which are all there if one of the three flags is set.
const OPTIONAL_LEN: u32 = 12;
/// Most extension headers read.
const MAX_EXTENSIONS: usize = 8;

/// The user's packet inside, if the header is of version 1, of protocol type GTP, and its message a G-PDU.
pub(super) fn decapsulate(slice: CapturedSlice<'_>) -> Option<(LinkType, CapturedSlice<'_>)> {
    let [flags @ 0x30..=0x37, 0xff, ..] = *slice.header::<8>().ok()? else { return None };
    let remaining = if flags & 0x07 == 0 { slice.after(FIXED_LEN) } else { skip_options(slice, flags)? };
    Some((LinkType::RAW, remaining))
}

/// Skips the four optional bytes, and extension headers if there are any.
fn skip_options(slice: CapturedSlice<'_>, flags: u8) -> Option<CapturedSlice<'_>> {
    let [.., next] = *slice.header::<12>().ok()?;
    let (mut next, mut remaining) = (if flags & 0x04 != 0 { next } else { 0 }, slice.after(OPTIONAL_LEN));
    for _ in 0..MAX_EXTENSIONS {
        if next == 0 {
            return Some(remaining);
        }
        let [words] = *remaining.header::<1>().ok()?;
        let len = u32::from(words) * 4;
        let last = remaining.captured.get(usize::try_from(len).ok()?.checked_sub(1)?)?;
        (next, remaining) = (*last, remaining.after(len));
    }
    None
}
