//! `GET /api/v1/sensors`, `/api/v1/sensors/{sensor}`: sensors with state, losses and latest telemetry; one with its history.

use axum::Json;
use axum::http::header;
use axum::response::IntoResponse as _;

use crate::api::body_cache::BodyCache;
use crate::api::call::{Answered, Call};
use crate::api::{Problem, render};
use crate::service::{ServiceError, list_sensors, show_sensor};

/// `{"sensors": [...]}`, by name.
pub(in crate::api) async fn list(call: Call) -> Answered {
    let Call { state, caller, .. } = call;
    // A list of some sensors is not shared with callers who may see others.
    let own = BodyCache::default();
    let cache = if caller.groups().is_none() { &state.sensor_list } else { &own };
    let list = list_sensors(&state.service, caller).await?;
    let sessions = state.service.sessions.clone();
    let made = cache.body(list.read_at, move || render::sensors(&list.statuses(&sessions)));
    Ok(([(header::CONTENT_TYPE, "application/json")], made.await?.body).into_response())
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
