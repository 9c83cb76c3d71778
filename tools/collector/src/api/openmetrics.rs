//! `OpenMetrics` text (version 1.0.0) of the counters and of one snapshot.

use std::fmt::{self, Write as _};
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use prometheus_client::encoding::text;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use sentinel_units::Timestamp;
use sentinel_uplink::Counter;

use crate::metrics::Metrics;
use crate::model::{SensorState, SensorStatus};
use crate::service::MetricsSnapshot;

/// End of the text.
pub(super) const EOF: &str = "# EOF\n";

/// Text of `metrics` and of `snapshot` without its sensors, whose figures are those of the reading that began at `read_at`.
///
/// # Errors
/// Errors of formatting; a `String` has none.
pub(super) fn counters(
    metrics: &Metrics,
    snapshot: &MetricsSnapshot,
    read_at: Instant,
) -> Result<String, fmt::Error> {
    let mut body = String::with_capacity(16 * 1024);
    text::encode_registry(&mut body, &metrics.registry)?;
    text::encode_registry(&mut body, &store_registry(snapshot, read_at))?;
    Ok(body)
}

fn store_registry(snapshot: &MetricsSnapshot, read_at: Instant) -> Registry {
    let mut registry = Registry::with_prefix("sentinel_collector");
    let size = Gauge::<i64>::default();
    size.set(to_gauge(snapshot.store_bytes));
    registry.register("store_bytes", "Size of the database and its log on disk", size);
    let age = Gauge::<f64, AtomicU64>::default();
    age.set(read_at.elapsed().as_secs_f64());
    registry.register("store_age_seconds", "Age of the figures that are read from the store", age);
    let started = Gauge::<i64>::default();
    started.set(to_gauge(snapshot.started.as_secs()));
    registry.register("start_time_seconds", "When this process started, since 1970", started);
    registry
}

/// Text of the sensors that are not revoked. Written by hand: a registry takes some microseconds for each of the numbers, of
/// which there are forty for each sensor.
///
/// Gauges although they count: a sensor that restarts counts from zero.
pub(super) fn sensors(statuses: &[SensorStatus]) -> String {
    let shown: Vec<(String, &SensorStatus)> = statuses
        .iter()
        .filter(|status| status.state != SensorState::Revoked)
        .map(|status| (label_value(&status.sensor.name), status))
        .collect();
    let mut body = String::with_capacity(shown.len() * BYTES_OF_SENSOR);
    let mut add = |name: &str, help: &str, value: &dyn Fn(&SensorStatus) -> Option<u64>| {
        // Writing into a String cannot fail.
        let _ = write!(body, "# HELP sentinel_sensor_{name} {help}.\n# TYPE sentinel_sensor_{name} gauge\n");
        for (label, status) in &shown {
            if let Some(value) = value(status) {
                let _ = writeln!(body, "sentinel_sensor_{name}{{sensor=\"{label}\"}} {}", to_gauge(value));
            }
        }
    };
    for (name, help, value) in FIGURES {
        add(name, help, value);
    }
    for state in SensorState::ALL {
        if !matches!(state, SensorState::Revoked | SensorState::Seen) {
            let help = format!("1 while the state of the sensor is {}", state.name());
            add(&format!("is_{}", state.name()), &help, &|status| Some(u64::from(status.state == state)));
        }
    }
    for counter in Counter::ALL {
        let help = format!("Counter {} as the sensor last reported it", counter.name());
        add(&format!("telemetry_{}", counter.name()), &help, &|status| {
            status.sensor.telemetry.as_ref()?.value(counter)
        });
    }
    body
}

/// Bytes of most sensors, and some room.
const BYTES_OF_SENSOR: usize = 3 * 1024;

type Figure = (&'static str, &'static str, &'static (dyn Fn(&SensorStatus) -> Option<u64> + Sync));

/// Figures of the stored row and of the session: name, help, value.
const FIGURES: [Figure; 13] = [
    ("up", "1 while the sensor is connected", &|status| Some(u64::from(status.state.is_heard()))),
    ("last_seen_seconds", "When the sensor last sent anything, since 1970", &|status| {
        status.sensor.last_seen_at.map(Timestamp::as_secs)
    }),
    ("stored", "Alerts stored of the sensor", &|status| Some(status.sensor.stored)),
    ("duplicate", "Alerts received again", &|status| Some(status.sensor.duplicates)),
    ("lost", "Alerts that the sensor reported as discarded", &|status| Some(status.sensor.lost)),
    ("missing", "Sequence numbers neither stored nor reported as discarded", &|status| {
        Some(status.sensor.missing)
    }),
    (
        "seen_permille",
        "Share of the bytes of its interfaces that the sensor saw, in thousandths",
        &|status| status.sight?.seen_permille,
    ),
    (
        "clock_off_ms",
        "Difference of the clock of the sensor and of the collector, in milliseconds, without sign",
        &|status| {
            status.sight.filter(|sight| sight.is_telling).map(|sight| sight.clock_off_ms.unsigned_abs())
        },
    ),
    ("missing_since_restore", "Alerts missing since the store was restored from a backup", &|status| {
        status.sensor.missing_since_restore()
    }),
    ("stored_bytes", "Bytes of the sensor in the store, estimated", &|status| {
        Some(status.sensor.stored_bytes)
    }),
    ("limit_hits", "Limits that the sensor met", &|status| Some(status.sensor.limit_hits)),
    ("runs_unclean", "Runs of which it is not known whether there were later alerts", &|status| {
        Some(status.sensor.run_ends.unclean())
    }),
    ("key_copied", "1 if there are signs that two devices use the key of the sensor", &|status| {
        Some(u64::from(status.sensor.copy.is_some()))
    }),
];

/// `text` as the value of a label (`OpenMetrics` 1.0.0, `escaped-char`).
fn label_value(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn to_gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_end_its_label() {
        assert_eq!(label_value("a\"} 1\nb\\"), r#"a\"} 1\nb\\"#);
    }
}
