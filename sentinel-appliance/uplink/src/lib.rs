//! Protocol between sensor and collector: session, framing, messages and delivery tracking, without I/O.
//!
//! In: bytes from a socket and the time ([`sentinel_units::Uptime`]). Out: bytes for the socket and messages for the
//! program. `PROTOCOL.md` specifies bytes, order and timeouts.
//!
//! ```text
//! sensor                                                     collector
//! Delivery, BatchBuilder, Backoff
//! SensorSession    --- messages (ToCollector, ToSensor) ---  CollectorSession    order of messages, pings
//! channel          --- Noise transport messages -----------  channel             handshake, encryption, timeouts
//! frame            --- preface, length-prefixed frames ----  frame               bytes of a TCP connection
//! ```
//!
//! Memory: under 1 KiB for a peer that has sent nothing, 4 KiB during the handshake, then one frame each way, one
//! plaintext message and two ciphers: 12 KiB by default. Nothing is allocated after the handshake (`tests/memory.rs`).
//! It opens no socket, reads no clock, starts no task, and takes only random bytes (for keys) from the system.
//! Whatever a peer sends costs a bounded amount of memory and work, and ends in a named error.

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
mod limits;
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
pub use delivery::{Delivery, NotTracked, Resume, WINDOW_LEN};
pub use error::{SendError, SessionError};
pub use key::{KeyPair, ParseKeyError, PublicKey};
pub use limits::Limits;
pub use message::{
    CollectorKey, EndCause, Enroll, Gap, GapReason, HEARTBEAT_VERSION, Hello, KEY_VERSION, KeyAnswer,
    LOG_HEAD_VERSION, LogHead, PROTOCOL_VERSION, RUN_END_VERSION, RejectReason, RunEnd, RunIdentity,
    ToCollector, ToSensor, Welcome,
};
pub use session::{CollectorEvent, CollectorSession, SensorEvent, SensorSession, Session};
pub use suite::{Cipher, PREFACE_LEN};
pub use telemetry::{Counter, Telemetry};
pub use token::{MAX_ADDRESS_LEN, ParseTokenError, Secret, Token, TokenId, is_address};
