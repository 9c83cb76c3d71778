//! Thresholds over a sliding window.

use core::time::Duration;

use sentinel_alert::Severity;
use sentinel_track::table::{Recycle, Table};
use sentinel_track::window::WindowShape;
use sentinel_units::Timestamp;

use crate::registry::{Detector, DetectorConfig};

/// At least `limit` of something within `window`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Threshold {
    pub(crate) limit: u32,
    pub(crate) window: Duration,
}

impl Threshold {
    /// `limit` within `window_s` seconds.
    pub(crate) const fn new(limit: u32, window_s: u32) -> Self {
        #[expect(clippy::as_conversions, reason = "u64 holds every u32; `From` is not const")]
        let window = Duration::from_secs(window_s as u64);
        Self { limit, window }
    }

    /// The window in whole seconds, as evidence names it.
    pub(crate) fn window_s(self) -> u32 {
        u32::try_from(self.window.as_secs()).unwrap_or(u32::MAX)
    }
}

/// Takes over the window of a threshold for the [sliding sums](sentinel_track::window::SlidingSum) of a table.
///
/// Buckets of another width cannot be read with the new shape: the table is emptied if the shape changes.
pub(crate) fn set_window<K: Copy + Eq, V: Recycle>(
    table: &mut Table<'_, K, V>,
    shape: &mut WindowShape,
    window: Duration,
) {
    let new = WindowShape::new(window);
    if new != *shape {
        table.clear();
        *shape = new;
    }
}

/// Settings that every detector has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Activation {
    /// False if the detector is switched off.
    pub(crate) enabled: bool,
    /// Severity of its alerts.
    pub(crate) severity: Severity,
}

impl Activation {
    /// Severity of what ordinary traffic does as well: `low` at most, unless the setting asks for more than its `default`.
    pub(crate) fn ordinary(self, default: Severity) -> Severity {
        if self.severity > default { self.severity } else { self.severity.min(Severity::Low) }
    }

    /// Severity of a test that is weak evidence: low, unless the operator has chosen another than the default.
    pub(crate) fn weak_severity(&self, detector: &Detector) -> Severity {
        if self.severity == detector.severity { Severity::Low } else { self.severity }
    }
}

impl From<&DetectorConfig> for Activation {
    fn from(config: &DetectorConfig) -> Self {
        Self { enabled: config.enabled, severity: config.severity }
    }
}

/// The instant `span` before `now`, not before the epoch.
pub(crate) fn earlier(now: Timestamp, span: Duration) -> Timestamp {
    Timestamp::from_nanos(now.as_nanos().saturating_sub(Timestamp::ZERO.after(span).as_nanos()))
}
