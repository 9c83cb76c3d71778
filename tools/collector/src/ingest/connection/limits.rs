//! Rates of the sensor at the other end: too much is not read for a while, counted, and named.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::phase::{Established, Phase};
use super::{CloseReason, Connection};
use crate::clock;
use crate::ingest::rates::SensorRates;
use crate::model::{Limit, SensorId};

/// Entries received.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Arrived {
    pub(super) alerts: usize,
    pub(super) gaps: usize,
}

pub(super) fn lock(rates: &Mutex<SensorRates>) -> MutexGuard<'_, SensorRates> {
    rates.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Established {
    pub(super) fn rates(&self) -> MutexGuard<'_, SensorRates> {
        lock(&self.rates)
    }
}

impl Connection {
    /// Returns true if bytes of the peer may be taken now.
    pub(super) fn may_read(&self) -> bool {
        !self.is_full() && self.shared.uptime() >= self.read_after
    }

    /// Charges the rates of the sensor with what has arrived. Above a rate nothing is read until it is kept again: the sensor
    /// is slowed down by TCP, and what it sends is stored and acknowledged as before.
    pub(super) async fn charge_rates(&mut self) -> Result<(), CloseReason> {
        let Arrived { alerts, gaps } = std::mem::take(&mut self.arrived);
        let Phase::Established(established) = &self.phase else { return Ok(()) };
        if alerts == 0 && gaps == 0 {
            return Ok(());
        }
        let exceeded = established.rates().entries(alerts, gaps, self.shared.elapsed());
        let Some((wait, limit)) = exceeded else { return Ok(()) };
        self.read_after = self.shared.uptime().after(wait);
        self.count_limit(limit).await
    }

    /// Counts that the sensor of this session met a limit.
    pub(super) async fn count_limit(&mut self, limit: Limit) -> Result<(), CloseReason> {
        let Phase::Established(established) = &self.phase else { return Ok(()) };
        self.shared
            .log
            .limited_warn(limit.name(), format_args!("{}: {}", established.name, limit.describe()));
        let (id, rates) = (established.sensor.id, Arc::clone(&established.rates));
        self.report_limit(id, &rates, limit).await
    }

    /// Counts in the metrics and, not more often than once a minute, in the row of the sensor.
    pub(super) async fn report_limit(
        &mut self,
        id: SensorId,
        rates: &Mutex<SensorRates>,
        limit: Limit,
    ) -> Result<(), CloseReason> {
        self.shared.metrics.count_limit(limit, 1);
        let report = lock(rates).report(self.shared.elapsed());
        if let Some(times) = report {
            self.shared.writer.limit(id, limit, times, clock::now()).await.map_err(CloseReason::Store)?;
        }
        Ok(())
    }
}
