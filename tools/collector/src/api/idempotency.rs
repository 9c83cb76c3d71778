//! Answers to requests with an `Idempotency-Key`: a request that is repeated gets the answer again, and nothing is done twice.
//!
//! Only what was done is kept; what was refused may be tried again. A key belongs to its caller, with its rights, and to one request:
//! another caller does not meet it, and another request with it is refused. Answers have secrets (tokens, keys, cookies), so they are
//! in memory alone and for [`KEPT_FOR`]; permission is checked before each of them.
//!
//! Bounds: [`MAX_KEYS`] in all, [`MAX_KEYS_OF_CALLER`] of one caller, [`MAX_BYTES`] of answers. Past them the oldest goes, which is counted.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};

use super::Problem;
use crate::access::secret::sha256;
use crate::http::{HttpLimit, HttpMetrics};
use crate::service::Caller;

/// Time for which an answer is kept.
const KEPT_FOR: Duration = Duration::from_secs(3_600);
/// Keys of all callers, at most.
const MAX_KEYS: usize = 1_024;
/// Keys of one caller, at most.
const MAX_KEYS_OF_CALLER: usize = 128;
/// Bytes of all answers, at most, and of the longest that is kept: that to a change of a thousand incidents.
const MAX_BYTES: usize = 4 << 20;
const MAX_ANSWER_LEN: usize = 64 * 1024;

type Digest = [u8; 32];

/// Kept answers. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Idempotency {
    kept: Arc<Mutex<HashMap<Digest, Kept>>>,
    metrics: Arc<HttpMetrics>,
}

#[derive(Debug)]
struct Kept {
    caller: Digest,
    request: Digest,
    at: Instant,
    /// None while the request is being answered.
    answer: Option<Answer>,
}

#[derive(Clone, Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// A request that is to be done. If it is dropped, the key may be used again.
#[derive(Debug)]
pub(super) struct Ticket {
    of: Idempotency,
    key: Digest,
}

/// Handling of a request with a key.
pub(super) enum Begun {
    /// Do it.
    First(Ticket),
    /// It was done: its answer.
    Again(Response),
}

impl Idempotency {
    pub(super) fn new(metrics: Arc<HttpMetrics>) -> Self {
        Self { kept: Arc::default(), metrics }
    }

    /// Looks for the key `name` of a caller.
    ///
    /// # Errors
    /// The key was used for another request, or the request is still being answered.
    pub(super) fn begin(&self, caller: &Caller, name: &[u8], request: &[&[u8]]) -> Result<Begun, Problem> {
        let caller = digest(&[identity(caller).as_bytes()]);
        let (key, request, now) = (digest(&[&caller, name]), digest(request), Instant::now());
        let mut kept = self.lock();
        kept.retain(|_, kept| kept.answer.is_none() || now.duration_since(kept.at) < KEPT_FOR);
        match kept.get(&key) {
            Some(known) if known.request != request => {
                let error = "the Idempotency-Key was used for another request";
                return Err(Problem::conflict(error).code("key_used").allowed(["a new Idempotency-Key"]));
            }
            Some(Kept { answer: None, .. }) => {
                let error = "a request with this Idempotency-Key is being answered";
                return Err(Problem::conflict(error)
                    .code("in_progress")
                    .allowed(["the same request, later"]));
            }
            Some(Kept { answer: Some(answer), .. }) => return Ok(Begun::Again(answer.clone().into())),
            None => {}
        }
        self.make_room(&mut kept, &caller);
        kept.insert(key, Kept { caller, request, at: now, answer: None });
        drop(kept);
        Ok(Begun::First(Ticket { of: self.clone(), key }))
    }

    /// Removes the oldest answers until there is room for one more key of `caller`. Requests that are being answered stay: their
    /// number is that of connections.
    fn make_room(&self, kept: &mut HashMap<Digest, Kept>, caller: &Digest) {
        loop {
            let of_caller = kept.values().filter(|kept| kept.caller == *caller).count() >= MAX_KEYS_OF_CALLER;
            let bytes: usize = kept.values().filter_map(|kept| Some(kept.answer.as_ref()?.body.len())).sum();
            if !of_caller && kept.len() < MAX_KEYS && bytes + MAX_ANSWER_LEN <= MAX_BYTES {
                return;
            }
            let done = kept.iter().filter(|(_, kept)| kept.answer.is_some());
            let mut candidates = done.filter(|(_, kept)| !of_caller || kept.caller == *caller);
            let first = candidates.next();
            let oldest = candidates.fold(first, |oldest, next| match oldest {
                Some(oldest) if oldest.1.at <= next.1.at => Some(oldest),
                _ => Some(next),
            });
            let Some(key) = oldest.map(|(key, _)| *key) else { return };
            kept.remove(&key);
            self.metrics.count(HttpLimit::IdempotencyKeys);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    /// Keeps the answer if something was done, and returns it.
    pub(super) async fn finish(self, response: Response) -> Response {
        if !response.status().is_success() {
            return response;
        }
        let (parts, body) = response.into_parts();
        let Ok(body) = to_bytes(body, MAX_ANSWER_LEN).await else {
            return Problem::internal("the answer is too long to be kept").into_response();
        };
        let answer = Answer { status: parts.status, headers: parts.headers, body };
        if let Some(kept) = self.of.lock().get_mut(&self.key) {
            kept.answer = Some(answer.clone());
        }
        answer.into()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut kept = self.of.lock();
        if kept.get(&self.key).is_some_and(|kept| kept.answer.is_none()) {
            kept.remove(&self.key);
        }
    }
}

impl From<Answer> for Response {
    fn from(answer: Answer) -> Self {
        let mut response = Self::new(Body::from(answer.body));
        *response.status_mut() = answer.status;
        *response.headers_mut() = answer.headers;
        response
    }
}

/// The caller as a text: an account with its rights, so that one who has lost some does not get what it had; without a log-in the
/// address.
fn identity(caller: &Caller) -> String {
    match caller {
        Caller::Operator | Caller::Loopback(_) => format!("{caller:?}"),
        Caller::Nobody { address, is_local } => format!("nobody {address} {is_local}"),
        Caller::Account(logged_in) => format!("{:?}", logged_in.account),
    }
}

/// SHA-256 of the parts, each with its length before it: no two lists of parts have the same bytes.
fn digest(parts: &[&[u8]]) -> Digest {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    sha256(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Role;

    fn first(of: &Idempotency, caller: &Caller, name: &str, request: &str) -> Ticket {
        match of.begin(caller, name.as_bytes(), &[request.as_bytes()]).unwrap() {
            Begun::First(ticket) => ticket,
            Begun::Again(response) => panic!("{response:?}"),
        }
    }

    async fn done(ticket: Ticket, status: StatusCode, text: &str) {
        let response = ticket.finish((status, text.to_owned()).into_response()).await;
        assert_eq!(response.status(), status);
    }

    #[tokio::test]
    async fn a_key_belongs_to_its_caller_and_its_request() {
        let of = Idempotency::new(Arc::default());
        let (one, other) = (Caller::Loopback(Role::Admin), Caller::Loopback(Role::Viewer));
        let ticket = first(&of, &one, "k", "request");
        let busy = of.begin(&one, b"k", &[b"request"]);
        assert!(busy.is_err_and(|problem| problem.body()["code"] == "in_progress"));
        done(ticket, StatusCode::CREATED, "made").await;
        let Begun::Again(again) = of.begin(&one, b"k", &[b"request"]).unwrap() else { panic!() };
        assert_eq!(again.status(), StatusCode::CREATED);
        assert_eq!(to_bytes(again.into_body(), 100).await.unwrap(), "made");
        let used = of.begin(&one, b"k", &[b"another"]);
        assert!(used.is_err_and(|problem| problem.body()["code"] == "key_used"));
        drop(first(&of, &other, "k", "request"));
        // What was refused, or was given up, may be tried again.
        done(first(&of, &one, "refused", "r"), StatusCode::CONFLICT, "no").await;
        drop(first(&of, &one, "refused", "r"));
        drop(first(&of, &one, "refused", "r"));
    }

    #[tokio::test]
    async fn keys_and_bytes_are_bounded_and_the_oldest_of_the_caller_goes() {
        let of = Idempotency::new(Arc::default());
        let (one, other) = (Caller::Loopback(Role::Admin), Caller::Loopback(Role::Viewer));
        done(first(&of, &other, "kept", "r"), StatusCode::OK, "x").await;
        for number in 0..=MAX_KEYS_OF_CALLER {
            done(first(&of, &one, &number.to_string(), "r"), StatusCode::OK, "x").await;
        }
        drop(first(&of, &one, "0", "r"));
        assert!(matches!(of.begin(&one, b"2", &[b"r"]), Ok(Begun::Again(_))));
        assert!(matches!(of.begin(&other, b"kept", &[b"r"]), Ok(Begun::Again(_))));
        let long = "x".repeat(MAX_ANSWER_LEN);
        for number in 0..MAX_BYTES / MAX_ANSWER_LEN + 10 {
            done(first(&of, &other, &format!("long {number}"), "r"), StatusCode::OK, &long).await;
        }
        let bytes: usize = of.lock().values().map(|kept| kept.answer.as_ref().unwrap().body.len()).sum();
        assert!(bytes <= MAX_BYTES, "{bytes}");
    }
}
