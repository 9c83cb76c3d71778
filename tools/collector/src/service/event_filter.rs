//! Filters of incidents, applied to the messages of an event stream.
//!
//! A message passes if it says what the filter asks for: its own kind, severity, time and addresses, `closed` for a closing message and
//! `open` for every other. The state is that of its incident when the message is sent; a message that no incident has yet is new.

use std::fmt::Write as _;
use std::sync::Arc;

use sentinel_alert::{Alert, Phase};
use sentinel_units::Prefix;

use super::state::within_deadline;
use super::{Service, ServiceError};
use crate::model::{Event, IncidentPhase, IncidentSelection, IncidentState, IncidentWord, StoredAlert};

/// Events that a subscriber asks for.
#[derive(Clone, Debug, Default)]
pub(super) struct EventFilter {
    /// Name of the only sensor.
    pub(super) sensor: Option<String>,
    /// Filters; what is about a page is not looked at.
    pub(super) selection: IncidentSelection,
}

impl EventFilter {
    /// Returns true if the event is one of those. Changes of sensors have a sensor, and nothing else to ask for.
    ///
    /// # Errors
    /// [`ServiceError::Deadline`] and [`ServiceError::Store`], if the state of an incident cannot be read.
    pub(super) async fn passes(&self, service: &Service, event: &Event) -> Result<bool, ServiceError> {
        if self.sensor.as_ref().is_some_and(|sensor| sensor != event.sensor()) {
            return Ok(false);
        }
        match event {
            Event::Sensor(_) => Ok(true),
            Event::Undecodable(_) => Ok(self.is_of_sensor_alone()),
            Event::Alert(stored) => Ok(self.has(stored) && self.has_state(service, stored).await?),
        }
    }

    /// Returns true if nothing is asked of a message, which one that cannot be decoded does not answer.
    fn is_of_sensor_alone(&self) -> bool {
        let IncidentSelection { words, states, phases, kinds, severities, source, destination, .. } =
            &self.selection;
        words.is_empty()
            && states.is_empty()
            && phases.is_empty()
            && kinds.is_empty()
            && severities.is_empty()
            && source.is_none()
            && destination.is_none()
            && self.selection.since.is_none()
            && self.selection.until.is_none()
    }

    fn has(&self, stored: &StoredAlert) -> bool {
        let (alert, of) = (&stored.alert, &self.selection);
        let phase = if alert.phase == Phase::Close { IncidentPhase::Closed } else { IncidentPhase::Open };
        let is_in = |network: &Option<Prefix>, address: Option<sentinel_units::Address>| {
            network.as_ref().is_none_or(|network| address.is_some_and(|address| network.contains(address)))
        };
        (of.kinds.is_empty() || of.kinds.contains(&alert.test.kind()))
            && (of.severities.is_empty() || of.severities.contains(&alert.severity))
            && (of.phases.is_empty() || of.phases.contains(&phase))
            && of.since.is_none_or(|since| alert.time >= since)
            && of.until.is_none_or(|until| alert.time < until)
            && is_in(&of.source, alert.subject.source)
            && is_in(&of.destination, alert.subject.destination)
            && (of.words.is_empty() || self.has_words(stored))
    }

    fn has_words(&self, stored: &StoredAlert) -> bool {
        let text = text_of(stored);
        let subject = &stored.alert.subject;
        self.selection.words.iter().all(|word| match word {
            IncidentWord::Text(word) => text.contains(word.as_str()),
            IncidentWord::Network(network) => [subject.source, subject.destination]
                .into_iter()
                .flatten()
                .any(|address| network.contains(address)),
        })
    }

    async fn has_state(&self, service: &Service, stored: &StoredAlert) -> Result<bool, ServiceError> {
        let states = &self.selection.states;
        if states.is_empty() || states.len() == IncidentState::ALL.len() {
            return Ok(true);
        }
        let (sensor, boot) = (Arc::clone(&stored.sensor), stored.alert_id.boot);
        let read = service.readers.incident_state(sensor, boot, stored.alert.incident);
        Ok(states.contains(&within_deadline(read).await?.unwrap_or_default()))
    }
}

/// Text that words are looked for in, in lower case, as in a search of incidents.
fn text_of(stored: &StoredAlert) -> String {
    let Alert { test, severity, subject, .. } = &stored.alert;
    let kind = test.kind();
    let mut text = format!(
        "{} {} {} {} {} {} {}",
        stored.sensor,
        kind.name(),
        kind.title(),
        kind.technique(),
        severity.name(),
        stored.alert.summary(),
        test.name()
    );
    // A String takes everything.
    for address in [subject.source, subject.destination].into_iter().flatten() {
        let _ = write!(text, " {address}");
    }
    if let Some(mac) = subject.mac {
        let _ = write!(text, " {mac}");
    }
    if let Some(host) = &subject.host {
        let _ = write!(text, " {host}");
    }
    text.make_ascii_lowercase();
    text
}
