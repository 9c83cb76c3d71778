//! The HTTP interface: health, metrics, alerts, sensors, statistics, events, and the page.
//!
//! Reads only. It is meant for this machine (loopback), because nobody has to say who he is yet.

mod parameters;
mod problem;
mod rest;
mod sse;

pub(crate) use parameters::{parse_rfc3339, parse_span};
pub use problem::Problem;
pub(crate) use rest::sensors::row as sensor_row;

use rest::{alerts, health, metrics, sensors, stats};
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Uri, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::get;
use sentinel_units::Timestamp;
use tokio::sync::watch;

use crate::dashboard;
use crate::ingest::Sessions;
use crate::metrics::Metrics;
use crate::store::{Events, Readers};

/// What the handlers read from. Cheap to clone.
#[derive(Clone, Debug)]
pub struct App {
    /// The store.
    pub readers: Readers,
    /// What is stored and announced from now on.
    pub events: Events,
    /// Who is connected.
    pub sessions: Sessions,
    /// The counters.
    pub metrics: Arc<Metrics>,
    /// When this process started.
    pub started: Timestamp,
    /// Turns true when the process stops; streams end then.
    pub stopping: watch::Receiver<bool>,
    /// Whether requests may name any host. False on loopback, where a foreign name means that a web
    /// page made a browser of this machine ask (DNS rebinding).
    pub allow_remote_host_header: bool,
}

/// All routes.
pub fn router(app: App) -> Router {
    Router::new()
        .route("/health", get(health::show))
        .route("/metrics", get(metrics::show))
        .route("/api/v1/alerts", get(alerts::list))
        .route("/api/v1/sensors", get(sensors::list))
        .route("/api/v1/stats", get(stats::show))
        .route("/api/v1/events", get(sse::stream))
        .merge(dashboard::router())
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(app.clone(), guard))
        .with_state(app)
}

const PATHS: [&str; 7] =
    ["/", "/health", "/metrics", "/api/v1/alerts", "/api/v1/sensors", "/api/v1/stats", "/api/v1/events"];

async fn unknown_path(uri: Uri) -> Problem {
    Problem::not_found(format!("there is no {}", uri.path())).allowed(PATHS)
}

async fn wrong_method() -> Problem {
    Problem::method_not_allowed("this interface only reads").allowed(["GET", "HEAD"])
}

/// Refuses requests that name a foreign host, and puts the headers on every answer that keep a browser
/// from doing more with it than we meant.
async fn guard(State(app): State<App>, request: Request, next: Next) -> Result<Response, Problem> {
    if !app.allow_remote_host_header {
        let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
        if !host.is_some_and(is_local_name) {
            return Err(Problem::forbidden("the Host header does not name this machine")
                .allowed(["localhost", "an IP address"]));
        }
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, dashboard::CONTENT_SECURITY_POLICY),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    Ok(response)
}

/// `localhost` or an IP address, with or without a port: names that no foreign DNS server answers for.
fn is_local_name(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    bare.eq_ignore_ascii_case("localhost") || bare.parse::<std::net::IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_dns_cannot_forge_are_local() {
        for name in ["localhost", "LOCALHOST:80", "127.0.0.1:8080", "[::1]:8080", "192.0.2.1"] {
            assert!(is_local_name(name), "{name}");
        }
        for name in
            ["", "evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example"]
        {
            assert!(!is_local_name(name), "{name}");
        }
    }
}
