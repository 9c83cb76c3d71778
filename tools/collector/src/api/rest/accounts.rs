//! `/api/v1/users`, `/keys` and `/audit`: who may come in, and what they did.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use axum::routing::{delete, get, patch};
use axum::{Extension, Json, Router};
use serde_json::{Value, json};

use super::log_in::blocking;
use crate::api::members::Members;
use crate::api::parameters::Parameters;
use crate::api::{ApiState, Problem, render};
use crate::clock;
use crate::model::{ApiKey, Groups, Role, User};
use crate::service::accounts::{self, MAX_AUDIT_LEN, Rights, UserChange};
use crate::service::{Caller, Operation, Service, authorize};
use crate::time_text::parse_span;

const DEFAULT_LIMIT: u32 = 100;
/// Longest validity of a key.
const MAX_KEY_TIME: Duration = Duration::from_secs(3_650 * 86_400);

pub(in crate::api) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/api/v1/users", get(list_users).post(add_user))
        .route("/api/v1/users/{name}", patch(change_user).delete(remove_user))
        .route("/api/v1/users/{name}/logins", delete(end_log_ins))
        .route("/api/v1/keys", get(list_keys).post(add_key))
        .route("/api/v1/keys/{name}", delete(remove_key))
        .route("/api/v1/audit", get(audit))
}

async fn members(operation: Operation, request: Request) -> Result<Members, Problem> {
    Members::read(request.into_body(), operation.declaration().parameters).await
}

fn role(given: &mut Members) -> Result<Option<Role>, Problem> {
    let Some(name) = given.optional_text("role")? else { return Ok(None) };
    let names = || Role::ALL.map(Role::name);
    let role = Role::from_name(&name);
    role.map(Some).ok_or_else(|| Problem::parameter("role", "there is no such role").allowed(names()))
}

/// Groups: `null` for every sensor, none if the member is missing.
fn groups(given: &mut Members) -> Result<Option<Groups>, Problem> {
    let list = given.texts("groups")?;
    Ok(list.map(|list| list.map(|names| names.into_iter().collect::<BTreeSet<String>>())))
}

/// Rights of a new account: both have to be said.
fn rights(given: &mut Members) -> Result<Rights, Problem> {
    let missing = |name: &str, allowed: Vec<&str>| {
        Problem::parameter(name, format!("{name} is missing")).allowed(allowed)
    };
    let role = role(given)?.ok_or_else(|| missing("role", Role::ALL.map(Role::name).into()))?;
    let groups =
        groups(given)?.ok_or_else(|| missing("groups", vec!["null for every sensor", "[\"group\"]"]))?;
    Ok(Rights { role, groups })
}

async fn list_users(
    State(service): State<Service>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Value>, Problem> {
    authorize(&caller, Operation::ListUsers)?;
    let (directory, now) = (service.access.directory(), clock::now());
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
    Ok(Json(json!({ "users": directory.users().map(user).collect::<Vec<_>>(), "groups": groups })))
}

async fn add_user(
    State(service): State<Service>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<StatusCode, Problem> {
    let mut given = members(Operation::AddUser, request).await?;
    let (name, password, rights) = (given.text("name")?, given.text("password")?, rights(&mut given)?);
    blocking(move || accounts::add_user(&service.access, &caller, &name, &rights, &password)).await?;
    Ok(StatusCode::CREATED)
}

async fn change_user(
    State(service): State<Service>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    request: Request,
) -> Result<StatusCode, Problem> {
    let mut given = members(Operation::ChangeUser, request).await?;
    let without_totp = match given.flag("totp")? {
        None => false,
        Some(false) => true,
        Some(true) => {
            return Err(
                Problem::parameter("totp", "only the user can set up one-time codes").allowed(["false"])
            );
        }
    };
    let (role, groups) = (role(&mut given)?, groups(&mut given)?);
    let change = UserChange { role, groups, password: given.optional_text("password")?, without_totp };
    blocking(move || accounts::change_user(&service.access, &caller, &name, &change)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn remove_user(
    State(service): State<Service>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    blocking(move || accounts::remove_user(&service.access, &caller, &name)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn end_log_ins(
    State(service): State<Service>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Problem> {
    let ended = blocking(move || accounts::end_log_ins(&service.access, &caller, &name)).await?;
    Ok(Json(json!({ "ended": ended })))
}

async fn list_keys(
    State(service): State<Service>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Value>, Problem> {
    let keys = blocking(move || accounts::list_keys(&service.access, &caller)).await?;
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
    Ok(Json(json!({ "keys": keys.iter().map(key).collect::<Vec<_>>() })))
}

/// `{"key"}`, to be shown once.
async fn add_key(
    State(service): State<Service>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let mut given = members(Operation::AddKey, request).await?;
    let (name, rights) = (given.text("name")?, rights(&mut given)?);
    let expires = match given.optional_text("expires")? {
        None => None,
        Some(text) => {
            let span = parse_span(&text).filter(|span| !span.is_zero() && *span <= MAX_KEY_TIME);
            let wrong = || {
                Problem::parameter("expires", "no such span").allowed(["24h", "90d", "up to 3650d", "null"])
            };
            Some(span.ok_or_else(wrong)?)
        }
    };
    let secret =
        blocking(move || accounts::add_key(&service.access, &caller, &name, &rights, expires)).await?;
    Ok((StatusCode::CREATED, Json(json!({ "key": secret.reveal() }))))
}

async fn remove_key(
    State(service): State<Service>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    blocking(move || accounts::remove_key(&service.access, &caller, &name)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `{"audit": [...], "next"}`, newest first.
async fn audit(
    State(service): State<Service>,
    Extension(caller): Extension<Caller>,
    Query(given): Query<Vec<(String, String)>>,
) -> Result<Json<Value>, Problem> {
    let mut given = Parameters::new(given, Operation::ReadAudit.declaration().parameters)?;
    let limit = given.number("limit", 1..=MAX_AUDIT_LEN)?.unwrap_or(DEFAULT_LIMIT);
    let before = given.number("cursor", 1..=i64::MAX)?.unwrap_or(i64::MAX);
    let rows = blocking(move || accounts::audit_page(&service.access, &caller, before, limit)).await?;
    let next = rows.last().filter(|row| row.id > 1).map(|row| row.id.to_string());
    Ok(Json(json!({ "audit": rows.iter().map(render::audit_row).collect::<Vec<_>>(), "next": next })))
}
