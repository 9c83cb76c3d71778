//! `OpenMetrics` text (version 1.0.0) of the counters and of one snapshot.

use std::fmt;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use sentinel_units::Timestamp;
use sentinel_uplink::Counter;

use crate::metrics::Metrics;
use crate::model::{SensorState, SensorStatus};
use crate::service::MetricsSnapshot;

/// Text of `metrics` and `snapshot`.
///
/// # Errors
/// Errors of formatting; a `String` has none.
pub(super) fn encode(metrics: &Metrics, snapshot: &MetricsSnapshot) -> Result<String, fmt::Error> {
    let mut body = String::with_capacity(16 * 1024);
    text::encode_registry(&mut body, &metrics.registry)?;
    text::encode_registry(&mut body, &store_registry(snapshot))?;
    text::encode_registry(&mut body, &sensor_registry(&snapshot.sensors))?;
    text::encode_eof(&mut body)?;
    Ok(body)
}

fn store_registry(snapshot: &MetricsSnapshot) -> Registry {
    let mut registry = Registry::with_prefix("sentinel_collector");
    let size = Gauge::<i64>::default();
    size.set(to_gauge(snapshot.store_bytes));
    registry.register("store_bytes", "Size of the database and its log on disk", size);
    let age = Gauge::<f64, AtomicU64>::default();
    age.set(snapshot.age.as_secs_f64());
    registry.register("store_age_seconds", "Age of the figures that are read from the store", age);
    let started = Gauge::<i64>::default();
    started.set(to_gauge(snapshot.started.as_secs()));
    registry.register("start_time_seconds", "When this process started, since 1970", started);
    registry
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct SensorLabels {
    sensor: String,
}

/// Gauges although they count: a sensor that restarts counts from zero.
type PerSensor = Family<SensorLabels, Gauge>;

fn sensor_registry(statuses: &[SensorStatus]) -> Registry {
    let mut registry = Registry::with_prefix("sentinel_sensor");
    let mut add = |name: &str, help: &str, value: &dyn Fn(&SensorStatus) -> Option<u64>| {
        let family = PerSensor::default();
        for status in statuses.iter().filter(|status| status.state != SensorState::Revoked) {
            if let Some(value) = value(status) {
                let labels = SensorLabels { sensor: status.sensor.name.clone() };
                family.get_or_create(&labels).set(to_gauge(value));
            }
        }
        registry.register(name, help, family);
    };
    add("up", "1 while the sensor is connected", &|status| {
        Some(u64::from(status.state == SensorState::Connected))
    });
    add("last_seen_seconds", "When the sensor last sent anything, since 1970", &|status| {
        status.sensor.last_seen_at.map(Timestamp::as_secs)
    });
    add("stored", "Alerts stored of the sensor", &|status| Some(status.sensor.stored));
    add("duplicate", "Alerts received again", &|status| Some(status.sensor.duplicates));
    add("lost", "Alerts that the sensor reported as discarded", &|status| Some(status.sensor.lost));
    add("missing", "Sequence numbers neither stored nor reported as discarded", &|status| {
        Some(status.sensor.missing)
    });
    add("stored_bytes", "Bytes of the sensor in the store, estimated", &|status| {
        Some(status.sensor.stored_bytes)
    });
    add("limit_hits", "Limits that the sensor met", &|status| Some(status.sensor.limit_hits));
    add("runs_unclean", "Runs of which it is not known whether there were later alerts", &|status| {
        Some(status.sensor.run_ends.unclean())
    });
    add("key_copied", "1 if there are signs that two devices use the key of the sensor", &|status| {
        Some(u64::from(status.sensor.copy.is_some()))
    });
    for counter in Counter::ALL {
        let help = format!("Counter {} as the sensor last reported it", counter.name());
        add(&format!("telemetry_{}", counter.name()), &help, &|status| {
            status.sensor.telemetry.as_ref()?.value(counter)
        });
    }
    registry
}

fn to_gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
