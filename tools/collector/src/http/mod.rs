//! The HTTP server: connections within limits, on threads of its own.
//!
//! In: TCP connections, with TLS if other machines reach the listener, and a router. Out: answers, and counters of every limit that took effect. A connection that sends
//! half a request, reads nothing, or does nothing costs one descriptor and at most [`HttpLimits::header_bytes`] until its
//! time is over; what exceeds a limit gets `503` with the name of the limit. The threads, the pools of readers and the
//! descriptors are not those of the sensors, whatever HTTP clients do.

mod activity;
mod address;
mod connection;
mod connections;
mod limits;
mod metrics;
mod plain;
mod rejection;
mod server;
mod stream;

pub use activity::Peer;
pub(crate) use address::network;
pub use address::{AddressLimiter, AddressPermit};
pub use limits::{HttpLimit, HttpLimits, MAX_CONNECTIONS};
pub use metrics::{HttpLimitLabels, HttpMetrics};
pub use rejection::RejectionBody;
pub use server::{HttpServer, MARGIN, threads};
