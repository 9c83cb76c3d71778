//! Event bus: a bounded broadcast channel from the store and the listener to every subscriber.

use tokio::sync::broadcast;

use crate::model::Event;

/// Events that a subscriber may lag behind before it loses some and has to read them from the store.
const MAX_LAG: usize = 4_096;

/// Publishes typed events to any number of subscribers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct EventBus(broadcast::Sender<Event>);

impl EventBus {
    /// Notifies every subscriber; without subscribers the event is dropped.
    pub fn publish(&self, event: Event) {
        let _ = self.0.send(event); // fails only if nobody is subscribed
    }

    /// Returns true if anybody would receive an event: publishers skip building one otherwise.
    #[must_use]
    pub fn has_subscribers(&self) -> bool {
        self.0.receiver_count() > 0
    }

    /// Receives everything published from now on.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.0.subscribe()
    }
}

impl Default for EventBus {
    fn default() -> Self {
        Self(broadcast::channel(MAX_LAG).0)
    }
}
