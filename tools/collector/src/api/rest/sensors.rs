//! `GET /api/v1/sensors`, `/api/v1/sensors/{sensor}`: sensors with state, losses and latest telemetry; one with its history.

use std::sync::Arc;

use axum::Json;
use axum::http::header;
use axum::response::IntoResponse as _;

use super::blocking_read;
use crate::api::body_cache::BodyCache;
use crate::api::call::{Answered, Call};
use crate::api::{Problem, cursor, render};
use crate::service::{SensorList, ServiceError, list_sensors, show_sensor};

/// Filters that a cursor of sensors is tied to: none.
const SENSORS: &str = "sensors";
/// Sensors of a page whose length is not given.
const DEFAULT_LIMIT: usize = 1_000;

/// `{"sensors": [...]}`, by name: all of them, or a page with `"next"` if `limit` or `cursor` are given.
pub(in crate::api) async fn list(call: Call) -> Answered {
    let Call { state, caller, mut given, .. } = call;
    let after = given.text("cursor").map(|text| cursor::decode_name(&text, SENSORS)).transpose()?;
    let limit: Option<usize> = given.number("limit");
    // A list of some sensors is not shared with callers who may see others.
    let own = BodyCache::default();
    let cache = if caller.groups().is_none() { &state.sensor_list } else { &own };
    let list = list_sensors(&state.service, caller).await?;
    let sessions = state.service.sessions.clone();
    let body = if after.is_some() || limit.is_some() {
        let (page, next) = page(&list, after.as_deref(), limit.unwrap_or(DEFAULT_LIMIT));
        blocking_read(move || render::sensor_page(&page.statuses(&sessions), next.as_deref())).await?.into()
    } else {
        cache.body(list.read_at, move || render::sensors(&list.statuses(&sessions))).await?.body
    };
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

/// The first `limit` sensors whose name is behind `after`, and the cursor behind them: sensors that come or go meanwhile move no other.
fn page(list: &SensorList, after: Option<&str>, limit: usize) -> (SensorList, Option<String>) {
    let mut left =
        list.sensors.iter().filter(|sensor| after.is_none_or(|after| sensor.name.as_str() > after));
    let sensors: Vec<_> = left.by_ref().take(limit).cloned().collect();
    let next = left.next().and(sensors.last()).map(|last| cursor::encode_name(&last.name, SENSORS));
    (SensorList { sensors: Arc::new(sensors), read_at: list.read_at }, next)
}

/// The sensor as in the list, with `history`.
pub(in crate::api) async fn show(call: Call) -> Answered {
    let Call { state, caller, mut given, .. } = call;
    let sensor = given.text("sensor").unwrap_or_default();
    let detail = show_sensor(&state.service, caller, sensor).await.map_err(|error| match &error {
        ServiceError::UnknownSensor { known, .. } => {
            Problem::not_found(error.to_string()).allowed(known.clone())
        }
        _ => error.into(),
    })?;
    Ok(Json(render::sensor_detail(&detail)).into_response())
}
