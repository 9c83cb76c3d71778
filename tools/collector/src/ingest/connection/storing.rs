//! Hand-over of deliveries to the writer, one at a time.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use sentinel_alert::AlertId;

use super::phase::Phase;
use super::{CloseReason, Connection};
use crate::model::{Limit, Receipt};
use crate::store::{Lane, StoreError};

/// A delivery that is being stored.
pub(super) type Storing = Pin<Box<dyn Future<Output = StoringResult> + Send>>;

/// Result of storing a delivery.
pub(super) struct StoringResult {
    result: Result<Result<Receipt, Limit>, StoreError>,
    /// Acknowledgement that the sensor gets for it.
    last: AlertId,
    /// Arrival of its first message.
    arrived: Instant,
}

impl Connection {
    /// Returns true while nothing more may be read: flow control through TCP bounds the memory of a sensor.
    pub(super) fn is_full(&self) -> bool {
        self.storing.is_some() && self.pending.len() >= self.bulk.max_pending()
    }

    /// Hands the pending delivery to the writer, unless one is being stored. One at a time keeps the order of sending,
    /// which the cumulative acknowledgement needs, and lets deliveries grow while the writer is busy.
    pub(super) fn start_storing(&mut self) {
        if self.storing.is_some() {
            return;
        }
        let Phase::Established(established) = &self.phase else { return };
        // Taken whole: the writer commits a delivery in one transaction, so its end may be acknowledged after it.
        let Some((delivery, arrived)) = self.pending.take() else { return };
        let (writer, name) = (self.shared.writer.clone(), Arc::clone(&established.name));
        let is_prompt = established.rates().is_prompt(delivery.len(), self.shared.elapsed());
        let lane = if is_prompt { Lane::Prompt } else { Lane::Bulk };
        self.lane = lane;
        self.storing = Some(Box::pin(async move {
            let last = delivery.last;
            StoringResult { result: writer.deliver(delivery, name, lane).await, last, arrived }
        }));
    }

    /// Makes the acknowledgement of a stored delivery due.
    pub(super) fn stored(&mut self, stored: StoringResult) -> Result<(), CloseReason> {
        self.storing = None;
        stored.result.map_err(CloseReason::Store)?.map_err(CloseReason::Limit)?;
        self.shared.metrics.observe_ingest(stored.arrived.elapsed());
        // May replace one that is not sent yet: deliveries are stored one at a time, so this one covers those before it.
        self.ack = Some(stored.last);
        Ok(())
    }

    /// Stores everything that was received completely, even if the connection is gone: the sensor has less to send
    /// again.
    pub(super) async fn store_remaining(&mut self) -> Result<(), CloseReason> {
        // At most two iterations: the delivery that is being stored, and the pending one.
        loop {
            self.start_storing();
            let Some(storing) = self.storing.as_mut() else { return Ok(()) };
            let result = storing.await;
            self.stored(result)?;
        }
    }
}
