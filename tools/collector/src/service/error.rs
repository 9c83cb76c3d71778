//! Errors of the use cases.

use std::fmt;
use std::time::Duration;

use super::access::Forbidden;
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
    /// The caller may not do this.
    Forbidden(Forbidden),
    /// There is no incident of this number, or no longer.
    UnknownIncident(i64),
    /// The incident was changed meanwhile and has this revision.
    Revision(u64),
    /// The incident has as many changes as it may.
    Full(i64),
    /// Too many queries of this kind wait already.
    Busy,
    /// The query did not end within this time.
    Deadline(Duration),
    /// The store cannot be read.
    Store(StoreError),
}

impl fmt::Display for ServiceError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownSensor { given, .. } => {
                let short: String = given.chars().take(60).collect();
                write!(out, "there is no sensor {short:?}")
            }
            Self::Forbidden(error) => error.fmt(out),
            Self::UnknownIncident(id) => write!(out, "there is no incident {id}"),
            Self::Revision(revision) => {
                write!(out, "the incident was changed meanwhile: it has revision {revision}")
            }
            Self::Full(id) => write!(out, "incident {id} has as many changes as it may"),
            Self::Busy => out.write_str("too many queries wait already, try again"),
            Self::Deadline(deadline) => {
                write!(out, "the query did not end within {} s", deadline.as_secs_f64())
            }
            Self::Store(error) => write!(out, "the store cannot be read: {error}"),
        }
    }
}

impl std::error::Error for ServiceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::UnknownSensor { .. }
            | Self::UnknownIncident(_)
            | Self::Revision(_)
            | Self::Full(_)
            | Self::Forbidden(_)
            | Self::Busy
            | Self::Deadline(_) => None,
            Self::Store(error) => Some(error),
        }
    }
}

impl From<Forbidden> for ServiceError {
    fn from(error: Forbidden) -> Self {
        Self::Forbidden(error)
    }
}

impl From<StoreError> for ServiceError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Overloaded => Self::Busy,
            StoreError::Deadline(deadline) => Self::Deadline(deadline),
            error => Self::Store(error),
        }
    }
}
