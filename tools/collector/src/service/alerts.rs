//! Stored alerts, filtered and paged.

use sentinel_units::Timestamp;

use super::access::{Caller, authorize};
use super::operations::Operation;
use super::{MAX_PAGE_LEN, Service, ServiceError};
use crate::model::{AlertQuery, AlertRow, AlertSearch, AlertSelection, Scope, Sensor, SensorId};

/// Maximum number of names given with an unknown one.
const MAX_KNOWN_NAMES: usize = 20;

/// Request of [`list_alerts`].
#[derive(Clone, Debug, Default)]
pub struct AlertRequest {
    /// Only of the sensor with this name, number or public key.
    pub sensor: Option<String>,
    /// Filter and page; a limit outside 1 to [`MAX_PAGE_LEN`] is clamped.
    pub selection: AlertSelection,
}

/// One page of alerts.
#[derive(Clone, Debug)]
pub struct AlertPage {
    /// The alerts, in the direction of the request's position.
    pub alerts: Vec<AlertRow>,
    /// Row number at which the next page continues; none if this is the last one.
    pub next: Option<i64>,
    /// True if the time was over before the page was full.
    pub is_partial: bool,
    /// Arrival of the alert that the search got to, if it is partial.
    pub reached: Option<Timestamp>,
}

/// Selects one page of alerts; ends in its time with what it has found.
///
/// # Errors
/// [`ServiceError::UnknownSensor`], [`ServiceError::Busy`], [`ServiceError::Deadline`], [`ServiceError::Store`].
pub async fn list_alerts(
    service: &Service,
    caller: Caller,
    request: AlertRequest,
) -> Result<AlertPage, ServiceError> {
    authorize(&caller, Operation::ListAlerts)?;
    let scope = service.access.scope(&caller);
    let sensor = match request.sensor {
        Some(text) => Some(find_sensor(service, &scope, text).await?),
        None => None,
    };
    let limit = request.selection.limit.clamp(1, MAX_PAGE_LEN);
    // One more than the page holds shows if there is a next page.
    let selection = AlertSelection { limit: limit + 1, ..request.selection };
    let query = AlertQuery { sensor, among: scope.ids(), selection };
    let (AlertSearch { mut alerts, partial }, reached) = service.readers.search_alerts(query).await?;
    let len = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_next = alerts.len() > len;
    alerts.truncate(len);
    let next = alerts.last().filter(|_| has_next).map(AlertRow::id);
    Ok(AlertPage { alerts, next: next.or(partial), is_partial: partial.is_some(), reached })
}

/// Row number of [`named_sensor`].
pub(super) async fn find_sensor(
    service: &Service,
    scope: &Scope,
    text: String,
) -> Result<SensorId, ServiceError> {
    Ok(named_sensor(service, scope, text).await?.id)
}

/// The sensor of this name, number or public key. One that the caller may not see is one that does not exist.
pub(super) async fn named_sensor(
    service: &Service,
    scope: &Scope,
    text: String,
) -> Result<Sensor, ServiceError> {
    let found = service.readers.find_sensor(text.clone()).await?;
    if let Some(sensor) = found.filter(|sensor| scope.has(sensor.id)) {
        return Ok(sensor);
    }
    // The latest reading: a name that does not exist must not cost a read of every sensor.
    let sensors = service.monitor.reading().await.sensors;
    let known = sensors.iter().filter(|sensor| scope.has(sensor.id));
    let known = known.take(MAX_KNOWN_NAMES).map(|sensor| sensor.name.clone()).collect();
    Err(ServiceError::UnknownSensor { given: text, known })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::AlertPosition;
    use crate::service::testing::{local, service};

    fn request(position: AlertPosition, limit: u32) -> AlertRequest {
        let selection = AlertSelection { position, limit, ..AlertSelection::default() };
        AlertRequest { sensor: None, selection }
    }

    fn ids(page: &AlertPage) -> Vec<i64> {
        page.alerts.iter().map(AlertRow::id).collect()
    }

    #[tokio::test]
    async fn pages_continue_at_next_until_there_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let (service, _stop) = service(directory.path(), 1..=5);
        let first = list_alerts(&service, local(), request(AlertPosition::Newest, 3)).await.unwrap();
        assert_eq!((ids(&first), first.next), (vec![5, 4, 3], Some(3)));
        let second = list_alerts(&service, local(), request(AlertPosition::Before(3), 3)).await.unwrap();
        assert_eq!((ids(&second), second.next), (vec![2, 1], None));
    }

    #[tokio::test]
    async fn a_limit_out_of_range_is_clamped() {
        let directory = tempfile::tempdir().unwrap();
        let (service, _stop) = service(directory.path(), 1..=1_005);
        for (limit, len) in [(0, 1), (1, 1), (1_000, 1_000), (u32::MAX, 1_000)] {
            let request = request(AlertPosition::Newest, limit);
            let page = list_alerts(&service, local(), request).await.unwrap();
            assert_eq!((page.alerts.len(), page.next.is_some()), (len, true), "{limit}");
        }
    }

    #[tokio::test]
    async fn an_unknown_sensor_is_an_error_with_the_known_names() {
        let directory = tempfile::tempdir().unwrap();
        let (service, _stop) = service(directory.path(), 1..=1);
        let request = AlertRequest { sensor: Some("b".into()), ..AlertRequest::default() };
        let error = list_alerts(&service, local(), request).await.unwrap_err();
        let ServiceError::UnknownSensor { given, known } = error else { panic!("{error}") };
        assert_eq!((given.as_str(), known), ("b", vec!["a".to_owned()]));
    }
}
