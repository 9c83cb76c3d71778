//! Routes of the HTTP interface.

use axum::Router;
use axum::http::Uri;
use axum::middleware;
use axum::routing::get;

use super::guard::{self, HostPolicy};
use super::{Problem, rest, sse};
use crate::service::Service;

const PATHS: [&str; 7] =
    ["/", "/health", "/metrics", "/api/v1/alerts", "/api/v1/sensors", "/api/v1/stats", "/api/v1/events"];

/// All routes: the interface, and `pages`, behind the same checks.
pub fn router(service: Service, hosts: HostPolicy, pages: Router<Service>) -> Router {
    Router::new()
        .route("/health", get(rest::health::show))
        .route("/metrics", get(rest::metrics::show))
        .route("/api/v1/alerts", get(rest::alerts::list))
        .route("/api/v1/sensors", get(rest::sensors::list))
        .route("/api/v1/stats", get(rest::stats::show))
        .route("/api/v1/events", get(sse::stream))
        .merge(pages)
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(hosts, guard::check))
        .with_state(service)
}

async fn unknown_path(uri: Uri) -> Problem {
    Problem::not_found(format!("there is no {}", uri.path())).allowed(PATHS)
}

async fn wrong_method() -> Problem {
    Problem::method_not_allowed("this interface only reads").allowed(["GET", "HEAD"])
}
