//! Sensors, their telemetry, and the one-time tokens that enroll them.

use std::net::SocketAddr;
use std::time::Instant;

use sentinel_alert::AlertId;
use sentinel_units::Timestamp;
use sentinel_uplink::{Counter, PublicKey, Secret, Telemetry, TokenId};

use super::{Acknowledgement, CopiedKey, KeyRole, LogHeadState, RunEnds};

/// Row number of a sensor; never given to another sensor.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SensorId(pub i64);

/// An enrolled sensor and its counters.
#[derive(Clone, Debug)]
pub struct Sensor {
    /// Row number.
    pub id: SensorId,
    /// Static public key (X25519), by which the sensor is identified.
    pub public_key: PublicKey,
    /// Unique name, 1 to 64 characters.
    pub name: String,
    /// Time at which its token was used.
    pub enrolled_at: Timestamp,
    /// Time at which an operator revoked it.
    pub revoked_at: Option<Timestamp>,
    /// Time of the last message or disconnect.
    pub last_seen_at: Option<Timestamp>,
    /// Alerts stored.
    pub stored: u64,
    /// Alerts received again and not stored again.
    pub duplicates: u64,
    /// Alerts that the sensor reported as discarded.
    pub lost: u64,
    /// Sequence numbers neither stored nor reported as discarded.
    pub missing: u64,
    /// Of `lost` and `missing`, those that the operator has taken note of.
    pub noted_lost: u64,
    /// See [`Self::noted_lost`].
    pub noted_missing: u64,
    /// `missing` as it was in the backup that the store was restored from; none if it was not.
    pub missing_at_restore: Option<u64>,
    /// Ends of its runs.
    pub run_ends: RunEnds,
    /// Bytes that its rows take in the store, estimated.
    pub stored_bytes: u64,
    /// Number of times that it met one of its limits.
    pub limit_hits: u64,
    /// Name of the limit that it met last, see [`super::Limit::name`].
    pub last_limit: Option<String>,
    /// Cumulative acknowledgement: the last alert, in the order of sending, up to which everything is stored.
    pub acked: Option<AlertId>,
    /// Latest head of its sealed log, and contradictions.
    pub log_head: Option<LogHeadState>,
    /// Key that is to replace its key.
    pub next_key: Option<PublicKey>,
    /// Time of the first session with its key; none for the key of its enrollment.
    pub key_since: Option<Timestamp>,
    /// The operator wants it to replace its key.
    pub is_replacement_requested: bool,
    /// Key of the collector that it has stored, as far as it told.
    pub pinned_key: Option<PublicKey>,
    /// Signs that two devices use its key.
    pub copy: Option<CopiedKey>,
    /// Run of its latest hello.
    pub current_boot: Option<u32>,
    /// Unclean runs that the operator has taken note of.
    pub acknowledged: Option<Acknowledgement>,
    /// Properties it reported at its last connect.
    pub info: SensorInfo,
    /// Latest telemetry.
    pub telemetry: Option<TelemetryReading>,
}

impl Sensor {
    /// Numbers that turned out to be missing since the store was restored from a backup; none if it was not.
    #[must_use]
    pub fn missing_since_restore(&self) -> Option<u64> {
        Some(self.missing.saturating_sub(self.missing_at_restore?))
    }

    /// Role of a key by which the sensor was found.
    #[must_use]
    pub fn role_of(&self, key: PublicKey) -> KeyRole {
        if key == self.public_key {
            KeyRole::Current
        } else if Some(key) == self.next_key {
            KeyRole::Next
        } else {
            KeyRole::Replaced
        }
    }
}

/// Properties that a sensor reports of itself when it connects. Printable ASCII.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SensorInfo {
    /// Version of its program.
    pub software: String,
    /// Host name.
    pub host: String,
    /// Interfaces it captures on.
    pub interfaces: String,
}

/// One reading of a sensor's counters.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TelemetryReading {
    /// Time of arrival.
    pub received_at: Timestamp,
    counters: Vec<(Counter, u64)>,
}

impl TelemetryReading {
    /// A reading of `counters`. A reading stored by an older version lacks the counters added since.
    pub fn new(received_at: Timestamp, counters: impl IntoIterator<Item = (Counter, u64)>) -> Self {
        Self { received_at, counters: counters.into_iter().collect() }
    }

    /// A reading of every counter.
    #[must_use]
    pub fn received(received_at: Timestamp, telemetry: &Telemetry) -> Self {
        Self::new(received_at, telemetry.iter())
    }

    /// Value of one counter; none if the reading lacks it.
    #[must_use]
    pub fn value(&self, counter: Counter) -> Option<u64> {
        self.iter().find(|(known, _)| *known == counter).map(|(_, value)| value)
    }

    /// Each counter of the reading with its value.
    pub fn iter(&self) -> impl Iterator<Item = (Counter, u64)> + '_ {
        self.counters.iter().copied()
    }
}

/// A one-time enrollment token as the store keeps it.
#[derive(Clone, Debug)]
pub struct StoredToken {
    /// Number by which a connection names the token.
    pub id: TokenId,
    /// Secret that both sides mix into the handshake.
    pub secret: Secret,
    /// Name that the sensor will have; empty if the sensor may choose.
    pub name: String,
    /// End of validity.
    pub expires_at: Timestamp,
    /// Time at which it enrolled a sensor.
    pub used_at: Option<Timestamp>,
}

/// A request to enroll, made by a peer that proved to hold the token and the key.
#[derive(Clone, Debug)]
pub struct Enrollment {
    /// The token.
    pub token: TokenId,
    /// The sensor's static public key.
    pub public_key: PublicKey,
    /// Requested name; empty if the collector may choose.
    pub name: String,
    /// Time of the request.
    pub at: Timestamp,
}

/// An established session with a sensor.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SessionInfo {
    /// Remote address.
    pub peer: SocketAddr,
    /// Time at which the session was established.
    pub since: Timestamp,
    /// [`Self::since`] on the clock of spans.
    pub begun: Instant,
    /// Frames per second that the sensor saw between its last two telemetry messages.
    pub frames_per_s: Option<u64>,
    /// Nothing has come for [`Limits::silence`](sentinel_uplink::Limits::silence): the sensor hangs, or the network is cut.
    pub is_silent: bool,
}
