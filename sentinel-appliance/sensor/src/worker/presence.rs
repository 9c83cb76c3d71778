//! Messages about captured interfaces that vanish and come back.

use crate::limits::MAX_INTERFACES;
use crate::terminal::log;
use crate::worker::snapshot::InterfaceCounts;

/// Presence of each interface at the last update; `None` until its ring was open for the first time.
#[derive(Debug, Default)]
pub(crate) struct Presence([Option<bool>; MAX_INTERFACES]);

impl Presence {
    /// Logs each interface that vanished or came back since the last update.
    pub(crate) fn log_changes(&mut self, now: &[InterfaceCounts; MAX_INTERFACES], names: &[String]) {
        self.update(now, |index, is_present| {
            let Some(name) = names.get(index) else { return };
            if is_present {
                log::info(format_args!("interface '{name}' is back, capturing again"));
            } else {
                log::warn(format_args!("interface '{name}' has vanished; waiting for it"));
            }
        });
    }

    fn update(&mut self, now: &[InterfaceCounts; MAX_INTERFACES], mut changed: impl FnMut(usize, bool)) {
        for (index, (before, now)) in self.0.iter_mut().zip(now).enumerate() {
            let is_present = now.is_open != 0;
            // All are there at the start: one that was never open is not published yet, or no interface.
            if before.is_some_and(|before| before != is_present) {
                changed(index, is_present);
            }
            if before.is_some() || is_present {
                *before = Some(is_present);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_is_reported_once_when_it_vanishes_and_once_when_it_returns() {
        let mut presence = Presence::default();
        let mut reported = Vec::new();
        for open in [0, 1, 1, 0, 0, 1, 1] {
            let mut counts = [InterfaceCounts::default(); MAX_INTERFACES];
            counts[2].is_open = open;
            presence.update(&counts, |index, is_present| reported.push((index, is_present)));
        }
        assert_eq!(reported, [(2, false), (2, true)]);
    }
}
