//! Requests to the writer, and the handle that sends them.

use std::sync::Arc;

use rusqlite::Connection;
use sentinel_units::Timestamp;
use sentinel_uplink::{LogHead, PublicKey, RejectReason, RunIdentity, Telemetry};
use tokio::sync::oneshot;

use super::incidents::batch::Batch;
use super::incidents::runs::Wrong;
use super::lanes::LaneSender;
use super::retention::Expired;
use super::{
    Lane, StoreError, StoreLimits, alerts, incidents, lineage, log_heads, retention, run_ends, sensor_keys,
    sensor_states, sensors,
};
use crate::model::{
    ChangeOutcome, ChangeRequest, CopySign, Delivery, Enrollment, Limit, Lineage, Receipt, Sensor, SensorId,
    SensorInfo, StateChange,
};

/// A request to the writer.
pub(super) enum Job {
    Deliver {
        delivery: Delivery,
        sensor: Arc<str>,
        reply: oneshot::Sender<DeliverReply>,
    },
    Telemetry {
        sensor: SensorId,
        telemetry: Box<Telemetry>,
        at: Timestamp,
    },
    LogHead {
        sensor: SensorId,
        name: Arc<str>,
        head: LogHead,
        at: Timestamp,
    },
    Seen {
        sensor: SensorId,
        at: Timestamp,
    },
    Info {
        sensor: SensorId,
        info: SensorInfo,
        at: Timestamp,
    },
    Limit {
        sensor: SensorId,
        limit: Limit,
        times: u64,
        at: Timestamp,
    },
    Run {
        sensor: SensorId,
        boot: u32,
        run: RunIdentity,
        ends: bool,
        at: Timestamp,
        reply: oneshot::Sender<Lineage>,
    },
    Announce {
        sensor: SensorId,
        key: PublicKey,
        reply: oneshot::Sender<KeyReply>,
    },
    Replace {
        sensor: SensorId,
        key: PublicKey,
        at: Timestamp,
        reply: oneshot::Sender<KeyReply>,
    },
    Copy {
        sensor: SensorId,
        name: Arc<str>,
        sign: CopySign,
        detail: String,
        at: Timestamp,
    },
    Pin {
        sensor: SensorId,
        key: PublicKey,
    },
    States(Vec<(SensorId, StateChange)>),
    Enroll {
        request: Enrollment,
        reply: oneshot::Sender<EnrollReply>,
    },
    ChangeIncidents {
        request: ChangeRequest,
        reply: oneshot::Sender<ChangeReply>,
    },
    Follow {
        work: Box<Follow>,
        reply: oneshot::Sender<FollowReply>,
    },
}

/// Work that follows from what is stored. Nothing is lost if it fails: it is found again.
pub(super) enum Follow {
    Index(Batch),
    Runs(Wrong),
    Remove(Expired),
}

impl Follow {
    fn run(&self, transaction: &Connection) -> Result<(), StoreError> {
        match self {
            // A batch that was read at another position changes nothing; the next one is read at the right one.
            Self::Index(batch) => incidents::apply::apply(transaction, batch).map(drop),
            Self::Runs(wrong) => incidents::runs::correct(transaction, wrong),
            Self::Remove(expired) => retention::remove(transaction, expired),
        }
    }
}

type DeliverReply = Result<Result<Receipt, Limit>, StoreError>;
type KeyReply = Result<bool, StoreError>;
type ChangeReply = Result<ChangeOutcome, StoreError>;
type FollowReply = Result<(), StoreError>;
type EnrollReply = Result<Result<Sensor, RejectReason>, StoreError>;

impl Job {
    /// Size in entries, for [`MAX_ENTRIES_PER_COMMIT`].
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Deliver { delivery, .. } => delivery.len().max(1),
            Self::States(changes) => changes.len().max(1),
            _ => 1,
        }
    }

    /// Runs the job inside `transaction`.
    pub(super) fn run(&self, transaction: &Connection, limits: StoreLimits) -> Result<JobResult, StoreError> {
        match self {
            Self::Deliver { delivery, .. } => {
                let result = alerts::insert::insert_delivery(transaction, delivery, limits)?;
                if let Err(limit) = result {
                    sensors::count_limit(transaction, delivery.sensor, limit, 1, delivery.received_at)?;
                }
                return Ok(JobResult::Stored(result));
            }
            Self::Enroll { request, .. } => {
                return Ok(JobResult::Enrolled(Box::new(sensors::enroll(transaction, request)?)));
            }
            Self::LogHead { sensor, head, at, .. } => {
                return Ok(JobResult::Head(log_heads::update(transaction, *sensor, head, *at)?));
            }
            Self::Telemetry { sensor, telemetry, at } => {
                sensors::update_telemetry(transaction, *sensor, telemetry, *at)?;
            }
            Self::Seen { sensor, at } => sensors::update_last_seen(transaction, *sensor, *at)?,
            Self::Info { sensor, info, at } => sensors::update_info(transaction, *sensor, info, *at)?,
            Self::Limit { sensor, limit, times, at } => {
                sensors::count_limit(transaction, *sensor, *limit, *times, *at)?;
            }
            Self::Run { sensor, boot, run, ends, at, .. } => {
                run_ends::begin(transaction, *sensor, ends.then_some(*boot), *at)?;
                return Ok(JobResult::Run(lineage::follow(transaction, *sensor, *boot, *run)?));
            }
            Self::Announce { sensor, key, .. } => {
                return Ok(JobResult::Key(sensor_keys::announce(transaction, *sensor, *key)?));
            }
            Self::Replace { sensor, key, at, .. } => {
                return Ok(JobResult::Key(sensor_keys::replace(transaction, *sensor, *key, *at)?));
            }
            Self::Copy { sensor, sign, detail, at, .. } => {
                sensor_keys::count_copy(transaction, *sensor, *sign, detail, *at)?;
            }
            Self::Pin { sensor, key } => sensor_keys::pin(transaction, *sensor, *key)?,
            Self::States(changes) => {
                changes.iter().try_for_each(|(id, change)| sensor_states::add(transaction, *id, change))?;
            }
            Self::ChangeIncidents { request, .. } => {
                return Ok(JobResult::Changed(incidents::change::change(transaction, request)?));
            }
            Self::Follow { work, .. } => work.run(transaction)?,
        }
        Ok(JobResult::Done)
    }

    /// Replies with `error`. A receiver that is gone has no use for it.
    pub(super) fn fail(self, error: StoreError) {
        match self {
            Self::Deliver { reply, .. } => drop(reply.send(Err(error))),
            Self::Enroll { reply, .. } => drop(reply.send(Err(error))),
            Self::Announce { reply, .. } | Self::Replace { reply, .. } => drop(reply.send(Err(error))),
            Self::ChangeIncidents { reply, .. } => drop(reply.send(Err(error))),
            Self::Follow { reply, .. } => drop(reply.send(Err(error))),
            Self::Telemetry { .. }
            | Self::Seen { .. }
            | Self::Info { .. }
            | Self::Limit { .. }
            | Self::LogHead { .. }
            | Self::Copy { .. }
            | Self::Pin { .. }
            | Self::States(_)
            | Self::Run { .. } => {}
        }
    }
}

/// Result of a job, valid once its transaction is committed.
pub(super) enum JobResult {
    Stored(Result<Receipt, Limit>),
    Enrolled(Box<Result<Sensor, RejectReason>>),
    /// The head that the new one contradicts.
    Head(Option<LogHead>),
    Run(Lineage),
    Key(bool),
    Changed(ChangeOutcome),
    Done,
}

/// Sends jobs to the writer. Cheap to clone; the writer stops when the last one is dropped.
#[derive(Clone, Debug)]
pub struct WriterHandle {
    pub(super) jobs: LaneSender<Job>,
}

impl WriterHandle {
    /// Stores a delivery. Returns when it is on the disk, however long that takes. The inner error is the limit of its sensor
    /// that it breaks: nothing of it is stored, and it must not be acknowledged.
    ///
    /// # Errors
    /// [`StoreError::Closed`] if the writer stopped before; a lasting error of the database. Nothing of the
    /// delivery may be acknowledged then.
    pub async fn deliver(
        &self,
        delivery: Delivery,
        sensor: Arc<str>,
        lane: Lane,
    ) -> Result<Result<Receipt, Limit>, StoreError> {
        // A queued job does not depend on this future: if the connection goes away, its delivery is stored nevertheless.
        let (reply, result) = oneshot::channel();
        self.send_to(lane, Job::Deliver { delivery, sensor, reply }).await?;
        result.await.map_err(|_| StoreError::Closed)?
    }

    /// Uses up a token and creates its sensor; the inner error is the answer to a request that is not granted.
    ///
    /// # Errors
    /// Errors of [`WriterHandle::deliver`].
    pub async fn enroll(&self, request: Enrollment) -> Result<Result<Sensor, RejectReason>, StoreError> {
        let (reply, result) = oneshot::channel();
        self.send(Job::Enroll { request, reply }).await?;
        result.await.map_err(|_| StoreError::Closed)?
    }

    /// Stores the latest telemetry of a sensor, with the next commit.
    ///
    /// # Errors
    /// [`StoreError::Closed`].
    pub async fn telemetry(
        &self,
        sensor: SensorId,
        telemetry: Telemetry,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.send(Job::Telemetry { sensor, telemetry: Box::new(telemetry), at }).await
    }

    /// Stores states that sensors have entered, with the next commit.
    ///
    /// # Errors
    /// [`StoreError::Closed`].
    pub async fn states(&self, changes: Vec<(SensorId, StateChange)>) -> Result<(), StoreError> {
        self.send(Job::States(changes)).await
    }

    /// Stores the head of the log of a sensor, with the next commit.
    ///
    /// # Errors
    /// [`StoreError::Closed`].
    pub async fn log_head(
        &self,
        sensor: SensorId,
        name: Arc<str>,
        head: LogHead,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.send(Job::LogHead { sensor, name, head, at }).await
    }

    /// Stores the properties that a sensor reported, with the next commit.
    ///
    /// # Errors
    /// [`StoreError::Closed`].
    pub async fn info(&self, sensor: SensorId, info: SensorInfo, at: Timestamp) -> Result<(), StoreError> {
        self.send(Job::Info { sensor, info, at }).await
    }

    /// Takes a hello of run `boot` into account, with the next commit; the channel gets its relation to the runs before it.
    /// `ends` is true for a sensor that reports the ends of its runs.
    ///
    /// # Errors
    /// [`StoreError::Closed`].
    pub async fn begin_run(
        &self,
        sensor: SensorId,
        boot: u32,
        run: RunIdentity,
        ends: bool,
        at: Timestamp,
    ) -> Result<oneshot::Receiver<Lineage>, StoreError> {
        let (reply, result) = oneshot::channel();
        self.send(Job::Run { sensor, boot, run, ends, at, reply }).await?;
        Ok(result)
    }

    /// Stores the next key of a sensor. Returns false if it must not have that key.
    ///
    /// # Errors
    /// Errors of [`WriterHandle::deliver`].
    pub async fn announce_key(&self, sensor: SensorId, key: PublicKey) -> Result<bool, StoreError> {
        let (reply, result) = oneshot::channel();
        self.send(Job::Announce { sensor, key, reply }).await?;
        result.await.map_err(|_| StoreError::Closed)?
    }

    /// Makes the next key of a sensor, which it has proved, its only one. Returns false if that is not its next key.
    ///
    /// # Errors
    /// Errors of [`WriterHandle::deliver`].
    pub async fn replace_key(
        &self,
        sensor: SensorId,
        key: PublicKey,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let (reply, result) = oneshot::channel();
        self.send(Job::Replace { sensor, key, at, reply }).await?;
        result.await.map_err(|_| StoreError::Closed)?
    }

    /// Counts and logs a sign that the key of a sensor was copied, with the next commit.
    ///
    /// # Errors
    /// [`StoreError::Closed`].
    pub async fn copied_key(
        &self,
        sensor: SensorId,
        name: Arc<str>,
        sign: CopySign,
        detail: String,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.send(Job::Copy { sensor, name, sign, detail, at }).await
    }

    /// Stores the key of the collector that a sensor has confirmed, with the next commit.
    ///
    /// # Errors
    /// [`StoreError::Closed`].
    pub async fn pinned_key(&self, sensor: SensorId, key: PublicKey) -> Result<(), StoreError> {
        self.send(Job::Pin { sensor, key }).await
    }

    /// Stores the time of the last sign of a sensor, with the next commit.
    ///
    /// # Errors
    /// [`StoreError::Closed`].
    pub async fn seen(&self, sensor: SensorId, at: Timestamp) -> Result<(), StoreError> {
        self.send(Job::Seen { sensor, at }).await
    }

    /// Counts in the row of a sensor that it met a limit, with the next commit.
    ///
    /// # Errors
    /// [`StoreError::Closed`].
    pub async fn limit(
        &self,
        sensor: SensorId,
        limit: Limit,
        times: u64,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.send(Job::Limit { sensor, limit, times, at }).await
    }

    /// Changes states of incidents and adds notes. Returns when that is on the disk.
    ///
    /// # Errors
    /// Errors of [`WriterHandle::deliver`].
    pub async fn change_incidents(&self, request: ChangeRequest) -> Result<ChangeOutcome, StoreError> {
        let (reply, result) = oneshot::channel();
        self.send(Job::ChangeIncidents { request, reply }).await?;
        result.await.map_err(|_| StoreError::Closed)?
    }

    async fn send(&self, job: Job) -> Result<(), StoreError> {
        self.send_to(Lane::Prompt, job).await
    }

    async fn send_to(&self, lane: Lane, job: Job) -> Result<(), StoreError> {
        if self.jobs.send(lane, job).await { Ok(()) } else { Err(StoreError::Closed) }
    }
}
