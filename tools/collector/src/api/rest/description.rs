//! `GET /api/v1/openapi.json`: the interface, described.

use axum::Json;
use axum::response::IntoResponse as _;

use crate::api::call::{Answered, Call};
use crate::api::openapi;
use crate::service::{Operation, authorize};

pub(in crate::api) async fn show(call: Call) -> Answered {
    authorize(&call.caller, Operation::Describe)?;
    Ok(Json(openapi::description()).into_response())
}
