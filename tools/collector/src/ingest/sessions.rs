//! Table of established sessions, at most one for each sensor.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sentinel_units::Timestamp;
use sentinel_uplink::{Counter, Telemetry};
use tokio::sync::oneshot;

use crate::model::{SensorId, SessionInfo};

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
pub struct Sessions(Arc<Mutex<HashMap<SensorId, Entry>>>);

#[derive(Debug)]
struct Entry {
    info: SessionInfo,
    evict: oneshot::Sender<EvictReason>,
    /// Distinguishes this session from the one it replaced, whose guard is dropped later.
    generation: u64,
    telemetry: Option<Telemetry>,
}

impl Sessions {
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
        let mut sessions = self.lock();
        let generation = sessions.get(&id).map_or(0, |entry| entry.generation.wrapping_add(1));
        let info = SessionInfo { peer, since, frames_per_s: None, is_silent: false };
        // Inserted before the earlier session is notified, and under the same lock: the guard of that session finds another
        // generation in the table and leaves the entry alone.
        if let Some(previous) = sessions.insert(id, Entry { info, evict, generation, telemetry: None }) {
            let _ = previous.evict.send(EvictReason::Replaced); // it may have ended by itself
        }
        drop(sessions);
        (SessionGuard { sessions: self.clone(), id, generation }, evicted)
    }

    /// Ends the session of this sensor, if there is one.
    pub fn evict(&self, id: SensorId, reason: EvictReason) {
        if let Some(entry) = self.lock().remove(&id) {
            let _ = entry.evict.send(reason); // it may have ended by itself
        }
    }

    /// The session of this sensor.
    #[must_use]
    pub fn find(&self, id: SensorId) -> Option<SessionInfo> {
        self.lock().get(&id).map(|entry| entry.info.clone())
    }

    /// Number of sessions whose sensor is heard.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().values().filter(|entry| !entry.info.is_silent).count()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SensorId, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps a session in [`Sessions`].
#[derive(Debug)]
pub struct SessionGuard {
    sessions: Sessions,
    id: SensorId,
    generation: u64,
}

impl SessionGuard {
    /// Derives rates from this reading of the counters and the one before.
    pub fn record_telemetry(&self, telemetry: &Telemetry) {
        let mut sessions = self.sessions.lock();
        // A replaced session may still handle a message: its reading must not mix with those of its successor.
        let entry = sessions.get_mut(&self.id).filter(|entry| entry.generation == self.generation);
        if let Some(entry) = entry {
            let before = entry.telemetry.replace(*telemetry);
            entry.info.frames_per_s = before.and_then(|before| frames_per_s(&before, telemetry));
        }
    }
}

impl SessionGuard {
    /// Records whether the sensor is silent.
    pub fn set_silent(&self, is_silent: bool) {
        let mut sessions = self.sessions.lock();
        let entry = sessions.get_mut(&self.id).filter(|entry| entry.generation == self.generation);
        if let Some(entry) = entry {
            entry.info.is_silent = is_silent;
        }
    }
}

impl Drop for SessionGuard {
    fn drop(&mut self) {
        let mut sessions = self.sessions.lock();
        // A replaced session must not remove its successor.
        if sessions.get(&self.id).is_some_and(|entry| entry.generation == self.generation) {
            sessions.remove(&self.id);
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
