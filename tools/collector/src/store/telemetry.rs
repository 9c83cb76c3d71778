//! Column `telemetry`: the latest reading of a sensor as a JSON object, counter name to value.
//!
//! A storage format, not an interface: a column holds a reading of any version, so that a counter added to the
//! protocol needs no migration.

use sentinel_units::Timestamp;
use sentinel_uplink::{Counter, Telemetry};
use serde_json::{Map, Value};

use crate::model::TelemetryReading;

/// The value of the column, names in alphabetical order.
pub(super) fn encode(telemetry: &Telemetry) -> String {
    // Sorted by name: this map is a B-tree as long as no package turns on `preserve_order` of serde_json.
    let object: Map<String, Value> =
        telemetry.iter().map(|(counter, value)| (counter.name().into(), value.into())).collect();
    Value::Object(object).to_string()
}

/// The reading in the column. Counters that this version does not know are left out.
///
/// # Errors
/// Text that is not a JSON object.
pub(super) fn decode(text: &str, received_at: Timestamp) -> serde_json::Result<TelemetryReading> {
    let object: Map<String, Value> = serde_json::from_str(text)?;
    let value = |counter: Counter| Some((counter, object.get(counter.name())?.as_u64()?));
    Ok(TelemetryReading::new(received_at, Counter::ALL.into_iter().filter_map(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As it is written now.
    const STORED: &str = "{\"alerts_delivered\":0,\"alerts_evicted\":0,\"alerts_raised\":0,\"canaries_missed\":0,\"clock_ms\":0,\
        \"flow_offload\":0,\"frames_analysed\":0,\"frames_dropped\":4,\"frames_filtered\":0,\"frames_seen\":500,\
        \"hidden_bytes\":0,\"interface_bytes\":0,\"log_bytes_written\":0,\"malformed\":0,\"open_incidents\":0,\
        \"reconnects\":0,\"resident_kib\":0,\"ring_freezes\":0,\"run_delivered\":0,\"settings_set_aside\":0,\
        \"spool_bytes\":0,\"table_evictions\":0,\"truncated\":0,\"uptime_ms\":3000,\"worst_interface\":0,\
        \"worst_interface_percent\":0}";

    fn reading() -> Telemetry {
        let mut telemetry = Telemetry::new();
        telemetry.set(Counter::UptimeMs, 3_000);
        telemetry.set(Counter::FramesSeen, 500);
        telemetry.set(Counter::FramesDropped, 4);
        telemetry
    }

    #[test]
    fn the_column_keeps_its_bytes() {
        assert_eq!(encode(&reading()), STORED);
    }

    #[test]
    fn a_reading_comes_back_as_it_was() {
        let at = Timestamp::from_parts(7, 0);
        let decoded = decode(STORED, at).unwrap();
        assert_eq!(decoded, TelemetryReading::received(at, &reading()));
        assert_eq!((decoded.value(Counter::FramesSeen), decoded.received_at), (Some(500), at));
    }

    /// Files of users hold readings without the counters that came later.
    #[test]
    fn a_reading_of_the_first_version_has_no_later_counters() {
        let first = STORED.replace("\"canaries_missed\":0,", "").replace("\"settings_set_aside\":0,", "");
        let decoded = decode(&first, Timestamp::ZERO).unwrap();
        assert_eq!(
            (decoded.value(Counter::CanariesMissed), decoded.value(Counter::Reconnects)),
            (None, Some(0))
        );
    }

    #[test]
    fn a_counter_of_another_version_is_absent_or_left_out() {
        let decoded = decode("{\"frames_seen\":5,\"of_a_later_version\":9}", Timestamp::ZERO).unwrap();
        assert_eq!(decoded.value(Counter::UptimeMs), None);
        assert_eq!(decoded.iter().collect::<Vec<_>>(), [(Counter::FramesSeen, 5)]);
        assert!(decode("5", Timestamp::ZERO).is_err());
    }
}
