//! The page: static files compiled into the program, nothing from any other host.
//!
//! Needs nothing of the interface it reads: any router can serve it. Text that comes from a sensor becomes a text node
//! of the page, never markup.

use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use sentinel_alert::Kind;

/// Routes of the page, for a router with any state.
pub fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/", get(|| file("text/html; charset=utf-8", include_str!("page.html"))))
        .route("/page.css", get(|| file("text/css; charset=utf-8", include_str!("page.css"))))
        .route("/kinds.js", get(kinds))
        .route("/feed.js", get(|| file("text/javascript; charset=utf-8", include_str!("feed.js"))))
        .route("/incidents.js", get(|| file("text/javascript; charset=utf-8", include_str!("incidents.js"))))
        .route("/page.js", get(|| file("text/javascript; charset=utf-8", include_str!("page.js"))))
        .route("/favicon.svg", get(|| file("image/svg+xml", include_str!("favicon.svg"))))
}

/// Titles of the kinds of alerts, by name, for `page.js`. Names and titles are constants of the program: letters, spaces and
/// underscores, so that neither needs to be escaped.
async fn kinds() -> impl IntoResponse {
    let titles = Kind::ALL.map(|kind| format!("{}: \"{}\"", kind.name(), kind.title())).join(", ");
    (
        [(header::CONTENT_TYPE, "text/javascript; charset=utf-8")],
        format!("\"use strict\";\nconst KINDS = {{ {titles} }};\n"),
    )
}

async fn file(media_type: &'static str, body: &'static str) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, media_type)], body)
}
