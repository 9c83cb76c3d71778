//! Receiving alerts: accept, handshake, store, acknowledge.
//!
//! ```text
//! socket -> CollectorSession (no I/O) -> pending delivery -> store writer -> acknowledgement -> socket
//! ```
//!
//! One task per connection, on the threads of its stage ([`IngestThreads`]), by falling priority: accepting and sessions that send
//! little; handshakes; sessions that send much. So acknowledgements do not wait for strangers or full spools. Each task holds one
//! frame each way, one pending delivery and one that is being stored, and stops reading until there is room: the memory of a peer is
//! bounded whatever it sends.
//!
//! Limits: `gate` before a key is proved (by address, and in all), `rates` for each sensor after it, and
//! [`crate::store::StoreLimits`] for what is kept of a sensor. What honest sensors can reach is slowed down or makes room, and
//! only what they cannot reach is rejected.

mod batch;
mod connection;
mod gate;
mod listener;
mod rates;
mod rejections;
mod sessions;
mod shared;
mod sight_spans;
mod stages;
mod turns;
mod unproved;

pub use listener::serve;
pub use rejections::Rejections;
pub use sessions::{EvictReason, SessionGuard, Sessions};
pub use shared::{IngestLimits, IngestShared};
pub use stages::IngestThreads;
