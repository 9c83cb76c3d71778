//! Counters of this process, declared once.
//!
//! Figures of one sensor (last seen, losses) are in the store and read from there for each answer.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use sentinel_alert::{Kind, Severity};

use crate::http::HttpMetrics;
use crate::model::{AlertTotals, Delivery, Limit, Receipt, RemovedCounts};

/// Kind and severity of alerts.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub struct AlertLabels {
    /// [`Kind::name`].
    pub kind: &'static str,
    /// [`Severity::name`].
    pub severity: &'static str,
}

/// Cause for which a connection was rejected. Peers receive a [`sentinel_uplink::RejectReason`], which says less.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum RejectionCause {
    /// Its first bytes are not those of the protocol.
    ForeignProtocol,
    /// The sensor's key is not enrolled.
    UnknownKey,
    /// An operator revoked the sensor.
    Revoked,
    /// The token does not exist, was used, or its secret is wrong.
    Token,
    /// The token has expired.
    ExpiredToken,
    /// A frame did not authenticate.
    Authentication,
    /// The handshake did not end in time.
    HandshakeTimeout,
    /// Too many connections.
    TooMany,
    /// Another version of the protocol.
    Version,
    /// A message that is malformed or not expected in its phase.
    Malformed,
    /// The requested name belongs to another sensor.
    NameTaken,
    /// The requested name is not allowed.
    NameNotAllowed,
    /// The key of the sensor was replaced, or copied.
    ReplacedKey,
    /// The peer asked for a key of this collector that was replaced too long ago.
    CollectorKey,
    /// Closed before it proved a key, to make room for a connection of another address.
    Crowded,
    /// The session met a limit of its sensor, which [`Metrics::limits`] names.
    Limit,
}

impl RejectionCause {
    /// Name in metrics and in the log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ForeignProtocol => "foreign_protocol",
            Self::UnknownKey => "unknown_key",
            Self::Revoked => "revoked",
            Self::Token => "token",
            Self::ExpiredToken => "expired_token",
            Self::Authentication => "authentication",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::TooMany => "too_many",
            Self::Version => "version",
            Self::Malformed => "malformed",
            Self::NameTaken => "name_taken",
            Self::NameNotAllowed => "name_not_allowed",
            Self::ReplacedKey => "replaced_key",
            Self::CollectorKey => "collector_key",
            Self::Crowded => "crowded",
            Self::Limit => "limit",
        }
    }

    /// Every cause: each has a series from the start, with zero.
    pub const ALL: [Self; 16] = [
        Self::ForeignProtocol,
        Self::UnknownKey,
        Self::Revoked,
        Self::Token,
        Self::ExpiredToken,
        Self::Authentication,
        Self::HandshakeTimeout,
        Self::TooMany,
        Self::Version,
        Self::Malformed,
        Self::NameTaken,
        Self::NameNotAllowed,
        Self::ReplacedKey,
        Self::CollectorKey,
        Self::Crowded,
        Self::Limit,
    ];
}

impl EncodeLabelValue for RejectionCause {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        self.name().encode(encoder)
    }
}

/// Label of [`Metrics::rejected`].
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub struct RejectionLabels {
    /// The cause.
    pub reason: RejectionCause,
}

/// Label of [`Metrics::limits`].
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub struct LimitLabels {
    /// [`Limit::name`].
    pub limit: &'static str,
}

/// Label of [`Metrics::removed`].
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub struct RemovedLabels {
    /// `age`, `size` or `disk`.
    pub reason: &'static str,
    /// `alerts` or `incidents`.
    pub what: &'static str,
}

/// Every counter of the collector.
#[derive(Debug)]
pub struct Metrics {
    /// Registry from which the counters are exported.
    pub registry: Registry,
    /// Sessions with a sensor that are established now.
    pub sensors_connected: Gauge,
    /// Connections open now, including those in the handshake.
    pub connections: Gauge,
    /// Connections accepted since the start.
    pub connections_accepted: Counter,
    /// Connections rejected, by cause.
    pub rejected: Family<RejectionLabels, Counter>,
    /// Limits of sensors that were met, by limit.
    pub limits: Family<LimitLabels, Counter>,
    /// Alerts stored, including those of earlier starts.
    pub alerts_stored: Family<AlertLabels, Counter>,
    /// Alerts received again and not stored again.
    pub duplicates: Counter,
    /// Alerts that sensors reported as discarded.
    pub lost: Counter,
    /// Runs of sensors that ended so that alerts may be lost.
    pub unclean_runs: Counter,
    /// Alerts of kinds that this version cannot read; they are stored as they came.
    pub unreadable: Counter,
    /// Time from the arrival of a batch to its commit.
    pub ingest_seconds: Histogram,
    /// Duration of one commit.
    pub commit_seconds: Histogram,
    /// Commits that failed, each try.
    pub store_errors: Counter,
    /// Heads of logs of sensors that contradicted the one before: a log was rolled back, wiped or rewritten.
    pub log_heads_contradicted: Counter,
    /// Signs that two devices use the key of one sensor.
    pub copied_keys: Counter,
    /// 1 while commits fail.
    pub store_failing: Gauge,
    /// 1 while they fail because the disk is full.
    pub disk_full: Gauge,
    /// Error of the latest failed commit.
    store_failure: Mutex<Option<Arc<str>>>,
    /// Stored alerts that are not yet part of an incident.
    pub index_behind: Gauge,
    /// Alerts and incidents that were deleted to keep a limit, by limit, since the store was made.
    pub removed: Family<RemovedLabels, Gauge>,
    /// HTTP server.
    pub http: Arc<HttpMetrics>,
}

impl Metrics {
    /// Every counter at zero, except the stored alerts, which continue at `totals`.
    #[must_use]
    pub fn new(totals: &AlertTotals) -> Self {
        let buckets = || exponential_buckets(0.000_25, 2.0, 16); // 250 us to 8 s
        let metrics = Self {
            registry: Registry::with_prefix("sentinel_collector"),
            sensors_connected: Gauge::default(),
            connections: Gauge::default(),
            connections_accepted: Counter::default(),
            rejected: Family::default(),
            limits: Family::default(),
            alerts_stored: Family::default(),
            duplicates: Counter::default(),
            lost: Counter::default(),
            unclean_runs: Counter::default(),
            unreadable: Counter::default(),
            store_failing: Gauge::default(),
            disk_full: Gauge::default(),
            store_failure: Mutex::default(),
            ingest_seconds: Histogram::new(buckets()),
            commit_seconds: Histogram::new(buckets()),
            store_errors: Counter::default(),
            index_behind: Gauge::default(),
            removed: Family::default(),
            http: Arc::default(),
            log_heads_contradicted: Counter::default(),
            copied_keys: Counter::default(),
        };
        for reason in RejectionCause::ALL {
            drop(metrics.rejected.get_or_create(&RejectionLabels { reason })); // creates the series, with zero
        }
        metrics.set_removed(&RemovedCounts::default()); // creates the series, with zero
        for limit in Limit::ALL {
            metrics.count_limit(limit, 0);
        }
        for (kind, severity, stored) in totals.iter() {
            metrics.alerts_of(kind, severity).inc_by(stored);
        }
        metrics.registered()
    }

    fn registered(mut self) -> Self {
        let to = &mut self.registry;
        to.register("sensors_connected", "Sensors connected now", self.sensors_connected.clone());
        to.register("connections", "Connections open now", self.connections.clone());
        to.register("connections_accepted", "Connections accepted", self.connections_accepted.clone());
        to.register("connections_rejected", "Connections rejected, by reason", self.rejected.clone());
        to.register("limits", "Limits of sensors that were met, by limit", self.limits.clone());
        to.register("alerts_stored", "Alerts stored, by kind and severity", self.alerts_stored.clone());
        to.register(
            "alerts_duplicate",
            "Alerts received again and not stored again",
            self.duplicates.clone(),
        );
        to.register("alerts_lost", "Alerts that sensors reported as discarded", self.lost.clone());
        to.register(
            "runs_unclean",
            "Ends of runs received after which alerts may be lost",
            self.unclean_runs.clone(),
        );
        to.register("alerts_unreadable", "Alerts of kinds unknown to this version", self.unreadable.clone());
        to.register("store_failing", "1 while nothing can be stored", self.store_failing.clone());
        to.register(
            "disk_full",
            "1 while nothing can be stored because the disk is full",
            self.disk_full.clone(),
        );
        let seconds = || Unit::Seconds;
        to.register_with_unit(
            "ingest",
            "Time from the arrival of a batch to its commit",
            seconds(),
            self.ingest_seconds.clone(),
        );
        to.register_with_unit("commit", "Duration of one commit", seconds(), self.commit_seconds.clone());
        to.register(
            "log_heads_contradicted",
            "Times that the sealed log of a sensor was rolled back or rewritten",
            self.log_heads_contradicted.clone(),
        );
        to.register(
            "copied_key_signs",
            "Signs that two devices use the key of one sensor",
            self.copied_keys.clone(),
        );
        to.register(
            "index_behind",
            "Stored alerts that are not yet part of an incident",
            self.index_behind.clone(),
        );
        to.register(
            "removed",
            "Alerts and incidents deleted to keep a limit since the store was made, by limit",
            self.removed.clone(),
        );
        to.register("store_errors", "Failed commits, each attempt", self.store_errors.clone());
        self.http.register(to);
        self
    }

    /// Counts one rejected connection.
    pub fn count_rejection(&self, reason: RejectionCause) {
        self.rejected.get_or_create(&RejectionLabels { reason }).inc();
    }

    /// Counts that a sensor met `limit`, `times` times.
    pub fn count_limit(&self, limit: Limit, times: u64) {
        self.limits.get_or_create(&LimitLabels { limit: limit.name() }).inc_by(times);
    }

    /// Counts the alerts of a stored delivery.
    pub fn count_receipt(&self, delivery: &Delivery, receipt: &Receipt) {
        for (_, index) in &receipt.inserted {
            if let Some((_, alert)) = delivery.alerts.get(*index) {
                self.alerts_of(alert.test.kind(), alert.severity).inc();
            }
        }
        self.duplicates.inc_by(receipt.duplicates);
        self.lost.inc_by(receipt.lost);
        self.unclean_runs.inc_by(receipt.unclean);
        self.unreadable.inc_by(u64::try_from(delivery.unreadable.len()).unwrap_or_default());
    }

    /// Shows what the store says was deleted.
    pub fn set_removed(&self, counts: &RemovedCounts) {
        for (reason, removed) in [("age", counts.by_age), ("size", counts.by_size), ("disk", counts.by_disk)]
        {
            for (what, number) in [("alerts", removed.alerts), ("incidents", removed.incidents)] {
                let series = self.removed.get_or_create(&RemovedLabels { reason, what });
                series.set(i64::try_from(number).unwrap_or(i64::MAX));
            }
        }
    }

    /// Notes that a commit failed, and why.
    pub fn set_store_failure(&self, error: String, is_disk_full: bool) {
        self.store_errors.inc();
        self.store_failing.set(1);
        self.disk_full.set(i64::from(is_disk_full));
        *self.store_failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.into());
    }

    /// Notes that a commit succeeded.
    pub fn clear_store_failure(&self) {
        self.store_failing.set(0);
        self.disk_full.set(0);
    }

    /// Reason why nothing is stored, with what that means; none if the latest commit succeeded.
    #[must_use]
    pub fn store_failure(&self) -> Option<String> {
        const MEANS: &str = "nothing is acknowledged, and sensors keep their alerts";
        if !self.is_store_failing() {
            return None;
        }
        if self.disk_full.get() != 0 {
            return Some(format!("the disk is full: {MEANS}; make room, or lower --keep-size"));
        }
        let error = self.store_failure.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Some(format!(
            "cannot be written: {}; {MEANS}",
            error.as_deref().unwrap_or("the latest commit failed")
        ))
    }

    /// Returns true if the latest commit failed.
    #[must_use]
    pub fn is_store_failing(&self) -> bool {
        self.store_failing.get() != 0
    }

    /// Records the time from the arrival of a batch to its commit.
    pub fn observe_ingest(&self, took: Duration) {
        self.ingest_seconds.observe(took.as_secs_f64());
    }

    fn alerts_of(&self, kind: Kind, severity: Severity) -> Counter {
        let labels = AlertLabels { kind: kind.name(), severity: severity.name() };
        self.alerts_stored.get_or_create(&labels).clone()
    }
}
