//! Ability of this process to store and read alerts.

use std::sync::Arc;
use std::time::Duration;

use super::access::{Caller, authorize};
use super::operations::Operation;
use super::{Service, ServiceError};
use crate::clock;
use crate::store::StoreError;

/// State of the collector as a monitor sees it.
#[derive(Debug)]
pub struct Health {
    /// State of the store.
    pub store: StoreHealth,
    /// Time since the start of this process.
    pub uptime: Duration,
    /// Established sessions.
    pub sensors_connected: usize,
}

/// State of the store.
#[derive(Debug)]
pub enum StoreHealth {
    /// Can be read, and the latest commit succeeded.
    Ok,
    /// The latest commit failed for this reason; sensors keep their alerts.
    Unwritable(String),
    /// Cannot be read.
    Unreadable(Arc<StoreError>),
    /// Has not answered for this time.
    Stalled(Duration),
}

/// The latest reading of the store and the latest commit. Answers within half a second whatever the store does.
///
/// # Errors
/// Errors of authorisation; a failing store is a result.
pub async fn health(service: &Service, caller: Caller) -> Result<Health, ServiceError> {
    authorize(&caller, Operation::Health)?;
    let reading = service.monitor.reading().await;
    let store = match (&reading.error, reading.stale_for()) {
        (_, Some(span)) => StoreHealth::Stalled(span),
        (Some(error), None) => StoreHealth::Unreadable(Arc::clone(error)),
        (None, None) => service.metrics.store_failure().map_or(StoreHealth::Ok, StoreHealth::Unwritable),
    };
    let uptime = clock::now().since(service.started);
    Ok(Health { store, uptime, sensors_connected: service.sessions.count() })
}
