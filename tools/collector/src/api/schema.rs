//! Objects of the answers: their members and types, from which the description of the interface is made.
//!
//! [`super::render`] makes the objects; the contract tests compare both.

use sentinel_alert::{Kind, Severity};
use serde_json::{Map, Value, json};

use crate::model::{IncidentPhase, IncidentState, Role};

/// Type of a member.
#[derive(Clone, Copy)]
pub(super) enum Type {
    /// Text.
    Text,
    /// RFC 3339 in UTC, with microseconds.
    Time,
    /// A whole number.
    Whole,
    /// `true` or `false`.
    Flag,
    /// One of these names.
    Name(fn() -> Vec<&'static str>),
    /// A list.
    List(&'static Self),
    /// The type, or `null`.
    OrNull(&'static Self),
    /// The object of this name.
    Object(&'static str),
    /// Whole numbers by name.
    Counts,
    /// Facts by name: texts, numbers, flags, or lists of these.
    Facts,
}

/// Name, type, and true if the member is always there.
type Member = (&'static str, Type, bool);

use Type::{Counts, Facts, Flag, List, Name, Object, OrNull, Text, Time, Whole};

const TEXT: Type = OrNull(&Text);
const TIME: Type = OrNull(&Time);
const WHOLE: Type = OrNull(&Whole);
const TEXTS: Type = List(&Text);
const GROUPS: Type = OrNull(&TEXTS);
const SEVERITY: Type = OrNull(&Object("Severity"));
const KIND: Type = Object("Kind");

fn kinds() -> Vec<&'static str> {
    Kind::ALL.map(Kind::name).into()
}

fn severities() -> Vec<&'static str> {
    Severity::ALL.map(Severity::name).into()
}

/// Reference to the names `all`, if they stand beside the objects; else the names themselves.
pub(super) fn names(all: fn() -> Vec<&'static str>) -> Value {
    let all = all();
    match () {
        () if all == kinds() => reference("Kind"),
        () if all == severities() => reference("Severity"),
        () => json!({ "type": "string", "enum": all }),
    }
}

fn phases() -> Vec<&'static str> {
    IncidentPhase::ALL.map(IncidentPhase::name).into()
}

fn message_phases() -> Vec<&'static str> {
    vec!["open", "update", "close"]
}

fn states() -> Vec<&'static str> {
    IncidentState::ALL.map(IncidentState::name).into()
}

fn roles() -> Vec<&'static str> {
    Role::ALL.map(Role::name).into()
}

fn ways() -> Vec<&'static str> {
    vec!["none", "loopback", "password", "key"]
}

fn health() -> Vec<&'static str> {
    vec!["ok", "failing"]
}

fn sensor_events() -> Vec<&'static str> {
    vec!["enrolled", "connected", "disconnected", "state"]
}

fn sensor_states() -> Vec<&'static str> {
    crate::model::SensorState::ALL.iter().map(|state| state.name()).collect()
}

fn verdicts() -> Vec<&'static str> {
    vec!["attacks", "cannot_tell", "quiet"]
}

fn accounting_states() -> Vec<&'static str> {
    vec!["complete", "no_gap", "waiting", "lost", "unknown"]
}

/// Every object, by name.
const OBJECTS: &[(&str, &[Member])] = &[
    ("Accounting", &[("state", Name(accounting_states), true), ("text", Text, true)]),
    ("Alert", ALERT),
    (
        "AlertCounts",
        &[
            ("accounting", Object("Accounting"), true),
            ("by_kind", Counts, true),
            ("by_severity", Counts, true),
            ("duplicate", Whole, true),
            ("lost", Whole, true),
            ("missing", Whole, true),
            ("runs_unclean", Whole, true),
            ("stored", Whole, true),
        ],
    ),
    (
        "AlertPage",
        &[
            ("alerts", List(&Object("Alert")), true),
            ("next", TEXT, true),
            ("partial", Flag, true),
            ("reached", TIME, true),
        ],
    ),
    ("AlertsUnknown", &[("boot", Whole, true), ("from", Whole, true)]),
    ("AuditPage", &[("audit", List(&Object("AuditRow")), true), ("next", TEXT, true)]),
    (
        "AuditRow",
        &[
            ("id", Whole, true),
            ("time", Time, true),
            ("who", Text, true),
            ("whence", Text, true),
            ("what", Text, true),
            ("detail", Text, true),
            ("result", Text, true),
            ("hash", Text, true),
        ],
    ),
    ("ChangedIncidents", &[("changed", List(&Whole), true), ("missing", List(&Whole), true)]),
    ("Ended", &[("ended", Whole, true)]),
    (
        "Health",
        &[
            ("status", Name(health), true),
            ("version", Text, false),
            ("uptime_s", Whole, false),
            ("store", Text, false),
            ("sensors_connected", Whole, false),
        ],
    ),
    ("Incident", INCIDENT),
    (
        "IncidentChange",
        &[
            ("time", Time, true),
            ("by", Text, true),
            ("state", OrNull(&Name(states)), true),
            ("note", TEXT, true),
        ],
    ),
    (
        "IncidentPage",
        &[
            ("incidents", List(&Object("Incident")), true),
            ("next", TEXT, true),
            ("partial", Flag, true),
            ("reached", TIME, true),
            ("behind", Whole, true),
        ],
    ),
    (
        "Key",
        &[
            ("name", Text, true),
            ("role", Name(roles), true),
            ("groups", GROUPS, true),
            ("created", Time, true),
            ("expires", TIME, true),
            ("last_used", TIME, true),
        ],
    ),
    (
        "KeyCopied",
        &[("sign", Text, true), ("signs", Whole, true), ("detail", Text, true), ("time", Time, true)],
    ),
    ("Keys", &[("keys", List(&Object("Key")), true)]),
    (
        "Me",
        &[
            ("user", TEXT, true),
            ("via", Name(ways), true),
            ("role", OrNull(&Name(roles)), true),
            ("groups", GROUPS, true),
            ("totp", OrNull(&Flag), true),
            ("administrator", Flag, true),
        ],
    ),
    ("MessagePage", &[("messages", List(&Object("Alert")), true), ("next", TEXT, true)]),
    (
        "Minute",
        &[
            ("minute", Time, true),
            ("info", Whole, false),
            ("low", Whole, false),
            ("medium", Whole, false),
            ("high", Whole, false),
            ("critical", Whole, false),
        ],
    ),
    ("NewKey", &[("key", Text, true)]),
    ("NewToken", &[("token", Text, true)]),
    ("OfferedTotp", &[("secret", Text, true), ("uri", Text, true)]),
    ("Opened", &[("user", Text, true)]),
    (
        "Problem",
        &[
            ("error", Text, true),
            ("code", Text, true),
            ("parameter", Text, false),
            ("limit", Text, false),
            ("allowed", TEXTS, false),
            ("request", Text, true),
        ],
    ),
    ("Removed", &[("alerts", Whole, true), ("incidents", Whole, true), ("latest", TIME, true)]),
    (
        "RemovedCounts",
        &[
            ("age", Object("Removed"), true),
            ("size", Object("Removed"), true),
            ("disk", Object("Removed"), true),
        ],
    ),
    ("RunsAcknowledged", &[("runs", Whole, true), ("time", Time, true), ("by", Text, true)]),
    (
        "SealedLog",
        &[
            ("head", Text, true),
            ("time", Time, true),
            ("contradictions", Whole, true),
            ("contradicted_head", TEXT, true),
            ("contradicted_time", TIME, true),
        ],
    ),
    ("Sensor", SENSOR),
    ("SensorCounts", &[("enrolled", Whole, true), ("connected", Whole, true), ("revoked", Whole, true)]),
    (
        "SensorEvent",
        &[
            ("time", Time, true),
            ("event", Name(sensor_events), true),
            ("sensor", Text, true),
            ("peer", TEXT, true),
            ("reason", TEXT, true),
            ("state", Name(sensor_states), false),
        ],
    ),
    (
        "SensorProblem",
        &[("state", Name(sensor_states), true), ("cause", Text, true), ("next_step", Text, true)],
    ),
    ("StateChange", &[("time", Time, true), ("state", Text, true), ("cause", Text, true)]),
    (
        "Reason",
        &[
            ("sensor", TEXT, true),
            ("state", OrNull(&Name(sensor_states)), true),
            ("cause", Text, true),
            ("next_step", Text, true),
        ],
    ),
    (
        "Verdict",
        &[
            ("verdict", Name(verdicts), true),
            ("attacks", Whole, true),
            ("reasons", List(&Object("Reason")), true),
            ("reasons_total", Whole, true),
        ],
    ),
    ("SensorPage", &[("sensors", List(&Object("Sensor")), true), ("next", TEXT, false)]),
    (
        "Stats",
        &[
            ("time", Time, true),
            ("uptime_s", Whole, true),
            ("store_bytes", Whole, true),
            ("sensors", Object("SensorCounts"), true),
            ("alerts", Object("AlertCounts"), true),
            ("verdict", Object("Verdict"), true),
            ("removed", Object("RemovedCounts"), true),
            ("limited", Counts, true),
            ("per_minute", List(&Object("Minute")), true),
        ],
    ),
    (
        "User",
        &[
            ("name", Text, true),
            ("role", Name(roles), true),
            ("groups", GROUPS, true),
            ("totp", Flag, true),
            ("created", Time, true),
            ("logins", Whole, true),
        ],
    ),
    ("Users", &[("users", List(&Object("User")), true), ("groups", TEXTS, true)]),
];

/// Of an alert that this version cannot decode, the optional members are left out but `undecodable_bytes`.
const ALERT: &[Member] = &[
    ("id", Whole, true),
    ("sensor", Text, true),
    ("received", Time, true),
    ("boot", Whole, true),
    ("seq", Whole, true),
    ("time", Time, true),
    ("severity", SEVERITY, true),
    ("summary", Text, true),
    ("kind", KIND, false),
    ("test", Text, false),
    ("src", TEXT, false),
    ("dst", TEXT, false),
    ("src_port", WHOLE, false),
    ("dst_port", WHOLE, false),
    ("evidence", Facts, false),
    ("phase", Name(message_phases), false),
    ("first_time", Time, false),
    ("incident", Whole, false),
    ("suppressed", Whole, false),
    ("technique", Text, false),
    ("src_mac", Text, false),
    ("host", Text, false),
    ("undecodable_bytes", Whole, false),
];

const INCIDENT: &[Member] = &[
    ("id", Whole, true),
    ("sensor", Text, true),
    ("boot", Whole, true),
    ("incident", Whole, true),
    ("kind", OrNull(&KIND), true),
    ("test", TEXT, true),
    ("technique", TEXT, true),
    ("severity", SEVERITY, true),
    ("summary", Text, true),
    ("src", TEXT, true),
    ("dst", TEXT, true),
    ("src_port", WHOLE, true),
    ("dst_port", WHOLE, true),
    ("src_mac", TEXT, true),
    ("host", TEXT, true),
    ("phase", Name(phases), true),
    ("first_time", Time, true),
    ("last_time", Time, true),
    ("opened", Time, true),
    ("updated", Time, true),
    ("messages", Whole, true),
    ("suppressed", Whole, true),
    ("state", Name(states), true),
    ("state_by", TEXT, true),
    ("state_time", TIME, true),
    ("notes", Whole, true),
    ("revision", Whole, true),
];

/// Members that one incident has beside those of a list; `latest` has those of an alert but `id`, `sensor`, `received`, `boot` and
/// `seq`.
const INCIDENT_DETAIL: &[Member] =
    &[("latest", OrNull(&Object("Message")), true), ("changes", List(&Object("IncidentChange")), true)];

const SENSOR: &[Member] = &[
    ("id", Whole, true),
    ("name", Text, true),
    ("public_key", Text, true),
    ("state", Name(sensor_states), true),
    ("cause", TEXT, true),
    ("next_step", TEXT, true),
    ("problems", List(&Object("SensorProblem")), true),
    ("seen_percent", WHOLE, true),
    ("clock_off_ms", WHOLE, true),
    ("alerts_missing_since_restore", WHOLE, true),
    ("peer", TEXT, true),
    ("connected_since", TIME, true),
    ("frames_per_s", WHOLE, true),
    ("software", Text, true),
    ("host", Text, true),
    ("interfaces", Text, true),
    ("enrolled", Time, true),
    ("revoked", TIME, true),
    ("last_seen", TIME, true),
    ("alerts_stored", Whole, true),
    ("alerts_duplicate", Whole, true),
    ("alerts_lost", Whole, true),
    ("alerts_missing", Whole, true),
    ("accounting", Object("Accounting"), true),
    ("stored_bytes", Whole, true),
    ("limit_hits", Whole, true),
    ("last_limit", TEXT, true),
    ("alerts_unknown", OrNull(&Object("AlertsUnknown")), true),
    ("runs_unclean", Whole, true),
    ("run_ends_reported", Flag, true),
    ("runs_acknowledged", OrNull(&Object("RunsAcknowledged")), true),
    ("key_copied", OrNull(&Object("KeyCopied")), true),
    ("key_since", TIME, true),
    ("next_key", TEXT, true),
    ("key_replacement_requested", Flag, true),
    ("log", OrNull(&Object("SealedLog")), true),
    ("telemetry_time", TIME, true),
    ("telemetry", OrNull(&Counts), true),
];

/// Every object as JSON Schema (2020-12), by name.
pub(super) fn schemas() -> Map<String, Value> {
    let mut all: Map<String, Value> =
        OBJECTS.iter().map(|(name, members)| ((*name).to_owned(), object(members.iter()))).collect();
    all.insert("Kind".into(), json!({ "type": "string", "enum": kinds() }));
    all.insert("Severity".into(), json!({ "type": "string", "enum": severities() }));
    all.insert("IncidentDetail".into(), object(INCIDENT.iter().chain(INCIDENT_DETAIL)));
    let history = [("history", List(&Object("StateChange")), true)];
    all.insert("SensorDetail".into(), object(SENSOR.iter().chain(&history)));
    let place = ["id", "sensor", "received", "boot", "seq"];
    all.insert("Message".into(), object(ALERT.iter().filter(|(name, ..)| !place.contains(name))));
    all
}

fn object<'m>(members: impl Iterator<Item = &'m Member> + Clone) -> Value {
    let required: Vec<&str> =
        members.clone().filter(|(.., always)| *always).map(|(name, ..)| *name).collect();
    let properties: Map<String, Value> =
        members.map(|(name, of, _)| ((*name).to_owned(), schema(*of))).collect();
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

/// Reference to the object `name`.
pub(super) fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn schema(of: Type) -> Value {
    match of {
        Text => json!({ "type": "string" }),
        Time => json!({ "type": "string", "format": "date-time" }),
        Whole => json!({ "type": "integer" }),
        Flag => json!({ "type": "boolean" }),
        Name(all) => names(all),
        List(items) => json!({ "type": "array", "items": schema(*items) }),
        OrNull(inner) => json!({ "anyOf": [schema(*inner), { "type": "null" }] }),
        Object(name) => reference(name),
        Counts => json!({ "type": "object", "additionalProperties": { "type": "integer" } }),
        Facts => json!({ "type": "object", "additionalProperties": true }),
    }
}
