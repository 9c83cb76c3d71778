//! `POST /api/v1/tokens` and the changes of one sensor: groups, revocation, replacement of its key, note of unclean runs.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use serde_json::json;

use super::accounts::text;
use super::blocking;
use crate::api::Problem;
use crate::api::call::{Answered, Call};
use crate::enroll;
use crate::model::sanitize_name;
use crate::service::{
    EnrollError, RevokeError, TokenRequest, accounts, acknowledge_runs, create_token, revoke_sensor,
    rotate_sensor_key,
};
use crate::store::StoreError;

/// Validity of a token of which nothing else is said.
const TOKEN_TIME: Duration = Duration::from_secs(86_400);

/// `{"token"}`, to be shown once.
pub(in crate::api) async fn enroll(call: Call) -> Answered {
    let Call { state, caller, mut given, .. } = call;
    let (name, address) = (text(&mut given, "name"), text(&mut given, "address"));
    let expires = given.span("expires").unwrap_or(TOKEN_TIME);
    let files = state.service.access.files();
    let work = move || {
        let failed = |error: anyhow::Error| Problem::unavailable(format!("{error:#}"));
        let collector = enroll::identity(&files).map_err(failed)?.public();
        let request = TokenRequest { name: &name, address: &address, collector, expires };
        create_token(&files, &caller, &request).map_err(token_problem)
    };
    let token =
        tokio::task::spawn_blocking(work).await.map_err(|_| Problem::internal("enrolling panicked"))??;
    Ok((StatusCode::CREATED, Json(json!({ "token": token.to_string() }))).into_response())
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

pub(in crate::api) async fn set_groups(call: Call) -> Answered {
    let Call { state, caller, mut given, .. } = call;
    let sensor = text(&mut given, "sensor");
    let groups: BTreeSet<String> = given.list("groups").flatten().unwrap_or_default().into_iter().collect();
    blocking(move || accounts::set_groups(&state.service.access, &caller, &sensor, &groups)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(in crate::api) async fn revoke(call: Call) -> Answered {
    let Call { state, caller, mut given, .. } = call;
    let (files, sensor) = (state.service.access.files(), text(&mut given, "sensor"));
    changed(move || revoke_sensor(&files, &caller, &sensor).map(drop)).await
}

pub(in crate::api) async fn rotate(call: Call) -> Answered {
    let Call { state, caller, mut given, .. } = call;
    let (files, sensor) = (state.service.access.files(), text(&mut given, "sensor"));
    changed(move || rotate_sensor_key(&files, &caller, &sensor).map(drop)).await
}

pub(in crate::api) async fn acknowledge(call: Call) -> Answered {
    let Call { state, caller, mut given, .. } = call;
    let (files, sensor, by) = (state.service.access.files(), text(&mut given, "sensor"), caller.who());
    changed(move || acknowledge_runs(&files, &caller, &sensor, &by).map(drop)).await
}

async fn changed(work: impl FnOnce() -> Result<(), RevokeError> + Send + 'static) -> Answered {
    let done =
        tokio::task::spawn_blocking(work).await.map_err(|_| Problem::internal("the change panicked"))?;
    done.map_err(sensor_problem)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
