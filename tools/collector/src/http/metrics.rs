//! Counters of the HTTP server.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::HttpLimit;
use crate::log::Log;

/// Time between two log lines about one limit.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Label of [`HttpMetrics::limited`].
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub struct HttpLimitLabels {
    /// The limit.
    pub limit: HttpLimit,
}

/// Counters of the HTTP server.
#[derive(Debug)]
pub struct HttpMetrics {
    /// Connections open now.
    pub connections: Gauge,
    /// Connections accepted since the start.
    pub accepted: Counter,
    /// Event streams open now.
    pub streams: Gauge,
    /// Failures to accept a connection, such as a lack of descriptors.
    pub accept_errors: Counter,
    /// Limits that took effect, by name.
    pub limited: Family<HttpLimitLabels, Counter>,
    /// Time of the last log line about each limit: at most one line a minute and limit.
    logged: Mutex<HashMap<HttpLimit, Instant>>,
}

impl Default for HttpMetrics {
    fn default() -> Self {
        let metrics = Self {
            connections: Gauge::default(),
            accepted: Counter::default(),
            streams: Gauge::default(),
            accept_errors: Counter::default(),
            limited: Family::default(),
            logged: Mutex::default(),
        };
        for limit in HttpLimit::ALL {
            drop(metrics.limited.get_or_create(&HttpLimitLabels { limit })); // creates the series, with zero
        }
        metrics
    }
}

impl HttpMetrics {
    /// Adds the counters to `registry`.
    pub fn register(&self, registry: &mut Registry) {
        let to = registry;
        to.register("http_connections", "HTTP connections open now", self.connections.clone());
        to.register("http_connections_accepted", "HTTP connections accepted", self.accepted.clone());
        to.register("http_event_streams", "Event streams open now", self.streams.clone());
        to.register(
            "http_accept_errors",
            "Failures to accept an HTTP connection",
            self.accept_errors.clone(),
        );
        to.register("http_limited", "Limits of HTTP clients that took effect", self.limited.clone());
    }

    /// Counts that `limit` took effect on a client.
    pub fn count(&self, limit: HttpLimit) {
        self.limited.get_or_create(&HttpLimitLabels { limit }).inc();
    }

    /// Times that `limit` took effect.
    #[must_use]
    pub fn limited(&self, limit: HttpLimit) -> u64 {
        self.limited.get_or_create(&HttpLimitLabels { limit }).get()
    }

    /// The limits that took effect since the start, each with the number of times.
    pub fn effective(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let all = HttpLimit::ALL.into_iter().map(|limit| (limit.name(), self.limited(limit)));
        all.filter(|(_, count)| *count > 0)
    }

    /// [`HttpMetrics::count`], and a line in the log at most once a minute and limit.
    pub(super) fn count_and_log(&self, limit: HttpLimit, client: IpAddr, log: &Log) {
        self.count(limit);
        if limit == HttpLimit::IdleTimeout {
            return; // how connections of browsers usually end
        }
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if logged.get(&limit).is_some_and(|at| now.duration_since(*at) < LOG_INTERVAL) {
            return;
        }
        logged.insert(limit, now);
        drop(logged); // a slow disk must not delay other connections
        let (name, count) = (limit.name(), self.limited(limit));
        log.warn(format_args!(
            "HTTP client {client}: {limit} ({name}, {count} so far); logged once a minute, counted in http_limited"
        ));
    }
}
