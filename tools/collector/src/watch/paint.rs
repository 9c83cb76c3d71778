//! Alerts and sensors as lines of text, optionally with colours.

use std::fmt::Write as _;

use sentinel_alert::{Colour, Kind};
use sentinel_units::Timestamp;
use serde_json::Value;

use crate::log::printable;
use crate::time_text::{ago, parse_rfc3339};

const RESET: &str = "\x1b[0m";
const DIM: &str = "\x1b[2m";
const GREEN: &str = "\x1b[32m";
const RED: &str = "\x1b[31m";

/// Formats answers of the interface as lines.
#[derive(Clone, Copy, Debug)]
pub struct Painter {
    colour: bool,
}

impl Painter {
    /// Plain text without `colour`.
    #[must_use]
    pub const fn new(colour: bool) -> Self {
        Self { colour }
    }

    /// `2025-05-15 10:30:01.123456  HIGH      port_scan        branch-7  10.0.0.66 tried 15 ports ...`
    #[must_use]
    pub fn alert(&self, alert: &Value) -> String {
        let (severity, kind) = (text(alert, "severity"), text(alert, "kind"));
        let time = self.paint(DIM, &clock_text(&text(alert, "time")));
        let label = self.paint(severity_colour(&severity), &format!("{:<8}", severity.to_uppercase()));
        let kind = self.paint(kind_colour(&kind), &format!("{kind:<15}"));
        let phase = match text(alert, "phase").as_str() {
            "open" | "" => String::new(), // an alert that the collector cannot decode has none
            other => format!(" [{other}]"),
        };
        let summary = text(alert, "summary");
        format!(
            "{time}  {label}  {kind}  {:<16}  {summary}{}\n",
            text(alert, "sensor"),
            self.paint(DIM, &phase)
        )
    }

    /// `2025-05-15 10:30:01.123456  --        sensor           branch-7  connected`
    #[must_use]
    pub fn sensor_event(&self, event: &Value) -> String {
        let mut what = text(event, "event");
        let state = text(event, "state");
        if !state.is_empty() {
            what = state;
        }
        let reason = text(event, "reason");
        if !reason.is_empty() {
            let _ = write!(what, ": {reason}");
        }
        let is_good = ["connected", "enrolled"].iter().any(|good| what.starts_with(good));
        let colour = if is_good { GREEN } else { RED };
        let time = self.paint(DIM, &clock_text(&text(event, "time")));
        let what = self.paint(colour, &what);
        format!("{time}  {:<8}  {:<15}  {:<16}  {what}\n", "--", "sensor", text(event, "sensor"))
    }

    /// The verdict in the answer of `/api/v1/stats`, with the reasons of the collector itself: those of sensors are in their table.
    #[must_use]
    pub fn verdict(&self, stats: &Value) -> String {
        let Some(verdict) = stats.get("verdict") else { return String::new() }; // of an older collector
        let count = |name: &str| verdict.get(name).and_then(Value::as_u64).unwrap_or_default();
        let (attacks, reasons) = (count("attacks"), count("reasons_total"));
        let doubts = format!("cannot tell for {reasons} {}", if reasons == 1 { "reason" } else { "reasons" });
        let claims = match attacks {
            1 => "1 open incident claims an attack".into(),
            _ => format!("{attacks} open incidents claim an attack"),
        };
        let (colour, line) = match (attacks, reasons) {
            (0, 0) => (GREEN, "quiet".into()),
            (0, _) => (RED, doubts),
            (_, 0) => (RED, claims),
            _ => (RED, format!("{claims}; {doubts}")),
        };
        let mut out = format!("{}\n", self.paint(colour, &line));
        for reason in verdict.get("reasons").and_then(Value::as_array).into_iter().flatten() {
            if reason.get("sensor").is_none_or(Value::is_null) {
                let _ = writeln!(out, "    {}; {}", text(reason, "cause"), text(reason, "next_step"));
            } else if reason.get("state").is_none_or(Value::is_null) {
                let _ = writeln!(
                    out,
                    "    {}: {}; {}",
                    text(reason, "sensor"),
                    text(reason, "cause"),
                    text(reason, "next_step")
                );
            }
        }
        out
    }

    /// The answer of `/api/v1/sensors` as a table.
    #[must_use]
    pub fn sensors(&self, answer: &Value, now: Timestamp) -> String {
        let mut table = format!(
            "{:<20} {:<15} {:>10} {:>9} {:>10} {:>7} {:>7} {:>7} {:>5} {:>9} {:<6}  {}\n",
            "SENSOR",
            "STATE",
            "LAST SEEN",
            "FRAMES/S",
            "ALERTS",
            "LOST",
            "MISSING",
            "UNCLEAN",
            "NOTED",
            "DROPPED",
            "KEY",
            "FROM"
        );
        let rows = answer.get("sensors").and_then(Value::as_array);
        for row in rows.into_iter().flatten() {
            let state = text(row, "state");
            let colour = match state.as_str() {
                "connected" => GREEN,
                "returning" | "seen" | "never_connected" => DIM,
                _ => RED,
            };
            let seen = parse_rfc3339(&text(row, "last_seen"));
            let seen = seen.map_or_else(|| "never".into(), |at| ago(now.since(at)));
            let dropped = row.get("telemetry").map(|telemetry| number(telemetry, "frames_dropped"));
            let _ = writeln!(
                table,
                "{:<20} {} {seen:>10} {:>9} {:>10} {:>7} {:>7} {:>7} {:>5} {:>9} {}  {}",
                text(row, "name"),
                self.paint(colour, &format!("{state:<15}")),
                number(row, "frames_per_s"),
                number(row, "alerts_stored"),
                number(row, "alerts_lost"),
                number(row, "alerts_missing"),
                number(row, "runs_unclean"),
                row.get("runs_acknowledged").map_or_else(|| "-".into(), |known| number(known, "runs")),
                dropped.unwrap_or_else(|| "-".into()),
                if row.get("key_copied").is_some_and(Value::is_object) {
                    self.paint(RED, "COPIED")
                } else {
                    format!("{:<6}", "ok")
                },
                text(row, "peer"),
            );
            for problem in row.get("problems").and_then(Value::as_array).into_iter().flatten() {
                let (cause, next) = (text(problem, "cause"), text(problem, "next_step"));
                let next = if next.is_empty() { next } else { format!("; {next}") };
                let _ = writeln!(table, "    {}{next}", self.paint(colour, &cause));
            }
        }
        if rows.is_none_or(Vec::is_empty) {
            table.push_str("no sensor is enrolled; make a token with sentinel-collector enroll\n");
        }
        table
    }

    fn paint(self, colour: &str, text: &str) -> String {
        if self.colour && !text.is_empty() { format!("{colour}{text}{RESET}") } else { text.into() }
    }
}

/// A text member, printable and cut to 400 characters: text from the network can neither control the terminal nor
/// make lines endless.
fn text(value: &Value, name: &str) -> String {
    let text = value.get(name).and_then(Value::as_str).unwrap_or_default();
    text.split_inclusive(' ').map(printable).collect::<String>().chars().take(400).collect()
}

fn number(value: &Value, name: &str) -> String {
    value.get(name).and_then(Value::as_u64).map_or_else(|| "-".into(), |number| number.to_string())
}

/// `2025-05-15T10:30:01.123456Z` as packets are printed: `2025-05-15 10:30:01.123456` (UTC).
fn clock_text(rfc3339: &str) -> String {
    format!("{:<26}", rfc3339.replacen('T', " ", 1).trim_end_matches('Z'))
}

fn severity_colour(severity: &str) -> &'static str {
    match severity {
        "critical" => "\x1b[1;97;41m",
        "high" => "\x1b[1;31m",
        "medium" => "\x1b[33m",
        "low" => "\x1b[36m",
        _ => DIM,
    }
}

/// The colour that the sensor's crates give the kind; white for a kind that this version does not know.
fn kind_colour(kind: &str) -> &'static str {
    match Kind::from_name(kind).map(Kind::colour) {
        Some(Colour::Blue) => "\x1b[34m",
        Some(Colour::Green) => "\x1b[32m",
        Some(Colour::Cyan) => "\x1b[36m",
        Some(Colour::Magenta) => "\x1b[35m",
        Some(Colour::Yellow) => "\x1b[33m",
        _ => "\x1b[37m",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert() -> Value {
        serde_json::json!({
            "id": 7, "sensor": "branch-7", "time": "2025-05-15T10:30:01.123456Z", "kind": "port_scan",
            "severity": "high", "summary": "10.0.0.66 tried 15 ports of 10.0.0.10 within 10 s", "phase": "open",
        })
    }

    #[test]
    fn a_plain_line_is_stable() {
        assert_eq!(
            Painter::new(false).alert(&alert()),
            "2025-05-15 10:30:01.123456  HIGH      port_scan        branch-7          \
             10.0.0.66 tried 15 ports of 10.0.0.10 within 10 s\n"
        );
        let mut closing = alert();
        closing["phase"] = "close".into();
        assert!(Painter::new(false).alert(&closing).ends_with("within 10 s [close]\n"));
    }

    #[test]
    fn a_coloured_line_is_stable() {
        assert_eq!(
            Painter::new(true).alert(&alert()),
            "\x1b[2m2025-05-15 10:30:01.123456\x1b[0m  \x1b[1;31mHIGH    \x1b[0m  \x1b[34mport_scan      \x1b[0m  \
             branch-7          10.0.0.66 tried 15 ports of 10.0.0.10 within 10 s\n"
        );
    }

    #[test]
    fn colour_changes_nothing_but_colour() {
        let coloured = Painter::new(true).alert(&alert());
        let mut plain = String::new();
        for part in coloured.split("\x1b[") {
            plain.push_str(if plain.is_empty() && part.is_empty() {
                part
            } else {
                part.split_once('m').unwrap().1
            });
        }
        assert_eq!(plain, Painter::new(false).alert(&alert()));
    }

    #[test]
    fn text_from_the_network_cannot_control_the_terminal() {
        let mut hostile = alert();
        hostile["sensor"] = "\x1b]0;owned\x07".into();
        hostile["summary"] = "a\x1b[2J\nb\u{9b}c".into();
        let line = Painter::new(false).alert(&hostile);
        assert!(line.contains("a?[2J?b?c") && !line.contains('\x1b'), "{line}");
        assert_eq!(line.matches('\n').count(), 1);
    }

    #[test]
    fn sensor_event_lines_are_stable() {
        let event = serde_json::json!({
            "time": "2025-05-15T10:30:01.123456Z", "event": "disconnected", "sensor": "branch-7",
            "reason": "the sensor closed the connection",
        });
        assert_eq!(
            Painter::new(false).sensor_event(&event),
            "2025-05-15 10:30:01.123456  --        sensor           branch-7          \
             disconnected: the sensor closed the connection\n"
        );
    }

    #[test]
    fn the_verdict_names_what_stands_against_quiet() {
        let painter = Painter::new(false);
        let verdict = |attacks: u64, reasons: Value| {
            let total = reasons.as_array().unwrap().len();
            painter.verdict(&serde_json::json!({
                "verdict": { "attacks": attacks, "reasons": reasons, "reasons_total": total }
            }))
        };
        assert_eq!(verdict(0, serde_json::json!([])), "quiet\n");
        assert_eq!(verdict(1, serde_json::json!([])), "1 open incident claims an attack\n");
        let full = serde_json::json!([
            { "sensor": null, "state": null, "cause": "the store: the disk is full", "next_step": "make room" },
            { "sensor": "a", "state": "offline", "cause": "in its table", "next_step": "" },
            { "sensor": "b", "state": null, "cause": "has told once", "next_step": "wait" },
        ]);
        assert_eq!(
            verdict(2, full),
            "2 open incidents claim an attack; cannot tell for 3 reasons\n    the store: the disk is full; make room\n    \
             b: has told once; wait\n"
        );
        assert_eq!(painter.verdict(&serde_json::json!({})), "");
    }

    #[test]
    fn the_table_is_stable() {
        let answer = serde_json::json!({ "sensors": [
            { "name": "branch-7", "state": "connected", "last_seen": "2025-05-15T10:30:00Z", "frames_per_s": 1200,
              "alerts_stored": 42, "alerts_lost": 0, "alerts_missing": 0, "peer": "192.0.2.7:5000",
              "runs_unclean": 1, "runs_acknowledged": { "runs": 3 }, "key_copied": { "sign": "runs" },
              "telemetry": { "frames_dropped": 3 } },
            { "name": "new", "state": "never_connected", "last_seen": null, "alerts_stored": 0,
              "problems": [{ "cause": "enrolled, and has not connected yet", "next_step": "run it" }] },
        ]});
        let now = parse_rfc3339("2025-05-15T10:30:42Z").unwrap();
        assert_eq!(
            Painter::new(false).sensors(&answer, now),
            "SENSOR               STATE            LAST SEEN  FRAMES/S     ALERTS    LOST MISSING UNCLEAN NOTED   DROPPED KEY     FROM\n\
             branch-7             connected         42 s ago      1200         42       0       0       1     3         3 COPIED  192.0.2.7:5000\n\
             new                  never_connected      never         -          0       -       -       -     -         - ok      \n    \
             enrolled, and has not connected yet; run it\n"
        );
        let none = Painter::new(false).sensors(&serde_json::json!({ "sensors": [] }), now);
        assert!(none.contains("no sensor is enrolled"));
    }
}
