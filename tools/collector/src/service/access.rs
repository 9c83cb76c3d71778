//! Authorisation: decided here for every operation, whatever the transport.

use std::fmt;

/// The party that a transport makes a request for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Caller {
    /// Not authenticated. The transports bind to loopback unless the operator allows otherwise, so this is a
    /// user of the collector's own machine.
    Anonymous,
    /// Operator: can read the key of the database, on the command line of the collector's machine.
    Operator,
}

/// The operations that need permission.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Operation {
    /// Read stored alerts.
    ListAlerts,
    /// Search incidents, and read one with its messages.
    ListIncidents,
    /// Set states of incidents and add notes.
    ChangeIncidents,
    /// Read the sensors and their state.
    ListSensors,
    /// Read totals and the timeline.
    Stats,
    /// Read the ability to store and read alerts.
    Health,
    /// Read the figures for monitoring.
    Metrics,
    /// Receive events.
    Subscribe,
    /// Make a token that enrolls a sensor.
    Enroll,
    /// Revoke a sensor.
    Revoke,
    /// Let a sensor replace its key.
    RotateKey,
    /// Take note of unclean runs.
    Acknowledge,
}

/// The caller may not perform this operation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Forbidden(pub Operation);

impl fmt::Display for Forbidden {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(operation) = self;
        write!(out, "{operation:?} needs the rights of the operator")
    }
}

impl std::error::Error for Forbidden {}

/// Returns an error if `caller` must not perform `operation`.
///
/// The match names every pair: an operation that changes something, or a caller with a role, does not compile
/// before its permission is stated here.
pub(super) const fn authorize(caller: Caller, operation: Operation) -> Result<(), Forbidden> {
    match (caller, operation) {
        (
            Caller::Anonymous | Caller::Operator,
            Operation::ListAlerts
            | Operation::ListIncidents
            | Operation::ChangeIncidents
            | Operation::ListSensors
            | Operation::Stats
            | Operation::Health
            | Operation::Metrics
            | Operation::Subscribe,
        )
        | (
            Caller::Operator,
            Operation::Enroll | Operation::Revoke | Operation::RotateKey | Operation::Acknowledge,
        ) => Ok(()),
        (
            Caller::Anonymous,
            Operation::Enroll | Operation::Revoke | Operation::RotateKey | Operation::Acknowledge,
        ) => Err(Forbidden(operation)),
    }
}
