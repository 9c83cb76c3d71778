//! Incidents: findings about one behaviour, one row from the opening message to the closing one.

use std::sync::Arc;

use sentinel_alert::{Alert, Kind, Severity};
use sentinel_units::{Prefix, Timestamp};

use super::{AuditEntry, SensorId};

/// Judgement of a user on an incident.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum IncidentState {
    /// Nobody has looked at it. Also after its severity has risen.
    #[default]
    New,
    /// Somebody has.
    Seen,
    /// The cause is dealt with.
    Resolved,
    /// It was no attack.
    FalseAlarm,
}

impl IncidentState {
    /// Every state, in the order of the numbers that the store keeps. Append only.
    pub const ALL: [Self; 4] = [Self::New, Self::Seen, Self::Resolved, Self::FalseAlarm];

    /// Name in every interface.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Seen => "seen",
            Self::Resolved => "resolved",
            Self::FalseAlarm => "false_alarm",
        }
    }
}

/// Course of an incident, by its messages.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum IncidentPhase {
    /// Goes on, as far as the sensor told.
    #[default]
    Open,
    /// Its closing message has come.
    Closed,
    /// Over without a closing message: the run of the sensor has ended.
    RunEnded,
}

impl IncidentPhase {
    /// Every phase, in the order of the numbers that the store keeps. Append only.
    pub const ALL: [Self; 3] = [Self::Open, Self::Closed, Self::RunEnded];

    /// Name in every interface.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
            Self::RunEnded => "run_ended",
        }
    }
}

/// An incident as the store keeps it.
#[derive(Clone, Debug)]
pub struct Incident {
    /// Row number: rises in the order of arrival of the first message, never used twice.
    pub id: i64,
    /// Name of the sensor.
    pub sensor: Arc<str>,
    /// Run of the sensor, and number of the incident in it.
    pub boot: u32,
    /// Number in the run.
    pub number: u32,
    /// Kind; none if this version does not know it.
    pub kind: Option<Kind>,
    /// Highest severity of its messages; none if this version does not know it.
    pub severity: Option<Severity>,
    /// Course.
    pub phase: IncidentPhase,
    /// Judgement of a user on it.
    pub state: IncidentState,
    /// User who set the state, and when.
    pub state_set: Option<(String, Timestamp)>,
    /// Number of changes by users.
    pub revision: u64,
    /// Number of notes.
    pub notes: u64,
    /// Packet time of the first evidence.
    pub first: Timestamp,
    /// Packet time of the latest message.
    pub last: Timestamp,
    /// Arrival of the first message.
    pub opened_at: Timestamp,
    /// Arrival of the latest message.
    pub updated_at: Timestamp,
    /// Messages received.
    pub messages: u64,
    /// Messages that the sensor suppressed.
    pub suppressed: u64,
    /// The latest message; none if this version cannot decode it.
    pub latest: Option<Alert>,
}

/// A change of state, a note, or both.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct IncidentChange {
    /// Time of the change.
    pub at: Timestamp,
    /// User who made it.
    pub by: String,
    /// New state.
    pub state: Option<IncidentState>,
    /// Text.
    pub note: Option<String>,
}

/// Filter and page of incidents. Values of one field are alternatives; all fields have to match.
#[derive(Clone, Debug, Default)]
pub struct IncidentSelection {
    /// Each has to occur in the texts of the incident: see [`IncidentWord`].
    pub words: Vec<IncidentWord>,
    /// Only in these states; all if empty.
    pub states: Vec<IncidentState>,
    /// Only in these phases; all if empty.
    pub phases: Vec<IncidentPhase>,
    /// Only these kinds; all if empty.
    pub kinds: Vec<Kind>,
    /// Only these severities; all if empty.
    pub severities: Vec<Severity>,
    /// Only of this sensor.
    pub sensor: Option<SensorId>,
    /// Only of these sensors: those that the caller may see; of all if there is no list.
    pub among: Option<Arc<[SensorId]>>,
    /// Only with a message whose source is in this network.
    pub source: Option<Prefix>,
    /// Only with a message whose destination is in this network.
    pub destination: Option<Prefix>,
    /// Only with packet time at or after this.
    pub since: Option<Timestamp>,
    /// Only with packet time before this.
    pub until: Option<Timestamp>,
    /// Only with row numbers below this.
    pub before: Option<i64>,
    /// Maximum number of incidents.
    pub limit: u32,
}

/// A word of a free search.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum IncidentWord {
    /// An address or network: matches a source or destination of any message.
    Network(Prefix),
    /// In lower case: occurs in the sentence, the kind, its technique, severity, state, sensor, or name of the host.
    Text(String),
}

/// Result of one search.
#[derive(Clone, Debug, Default)]
pub struct IncidentPage {
    /// The incidents, those that opened last first.
    pub incidents: Vec<Incident>,
    /// Row number below which the next page continues; none if everything was searched.
    pub next: Option<i64>,
    /// The time was over before the page was full or everything was searched.
    pub is_partial: bool,
    /// Arrival from which on everything was searched: with `next`, of the incident there, else of the oldest one stored.
    pub reached: Option<Timestamp>,
    /// Alerts that are stored and not yet part of an incident.
    pub behind: u64,
}

/// A change that a user asks for.
#[derive(Clone, Debug)]
pub struct ChangeRequest {
    /// Row numbers of the incidents.
    pub incidents: Vec<i64>,
    /// New state.
    pub state: Option<IncidentState>,
    /// Note to add.
    pub note: Option<String>,
    /// The acting user.
    pub by: String,
    /// Time of the request.
    pub at: Timestamp,
    /// Revision that the only incident must have.
    pub revision: Option<u64>,
    /// Key by which a repeated request is known.
    pub key: Option<String>,
    /// Incidents of other sensors do not exist; of all if there is no list.
    pub among: Option<Arc<[SensorId]>>,
    /// Line of the audit, without its detail; none for a change that is not one of a user.
    pub audit: Option<AuditEntry>,
}

/// Result of a [`ChangeRequest`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ChangeOutcome {
    /// Row numbers of the changed incidents; the others do not exist.
    Changed(Vec<i64>),
    /// The incident has this revision; nothing was changed.
    Revision(u64),
    /// This incident has as many changes as it may; nothing was changed.
    Full(i64),
}

/// Rows that were deleted to keep a limit.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Removed {
    /// Alerts.
    pub alerts: u64,
    /// Incidents.
    pub incidents: u64,
    /// Arrival of the latest of the alerts.
    pub latest: Timestamp,
}

/// Numbers of what retention has deleted, by limit.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct RemovedCounts {
    /// Because of their age.
    pub by_age: Removed,
    /// Because of the size of the store.
    pub by_size: Removed,
    /// Because the disk was nearly full.
    pub by_disk: Removed,
}
