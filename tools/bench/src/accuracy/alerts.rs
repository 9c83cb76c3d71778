//! Alerts as `sentinel read --alerts` prints them, as far as they are judged.

use std::net::IpAddr;

use anyhow::{Context, Result};
use serde_json::Value;

/// Alert of the program under test. Kinds are names, so that those of a later build are judged without a change here.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Raised {
    /// Microseconds since the Unix epoch at which it was raised.
    pub(crate) at_us: u64,
    /// Microseconds since the Unix epoch of its first evidence.
    pub(crate) first_us: u64,
    pub(crate) kind: String,
    pub(crate) test: String,
    pub(crate) severity: Severity,
    pub(crate) source: Option<IpAddr>,
    pub(crate) destination: Option<IpAddr>,
    pub(crate) source_mac: Option<String>,
    pub(crate) incident: u64,
    pub(crate) phase: String,
    pub(crate) summary: String,
}

/// Severity of an alert; from [`Severity::Medium`] on it claims an attack.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Severity {
    Info,
    Low,
    Medium,
    High,
    Critical,
}

impl Severity {
    const ALL: [(&str, Self); 5] = [
        ("info", Self::Info),
        ("low", Self::Low),
        ("medium", Self::Medium),
        ("high", Self::High),
        ("critical", Self::Critical),
    ];

    pub(crate) fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(_, severity)| *severity == self).map_or("", |(name, _)| name)
    }
}

impl Raised {
    /// Alert of one line of output.
    pub(crate) fn parse(line: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(line)?;
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        let required =
            |name: &str| text(name).map(str::to_owned).with_context(|| format!("no {name}: {line}"));
        let severity = required("severity")?;
        Ok(Self {
            at_us: micros(text("time").unwrap_or_default()).with_context(|| format!("no time: {line}"))?,
            first_us: text("first_time").or(text("time")).and_then(micros).unwrap_or(0),
            kind: required("kind")?,
            test: required("test")?,
            severity: Severity::ALL
                .into_iter()
                .find_map(|(name, found)| (name == severity).then_some(found))
                .with_context(|| format!("severity {severity}"))?,
            source: text("src").and_then(|address| address.parse().ok()),
            destination: text("dst").and_then(|address| address.parse().ok()),
            source_mac: text("src_mac").map(str::to_owned),
            incident: value.get("incident").and_then(Value::as_u64).unwrap_or(0),
            phase: required("phase")?,
            summary: text("summary").unwrap_or_default().to_owned(),
        })
    }

    /// True if it claims an attack.
    pub(crate) fn claims(&self) -> bool {
        self.severity >= Severity::Medium
    }

    /// True for the first message of an incident.
    pub(crate) fn opens(&self) -> bool {
        self.phase == "open"
    }
}

/// Microseconds since the Unix epoch of an RFC 3339 time in UTC, `2023-11-14T22:13:21.866666Z`.
fn micros(text: &str) -> Option<u64> {
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<u64>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let fraction = number(20..26)?;
    // Days since 1970 of a date of the Gregorian calendar whose year begins in March.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    let seconds = days.checked_sub(719_468)? * 86_400
        + number(11..13)? * 3_600
        + number(14..16)? * 60
        + number(17..19)?;
    Some(seconds * 1_000_000 + fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        assert_eq!(micros("2023-11-14T22:13:20.000001Z"), Some(1_700_000_000_000_001));
        assert_eq!(micros("2024-02-29T00:00:00.000000Z"), Some(1_709_164_800_000_000));
        assert_eq!(micros("1970-01-01T00:00:00.000000Z"), Some(0));
        assert_eq!(micros(""), None);
    }

    #[test]
    fn an_alert_of_a_kind_that_is_not_known_here_is_read() {
        let line = r#"{"time":"2023-11-14T22:13:21.866666Z","kind":"new_kind","test":"t","severity":"high","src":"10.0.0.1","dst":null,
            "summary":"s","evidence":{},"phase":"open","first_time":"2023-11-14T22:13:20.000000Z","incident":7}"#;
        let raised = Raised::parse(&line.replace('\n', "")).unwrap();
        assert_eq!(
            (raised.kind.as_str(), raised.incident, raised.claims(), raised.opens()),
            ("new_kind", 7, true, true)
        );
        assert_eq!((raised.source, raised.destination), (Some("10.0.0.1".parse().unwrap()), None));
        assert_eq!(raised.at_us - raised.first_us, 1_866_666);
    }
}
