//! `GET /api/v1/stats`: stored, and alerts per minute.

use axum::Json;
use axum::extract::{Query, State};
use sentinel_alert::{Kind, Severity};
use serde_json::{Map, Value, json};

use crate::api::parameters::Parameters;
use crate::api::{App, Problem};
use crate::clock;
use crate::store::{Readers, alerts, sensors};

const MINUTES_DEFAULT: u16 = 60;
const MINUTES_MAX: u16 = 1_440;

pub(in crate::api) async fn show(
    State(app): State<App>,
    Query(given): Query<Vec<(String, String)>>,
) -> Result<Json<Value>, Problem> {
    let mut given = Parameters::new(given, &["minutes"])?;
    let count = given.number("minutes", 1..=MINUTES_MAX)?.unwrap_or(MINUTES_DEFAULT);
    let now = clock::now();
    let (all, totals, timeline) = read(&app.readers, now, count).await?;
    let sum = |counts: &mut dyn Iterator<Item = u64>| counts.fold(0_u64, u64::saturating_add);
    let of_kind = |kind: Kind| sum(&mut totals.iter().filter(|row| row.0 == kind).map(|row| row.2));
    let of_severity =
        |severity: Severity| sum(&mut totals.iter().filter(|row| row.1 == severity).map(|row| row.2));
    let minutes: Vec<Value> = timeline
        .iter()
        .map(|(minute, counts)| {
            let mut row =
                object(Severity::ALL.iter().zip(counts).map(|(severity, count)| (severity.name(), *count)));
            row.insert("minute".into(), minute.rfc3339().to_string().into());
            Value::Object(row)
        })
        .collect();
    Ok(Json(json!({
        "time": now.rfc3339().to_string(),
        "uptime_s": now.since(app.started).as_secs(),
        "store_bytes": app.readers.files().size_bytes(),
        "sensors": {
            "enrolled": all.iter().filter(|sensor| sensor.revoked_at.is_none()).count(),
            "connected": app.sessions.count(),
            "revoked": all.iter().filter(|sensor| sensor.revoked_at.is_some()).count(),
        },
        "alerts": {
            "stored": sum(&mut totals.iter().map(|row| row.2)),
            "duplicate": sum(&mut all.iter().map(|sensor| sensor.duplicates)),
            "lost": sum(&mut all.iter().map(|sensor| sensor.lost)),
            "missing": sum(&mut all.iter().map(|sensor| sensor.missing)),
            "by_kind": object(Kind::ALL.iter().map(|kind| (kind.name(), of_kind(*kind)))),
            "by_severity": object(Severity::ALL.iter().map(|severity| (severity.name(), of_severity(*severity)))),
        },
        "per_minute": minutes,
    })))
}

type StoredStats = (Vec<crate::store::Sensor>, Vec<(Kind, Severity, u64)>, Vec<alerts::Minute>);

async fn read(readers: &Readers, now: sentinel_units::Timestamp, count: u16) -> Result<StoredStats, Problem> {
    let stored = readers.read(move |connection| {
        Ok((
            sensors::all(connection)?,
            alerts::totals(connection)?,
            alerts::timeline(connection, now, count)?,
        ))
    });
    Ok(stored.await?)
}

fn object<'n>(pairs: impl Iterator<Item = (&'n str, u64)>) -> Map<String, Value> {
    pairs.map(|(name, count)| (name.into(), count.into())).collect()
}
