//! Counts and logs rejected connections.

use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use sentinel_uplink::PublicKey;

use crate::log::Log;
use crate::metrics::{Metrics, RejectionCause};

/// Pairs of peer and cause remembered as logged. A full set is emptied: at worst a line is logged again, within the limit of
/// lines for its cause.
const MAX_LOGGED_PEERS: usize = 4_096;

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum PeerId {
    Key(PublicKey),
    Address(IpAddr),
}

/// Counts every rejection and logs the first of each peer and cause. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Rejections {
    metrics: Arc<Metrics>,
    log: Log,
    logged: Arc<Mutex<HashSet<(RejectionCause, PeerId)>>>,
}

impl Rejections {
    /// Counts into `metrics`, logs into `log`.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>, log: Log) -> Self {
        Self { metrics, log, logged: Arc::default() }
    }

    /// Rejects a peer that has not named a key.
    pub fn address(&self, cause: RejectionCause, address: IpAddr, detail: impl fmt::Display) {
        let peer = PeerId::Address(address);
        self.reject(cause, peer, format_args!("rejected {address} ({}): {detail}", cause.name()));
    }

    /// Rejects a peer that claims to own `key`.
    pub fn key(&self, cause: RejectionCause, key: PublicKey, address: IpAddr, detail: impl fmt::Display) {
        let text = format_args!("rejected key {key} from {address} ({}): {detail}", cause.name());
        self.reject(cause, PeerId::Key(key), text);
    }

    fn reject(&self, cause: RejectionCause, peer: PeerId, text: fmt::Arguments<'_>) {
        self.metrics.count_rejection(cause);
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.len() >= MAX_LOGGED_PEERS {
            logged.clear();
        }
        if logged.insert((cause, peer)) {
            drop(logged); // a slow disk must not delay other connections
            let text = format_args!("{text}; logged once, counted in connections_rejected");
            self.log.limited_warn(cause.name(), text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::AlertTotals;

    #[test]
    fn each_rejection_is_counted_and_the_first_is_logged() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let metrics = Arc::new(Metrics::new(&AlertTotals::default()));
        let rejections = Rejections::new(Arc::clone(&metrics), Log::open(Some(&path)).unwrap());
        let address = IpAddr::from([192, 0, 2, 7]);
        for _ in 0..3 {
            rejections.address(RejectionCause::ForeignProtocol, address, "byte 0 is 0x47");
        }
        rejections.address(RejectionCause::HandshakeTimeout, address, "10 s");
        rejections.key(RejectionCause::UnknownKey, PublicKey::from_bytes([3; 32]), address, "not enrolled");
        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(text.lines().count(), 3, "{text}");
        let labels = crate::metrics::RejectionLabels { reason: RejectionCause::ForeignProtocol };
        assert_eq!(metrics.rejected.get_or_create(&labels).get(), 3);
    }
}
