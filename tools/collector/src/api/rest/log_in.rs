//! `/api/v1/login`, `/logout`, `/administrator` and `/me`: the log-in itself.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use serde_json::{Value, json};

use crate::access::{Client, Credentials, Opened, SESSION_TIME};
use crate::api::authenticate::{DEVICE_COOKIE, SESSION_COOKIE, cookie};
use crate::api::members::Members;
use crate::api::{ApiState, Problem};
use crate::service::{Caller, ChangeError, Operation, Service, accounts};

/// Time for which a browser is known to have logged in before.
const DEVICE_COOKIE_S: u32 = 180 * 86_400;

pub(in crate::api) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/api/v1/login", post(log_in))
        .route("/api/v1/logout", post(log_out))
        .route("/api/v1/administrator", post(set_administrator))
        .route("/api/v1/me", get(me))
        .route("/api/v1/me/password", post(change_password))
        .route("/api/v1/me/totp", post(set_totp).delete(remove_totp))
}

async fn members(operation: Operation, request: Request) -> Result<Members, Problem> {
    Members::read(request.into_body(), operation.declaration().parameters).await
}

async fn log_in(
    State(service): State<Service>,
    Extension(client): Extension<Client>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Problem> {
    let mut given = members(Operation::LogIn, request).await?;
    let credentials = Credentials {
        name: given.text("name")?,
        password: given.text("password")?,
        code: given.optional_text("code")?.filter(|code| !code.is_empty()),
    };
    let device = cookie(&headers, DEVICE_COOKIE);
    Ok(opened(&service.access.log_in(client, device, credentials).await?))
}

async fn set_administrator(
    State(service): State<Service>,
    Extension(client): Extension<Client>,
    request: Request,
) -> Result<Response, Problem> {
    let mut given = members(Operation::SetAdministrator, request).await?;
    let code = given.text("code")?;
    let credentials =
        Credentials { name: given.text("name")?, password: given.text("password")?, code: None };
    Ok(opened(&service.access.set_administrator(client, &code, credentials).await?))
}

fn opened(opened: &Opened) -> Response {
    let session = set_cookie(SESSION_COOKIE, opened.session.reveal(), SESSION_TIME.as_secs());
    let device = set_cookie(DEVICE_COOKIE, &opened.device, DEVICE_COOKIE_S.into());
    let mut response = Json(json!({ "user": opened.user })).into_response();
    for cookie in [session, device].into_iter().flatten() {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// RFC 6265bis; the values are letters, digits, `.`, `-` and `_`.
fn set_cookie(name: &str, value: &str, max_age_s: u64) -> Option<HeaderValue> {
    let text = format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age={max_age_s}");
    HeaderValue::try_from(text).ok()
}

async fn log_out(
    State(service): State<Service>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Problem> {
    let mut given = members(Operation::LogOut, request).await?;
    let all = given.flag("all")?.unwrap_or_default();
    blocking(move || accounts::log_out(&service.access, &caller, all)).await?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    if let Some(cookie) = set_cookie(SESSION_COOKIE, "", 0) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

/// `{"user", "role", "groups", "totp"}`; without a log-in, what is needed for one.
async fn me(State(service): State<Service>, Extension(caller): Extension<Caller>) -> Json<Value> {
    let directory = service.access.directory();
    let user = caller.user().and_then(|id| directory.user_of(id));
    let via = match (&caller, user) {
        (Caller::Nobody { .. }, _) => "none",
        (Caller::Loopback(_) | Caller::Operator, _) => "loopback",
        (Caller::Account(_), Some(_)) => "password",
        (Caller::Account(_), None) => "key",
    };
    let name = if let Caller::Account(logged_in) = &caller { Some(&logged_in.account.name) } else { None };
    Json(json!({
        "user": name,
        "via": via,
        "role": caller.role().map(crate::model::Role::name),
        "groups": caller.groups(),
        "totp": user.map(|user| user.totp.is_some()),
        "administrator": directory.has_administrator(),
    }))
}

async fn change_password(
    State(service): State<Service>,
    Extension(caller): Extension<Caller>,
    Extension(client): Extension<Client>,
    request: Request,
) -> Result<StatusCode, Problem> {
    let mut given = members(Operation::ChangePassword, request).await?;
    let (present, new) = (given.text("password")?, given.text("new_password")?);
    let (access, who) = (service.access.clone(), caller.who());
    let work = move || accounts::change_password(&service.access, &caller, &present, &new);
    access.prove(client, &who, work, ChangeError::is_wrong_secret).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Without a code `{"secret", "uri"}`, to be shown once; with a code of that secret it is in force.
async fn set_totp(
    State(service): State<Service>,
    Extension(caller): Extension<Caller>,
    Extension(client): Extension<Client>,
    request: Request,
) -> Result<Response, Problem> {
    let mut given = members(Operation::SetTotp, request).await?;
    let (password, code) = (given.text("password")?, given.optional_text("code")?);
    let (access, who) = (service.access.clone(), caller.who());
    let Some(code) = code else {
        let work = move || accounts::offer_totp(&service.access, &caller, &password);
        let (secret, uri) = access.prove(client, &who, work, ChangeError::is_wrong_secret).await?;
        return Ok(Json(json!({ "secret": secret, "uri": uri })).into_response());
    };
    let work = move || accounts::confirm_totp(&service.access, &caller, &password, &code);
    access.prove(client, &who, work, ChangeError::is_wrong_secret).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn remove_totp(
    State(service): State<Service>,
    Extension(caller): Extension<Caller>,
    Extension(client): Extension<Client>,
    request: Request,
) -> Result<StatusCode, Problem> {
    let mut given = members(Operation::RemoveTotp, request).await?;
    let (access, who, password) = (service.access.clone(), caller.who(), given.text("password")?);
    let work = move || accounts::remove_totp(&service.access, &caller, &password);
    access.prove(client, &who, work, ChangeError::is_wrong_secret).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Runs a change on a thread that may block.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ChangeError> + Send + 'static,
) -> Result<T, Problem> {
    let work = tokio::task::spawn_blocking(work).await;
    Ok(work.map_err(|_| Problem::internal("the change panicked"))??)
}
