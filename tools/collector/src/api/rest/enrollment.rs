//! `POST /api/v1/tokens` and the changes of one sensor: groups, revocation, replacement of its key, note of unclean runs.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::routing::{patch, post};
use axum::{Extension, Json, Router};
use serde_json::{Value, json};

use super::log_in::blocking;
use crate::api::members::Members;
use crate::api::{ApiState, Problem};
use crate::enroll;
use crate::model::sanitize_name;
use crate::service::{
    Caller, EnrollError, Operation, RevokeError, Service, TokenRequest, accounts, acknowledge_runs,
    create_token, revoke_sensor, rotate_sensor_key,
};
use crate::store::StoreError;
use crate::time_text::parse_span;

/// Validity of a token of which nothing else is said, and the longest.
const TOKEN_TIME: (Duration, Duration) = (Duration::from_secs(86_400), Duration::from_secs(365 * 86_400));

pub(in crate::api) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/api/v1/tokens", post(enroll))
        .route("/api/v1/sensors/{sensor}", patch(set_groups).delete(revoke))
        .route("/api/v1/sensors/{sensor}/rotate", post(rotate))
        .route("/api/v1/sensors/{sensor}/acknowledge", post(acknowledge))
}

/// `{"token"}`, to be shown once.
async fn enroll(
    State(service): State<Service>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let mut given = Members::read(request.into_body(), Operation::Enroll.declaration().parameters).await?;
    let name = given.optional_text("name")?.unwrap_or_default();
    let address = given.text("address")?;
    let expires = match given.optional_text("expires")? {
        None => TOKEN_TIME.0,
        Some(text) => {
            let span = parse_span(&text).filter(|span| !span.is_zero() && *span <= TOKEN_TIME.1);
            span.ok_or_else(|| {
                Problem::parameter("expires", "no such span").allowed(["30m", "24h", "up to 365d"])
            })?
        }
    };
    let files = service.access.files();
    let work = move || {
        let failed = |error: anyhow::Error| Problem::unavailable(format!("{error:#}"));
        let collector = enroll::identity(&files).map_err(failed)?.public();
        let request = TokenRequest { name: &name, address: &address, collector, expires };
        create_token(&files, &caller, &request).map_err(token_problem)
    };
    let token =
        tokio::task::spawn_blocking(work).await.map_err(|_| Problem::internal("enrolling panicked"))??;
    Ok((StatusCode::CREATED, Json(json!({ "token": token.to_string() }))))
}

fn token_problem(error: EnrollError) -> Problem {
    let text = error.to_string();
    match error {
        EnrollError::Access(error) => error.into(),
        EnrollError::Name(name) => Problem::parameter("name", text).allowed([sanitize_name(&name)]),
        EnrollError::Address(..) => Problem::parameter("address", text).allowed(["HOST:PORT"]),
        EnrollError::Store(StoreError::NameTaken(_)) => Problem::conflict(text),
        EnrollError::Store(_) => Problem::unavailable(text),
    }
}

fn sensor_problem(error: RevokeError) -> Problem {
    let text = error.to_string();
    match error {
        RevokeError::Access(error) => error.into(),
        RevokeError::Unknown { known, .. } => Problem::not_found(text).allowed(known),
        RevokeError::Revoked(_) => Problem::conflict(text),
        RevokeError::Store(_) => Problem::unavailable(text),
    }
}

async fn set_groups(
    State(service): State<Service>,
    Extension(caller): Extension<Caller>,
    Path(sensor): Path<String>,
    request: Request,
) -> Result<StatusCode, Problem> {
    let mut given = Members::read(request.into_body(), Operation::SetGroups.declaration().parameters).await?;
    let wrong = || Problem::parameter("groups", "groups is missing").allowed(["[]", "[\"group\"]"]);
    let groups: BTreeSet<String> = given.texts("groups")?.flatten().ok_or_else(wrong)?.into_iter().collect();
    blocking(move || accounts::set_groups(&service.access, &caller, &sensor, &groups)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn revoke(
    State(service): State<Service>,
    Extension(caller): Extension<Caller>,
    Path(sensor): Path<String>,
) -> Result<StatusCode, Problem> {
    changed(move || revoke_sensor(&service.access.files(), &caller, &sensor).map(drop)).await
}

async fn rotate(
    State(service): State<Service>,
    Extension(caller): Extension<Caller>,
    Path(sensor): Path<String>,
) -> Result<StatusCode, Problem> {
    changed(move || rotate_sensor_key(&service.access.files(), &caller, &sensor).map(drop)).await
}

async fn acknowledge(
    State(service): State<Service>,
    Extension(caller): Extension<Caller>,
    Path(sensor): Path<String>,
) -> Result<StatusCode, Problem> {
    let by = caller.who();
    changed(move || acknowledge_runs(&service.access.files(), &caller, &sensor, &by).map(drop)).await
}

async fn changed(
    work: impl FnOnce() -> Result<(), RevokeError> + Send + 'static,
) -> Result<StatusCode, Problem> {
    let done =
        tokio::task::spawn_blocking(work).await.map_err(|_| Problem::internal("the change panicked"))?;
    done.map_err(sensor_problem)?;
    Ok(StatusCode::NO_CONTENT)
}
