//! The handler of each operation, behind the checks that its declaration asks for.

use std::pin::Pin;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};

use super::call::{Answered, Call};
use super::{ApiState, rest, sse};
use crate::service::Operation;

type Handling = Pin<Box<dyn Future<Output = Answered> + Send>>;

/// Answers a request for `operation`, whose caller may perform it: see [`super::authenticate`].
pub(super) async fn serve(operation: Operation, state: ApiState, request: Request) -> Response {
    let declared = operation.declaration();
    let answered = match Call::read(&declared, state, request).await {
        Ok((call, _)) => handle(operation, call).await,
        Err(problem) => Err(problem),
    };
    answered.unwrap_or_else(IntoResponse::into_response)
}

fn handle(operation: Operation, call: Call) -> Handling {
    match operation {
        Operation::Health => Box::pin(rest::health::show(call)),
        Operation::Metrics => Box::pin(rest::metrics::show(call)),
        Operation::Describe => Box::pin(rest::description::show(call)),
        Operation::ListAlerts => Box::pin(rest::alerts::list(call)),
        Operation::ListIncidents => Box::pin(rest::incidents::list(call)),
        Operation::ShowIncident => Box::pin(rest::incidents::show(call)),
        Operation::ListMessages => Box::pin(rest::incidents::messages(call)),
        Operation::ChangeIncident => Box::pin(rest::incidents::change(call)),
        Operation::ChangeIncidents => Box::pin(rest::incidents::act(call)),
        Operation::ListSensors => Box::pin(rest::sensors::list(call)),
        Operation::ShowSensor => Box::pin(rest::sensors::show(call)),
        Operation::Stats => Box::pin(rest::stats::show(call)),
        Operation::Subscribe => Box::pin(sse::stream(call)),
        Operation::LogIn => Box::pin(rest::log_in::log_in(call)),
        Operation::SetAdministrator => Box::pin(rest::log_in::set_administrator(call)),
        Operation::LogOut => Box::pin(rest::log_in::log_out(call)),
        Operation::Me => Box::pin(rest::log_in::me(call)),
        Operation::ChangePassword => Box::pin(rest::log_in::change_password(call)),
        Operation::SetTotp => Box::pin(rest::log_in::set_totp(call)),
        Operation::RemoveTotp => Box::pin(rest::log_in::remove_totp(call)),
        Operation::ListUsers => Box::pin(rest::accounts::list_users(call)),
        Operation::AddUser => Box::pin(rest::accounts::add_user(call)),
        Operation::ChangeUser => Box::pin(rest::accounts::change_user(call)),
        Operation::RemoveUser => Box::pin(rest::accounts::remove_user(call)),
        Operation::EndLogIns => Box::pin(rest::accounts::end_log_ins(call)),
        Operation::ListKeys => Box::pin(rest::accounts::list_keys(call)),
        Operation::AddKey => Box::pin(rest::accounts::add_key(call)),
        Operation::RemoveKey => Box::pin(rest::accounts::remove_key(call)),
        Operation::Enroll => Box::pin(rest::enrollment::enroll(call)),
        Operation::SetGroups => Box::pin(rest::enrollment::set_groups(call)),
        Operation::Revoke => Box::pin(rest::enrollment::revoke(call)),
        Operation::RotateKey => Box::pin(rest::enrollment::rotate(call)),
        Operation::Acknowledge => Box::pin(rest::enrollment::acknowledge(call)),
        Operation::ReadAudit => Box::pin(rest::accounts::audit(call)),
    }
}
