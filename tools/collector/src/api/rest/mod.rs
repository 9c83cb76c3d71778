//! Handlers of the REST interface, one file for each path, or for those that belong together.

pub(super) mod accounts;
pub(super) mod alerts;
pub(super) mod enrollment;
pub(super) mod health;
pub(super) mod incidents;
pub(super) mod log_in;
pub(super) mod metrics;
pub(super) mod sensors;
pub(super) mod stats;
