//! `GET /metrics`: the counters as `OpenMetrics` text, and for each sensor its loss ledger.

use std::fmt;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use sentinel_uplink::Counter;

use crate::api::{App, Problem};
use crate::store::{Sensor, sensors};

const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(in crate::api) async fn show(State(app): State<App>) -> Result<impl IntoResponse, Problem> {
    let all = app.readers.read(sensors::all).await?;
    let body = encode(&app, &all).map_err(|fmt::Error| Problem::internal("the metrics cannot be written"))?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], body))
}

fn encode(app: &App, all: &[Sensor]) -> Result<String, fmt::Error> {
    let mut body = String::with_capacity(16 * 1024);
    text::encode_registry(&mut body, &app.metrics.registry)?;
    text::encode_registry(&mut body, &store_registry(app))?;
    text::encode_registry(&mut body, &sensor_registry(app, all))?;
    text::encode_eof(&mut body)?;
    Ok(body)
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct SensorLabels {
    sensor: String,
}

/// Readings, made for one answer: they are gauges, because a sensor that restarts counts from zero.
type PerSensor = Family<SensorLabels, Gauge>;

fn store_registry(app: &App) -> Registry {
    let mut registry = Registry::with_prefix("sentinel_collector");
    let size = Gauge::<i64>::default();
    size.set(to_gauge(app.readers.files().size_bytes()));
    registry.register("store_bytes", "Size of the database and its log on disk", size);
    let started = Gauge::<i64>::default();
    started.set(to_gauge(app.started.as_secs()));
    registry.register("start_time_seconds", "When this process started, since 1970", started);
    registry
}

fn sensor_registry(app: &App, all: &[Sensor]) -> Registry {
    let mut registry = Registry::with_prefix("sentinel_sensor");
    let enrolled: Vec<&Sensor> = all.iter().filter(|sensor| sensor.revoked_at.is_none()).collect();
    let mut add = |name: &str, help: &str, value: &dyn Fn(&Sensor) -> Option<u64>| {
        let family = PerSensor::default();
        for sensor in &enrolled {
            if let Some(value) = value(sensor) {
                family.get_or_create(&SensorLabels { sensor: sensor.name.clone() }).set(to_gauge(value));
            }
        }
        registry.register(name, help, family);
    };
    add("up", "1 while the sensor is connected", &|sensor| {
        Some(u64::from(app.sessions.find(sensor.id).is_some()))
    });
    add("last_seen_seconds", "When the sensor last said anything, since 1970", &|sensor| {
        sensor.last_seen_at.map(sentinel_units::Timestamp::as_secs)
    });
    add("stored", "Alerts kept of the sensor", &|sensor| Some(sensor.stored));
    add("duplicate", "Alerts that came again", &|sensor| Some(sensor.duplicates));
    add("lost", "Alerts that the sensor says it threw away", &|sensor| Some(sensor.lost));
    add("missing", "Alert numbers neither stored nor accounted for", &|sensor| Some(sensor.missing));
    let telemetry: Vec<(i64, serde_json::Value)> = enrolled
        .iter()
        .filter_map(|sensor| Some((sensor.id.0, serde_json::from_str(sensor.telemetry.as_deref()?).ok()?)))
        .collect();
    for counter in Counter::ALL {
        let help = format!("Counter {} as the sensor last told it", counter.name());
        add(&format!("telemetry_{}", counter.name()), &help, &|sensor| {
            let (_, values) = telemetry.iter().find(|(id, _)| *id == sensor.id.0)?;
            values.get(counter.name())?.as_u64()
        });
    }
    registry
}

fn to_gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
