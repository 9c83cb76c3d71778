//! The state of the store for `/health` and `/metrics`, which must answer whatever the store does.
//!
//! One task reads the store, on a connection of its own, and keeps the result. A request asks for a new reading, waits a
//! moment for it, and takes the latest one otherwise: any number of requests cost one reading at a time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

use crate::model::Sensor;
use crate::store::{ReaderPool, StoreError};

/// Time for which a request waits for a new reading.
const FRESH_WAIT: Duration = Duration::from_millis(400);
/// Time between two readings that nobody asked for.
const INTERVAL: Duration = Duration::from_secs(5);
/// Least time between the end of a reading and the next.
const PAUSE: Duration = Duration::from_millis(50);
/// From so many sensors on it is at least [`LARGE_PAUSE`] times the time that the reading took: at most a twentieth of a processor is
/// spent on readings, however often they are asked for.
const LARGE: usize = 500;
const LARGE_PAUSE: u32 = 19;
/// Age of the latest reading from which the store counts as not answering.
const STALE: Duration = Duration::from_secs(10);

/// The latest reading of the store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Monitor {
    latest: watch::Receiver<Reading>,
    wanted: Arc<Notify>,
}

/// A reading of the store.
#[derive(Clone, Debug)]
pub struct Reading {
    /// Start of the latest reading that ended; at first that of the process.
    pub begun: Instant,
    /// A reading has succeeded since the start: `sensors` is what the store has, or had.
    pub has_sensors: bool,
    /// Time before which no other reading begins.
    pub next_at: Instant,
    /// Every sensor, revoked ones included, in the order of names; those of the last reading that succeeded.
    pub sensors: Arc<Vec<Sensor>>,
    /// Bytes of the database and its write-ahead log on disk.
    pub store_bytes: u64,
    /// Failure of the latest reading.
    pub error: Option<Arc<StoreError>>,
}

impl Reading {
    /// Time since the latest reading ended, if that is too long for a store that answers.
    #[must_use]
    pub fn stale_for(&self) -> Option<Duration> {
        Some(self.begun.elapsed()).filter(|age| *age > STALE)
    }
}

impl Monitor {
    /// Starts to read through `readers`, which must serve nobody else, until `stopping` turns true.
    #[must_use]
    pub fn start(readers: ReaderPool, mut stopping: watch::Receiver<bool>) -> Self {
        let now = Instant::now();
        let reading = Reading {
            begun: now,
            next_at: now,
            has_sensors: false,
            sensors: Arc::default(),
            store_bytes: 0,
            error: None,
        };
        let (sender, latest) = watch::channel(reading);
        let wanted = Arc::new(Notify::new());
        let monitor = Self { latest, wanted: Arc::clone(&wanted) };
        tokio::spawn(async move {
            loop {
                let pause = take(&readers, &sender).await;
                tokio::time::sleep(pause).await;
                tokio::select! {
                    () = wanted.notified() => {}
                    () = tokio::time::sleep(INTERVAL) => {}
                    _ = stopping.wait_for(|stop| *stop) => return,
                }
            }
        });
        monitor
    }

    /// The latest reading; asks for no other one.
    #[must_use]
    pub fn latest(&self) -> Reading {
        self.latest.borrow().clone()
    }

    /// A reading that begins now if it ends in a moment, else the latest one.
    pub async fn reading(&self) -> Reading {
        let asked = Instant::now();
        let mut latest = self.latest.clone();
        self.wanted.notify_one();
        let is_far = |reading: &Reading| reading.next_at.saturating_duration_since(asked) >= FRESH_WAIT / 2;
        if is_far(&latest.borrow()) {
            return self.latest.borrow().clone();
        }
        let fresh = latest.wait_for(|reading| reading.begun >= asked);
        if let Ok(Ok(reading)) = tokio::time::timeout(FRESH_WAIT, fresh).await {
            return reading.clone();
        }
        self.latest.borrow().clone()
    }
}

/// Reads, and returns the time until the next reading may begin.
async fn take(readers: &ReaderPool, sender: &watch::Sender<Reading>) -> Duration {
    let begun = Instant::now();
    let sensors = readers.sensors().await;
    let store_bytes = readers.size_bytes();
    // Not longer than what nobody asked for: a store that answers slowly must not look as if it did not answer.
    let is_large = sensors.as_ref().is_ok_and(|sensors| sensors.len() >= LARGE);
    let pause =
        if is_large { begun.elapsed().saturating_mul(LARGE_PAUSE).clamp(PAUSE, INTERVAL) } else { PAUSE };
    sender.send_modify(|reading| {
        reading.begun = begun;
        reading.next_at = Instant::now() + pause;
        reading.store_bytes = store_bytes;
        match sensors {
            Ok(sensors) => {
                (reading.sensors, reading.error, reading.has_sensors) = (Arc::new(sensors), None, true);
            }
            Err(error) => reading.error = Some(Arc::new(error)),
        }
    });
    pause
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::testing::service;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_reading_is_new_and_one_that_does_not_end_is_replaced_by_the_latest() {
        let directory = tempfile::tempdir().unwrap();
        let (service, _stop) = service(directory.path(), 1..=1);
        let asked = Instant::now();
        let reading = service.monitor.reading().await;
        assert!(reading.begun >= asked && reading.sensors.len() == 1, "{reading:?}");
        // A monitor whose task has ended stands for a reading that never ends.
        let (_sender, latest) = watch::channel(reading);
        let monitor = Monitor { latest, wanted: Arc::default() };
        let asked = Instant::now();
        assert!(monitor.reading().await.begun < asked);
        assert!(asked.elapsed() < Duration::from_secs(1));
    }
}
