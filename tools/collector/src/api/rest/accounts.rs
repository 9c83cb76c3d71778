//! `/api/v1/users`, `/keys` and `/audit`: who may come in, and what they did.

use std::collections::BTreeSet;

use axum::Json;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use serde_json::json;

use super::blocking;
use crate::api::call::{Answered, Call};
use crate::api::parameters::Parameters;
use crate::api::{Problem, cursor, render};
use crate::clock;
use crate::model::{ApiKey, Groups, Role, User};
use crate::service::accounts::{self, Rights, UserChange};
use crate::service::{Operation, authorize};

/// Filters that a cursor of the audit is tied to: none.
const AUDIT: &str = "audit";

fn role(given: &mut Parameters) -> Option<Role> {
    given.choices("role", &Role::ALL, Role::name).pop()
}

/// Groups: `Some(None)` for every sensor, none if the member is missing.
fn groups(given: &mut Parameters) -> Option<Groups> {
    given.list("groups").map(|list| list.map(|names| names.into_iter().collect::<BTreeSet<String>>()))
}

/// Rights of a new account: both have been said.
fn rights(given: &mut Parameters) -> Rights {
    // The least that there is, in place of what cannot be missing.
    Rights {
        role: role(given).unwrap_or(Role::Viewer),
        groups: groups(given).unwrap_or(Some(BTreeSet::new())),
    }
}

pub(in crate::api) async fn list_users(call: Call) -> Answered {
    let Call { state, caller, .. } = call;
    authorize(&caller, Operation::ListUsers)?;
    let (directory, now) = (state.service.access.directory(), clock::now());
    let user = |user: &User| {
        json!({
            "name": user.name,
            "role": user.role.name(),
            "groups": user.groups,
            "totp": user.totp.is_some(),
            "created": user.created_at.rfc3339().to_string(),
            "logins": directory.log_ins(user.id, now),
        })
    };
    let groups: Vec<&str> = directory.group_names().collect();
    let users = directory.users().map(user).collect::<Vec<_>>();
    Ok(Json(json!({ "users": users, "groups": groups })).into_response())
}

pub(in crate::api) async fn add_user(call: Call) -> Answered {
    let Call { state, caller, mut given, .. } = call;
    let (name, password, rights) =
        (text(&mut given, "name"), text(&mut given, "password"), rights(&mut given));
    blocking(move || accounts::add_user(&state.service.access, &caller, &name, &rights, &password)).await?;
    Ok(StatusCode::CREATED.into_response())
}

/// A text that has to be there, and is: it was checked.
pub(super) fn text(given: &mut Parameters, name: &str) -> String {
    given.text(name).unwrap_or_default()
}

pub(in crate::api) async fn change_user(call: Call) -> Answered {
    let Call { state, caller, mut given, .. } = call;
    let without_totp = match given.flag("totp") {
        None => false,
        Some(false) => true,
        Some(true) => {
            return Err(
                Problem::parameter("totp", "only the user can set up one-time codes").allowed(["false"])
            );
        }
    };
    let name = text(&mut given, "name");
    let (role, groups) = (role(&mut given), groups(&mut given));
    let change = UserChange { role, groups, password: given.text("password"), without_totp };
    blocking(move || accounts::change_user(&state.service.access, &caller, &name, &change)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(in crate::api) async fn remove_user(call: Call) -> Answered {
    let Call { state, caller, mut given, .. } = call;
    let name = text(&mut given, "name");
    blocking(move || accounts::remove_user(&state.service.access, &caller, &name)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(in crate::api) async fn end_log_ins(call: Call) -> Answered {
    let Call { state, caller, mut given, .. } = call;
    let name = text(&mut given, "name");
    let ended = blocking(move || accounts::end_log_ins(&state.service.access, &caller, &name)).await?;
    Ok(Json(json!({ "ended": ended })).into_response())
}

pub(in crate::api) async fn list_keys(call: Call) -> Answered {
    let Call { state, caller, .. } = call;
    let keys = blocking(move || accounts::list_keys(&state.service.access, &caller)).await?;
    let key = |key: &ApiKey| {
        let time = |at: Option<sentinel_units::Timestamp>| at.map(|at| at.rfc3339().to_string());
        json!({
            "name": key.name,
            "role": key.role.name(),
            "groups": key.groups,
            "created": key.created_at.rfc3339().to_string(),
            "expires": time(key.expires_at),
            "last_used": time(key.last_used_at),
        })
    };
    Ok(Json(json!({ "keys": keys.iter().map(key).collect::<Vec<_>>() })).into_response())
}

/// `{"key"}`, to be shown once.
pub(in crate::api) async fn add_key(call: Call) -> Answered {
    let Call { state, caller, mut given, .. } = call;
    let (name, rights, expires) = (text(&mut given, "name"), rights(&mut given), given.span("expires"));
    let make = move || accounts::add_key(&state.service.access, &caller, &name, &rights, expires);
    let secret = blocking(make).await?;
    Ok((StatusCode::CREATED, Json(json!({ "key": secret.reveal() }))).into_response())
}

pub(in crate::api) async fn remove_key(call: Call) -> Answered {
    let Call { state, caller, mut given, .. } = call;
    let name = text(&mut given, "name");
    blocking(move || accounts::remove_key(&state.service.access, &caller, &name)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `{"audit": [...], "next"}`, newest first.
pub(in crate::api) async fn audit(call: Call) -> Answered {
    let Call { state, caller, mut given, .. } = call;
    let limit = given.number("limit").unwrap_or_default();
    let before = given.text("cursor").map(|text| cursor::decode(&text, AUDIT)).transpose()?;
    let before = before.unwrap_or(i64::MAX);
    let page = move || accounts::audit_page(&state.service.access, &caller, before, limit);
    let rows = blocking(page).await?;
    let next = rows.last().filter(|row| row.id > 1).map(|row| cursor::encode(row.id, AUDIT));
    let rows = rows.iter().map(render::audit_row).collect::<Vec<_>>();
    Ok(Json(json!({ "audit": rows, "next": next })).into_response())
}
