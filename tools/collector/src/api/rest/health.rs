//! `GET /health`: 200 if alerts can be stored and read, 503 otherwise.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::{Extension, Json};
use serde_json::json;

use crate::api::{Problem, render};
use crate::service::{Caller, Service, StoreHealth, health};

pub(in crate::api) async fn show(
    State(service): State<Service>,
    Extension(caller): Extension<Caller>,
) -> Result<impl IntoResponse, Problem> {
    let health = health(&service, caller.clone()).await?;
    let status = match health.store {
        StoreHealth::Ok => StatusCode::OK,
        StoreHealth::Unwritable | StoreHealth::Unreadable(_) | StoreHealth::Stalled(_) => {
            StatusCode::SERVICE_UNAVAILABLE
        }
    };
    // Who has not logged in learns the state, and nothing of the collector.
    let body = match caller.role() {
        Some(_) => render::health(&health),
        None => json!({ "status": if status == StatusCode::OK { "ok" } else { "failing" } }),
    };
    Ok((status, Json(body)))
}
