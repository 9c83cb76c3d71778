//! Link types by their number in files.

use sentinel_units::LinkType;

/// The link type of this number. Some writers use their system's own number for raw IP (12, or 14 on OpenBSD)
/// instead of that of the file format.
pub(super) fn link_type(number: u16) -> LinkType {
    match number {
        12 | 14 => LinkType::RAW,
        number => LinkType(number),
    }
}
