//! `GET /api/v1/sensors`: who is enrolled, how they are, what they lost.

use axum::Json;
use axum::extract::{Query, State};
use serde_json::{Value, json};

use crate::api::parameters::Parameters;
use crate::api::{App, Problem};
use crate::ingest::SessionInfo;
use crate::store::{Sensor, sensors};

/// `{"sensors": [...]}`, by name.
pub(in crate::api) async fn list(
    State(app): State<App>,
    Query(given): Query<Vec<(String, String)>>,
) -> Result<Json<Value>, Problem> {
    Parameters::new(given, &[])?;
    let all = app.readers.read(sensors::all).await?;
    let rows: Vec<Value> =
        all.iter().map(|sensor| row(sensor, app.sessions.find(sensor.id).as_ref())).collect();
    Ok(Json(json!({ "sensors": rows })))
}

/// One sensor as JSON; `session` if it is connected to this process.
pub(crate) fn row(sensor: &Sensor, session: Option<&SessionInfo>) -> Value {
    let time = |time: sentinel_units::Timestamp| time.rfc3339().to_string();
    let telemetry: Value =
        sensor.telemetry.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    json!({
        "id": sensor.id.0,
        "name": sensor.name,
        "public_key": sensor.key().to_string(),
        "state": state(sensor, session.is_some()),
        "peer": session.map(|session| session.peer.to_string()),
        "connected_since": session.map(|session| time(session.since)),
        "frames_per_s": session.and_then(|session| session.frames_per_s),
        "software": sensor.software,
        "host": sensor.host,
        "interfaces": sensor.interfaces,
        "enrolled": time(sensor.enrolled_at),
        "revoked": sensor.revoked_at.map(time),
        "last_seen": sensor.last_seen_at.map(time),
        "alerts_stored": sensor.stored,
        "alerts_duplicate": sensor.duplicates,
        "alerts_lost": sensor.lost,
        "alerts_missing": sensor.missing,
        "telemetry_time": sensor.telemetry_at.map(time),
        "telemetry": telemetry,
    })
}

fn state(sensor: &Sensor, connected: bool) -> &'static str {
    match (sensor.revoked_at, connected, sensor.last_seen_at) {
        (Some(_), _, _) => "revoked",
        (None, true, _) => "connected",
        (None, false, Some(_)) => "offline",
        (None, false, None) => "enrolled",
    }
}
