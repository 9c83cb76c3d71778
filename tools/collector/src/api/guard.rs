//! Checks of every request, and security headers of every answer.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::Problem;
use super::problem::Fault;
use crate::access::Access;
use crate::http::{HttpLimit, HttpMetrics};

/// Content security policy of every answer: nothing but the collector's own files may be loaded or run.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Host names that requests may name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HostPolicy {
    /// `localhost` and IP addresses. A foreign name at a loopback address means that a web page made a browser of
    /// this machine send the request (DNS rebinding).
    LocalOnly,
    /// Any: other machines are meant to reach the collector by whatever name it has there.
    Any,
}

/// State that the checks need.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    pub(super) hosts: HostPolicy,
    pub(super) metrics: Arc<HttpMetrics>,
    /// Has the log.
    pub(super) access: Access,
}

/// Rejects requests with a foreign `Host`, and reads with a body, counts the limit that an answer is about, logs the
/// fault that one is about, and adds headers that limit
/// what a browser does with the answer.
pub(super) async fn check(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let mut response = match admit(guard.hosts, &request) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    if let Some(limit) = response.extensions().get::<HttpLimit>() {
        guard.metrics.count(*limit);
    }
    if let Some(Fault(text)) = response.extensions().get::<Fault>() {
        guard.access.log().limited_warn("http_fault", format_args!("{text}"));
    }
    let headers = response.headers_mut();
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

fn admit(hosts: HostPolicy, request: &Request) -> Result<(), Problem> {
    let headers = request.headers();
    if hosts == HostPolicy::LocalOnly && !host(request).is_some_and(is_local_name) {
        return Err(Problem::forbidden("the Host header does not name this machine")
            .code("host")
            .allowed(["localhost", "an IP address"]));
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Ok(()); // bounded where it is read
    }
    // Nothing else reads a body: the server drops the connection instead of receiving it.
    let has_length = headers.get(header::CONTENT_LENGTH).is_some_and(|length| length != "0");
    if has_length || headers.contains_key(header::TRANSFER_ENCODING) {
        return Err(Problem::limit(HttpLimit::Body, "a request has no body here").allowed(["0 bytes"]));
    }
    Ok(())
}

/// The host that a request names: `Host`, or `:authority` of HTTP/2 (RFC 9113 section 8.3.1).
pub(super) fn host(request: &Request) -> Option<&str> {
    let named = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    named.or_else(|| request.uri().authority().map(Authority::as_str))
}

/// Returns true for `localhost` and IP addresses, with or without a port: no DNS server answers for these.
pub(super) fn is_local_name(host: &str) -> bool {
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
