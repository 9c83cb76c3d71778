//! JSON (RFC 8259) of every type of the domain: the one place that makes it.
//!
//! Members of objects are in alphabetical order, except in alerts, which begin with `id`, `sensor` and `received`
//! and continue as `sentinel read --alerts` prints them.

use std::fmt::Write as _;

use sentinel_alert::{Kind, Severity, json};
use sentinel_units::Timestamp;
use serde_json::{Map, Value, json};

use crate::model::{
    self, Accounting, AccountingState, AlertRow, AuditRow, HeadText, LogHeadState, MinuteCounts, Reason,
    Removed, RemovedCounts, RunEnds, SensorChange, SensorEvent, SensorState, SensorStatus, StateChange,
    StoredAlert, TelemetryReading, UndecodableAlert, Verdict,
};
use crate::service::{AlertPage, Health, SensorDetail, Stats, StoreHealth};
use crate::store::key::hex;

/// One alert.
#[must_use]
pub fn alert(stored: &StoredAlert) -> String {
    let mut body = String::with_capacity(ALERT_CAPACITY);
    write_alert(stored, &mut body);
    body
}

/// One alert that this version cannot decode: its place, and what is stored beside it.
#[must_use]
pub fn undecodable(row: &UndecodableAlert) -> String {
    let mut body = String::new();
    write_undecodable(row, &mut body);
    body
}

/// `{"alerts": [...], "next": "cursor" or null, "partial", "reached"}` and a line end; a cursor has no letter that JSON escapes.
#[must_use]
pub fn alert_page(page: &AlertPage, next: Option<&str>) -> String {
    let mut body = String::with_capacity(page.alerts.len() * ALERT_CAPACITY + 32);
    body.push_str("{\"alerts\":[");
    for (index, stored) in page.alerts.iter().enumerate() {
        if index > 0 {
            body.push(',');
        }
        match stored {
            AlertRow::Alert(alert) => write_alert(alert, &mut body),
            AlertRow::Undecodable(row) => write_undecodable(row, &mut body),
        }
    }
    let next = next.map_or_else(|| "null".into(), |next| format!("\"{next}\""));
    let reached = page.reached.map_or_else(|| "null".into(), |at| format!("\"{}\"", at.rfc3339()));
    let _ = writeln!(body, "],\"next\":{next},\"partial\":{},\"reached\":{reached}}}", page.is_partial);
    body
}

/// Bytes of most alerts, and some room.
const ALERT_CAPACITY: usize = 640;

fn write_alert(stored: &StoredAlert, body: &mut String) {
    // Writing into a String cannot fail.
    let _ = write!(body, "{{\"id\":{},\"sensor\":", stored.id);
    let _ = json::string(&stored.sensor, body);
    let _ = write!(body, ",\"received\":\"{}\",", stored.received_at.rfc3339());
    let _ = json::write_members(&stored.alert, Some(stored.alert_id), body);
    body.push('}');
}

fn write_undecodable(row: &UndecodableAlert, body: &mut String) {
    let _ = write!(body, "{{\"id\":{},\"sensor\":", row.id);
    let _ = json::string(&row.sensor, body);
    let _ = write!(
        body,
        ",\"received\":\"{}\",\"boot\":{},\"seq\":{},\"time\":\"{}\",\"severity\":",
        row.received_at.rfc3339(),
        row.alert_id.boot,
        row.alert_id.seq,
        row.time.rfc3339()
    );
    let _ = match row.severity {
        Some(severity) => json::string(severity.name(), body),
        None => body.write_str("null"),
    };
    let _ = write!(body, ",\"undecodable_bytes\":{0},\"summary\":\"undecodable, {0} bytes\"}}", row.len);
}

/// `{"sensors": [...]}`. Written one by one: a tree of thousands of them takes ten times the memory of the text.
#[must_use]
pub fn sensors(statuses: &[SensorStatus]) -> String {
    let mut body = String::from("{\"sensors\":[");
    for (index, status) in statuses.iter().enumerate() {
        let separator = if index > 0 { "," } else { "" };
        let _ = write!(body, "{separator}{}", sensor(status));
    }
    body.push_str("]}");
    body
}

/// `{"sensors": [...], "next": "cursor" or null}`.
#[must_use]
pub fn sensor_page(statuses: &[SensorStatus], next: Option<&str>) -> String {
    let mut body = sensors(statuses);
    body.pop(); // the brace
    let next = next.map_or_else(|| "null".into(), |next| format!("\"{next}\""));
    let _ = write!(body, ",\"next\":{next}}}");
    body
}

fn sensor(status: &SensorStatus) -> Value {
    let SensorStatus { sensor, state, problems, session, sight } = status;
    let (session, first) = (session.as_ref(), problems.first());
    let reading = sensor.telemetry.as_ref();
    let known = Accounting::of(sensor, state.is_heard());
    json!({
        "id": sensor.id.0,
        "name": sensor.name,
        "public_key": sensor.public_key.to_string(),
        "state": state.name(),
        "cause": first.map(|problem| &problem.cause),
        "next_step": first.map(|problem| problem.next).filter(|next| !next.is_empty()),
        "problems": problems.iter().map(problem_of_sensor).collect::<Vec<_>>(),
        "seen_percent": sight.and_then(|sight| sight.seen_permille).map(|permille| permille / 10),
        "clock_off_ms": sight.filter(|sight| sight.is_telling).map(|sight| sight.clock_off_ms),
        "alerts_missing_since_restore": sensor.missing_since_restore(),
        "peer": session.map(|session| session.peer.to_string()),
        "connected_since": session.map(|session| time(session.since)),
        "frames_per_s": session.and_then(|session| session.frames_per_s),
        "software": sensor.info.software,
        "host": sensor.info.host,
        "interfaces": sensor.info.interfaces,
        "enrolled": time(sensor.enrolled_at),
        "revoked": sensor.revoked_at.map(time),
        "last_seen": sensor.last_seen_at.map(time),
        "alerts_stored": sensor.stored,
        "alerts_duplicate": sensor.duplicates,
        "alerts_lost": sensor.lost,
        "alerts_missing": sensor.missing,
        "accounting": accounting(known.state(), &known),
        "stored_bytes": sensor.stored_bytes,
        "limit_hits": sensor.limit_hits,
        "last_limit": sensor.last_limit,
        "alerts_unknown": alerts_unknown(sensor.run_ends),
        "runs_unclean": sensor.run_ends.unclean(),
        "run_ends_reported": sensor.run_ends != RunEnds::Unreported,
        "runs_acknowledged": sensor.acknowledged.as_ref().map(|known| {
            json!({ "runs": known.runs, "time": time(known.at), "by": known.by })
        }),
        "key_copied": sensor.copy.as_ref().map(|copy| {
            json!({ "sign": copy.sign, "signs": copy.signs, "detail": copy.detail, "time": time(copy.at) })
        }),
        "key_since": sensor.key_since.map(time),
        "next_key": sensor.next_key.map(|key| key.to_string()),
        "key_replacement_requested": sensor.is_replacement_requested,
        "log": sensor.log_head.as_ref().map(sealed_log),
        "telemetry_time": reading.map(|reading| time(reading.received_at)),
        "telemetry": reading.map(telemetry),
    })
}

fn problem_of_sensor(problem: &model::Problem) -> Value {
    json!({ "state": problem.state.name(), "cause": problem.cause, "next_step": problem.next })
}

/// One sensor, with the states that it has had, newest first.
#[must_use]
pub fn sensor_detail(detail: &SensorDetail) -> Value {
    let mut object = sensor(&detail.status);
    let row = |change: &StateChange| json!({ "time": time(change.at), "state": change.state, "cause": change.cause });
    if let Some(members) = object.as_object_mut() {
        members.insert("history".into(), detail.history.iter().map(row).collect());
    }
    object
}

fn verdict(verdict: &Verdict) -> Value {
    let reason = |reason: &Reason| {
        json!({
            "sensor": reason.sensor,
            "state": reason.state.map(SensorState::name),
            "cause": reason.cause,
            "next_step": reason.next,
        })
    };
    json!({
        "verdict": verdict.name(),
        "attacks": verdict.attacks,
        "reasons": verdict.reasons.iter().map(reason).collect::<Vec<_>>(),
        "reasons_total": verdict.reasons_total,
    })
}

fn accounting(state: AccountingState, text: &impl ToString) -> Value {
    json!({ "state": state.name(), "text": text.to_string() })
}

/// Heads of the sealed log of a sensor, as JSON. The heads are what `sentinel log verify --head` takes.
fn sealed_log(log: &LogHeadState) -> Value {
    json!({
        "head": HeadText(&log.head).to_string(),
        "time": time(log.received_at),
        "contradictions": log.faults,
        "contradicted_head": log.contradicted.as_ref().map(|(head, _)| HeadText(head).to_string()),
        "contradicted_time": log.contradicted.as_ref().map(|(_, at)| time(*at)),
    })
}

/// Latest run of which it is not known whether there were alerts from a number on; null if there is none.
fn alerts_unknown(run_ends: RunEnds) -> Value {
    match run_ends {
        RunEnds::Unclean { boot, from, .. } => json!({ "boot": boot, "from": from }),
        RunEnds::Unreported | RunEnds::Clean => Value::Null,
    }
}

fn telemetry(reading: &TelemetryReading) -> Map<String, Value> {
    counts(reading.iter().map(|(counter, value)| (counter.name(), value)))
}

/// One change of a sensor's state.
#[must_use]
pub fn sensor_event(event: &SensorEvent) -> String {
    let (name, reason) = match &event.change {
        SensorChange::Enrolled => ("enrolled", None),
        SensorChange::Connected => ("connected", None),
        SensorChange::Disconnected(reason) => ("disconnected", Some(reason.to_string())),
        SensorChange::State(_, cause) => ("state", Some(cause.clone())),
    };
    let mut object = json!({
        "time": time(event.time),
        "event": name,
        "sensor": &*event.sensor,
        "peer": event.peer.map(|peer| peer.to_string()),
        "reason": reason,
    });
    if let (SensorChange::State(state, _), Some(members)) = (&event.change, object.as_object_mut()) {
        members.insert("state".into(), state.name().into());
    }
    object.to_string()
}

/// Totals and timeline.
#[must_use]
pub fn stats(stats: &Stats) -> Value {
    let totals = &stats.totals;
    json!({
        "time": time(stats.time),
        "uptime_s": stats.uptime.as_secs(),
        "store_bytes": stats.store_bytes,
        "sensors": {
            "enrolled": stats.sensors.enrolled,
            "connected": stats.sensors.connected,
            "revoked": stats.sensors.revoked,
        },
        "alerts": {
            "stored": totals.stored(),
            "duplicate": stats.duplicate,
            "lost": stats.lost,
            "missing": stats.missing,
            "accounting": accounting(stats.accounting.state(), &stats.accounting),
            "runs_unclean": stats.runs_unclean,
            "by_kind": counts(Kind::ALL.iter().map(|kind| (kind.name(), totals.of_kind(*kind)))),
            "by_severity": counts(Severity::ALL.iter().map(|of| (of.name(), totals.of_severity(*of)))),
        },
        "verdict": verdict(&stats.verdict),
        "removed": removed(&stats.removed),
        "limited": counts(stats.limited.iter().copied()),
        "per_minute": stats.per_minute.iter().map(minute).collect::<Vec<_>>(),
    })
}

fn minute(minute: &MinuteCounts) -> Map<String, Value> {
    let by_severity = Severity::ALL.iter().zip(minute.by_severity);
    let mut object = counts(by_severity.map(|(severity, count)| (severity.name(), count)));
    object.insert("minute".into(), time(minute.start).into());
    object
}

/// Numbers of what retention has deleted, by limit.
fn removed(counts: &RemovedCounts) -> Value {
    let of = |removed: &Removed| {
        let latest = (removed.alerts > 0).then(|| time(removed.latest));
        json!({ "alerts": removed.alerts, "incidents": removed.incidents, "latest": latest })
    };
    json!({ "age": of(&counts.by_age), "size": of(&counts.by_size), "disk": of(&counts.by_disk) })
}

/// State of the collector.
#[must_use]
pub fn health(health: &Health) -> Value {
    json!({
        "status": if matches!(health.store, StoreHealth::Ok) { "ok" } else { "failing" },
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_s": health.uptime.as_secs(),
        "store": match &health.store {
            StoreHealth::Ok => "ok".into(),
            StoreHealth::Unwritable(reason) => reason.clone(),
            StoreHealth::Unreadable(error) => error.to_string(),
            StoreHealth::Stalled(span) => format!("has not answered for {} s", span.as_secs()),
        },
        "sensors_connected": health.sensors_connected,
    })
}

/// One line of the audit.
#[must_use]
pub fn audit_row(row: &AuditRow) -> Value {
    json!({
        "id": row.id,
        "time": row.at.rfc3339().to_string(),
        "who": row.who,
        "whence": row.whence,
        "what": row.what,
        "detail": row.detail,
        "result": row.result,
        "hash": hex(&row.hash),
    })
}

fn time(time: Timestamp) -> String {
    time.rfc3339().to_string()
}

fn counts<'n>(pairs: impl Iterator<Item = (&'n str, u64)>) -> Map<String, Value> {
    pairs.map(|(name, count)| (name.into(), count.into())).collect()
}

#[cfg(test)]
mod tests {
    use sentinel_alert::{Alert, AlertId, Evidence, Phase, Subject, Test};

    use super::*;

    #[test]
    fn an_alert_is_valid_json_whatever_the_sensor_is_called() {
        let alert_time = Timestamp::from_parts(3, 0);
        let stored = StoredAlert {
            id: 3,
            sensor: "a\"\n\u{1b}".into(),
            alert_id: AlertId { boot: 3, seq: 4 },
            received_at: Timestamp::from_parts(99, 0),
            alert: Alert {
                time: alert_time,
                first: alert_time,
                test: Test::SynFloodPerSource,
                severity: Severity::High,
                phase: Phase::Open,
                incident: 1,
                suppressed: 0,
                subject: Subject::default(),
                evidence: Evidence::Packets { count: 200, threshold: 200, window_s: 5 },
            },
        };
        let text = alert(&stored);
        let start = "{\"id\":3,\"sensor\":\"a\\\"\\n\\u001b\",\"received\":\"1970-01-01T00:01:39.000000Z\",\"boot\":3,\"seq\":4,\"time\":";
        assert!(text.starts_with(start), "{text}");
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["kind"], "syn_flood");
        let row = UndecodableAlert {
            id: 2,
            sensor: "a\"\n\u{1b}".into(),
            alert_id: AlertId { boot: 3, seq: 3 },
            received_at: alert_time,
            time: alert_time,
            severity: None,
            len: 17,
        };
        let rows = vec![AlertRow::Alert(stored.into()), AlertRow::Undecodable(row.into())];
        let page = AlertPage { alerts: rows, next: Some(2), is_partial: false, reached: None };
        let value: Value = serde_json::from_str(&alert_page(&page, Some("2"))).unwrap();
        assert_eq!((value["alerts"].as_array().unwrap().len(), &value["next"]), (2, &"2".into()));
        assert_eq!(value["alerts"][1]["summary"], "undecodable, 17 bytes");
        assert_eq!(
            (&value["alerts"][1]["sensor"], &value["alerts"][1]["severity"]),
            (&"a\"\n\u{1b}".into(), &Value::Null)
        );
    }
}
