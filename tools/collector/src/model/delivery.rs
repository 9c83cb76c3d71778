//! Messages of one sensor on their way into the store, and the result of storing them.

use sentinel_alert::{Alert, AlertId};
use sentinel_units::Timestamp;
use sentinel_uplink::{Gap, RunEnd};

use super::SensorId;

/// Messages that one sensor sent and that are acknowledged together.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The sender.
    pub sensor: SensorId,
    /// The alerts, in the order of sending.
    pub alerts: Vec<(AlertId, Alert)>,
    /// Alerts of kinds that this version does not know.
    pub unreadable: Vec<UnreadableAlert>,
    /// Ranges of alerts that the sensor reports as discarded.
    pub gaps: Vec<Gap>,
    /// Ends of runs.
    pub run_ends: Vec<RunEnd>,
    /// Cumulative acknowledgement to send once all of this is stored: the end of the last message.
    pub last: AlertId,
    /// Time of arrival of the first message.
    pub received_at: Timestamp,
}

impl Delivery {
    /// Number of entries: alerts, unreadable alerts, gaps and ends of runs.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.alerts.len() + self.unreadable.len() + self.gaps.len() + self.run_ends.len()
    }

    /// Returns true if there is no entry.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// An alert that a later version can read.
#[derive(Clone, Debug)]
pub struct UnreadableAlert {
    /// Boot and sequence number.
    pub id: AlertId,
    /// Time that the alert's times are relative to.
    pub base: Timestamp,
    /// The alert as it was sent.
    pub bytes: Vec<u8>,
}

/// Result of storing a [`Delivery`].
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Receipt {
    /// Row numbers of the alerts that were new, each with its index in [`Delivery::alerts`].
    pub inserted: Vec<(i64, usize)>,
    /// Alerts that were stored before.
    pub duplicates: u64,
    /// Alerts that a gap reported for the first time.
    pub lost: u64,
    /// Alerts that were stored although another one has their number.
    pub conflicts: u64,
    /// Ends of runs, new ones, after which alerts may be lost.
    pub unclean: u64,
}
