//! Search for hosts and services.

pub(crate) mod port_scan;
