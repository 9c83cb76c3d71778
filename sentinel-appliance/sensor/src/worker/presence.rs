//! Messages about captured interfaces that vanish, come back, or were absent at the start.

use crate::limits::MAX_INTERFACES;
use crate::terminal::log;
use crate::worker::snapshot::InterfaceCounts;

/// Presence of each interface at the last update.
#[derive(Debug, Default)]
pub(crate) struct Presence([State; MAX_INTERFACES]);

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum State {
    /// Before the first update.
    #[default]
    Unknown,
    /// Absent since the start, which the start has reported.
    Awaited,
    Present,
    Vanished,
}

/// Change that is reported.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Change {
    Appeared,
    Vanished,
    Returned,
}

impl Presence {
    /// Logs each interface that vanished or came since the last update; returns true if one came. The first update must follow
    /// the first reading of the rings.
    pub(crate) fn log_changes(&mut self, now: &[InterfaceCounts; MAX_INTERFACES], names: &[String]) -> bool {
        let mut has_come = false;
        self.update(now, |index, change| {
            let Some(name) = names.get(index) else { return };
            has_come |= change != Change::Vanished;
            match change {
                Change::Appeared => log::info(format_args!("interface '{name}' is there, capturing")),
                Change::Returned => log::info(format_args!("interface '{name}' is back, capturing again")),
                Change::Vanished => {
                    log::warn(format_args!("interface '{name}' has vanished; waiting for it"));
                }
            }
        });
        has_come
    }

    fn update(&mut self, now: &[InterfaceCounts; MAX_INTERFACES], mut changed: impl FnMut(usize, Change)) {
        for (index, (state, now)) in self.0.iter_mut().zip(now).enumerate() {
            let (next, change) = match (*state, now.is_open != 0) {
                (State::Unknown, false) => (State::Awaited, None),
                (State::Unknown, true) => (State::Present, None),
                (State::Awaited, true) => (State::Present, Some(Change::Appeared)),
                (State::Present, false) => (State::Vanished, Some(Change::Vanished)),
                (State::Vanished, true) => (State::Present, Some(Change::Returned)),
                (State::Awaited | State::Vanished, false) | (State::Present, true) => (*state, None),
            };
            *state = next;
            if let Some(change) = change {
                changed(index, change);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reported(open: &[u64]) -> Vec<Change> {
        let mut presence = Presence::default();
        let mut reported = Vec::new();
        for open in open {
            let mut counts = [InterfaceCounts::default(); MAX_INTERFACES];
            counts[2].is_open = *open;
            presence.update(&counts, |index, change| {
                assert_eq!(index, 2);
                reported.push(change);
            });
        }
        reported
    }

    #[test]
    fn an_interface_is_reported_once_when_it_vanishes_and_once_when_it_returns() {
        assert_eq!(reported(&[1, 1, 0, 0, 1, 1]), [Change::Vanished, Change::Returned]);
    }

    #[test]
    fn an_interface_that_is_absent_at_the_start_is_reported_when_it_comes() {
        assert_eq!(reported(&[0, 0, 1, 1, 0]), [Change::Appeared, Change::Vanished]);
    }
}
