//! `GET /api/v1/alerts`: what is stored, filtered, newest first, page by page.

use axum::extract::{Query, State};
use axum::http::header;
use axum::response::IntoResponse;
use sentinel_alert::{Kind, Severity};

use crate::api::parameters::Parameters;
use crate::api::{App, Problem};
use crate::clock;
use crate::store::{AlertQuery, Sensor, alerts, sensors};

const KNOWN: [&str; 8] = ["sensor", "kind", "severity", "since", "until", "limit", "cursor", "after"];
const LIMIT_DEFAULT: u32 = 100;
const LIMIT_MAX: u32 = 1_000;

/// `{"alerts": [...], "next": "cursor of the next page" or null}`.
pub(in crate::api) async fn list(
    State(app): State<App>,
    Query(given): Query<Vec<(String, String)>>,
) -> Result<impl IntoResponse, Problem> {
    let mut given = Parameters::new(given, &KNOWN)?;
    let now = clock::now();
    let sensor = given.text("sensor");
    let limit = given.number("limit", 1..=LIMIT_MAX)?.unwrap_or(LIMIT_DEFAULT);
    let mut query = AlertQuery {
        sensor: None,
        kinds: given.choices("kind", &Kind::ALL, Kind::name)?,
        severities: given.choices("severity", &Severity::ALL, Severity::name)?,
        since: given.time("since", now)?,
        until: given.time("until", now)?,
        before: given.number("cursor", 1..=i64::MAX)?,
        after: given.number("after", 0..=i64::MAX)?,
        limit: limit + 1, // one more shows whether there is a next page
    };
    if query.before.is_some() && query.after.is_some() {
        return Err(Problem::parameter("after", "cursor and after exclude each other"));
    }
    let found = app
        .readers
        .read(move |connection| {
            if let Some(text) = sensor {
                match sensors::find(connection, &text)? {
                    Some(sensor) => query.sensor = Some(sensor.id),
                    None => return Ok(Err((text, sensors::all(connection)?))),
                }
            }
            Ok(Ok(alerts::query(connection, &query)?))
        })
        .await?;
    let mut found = found.map_err(|(text, known)| unknown_sensor(&text, &known))?;
    let keep = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = found.len() > keep;
    found.truncate(keep);
    let next = found.last().filter(|_| more).map(|last| last.id);
    let rows: Vec<String> = found.iter().map(alerts::StoredAlert::json).collect();
    let next = next.map_or_else(|| "null".into(), |id| format!("\"{id}\""));
    let body = format!("{{\"alerts\":[{}],\"next\":{next}}}\n", rows.join(","));
    Ok(([(header::CONTENT_TYPE, "application/json")], body))
}

/// Names up to twenty sensors: enough to see a spelling mistake.
fn unknown_sensor(text: &str, known: &[Sensor]) -> Problem {
    let names = known.iter().take(20).map(|sensor| sensor.name.as_str());
    Problem::parameter("sensor", format!("there is no sensor {text:?}")).allowed(names)
}
