//! `GET /api/v1/stats`: totals, and alerts per minute.

use axum::extract::{Query, State};
use axum::{Extension, Json};
use serde_json::Value;

use crate::api::parameters::Parameters;
use crate::api::{Problem, render};
use crate::service::{Caller, MAX_MINUTES, Service, stats};

const DEFAULT_MINUTES: u16 = 60;

pub(in crate::api) async fn show(
    State(service): State<Service>,
    Extension(caller): Extension<Caller>,
    Query(given): Query<Vec<(String, String)>>,
) -> Result<Json<Value>, Problem> {
    let mut given = Parameters::new(given, &["minutes"])?;
    let minutes = given.number("minutes", 1..=MAX_MINUTES)?.unwrap_or(DEFAULT_MINUTES);
    let stats = stats(&service, caller, minutes).await?;
    Ok(Json(render::stats(&stats)))
}
