//! `GET /health`: 200 if alerts can be stored and read, 503 otherwise.

use axum::Json;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use serde_json::json;

use crate::api::call::{Answered, Call};
use crate::api::render;
use crate::service::{StoreHealth, health};

pub(in crate::api) async fn show(call: Call) -> Answered {
    let Call { state, caller, .. } = call;
    let health = health(&state.service, caller.clone()).await?;
    let status = match health.store {
        StoreHealth::Ok => StatusCode::OK,
        StoreHealth::Unwritable(_) | StoreHealth::Unreadable(_) | StoreHealth::Stalled(_) => {
            StatusCode::SERVICE_UNAVAILABLE
        }
    };
    // Who has not logged in learns the state, and nothing of the collector.
    let body = match caller.role() {
        Some(_) => render::health(&health),
        None => json!({ "status": if status == StatusCode::OK { "ok" } else { "failing" } }),
    };
    Ok((status, Json(body)).into_response())
}
