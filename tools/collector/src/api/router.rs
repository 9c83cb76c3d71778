//! Routes of the HTTP interface.

use std::sync::Arc;

use axum::Router;
use axum::http::Uri;
use axum::middleware;
use axum::routing::{get, post};

use super::guard::{self, Guard, HostPolicy};
use super::{ApiState, Problem, render, rest, sse};
use crate::http::{HttpLimit, HttpLimits};
use crate::service::Service;

const PATHS: [&str; 11] = [
    "/",
    "/health",
    "/metrics",
    "/api/v1/incidents",
    "/api/v1/incidents/ID",
    "/api/v1/incidents/ID/messages",
    "/api/v1/incidents/actions",
    "/api/v1/alerts",
    "/api/v1/sensors",
    "/api/v1/stats",
    "/api/v1/events",
];

/// All routes: the interface, and `pages`, behind the same checks.
pub fn router(service: Service, hosts: HostPolicy, limits: &HttpLimits, pages: Router<ApiState>) -> Router {
    let guard = Guard { hosts, metrics: Arc::clone(&service.metrics.http) };
    Router::new()
        .route("/health", get(rest::health::show))
        .route("/metrics", get(rest::metrics::show))
        .route("/api/v1/alerts", get(rest::alerts::list))
        .route("/api/v1/incidents", get(rest::incidents::list))
        .route("/api/v1/incidents/actions", post(rest::incidents::act))
        .route("/api/v1/incidents/{id}", get(rest::incidents::show).patch(rest::incidents::change))
        .route("/api/v1/incidents/{id}/messages", get(rest::incidents::messages))
        .route("/api/v1/sensors", get(rest::sensors::list))
        .route("/api/v1/stats", get(rest::stats::show))
        .route("/api/v1/events", get(sse::stream))
        .merge(pages)
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(guard, guard::check))
        .with_state(ApiState::new(service, limits))
}

/// Body of the answer to a connection for which there is no place.
#[must_use]
pub fn rejection(limit: HttpLimit) -> String {
    let error = limit.to_string();
    format!("{}\n", render::problem(&error, None, Some(limit.name()), &[]))
}

async fn unknown_path(uri: Uri) -> Problem {
    Problem::not_found(format!("there is no {}", uri.path())).allowed(PATHS)
}

async fn wrong_method(uri: Uri) -> Problem {
    match uri.path() {
        "/api/v1/incidents/actions" => Problem::method_not_allowed("actions are posted").allowed(["POST"]),
        path if path.starts_with("/api/v1/incidents/") && !path.ends_with("/messages") => {
            Problem::method_not_allowed("an incident is read or changed").allowed(["GET", "HEAD", "PATCH"])
        }
        _ => Problem::method_not_allowed("this interface only reads").allowed(["GET", "HEAD"]),
    }
}
