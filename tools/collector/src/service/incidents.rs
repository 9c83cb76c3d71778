//! Incidents: search, one of them with its messages, and changes of state.

use super::access::{Caller, authorize};
use super::alerts::find_sensor;
use super::operations::Operation;
use super::{MAX_PAGE_LEN, Service, ServiceError};
use crate::clock;
use crate::model::{
    AlertRow, ChangeOutcome, ChangeRequest, Incident, IncidentChange, IncidentPage, IncidentSelection,
    IncidentState,
};
use crate::store::StoreError;

/// Request of [`list_incidents`].
#[derive(Clone, Debug, Default)]
pub struct IncidentRequest {
    /// Only of the sensor with this name, number or public key.
    pub sensor: Option<String>,
    /// Filter and page; a limit outside 1 to [`MAX_PAGE_LEN`] is clamped.
    pub selection: IncidentSelection,
}

/// An incident, and what users have made of it.
#[derive(Clone, Debug)]
pub struct IncidentDetail {
    /// The incident.
    pub incident: Incident,
    /// Changes, oldest first.
    pub changes: Vec<IncidentChange>,
}

/// Change of one or more incidents.
#[derive(Clone, Debug, Default)]
pub struct IncidentAction {
    /// Row numbers, at most [`super::MAX_CHANGED`].
    pub incidents: Vec<i64>,
    /// New state.
    pub state: Option<IncidentState>,
    /// Note to add, at most [`super::MAX_NOTE_LEN`] characters.
    pub note: Option<String>,
    /// Revision that the incidents must have.
    pub revision: Option<u64>,
    /// Key of the client, by which a request that is repeated changes nothing.
    pub key: Option<String>,
}

/// Searches incidents; ends in its time with what it has found.
///
/// # Errors
/// [`ServiceError::UnknownSensor`], [`ServiceError::Busy`], [`ServiceError::Deadline`], [`ServiceError::Store`].
pub async fn list_incidents(
    service: &Service,
    caller: Caller,
    request: IncidentRequest,
) -> Result<IncidentPage, ServiceError> {
    authorize(&caller, Operation::ListIncidents)?;
    let scope = service.access.scope(&caller);
    let sensor = match request.sensor {
        Some(text) => Some(find_sensor(service, &scope, text).await?),
        None => None,
    };
    let limit = request.selection.limit.clamp(1, MAX_PAGE_LEN);
    let among = scope.ids();
    let is_limited = among.is_some();
    let selection = IncidentSelection { sensor, among, limit, ..request.selection };
    let page = service.readers.incidents(selection).await?;
    // How many alerts of others wait is not told; that the list may grow is.
    let behind = if is_limited { page.behind.min(1) } else { page.behind };
    Ok(IncidentPage { behind, ..page })
}

/// One incident.
///
/// # Errors
/// [`ServiceError::UnknownIncident`], and those of [`list_incidents`].
pub async fn show_incident(
    service: &Service,
    caller: Caller,
    id: i64,
) -> Result<IncidentDetail, ServiceError> {
    authorize(&caller, Operation::ShowIncident)?;
    let incident = visible(service, &caller, id).await?;
    Ok(IncidentDetail { incident, changes: service.readers.incident_history(id).await? })
}

/// The incident, if it is of a sensor that the caller may see; else there is none.
async fn visible(service: &Service, caller: &Caller, id: i64) -> Result<Incident, ServiceError> {
    let found = service.readers.incident(id).await?;
    let scope = service.access.scope(caller);
    found.filter(|incident| scope.has_name(&incident.sensor)).ok_or(ServiceError::UnknownIncident(id))
}

/// Messages of one incident below row number `before`, newest first, and the row number at which the next page continues.
///
/// # Errors
/// [`ServiceError::UnknownIncident`], and those of [`list_incidents`].
pub async fn list_messages(
    service: &Service,
    caller: Caller,
    id: i64,
    (before, limit): (Option<i64>, u32),
) -> Result<(Vec<AlertRow>, Option<i64>), ServiceError> {
    authorize(&caller, Operation::ListMessages)?;
    visible(service, &caller, id).await?;
    let limit = limit.clamp(1, MAX_PAGE_LEN);
    let mut messages = service.readers.incident_messages(id, before, limit + 1).await?;
    let len = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_next = messages.len() > len;
    messages.truncate(len);
    let next = messages.last().filter(|_| has_next).map(AlertRow::id);
    Ok((messages, next))
}

/// Changes incidents in the name of the caller; returns the row numbers of those that exist.
///
/// # Errors
/// [`ServiceError::Revision`], [`ServiceError::Full`], [`ServiceError::Store`]; nothing is changed then.
pub async fn change_incidents(
    service: &Service,
    caller: Caller,
    action: IncidentAction,
) -> Result<Vec<i64>, ServiceError> {
    authorize(&caller, Operation::ChangeIncidents)?;
    let writer = service.writer.as_ref().ok_or(ServiceError::Store(StoreError::Closed))?;
    let request = ChangeRequest {
        incidents: action.incidents,
        state: action.state,
        note: action.note,
        by: caller.who(),
        among: service.access.scope(&caller).ids(),
        audit: Some(caller.entry(Operation::ChangeIncidents, String::new(), "ok".into())),
        at: clock::now(),
        revision: action.revision,
        // Of this user: another one may have chosen the same.
        key: action.key.map(|key| format!("{} {key}", caller.who())),
    };
    match writer.change_incidents(request).await? {
        ChangeOutcome::Changed(changed) => Ok(changed),
        ChangeOutcome::Revision(revision) => Err(ServiceError::Revision(revision)),
        ChangeOutcome::Full(id) => Err(ServiceError::Full(id)),
    }
}
