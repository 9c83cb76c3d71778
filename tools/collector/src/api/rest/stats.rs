//! `GET /api/v1/stats`: totals, and alerts per minute.

use axum::Json;
use axum::response::IntoResponse as _;

use crate::api::call::{Answered, Call};
use crate::api::render;
use crate::service::stats;

pub(in crate::api) async fn show(call: Call) -> Answered {
    let Call { state, caller, mut given, .. } = call;
    let minutes = given.number("minutes").unwrap_or_default();
    let stats = stats(&state.service, caller, minutes).await?;
    Ok(Json(render::stats(&stats)).into_response())
}
