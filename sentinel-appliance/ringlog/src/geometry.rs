//! Size of the log: number and size of its segments.

use core::fmt;

/// Page size, in bytes. Main is written in whole pages, each once in the life of its segment, because SD cards, eMMC and flash
/// file systems write no less than that.
pub const PAGE_BYTES: u32 = 4096;

/// Segment size and count of main. Fixed for the life of a log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Geometry {
    segment_bytes: u32,
    segments: u32,
}

impl Geometry {
    /// Smallest segment, in bytes.
    pub const MIN_SEGMENT_BYTES: u32 = 4 * PAGE_BYTES;
    /// Largest segment, in bytes. Two buffers of the segment size are held in memory.
    pub const MAX_SEGMENT_BYTES: u32 = 1 << 20;
    /// Smallest number of segments: one being written, one complete.
    pub const MIN_SEGMENTS: u32 = 2;
    /// Largest number of segments.
    pub const MAX_SEGMENTS: u32 = 4096;

    /// Checks and stores the size of a log of `segments` segments of `segment_bytes` each.
    ///
    /// # Errors
    /// - [`GeometryError::SegmentBytes`]: `segment_bytes` is not a multiple of a page from 16 KiB to 1 MiB.
    /// - [`GeometryError::Segments`]: `segments` is not 2 to 4096.
    pub const fn new(segment_bytes: u32, segments: u32) -> Result<Self, GeometryError> {
        if segment_bytes < Self::MIN_SEGMENT_BYTES
            || segment_bytes > Self::MAX_SEGMENT_BYTES
            || !segment_bytes.is_multiple_of(PAGE_BYTES)
        {
            return Err(GeometryError::SegmentBytes(segment_bytes));
        }
        if segments < Self::MIN_SEGMENTS || segments > Self::MAX_SEGMENTS {
            return Err(GeometryError::Segments(segments));
        }
        Ok(Self { segment_bytes, segments })
    }

    /// Segment size, in bytes.
    #[must_use]
    pub const fn segment_bytes(self) -> u32 {
        self.segment_bytes
    }

    /// Number of segments in the ring.
    #[must_use]
    pub const fn segments(self) -> u32 {
        self.segments
    }

    /// Size of main when the ring is full, in bytes.
    #[must_use]
    pub fn total_bytes(self) -> u64 {
        u64::from(self.segment_bytes) * u64::from(self.segments)
    }
}

/// Reason why a geometry is invalid. Holds the value that is out of range.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum GeometryError {
    /// The segment size is out of range or not a multiple of a page.
    SegmentBytes(u32),
    /// The number of segments is out of range.
    Segments(u32),
}

impl fmt::Display for GeometryError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SegmentBytes(bytes) => write!(
                out,
                "a segment of {bytes} bytes: must be a multiple of {PAGE_BYTES} from {} to {}",
                Geometry::MIN_SEGMENT_BYTES,
                Geometry::MAX_SEGMENT_BYTES
            ),
            Self::Segments(count) => write!(
                out,
                "{count} segments: must be {} to {}",
                Geometry::MIN_SEGMENTS,
                Geometry::MAX_SEGMENTS
            ),
        }
    }
}

impl core::error::Error for GeometryError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_valid_and_values_beyond_them_are_not() {
        for (bytes, segments) in [(16_384, 2), (1 << 20, 4096), (65_536, 8)] {
            let geometry = Geometry::new(bytes, segments).unwrap();
            assert_eq!(geometry.total_bytes(), u64::from(bytes) * u64::from(segments));
        }
        for bytes in [0, 4096, 12_288, 16_385, 20_000, (1 << 20) + 4096] {
            assert_eq!(Geometry::new(bytes, 2), Err(GeometryError::SegmentBytes(bytes)));
        }
        for segments in [0, 1, 4097] {
            assert_eq!(Geometry::new(65_536, segments), Err(GeometryError::Segments(segments)));
        }
    }

    #[test]
    fn the_error_text_names_the_range() {
        assert_eq!(
            GeometryError::SegmentBytes(5).to_string(),
            "a segment of 5 bytes: must be a multiple of 4096 from 16384 to 1048576"
        );
        assert_eq!(GeometryError::Segments(1).to_string(), "1 segments: must be 2 to 4096");
    }
}
