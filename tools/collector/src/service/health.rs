//! Ability of this process to store and read alerts.

use std::time::Duration;

use super::access::{Caller, Operation, authorize};
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
    /// The latest commit failed; sensors keep their alerts.
    Unwritable,
    /// Cannot be read.
    Unreadable(StoreError),
}

/// Reads the store once and looks at the latest commit.
///
/// # Errors
/// Errors of authorisation; a failing store is a result.
pub async fn health(service: &Service, caller: Caller) -> Result<Health, ServiceError> {
    authorize(caller, Operation::Health)?;
    let store = match service.readers.newest_alert().await {
        Err(error) => StoreHealth::Unreadable(error),
        Ok(_) if service.metrics.is_store_failing() => StoreHealth::Unwritable,
        Ok(_) => StoreHealth::Ok,
    };
    let uptime = clock::now().since(service.started);
    Ok(Health { store, uptime, sensors_connected: service.sessions.count() })
}
