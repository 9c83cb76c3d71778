//! The way from sensor to collector: session, framing, messages, and the books of what was delivered.
//!
//! In: bytes that a socket gave and the time ([`sentinel_units::Uptime`]). Out: bytes for the socket and
//! messages for the program. The byte layout, the rules and the deadlines are in `PROTOCOL.md`.
//!
//! ```text
//! collector  |  CollectorSession            SensorSession  |  sensor
//!            |        \________  channel  ________/        |    BatchBuilder, Delivery, Backoff
//!            |           preface, frames, Noise            |    Token, KeyPair
//! ```
//!
//! Memory: under 1 KiB for a peer that has sent nothing, 4 KiB during the handshake, then one frame each
//! way, one plain message and two ciphers: 12 KiB by default. Allocated until the handshake is done and
//! never after (`tests/memory.rs`). It opens no socket, reads no clock, starts no task, and
//! asks the system for nothing but random bytes (for keys). Whatever a peer sends, it costs a bounded
//! amount and ends in a named error.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod backoff;
mod base32;
mod batch;
mod channel;
mod compress;
mod delivery;
mod error;
mod frame;
#[doc(hidden)]
pub mod fuzzing;
mod key;
mod message;
mod noise;
#[cfg(test)]
mod recorded;
mod session;
mod suite;
mod telemetry;
mod token;

pub use backoff::Backoff;
pub use batch::{BATCH_OVERHEAD_LEN, Batch, BatchBuilder, BatchError, BatchIter, Entry, Origin, PushError};
pub use channel::Limits;
pub use delivery::{Delivery, Resume, WINDOW_LEN};
pub use error::{SendError, SessionError};
pub use key::{KeyPair, ParseKeyError, PublicKey};
pub use message::{
    Enroll, Gap, GapReason, Hello, PROTOCOL_VERSION, RejectReason, ToCollector, ToSensor, Welcome,
};
pub use session::{CollectorEvent, CollectorSession, SensorEvent, SensorSession};
pub use suite::{Cipher, PREFACE_LEN};
pub use telemetry::{Counter, Telemetry};
pub use token::{MAX_ADDRESS_LEN, ParseTokenError, Secret, Token, TokenId};
