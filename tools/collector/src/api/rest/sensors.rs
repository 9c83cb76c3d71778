//! `GET /api/v1/sensors`: sensors with state, losses and latest telemetry.

use axum::Json;
use axum::extract::{Query, State};
use serde_json::Value;

use crate::api::parameters::Parameters;
use crate::api::{Problem, render};
use crate::service::{Caller, Service, list_sensors};

/// `{"sensors": [...]}`, by name.
pub(in crate::api) async fn list(
    State(service): State<Service>,
    Query(given): Query<Vec<(String, String)>>,
) -> Result<Json<Value>, Problem> {
    Parameters::new(given, &[])?;
    let sensors = list_sensors(&service, Caller::Anonymous).await?;
    Ok(Json(render::sensors(&sensors)))
}
