//! The one thread that writes: gathers what has arrived, commits it at once, then tells everybody.
//!
//! A commit costs a flush to the disk whatever its size, so the more arrives, the more goes into one.
//! Nothing is answered before the commit: what is acknowledged is on the disk.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, TransactionBehavior};
use sentinel_units::Timestamp;
use sentinel_uplink::RejectReason;
use tokio::sync::{broadcast, mpsc, oneshot};

use super::{Delivery, Enrollment, Receipt, Sensor, SensorId, SensorInfo, StoreError, alerts, sensors};
use crate::log::Log;
use crate::metrics::Metrics;

/// Jobs waiting for the writer; senders wait when it is full, and with them the sensors.
const QUEUE_LEN: usize = 256;
/// Alerts in one transaction; bounds how long an enrollment or another process waits.
const ALERTS_PER_COMMIT: usize = 8_192;
/// Events that a slow listener may lag behind before it has to read from the store.
const EVENTS_LEN: usize = 4_096;
/// First and longest pause after a failed commit.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// How often a lasting failure is logged.
const ERROR_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Something to show to whoever is watching.
#[derive(Clone, Debug)]
pub enum Event {
    /// An alert was stored.
    Alert {
        /// Its row number, by which a listener resumes.
        id: i64,
        /// As [`alerts::to_json`].
        json: Arc<str>,
    },
    /// A sensor came, went, was enrolled or shut out; a JSON object.
    Sensor(Arc<str>),
}

enum Job {
    Deliver { delivery: Delivery, sensor: Arc<str>, reply: oneshot::Sender<Result<Receipt, StoreError>> },
    Telemetry { sensor: SensorId, json: String, at: Timestamp },
    Seen { sensor: SensorId, at: Timestamp },
    SensorInfo { sensor: SensorId, info: SensorInfo, at: Timestamp },
    Enroll { wanted: Enrollment, reply: oneshot::Sender<EnrollReply> },
}

type EnrollReply = Result<Result<Sensor, RejectReason>, StoreError>;

/// What a job came to, before the commit.
enum JobResult {
    Receipt(Receipt),
    Enrolled(Box<Result<Sensor, RejectReason>>),
    Done,
}

/// Sends work to the writer. Cheap to clone; the writer stops when the last one is gone.
#[derive(Clone, Debug)]
pub struct WriterHandle {
    jobs: mpsc::Sender<Job>,
    events: broadcast::Sender<Event>,
}

impl WriterHandle {
    /// Stores a delivery. Returns when it is on the disk, however long that takes.
    ///
    /// # Errors
    /// [`StoreError::Closed`] if the writer stopped before; a lasting error of the database. Nothing of the
    /// delivery may be acknowledged then.
    pub async fn deliver(&self, delivery: Delivery, sensor: Arc<str>) -> Result<Receipt, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.send(Job::Deliver { delivery, sensor, reply }).await?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Uses up a token. As [`sensors::enroll`].
    ///
    /// # Errors
    /// As [`WriterHandle::deliver`].
    pub async fn enroll(&self, wanted: Enrollment) -> Result<Result<Sensor, RejectReason>, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.send(Job::Enroll { wanted, reply }).await?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Keeps the latest telemetry of a sensor, with the next commit.
    ///
    /// # Errors
    /// [`StoreError::Closed`].
    pub async fn telemetry(&self, sensor: SensorId, json: String, at: Timestamp) -> Result<(), StoreError> {
        self.send(Job::Telemetry { sensor, json, at }).await
    }

    /// Keeps what a sensor says of itself, with the next commit.
    ///
    /// # Errors
    /// [`StoreError::Closed`].
    pub async fn sensor_info(
        &self,
        sensor: SensorId,
        info: SensorInfo,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.send(Job::SensorInfo { sensor, info, at }).await
    }

    /// Notes that the sensor was heard of, with the next commit.
    ///
    /// # Errors
    /// [`StoreError::Closed`].
    pub async fn seen(&self, sensor: SensorId, at: Timestamp) -> Result<(), StoreError> {
        self.send(Job::Seen { sensor, at }).await
    }

    /// Tells listeners of something that is not an alert.
    pub fn announce(&self, json: String) {
        let _ = self.events.send(Event::Sensor(json.into())); // nobody listens: nothing to tell
    }

    /// Where listeners come in. Holding it does not keep the writer running.
    #[must_use]
    pub fn events(&self) -> Events {
        Events(self.events.clone())
    }

    async fn send(&self, job: Job) -> Result<(), StoreError> {
        self.jobs.send(job).await.map_err(|_| StoreError::Closed)
    }
}

/// What is stored and announced, for any number of listeners. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Events(broadcast::Sender<Event>);

impl Events {
    /// Everything stored or announced from now on.
    #[must_use]
    pub fn listen(&self) -> broadcast::Receiver<Event> {
        self.0.subscribe()
    }
}

/// The running writer thread.
#[derive(Debug)]
pub struct Writer {
    thread: thread::JoinHandle<()>,
}

impl Writer {
    /// Starts the thread on a connection that may write.
    ///
    /// # Errors
    /// Those of starting a thread.
    pub fn start(
        connection: Connection,
        metrics: Arc<Metrics>,
        log: Log,
    ) -> std::io::Result<(Self, WriterHandle)> {
        let (jobs, queue) = mpsc::channel(QUEUE_LEN);
        let (events, _) = broadcast::channel(EVENTS_LEN);
        let handle = WriterHandle { jobs, events: events.clone() };
        let state = State { connection, events, metrics, log, error_logged_at: None };
        let thread = thread::Builder::new().name("store-writer".into()).spawn(move || state.run(queue))?;
        Ok((Self { thread }, handle))
    }

    /// Waits until the last handle is gone and everything sent through it is stored.
    pub fn join(self) {
        let _ = self.thread.join(); // a panic of the thread has been printed by its own hook
    }
}

struct State {
    connection: Connection,
    events: broadcast::Sender<Event>,
    metrics: Arc<Metrics>,
    log: Log,
    /// When the present failure was last logged.
    error_logged_at: Option<Instant>,
}

impl State {
    fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        while let Some(first) = queue.blocking_recv() {
            let mut jobs = vec![first];
            let mut gathered = alerts_in(&jobs);
            while gathered < ALERTS_PER_COMMIT {
                let Ok(job) = queue.try_recv() else { break };
                jobs.push(job);
                gathered += jobs.last().map_or(0, |job| alerts_in(std::slice::from_ref(job)));
            }
            self.commit(jobs, &queue);
        }
        // Bring everything into the main file, so that a copy of it alone is whole.
        let _ = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    }

    /// Commits the jobs; a failure that will pass is tried again until everybody else has gone.
    fn commit(&mut self, jobs: Vec<Job>, queue: &mpsc::Receiver<Job>) {
        let mut pause = RETRY.0;
        loop {
            let began = Instant::now();
            let error = match self.attempt(&jobs) {
                Ok(results) => {
                    self.metrics.commit_seconds.observe(began.elapsed().as_secs_f64());
                    self.metrics.store_failing.set(0);
                    if self.error_logged_at.take().is_some() {
                        self.log.info(format_args!("the store takes alerts again"));
                    }
                    for (job, result) in jobs.into_iter().zip(results) {
                        self.answer(job, result);
                    }
                    return;
                }
                Err(error) => error,
            };
            self.metrics.store_errors.inc();
            self.metrics.store_failing.set(1);
            if self.error_logged_at.is_none_or(|at| at.elapsed() > ERROR_LOG_INTERVAL) {
                self.error_logged_at = Some(Instant::now());
                self.log.error(format_args!("nothing can be stored, sensors keep their alerts: {error}"));
            }
            if !error.is_temporary() {
                return self.commit_singly(jobs, error);
            }
            if queue.is_closed() && pause >= RETRY.1 {
                return; // we are asked to stop; dropping the replies means that nothing is acknowledged
            }
            thread::sleep(pause);
            pause = (pause * 2).min(RETRY.1);
        }
    }

    /// One job cannot be stored whatever we do: find it, so that the others are not held up by it.
    fn commit_singly(&mut self, jobs: Vec<Job>, error: StoreError) {
        if jobs.len() <= 1 {
            if let Some(job) = jobs.into_iter().next() {
                fail(job, error);
            }
            return;
        }
        for job in jobs {
            let single = vec![job];
            match self.attempt(&single) {
                Ok(results) => {
                    self.metrics.store_failing.set(0);
                    for (job, result) in single.into_iter().zip(results) {
                        self.answer(job, result);
                    }
                }
                Err(error) => self.commit_singly(single, error),
            }
        }
    }

    fn attempt(&mut self, jobs: &[Job]) -> Result<Vec<JobResult>, StoreError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut results = Vec::with_capacity(jobs.len());
        for job in jobs {
            results.push(match job {
                Job::Deliver { delivery, .. } => JobResult::Receipt(alerts::store(&transaction, delivery)?),
                Job::Telemetry { sensor, json, at } => {
                    sensors::update_telemetry(&transaction, *sensor, json, *at)?;
                    JobResult::Done
                }
                Job::Seen { sensor, at } => {
                    sensors::update_last_seen(&transaction, *sensor, *at)?;
                    JobResult::Done
                }
                Job::SensorInfo { sensor, info, at } => {
                    sensors::update_info(&transaction, *sensor, info, *at)?;
                    JobResult::Done
                }
                Job::Enroll { wanted, .. } => {
                    JobResult::Enrolled(Box::new(sensors::enroll(&transaction, wanted)?))
                }
            });
        }
        transaction.commit()?;
        Ok(results)
    }

    /// After the commit: tell the connection, the counters and the listeners.
    fn answer(&self, job: Job, result: JobResult) {
        match (job, result) {
            (Job::Deliver { delivery, sensor, reply }, JobResult::Receipt(receipt)) => {
                self.metrics.count_receipt(&delivery, &receipt);
                self.publish(&delivery, &sensor, &receipt);
                let _ = reply.send(Ok(receipt)); // the connection may be gone; the alerts are safe
            }
            (Job::Enroll { reply, .. }, JobResult::Enrolled(result)) => {
                let _ = reply.send(Ok(*result));
            }
            _ => {}
        }
    }

    fn publish(&self, delivery: &Delivery, sensor: &str, receipt: &Receipt) {
        if self.events.receiver_count() == 0 {
            return;
        }
        for (id, place) in &receipt.inserted {
            let Some((alert_id, alert)) = delivery.alerts.get(*place) else { continue };
            let json = alerts::to_json(*id, sensor, delivery.received_at, *alert_id, alert);
            let _ = self.events.send(Event::Alert { id: *id, json: json.into() });
        }
    }
}

/// Tells whoever waits for the job. A listener that is gone has no use for the error.
fn fail(job: Job, error: StoreError) {
    match job {
        Job::Deliver { reply, .. } => drop(reply.send(Err(error))),
        Job::Enroll { reply, .. } => drop(reply.send(Err(error))),
        Job::Telemetry { .. } | Job::Seen { .. } | Job::SensorInfo { .. } => {}
    }
}

fn alerts_in(jobs: &[Job]) -> usize {
    jobs.iter()
        .map(|job| match job {
            Job::Deliver { delivery, .. } => delivery.alerts.len().max(1),
            _ => 1,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use sentinel_alert::{Alert, AlertId, Evidence, Phase, Severity, Subject, Test};

    use super::*;
    use crate::store::{DatabaseKey, schema};

    fn open(path: &Path) -> Connection {
        let connection = schema::open_writer(path, &DatabaseKey::from_text(&"0f".repeat(32))).unwrap();
        let sql =
            "INSERT OR IGNORE INTO sensors (public_key, name, enrolled_at_us) VALUES (zeroblob(32), 'a', 0)";
        connection.execute(sql, []).unwrap();
        connection.busy_timeout(Duration::ZERO).unwrap();
        connection
    }

    fn delivery(sensor: i64, seq: u64) -> Delivery {
        let id = AlertId { boot: 1, seq };
        let alert = Alert {
            time: Timestamp::from_parts(seq, 0),
            first: Timestamp::from_parts(seq, 0),
            test: Test::ArpSpoof,
            severity: Severity::Low,
            phase: Phase::Open,
            incident: 1,
            suppressed: 0,
            subject: Subject::default(),
            evidence: Evidence::Packets { count: 1, threshold: 1, window_s: 1 },
        };
        Delivery {
            sensor: SensorId(sensor),
            alerts: vec![(id, alert)],
            unreadable: Vec::new(),
            gaps: Vec::new(),
            last: id,
            received_at: Timestamp::ZERO,
        }
    }

    #[test]
    fn a_store_that_cannot_be_written_is_tried_again_until_it_can() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db");
        let log = Log::open(Some(&directory.path().join("log"))).unwrap();
        let metrics = Arc::new(Metrics::new(&[]));
        let (writer, handle) = Writer::start(open(&path), Arc::clone(&metrics), log).unwrap();
        let blocker = open(&path);
        blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let receipt = runtime.block_on(async {
            let waiting = tokio::spawn(async move { handle.deliver(delivery(1, 1), "a".into()).await });
            while metrics.store_errors.get() < 2 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            assert!(metrics.is_store_failing() && !waiting.is_finished());
            blocker.execute_batch("COMMIT").unwrap();
            waiting.await.unwrap()
        });
        assert_eq!(receipt.unwrap().inserted.len(), 1);
        assert!(!metrics.is_store_failing());
        writer.join();
        let log = std::fs::read_to_string(directory.path().join("log")).unwrap();
        assert_eq!(log.matches("nothing can be stored").count(), 1, "{log}");
        assert_eq!(log.matches("takes alerts again").count(), 1, "{log}");
    }

    #[test]
    fn a_job_that_can_never_be_stored_does_not_hold_up_the_others() {
        let directory = tempfile::tempdir().unwrap();
        let metrics = Arc::new(Metrics::new(&[]));
        let log = Log::open(Some(&directory.path().join("log"))).unwrap();
        let (events, mut listener) = broadcast::channel(8);
        let connection = open(&directory.path().join("db"));
        let mut state =
            State { connection, events, metrics: Arc::clone(&metrics), log, error_logged_at: None };
        let (_jobs, queue) = mpsc::channel(1);
        // There is no sensor 99, and rows refer to sensors.
        let (jobs, mut replies): (Vec<Job>, Vec<_>) = [(1, 1), (99, 1), (1, 2)]
            .into_iter()
            .map(|(sensor, seq)| {
                let (reply, answer) = oneshot::channel();
                (Job::Deliver { delivery: delivery(sensor, seq), sensor: "a".into(), reply }, answer)
            })
            .unzip();
        state.commit(jobs, &queue);
        let results: Vec<bool> = replies.iter_mut().map(|reply| reply.try_recv().unwrap().is_ok()).collect();
        assert_eq!(results, [true, false, true]);
        assert!(!metrics.is_store_failing());
        for _ in 0..2 {
            assert!(matches!(listener.try_recv(), Ok(Event::Alert { .. })));
        }
        assert!(listener.try_recv().is_err());
    }
}
