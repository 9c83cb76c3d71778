//! Sizes of a log, read from its own headers.

use crate::format::{SegmentHeader, SlotHeader};
use crate::geometry::{Geometry, PAGE_BYTES};
use crate::storage::{Storage, read_at};

/// Geometry of the log in `main`: of the first segment header, looked for page by page, that is where it belongs. `None` if there
/// is none. Nothing is authenticated: the key decides when the log is opened.
///
/// # Errors
/// The storage cannot be read.
pub fn stored_geometry<S: Storage>(main: &mut S) -> Result<Option<Geometry>, S::Error> {
    let mut bytes = [0; SegmentHeader::LEN];
    // Bounded by the storage: in a log with a good first header, one read.
    for page in 0_u64.. {
        let at = page * u64::from(PAGE_BYTES);
        let count = read_at(main, at, &mut bytes)?;
        if count == 0 {
            break;
        }
        if let SlotHeader::Valid(header) = SegmentHeader::parse(bytes.get(..count).unwrap_or_default()) {
            let slot = header.epoch % u64::from(header.geometry.segments());
            if slot * u64::from(header.geometry.segment_bytes()) == at {
                return Ok(Some(header.geometry));
            }
        }
    }
    Ok(None)
}
