//! Payloads of segments and datagrams.

pub mod dhcp;
pub mod dns;
pub mod http;
pub mod tls;
