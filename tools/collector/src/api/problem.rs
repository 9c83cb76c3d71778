//! An error as JSON: the fault, and the allowed values.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::render;
use crate::http::HttpLimit;
use crate::service::ServiceError;

/// An error answer.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    error: String,
    parameter: Option<String>,
    limit: Option<HttpLimit>,
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

    /// 409, 411, 412 or 415: the state of the incident or the form of the request forbid it.
    pub fn refused(status: StatusCode, error: impl Into<String>) -> Self {
        Self::new(status, error)
    }

    /// 405.
    pub fn method_not_allowed(error: impl Into<String>) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, error)
    }

    /// 503, or 504 and 413 where they say more: `limit` took effect.
    pub fn limit(limit: HttpLimit, error: impl Into<String>) -> Self {
        let status = match limit {
            HttpLimit::QueryDeadline | HttpLimit::RequestTimeout => StatusCode::GATEWAY_TIMEOUT,
            HttpLimit::Body => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self { limit: Some(limit), ..Self::new(status, error) }
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
        Self { status, error: error.into(), parameter: None, limit: None, allowed: Vec::new() }
    }
}

impl From<ServiceError> for Problem {
    fn from(error: ServiceError) -> Self {
        let text = error.to_string();
        match error {
            ServiceError::UnknownSensor { known, .. } => Self::parameter("sensor", text).allowed(known),
            ServiceError::Forbidden(_) => Self::forbidden(text).allowed(["reading"]),
            ServiceError::UnknownIncident(_) => {
                Self::not_found(text).allowed(["the id of an incident of GET /api/v1/incidents"])
            }
            ServiceError::Revision(revision) => Self::new(StatusCode::PRECONDITION_FAILED, text)
                .allowed([format!("If-Match: \"{revision}\""), "no If-Match".to_owned()]),
            ServiceError::Full(_) => {
                Self::new(StatusCode::CONFLICT, text).allowed(["500 changes of one incident"])
            }
            ServiceError::Busy => Self::limit(HttpLimit::Searches, text).allowed(["fewer queries at once"]),
            ServiceError::Deadline(deadline) => Self::limit(HttpLimit::QueryDeadline, text).allowed([
                format!("queries of {} s", deadline.as_secs_f64()),
                "a smaller range: since, until, sensor".to_owned(),
            ]),
            ServiceError::Store(_) => Self::new(StatusCode::SERVICE_UNAVAILABLE, text),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let limit = self.limit.map(HttpLimit::name);
        let body = render::problem(&self.error, self.parameter.as_deref(), limit, &self.allowed);
        let mut response = (self.status, Json(body)).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if let Some(limit) = self.limit {
            response.extensions_mut().insert(limit); // counted by `guard::check`
        }
        response
    }
}
