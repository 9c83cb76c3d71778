//! Pending delivery: the messages of a session that arrived while an earlier delivery is being stored.

use std::time::Instant;

use sentinel_alert::AlertId;
use sentinel_uplink::{Batch, BatchError, Gap, RunEnd};

use crate::clock;
use crate::model::{Delivery, Sensor, UnreadableAlert};

/// A delivery that grows until the writer is free, with the arrival of its first message; empty in between.
#[derive(Debug, Default)]
pub(super) struct PendingDelivery(Option<(Delivery, Instant)>);

impl PendingDelivery {
    /// Number of entries.
    pub(super) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |(delivery, _)| delivery.len())
    }

    /// The delivery and the arrival of its first message; leaves it empty.
    pub(super) const fn take(&mut self) -> Option<(Delivery, Instant)> {
        self.0.take()
    }

    /// Appends every alert of `batch`, or none of them.
    ///
    /// # Errors
    /// Errors of a batch that cannot be decoded to its end.
    pub(super) fn append_batch(&mut self, sensor: &Sensor, batch: Batch<'_>) -> Result<(), BatchError> {
        // Decodes twice: the first pass proves that all entries are good before any is taken.
        let Some(last) = batch.iter().try_fold(None, |_, entry| Ok(Some(entry?.id)))? else {
            return Ok(()); // no alert, nothing to acknowledge
        };
        let delivery = self.extend_to(sensor, last);
        for entry in batch.iter() {
            let entry = entry?; // cannot fail: the first pass has decoded the same bytes
            match entry.alert {
                Ok(alert) => delivery.alerts.push((entry.id, alert)),
                Err(_) => delivery.unreadable.push(UnreadableAlert {
                    id: entry.id,
                    base: entry.base,
                    bytes: entry.bytes.to_vec(),
                }),
            }
        }
        Ok(())
    }

    /// Appends a gap.
    pub(super) fn append_gap(&mut self, sensor: &Sensor, gap: Gap) {
        self.extend_to(sensor, gap.last()).gaps.push(gap);
    }

    /// Appends the end of a run.
    pub(super) fn append_run_end(&mut self, sensor: &Sensor, end: RunEnd) {
        self.extend_to(sensor, end.last()).run_ends.push(end);
    }

    /// The delivery, begun if there is none, whose acknowledgement now covers `last`.
    fn extend_to(&mut self, sensor: &Sensor, last: AlertId) -> &mut Delivery {
        // Time of arrival of the first message: `observe_ingest` then measures the longest wait within the delivery.
        let (delivery, _) = self.0.get_or_insert_with(|| {
            let delivery = Delivery {
                sensor: sensor.id,
                alerts: Vec::new(),
                unreadable: Vec::new(),
                gaps: Vec::new(),
                run_ends: Vec::new(),
                last,
                received_at: clock::now(),
            };
            (delivery, Instant::now())
        });
        delivery.last = last;
        delivery
    }
}
