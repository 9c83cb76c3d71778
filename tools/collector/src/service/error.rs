//! Errors of the use cases.

use std::fmt;

use crate::store::StoreError;

/// Failure of a use case. Each transport maps it to its own status codes.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServiceError {
    /// No sensor has this name, number or key.
    UnknownSensor {
        /// The text that should have named a sensor.
        given: String,
        /// Names of up to twenty sensors: enough to see a spelling mistake.
        known: Vec<String>,
    },
    /// The store cannot be read.
    Store(StoreError),
}

impl fmt::Display for ServiceError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownSensor { given, .. } => write!(out, "there is no sensor {given:?}"),
            Self::Store(error) => write!(out, "the store cannot be read: {error}"),
        }
    }
}

impl std::error::Error for ServiceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::UnknownSensor { .. } => None,
            Self::Store(error) => Some(error),
        }
    }
}

impl From<StoreError> for ServiceError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
