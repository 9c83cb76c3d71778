//! One file for each path of the REST interface.

pub(super) mod alerts;
pub(super) mod health;
pub(super) mod metrics;
pub(super) mod sensors;
pub(super) mod stats;
