//! Limits of HTTP clients, and their names.

use std::fmt;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelValue, LabelValueEncoder};

/// Limits of HTTP clients. An address is an IPv4 address or the first 64 bits of an IPv6 address.
#[derive(Clone, Copy, Debug)]
pub struct HttpLimits {
    /// Connections open at the same time.
    pub connections: usize,
    /// Of these, connections of one address.
    pub connections_per_address: usize,
    /// Event streams open at the same time. Fewer than half of `connections`, so that streams, which last, leave room for
    /// requests.
    pub streams: usize,
    /// Of these, event streams of one address.
    pub streams_per_address: usize,
    /// Searches of one address that run or wait.
    pub searches_per_address: usize,
    /// Time for the complete header of a request, from the connect or the answer before: also the time for which a
    /// connection may be idle.
    pub header_timeout: Duration,
    /// Time from the header of a request to the last byte of its answer; event streams have none.
    pub request_timeout: Duration,
    /// Time for which a client may take no byte of what is sent to it.
    pub write_timeout: Duration,
    /// Maximum length of a header in bytes; at least 8 KiB.
    pub header_bytes: usize,
}

/// Connections open at the same time if the limit of open files allows it.
pub const MAX_CONNECTIONS: usize = 256;

impl HttpLimits {
    /// Limits for `connections` connections in all.
    ///
    /// A quarter of them for one address: browsers open up to six connections, and four addresses have to work together to
    /// take all. Times are those of a slow link: 10 s suffice for 16 KiB at 13 kbit/s.
    #[must_use]
    pub fn new(connections: usize) -> Self {
        let connections = connections.max(4);
        Self {
            connections,
            connections_per_address: (connections / 4).max(2),
            streams: (connections / 4).max(1),
            streams_per_address: (connections / 16).max(1),
            searches_per_address: 8,
            header_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(15),
            header_bytes: 16 * 1024,
        }
    }
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self::new(MAX_CONNECTIONS)
    }
}

/// A limit that took effect on a client.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum HttpLimit {
    /// All connections are in use.
    Connections,
    /// All connections of the address are in use.
    ConnectionsPerAddress,
    /// The connection was idle and had to make room for another one.
    Idle,
    /// The header of a request did not arrive in time.
    HeaderTimeout,
    /// No request arrived in time after the answer to the one before.
    IdleTimeout,
    /// The answer did not leave in time.
    RequestTimeout,
    /// The client took no byte for too long.
    SlowReader,
    /// The request has a body; the interface only reads.
    Body,
    /// All event streams are in use.
    Streams,
    /// All event streams of the address are in use.
    StreamsPerAddress,
    /// Too many queries wait, searches as a rule.
    Searches,
    /// Too many searches of the address run or wait.
    SearchesPerAddress,
    /// A query did not end before its deadline.
    QueryDeadline,
    /// An answer that was kept for its `Idempotency-Key` went before its time.
    IdempotencyKeys,
}

impl HttpLimit {
    /// Every limit: each has a series from the start, with zero.
    pub const ALL: [Self; 14] = [
        Self::Connections,
        Self::ConnectionsPerAddress,
        Self::Idle,
        Self::HeaderTimeout,
        Self::IdleTimeout,
        Self::RequestTimeout,
        Self::SlowReader,
        Self::Body,
        Self::Streams,
        Self::StreamsPerAddress,
        Self::Searches,
        Self::SearchesPerAddress,
        Self::QueryDeadline,
        Self::IdempotencyKeys,
    ];

    /// Name in metrics, answers and the log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::ConnectionsPerAddress => "connections_per_address",
            Self::Idle => "idle_replaced",
            Self::HeaderTimeout => "header_timeout",
            Self::IdleTimeout => "idle_timeout",
            Self::RequestTimeout => "request_timeout",
            Self::SlowReader => "slow_reader",
            Self::Body => "body",
            Self::Streams => "event_streams",
            Self::StreamsPerAddress => "event_streams_per_address",
            Self::Searches => "searches",
            Self::SearchesPerAddress => "searches_per_address",
            Self::QueryDeadline => "query_deadline",
            Self::IdempotencyKeys => "idempotency_keys",
        }
    }
}

impl fmt::Display for HttpLimit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Connections => "all HTTP connections are in use",
            Self::ConnectionsPerAddress => "all HTTP connections of one address are in use",
            Self::Idle => "an idle connection was closed to make room for another one",
            Self::HeaderTimeout => "the header of a request did not arrive in time",
            Self::IdleTimeout => "a connection was idle for too long",
            Self::RequestTimeout => "an answer did not leave in time",
            Self::SlowReader => "a client took no byte of its answer for too long",
            Self::Body => "a request has a body, and this interface only reads",
            Self::Streams => "all event streams are in use",
            Self::StreamsPerAddress => "all event streams of one address are in use",
            Self::Searches => "too many queries wait",
            Self::SearchesPerAddress => "too many searches of one address run or wait",
            Self::QueryDeadline => "a query did not end before its deadline",
            Self::IdempotencyKeys => "an answer kept for its Idempotency-Key went before its time",
        })
    }
}

impl EncodeLabelValue for HttpLimit {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        self.name().encode(encoder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_leave_room_for_requests_whatever_the_number_of_connections() {
        for connections in [0, 4, 16, 64, 256, 10_000] {
            let limits = HttpLimits::new(connections);
            assert!(limits.streams * 2 <= limits.connections, "{limits:?}");
            assert!(limits.streams_per_address < limits.connections_per_address, "{limits:?}");
            assert!(limits.streams_per_address <= limits.streams, "{limits:?}");
        }
    }
}
