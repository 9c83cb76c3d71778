//! A service over a store with one sensor.

use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::watch;

use super::Service;
use crate::metrics::Metrics;
use crate::model::AlertTotals;
use crate::store::Files;
use crate::store::testing::{commit, delivery, open};

/// A service over the alerts `seqs` of the sensor `a`, and the switch that stops its subscriptions.
pub(super) fn service(directory: &Path, seqs: RangeInclusive<u64>) -> (Service, watch::Sender<bool>) {
    let files = Files::locate(directory, Some(&"0f".repeat(32))).unwrap();
    commit(&mut open(&files.database()), &delivery(seqs)).unwrap();
    let (stop, stopping) = watch::channel(false);
    let metrics = Arc::new(Metrics::new(&AlertTotals::default()));
    let service = Service::new(&Arc::new(files), metrics, stopping);
    service.access.set_loopback(Some(crate::model::Role::Viewer));
    (service, stop)
}

/// A client of this machine that may read.
pub(super) fn local() -> super::Caller {
    super::Caller::Loopback(crate::model::Role::Viewer)
}
