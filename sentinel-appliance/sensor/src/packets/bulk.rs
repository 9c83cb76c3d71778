//! Bulk reading of a file: whole batches of frames for one action, without the checks of the packet pipeline.

use sentinel_alert::Alert;
use sentinel_capture::Frame;
use sentinel_capture::file::FileError;
use sentinel_units::LinkType;

use crate::packets::options::{PacketOptions, View};
use crate::worker::analyser::Analyser;

/// Only action on packets, if it takes frames of a file without filter, limits or further outputs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum BulkAction {
    Analyse,
    Count,
}

impl BulkAction {
    /// Action of these options, if they have no other.
    pub(super) fn of(options: &PacketOptions) -> Option<Self> {
        let is_bare = options.count.is_none()
            && options.snap_bytes.is_none()
            && options.save.is_none()
            && options.results.is_none()
            && options.statistics.is_none();
        match options.view {
            View::Alerts | View::AlertText if is_bare => Some(Self::Analyse),
            View::CountOnly if is_bare => Some(Self::Count),
            _ => None,
        }
    }
}

/// Result of one bulk read.
#[derive(Debug, Default)]
pub(crate) struct BulkRead {
    /// Frames read.
    pub(crate) frames: u64,
    /// The file has no more frames.
    pub(crate) is_over: bool,
    /// Damage of the file at this place.
    pub(crate) error: Option<FileError>,
    /// Link type of frames that were skipped.
    pub(crate) unsupported: Option<LinkType>,
}

impl BulkRead {
    /// Analyses a frame.
    #[inline(always)] // once for frames in memory, once for all others
    pub(super) fn analyse(
        &mut self,
        frame: &Frame<'_>,
        analyser: &mut Analyser,
        raise: &mut dyn FnMut(Alert),
    ) {
        self.frames += 1;
        if frame.link != LinkType::ETHERNET && !frame.link.is_supported() {
            self.unsupported = Some(frame.link);
        }
        analyser.frame(frame, raise);
    }
}
