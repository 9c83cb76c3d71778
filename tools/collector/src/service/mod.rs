//! Use cases: one function each, with typed input, typed result and [`ServiceError`].
//!
//! Every transport (REST and server-sent events today) is an adapter of these functions: it parses its request
//! into their input, passes the [`Caller`] it authenticated, and serialises their result. Nothing in here knows
//! JSON or HTTP, and no transport reads the store itself.
//!
//! | operation | function |
//! |---|---|
//! | stored alerts, filtered and paged | [`list_alerts`] |
//! | incidents, searched and paged | [`list_incidents`] |
//! | one incident, its messages | [`show_incident`], [`list_messages`] |
//! | states and notes of incidents | [`change_incidents`] |
//! | sensors with their state | [`list_sensors`] |
//! | totals and timeline | [`stats()`] |
//! | ability to store and read alerts | [`health()`] |
//! | figures for monitoring | [`metrics_snapshot`] |
//! | stored and live events | [`subscribe()`] |
//! | token that enrolls a sensor | [`create_token`] |
//! | sensors as stored, without a running collector | [`stored_sensors`] |
//! | one sensor, with the states that it has had | [`show_sensor`] |
//! | revocation | [`revoke_sensor`] |
//! | replacement of the key of a sensor | [`rotate_sensor_key`] |
//! | note of unclean runs | [`acknowledge_runs`] |
//! | users, keys, groups of sensors, audit | [`accounts`] |
//! | log-in | [`crate::access::Access`] |
//!
//! Each operation is declared once, in [`OPERATIONS`].

mod access;
pub mod accounts;
mod alerts;
mod change_error;
mod error;
mod event_filter;
mod health;
mod incidents;
mod monitor;
mod operations;
mod operator;
mod sensors;
mod state;
mod state_watch;
mod stats;
mod subscribe;
#[cfg(test)]
mod testing;
mod verdict;

pub use access::{Caller, Forbidden, LoggedIn, authorize, operator_name};
pub use alerts::{AlertPage, AlertRequest, list_alerts};
pub use change_error::ChangeError;
pub use error::ServiceError;
pub use health::{Health, StoreHealth, health};
pub use incidents::{
    IncidentAction, IncidentDetail, IncidentRequest, change_incidents, list_incidents, list_messages,
    show_incident,
};
pub use monitor::{Monitor, Reading};
pub use operations::parameter::{
    self, MAX_CHANGED, MAX_MINUTES, MAX_NOTE_LEN, MAX_PAGE_LEN, MAX_RECENT, MAX_WORDS,
};
pub use operations::{Answer, Declaration, Method, Needs, OPERATIONS, Operation, Parameter, Place, Shape};
pub use operator::{
    EnrollError, RevokeError, TokenRequest, acknowledge_runs, create_token, revoke_sensor, rotate_sensor_key,
    stored_sensors,
};
pub use sensors::{MetricsSnapshot, SensorDetail, SensorList, list_sensors, metrics_snapshot, show_sensor};
pub use state::Service;
pub use state_watch::watch_states;
pub use stats::{SensorCounts, Stats, stats};
pub use subscribe::{EventRequest, Next, StreamStart, Subscription, subscribe};
