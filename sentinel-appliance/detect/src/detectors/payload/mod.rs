//! Detectors of payloads: credentials in clear text, poor TLS and requests of programs at the beginning of connections, data in echo messages.

pub(crate) mod anomaly;
pub(crate) mod bot;
pub(crate) mod credentials;
pub(crate) mod icmp_tunnel;
pub(crate) mod server_name;
mod servers;
pub(crate) mod tls;
pub(crate) mod watch;

#[cfg(test)]
pub(crate) mod tests;
#[cfg(test)]
mod tls_tests;
