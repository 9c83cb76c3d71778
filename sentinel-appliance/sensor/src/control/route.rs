//! Way to the collector: the address that is tried, and the keys of both ends that are tried with it.
//!
//! Addresses are tried one after the other without a wait, and then the other pinned key of the collector with each of them.
//! Address and key that have led to a session are tried first at the next connection.

use sentinel_units::Uptime;
use sentinel_uplink::{KeyPair, PublicKey, RejectReason};

use crate::settings::{Settings, with_port};
use crate::system::disconnect_reason::DisconnectReason;
use crate::system::keyring::Keyring;
use crate::system::keys::Collector;

/// Progress of a connection, which tells what its end says about the way.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Progress {
    /// No handshake.
    #[default]
    None,
    /// The collector has proved its key.
    Proved,
    /// The collector serves the key of this sensor.
    Welcomed,
}

/// Choice of the next connection.
#[derive(Debug, Default)]
pub(crate) struct Route {
    /// Index of the address.
    address: usize,
    /// The next key of the collector instead of the one in its file.
    with_next_collector: bool,
    /// No session came about with the next key of the collector since it was announced.
    is_next_collector_dead: bool,
    /// The key of this sensor before the own one.
    with_old_key: bool,
    /// Time before which the collector may not have the own key replaced again.
    pub(crate) replace_after: Uptime,
}

impl Route {
    /// Address of the next connection.
    pub(crate) fn address(&self, settings: &Settings, collector: &Collector) -> String {
        let mut addresses = addresses(settings, collector);
        let index = self.address % addresses.len().max(1);
        if addresses.is_empty() { collector.address.clone() } else { addresses.swap_remove(index) }
    }

    /// Key that the collector must prove.
    pub(crate) fn collector_key(&self, ring: &Keyring, collector: &Collector) -> PublicKey {
        ring.collector_next.filter(|_| self.with_next_collector).unwrap_or(collector.key)
    }

    /// Key with which the sensor connects.
    pub(crate) fn own_key<'r>(&self, ring: &'r Keyring) -> &'r KeyPair {
        ring.old.as_ref().filter(|_| self.with_old_key).unwrap_or(&ring.own)
    }

    /// Returns true if the next key of the collector is worth a connection now.
    pub(crate) const fn may_use_next_collector(&self) -> bool {
        !self.is_next_collector_dead
    }

    /// The next key of the collector is used from the next connection on.
    pub(crate) const fn use_next_collector(&mut self) {
        self.with_next_collector = true;
    }

    /// A session came about, and the keys that it proved were made the usual ones.
    pub(crate) const fn settled(&mut self) {
        // A next key that failed stays marked, or a collector that calls it in force would be left again and again.
        self.with_next_collector = false;
        self.with_old_key = false;
    }

    /// Takes the end of a connection into account. Returns true if the next one is to be made at once: with another address or
    /// key, none of which has failed since the last wait.
    pub(crate) fn failed(
        &mut self,
        progress: Progress,
        reason: &DisconnectReason,
        ring: &Keyring,
        count: usize,
    ) -> bool {
        match (progress, reason) {
            (Progress::Welcomed, _) | (_, DisconnectReason::Local) => false,
            (Progress::None, _) => self.next_way(ring, count),
            (Progress::Proved, DisconnectReason::Rejected(RejectReason::CollectorKeyReplaced))
                if ring.collector_next.is_some() && !self.with_next_collector =>
            {
                self.with_next_collector = true;
                true
            }
            (Progress::Proved, DisconnectReason::Rejected(reason))
                if !reason.is_temporary() && ring.old.is_some() =>
            {
                self.with_old_key = !self.with_old_key;
                self.with_old_key
            }
            (Progress::Proved, _) => false,
        }
    }

    fn next_way(&mut self, ring: &Keyring, count: usize) -> bool {
        self.address += 1;
        if self.address < count {
            return true;
        }
        self.address = 0;
        self.is_next_collector_dead |= self.with_next_collector;
        self.with_next_collector = ring.collector_next.is_some() && !self.with_next_collector;
        self.with_next_collector
    }
}

/// Addresses of the collector, in the order in which they are tried: those of the settings, or that of the enrollment.
pub(crate) fn addresses(settings: &Settings, collector: &Collector) -> Vec<String> {
    let (host, enrolled) = collector.address.rsplit_once(':').unwrap_or((&collector.address, ""));
    let port = match settings.collector_port {
        0 => enrolled.parse().unwrap_or_default(),
        port => port,
    };
    if settings.collector_address.is_empty() {
        return vec![format!("{host}:{port}")];
    }
    settings.collector_address.iter().map(|address| with_port(address, port)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collector() -> Collector {
        Collector { address: "old.example:7700".into(), key: PublicKey::from_bytes([7; 32]) }
    }

    fn ring(directory: &std::path::Path) -> Keyring {
        Keyring::load(directory).unwrap()
    }

    fn settings(addresses: &[&str], port: u32) -> Settings {
        Settings {
            collector_address: addresses.iter().map(ToString::to_string).collect(),
            collector_port: port,
            ..Settings::default()
        }
    }

    #[test]
    fn settings_override_the_address_of_the_enrollment() {
        for (given, port, expected) in [
            (&[][..], 0, &["old.example:7700"][..]),
            (&[], 443, &["old.example:443"]),
            (&["new.example"], 0, &["new.example:7700"]),
            (&["new.example", "192.0.2.1:99"], 443, &["new.example:443", "192.0.2.1:99"]),
            (
                &["2001:db8::1", "[2001:db8::2]", "[::1]:5"],
                0,
                &["[2001:db8::1]:7700", "[2001:db8::2]:7700", "[::1]:5"],
            ),
        ] {
            assert_eq!(addresses(&settings(given, port), &collector()), expected);
        }
        let v6 = Collector { address: "[::1]:7700".into(), ..collector() };
        assert_eq!(addresses(&settings(&[], 9), &v6), ["[::1]:9"]);
    }

    #[test]
    fn the_second_address_is_tried_at_once_and_then_there_is_a_wait() {
        let directory = tempfile::tempdir().unwrap();
        let (ring, settings) = (ring(directory.path()), settings(&["a", "b"], 0));
        let mut route = Route::default();
        let closed = DisconnectReason::Closed;
        assert_eq!(route.address(&settings, &collector()), "a:7700");
        assert!(route.failed(Progress::None, &closed, &ring, 2));
        assert_eq!(route.address(&settings, &collector()), "b:7700");
        assert!(
            !route.failed(Progress::Welcomed, &closed, &ring, 2),
            "a session that breaks is no reason to move"
        );
        assert_eq!(route.address(&settings, &collector()), "b:7700");
        assert!(!route.failed(Progress::None, &closed, &ring, 2));
        assert_eq!(route.address(&settings, &collector()), "a:7700");
        // Fewer addresses after a reload.
        assert!(route.failed(Progress::None, &closed, &ring, 2));
        assert_eq!(route.address(&self::settings(&[], 0), &collector()), "old.example:7700");
    }

    #[test]
    fn the_next_key_of_the_collector_is_tried_when_the_other_fails_and_not_for_ever() {
        let directory = tempfile::tempdir().unwrap();
        let mut ring = ring(directory.path());
        let next = PublicKey::from_bytes([9; 32]);
        ring.pin_collector(next).unwrap();
        let mut route = Route::default();
        let closed = DisconnectReason::Closed;
        assert_eq!(route.collector_key(&ring, &collector()), collector().key);
        assert!(route.may_use_next_collector() && route.failed(Progress::None, &closed, &ring, 1));
        assert_eq!(route.collector_key(&ring, &collector()), next);
        assert!(!route.failed(Progress::None, &closed, &ring, 1));
        assert_eq!(route.collector_key(&ring, &collector()), collector().key);
        assert!(
            !route.may_use_next_collector(),
            "or a collector that says it is in force would be left again and again"
        );
        let replaced = DisconnectReason::Rejected(RejectReason::CollectorKeyReplaced);
        assert!(route.failed(Progress::Proved, &replaced, &ring, 1));
        assert_eq!(route.collector_key(&ring, &collector()), next);
        assert!(!route.failed(Progress::Proved, &replaced, &ring, 1));
    }

    #[test]
    fn a_refused_key_gives_way_to_the_one_before_once() {
        let directory = tempfile::tempdir().unwrap();
        let mut ring = ring(directory.path());
        let old = ring.own.public();
        ring.make_next().unwrap();
        ring.accept_next().unwrap();
        let mut route = Route::default();
        assert_ne!(route.own_key(&ring).public(), old);
        let unknown = DisconnectReason::Rejected(RejectReason::UnknownSensor);
        let busy = DisconnectReason::Rejected(RejectReason::Busy);
        assert!(!route.failed(Progress::Proved, &busy, &ring, 1));
        assert!(route.failed(Progress::Proved, &unknown, &ring, 1));
        assert_eq!(route.own_key(&ring).public(), old);
        assert!(!route.failed(Progress::Proved, &unknown, &ring, 1));
        assert_ne!(route.own_key(&ring).public(), old);
    }
}
