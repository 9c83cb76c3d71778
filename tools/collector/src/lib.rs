//! The collector: stores the alerts of many sensors, encrypted, and serves them.
//!
//! In: TCP connections of sensors (PROTOCOL.md of `sentinel-uplink`) and HTTP requests. Out: acknowledgements of
//! stored alerts, JSON, server-sent events, metrics, one page, one terminal view.
//!
//! ```text
//! sensors --> ingest --> store::Writer --> SQLCipher file <-- store::ReaderPool <-- service <-- api <-- http
//!               |             |                                                        |  ^
//!               +----> events::EventBus -----------------------------------------------+  cli (operator)
//! ```
//!
//! Uses point from the edge to the middle: `api` and `ingest` use `model`, `service` uses `ingest::Sessions` and
//! `store`, nothing uses `api` but `run` and the operator's JSON in `enroll`. `http` knows nothing of alerts: it serves any
//! router within its limits, on threads of its own.
//!
//! Memory: for each connection one frame each way and at most two deliveries; a bounded queue before the one
//! writer; a bounded ring of events for subscribers. Everything else is in the file. An alert that is not on the disk
//! is never acknowledged, and a secret is never logged.

#![forbid(unsafe_code)]

pub mod access;
pub mod api;
pub mod backup;
pub mod cli;
pub mod clock;
pub mod configuration;
pub mod dashboard;
pub mod enroll;
pub mod events;
pub mod file_limit;
pub mod first_start;
pub mod http;
pub mod ingest;
pub mod log;
pub mod metrics;
pub mod model;
pub mod rate;
pub mod run;
pub mod service;
pub mod store;
pub mod threads;
pub mod time_text;
pub mod tls;
pub mod watch;
