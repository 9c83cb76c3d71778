//! What TLS says before it is encrypted: the hello of the client, the hello of the server, and in versions before 1.3 the
//! certificate of the server.
//!
//! Read first: RFC 8446; RFC 5246 section 7.4.2 (certificates before version 1.3).

mod client;
mod record;
mod server;

pub use client::{ClientHello, is_client_hello};
pub(crate) use record::{CLIENT_HELLO, HANDSHAKE_RECORD, Handshake, SERVER_HELLO, Stop};
pub use record::{Extension, Extensions, Numbers, Protocols, is_reserved};
pub use server::{ServerHello, is_server_hello};
