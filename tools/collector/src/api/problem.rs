//! An error as JSON: what was wrong, and what is allowed.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::store::StoreError;

/// An answer that is not what was asked for.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    what: String,
    parameter: Option<String>,
    allowed: Vec<String>,
}

impl Problem {
    /// 400: this parameter has no such value.
    pub fn parameter(name: &str, what: impl Into<String>) -> Self {
        Self { parameter: Some(name.into()), ..Self::new(StatusCode::BAD_REQUEST, what) }
    }

    /// 404.
    pub fn not_found(what: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, what)
    }

    /// 403.
    pub fn forbidden(what: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, what)
    }

    /// 405.
    pub fn method_not_allowed(what: impl Into<String>) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, what)
    }

    /// 500: our bug.
    pub fn internal(what: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, what)
    }

    /// Adds what would have been right.
    #[must_use]
    pub fn allowed<T: Into<String>>(mut self, allowed: impl IntoIterator<Item = T>) -> Self {
        self.allowed = allowed.into_iter().map(Into::into).collect();
        self
    }

    fn new(status: StatusCode, what: impl Into<String>) -> Self {
        Self { status, what: what.into(), parameter: None, allowed: Vec::new() }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, format!("the store cannot be read: {error}"))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = json!({ "error": self.what });
        if let Some(object) = body.as_object_mut() {
            if let Some(parameter) = self.parameter {
                object.insert("parameter".into(), Value::String(parameter));
            }
            if !self.allowed.is_empty() {
                object.insert("allowed".into(), self.allowed.into());
            }
        }
        (self.status, Json(body)).into_response()
    }
}
