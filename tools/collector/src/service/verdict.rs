//! Verdict over the sensors that a caller may see.

use super::sensors::SensorList;
use super::state::within_deadline;
use super::{Caller, Service, ServiceError};
use crate::model::{Reason, Verdict};

/// Stored alerts that are not part of an incident yet, from which on "quiet" is not said: five seconds at the pace of the index.
const MAX_BEHIND: i64 = 50_000;

/// Verdict over `sensors`.
///
/// # Errors
/// [`ServiceError::Deadline`] and [`ServiceError::Store`].
pub(super) async fn verdict(
    service: &Service,
    caller: &Caller,
    sensors: &SensorList,
) -> Result<Verdict, ServiceError> {
    let open = within_deadline(service.readers.open_attacks()).await?;
    let scope = service.access.scope(caller);
    let attacks = open.iter().filter(|(sensor, _)| scope.has(*sensor)).map(|(_, count)| *count);
    let attacks = attacks.fold(0_u64, u64::saturating_add);
    Ok(Verdict::of(&sensors.statuses(&service.sessions), attacks, own_reasons(service)))
}

/// Reasons of the collector itself.
fn own_reasons(service: &Service) -> Vec<Reason> {
    let reason = |cause, next| Reason { sensor: None, state: None, cause, next };
    let mut reasons = Vec::new();
    if let Some(failure) = service.metrics.store_failure() {
        let next = "make room on the disk of the collector, then look at GET /health and at its log";
        reasons.push(reason(format!("the store: {failure}"), next));
    }
    let behind = service.metrics.index_behind.get();
    if behind > MAX_BEHIND {
        let cause = format!("{behind} stored alerts are not part of an incident yet");
        reasons.push(reason(cause, "wait until the index has caught up"));
    }
    reasons
}
