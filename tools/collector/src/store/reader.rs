//! Reads of the store, by purpose: admission, overview, event streams, search. None of them waits for another, nor for the writer.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use sentinel_units::Timestamp;
use sentinel_uplink::{PublicKey, TokenId};

use super::{
    Files, ReadLimits, ReadPool, StoreError, alerts, collector_keys, incidents, retention, sensor_states,
    sensors,
};
use crate::model::{
    AlertQuery, AlertRow, AlertSearch, AlertTotals, Incident, IncidentChange, IncidentPage,
    IncidentSelection, IncidentState, KeyPlan, MinuteCounts, RemovedCounts, Sensor, SensorId, StateChange,
    StoredToken,
};

/// Look-ups of keys and tokens: microseconds each, by index. The handshakes under way bound those that wait.
const ADMISSION: ReadLimits = ReadLimits { reading: 4, waiting: 1 << 20, deadline: Duration::from_secs(5) };
/// Reads whose cost is bounded by the number of sensors and of minutes shown.
const OVERVIEW: ReadLimits = ReadLimits { reading: 2, waiting: 64, deadline: Duration::from_secs(5) };
/// Reads of event streams: some hundred rows each. The number of streams bounds those that wait.
const FOLLOW: ReadLimits = ReadLimits { reading: 2, waiting: 1 << 10, deadline: Duration::from_secs(5) };

/// Searches of incidents, which end in their time with what they have found.
const INCIDENTS: ReadLimits = ReadLimits { reading: 2, waiting: 32, deadline: Duration::from_millis(1_800) };

/// Reads for the interfaces. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ReaderPool {
    files: Arc<Files>,
    overview: ReadPool,
    follow: ReadPool,
    incidents: ReadPool,
    search: ReadPool,
}

/// Reads that admit a connection. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AdmissionReader(ReadPool);

/// Totals and timeline of one request.
#[derive(Clone, Debug)]
pub struct StoreCounts {
    /// Stored alerts by kind and severity.
    pub totals: AlertTotals,
    /// Alerts per minute, oldest first.
    pub per_minute: Vec<MinuteCounts>,
}

/// All methods fail with the errors of [`ReadPool::read`].
impl ReaderPool {
    /// Limits of reads that may pass over every stored alert. Two at a time: a search takes a processor for itself, and
    /// small machines have two to four.
    pub const SEARCH: ReadLimits =
        ReadLimits { reading: 2, waiting: 32, deadline: Duration::from_millis(1_800) };

    /// Pools for the database of `files`, which must exist.
    #[must_use]
    pub fn new(files: &Arc<Files>) -> Self {
        Self::with_search(files, Self::SEARCH)
    }

    /// [`ReaderPool::new`] with other limits of searches.
    #[must_use]
    pub fn with_search(files: &Arc<Files>, search: ReadLimits) -> Self {
        let pool = |limits| ReadPool::new(Arc::clone(files), limits);
        Self {
            files: Arc::clone(files),
            overview: pool(OVERVIEW),
            follow: pool(FOLLOW),
            incidents: pool(INCIDENTS),
            search: pool(search),
        }
    }

    /// Bytes of the database and its write-ahead log on disk.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.files.size_bytes()
    }

    /// The rows that `query` selects.
    pub(crate) async fn alerts(&self, query: AlertQuery) -> Result<Vec<AlertRow>, StoreError> {
        self.search.read(move |connection| alerts::query::select(connection, &query)).await
    }

    /// [`ReaderPool::alerts`] in the time that there is, and how far the search got: by row number, and by time of arrival.
    pub(crate) async fn search_alerts(
        &self,
        query: AlertQuery,
    ) -> Result<(AlertSearch, Option<Timestamp>), StoreError> {
        let search = move |connection: &Connection| alerts::query::search(connection, &query);
        let found = self.search.read(search).await?;
        let Some(reached) = found.partial else { return Ok((found, None)) };
        let time = self.overview.read(move |read| alerts::query::received_at(read, reached)).await?;
        Ok((found, time))
    }

    /// [`ReaderPool::alerts`] for a read along the row numbers, without a filter: it passes over no row that it does not
    /// return.
    pub(crate) async fn follow(&self, query: AlertQuery) -> Result<Vec<AlertRow>, StoreError> {
        self.follow.read(move |connection| alerts::query::select(connection, &query)).await
    }

    /// A page of incidents, and how far the search got.
    pub(crate) async fn incidents(&self, selection: IncidentSelection) -> Result<IncidentPage, StoreError> {
        let found = self.incidents.read(move |connection| incidents::query::select(connection, &selection));
        let mut page = found.await?;
        if let Some(next) = page.next.filter(|_| page.is_partial) {
            page.reached = self.overview.read(move |read| incidents::query::opened_at(read, next)).await?;
        }
        Ok(page)
    }

    /// The incident with this row number.
    pub(crate) async fn incident(&self, id: i64) -> Result<Option<Incident>, StoreError> {
        self.incidents.read(move |connection| incidents::detail::find(connection, id)).await
    }

    /// State of the incident with this number in a run of a sensor, for an event stream; none if no message of it has been taken.
    pub(crate) async fn incident_state(
        &self,
        sensor: Arc<str>,
        boot: u32,
        number: u32,
    ) -> Result<Option<IncidentState>, StoreError> {
        self.follow.read(move |connection| incidents::detail::state(connection, &sensor, boot, number)).await
    }

    /// Changes that users have made to an incident, oldest first.
    pub(crate) async fn incident_history(&self, id: i64) -> Result<Vec<IncidentChange>, StoreError> {
        self.incidents.read(move |connection| incidents::change::history(connection, id)).await
    }

    /// Messages of an incident below row number `before`, newest first.
    pub(crate) async fn incident_messages(
        &self,
        id: i64,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<AlertRow>, StoreError> {
        self.incidents
            .read(move |connection| incidents::detail::messages(connection, id, before, limit))
            .await
    }

    /// Numbers of what was deleted to keep the limits of age and size.
    pub(crate) async fn removed(&self) -> Result<RemovedCounts, StoreError> {
        self.overview.read(retention::counts).await
    }

    /// Row number of the newest alert; 0 if there is none.
    pub(crate) async fn newest_alert(&self) -> Result<i64, StoreError> {
        self.overview.read(alerts::query::newest_id).await
    }

    /// Totals, and the timeline of the `minutes` minutes up to `now`; of these sensors if there is a list, for which rows are
    /// counted.
    pub(crate) async fn counts(
        &self,
        now: Timestamp,
        minutes: u16,
        among: Option<Arc<[SensorId]>>,
    ) -> Result<StoreCounts, StoreError> {
        if let Some(sensors) = among {
            let counts = self.search.read(move |connection| {
                Ok(StoreCounts {
                    totals: alerts::scoped::totals(connection, &sensors)?,
                    per_minute: alerts::scoped::timeline(connection, &sensors, now, minutes)?,
                })
            });
            return counts.await;
        }
        let counts = self.overview.read(move |connection| {
            // Two statements, each with a snapshot of its own: a commit in between shows in the later one only.
            Ok(StoreCounts {
                totals: alerts::totals::totals(connection)?,
                per_minute: alerts::totals::timeline(connection, now, minutes)?,
            })
        });
        counts.await
    }

    /// Every sensor, revoked ones included, in the order of names.
    pub(crate) async fn sensors(&self) -> Result<Vec<Sensor>, StoreError> {
        self.overview.read(sensors::all).await
    }

    /// States that a sensor has had, newest first.
    pub(crate) async fn sensor_states(&self, sensor: SensorId) -> Result<Vec<StateChange>, StoreError> {
        self.overview.read(move |connection| sensor_states::of_sensor(connection, sensor)).await
    }

    /// Open incidents that claim an attack, by sensor; those that a user has resolved or called a false alarm do not count.
    pub(crate) async fn open_attacks(&self) -> Result<Vec<(SensorId, u64)>, StoreError> {
        self.overview.read(incidents::query::open_attacks).await
    }

    /// The sensor with this name, row number or public key, even if it is revoked.
    pub(crate) async fn find_sensor(&self, text: String) -> Result<Option<Sensor>, StoreError> {
        self.search.read(move |connection| sensors::find(connection, &text)).await
    }
}

/// All methods fail with the errors of [`ReadPool::read`].
impl AdmissionReader {
    /// A pool for the database of `files`, which must exist.
    #[must_use]
    pub fn new(files: Arc<Files>) -> Self {
        Self(ReadPool::new(files, ADMISSION))
    }

    /// The sensor that has this key, will have it or had it, even if it is revoked.
    pub(crate) async fn sensor_with_key(&self, key: PublicKey) -> Result<Option<Sensor>, StoreError> {
        self.0.read(move |connection| sensors::with_key(connection, key)).await
    }

    /// Row numbers of the revoked sensors.
    pub(crate) async fn revoked_sensors(&self) -> Result<Vec<SensorId>, StoreError> {
        self.0.read(sensors::revoked).await
    }

    /// Steps to be taken about keys.
    pub(crate) async fn key_plan(&self) -> Result<KeyPlan, StoreError> {
        self.0.read(collector_keys::plan).await
    }

    /// The token of this number, even if it is used or expired.
    pub(crate) async fn token(&self, id: TokenId) -> Result<Option<StoredToken>, StoreError> {
        self.0.read(move |connection| sensors::token(connection, id)).await
    }
}

/// Stored alerts by kind and severity, with which the counters of a new process start.
///
/// # Errors
/// Errors of the database.
pub(crate) fn initial_totals(connection: &Connection) -> Result<AlertTotals, StoreError> {
    alerts::totals::totals(connection)
}
