//! JSON of incidents.

use sentinel_alert::{AlertId, json};
use sentinel_units::Timestamp;
use serde_json::{Value, json};

use super::render;
use crate::model::{AlertRow, Incident, IncidentChange, IncidentPage};
use crate::service::IncidentDetail;

/// `{"incidents": [...], "next", "partial", "reached", "behind"}`; `next` is what [`super::cursor`] made of the row number.
pub(super) fn page(page: &IncidentPage, next: Option<&str>) -> Value {
    json!({
        "incidents": page.incidents.iter().map(incident).collect::<Vec<_>>(),
        "next": next,
        "partial": page.is_partial,
        "reached": page.reached.map(time),
        "behind": page.behind,
    })
}

/// An incident with its latest message and its changes.
pub(super) fn detail(detail: &IncidentDetail) -> Value {
    let mut value = incident(&detail.incident);
    if let Value::Object(members) = &mut value {
        members.insert("latest".into(), latest(&detail.incident));
        members.insert("changes".into(), detail.changes.iter().map(change).collect());
    }
    value
}

/// `{"messages": [...], "next"}`.
pub(super) fn messages(rows: &[AlertRow], next: Option<String>) -> String {
    let text = |row: &AlertRow| match row {
        AlertRow::Alert(alert) => render::alert(alert),
        AlertRow::Undecodable(row) => render::undecodable(row),
    };
    let rows: Vec<String> = rows.iter().map(text).collect();
    let next = next.map_or_else(|| "null".to_owned(), |next| format!("\"{next}\""));
    format!("{{\"messages\":[{}],\"next\":{next}}}\n", rows.join(","))
}

fn incident(incident: &Incident) -> Value {
    let alert = incident.latest.as_ref();
    let subject = alert.map(|alert| &alert.subject);
    json!({
        "id": incident.id,
        "sensor": &*incident.sensor,
        "boot": incident.boot,
        "incident": incident.number,
        "kind": incident.kind.map(sentinel_alert::Kind::name),
        "test": alert.map(|alert| alert.test.name()),
        "technique": incident.kind.map(sentinel_alert::Kind::technique),
        "severity": incident.severity.map(sentinel_alert::Severity::name),
        "summary": alert.map_or_else(|| "undecodable".to_owned(), |alert| alert.summary().to_string()),
        "src": subject.and_then(|subject| subject.source).map(|address| address.to_string()),
        "dst": subject.and_then(|subject| subject.destination).map(|address| address.to_string()),
        "src_port": subject.and_then(|subject| subject.source_port).map(|port| port.0),
        "dst_port": subject.and_then(|subject| subject.destination_port).map(|port| port.0),
        "src_mac": subject.and_then(|subject| subject.mac).map(|mac| mac.to_string()),
        "host": subject.and_then(|subject| subject.host.as_deref()),
        "phase": incident.phase.name(),
        "first_time": time(incident.first),
        "last_time": time(incident.last),
        "opened": time(incident.opened_at),
        "updated": time(incident.updated_at),
        "messages": incident.messages,
        "suppressed": incident.suppressed,
        "state": incident.state.name(),
        "state_by": incident.state_set.as_ref().map(|(by, _)| by),
        "state_time": incident.state_set.as_ref().map(|(_, at)| time(*at)),
        "notes": incident.notes,
        "revision": incident.revision,
    })
}

/// The latest message as `sentinel read --alerts` prints it; null if this version cannot decode it.
fn latest(incident: &Incident) -> Value {
    let Some(alert) = &incident.latest else { return Value::Null };
    let mut text = String::new();
    // Writing into a String cannot fail, and what it writes is JSON.
    let _ = json::write(alert, None::<AlertId>, &mut text);
    serde_json::from_str(&text).unwrap_or_default()
}

fn change(change: &IncidentChange) -> Value {
    json!({
        "time": time(change.at),
        "by": change.by,
        "state": change.state.map(crate::model::IncidentState::name),
        "note": change.note,
    })
}

fn time(time: Timestamp) -> String {
    time.rfc3339().to_string()
}
