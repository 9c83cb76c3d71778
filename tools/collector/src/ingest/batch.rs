//! Messages on their way from a session to the store: one delivery for as many as arrive together.

use std::time::Instant;

use sentinel_alert::AlertId;
use sentinel_uplink::{Batch, Gap, SessionError};

use crate::clock;
use crate::store::{Delivery, Sensor, UnreadableAlert};

/// How much memory a delivery holds, counted in alerts.
pub(super) fn weight(delivery: &Delivery) -> usize {
    delivery.alerts.len() + delivery.unreadable.len() + delivery.gaps.len()
}

/// What waits for its turn to be stored, and since when.
pub(super) type PendingDelivery = Option<(Delivery, Instant)>;

fn open<'g>(pending: &'g mut PendingDelivery, sensor: &Sensor, last: AlertId) -> &'g mut Delivery {
    let (delivery, _) = pending.get_or_insert_with(|| {
        let delivery = Delivery {
            sensor: sensor.id,
            alerts: Vec::new(),
            unreadable: Vec::new(),
            gaps: Vec::new(),
            last,
            received_at: clock::now(),
        };
        (delivery, Instant::now())
    });
    delivery.last = last;
    delivery
}

pub(super) fn append_gap(pending: &mut PendingDelivery, sensor: &Sensor, gap: Gap) {
    open(pending, sensor, gap.last()).gaps.push(gap);
}

/// A batch that cannot be taken apart to its end is not taken at all.
pub(super) fn append_batch(
    pending: &mut PendingDelivery,
    sensor: &Sensor,
    batch: Batch<'_>,
) -> Result<(), SessionError> {
    let Some(last) = batch.iter().try_fold(None, |_, entry| Ok(Some(entry?.id))).map_err(malformed)? else {
        return Ok(()); // an empty batch says nothing
    };
    let delivery = open(pending, sensor, last);
    for entry in batch.iter() {
        let entry = entry.map_err(malformed)?;
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

fn malformed(_: sentinel_uplink::BatchError) -> SessionError {
    SessionError::Malformed
}
