//! The collector's domain types: plain data that ingest, store, service and the transports exchange.
//!
//! No I/O, no locks, no SQL and no JSON. A transport (REST, server-sent events, later gRPC and WebSocket)
//! serialises these types itself; a consumer inside the process never parses text.

mod account;
mod accounting;
mod alert;
mod collector_key;
mod copied_key;
mod delivery;
mod event;
mod incident;
mod limit;
mod log_head;
mod name;
mod run_ends;
mod sensor;
mod sensor_state;
mod sensor_status;
mod verdict;

pub use account::{
    Account, AccountId, ApiKey, AuditEntry, AuditRow, Groups, LogIn, Loopback, Role, Scope, SensorSet, User,
    Whence,
};
pub use accounting::{Accounting, AccountingState, FleetAccounting};
pub use alert::{
    AlertPosition, AlertQuery, AlertRow, AlertSearch, AlertSelection, AlertTotals, MinuteCounts, StoredAlert,
    UndecodableAlert,
};
pub use collector_key::{CollectorKeyTimes, KeyPlan, Unconfirmed};
pub use copied_key::{Acknowledgement, CopiedKey, CopySign, KeyRole, Lineage};
pub use delivery::{Delivery, Receipt, UnreadableAlert};
pub use event::{DisconnectReason, Event, SensorChange, SensorEvent};
pub use incident::{
    ChangeOutcome, ChangeRequest, Incident, IncidentChange, IncidentPage, IncidentPhase, IncidentSelection,
    IncidentState, IncidentWord, Removed, RemovedCounts,
};
pub use limit::Limit;
pub use log_head::{HeadText, LogHeadState, may_follow};
pub use name::{MAX_NAME_LEN, is_valid_name, sanitize_name};
pub use run_ends::RunEnds;
pub use sensor::{Enrollment, Sensor, SensorId, SensorInfo, SessionInfo, StoredToken, TelemetryReading};
pub use sensor_state::{
    MAX_CLOCK_OFF_MS, MIN_SEEN_PERMILLE, Problem, SIGHT_SPAN, SensorState, SessionEnd, Sight, Standing,
    StateChange,
};
pub use sensor_status::SensorStatus;
pub use verdict::{Reason, Verdict};
