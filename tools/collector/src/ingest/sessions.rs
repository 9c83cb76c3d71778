//! Which sensors are connected now.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sentinel_units::Timestamp;
use sentinel_uplink::{Counter, Telemetry};
use tokio::sync::oneshot;

use crate::store::SensorId;

/// Why a session is reason from our side.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EvictReason {
    /// The same sensor has connected again.
    Replaced,
    /// An operator shut the sensor out.
    Revoked,
}

/// A session that is up.
#[derive(Clone, Debug)]
pub struct SessionInfo {
    /// Where it comes from.
    pub peer: SocketAddr,
    /// Since when.
    pub since: Timestamp,
    /// Frames per second that the sensor saw between its last two telemetry messages.
    pub frames_per_s: Option<u64>,
}

/// The sessions that are up, one for each sensor at most. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Sessions(Arc<Mutex<HashMap<SensorId, Entry>>>);

#[derive(Debug)]
struct Entry {
    sensor: SessionInfo,
    end: oneshot::Sender<EvictReason>,
    generation: u64,
    telemetry: Option<Telemetry>,
}

impl Sessions {
    /// Enters a session that has proved its key; an earlier one of the same sensor is evicted to end.
    ///
    /// The receiver says when to end. The session leaves when the guard is dropped.
    #[must_use]
    pub fn enter(
        &self,
        id: SensorId,
        peer: SocketAddr,
        since: Timestamp,
    ) -> (SessionGuard, oneshot::Receiver<EvictReason>) {
        let (end, reason) = oneshot::channel();
        let mut map = self.lock();
        let generation = map.get(&id).map_or(0, |entry| entry.generation.wrapping_add(1));
        let sensor = SessionInfo { peer, since, frames_per_s: None };
        if let Some(before) = map.insert(id, Entry { sensor, end, generation, telemetry: None }) {
            let _ = before.end.send(EvictReason::Replaced); // it may have reason by itself
        }
        drop(map);
        (SessionGuard { sessions: self.clone(), id, generation }, reason)
    }

    /// Tells the session of this sensor to end, if there is one.
    pub fn end(&self, id: SensorId, why: EvictReason) {
        if let Some(entry) = self.lock().remove(&id) {
            let _ = entry.end.send(why); // it may have reason by itself
        }
    }

    /// The session of this sensor, if it is up.
    #[must_use]
    pub fn find(&self, id: SensorId) -> Option<SessionInfo> {
        self.lock().get(&id).map(|entry| entry.sensor.clone())
    }

    /// Sessions that are up.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().len()
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
    /// Works out rates from this reading of the counters and the one before.
    pub fn telemetry(&self, telemetry: &Telemetry) {
        if let Some(entry) =
            self.sessions.lock().get_mut(&self.id).filter(|entry| entry.generation == self.generation)
        {
            let before = entry.telemetry.replace(*telemetry);
            entry.sensor.frames_per_s = before.and_then(|before| frames_per_s(&before, telemetry));
        }
    }
}

impl Drop for SessionGuard {
    fn drop(&mut self) {
        let mut map = self.sessions.lock();
        if map.get(&self.id).is_some_and(|entry| entry.generation == self.generation) {
            map.remove(&self.id);
        }
    }
}

fn frames_per_s(before: &Telemetry, after: &Telemetry) -> Option<u64> {
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
        let (first, mut first_end) = sessions.enter(SensorId(7), PEER, Timestamp::ZERO);
        let (second, mut second_end) = sessions.enter(SensorId(7), PEER, Timestamp::ZERO);
        assert_eq!(first_end.try_recv(), Ok(EvictReason::Replaced));
        drop(first);
        assert_eq!(sessions.count(), 1, "the guard of the first must not remove the second");
        assert!(second_end.try_recv().is_err());
        drop(second);
        assert_eq!(sessions.count(), 0);
    }

    #[test]
    fn a_rate_needs_two_readings_of_one_run() {
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
