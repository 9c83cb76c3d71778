//! The page: three files inside the program, nothing from anywhere else.
//!
//! It reads the same interface as every other client. Whatever comes from a sensor goes into the page as
//! text, never as markup, and the content security policy forbids everything that is not ours.

use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use sentinel_alert::Kind;

use crate::api::App;

/// What a browser may do with anything we answer.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The routes of the page.
pub fn router() -> Router<App> {
    Router::new()
        .route("/", get(|| file("text/html; charset=utf-8", include_str!("page.html"))))
        .route("/page.css", get(|| file("text/css; charset=utf-8", include_str!("page.css"))))
        .route("/kinds.js", get(kinds))
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
