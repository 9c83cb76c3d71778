//! `GET /metrics`: the counters as `OpenMetrics` text, and for each sensor its counters and telemetry.

use std::fmt;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use crate::api::{Problem, openmetrics};
use crate::service::{Caller, Service, metrics_snapshot};

const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(in crate::api) async fn show(State(service): State<Service>) -> Result<impl IntoResponse, Problem> {
    let snapshot = metrics_snapshot(&service, Caller::Anonymous).await?;
    let body = openmetrics::encode(&service.metrics, &snapshot)
        .map_err(|fmt::Error| Problem::internal("the metrics cannot be written"))?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], body))
}
