//! Keys of the collector, as far as they are public.

use std::time::Duration;

use sentinel_units::Timestamp;
use sentinel_uplink::PublicKey;

use super::SensorId;

/// Times of one key of the collector.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CollectorKeyTimes {
    /// The key.
    pub key: PublicKey,
    /// Time from which sensors are told of it; none for the first key of the collector.
    pub announced_at: Option<Timestamp>,
    /// It is in force from then on even if sensors have not confirmed it.
    pub switch_at: Option<Timestamp>,
    /// Time for which sensors that have only the key before it are served.
    pub keep: Duration,
    /// Time at which it replaced the key before it.
    pub in_force_at: Option<Timestamp>,
    /// Replaced: sensors that have only this key are served until then.
    pub served_until: Option<Timestamp>,
}

/// Steps to be taken about keys.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct KeyPlan {
    /// Keys with their times; the first key of the collector is missing until it is replaced.
    pub keys: Vec<CollectorKeyTimes>,
    /// Sensors that are to replace their keys, and when the operator asked for it.
    pub requested: Vec<(SensorId, Timestamp)>,
    /// Sensors that have not confirmed the key that is announced.
    pub waiting: u64,
}

/// A sensor that has not confirmed the next key of the collector.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Unconfirmed {
    /// Its name.
    pub name: String,
    /// Time of its last sign.
    pub last_seen_at: Option<Timestamp>,
}
