//! What segments and datagrams carry.

pub mod dhcp;
pub mod dns;
pub mod http;
pub mod tls;
