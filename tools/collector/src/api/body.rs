//! Requests that change something: their origin and form, and their body of JSON.
//!
//! A page of another site can make a browser of this machine send requests here. It cannot give them this media type without asking
//! first, which is not answered, nor hide where it comes from: both are checked.

use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, header};
use serde::de::DeserializeOwned;

use super::Problem;
use crate::http::HttpLimit;

/// Longest body: a thousand numbers and a note.
const MAX_LEN: usize = 64 * 1024;
/// Paths below which something can be changed.
const CHANGEABLE: &str = "/api/v1/incidents";

/// Returns true for a request that may have a body.
pub(super) fn is_change(request: &Request) -> bool {
    let path = request.uri().path();
    matches!(*request.method(), Method::POST | Method::PATCH) && path.starts_with(CHANGEABLE)
}

/// Checks what can be told before the body has come.
///
/// # Errors
/// A foreign origin, another media type, no length, or one that is too much.
pub(super) fn admit(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let is_foreign = text(header::ORIGIN).is_some_and(|origin| {
        let host = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        // HTTP/2 names the host elsewhere; `authenticate` compares with that.
        host.is_none() || text(header::HOST).is_some_and(|own| host != Some(own))
    });
    let site = headers.get("sec-fetch-site").map(|value| value.to_str().unwrap_or_default());
    if is_foreign || site.is_some_and(|site| site != "same-origin" && site != "none") {
        return Err(Problem::forbidden("the request comes from a page of another site")
            .allowed(["the page of this collector", "a program that sends no Origin"]));
    }
    let media_type = text(header::CONTENT_TYPE).and_then(|value| value.split(';').next());
    if !media_type.is_some_and(|media_type| media_type.trim().eq_ignore_ascii_case("application/json")) {
        let error = "the Content-Type is not that of JSON";
        return Err(Problem::refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, error).allowed(["application/json"]));
    }
    match text(header::CONTENT_LENGTH).and_then(|length| length.parse::<usize>().ok()) {
        Some(length) if length <= MAX_LEN => Ok(()),
        Some(_) => Err(Problem::limit(HttpLimit::Body, "the body is too long").allowed([allowed_len()])),
        None => Err(Problem::refused(StatusCode::LENGTH_REQUIRED, "the body has no length")
            .allowed(["Content-Length"])),
    }
}

/// The body as a value of JSON.
///
/// # Errors
/// A body that does not come, is no JSON, or has other members; `allowed` is told then.
pub(super) async fn read<T: DeserializeOwned>(request: Request, allowed: &[&str]) -> Result<T, Problem> {
    let bytes = to_bytes(request.into_body(), MAX_LEN).await;
    let bytes =
        bytes.map_err(|_| Problem::parameter("body", "the body did not come").allowed([allowed_len()]))?;
    serde_json::from_slice(&bytes).map_err(|error| {
        let text: String = error.to_string().chars().take(200).collect();
        Problem::parameter("body", text).allowed(allowed.iter().copied())
    })
}

fn allowed_len() -> String {
    format!("{MAX_LEN} bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(pairs: &[(&str, &str)]) -> bool {
        let mut headers = HeaderMap::new();
        let base =
            [("host", "localhost:8080"), ("content-type", "application/json"), ("content-length", "2")];
        for (name, value) in base.iter().chain(pairs) {
            headers.insert(header::HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        admit(&headers).is_ok()
    }

    #[test]
    fn requests_of_other_sites_and_of_forms_are_refused() {
        for pairs in [
            [].as_slice(),
            &[("origin", "http://localhost:8080")],
            &[("sec-fetch-site", "same-origin")],
            &[("sec-fetch-site", "none")],
            &[("content-type", "application/json; charset=utf-8")],
            &[("content-length", "65536")],
        ] {
            assert!(admitted(pairs), "{pairs:?}");
        }
        for pair in [
            ("origin", "http://evil.example"),
            ("origin", "http://localhost:8081"),
            ("origin", "null"),
            ("origin", ""),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("content-type", "text/plain"),
            ("content-type", "application/x-www-form-urlencoded"),
            ("content-type", "text/plain;application/json"),
            ("content-length", "65537"),
            ("content-length", "-1"),
        ] {
            assert!(!admitted(&[pair]), "{pair:?}");
        }
    }
}
