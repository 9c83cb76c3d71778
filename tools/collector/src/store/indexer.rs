//! The thread that follows the stored alerts: it makes incidents of them, closes those of ended runs, and lets the oldest go.
//!
//! It reads, decodes and groups on a connection of its own; the writer only writes the result, when no delivery waits or after every
//! few of them. What it finds it finds in the store, so nothing is lost by a crash between finding and writing.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rustix::process::nice;
use tokio::sync::watch;

use super::jobs::Follow;
use super::retention::{self, RetentionLimits, Room};
use super::writer::Follower;
use super::{Files, StoreError, Writer, incidents};
use crate::clock;
use crate::log::Log;
use crate::metrics::Metrics;
use crate::threads::BULK_PRIORITY;

/// Longest wait for a stored alert: also the time in which the thread notices that it has to end.
const WAIT: Duration = Duration::from_millis(200);
/// Wait after an error of the store, such as a full disk.
const RETRY: Duration = Duration::from_secs(1);
/// Time between two looks for runs that have ended.
const RUNS_INTERVAL: Duration = Duration::from_secs(5);
/// Time between two looks for what is to be deleted; as long as something is found, the next one follows at once.
const RETENTION_INTERVAL: Duration = Duration::from_secs(60);
/// Time after the start before which nothing is deleted for its age: the clock of a machine that starts may be wrong.
const CLOCK_SETTLES: Duration = Duration::from_secs(600);

/// The running thread.
#[derive(Debug)]
pub struct Indexer(thread::JoinHandle<()>);

/// Everything the thread needs besides the store.
#[derive(Debug)]
pub struct IndexerSettings {
    /// Age and size of what is kept.
    pub retention: RetentionLimits,
    /// Counters of this process.
    pub metrics: Arc<Metrics>,
    /// The log.
    pub log: Log,
    /// Turns true when the thread has to end.
    pub stopping: watch::Receiver<bool>,
}

impl Indexer {
    /// Starts the thread behind `writer`. It ends when `stopping` turns true, and must be joined before the writer, which waits for it.
    ///
    /// # Errors
    /// Errors of opening the database or of starting a thread; [`StoreError::Closed`] if another one follows the writer.
    pub fn start(files: &Files, writer: &mut Writer, settings: IndexerSettings) -> Result<Self, StoreError> {
        let connection = files.open_reader()?;
        let room = Room::new(files.directory().into());
        let follower = writer.follower().ok_or(StoreError::Closed)?;
        let started = Instant::now();
        let state = State {
            connection,
            follower,
            room,
            settings,
            started,
            runs_at: started,
            expiry: started,
            after: 0,
        };
        let thread = thread::Builder::new().name("indexer".into()).spawn(move || state.run());
        Ok(Self(thread.map_err(|error| StoreError::Io(files.database(), error))?))
    }

    /// Waits until the thread has ended.
    pub fn join(self) {
        let _ = self.0.join(); // a panic of the thread has been printed by its own hook
    }
}

struct State {
    connection: Connection,
    follower: Follower,
    room: Room,
    settings: IndexerSettings,
    started: Instant,
    /// Time of the next look for ended runs, and for what is to be deleted.
    runs_at: Instant,
    expiry: Instant,
    /// Row number after which the next look for what is to be deleted begins.
    after: i64,
}

impl State {
    fn run(mut self) {
        let _ = nice(BULK_PRIORITY); // of this thread only, under Linux; raising it needs no privilege
        while !*self.settings.stopping.borrow() {
            let wait = match self.step() {
                Ok(true) => continue,
                Ok(false) => WAIT,
                Err(StoreError::Closed) => return,
                Err(error) => {
                    self.settings
                        .log
                        .limited_warn("index", format_args!("incidents are not up to date: {error}"));
                    RETRY
                }
            };
            self.follower.wait(wait);
        }
    }

    /// Does what is due. Returns true if there may be more of it. What fails is tried again when it is due again, and does not keep the
    /// rest from being done.
    fn step(&mut self) -> Result<bool, StoreError> {
        let now = Instant::now();
        if now >= self.runs_at {
            self.runs_at = now + RUNS_INTERVAL;
            let ended = self.end_runs(now);
            self.report(ended)?;
        }
        if now >= self.expiry {
            self.expiry = now + RETENTION_INTERVAL;
            let expired = self.expire(now);
            self.report(expired)?;
        }
        self.index()
    }

    fn report(&self, result: Result<(), StoreError>) -> Result<(), StoreError> {
        match result {
            Err(StoreError::Closed) => Err(StoreError::Closed),
            Err(error) => {
                let text = format_args!("open incidents and retention are not up to date: {error}");
                self.settings.log.limited_warn("retention", text);
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    fn index(&self) -> Result<bool, StoreError> {
        let batch = incidents::batch::read(&self.connection, incidents::batch::MAX_ALERTS)?;
        let Some(batch) = batch else {
            self.settings.metrics.index_behind.set(0);
            return Ok(false);
        };
        let end = batch.end();
        self.follower.follow(Follow::Index(batch))?;
        let sql = "SELECT coalesce(max(id), 0) FROM alerts";
        let newest: i64 = self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
        self.settings.metrics.index_behind.set(newest.saturating_sub(end).max(0));
        Ok(true)
    }

    fn end_runs(&mut self, now: Instant) -> Result<(), StoreError> {
        if let Some(wrong) = incidents::runs::find(&self.connection)? {
            self.follower.follow(Follow::Runs(wrong))?;
            self.runs_at = now; // there may be more of them
        }
        Ok(())
    }

    fn expire(&mut self, now: Instant) -> Result<(), StoreError> {
        let is_settled = now.duration_since(self.started) >= CLOCK_SETTLES;
        let age = self.settings.retention.age.filter(|_| is_settled);
        let limits = RetentionLimits { age, ..self.settings.retention };
        match retention::find(&self.connection, self.after, clock::now(), (&limits, &self.room))? {
            Some(expired) => {
                self.after = expired.end;
                self.follower.follow(Follow::Remove(expired))?;
                self.expiry = now; // there may be more of it
            }
            None => self.after = 0,
        }
        let removed = retention::counts(&self.connection)?;
        self.settings.metrics.set_removed(&removed);
        Ok(())
    }
}
