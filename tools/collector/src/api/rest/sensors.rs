//! `GET /api/v1/sensors`: sensors with state, losses and latest telemetry.

use axum::extract::{Query, State};
use axum::http::header;
use axum::response::IntoResponse;

use crate::api::parameters::Parameters;
use crate::api::{ApiState, Problem, render};
use crate::service::{Caller, list_sensors};

/// `{"sensors": [...]}`, by name.
pub(in crate::api) async fn list(
    State(state): State<ApiState>,
    Query(given): Query<Vec<(String, String)>>,
) -> Result<impl IntoResponse, Problem> {
    Parameters::new(given, &[])?;
    let list = list_sensors(&state.service, Caller::Anonymous).await?;
    let sessions = state.service.sessions.clone();
    let made = state.sensor_list.body(list.read_at, move || render::sensors(&list.statuses(&sessions)));
    Ok(([(header::CONTENT_TYPE, "application/json")], made.await?.body))
}
