//! The writer thread: drains the queue, commits everything in one transaction, then replies.
//!
//! Group commit: a commit costs one flush to the disk whatever its size, so under load more jobs go into each.
//! Nothing is replied before the commit: an alert that a sensor may discard is on the disk.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, TransactionBehavior};
use sentinel_units::Timestamp;
use sentinel_uplink::{LogHead, PublicKey, RejectReason, RunIdentity, Telemetry};
use tokio::sync::oneshot;

use super::lanes::{LaneSender, Lanes, Pace, lanes};
use super::{Lane, StoreError, StoreLimits, alerts, lineage, log_heads, run_ends, sensor_keys, sensors};
use crate::events::EventBus;
use crate::log::Log;
use crate::metrics::Metrics;
use crate::model::{
    CopiedKey, CopySign, Delivery, Enrollment, Event, HeadText, Limit, Lineage, Receipt, Sensor, SensorId,
    SensorInfo, StoredAlert,
};

/// First and longest wait after a failed commit; it doubles in between.
const RETRY_BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// Time between two log lines about a lasting failure.
const ERROR_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// A request to the writer.
enum Job {
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
    Enroll {
        request: Enrollment,
        reply: oneshot::Sender<EnrollReply>,
    },
}

type DeliverReply = Result<Result<Receipt, Limit>, StoreError>;
type KeyReply = Result<bool, StoreError>;
type EnrollReply = Result<Result<Sensor, RejectReason>, StoreError>;

impl Job {
    /// Size in entries, for [`MAX_ENTRIES_PER_COMMIT`].
    fn len(&self) -> usize {
        match self {
            Self::Deliver { delivery, .. } => delivery.len().max(1),
            _ => 1,
        }
    }

    /// Runs the job inside `transaction`.
    fn run(&self, transaction: &Connection, limits: StoreLimits) -> Result<JobResult, StoreError> {
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
        }
        Ok(JobResult::Done)
    }

    /// Replies with `error`. A receiver that is gone has no use for it.
    fn fail(self, error: StoreError) {
        match self {
            Self::Deliver { reply, .. } => drop(reply.send(Err(error))),
            Self::Enroll { reply, .. } => drop(reply.send(Err(error))),
            Self::Announce { reply, .. } | Self::Replace { reply, .. } => drop(reply.send(Err(error))),
            Self::Telemetry { .. }
            | Self::Seen { .. }
            | Self::Info { .. }
            | Self::Limit { .. }
            | Self::LogHead { .. }
            | Self::Copy { .. }
            | Self::Pin { .. }
            | Self::Run { .. } => {}
        }
    }
}

/// Result of a job, valid once its transaction is committed.
enum JobResult {
    Stored(Result<Receipt, Limit>),
    Enrolled(Box<Result<Sensor, RejectReason>>),
    /// The head that the new one contradicts.
    Head(Option<LogHead>),
    Run(Lineage),
    Key(bool),
    Done,
}

/// Sends jobs to the writer. Cheap to clone; the writer stops when the last one is dropped.
#[derive(Clone, Debug)]
pub struct WriterHandle {
    jobs: LaneSender<Job>,
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

    async fn send(&self, job: Job) -> Result<(), StoreError> {
        self.send_to(Lane::Prompt, job).await
    }

    async fn send_to(&self, lane: Lane, job: Job) -> Result<(), StoreError> {
        if self.jobs.send(lane, job).await { Ok(()) } else { Err(StoreError::Closed) }
    }
}

/// The running writer thread.
#[derive(Debug)]
pub struct Writer {
    thread: thread::JoinHandle<()>,
}

impl Writer {
    /// Starts the thread on a connection that may write. Alerts are published on `events` once stored.
    ///
    /// # Errors
    /// Errors of starting a thread.
    pub fn start(
        connection: Connection,
        limits: StoreLimits,
        events: EventBus,
        metrics: Arc<Metrics>,
        log: Log,
    ) -> std::io::Result<(Self, WriterHandle)> {
        let (jobs, queue) = lanes()?;
        let state =
            State { connection, limits, events, metrics, log, pace: Pace::new(), error_logged_at: None };
        let thread = thread::Builder::new().name("store-writer".into()).spawn(move || state.run(queue))?;
        Ok((Self { thread }, WriterHandle { jobs }))
    }

    /// Waits until the last handle is dropped and everything sent through it is stored.
    pub fn join(self) {
        let _ = self.thread.join(); // a panic of the thread has been printed by its own hook
    }
}

struct State {
    connection: Connection,
    limits: StoreLimits,
    events: EventBus,
    metrics: Arc<Metrics>,
    log: Log,
    pace: Pace,
    /// Time of the last log line about the present failure; none while commits succeed.
    error_logged_at: Option<Instant>,
}

impl State {
    fn run(mut self, mut queue: Lanes<Job>) {
        while let Some(first) = queue.next() {
            // Prompt jobs have a transaction of their own, which is short; after it, bulk jobs have theirs, even if there is no
            // end of prompt ones.
            let (lane, first) = first;
            self.commit_queued(lane, first, &mut queue);
            if lane == Lane::Prompt
                && let Some(first) = queue.try_next(Lane::Bulk)
            {
                self.commit_queued(Lane::Bulk, first, &mut queue);
            }
        }
        // Moves the write-ahead log into the main file, so that a copy of that file alone is complete.
        let _ = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    }

    /// Commits `first` with the jobs of its lane that are queued, up to what the pace allows. Never waits for more: an idle
    /// collector commits each job at once.
    fn commit_queued(&mut self, lane: Lane, first: Job, queue: &mut Lanes<Job>) {
        let mut entries = first.len();
        let mut jobs = vec![first];
        while entries < self.pace.entries() {
            let Some(job) = queue.try_next(lane) else { break };
            entries += job.len();
            jobs.push(job);
        }
        self.commit(jobs, queue);
    }

    /// Commits the jobs, and tries again after a temporary failure (full disk, locked file). The sensors wait
    /// meanwhile, because nothing is acknowledged and the queue is bounded.
    fn commit(&mut self, jobs: Vec<Job>, queue: &Lanes<Job>) {
        let mut delay = RETRY_BACKOFF.0;
        loop {
            let started = Instant::now();
            match self.attempt(&jobs) {
                Ok(results) => {
                    let took = started.elapsed();
                    self.pace.record(jobs.iter().map(Job::len).sum(), took);
                    self.metrics.commit_seconds.observe(took.as_secs_f64());
                    return self.succeed(jobs, results);
                }
                Err(error) => {
                    self.record_failure(&error);
                    if !error.is_temporary() {
                        return self.commit_singly(jobs, error);
                    }
                }
            }
            // The process stops when every sender is gone. Dropping the jobs drops their reply channels, which
            // the connections see as `Closed`: nothing is acknowledged, the sensors send it again.
            if queue.is_closed() && delay >= RETRY_BACKOFF.1 {
                return;
            }
            thread::sleep(delay);
            delay = (delay * 2).min(RETRY_BACKOFF.1);
        }
    }

    /// Commits each job alone after a permanent failure, so that the one that cannot be stored fails and the
    /// others do not wait for it.
    fn commit_singly(&mut self, mut jobs: Vec<Job>, error: StoreError) {
        if jobs.len() <= 1 {
            if let Some(job) = jobs.pop() {
                job.fail(error);
            }
            return;
        }
        // Recursion is one level deep: a list of one job returns above.
        for job in jobs {
            let single = vec![job];
            match self.attempt(&single) {
                Ok(results) => self.succeed(single, results),
                Err(error) => self.commit_singly(single, error),
            }
        }
    }

    fn attempt(&mut self, jobs: &[Job]) -> Result<Vec<JobResult>, StoreError> {
        // Immediate: takes the write lock at once, so that waiting for another process is covered by the busy
        // timeout. A deferred transaction fails when it turns from reading to writing.
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // In the order of the queue, which is the order of sending of each sensor. The first error drops the transaction, which
        // rolls back every job in it.
        let results = jobs.iter().map(|job| job.run(&transaction, self.limits)).collect::<Result<_, _>>()?;
        transaction.commit()?;
        Ok(results)
    }

    fn record_failure(&mut self, error: &StoreError) {
        self.metrics.store_errors.inc();
        self.metrics.store_failing.set(1);
        if self.error_logged_at.is_none_or(|at| at.elapsed() > ERROR_LOG_INTERVAL) {
            self.error_logged_at = Some(Instant::now());
            self.log.error(format_args!("nothing can be stored, sensors keep their alerts: {error}"));
        }
    }

    /// After a commit: replies to the connections, counts, and publishes.
    fn succeed(&mut self, jobs: Vec<Job>, results: Vec<JobResult>) {
        self.metrics.store_failing.set(0);
        if self.error_logged_at.take().is_some() {
            self.log.info(format_args!("the store takes alerts again"));
        }
        // `attempt` has returned one result for each job, in the same order.
        for (job, result) in jobs.into_iter().zip(results) {
            match (job, result) {
                (Job::Deliver { delivery, sensor, reply }, JobResult::Stored(result)) => {
                    if let Ok(receipt) = &result {
                        if receipt.conflicts > 0 {
                            let detail = format!("{} alerts", receipt.conflicts);
                            self.report_copy(&sensor, CopySign::Numbers, &detail);
                        }
                        self.metrics.count_receipt(&delivery, receipt);
                        self.publish(delivery, &sensor, receipt);
                    }
                    let _ = reply.send(Ok(result)); // the connection may be gone; the alerts are stored
                }
                (Job::Enroll { reply, .. }, JobResult::Enrolled(result)) => drop(reply.send(Ok(*result))),
                // The connection may be gone.
                (Job::Run { reply, .. }, JobResult::Run(lineage)) => drop(reply.send(lineage)),
                (Job::Announce { reply, .. } | Job::Replace { reply, .. }, JobResult::Key(done)) => {
                    drop(reply.send(Ok(done)));
                }
                (Job::Copy { name, sign, detail, .. }, _) => self.report_copy(&name, sign, &detail),
                (Job::LogHead { name, head, .. }, JobResult::Head(Some(before))) => {
                    self.metrics.log_heads_contradicted.inc();
                    self.log.warn(format_args!(
                        "{name}: log rolled back or rewritten: its head is {}, it was {}",
                        HeadText(&head),
                        HeadText(&before)
                    ));
                }
                _ => {}
            }
        }
    }

    fn report_copy(&self, sensor: &str, sign: CopySign, detail: &str) {
        self.metrics.copied_keys.inc();
        self.log.limited_warn(
            "copied_key",
            format_args!("{sensor}: {} ({detail}); {}", sign.describe(), CopiedKey::REMEDY),
        );
    }

    /// Publishes the alerts that were new, in the order of their rows.
    fn publish(&self, delivery: Delivery, sensor: &Arc<str>, receipt: &Receipt) {
        if !self.events.has_subscribers() {
            return;
        }
        // The indices in `inserted` rise, because a delivery is inserted in its own order: one pass finds the new alerts.
        let mut inserted = receipt.inserted.iter().peekable();
        for (index, (alert_id, alert)) in delivery.alerts.into_iter().enumerate() {
            let Some((id, _)) = inserted.next_if(|(_, of)| *of == index) else { continue };
            let sensor = Arc::clone(sensor);
            let stored = StoredAlert { id: *id, sensor, alert_id, received_at: delivery.received_at, alert };
            self.events.publish(Event::Alert(Arc::new(stored)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::AlertTotals;
    use crate::store::testing::{delivery, open};

    fn limits() -> StoreLimits {
        StoreLimits::default()
    }

    #[test]
    fn a_failed_commit_is_retried_until_it_succeeds() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db");
        let log = Log::open(Some(&directory.path().join("log"))).unwrap();
        let metrics = Arc::new(Metrics::new(&AlertTotals::default()));
        let connection = open(&path);
        connection.busy_timeout(Duration::ZERO).unwrap(); // the lock of the other process is an error at once
        let (writer, handle) =
            Writer::start(connection, limits(), EventBus::default(), Arc::clone(&metrics), log).unwrap();
        let blocker = open(&path);
        blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let receipt = runtime.block_on(async {
            let waiting =
                tokio::spawn(async move { handle.deliver(delivery(1..=1), "a".into(), Lane::Bulk).await });
            while metrics.store_errors.get() < 2 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            assert!(metrics.is_store_failing() && !waiting.is_finished());
            blocker.execute_batch("COMMIT").unwrap();
            waiting.await.unwrap()
        });
        assert_eq!(receipt.unwrap().unwrap().inserted.len(), 1);
        assert!(!metrics.is_store_failing());
        writer.join();
        let log = std::fs::read_to_string(directory.path().join("log")).unwrap();
        assert_eq!(log.matches("nothing can be stored").count(), 1, "{log}");
        assert_eq!(log.matches("takes alerts again").count(), 1, "{log}");
    }

    #[test]
    fn a_job_that_cannot_be_stored_does_not_delay_the_others() {
        let directory = tempfile::tempdir().unwrap();
        let metrics = Arc::new(Metrics::new(&AlertTotals::default()));
        let log = Log::open(Some(&directory.path().join("log"))).unwrap();
        let events = EventBus::default();
        let mut subscriber = events.subscribe();
        let connection = open(&directory.path().join("db"));
        let mut state = State {
            connection,
            limits: limits(),
            events,
            metrics: Arc::clone(&metrics),
            log,
            pace: Pace::new(),
            error_logged_at: None,
        };
        let (_jobs, queue) = lanes().unwrap();
        // There is no sensor 99, and rows refer to sensors.
        let (jobs, mut replies): (Vec<Job>, Vec<_>) = [(1, 1), (99, 1), (1, 2)]
            .into_iter()
            .map(|(sensor, seq)| {
                let (reply, result) = oneshot::channel();
                let delivery = Delivery { sensor: SensorId(sensor), ..delivery(seq..=seq) };
                (Job::Deliver { delivery, sensor: "a".into(), reply }, result)
            })
            .unzip();
        state.commit(jobs, &queue);
        let results: Vec<bool> = replies.iter_mut().map(|reply| reply.try_recv().unwrap().is_ok()).collect();
        assert_eq!(results, [true, false, true]);
        assert!(!metrics.is_store_failing());
        for _ in 0..2 {
            assert!(matches!(subscriber.try_recv(), Ok(Event::Alert(_))));
        }
        assert!(subscriber.try_recv().is_err());
    }
}
