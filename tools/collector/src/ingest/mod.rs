//! Receiving alerts: accept, handshake, store, acknowledge.
//!
//! ```text
//! socket -> CollectorSession (no I/O) -> pending delivery -> store writer -> acknowledgement -> socket
//! ```
//!
//! One task per connection. Each holds one frame each way, one pending delivery and one that is being stored, and
//! stops reading until there is room: the memory of a peer is bounded whatever it sends.

mod batch;
mod connection;
mod listener;
mod rejections;
mod sessions;
mod shared;

pub use listener::Ingest;
pub use rejections::Rejections;
pub use sessions::{EvictReason, SessionGuard, Sessions};
pub use shared::{IngestLimits, IngestShared};
