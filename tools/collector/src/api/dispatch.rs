//! The handler of each operation, behind the checks that its declaration asks for.

use std::pin::Pin;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};

use super::call::{Answered, Call};
use super::idempotency::Begun;
use super::{ApiState, Problem, rest, sse};
use crate::service::parameter::IDEMPOTENCY_KEY;
use crate::service::{Method, Operation};

type Handling = Pin<Box<dyn Future<Output = Answered> + Send>>;

/// Answers a request for `operation`, whose caller may perform it: see [`super::authenticate`].
pub(super) async fn serve(operation: Operation, state: ApiState, request: Request) -> Response {
    let declared = operation.declaration();
    let uri = request.uri().to_string();
    let (call, body) = match Call::read(&declared, state, request).await {
        Ok(read) => read,
        Err(problem) => return problem.into_response(),
    };
    let key = call.headers.get(IDEMPOTENCY_KEY.name).cloned();
    let Some(key) = key.filter(|_| declared.method == Method::Post) else {
        return handle(operation, call).await.unwrap_or_else(IntoResponse::into_response);
    };
    match call.state.idempotency.begin(&call.caller, key.as_bytes(), &[uri.as_bytes(), &body]) {
        Err(problem) => problem.into_response(),
        Ok(Begun::Again(response)) => response,
        Ok(Begun::First(ticket)) => {
            // On a task of its own: a client that goes meanwhile and comes back gets the answer to what was done.
            let task = tokio::spawn(async move {
                let answered = handle(operation, call).await;
                ticket.finish(answered.unwrap_or_else(IntoResponse::into_response)).await
            });
            let lost = |_| Problem::internal("the operation panicked").into_response();
            task.await.unwrap_or_else(lost)
        }
    }
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
