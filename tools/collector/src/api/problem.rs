//! An error as JSON: the fault, and the allowed values.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::render;
use crate::access::LogInError;
use crate::http::HttpLimit;
use crate::service::{ChangeError, Forbidden, ServiceError};
use crate::store::StoreError;

/// An error answer.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    error: String,
    parameter: Option<String>,
    limit: Option<HttpLimit>,
    allowed: Vec<String>,
    /// Name of the fault, for programs.
    code: Option<&'static str>,
    retry_after: Option<Duration>,
}

impl Problem {
    /// 401: `error` says what a log-in lacks.
    pub fn unauthorized(code: &'static str, error: impl Into<String>) -> Self {
        Self { code: Some(code), ..Self::new(StatusCode::UNAUTHORIZED, error) }
    }

    /// 409: what is there already does not allow it.
    pub fn conflict(error: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, error)
    }

    /// 429: not before `span` is over.
    pub fn too_early(error: impl Into<String>, span: Duration) -> Self {
        Self { retry_after: Some(span), ..Self::new(StatusCode::TOO_MANY_REQUESTS, error) }
    }

    /// 503.
    pub fn unavailable(error: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error)
    }

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
        Self {
            status,
            error: error.into(),
            parameter: None,
            limit: None,
            allowed: Vec::new(),
            code: None,
            retry_after: None,
        }
    }
}

impl From<ServiceError> for Problem {
    fn from(error: ServiceError) -> Self {
        let text = error.to_string();
        match error {
            ServiceError::UnknownSensor { known, .. } => Self::parameter("sensor", text).allowed(known),
            ServiceError::Forbidden(error) => error.into(),
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

impl From<Forbidden> for Problem {
    fn from(error: Forbidden) -> Self {
        let text = error.to_string();
        if error.needs_log_in {
            return Self::unauthorized("log_in", text).allowed(["POST /api/v1/login", "X-API-Key"]);
        }
        Self { code: Some("role"), ..Self::forbidden(text) }
    }
}

impl From<LogInError> for Problem {
    fn from(error: LogInError) -> Self {
        let text = error.to_string();
        match error {
            LogInError::Wrong => Self::unauthorized("wrong", text),
            LogInError::CodeNeeded => Self::unauthorized("code_needed", text),
            LogInError::Closed(span) => Self::too_early(text, span),
            LogInError::Name => Self::parameter("name", text),
            LogInError::Weak(_) => Self::parameter("password", text),
            LogInError::Busy | LogInError::Store(_) => Self::unavailable(text),
        }
    }
}

impl From<ChangeError> for Problem {
    fn from(error: ChangeError) -> Self {
        let text = error.to_string();
        match error {
            ChangeError::Access(error) => error.into(),
            ChangeError::LogIn(error) => error.into(),
            ChangeError::Name(parameter) => Self::parameter(parameter, text),
            ChangeError::Weak(_) => Self::parameter("password", text),
            ChangeError::WrongPassword => Self { code: Some("password"), ..Self::forbidden(text) },
            ChangeError::WrongCode => Self { code: Some("code"), ..Self::forbidden(text) },
            ChangeError::Unknown(..) => Self::not_found(text),
            ChangeError::LastAdministrator | ChangeError::TooMany(..) => Self::conflict(text),
            ChangeError::Store(StoreError::NameTaken(_)) => Self::conflict(text),
            ChangeError::Store(_) => Self::unavailable(text),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let limit = self.limit.map(HttpLimit::name);
        let mut body = render::problem(&self.error, self.parameter.as_deref(), limit, &self.allowed);
        if let (Some(code), Some(members)) = (self.code, body.as_object_mut()) {
            members.insert("code".into(), code.into());
        }
        let mut response = (self.status, Json(body)).into_response();
        let is_busy = self.status == StatusCode::SERVICE_UNAVAILABLE;
        if let Some(span) = self.retry_after.or(is_busy.then_some(Duration::from_secs(1))) {
            let seconds = HeaderValue::from(span.as_secs().max(1));
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        if let Some(limit) = self.limit {
            response.extensions_mut().insert(limit); // counted by `guard::check`
        }
        response
    }
}
