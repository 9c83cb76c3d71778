//! A row of table `incidents`, with the name of its sensor.

use std::sync::Arc;

use rusqlite::Row;
use sentinel_alert::{Kind, Severity, wire};
use sentinel_units::Timestamp;

use super::column::value;
use crate::clock::from_micros;
use crate::model::{Incident, IncidentPhase, IncidentState};
use crate::store::alerts::column::count;

/// Columns that [`from_row`] reads, of `incidents i` and `sensors s`.
pub(super) const COLUMNS: &str = "i.id, s.name, i.boot, i.number, i.kind, i.severity, i.phase, i.state, i.state_by,
    i.state_at_us, i.revision, i.notes, i.first_us, i.last_us, i.opened_at_us, i.updated_at_us, i.messages, i.suppressed, i.wire";

/// # Errors
/// Errors of the database.
pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<Incident> {
    let sensor: Arc<str> = row.get::<_, String>("name")?.into();
    let time = |column: &str| Ok::<_, rusqlite::Error>(from_micros(row.get(column)?));
    let state_set: (Option<String>, Option<i64>) = (row.get("state_by")?, row.get("state_at_us")?);
    let bytes = row.get_ref("wire")?.as_blob().unwrap_or_default();
    Ok(Incident {
        id: row.get("id")?,
        sensor,
        boot: row.get("boot")?,
        number: row.get("number")?,
        kind: value(&Kind::ALL, row.get("kind")?),
        severity: value(&Severity::ALL, row.get("severity")?),
        // Numbers of a later version cannot be here: an older program refuses its store.
        phase: value(&IncidentPhase::ALL, row.get("phase")?).unwrap_or_default(),
        state: value(&IncidentState::ALL, row.get("state")?).unwrap_or_default(),
        state_set: state_set.0.zip(state_set.1).map(|(by, at_us)| (by, from_micros(at_us))),
        revision: count(row.get("revision")?),
        notes: count(row.get("notes")?),
        first: time("first_us")?,
        last: time("last_us")?,
        opened_at: time("opened_at_us")?,
        updated_at: time("updated_at_us")?,
        messages: count(row.get("messages")?),
        suppressed: count(row.get("suppressed")?),
        latest: wire::decode(bytes, Timestamp::ZERO).ok().map(|(alert, _)| alert),
    })
}
