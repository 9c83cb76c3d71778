//! `GET /api/v1/sensors`: sensors with state, losses and latest telemetry.

use axum::http::header;
use axum::response::IntoResponse as _;

use crate::api::body_cache::BodyCache;
use crate::api::call::{Answered, Call};

use crate::api::render;
use crate::service::list_sensors;

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
