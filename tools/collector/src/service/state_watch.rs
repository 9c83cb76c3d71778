//! Watch over the states of sensors: once a second, of every sensor; a change goes to subscribers and into the history.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::Service;
use crate::clock;
use crate::model::{Event, SensorChange, SensorEvent, SensorId, SensorState, SensorStatus, StateChange};
use crate::store::WriterHandle;

/// Time between two looks. A look at 5,000 sensors takes some milliseconds.
const INTERVAL: Duration = Duration::from_secs(1);

/// Changes that wait for a store that takes nothing; the oldest go.
const MAX_UNSENT: usize = 20_000;

/// Starts to watch until the process stops. Must be called inside the runtime of the transports.
pub fn watch_states(service: Service, writer: WriterHandle) {
    let mut stopping = service.stopping.clone();
    tokio::spawn(async move {
        let (mut states, mut unsent) = (HashMap::new(), Vec::new());
        loop {
            tokio::select! {
                () = tokio::time::sleep(INTERVAL) => {}
                _ = stopping.wait_for(|stop| *stop) => return,
            }
            unsent.extend(look(&service, &mut states));
            let surplus = unsent.len().saturating_sub(MAX_UNSENT);
            unsent.drain(..surplus);
            // While the store takes nothing, a change is published, and comes into the history later.
            let sent = async { unsent.is_empty() || writer.states(unsent.clone()).await.is_ok() };
            if tokio::time::timeout(INTERVAL, sent).await.unwrap_or(false) {
                unsent.clear();
            }
        }
    });
}

/// Publishes the states that differ from those of the look before, and returns them for the history.
fn look(service: &Service, states: &mut HashMap<SensorId, SensorState>) -> Vec<(SensorId, StateChange)> {
    let reading = service.monitor.latest();
    let mut changes = Vec::new();
    for sensor in reading.sensors.iter() {
        let standing = service.sessions.standing(sensor.id);
        let status = SensorStatus::of_process(sensor.clone(), standing);
        let before = states.insert(sensor.id, status.state);
        if before == Some(status.state) {
            continue;
        }
        let cause = status.problems.into_iter().next().map(|problem| problem.cause).unwrap_or_default();
        let at = clock::now();
        // The first look tells what is; it is no change.
        if before.is_some() {
            let change = SensorChange::State(status.state, cause.clone());
            let event = SensorEvent { time: at, sensor: sensor.name.as_str().into(), peer: None, change };
            service.events.publish(Event::Sensor(Arc::new(event)));
        }
        // A sensor that returns after a restart of the collector, or within seconds, was not away.
        if status.state != SensorState::Returning {
            changes.push((sensor.id, StateChange { at, state: status.state.name().into(), cause }));
        }
    }
    changes
}
