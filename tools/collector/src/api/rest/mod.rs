//! Handlers of the REST interface, one file for each path.

pub(super) mod alerts;
pub(super) mod health;
pub(super) mod incidents;
pub(super) mod metrics;
pub(super) mod sensors;
pub(super) mod stats;
