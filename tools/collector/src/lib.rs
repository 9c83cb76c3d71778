//! The collector: takes in the alerts of many sensors, keeps them encrypted, shows them.
//!
//! In: TCP connections of sensors (see PROTOCOL.md of `sentinel-uplink`) and HTTP requests. Out:
//! acknowledgements of what is on the disk, JSON, server-sent events, metrics, one page, one terminal view.
//!
//! ```text
//! sensors -> ingest -> store -> api -> dashboard, watch
//!                        ^
//!                      enroll
//! ```
//!
//! Memory: for each connection one frame each way and at most two deliveries; a bounded queue before the
//! one writer; a bounded ring of events for listeners. Everything else is in one `SQLCipher` file.
//! It never acknowledges what is not on the disk, and never logs a secret.

#![forbid(unsafe_code)]

pub mod api;
pub mod cli;
pub mod clock;
pub mod dashboard;
pub mod enroll;
pub mod events;
pub mod ingest;
pub mod log;
pub mod metrics;
pub mod model;
pub mod run;
pub mod service;
pub mod store;
pub mod time_text;
pub mod watch;
