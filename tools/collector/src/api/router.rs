//! Routes of the HTTP interface.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath};
use axum::http::Uri;
use axum::middleware;
use axum::routing::{get, post};

use super::guard::{self, Guard, HostPolicy};
use super::{ApiState, Problem, authenticate, render, rest, sse};
use crate::http::{HttpLimit, HttpLimits};
use crate::service::{OPERATIONS, Service};

/// Longest body of a request, in bytes.
const MAX_BODY_LEN: usize = 64 * 1024;

/// All routes: the interface, and `pages`, behind the same checks.
pub fn router(service: Service, hosts: HostPolicy, limits: &HttpLimits, pages: Router<ApiState>) -> Router {
    let guard = Guard { hosts, metrics: Arc::clone(&service.metrics.http) };
    let access = service.access.clone();
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
        .merge(rest::log_in::routes())
        .merge(rest::accounts::routes())
        .merge(rest::enrollment::routes())
        .merge(pages)
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(access, authenticate::check))
        .layer(middleware::from_fn_with_state(guard, guard::check))
        .layer(DefaultBodyLimit::max(MAX_BODY_LEN))
        .with_state(ApiState::new(service, limits))
}

/// Body of the answer to a connection for which there is no place.
#[must_use]
pub fn rejection(limit: HttpLimit) -> String {
    let error = limit.to_string();
    format!("{}\n", render::problem(&error, None, Some(limit.name()), &[]))
}

async fn unknown_path(uri: Uri) -> Problem {
    let path: String = uri.path().chars().take(80).collect();
    Problem::not_found(format!("there is no {path}")).allowed(paths())
}

/// Paths that are named to one who asked for another, at most.
const MAX_PATHS: usize = 20;

/// Paths of the operations, each once.
fn paths() -> impl Iterator<Item = &'static str> {
    let earlier = |index: usize| OPERATIONS.iter().take(index).map(|declared| declared.path);
    let all = OPERATIONS.iter().map(|declared| declared.path).enumerate();
    let unique = all.filter(move |(index, path)| !earlier(*index).any(|before| before == *path));
    std::iter::once("/").chain(unique.map(|(_, path)| path)).take(MAX_PATHS)
}

async fn wrong_method(path: Option<MatchedPath>) -> Problem {
    authenticate::wrong_method(path.as_ref().map_or("/", MatchedPath::as_str))
}
