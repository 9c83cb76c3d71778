//! `GET /health`: can this collector do its work.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::api::App;
use crate::clock;
use crate::store::alerts;

/// 200 if the store can be read and takes alerts, 503 otherwise.
pub(in crate::api) async fn show(State(app): State<App>) -> Response {
    let readable = app.readers.read(alerts::newest).await;
    let storing = !app.metrics.is_store_failing();
    let ok = readable.is_ok() && storing;
    let status = if ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({
        "status": if ok { "ok" } else { "failing" },
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_s": clock::now().since(app.started).as_secs(),
        "store": match (&readable, storing) {
            (Err(error), _) => error.to_string(),
            (Ok(_), false) => "cannot be written, sensors keep their alerts".into(),
            (Ok(_), true) => "ok".into(),
        },
        "sensors_connected": app.sessions.count(),
    });
    (status, Json(body)).into_response()
}
