//! Stored and live events as one sequence without holes or repeats.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};

use super::access::{Caller, authorize};
use super::alerts::named_sensor;
use super::event_filter::EventFilter;
use super::operations::Operation;
use super::state::within_deadline;
use super::{MAX_RECENT, Service, ServiceError};
use crate::access::Directory;
use crate::model::{AlertPosition, AlertQuery, AlertRow, AlertSelection, Event, IncidentSelection, Scope};

/// Rows read from the store at once when catching up.
const CATCH_UP_LEN: u32 = 500;

/// Alerts that are left out before the subscriber is told the position: what it reads again after a break, at most.
const MAX_LEFT_OUT: u32 = 1_000;

/// Time between two looks at the rights of a subscriber to whom nothing happens.
const RIGHTS_INTERVAL: Duration = Duration::from_secs(30);

/// First alert of a subscription.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StreamStart {
    /// Begin with this number of stored alerts, at most [`MAX_RECENT`]; with 0 the next one to be stored.
    Recent(u32),
    /// Begin after the alert with this row number, to resume.
    After(i64),
}

/// Request of [`subscribe`].
#[derive(Clone, Debug)]
pub struct EventRequest {
    /// First alert.
    pub start: StreamStart,
    /// Only of the sensor with this name, number or public key.
    pub sensor: Option<String>,
    /// Filters of the messages; what is about a page is not looked at.
    pub selection: IncidentSelection,
}

impl From<StreamStart> for EventRequest {
    fn from(start: StreamStart) -> Self {
        Self { start, sensor: None, selection: IncidentSelection::default() }
    }
}

/// Begins a subscription.
///
/// # Errors
/// [`ServiceError::UnknownSensor`], [`ServiceError::Store`].
pub async fn subscribe(
    service: &Service,
    caller: Caller,
    request: EventRequest,
) -> Result<Subscription, ServiceError> {
    authorize(&caller, Operation::Subscribe)?;
    let EventRequest { start, sensor, selection } = request;
    let sensor = match sensor {
        Some(text) => Some(named_sensor(service, &service.access.scope(&caller), text).await?.name),
        None => None,
    };
    let filter = EventFilter { sensor, selection };
    // Subscribes before it reads: an alert stored in between is found both ways, and `last` keeps it from being
    // returned twice. The other order would lose it.
    let live = service.events.subscribe();
    let newest = within_deadline(service.readers.newest_alert()).await?;
    let last = match start {
        StreamStart::Recent(0) => newest,
        StreamStart::Recent(count) => before_recent(service, &caller, count.min(MAX_RECENT), newest).await?,
        // An id above the newest comes from a store that was replaced by an older copy: continue at its end.
        StreamStart::After(id) => id.min(newest),
    };
    // At the end nothing has to be read: what is stored from now on comes live, in order with the changes of sensors.
    let behind = last < newest;
    let (access, scope) = (service.access.changes(), service.access.scope(&caller));
    Ok(Subscription {
        service: service.clone(),
        live,
        last,
        queued: VecDeque::new(),
        behind,
        caller,
        access,
        scope,
        filter,
        left_out: 0,
    })
}

/// Row number after which the `count` newest alerts follow.
async fn before_recent(
    service: &Service,
    caller: &Caller,
    count: u32,
    newest: i64,
) -> Result<i64, ServiceError> {
    let selection = AlertSelection { limit: count, ..AlertSelection::default() };
    let rows = match service.access.scope(caller).ids() {
        None => within_deadline(service.readers.follow(selection.into())).await?,
        among => service.readers.alerts(AlertQuery { sensor: None, among, selection }).await?,
    };
    Ok(rows.last().map_or(newest, |oldest| oldest.id() - 1))
}

/// A sequence of events: alerts in the order of their row numbers, each once, with the changes of sensors in between.
///
/// Changes of sensors are live only: one that happened while the subscriber lagged is not repeated.
#[derive(Debug)]
pub struct Subscription {
    service: Service,
    live: broadcast::Receiver<Event>,
    /// Row number of the last alert that was returned or queued.
    last: i64,
    /// Alerts read from the store and not yet returned.
    queued: VecDeque<Event>,
    /// True while the store may hold alerts after `last` that `live` will not deliver.
    behind: bool,
    caller: Caller,
    /// Notice of changed rights.
    access: watch::Receiver<Arc<Directory>>,
    /// Sensors whose events are returned.
    scope: Scope,
    filter: EventFilter,
    /// Alerts that were left out since something was returned.
    left_out: u32,
}

/// The next part of a subscription.
#[derive(Clone, Debug)]
pub enum Next {
    /// An event.
    Event(Event),
    /// Everything up to the alert with this row number was looked at: a subscriber that comes back need not begin before.
    Position(i64),
}

impl Subscription {
    /// The next event that passes the filter, of a sensor that the caller may see; none when the collector stops, or the caller has lost
    /// its rights.
    ///
    /// # Errors
    /// [`ServiceError::Store`] if alerts that were missed cannot be read; the subscription has ended, and can be
    /// resumed after the last alert that it returned.
    pub async fn next(&mut self) -> Result<Option<Next>, ServiceError> {
        loop {
            let Some(event) = self.next_of_all().await? else { return Ok(None) };
            let is_seen = self.scope.has_name(event.sensor());
            if is_seen && self.filter.passes(&self.service, &event).await? {
                self.left_out = 0;
                return Ok(Some(Next::Event(event)));
            }
            if let Some(position) = self.leave_out(&event) {
                return Ok(Some(Next::Position(position)));
            }
        }
    }

    /// Counts an alert that is not returned; its row number if so many were left out that the subscriber should know.
    fn leave_out(&mut self, event: &Event) -> Option<i64> {
        let id = match event {
            Event::Alert(alert) => alert.id,
            Event::Undecodable(alert) => alert.id,
            Event::Sensor(_) => return None,
        };
        self.left_out += 1;
        if self.left_out < MAX_LEFT_OUT {
            return None;
        }
        self.left_out = 0;
        Some(id)
    }

    async fn next_of_all(&mut self) -> Result<Option<Event>, ServiceError> {
        loop {
            if !self.service.access.is_valid(&self.caller) {
                return Ok(None);
            }
            if let Some(event) = self.queued.pop_front() {
                return Ok(Some(event));
            }
            if *self.service.stopping.borrow() {
                return Ok(None);
            }
            if self.behind {
                self.catch_up().await?;
                continue;
            }
            let received = tokio::select! {
                received = self.live.recv() => received,
                _ = self.service.stopping.changed() => return Ok(None),
                // A log-in that ends by itself changes no table.
                () = tokio::time::sleep(RIGHTS_INTERVAL) => continue,
                _ = self.access.changed() => {
                    self.scope = self.service.access.scope(&self.caller);
                    continue;
                }
            };
            match received {
                Ok(Event::Alert(alert)) if alert.id <= self.last => {} // returned from the store already
                Ok(Event::Alert(alert)) => {
                    self.last = alert.id;
                    return Ok(Some(Event::Alert(alert)));
                }
                Ok(event @ (Event::Sensor(_) | Event::Undecodable(_))) => return Ok(Some(event)),
                // The bus has dropped events: read the alerts among them from the store.
                Err(RecvError::Lagged(_)) => self.behind = true,
                Err(RecvError::Closed) => return Ok(None),
            }
        }
    }

    async fn catch_up(&mut self) -> Result<(), ServiceError> {
        let position = AlertPosition::After(self.last);
        let selection = AlertSelection { position, limit: CATCH_UP_LEN, ..AlertSelection::default() };
        let rows = within_deadline(self.service.readers.follow(selection.into())).await?;
        self.behind = u32::try_from(rows.len()).is_ok_and(|len| len >= CATCH_UP_LEN);
        self.last = rows.last().map_or(self.last, AlertRow::id);
        self.queued.extend(rows.into_iter().map(Event::from));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::testing::{local, service};

    async fn next_id(subscription: &mut Subscription) -> Option<i64> {
        match subscription.next().await.unwrap()? {
            Next::Event(Event::Alert(alert)) => Some(alert.id),
            Next::Event(Event::Undecodable(alert)) => Some(alert.id),
            other => panic!("{other:?}"),
        }
    }

    /// Publishes the stored alerts after `id` again, as the writer does when they are committed while a subscription
    /// begins.
    async fn publish_after(service: &Service, id: i64) {
        let position = AlertPosition::After(id);
        let selection = AlertSelection { position, limit: 100, ..AlertSelection::default() };
        for alert in service.readers.alerts(selection.into()).await.unwrap() {
            service.events.publish(alert.into());
        }
    }

    #[tokio::test]
    async fn an_alert_found_in_the_store_and_on_the_bus_is_returned_once() {
        let directory = tempfile::tempdir().unwrap();
        let (service, stop) = service(directory.path(), 1..=4);
        let mut all = subscribe(&service, local(), StreamStart::After(0).into()).await.unwrap();
        let mut recent = subscribe(&service, local(), StreamStart::Recent(1).into()).await.unwrap();
        publish_after(&service, 2).await;
        for id in 1..=4 {
            assert_eq!(next_id(&mut all).await, Some(id));
        }
        assert_eq!(next_id(&mut recent).await, Some(4));
        stop.send(true).unwrap();
        assert_eq!((next_id(&mut all).await, next_id(&mut recent).await), (None, None));
    }

    #[tokio::test]
    async fn a_position_beyond_the_store_continues_at_its_end() {
        let directory = tempfile::tempdir().unwrap();
        let (service, stop) = service(directory.path(), 1..=2);
        let mut resumed = subscribe(&service, local(), StreamStart::After(99).into()).await.unwrap();
        stop.send(true).unwrap();
        assert_eq!((resumed.last, next_id(&mut resumed).await), (2, None));
    }

    #[tokio::test]
    async fn rows_that_cannot_be_decoded_do_not_end_the_catch_up() {
        // A batch with such a row was shorter than asked for, and what came after it was left out.
        let directory = tempfile::tempdir().unwrap();
        let count = i64::from(CATCH_UP_LEN) + 5;
        let (service, _stop) = service(directory.path(), 1..=u64::from(CATCH_UP_LEN) + 5);
        let database = directory.path().join(crate::store::DATABASE);
        let sql = "UPDATE alerts SET wire = x'ff' WHERE id IN (3, 4)";
        crate::store::testing::open(&database).execute(sql, []).unwrap();
        let mut all = subscribe(&service, local(), StreamStart::After(0).into()).await.unwrap();
        for id in 1..=count {
            assert_eq!(next_id(&mut all).await, Some(id));
        }
    }

    #[tokio::test]
    async fn a_subscriber_to_whom_nothing_passes_is_told_how_far_it_got() {
        let directory = tempfile::tempdir().unwrap();
        let (service, _stop) = service(directory.path(), 1..=u64::from(MAX_LEFT_OUT) + 5);
        let severities = vec![sentinel_alert::Severity::Critical];
        let selection = IncidentSelection { severities, ..IncidentSelection::default() };
        let request = EventRequest { start: StreamStart::After(0), sensor: None, selection };
        let mut filtered = subscribe(&service, local(), request).await.unwrap();
        let next = filtered.next().await.unwrap();
        assert!(matches!(next, Some(Next::Position(id)) if id == i64::from(MAX_LEFT_OUT)), "{next:?}");
    }
}
