//! Taking in what sensors send: accept, shake hands, store, acknowledge.
//!
//! ```text
//! socket -> CollectorSession (no I/O) -> pending messages -> store writer -> ack -> socket
//! ```
//!
//! One task per connection. Each holds one frame each way, one pending delivery and one that is being
//! stored, and reads no further until there is room: a peer costs a bounded amount, however it behaves.

mod batch;
mod connection;
mod listener;
mod rejections;
mod sessions;

pub use listener::{Ingest, IngestLimits, IngestShared};
pub use rejections::Rejections;
pub use sessions::{EvictReason, SessionGuard, SessionInfo, Sessions};
