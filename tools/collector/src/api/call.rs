//! A request for one operation: who asks for it, and its checked parameters.

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequestParts as _, Query, RawPathParams, Request};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use serde_json::{Map, Value};

use super::parameters::{Parameters, Received};
use super::{ApiState, Problem};
use crate::access::Client;
use crate::clock;
use crate::http::{HttpLimit, Peer};
use crate::service::{Caller, Declaration, Method, Place};

/// Longest body of a request, in bytes: a thousand ids and a note.
pub(super) const MAX_BODY_LEN: usize = 64 * 1024;

/// Answer to a request.
pub(super) type Answered = Result<Response, Problem>;

/// A request for one operation.
pub(super) struct Call {
    pub(super) state: ApiState,
    pub(super) caller: Caller,
    pub(super) client: Client,
    pub(super) peer: Peer,
    pub(super) headers: HeaderMap,
    pub(super) given: Parameters,
}

impl Call {
    /// Reads the body, and checks every parameter against its declaration.
    ///
    /// # Errors
    /// A body that is too long, cut off or no JSON object, and the errors of [`Parameters::check`].
    pub(super) async fn read(
        declared: &Declaration,
        state: ApiState,
        request: Request,
    ) -> Result<(Self, Vec<u8>), Problem> {
        let (mut parts, body) = request.into_parts();
        let path = RawPathParams::from_request_parts(&mut parts, &()).await;
        // Not UTF-8: it names nothing.
        let path = path.map(|path| path.iter().map(|(name, value)| (name.into(), value.into())).collect());
        let path = path.unwrap_or_default();
        let query = Query::try_from_uri(&parts.uri).map(|Query(query)| query).unwrap_or_default();
        let bytes = if declared.method == Method::Get { Vec::new() } else { read_body(body).await? };
        let body = members(&parts.headers, &bytes, declared)?;
        let received = Received { path, query, headers: &parts.headers, body, now: clock::now() };
        let given = Parameters::check(declared, received)?;
        let lost = || Problem::internal("the request has lost its client");
        let call = Self {
            state,
            caller: parts.extensions.get().cloned().ok_or_else(lost)?,
            client: *parts.extensions.get().ok_or_else(lost)?,
            peer: parts.extensions.get().cloned().ok_or_else(lost)?,
            headers: parts.headers,
            given,
        };
        Ok((call, bytes))
    }
}

async fn read_body(body: Body) -> Result<Vec<u8>, Problem> {
    let bytes = to_bytes(body, MAX_BODY_LEN).await.map_err(|_| {
        Problem::limit(HttpLimit::Body, "the body is cut off, or too long")
            .allowed([format!("{MAX_BODY_LEN} bytes")])
    })?;
    Ok(bytes.into())
}

/// Members of the body; an empty one has none.
fn members(headers: &HeaderMap, bytes: &[u8], declared: &Declaration) -> Result<Map<String, Value>, Problem> {
    if bytes.is_empty() {
        return Ok(Map::new());
    }
    let media_type = headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default());
    let bare = media_type.and_then(|value| value.split(';').next()).map(str::trim);
    if bare.is_some_and(|bare| !bare.eq_ignore_ascii_case("application/json")) {
        let error = "the Content-Type is not that of JSON";
        return Err(Problem::parameter("Content-Type", error).allowed(["application/json"]));
    }
    serde_json::from_slice(bytes).map_err(|error| {
        let text: String = format!("the body is no JSON object: {error}").chars().take(200).collect();
        let members = declared.parameters.iter().filter(|known| known.place == Place::Body);
        let mut allowed: Vec<&str> = members.map(|known| known.name).collect();
        if allowed.is_empty() {
            allowed.push("no body");
        }
        Problem::parameter("body", text).allowed(allowed)
    })
}
