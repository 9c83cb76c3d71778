//! An error as JSON: `{"error", "code", "parameter", "limit", "allowed", "request"}`.
//!
//! | status | of |
//! |---|---|
//! | 400 | a parameter or a body |
//! | 401 | no log-in, or a wrong one |
//! | 403 | no permission |
//! | 404 | a path, or an object that does not exist for the caller |
//! | 405 | a method |
//! | 409 | a state that forbids it |
//! | 413 | a body that is too long |
//! | 429 | a client that has to wait, with `Retry-After` |
//! | 500 | a fault of this program |
//! | 503 | a store, or a limit of all clients, with `Retry-After` |

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};

use crate::access::LogInError;
use crate::http::HttpLimit;
use crate::service::parameter::{NAME_FORM, PASSWORD_FORM};
use crate::service::{ChangeError, Forbidden, ServiceError};
use crate::store::StoreError;

/// Values in `allowed`, at most.
const MAX_ALLOWED: usize = 20;
/// Time for which a client waits before it asks a busy collector again.
const BUSY_TIME: Duration = Duration::from_secs(1);

/// An error answer.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    error: String,
    /// Name of the fault, for programs.
    code: &'static str,
    parameter: Option<String>,
    limit: Option<HttpLimit>,
    allowed: Vec<String>,
    retry_after: Option<Duration>,
    /// Name of this request, by which the log has it as well.
    request: u64,
}

/// A fault of the collector, beside its answer, for the log.
#[derive(Clone, Debug)]
pub(super) struct Fault(pub(super) String);

impl Problem {
    /// 401: `error` says what a log-in lacks.
    pub fn unauthorized(code: &'static str, error: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, code, error)
    }

    /// 409: what is there already does not allow it.
    pub fn conflict(error: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", error)
    }

    /// 429: not before `span` is over.
    pub fn too_early(error: impl Into<String>, span: Duration) -> Self {
        Self { retry_after: Some(span), ..Self::new(StatusCode::TOO_MANY_REQUESTS, "too_early", error) }
    }

    /// 503.
    pub fn unavailable(error: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", error)
    }

    /// 400: the parameter `name` has no such value.
    pub fn parameter(name: &str, error: impl Into<String>) -> Self {
        Self { parameter: Some(name.into()), ..Self::new(StatusCode::BAD_REQUEST, "parameter", error) }
    }

    /// 404.
    pub fn not_found(error: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", error)
    }

    /// 403.
    pub fn forbidden(error: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", error)
    }

    /// 405.
    pub fn method_not_allowed(error: impl Into<String>) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method", error)
    }

    /// 503, or 413 for a body: `limit` took effect.
    pub fn limit(limit: HttpLimit, error: impl Into<String>) -> Self {
        let status = match limit {
            HttpLimit::Body => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self { limit: Some(limit), ..Self::new(status, limit.name(), error) }
    }

    /// 500: a fault of this program.
    pub fn internal(error: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", error)
    }

    /// Adds the values that would have been right; those past the twentieth are left out.
    #[must_use]
    pub fn allowed<T: Into<String>>(mut self, allowed: impl IntoIterator<Item = T>) -> Self {
        self.allowed = allowed.into_iter().take(MAX_ALLOWED).map(Into::into).collect();
        self
    }

    /// With another name of the fault.
    #[must_use]
    pub fn code(self, code: &'static str) -> Self {
        Self { code, ..self }
    }

    /// 404 in place of 400: the parameter is a part of the path, which names nothing then.
    #[must_use]
    pub(super) fn into_not_found(self, name: &str) -> Self {
        let error = format!("there is no such {name}: {}", self.error);
        Self { status: StatusCode::NOT_FOUND, code: "not_found", parameter: None, error, ..self }
    }

    /// The body of the answer.
    #[must_use]
    pub fn body(&self) -> Value {
        let mut object = Map::new();
        object.insert("error".into(), self.error.as_str().into());
        object.insert("code".into(), self.code.into());
        object.insert("request".into(), format!("{:016x}", self.request).into());
        if let Some(parameter) = &self.parameter {
            object.insert("parameter".into(), parameter.as_str().into());
        }
        if let Some(limit) = self.limit {
            object.insert("limit".into(), limit.name().into());
        }
        if !self.allowed.is_empty() {
            object.insert("allowed".into(), self.allowed.as_slice().into());
        }
        Value::Object(object)
    }

    fn new(status: StatusCode, code: &'static str, error: impl Into<String>) -> Self {
        Self {
            status,
            error: error.into(),
            code,
            parameter: None,
            limit: None,
            allowed: Vec::new(),
            retry_after: None,
            request: request_name(),
        }
    }
}

/// Sixteen random hexadecimal digits: neither a client nor the log counts requests by them.
fn request_name() -> u64 {
    let mut bytes = [0; 8];
    // Without randomness the answer has a name that others have as well.
    let _ = getrandom::fill(&mut bytes);
    u64::from_ne_bytes(bytes)
}

/// `all`, those first that have the most pairs of neighbouring letters in common with `given`: of many, the one that was meant.
pub(super) fn nearest<'n>(given: &str, all: impl Iterator<Item = &'n str>) -> Vec<&'n str> {
    let pairs = |text: &str| -> Vec<[u8; 2]> {
        let mut pairs: Vec<[u8; 2]> =
            text.as_bytes().windows(2).filter_map(|pair| pair.try_into().ok()).collect();
        pairs.sort_unstable();
        pairs.dedup();
        pairs
    };
    let start: String = given.chars().take(80).collect();
    let wanted = pairs(&start);
    let mut sorted: Vec<&str> = all.collect();
    sorted.sort_by_cached_key(|name| {
        let own = pairs(name);
        let common = own.iter().filter(|pair| wanted.contains(pair)).count();
        // Of two with the same pairs the shorter one.
        (usize::MAX - common, if common > 0 { name.len() } else { 0 })
    });
    sorted
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
            ServiceError::Revision(revision) => Self::conflict(text)
                .code("changed")
                .allowed([format!("If-Match: \"{revision}\""), "no If-Match".to_owned()]),
            ServiceError::Full(_) => {
                Self::conflict(text).code("full").allowed(["500 changes of one incident"])
            }
            ServiceError::Busy => Self::limit(HttpLimit::Searches, text).allowed(["fewer queries at once"]),
            ServiceError::Deadline(deadline) => Self::limit(HttpLimit::QueryDeadline, text).allowed([
                format!("queries of {} s", deadline.as_secs_f64()),
                "a smaller range: since, until, sensor".to_owned(),
            ]),
            ServiceError::Store(_) => Self::unavailable(text),
        }
    }
}

impl From<Forbidden> for Problem {
    fn from(error: Forbidden) -> Self {
        let text = error.to_string();
        if error.needs_log_in {
            return Self::unauthorized("log_in", text).allowed(["POST /api/v1/login", "X-API-Key"]);
        }
        Self::forbidden(text).code("role")
    }
}

impl From<LogInError> for Problem {
    fn from(error: LogInError) -> Self {
        let text = error.to_string();
        match error {
            LogInError::Wrong => Self::unauthorized("wrong", text),
            LogInError::CodeNeeded => Self::unauthorized("code_needed", text),
            LogInError::Closed(span) => Self::too_early(text, span),
            LogInError::Name => Self::parameter("name", text).allowed([NAME_FORM]),
            LogInError::Weak(_) => Self::parameter("password", text).allowed([PASSWORD_FORM]),
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
            ChangeError::Name(parameter) => Self::parameter(parameter, text).allowed([NAME_FORM]),
            ChangeError::Weak(_) => Self::parameter("password", text).allowed([PASSWORD_FORM]),
            ChangeError::WrongPassword => Self::forbidden(text).code("password"),
            ChangeError::WrongCode => Self::forbidden(text).code("code"),
            ChangeError::Unknown(..) => Self::not_found(text),
            ChangeError::LastAdministrator | ChangeError::TooMany(..) => Self::conflict(text),
            ChangeError::Store(StoreError::NameTaken(_)) => Self::conflict(text),
            ChangeError::Store(_) => Self::unavailable(text),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body())).into_response();
        let is_busy = self.status == StatusCode::SERVICE_UNAVAILABLE;
        if let Some(span) = self.retry_after.or(is_busy.then_some(BUSY_TIME)) {
            let seconds = HeaderValue::from(span.as_secs().max(1));
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        match self.limit {
            Some(limit) => drop(response.extensions_mut().insert(limit)), // counted by `guard::check`
            None if self.status.is_server_error() => {
                let fault = format!("request {:016x}: {}", self.request, self.error);
                drop(response.extensions_mut().insert(Fault(fault))); // logged by `guard::check`
            }
            None => {}
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_names_those_that_were_meant_come_first() {
        let names = ["arp_spoof", "syn_flood", "port_scan", "dns_tunnel"];
        for (given, first) in
            [("portscan", "port_scan"), ("SYN_FLOOD syn", "syn_flood"), ("tunel", "dns_tunnel")]
        {
            assert_eq!(nearest(given, names.into_iter())[0], first);
        }
        assert_eq!(nearest("", names.into_iter()), names, "as they were");
        let many = Problem::parameter("x", "wrong").allowed((0..100).map(|number| number.to_string()));
        assert_eq!(many.body()["allowed"].as_array().unwrap().len(), MAX_ALLOWED);
    }
}
