//! `/api/v1/login`, `/logout`, `/administrator` and `/me`: the log-in itself.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use super::accounts::text;
use super::blocking;
use crate::access::{Credentials, Opened, SESSION_TIME};
use crate::api::authenticate::{DEVICE_COOKIE, SESSION_COOKIE, cookie};
use crate::api::call::{Answered, Call};
use crate::service::{Caller, ChangeError, accounts};

/// Time for which a browser is known to have logged in before.
const DEVICE_COOKIE_S: u32 = 180 * 86_400;

pub(in crate::api) async fn log_in(call: Call) -> Answered {
    let Call { state, client, headers, mut given, .. } = call;
    let credentials = Credentials {
        name: text(&mut given, "name"),
        password: text(&mut given, "password"),
        code: given.text("code").filter(|code| !code.is_empty()),
    };
    let device = cookie(&headers, DEVICE_COOKIE);
    Ok(opened(&state.service.access.log_in(client, device, credentials).await?))
}

pub(in crate::api) async fn set_administrator(call: Call) -> Answered {
    let Call { state, client, mut given, .. } = call;
    let code = text(&mut given, "code");
    let (name, password) = (text(&mut given, "name"), text(&mut given, "password"));
    let credentials = Credentials { name, password, code: None };
    Ok(opened(&state.service.access.set_administrator(client, &code, credentials).await?))
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

pub(in crate::api) async fn log_out(call: Call) -> Answered {
    let Call { state, caller, mut given, .. } = call;
    let all = given.flag("all").unwrap_or_default();
    blocking(move || accounts::log_out(&state.service.access, &caller, all)).await?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    if let Some(cookie) = set_cookie(SESSION_COOKIE, "", 0) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

/// `{"user", "role", "groups", "totp"}`; without a log-in, what is needed for one.
pub(in crate::api) async fn me(call: Call) -> Answered {
    let Call { state, caller, .. } = call;
    let directory = state.service.access.directory();
    let user = caller.user().and_then(|id| directory.user_of(id));
    let via = match (&caller, user) {
        (Caller::Nobody { .. }, _) => "none",
        (Caller::Loopback(_) | Caller::Operator, _) => "loopback",
        (Caller::Account(_), Some(_)) => "password",
        (Caller::Account(_), None) => "key",
    };
    let name = if let Caller::Account(logged_in) = &caller { Some(&logged_in.account.name) } else { None };
    let body = json!({
        "user": name,
        "via": via,
        "role": caller.role().map(crate::model::Role::name),
        "groups": caller.groups(),
        "totp": user.map(|user| user.totp.is_some()),
        "administrator": directory.has_administrator(),
    });
    Ok(Json(body).into_response())
}

pub(in crate::api) async fn change_password(call: Call) -> Answered {
    let Call { state, caller, client, mut given, .. } = call;
    let (present, new) = (text(&mut given, "password"), text(&mut given, "new_password"));
    let (access, who) = (state.service.access.clone(), caller.who());
    let work = move || accounts::change_password(&state.service.access, &caller, &present, &new);
    access.prove(client, &who, work, ChangeError::is_wrong_secret).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Without a code `{"secret", "uri"}`, to be shown once; with a code of that secret it is in force.
pub(in crate::api) async fn set_totp(call: Call) -> Answered {
    let Call { state, caller, client, mut given, .. } = call;
    let (password, code) = (text(&mut given, "password"), given.text("code"));
    let (access, who) = (state.service.access.clone(), caller.who());
    let Some(code) = code else {
        let work = move || accounts::offer_totp(&state.service.access, &caller, &password);
        let (secret, uri) = access.prove(client, &who, work, ChangeError::is_wrong_secret).await?;
        return Ok(Json(json!({ "secret": secret, "uri": uri })).into_response());
    };
    let work = move || accounts::confirm_totp(&state.service.access, &caller, &password, &code);
    access.prove(client, &who, work, ChangeError::is_wrong_secret).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(in crate::api) async fn remove_totp(call: Call) -> Answered {
    let Call { state, caller, client, mut given, .. } = call;
    let (access, who) = (state.service.access.clone(), caller.who());
    let password = text(&mut given, "password");
    let work = move || accounts::remove_totp(&state.service.access, &caller, &password);
    access.prove(client, &who, work, ChangeError::is_wrong_secret).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
