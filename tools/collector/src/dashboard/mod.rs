//! The page: static files compiled into the program, nothing from any other host.
//!
//! Needs nothing of the interface it reads: any router can serve it. Text that comes from a sensor becomes a text node
//! of the page, never markup.

use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use sentinel_alert::Kind;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// Routes of the page, for a router with any state.
pub fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/", get(|| file(HTML, include_str!("page.html"))))
        .route("/login", get(|| file(HTML, include_str!("login.html"))))
        .route("/start", get(|| file(HTML, include_str!("start.html"))))
        .route("/account.css", get(|| file(CSS, include_str!("account.css"))))
        .route("/account.js", get(|| file(JAVASCRIPT, include_str!("account.js"))))
        .route("/session.js", get(|| file(JAVASCRIPT, include_str!("session.js"))))
        .route("/page.css", get(|| file(CSS, include_str!("page.css"))))
        .route("/kinds.js", get(kinds))
        .route("/feed.js", get(|| file(JAVASCRIPT, include_str!("feed.js"))))
        .route("/incidents.js", get(|| file(JAVASCRIPT, include_str!("incidents.js"))))
        .route("/page.js", get(|| file(JAVASCRIPT, include_str!("page.js"))))
        .route("/favicon.svg", get(|| file("image/svg+xml", include_str!("favicon.svg"))))
}

/// Titles of the kinds of alerts, by name, for `page.js`. Names and titles are constants of the program: letters, spaces and
/// underscores, so that neither needs to be escaped.
async fn kinds() -> impl IntoResponse {
    let titles = Kind::ALL.map(|kind| format!("{}: \"{}\"", kind.name(), kind.title())).join(", ");
    ([(header::CONTENT_TYPE, JAVASCRIPT)], format!("\"use strict\";\nconst KINDS = {{ {titles} }};\n"))
}

async fn file(media_type: &'static str, body: &'static str) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, media_type)], body)
}
