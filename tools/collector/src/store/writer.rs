//! The writer thread: drains the queue, commits everything in one transaction, then replies.
//!
//! Group commit: a commit costs one flush to the disk whatever its size, so under load more jobs go into each.
//! Nothing is replied before the commit: an alert that a sensor may discard is on the disk.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::oneshot;

use super::checkpoint::Checkpoints;
use super::jobs::{Follow, Job, JobResult, WriterHandle};
use super::lanes::{BackgroundSender, Lanes, Pace, lanes};
use super::{Lane, StoreError, StoreLimits};
use crate::events::EventBus;
use crate::log::Log;
use crate::metrics::Metrics;
use crate::model::{CopiedKey, CopySign, Delivery, Event, HeadText, Receipt, StoredAlert};

/// First and longest wait after a failed commit; it doubles in between.
const RETRY_BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// Transactions of deliveries after which background work has its turn, if there is some.
const TURNS: u32 = 16;
/// Time between two log lines about a lasting failure.
const ERROR_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// The running writer thread.
#[derive(Debug)]
pub struct Writer {
    thread: thread::JoinHandle<()>,
    /// Interface of the consumer that follows this writer.
    follower: Option<Follower>,
}

/// Side of a consumer that follows the writer.
#[derive(Debug)]
pub(super) struct Follower {
    jobs: BackgroundSender<Job>,
    /// A message after each transaction that may have stored alerts.
    wakes: Receiver<()>,
}

impl Follower {
    /// Does background work, and waits for it. Must not be called on a thread that runs tasks.
    ///
    /// # Errors
    /// [`StoreError::Closed`]; every error of the database, temporary ones included: the caller tries again.
    pub(super) fn follow(&self, work: Follow) -> Result<(), StoreError> {
        let (reply, result) = oneshot::channel();
        if !self.jobs.send(Job::Follow { work: Box::new(work), reply }) {
            return Err(StoreError::Closed);
        }
        result.blocking_recv().map_err(|_| StoreError::Closed)?
    }

    /// Waits for a stored alert, up to `longest`.
    pub(super) fn wait(&self, longest: Duration) {
        if self.wakes.recv_timeout(longest) == Err(RecvTimeoutError::Disconnected) {
            thread::sleep(longest);
        }
    }
}

impl Writer {
    /// Starts the thread on a connection that may write, with another one for checkpoints. Alerts are published
    /// on `events` once stored.
    ///
    /// # Errors
    /// Errors of starting a thread.
    pub fn start(
        (mut connection, checkpoints): (Connection, Connection),
        limits: StoreLimits,
        events: EventBus,
        metrics: Arc<Metrics>,
        log: Log,
    ) -> std::io::Result<(Self, WriterHandle)> {
        let (jobs, background, queue) = lanes()?;
        let checkpoints = Checkpoints::start(&mut connection, checkpoints, log.clone())?;
        let (wake, wakes) = sync_channel(1);
        let state = State {
            connection,
            limits,
            events,
            metrics,
            log,
            wake,
            pace: Pace::new(),
            error_logged_at: None,
        };
        let thread = thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || state.run(queue, checkpoints))?;
        let follower = Some(Follower { jobs: background, wakes });
        Ok((Self { thread, follower }, WriterHandle { jobs }))
    }

    /// The side of a consumer, once.
    pub(super) const fn follower(&mut self) -> Option<Follower> {
        self.follower.take()
    }

    /// Waits until the last handle is dropped and everything sent through it is stored.
    pub fn join(self) {
        drop(self.follower); // it has a sender
        let _ = self.thread.join(); // a panic of the thread has been printed by its own hook
    }
}

struct State {
    connection: Connection,
    limits: StoreLimits,
    events: EventBus,
    metrics: Arc<Metrics>,
    log: Log,
    wake: SyncSender<()>,
    pace: Pace,
    /// Time of the last log line about the present failure; none while commits succeed.
    error_logged_at: Option<Instant>,
}

impl State {
    fn run(mut self, mut queue: Lanes<Job>, checkpoints: Checkpoints) {
        let mut since_background = 0_u32;
        while let Some(first) = queue.next() {
            // Prompt jobs have a transaction of their own, which is short; after it, bulk jobs have theirs, even if there is no
            // end of prompt ones.
            let (lane, first) = first;
            if lane == Lane::Background {
                since_background = 0;
                self.follow(first);
                continue;
            }
            self.commit_queued(lane, first, &mut queue);
            if lane == Lane::Prompt
                && let Some(first) = queue.try_next(Lane::Bulk)
            {
                self.commit_queued(Lane::Bulk, first, &mut queue);
            }
            since_background += 1;
            // If there is always a delivery: what follows from the stored ones must not stay behind for ever.
            if since_background >= TURNS
                && let Some(work) = queue.try_next(Lane::Background)
            {
                since_background = 0;
                self.follow(work);
            }
        }
        checkpoints.stop(&mut self.connection);
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

    /// Commits background work, once: it is found again if that fails, and deliveries must not wait for it. Without a flush of its own:
    /// the next delivery has one, and what a power cut takes before is found again as well.
    fn follow(&mut self, job: Job) {
        let is_relaxed = self.connection.pragma_update(None, "synchronous", "NORMAL").is_ok();
        let done = self.attempt(std::slice::from_ref(&job));
        // Without an end: no acknowledgement may rest on a commit that is not flushed.
        while is_relaxed && let Err(error) = self.connection.pragma_update(None, "synchronous", "FULL") {
            self.record_failure(&error.into());
            thread::sleep(RETRY_BACKOFF.0);
        }
        match (job, done) {
            (Job::Follow { reply, .. }, Ok(_)) => drop(reply.send(Ok(()))),
            (job, Err(error)) => job.fail(error),
            (_, Ok(_)) => {}
        }
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
        self.metrics.set_store_failure(error.to_string(), error.is_disk_full());
        if self.error_logged_at.is_none_or(|at| at.elapsed() > ERROR_LOG_INTERVAL) {
            self.error_logged_at = Some(Instant::now());
            self.log.error(format_args!("nothing can be stored, sensors keep their alerts: {error}"));
        }
    }

    /// After a commit: replies to the connections, counts, and publishes.
    fn succeed(&mut self, jobs: Vec<Job>, results: Vec<JobResult>) {
        self.metrics.clear_store_failure();
        if self.error_logged_at.take().is_some() {
            self.log.info(format_args!("the store takes alerts again"));
        }
        let _ = self.wake.try_send(()); // full: it is awake
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
                (Job::ChangeIncidents { reply, .. }, JobResult::Changed(outcome)) => {
                    drop(reply.send(Ok(outcome)));
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
    use crate::model::{AlertTotals, SensorId};
    use crate::store::schema;
    use crate::store::testing::{delivery, key, open};

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
        let connections = (connection, schema::open_reader(&path, &key()).unwrap());
        let (writer, handle) =
            Writer::start(connections, limits(), EventBus::default(), Arc::clone(&metrics), log).unwrap();
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

    /// A file that may not grow is what a full disk is to the library; the pages that another connection gives back are room.
    #[test]
    fn a_full_disk_acknowledges_nothing_until_there_is_room() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db");
        let log = Log::open(Some(&directory.path().join("log"))).unwrap();
        let metrics = Arc::new(Metrics::new(&AlertTotals::default()));
        let other = open(&path);
        other
            .execute_batch(
                "CREATE TABLE ballast (bytes BLOB); INSERT INTO ballast VALUES (zeroblob(1000000))",
            )
            .unwrap();
        let connection = open(&path);
        let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
        let set: i64 =
            connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |row| row.get(0)).unwrap();
        assert_eq!(set, pages);
        let connections = (connection, schema::open_reader(&path, &key()).unwrap());
        let (writer, handle) =
            Writer::start(connections, limits(), EventBus::default(), Arc::clone(&metrics), log).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let stored =
            || other.query_row("SELECT count(*) FROM alerts", [], |row| row.get::<_, u64>(0)).unwrap();
        runtime.block_on(async {
            let sender = handle.clone();
            // Pages that are not full yet take the first ones; each of these is flushed, and then acknowledged.
            let waiting = tokio::spawn(async move {
                for seq in 1..=2_000 {
                    sender.deliver(delivery(seq..=seq), "a".into(), Lane::Bulk).await.unwrap().unwrap();
                }
            });
            while metrics.store_failure().is_none() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let text = metrics.store_failure().unwrap();
            assert!(text.starts_with("the disk is full: nothing is acknowledged"), "{text}");
            let before = stored();
            tokio::time::sleep(Duration::from_millis(300)).await;
            assert!(!waiting.is_finished() && stored() == before && metrics.disk_full.get() == 1);
            other.execute_batch("DELETE FROM ballast").unwrap();
            waiting.await.unwrap();
        });
        assert_eq!((metrics.store_failure(), metrics.disk_full.get(), stored()), (None, 0, 2_000));
        drop(handle);
        writer.join();
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
            wake: sync_channel(1).0,
            pace: Pace::new(),
            error_logged_at: None,
        };
        let (_jobs, _background, queue) = lanes().unwrap();
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
