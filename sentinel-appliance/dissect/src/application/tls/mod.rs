//! TLS handshake messages in clear: the hello of the client, the hello of the server, and in versions before 1.3 the
//! certificate of the server.
//!
//! Read first: RFC 8446; RFC 5246 section 7.4.2 (certificates before version 1.3).

mod client;
pub mod fingerprint;
mod framing;
mod record;
mod server;

pub use client::{ClientHello, is_client_hello};
pub(super) use record::{CLIENT_HELLO, SERVER_HELLO};
pub use record::{Extension, Extensions, Numbers, Protocols, is_reserved};
pub use server::{ServerHello, is_server_hello};

use sentinel_units::{port, service};

use super::protocol::{Body, Protocol, has_port};
use super::x509;

/// TLS over TCP: a hello, or a record of TLS 1.0 to 1.3 whose length fits.
pub const PROTOCOL: Protocol = Protocol {
    segment: Some(|payload, ports| {
        is_client_hello(payload)
            || is_server_hello(payload)
            || matches!(payload, [20..=23, 3, 1..=4, 0..=0x48, ..])
                && (has_port(ports, port::HTTPS) || payload.len() > 5)
    }),
    framing: Some(framing::message_len),
    ..Protocol::new(service::TLS, "TLS", "RFC 8446")
};
pub(super) const PROTOCOLS: &[Protocol] = &[PROTOCOL];
pub(super) const FUZZ_BODIES: &[Body] =
    &[("tls_client_hello", client::fuzz), ("tls_server_hello", server::fuzz), ("certificate", x509::fuzz)];

/// Extension numbers (<https://www.iana.org/assignments/tls-extensiontype-values>).
pub mod extension {
    /// Name of the server (RFC 6066 section 3).
    pub const SERVER_NAME: u16 = 0;
    /// Key exchange groups (RFC 8446 section 4.2.7).
    pub const SUPPORTED_GROUPS: u16 = 10;
    /// Forms of points on curves (RFC 8422 section 5.1.2).
    pub const POINT_FORMATS: u16 = 11;
    /// Signature algorithms (RFC 8446 section 4.2.3).
    pub const SIGNATURE_ALGORITHMS: u16 = 13;
    /// Application protocols (RFC 7301 section 3.1).
    pub const APPLICATION_PROTOCOLS: u16 = 16;
    /// Versions (RFC 8446 section 4.2.1).
    pub const SUPPORTED_VERSIONS: u16 = 43;
    /// Public keys for the key exchange (RFC 8446 section 4.2.8).
    pub const KEY_SHARE: u16 = 51;
    /// Encrypted client hello (RFC 9849).
    pub const ENCRYPTED_CLIENT_HELLO: u16 = 0xfe0d;
}
