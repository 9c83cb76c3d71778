//! Which sensors are connected now.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sentinel_units::Timestamp;
use sentinel_uplink::{Counter, Telemetry};
use tokio::sync::oneshot;

use crate::store::SensorId;

/// Why a session is ended from our side.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// The same sensor has connected again.
    Replaced,
    /// An operator shut the sensor out.
    Revoked,
}

/// A session that is up.
#[derive(Clone, Debug)]
pub struct LiveSensor {
    /// Where it comes from.
    pub peer: SocketAddr,
    /// Since when.
    pub since: Timestamp,
    /// Frames per second that the sensor saw between its last two telemetry messages.
    pub frames_per_s: Option<u64>,
}

/// The sessions that are up, one for each sensor at most. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Live(Arc<Mutex<HashMap<SensorId, Entry>>>);

#[derive(Debug)]
struct Entry {
    sensor: LiveSensor,
    end: oneshot::Sender<End>,
    generation: u64,
    telemetry: Option<Telemetry>,
}

impl Live {
    /// Enters a session that has proved its key; an earlier one of the same sensor is told to end.
    ///
    /// The receiver says when to end. The session leaves when the guard is dropped.
    #[must_use]
    pub fn enter(
        &self,
        id: SensorId,
        peer: SocketAddr,
        since: Timestamp,
    ) -> (LiveGuard, oneshot::Receiver<End>) {
        let (end, ended) = oneshot::channel();
        let mut map = self.lock();
        let generation = map.get(&id).map_or(0, |entry| entry.generation.wrapping_add(1));
        let sensor = LiveSensor { peer, since, frames_per_s: None };
        if let Some(before) = map.insert(id, Entry { sensor, end, generation, telemetry: None }) {
            let _ = before.end.send(End::Replaced); // it may have ended by itself
        }
        drop(map);
        (LiveGuard { live: self.clone(), id, generation }, ended)
    }

    /// Tells the session of this sensor to end, if there is one.
    pub fn end(&self, id: SensorId, why: End) {
        if let Some(entry) = self.lock().remove(&id) {
            let _ = entry.end.send(why); // it may have ended by itself
        }
    }

    /// The session of this sensor, if it is up.
    #[must_use]
    pub fn find(&self, id: SensorId) -> Option<LiveSensor> {
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

/// Keeps a session in [`Live`].
#[derive(Debug)]
pub struct LiveGuard {
    live: Live,
    id: SensorId,
    generation: u64,
}

impl LiveGuard {
    /// Works out rates from this reading of the counters and the one before.
    pub fn telemetry(&self, telemetry: &Telemetry) {
        if let Some(entry) =
            self.live.lock().get_mut(&self.id).filter(|entry| entry.generation == self.generation)
        {
            let before = entry.telemetry.replace(*telemetry);
            entry.sensor.frames_per_s = before.and_then(|before| frames_per_s(&before, telemetry));
        }
    }
}

impl Drop for LiveGuard {
    fn drop(&mut self) {
        let mut map = self.live.lock();
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
        let live = Live::default();
        let (first, mut first_end) = live.enter(SensorId(7), PEER, Timestamp::ZERO);
        let (second, mut second_end) = live.enter(SensorId(7), PEER, Timestamp::ZERO);
        assert_eq!(first_end.try_recv(), Ok(End::Replaced));
        drop(first);
        assert_eq!(live.count(), 1, "the guard of the first must not remove the second");
        assert!(second_end.try_recv().is_err());
        drop(second);
        assert_eq!(live.count(), 0);
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
