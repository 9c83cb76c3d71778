//! Stored alerts, the query that selects them, and their counts.

use std::sync::Arc;

use sentinel_alert::{Alert, AlertId, Kind, Severity};
use sentinel_units::Timestamp;

use super::SensorId;

/// An alert as the store keeps it.
#[derive(Clone, Debug)]
pub struct StoredAlert {
    /// Row number: rises in the order of arrival, never used twice.
    pub id: i64,
    /// Name of the sensor.
    pub sensor: Arc<str>,
    /// Boot and sequence number given by the sensor.
    pub alert_id: AlertId,
    /// Time of arrival.
    pub received_at: Timestamp,
    /// The alert itself.
    pub alert: Alert,
}

/// An alert that this version cannot decode: of a kind that a later version added, or damaged.
#[derive(Clone, Debug)]
pub struct UndecodableAlert {
    /// Row number, as of a [`StoredAlert`].
    pub id: i64,
    /// Name of the sensor.
    pub sensor: Arc<str>,
    /// Boot and sequence number given by the sensor.
    pub alert_id: AlertId,
    /// Time of arrival.
    pub received_at: Timestamp,
    /// Packet time, which is stored beside the alert.
    pub time: Timestamp,
    /// Severity, which is stored beside the alert; none if this version does not know it.
    pub severity: Option<Severity>,
    /// Length of the alert in bytes.
    pub len: usize,
}

/// A row of the stored alerts. Every row has its place on a page, also one that cannot be decoded: a page that left it out
/// would end early, and the reader would believe that there are no more.
#[derive(Clone, Debug)]
pub enum AlertRow {
    /// An alert.
    Alert(Arc<StoredAlert>),
    /// An alert that this version cannot decode.
    Undecodable(Arc<UndecodableAlert>),
}

impl AlertRow {
    /// Row number.
    #[must_use]
    pub fn id(&self) -> i64 {
        match self {
            Self::Alert(alert) => alert.id,
            Self::Undecodable(alert) => alert.id,
        }
    }
}

/// Result of a search of alerts.
#[derive(Clone, Debug, Default)]
pub struct AlertSearch {
    /// The alerts that were found.
    pub alerts: Vec<AlertRow>,
    /// Row number of the last alert that was looked at, if the time was over before the page was full.
    pub partial: Option<i64>,
}

/// Selection of stored alerts by one sensor, if given, and by the alerts themselves.
#[derive(Clone, Debug, Default)]
pub struct AlertQuery {
    /// Only of this sensor.
    pub sensor: Option<SensorId>,
    /// Only of these sensors: those that the caller may see; of all if there is no list.
    pub among: Option<Arc<[SensorId]>>,
    /// Filter and page.
    pub selection: AlertSelection,
}

impl From<AlertSelection> for AlertQuery {
    /// Selection of the alerts of all sensors.
    fn from(selection: AlertSelection) -> Self {
        Self { sensor: None, among: None, selection }
    }
}

/// Filter and page of stored alerts. Values of one field are alternatives; all fields have to match.
#[derive(Clone, Debug, Default)]
pub struct AlertSelection {
    /// Only these kinds; all if empty.
    pub kinds: Vec<Kind>,
    /// Only these severities; all if empty.
    pub severities: Vec<Severity>,
    /// Only with packet time at or after this.
    pub since: Option<Timestamp>,
    /// Only with packet time before this.
    pub until: Option<Timestamp>,
    /// First row and direction.
    pub position: AlertPosition,
    /// Maximum number of alerts.
    pub limit: u32,
}

/// Start and direction of a read. Row numbers order alerts by arrival.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum AlertPosition {
    /// Newest first, from the newest.
    #[default]
    Newest,
    /// Newest first, only rows before this one (paging).
    Before(i64),
    /// Oldest first, only rows after this one (following).
    After(i64),
}

/// Number of stored alerts by kind and severity; pairs without alerts are left out.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AlertTotals(Vec<(Kind, Severity, u64)>);

impl AlertTotals {
    /// All stored alerts.
    #[must_use]
    pub fn stored(&self) -> u64 {
        self.sum(|_, _| true)
    }

    /// Stored alerts of one kind.
    #[must_use]
    pub fn of_kind(&self, kind: Kind) -> u64 {
        self.sum(|of, _| of == kind)
    }

    /// Stored alerts of one severity.
    #[must_use]
    pub fn of_severity(&self, severity: Severity) -> u64 {
        self.sum(|_, of| of == severity)
    }

    /// Each pair with its count.
    pub fn iter(&self) -> impl Iterator<Item = (Kind, Severity, u64)> + '_ {
        self.0.iter().copied()
    }

    fn sum(&self, counts: impl Fn(Kind, Severity) -> bool) -> u64 {
        let rows = self.iter().filter(|(kind, severity, _)| counts(*kind, *severity));
        rows.fold(0, |sum, (_, _, stored)| sum.saturating_add(stored))
    }
}

impl FromIterator<(Kind, Severity, u64)> for AlertTotals {
    fn from_iter<I: IntoIterator<Item = (Kind, Severity, u64)>>(rows: I) -> Self {
        Self(rows.into_iter().collect())
    }
}

/// Number of alerts in one minute of packet time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MinuteCounts {
    /// First instant of the minute.
    pub start: Timestamp,
    /// Alerts by severity, in the order of [`Severity::ALL`].
    pub by_severity: [u64; Severity::ALL.len()],
}
