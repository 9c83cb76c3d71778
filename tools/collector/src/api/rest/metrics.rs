//! `GET /metrics`: the counters as `OpenMetrics` text, and for each sensor its counters and telemetry.

use std::convert::Infallible;
use std::fmt;

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::IntoResponse as _;
use futures_util::stream;

use crate::api::call::{Answered, Call};
use crate::api::{Problem, openmetrics};
use crate::service::metrics_snapshot;

const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(in crate::api) async fn show(call: Call) -> Answered {
    let Call { state, caller, .. } = call;
    let service = &state.service;
    let snapshot = metrics_snapshot(service, caller).await?;
    let (list, sessions) = (snapshot.sensors.clone(), service.sessions.clone());
    let make = move || openmetrics::sensors(&list.statuses(&sessions));
    let sensors = state.sensor_metrics.body(snapshot.sensors.read_at, make).await?;
    let counters = openmetrics::counters(&service.metrics, &snapshot, sensors.read_at)
        .map_err(|fmt::Error| Problem::internal("the metrics cannot be written"))?;
    // In three parts: the one of the sensors, megabytes with thousands of them, is not copied.
    let parts = [Bytes::from(counters), sensors.body, Bytes::from_static(openmetrics::EOF.as_bytes())];
    let body = Body::from_stream(stream::iter(parts.map(Ok::<_, Infallible>)));
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], body).into_response())
}
