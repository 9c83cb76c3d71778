//! An error as JSON: the fault, and the allowed values.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::render;
use crate::service::ServiceError;

/// An error answer.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    error: String,
    parameter: Option<String>,
    allowed: Vec<String>,
}

impl Problem {
    /// 400: the parameter `name` has no such value.
    pub fn parameter(name: &str, error: impl Into<String>) -> Self {
        Self { parameter: Some(name.into()), ..Self::new(StatusCode::BAD_REQUEST, error) }
    }

    /// 404.
    pub fn not_found(error: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, error)
    }

    /// 403.
    pub fn forbidden(error: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, error)
    }

    /// 405.
    pub fn method_not_allowed(error: impl Into<String>) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, error)
    }

    /// 500: a fault of this program.
    pub fn internal(error: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, error)
    }

    /// Adds the values that would have been right.
    #[must_use]
    pub fn allowed<T: Into<String>>(mut self, allowed: impl IntoIterator<Item = T>) -> Self {
        self.allowed = allowed.into_iter().map(Into::into).collect();
        self
    }

    fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self { status, error: error.into(), parameter: None, allowed: Vec::new() }
    }
}

impl From<ServiceError> for Problem {
    fn from(error: ServiceError) -> Self {
        let text = error.to_string();
        match error {
            ServiceError::UnknownSensor { known, .. } => Self::parameter("sensor", text).allowed(known),
            ServiceError::Store(_) => Self::new(StatusCode::SERVICE_UNAVAILABLE, text),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = render::problem(&self.error, self.parameter.as_deref(), &self.allowed);
        (self.status, Json(body)).into_response()
    }
}
