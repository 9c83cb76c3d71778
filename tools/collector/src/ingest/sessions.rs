//! Table of established sessions, at most one for each sensor.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sentinel_units::Timestamp;
use sentinel_uplink::{Counter, Limits, RunIdentity, Telemetry};
use tokio::sync::oneshot;

use super::rates::SensorRates;
use super::sight_spans::SightSpans;
use crate::clock;
use crate::model::{SensorId, SessionEnd, SessionInfo, Standing};

/// Cause for which the collector ends a session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EvictReason {
    /// A newer connection of this sensor took its place.
    Replaced,
    /// An operator revoked the sensor.
    Revoked,
}

/// Established sessions by sensor. Cheap to clone. Bounded by the number of connections.
#[derive(Clone, Debug, Default)]
pub struct Sessions(Arc<Mutex<Table>>);

#[derive(Debug)]
struct Table {
    /// Start of the process.
    started: Instant,
    /// Time without a sign after which a sensor is offline.
    silence: Duration,
    entries: HashMap<SensorId, Entry>,
    /// Number of registrations so far. Never reset: eviction removes an entry before the guard of its session is dropped, so
    /// a generation derived from the entry would be given twice, and the late guard would remove a later session.
    registered: u64,
    /// Rates of every sensor that has connected: kept over its sessions, and bounded by the enrolled sensors.
    rates: HashMap<SensorId, Arc<Mutex<SensorRates>>>,
    /// Latest run of every sensor that has connected; bounded likewise.
    latest: HashMap<SensorId, LatestRun>,
    /// Readings and end of the latest session of every sensor that has connected; bounded likewise.
    known: HashMap<SensorId, Known>,
}

#[derive(Debug, Default)]
struct Known {
    sight_spans: SightSpans,
    ended: Option<SessionEnd>,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            silence: Limits::COLLECTOR.silence,
            entries: HashMap::new(),
            registered: 0,
            rates: HashMap::new(),
            latest: HashMap::new(),
            known: HashMap::new(),
        }
    }
}

/// Latest run of a sensor in this process.
#[derive(Clone, Copy, Debug)]
struct LatestRun {
    boot: u32,
    witness: u64,
    /// Every hello so far was of the run before it, or of the one that continues that.
    is_single: bool,
}

#[derive(Debug)]
struct Entry {
    info: SessionInfo,
    evict: oneshot::Sender<EvictReason>,
    /// Value of [`Table::registered`]: distinguishes this session from earlier ones, whose guards may be dropped later.
    generation: u64,
    telemetry: Option<Telemetry>,
}

impl Sessions {
    /// Sets the time without a sign after which a sensor is offline.
    pub fn set_silence(&self, silence: Duration) {
        self.lock().silence = silence;
    }

    /// Knowledge of this sensor, now.
    #[must_use]
    pub fn standing(&self, id: SensorId) -> Standing {
        let table = self.lock();
        let known = table.known.get(&id);
        Standing {
            now: Instant::now(),
            started: table.started,
            silence: table.silence,
            session: table.entries.get(&id).map(|entry| entry.info.clone()),
            ended: known.and_then(|known| known.ended.clone()),
            sight: known.and_then(|known| known.sight_spans.sight()),
        }
    }

    /// Adds a session whose peer has proved its key, and evicts an earlier one of the same sensor.
    ///
    /// The receiver gets the reason when the session has to end. The session is removed when the guard is dropped.
    #[must_use]
    pub fn register(
        &self,
        id: SensorId,
        peer: SocketAddr,
        since: Timestamp,
    ) -> (SessionGuard, oneshot::Receiver<EvictReason>) {
        let (evict, evicted) = oneshot::channel();
        let mut table = self.lock();
        table.registered = table.registered.wrapping_add(1);
        let generation = table.registered;
        let begun = Instant::now();
        let info = SessionInfo { peer, since, begun, frames_per_s: None, is_silent: false };
        // Inserted before the earlier session is notified, and under the same lock: the guard of that session finds another
        // generation in the table and leaves the entry alone.
        let entry = Entry { info, evict, generation, telemetry: None };
        if let Some(previous) = table.entries.insert(id, entry) {
            let _ = previous.evict.send(EvictReason::Replaced); // it may have ended by itself
        }
        table.known.entry(id).or_default().sight_spans.begin();
        drop(table);
        (SessionGuard { sessions: self.clone(), id, generation, reason: None }, evicted)
    }

    /// Rates of this sensor.
    pub(super) fn rates(&self, id: SensorId) -> Arc<Mutex<SensorRates>> {
        Arc::clone(self.lock().rates.entry(id).or_default())
    }

    /// Takes a hello of run `boot` into account. Returns true if the run, and every one since the start of this process, is the
    /// same as the one before or continues it: only then the position in the store is that of this device. `stored` is the latest
    /// run in the store, for the first hello of this process.
    pub(super) fn continues(&self, id: SensorId, stored: Option<u32>, boot: u32, run: RunIdentity) -> bool {
        let mut table = self.lock();
        let before = table
            .latest
            .get(&id)
            .copied()
            .or_else(|| stored.map(|boot| LatestRun { boot, witness: 0, is_single: true }));
        let is_single = before.is_none_or(|before| {
            let is_same = before.boot == boot
                && (before.witness == 0 || run.witness == 0 || before.witness == run.witness);
            // Before version 3 a sensor does not tell which run it continues.
            let follows =
                before.boot != boot && (run == RunIdentity::default() || run.previous == before.boot);
            before.is_single && (is_same || follows)
        });
        table.latest.insert(id, LatestRun { boot, witness: run.witness, is_single });
        is_single
    }

    /// Ends the session of this sensor, if there is one.
    pub fn evict(&self, id: SensorId, reason: EvictReason) {
        let mut table = self.lock();
        if let Some(entry) = table.entries.remove(&id) {
            table.end(id, entry.info.is_silent, None);
            let _ = entry.evict.send(reason); // it may have ended by itself
        }
    }

    /// The session of this sensor.
    #[must_use]
    pub fn find(&self, id: SensorId) -> Option<SessionInfo> {
        self.lock().entries.get(&id).map(|entry| entry.info.clone())
    }

    /// Number of sessions whose sensor is heard.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().entries.values().filter(|entry| !entry.info.is_silent).count()
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn end(&mut self, id: SensorId, was_silent: bool, reason: Option<Arc<str>>) {
        self.known.entry(id).or_default().ended = Some(SessionEnd { at: Instant::now(), was_silent, reason });
    }
}

/// Keeps a session in [`Sessions`].
#[derive(Debug)]
pub struct SessionGuard {
    sessions: Sessions,
    id: SensorId,
    generation: u64,
    reason: Option<Arc<str>>,
}

impl SessionGuard {
    /// Derives rates from this reading of the counters and the one before.
    pub fn record_telemetry(&self, telemetry: &Telemetry) {
        let mut table = self.sessions.lock();
        // A replaced session may still handle a message: its reading must not mix with those of its successor.
        let entry = table.entries.get_mut(&self.id).filter(|entry| entry.generation == self.generation);
        if let Some(entry) = entry {
            let before = entry.telemetry.replace(*telemetry);
            entry.info.frames_per_s = before.and_then(|before| frames_per_s(&before, telemetry));
            let known = table.known.entry(self.id).or_default();
            known.sight_spans.record(telemetry, Instant::now(), clock::now());
        }
    }

    /// Notes the reason for the end of the session, in words.
    pub fn set_reason(&mut self, reason: String) {
        self.reason = Some(reason.into());
    }
}

impl SessionGuard {
    /// Records whether the sensor is silent.
    pub fn set_silent(&self, is_silent: bool) {
        let mut table = self.sessions.lock();
        let entry = table.entries.get_mut(&self.id).filter(|entry| entry.generation == self.generation);
        if let Some(entry) = entry {
            entry.info.is_silent = is_silent;
        }
    }
}

impl Drop for SessionGuard {
    fn drop(&mut self) {
        let mut table = self.sessions.lock();
        // A replaced or evicted session must not remove its successor.
        let own = table.entries.get(&self.id).filter(|entry| entry.generation == self.generation);
        if let Some(was_silent) = own.map(|entry| entry.info.is_silent) {
            table.entries.remove(&self.id);
            table.end(self.id, was_silent, self.reason.take());
        }
    }
}

/// Frames per second between two readings; none if the sensor restarted in between or no time passed.
fn frames_per_s(before: &Telemetry, after: &Telemetry) -> Option<u64> {
    // Both counters start at zero with the sensor: a smaller value means that it restarted in between.
    let span_ms = after.value(Counter::UptimeMs).checked_sub(before.value(Counter::UptimeMs))?;
    let frames = after.value(Counter::FramesSeen).checked_sub(before.value(Counter::FramesSeen))?;
    frames.saturating_mul(1_000).checked_div(span_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1);

    #[test]
    fn a_second_session_replaces_the_first_and_outlives_its_guard() {
        let sessions = Sessions::default();
        let (first, mut first_evicted) = sessions.register(SensorId(7), PEER, Timestamp::ZERO);
        let (second, mut second_evicted) = sessions.register(SensorId(7), PEER, Timestamp::ZERO);
        assert_eq!(first_evicted.try_recv(), Ok(EvictReason::Replaced));
        drop(first);
        assert_eq!(sessions.count(), 1, "the guard of the first must not remove the second");
        assert!(second_evicted.try_recv().is_err());
        drop(second);
        assert_eq!(sessions.count(), 0);
    }

    /// Revoked and enrolled again while the task of the old connection still closes it: the old guard removed the new session,
    /// and the connected sensor was shown as offline and could not be revoked again.
    #[test]
    fn the_guard_of_an_evicted_session_leaves_a_later_one() {
        let sessions = Sessions::default();
        let (first, mut first_evicted) = sessions.register(SensorId(7), PEER, Timestamp::ZERO);
        sessions.evict(SensorId(7), EvictReason::Revoked);
        assert_eq!(first_evicted.try_recv(), Ok(EvictReason::Revoked));
        let (second, mut second_evicted) = sessions.register(SensorId(7), PEER, Timestamp::ZERO);
        drop(first);
        assert_eq!(sessions.count(), 1);
        sessions.evict(SensorId(7), EvictReason::Revoked);
        assert_eq!(second_evicted.try_recv(), Ok(EvictReason::Revoked));
        drop(second);
    }

    #[test]
    fn a_position_is_given_to_the_latest_run_and_the_one_that_continues_it() {
        let sessions = Sessions::default();
        let hello = |id, stored, boot, previous, witness| {
            sessions.continues(SensorId(id), stored, boot, RunIdentity { previous, witness })
        };
        assert!(hello(1, None, 5, 4, 50), "nothing is known");
        assert!(hello(1, Some(4), 5, 4, 50) && hello(1, None, 6, 5, 60));
        assert!(!hello(1, None, 5, 4, 50), "a run that was over");
        assert!(!hello(1, None, 5, 4, 50), "and from then on");
        assert!(hello(2, Some(7), 8, 7, 80));
        assert!(!hello(2, Some(7), 8, 7, 81), "the same run of another device");
        assert!(!hello(3, Some(7), 9, 8, 90), "the run before it never connected: nobody knows");
        assert!(hello(4, Some(7), 8, 0, 0) && hello(4, Some(7), 9, 0, 0), "version 2");
    }

    #[test]
    fn a_rate_needs_two_readings_of_one_boot() {
        let reading = |uptime_ms, frames| {
            let mut telemetry = Telemetry::new();
            telemetry.set(Counter::UptimeMs, uptime_ms);
            telemetry.set(Counter::FramesSeen, frames);
            telemetry
        };
        assert_eq!(frames_per_s(&reading(1_000, 100), &reading(3_000, 500)), Some(200));
        assert_eq!(frames_per_s(&reading(9_000, 100), &reading(3_000, 500)), None, "restarted");
        assert_eq!(frames_per_s(&reading(9_000, 100), &reading(9_000, 100)), None);
    }
}
