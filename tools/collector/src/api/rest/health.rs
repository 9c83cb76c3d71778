//! `GET /health`: 200 if alerts can be stored and read, 503 otherwise.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;

use crate::api::{Problem, render};
use crate::service::{Caller, Service, StoreHealth, health};

pub(in crate::api) async fn show(State(service): State<Service>) -> Result<impl IntoResponse, Problem> {
    let health = health(&service, Caller::Anonymous).await?;
    let status = match health.store {
        StoreHealth::Ok => StatusCode::OK,
        StoreHealth::Unwritable | StoreHealth::Unreadable(_) | StoreHealth::Stalled(_) => {
            StatusCode::SERVICE_UNAVAILABLE
        }
    };
    Ok((status, Json(render::health(&health))))
}
