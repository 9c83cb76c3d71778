//! Authentication and permission of the sender of a request, before any handler sees it.
//!
//! A path below `/api/` whose method is not declared in [`OPERATIONS`] is not served, whatever routes there are.

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Redirect, Response};

use super::Problem;
use super::guard::{host, is_local_name};
use crate::access::{Access, Client};
use crate::http::Peer;
use crate::service::{Caller, Declaration, OPERATIONS, authorize};

/// The session cookie. The prefix makes browsers keep it to this host, to encrypted connections and to the whole of it (RFC 6265bis
/// section 4.1.3.2).
pub(super) const SESSION_COOKIE: &str = "__Host-sentinel";
/// The cookie by which a browser shows that it has logged in before.
pub(super) const DEVICE_COOKIE: &str = "__Host-sentinel-device";
/// Header of an API key.
const KEY_HEADER: &str = "x-api-key";
/// Headers of proxies: their client is another one than the peer.
const PROXY_HEADERS: [&str; 4] = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];

/// Finds out who sends the request, and refuses it if it may not be sent.
pub(super) async fn check(State(access): State<Access>, mut request: Request, next: Next) -> Response {
    let (caller, client) = match identify(&access, &request) {
        Ok(found) => found,
        Err(problem) => return problem.into_response(),
    };
    let path = request.extensions().get::<MatchedPath>().cloned();
    let path = path.as_ref().map(MatchedPath::as_str);
    match declaration(request.method(), path) {
        Ok(Some(declared)) => {
            if let Err(problem) = permit(&access, &request, &caller, &declared) {
                return problem.into_response();
            }
        }
        Ok(None) => {
            if let Some(page) = page_instead(&access, path, &caller) {
                return page.into_response();
            }
        }
        Err(problem) => return problem.into_response(),
    }
    request.extensions_mut().insert(caller);
    request.extensions_mut().insert(client);
    next.run(request).await
}

fn identify(access: &Access, request: &Request) -> Result<(Caller, Client), Problem> {
    let peer = request.extensions().get::<Peer>();
    let peer = peer.ok_or_else(|| Problem::internal("the client has no address"))?;
    let headers = request.headers();
    let address = peer.address.ip().to_canonical();
    let is_direct = !PROXY_HEADERS.iter().any(|name| headers.contains_key(*name));
    let is_local = address.is_loopback() && is_direct && host(request).is_some_and(is_local_name);
    let client = Client { address, is_local };
    let key = match headers.get(KEY_HEADER).map(|key| key.to_str()) {
        None => None,
        Some(Ok(key)) => Some(key),
        Some(Err(_)) => return Err(unknown_key()),
    };
    let caller = access.identify(client, cookie(headers, SESSION_COOKIE), key).map_err(|_| unknown_key())?;
    Ok((caller, client))
}

fn unknown_key() -> Problem {
    Problem::unauthorized("key", "the key in X-API-Key is not known, or has expired")
}

/// The value of the cookie `name`; none if it comes twice, which no browser sends.
pub(super) fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let texts = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = texts.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut values = pairs.filter(|(of, _)| *of == name).map(|(_, value)| value);
    values.next().filter(|_| values.next().is_none())
}

/// The operation that is asked for; none for a page, or for a path that does not exist.
fn declaration(method: &Method, path: Option<&str>) -> Result<Option<Declaration>, Problem> {
    let Some(path) = path else { return Ok(None) };
    let name = if *method == Method::HEAD { "GET" } else { method.as_str() };
    let found = OPERATIONS.iter().find(|declared| declared.path == path && declared.method.name() == name);
    if found.is_none()
        && (path.starts_with("/api/") || OPERATIONS.iter().any(|declared| declared.path == path))
    {
        return Err(wrong_method(path));
    }
    Ok(found.copied())
}

/// 405 with the methods that `path` has.
pub(super) fn wrong_method(path: &str) -> Problem {
    let of_path = OPERATIONS.iter().filter(|declared| declared.path == path);
    let mut methods: Vec<&str> = of_path.map(|declared| declared.method.name()).collect();
    if methods.is_empty() {
        methods.push("GET");
    }
    Problem::method_not_allowed("this path has no such method").allowed(methods)
}

fn permit(
    access: &Access,
    request: &Request,
    caller: &Caller,
    declared: &Declaration,
) -> Result<(), Problem> {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let has_key = request.headers().contains_key(KEY_HEADER);
    // Whoever has a key chose to send it; cookies and loopback addresses are sent by a browser for any page that asks.
    if !is_read && !has_key {
        check_origin(request)?;
    }
    let Err(error) = authorize(caller, declared.operation) else { return Ok(()) };
    if declared.is_audited && !error.needs_log_in {
        let entry = caller.entry(declared.operation, request.uri().path().into(), "refused: role".into());
        let access = access.clone();
        tokio::task::spawn_blocking(move || access.record_refusal(&entry));
    }
    Err(error.into())
}

/// Refuses a change that a page of another site asks for: `Origin` has to be that of the host, and `Sec-Fetch-Site`, which every
/// present browser sends, has to agree.
fn check_origin(request: &Request) -> Result<(), Problem> {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let is_encrypted = request.extensions().get::<Peer>().is_some_and(|peer| peer.is_encrypted);
    let scheme = if is_encrypted { "https" } else { "http" };
    let own = host(request).map(|host| format!("{scheme}://{}", host.to_ascii_lowercase()));
    let is_own = own.is_some() && header("origin").map(str::to_ascii_lowercase) == own;
    let is_same = header("sec-fetch-site").is_none_or(|site| site == "same-origin");
    if is_own && is_same {
        return Ok(());
    }
    let allowed = own.map(|own| format!("Origin: {own}"));
    let error = "a change needs the header Origin with the address of this collector, or a key in X-API-Key";
    Err(Problem::forbidden(error).code("origin").allowed(allowed))
}

/// The page to which one without a log-in is sent; none for every other page, which shows nothing of alerts.
fn page_instead(access: &Access, path: Option<&str>, caller: &Caller) -> Option<Redirect> {
    if path != Some("/") || caller.role().is_some() {
        return None;
    }
    let page = if access.directory().has_administrator() { "/login" } else { "/start" };
    Some(Redirect::to(page))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_taken_by_its_whole_name_and_once() {
        let headers = |texts: &[&str]| {
            let mut headers = HeaderMap::new();
            for text in texts {
                headers.append(header::COOKIE, text.parse().unwrap());
            }
            headers
        };
        let of = |texts: &[&str]| cookie(&headers(texts), SESSION_COOKIE).map(str::to_owned);
        assert_eq!(of(&["a=b; __Host-sentinel=x; c=d"]).as_deref(), Some("x"));
        assert_eq!(of(&["a=b", "__Host-sentinel=x"]).as_deref(), Some("x"));
        for other in [&["__Host-sentinel-device=x"][..], &["sentinel=x"], &["__Host-sentinel"], &[]] {
            assert_eq!(of(other), None, "{other:?}");
        }
        assert_eq!(of(&["__Host-sentinel=x; __Host-sentinel=y"]), None);
    }

    #[test]
    fn what_is_not_declared_is_not_served() {
        let found =
            |method: &Method, path| declaration(method, path).map(|found| found.map(|found| found.name));
        assert_eq!(found(&Method::HEAD, Some("/api/v1/alerts")).unwrap(), Some("list_alerts"));
        assert_eq!(found(&Method::GET, Some("/page.js")).unwrap(), None);
        assert_eq!(found(&Method::GET, None).unwrap(), None);
        for (method, path) in
            [(Method::POST, "/api/v1/alerts"), (Method::GET, "/api/v1/new"), (Method::POST, "/metrics")]
        {
            assert!(found(&method, Some(path)).is_err(), "{method} {path}");
        }
    }
}
