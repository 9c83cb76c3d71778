//! Link types as files number them.

use sentinel_units::LinkType;

/// Some writers use a system's own number for raw IP (12, or 14 on OpenBSD) instead of the file format's.
pub(super) fn link_type(number: u16) -> LinkType {
    match number {
        12 | 14 => LinkType::RAW,
        number => LinkType(number),
    }
}
