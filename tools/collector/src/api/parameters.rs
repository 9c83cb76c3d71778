//! Query parameters: each known, each given once, each within its range.

use std::ops::RangeInclusive;
use std::str::FromStr;

use sentinel_units::Timestamp;

use super::Problem;
use crate::time_text::{parse_rfc3339, parse_span};

/// Parameters of one request. Each is removed when it is read.
pub(super) struct Parameters {
    given: Vec<(String, String)>,
}

impl Parameters {
    /// # Errors
    /// A parameter that is not in `known`, or comes twice.
    pub(super) fn new(given: Vec<(String, String)>, known: &[&str]) -> Result<Self, Problem> {
        for (index, (name, _)) in given.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                let name = shortened(name);
                let error = format!("there is no parameter {name:?} here");
                return Err(Problem::parameter(&name, error).allowed(known.iter().copied()));
            }
            if given.iter().skip(index + 1).any(|(later, _)| later == name) {
                return Err(Problem::parameter(name, format!("{name} is given twice")).allowed(["once"]));
            }
        }
        Ok(Self { given })
    }

    /// The text as it was given.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        let index = self.given.iter().position(|(given, _)| given == name)?;
        Some(self.given.swap_remove(index).1)
    }

    /// A whole number within `range`.
    pub(super) fn number<T>(&mut self, name: &str, range: RangeInclusive<T>) -> Result<Option<T>, Problem>
    where
        T: FromStr + PartialOrd + std::fmt::Display,
    {
        let Some(text) = self.text(name) else { return Ok(None) };
        match text.parse::<T>() {
            Ok(number) if range.contains(&number) => Ok(Some(number)),
            _ => Err(Problem::parameter(
                name,
                format!("{name} is not a number in range: {:?}", shortened(&text)),
            )
            .allowed([format!("{} to {}", range.start(), range.end())])),
        }
    }

    /// Names of a closed set, separated by commas.
    pub(super) fn choices<T: Copy>(
        &mut self,
        name: &str,
        all: &[T],
        label: impl Fn(T) -> &'static str,
    ) -> Result<Vec<T>, Problem> {
        let Some(text) = self.text(name) else { return Ok(Vec::new()) };
        let chosen: Result<Vec<T>, Problem> = text
            .split(',')
            .map(|part| {
                all.iter().copied().find(|choice| label(*choice) == part).ok_or_else(|| {
                    Problem::parameter(name, format!("there is no {name} {:?}", shortened(part)))
                        .allowed(all.iter().map(|choice| label(*choice)))
                })
            })
            .collect();
        // Each once, in one order: the text of a statement, which the store caches, is one of few.
        let chosen = chosen?;
        Ok(all
            .iter()
            .copied()
            .filter(|choice| chosen.iter().any(|of| label(*of) == label(*choice)))
            .collect())
    }

    /// An instant, or a span before `now`.
    pub(super) fn time(&mut self, name: &str, now: Timestamp) -> Result<Option<Timestamp>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        match parse_time(&text, now) {
            Some(time) => Ok(Some(time)),
            None => Err(Problem::parameter(name, format!("{name} is not a time: {:?}", shortened(&text)))
                .allowed([
                    "RFC 3339 in UTC, such as 2025-05-15T10:30:00Z",
                    "seconds since 1970, such as 1747305000",
                    "a span before now, such as 90s, 15m, 24h or 7d",
                ])),
        }
    }
}

/// `text` cut to 60 characters: an answer does not repeat a request of any length.
pub(super) fn shortened(text: &str) -> String {
    const MAX_LEN: usize = 60;
    let mut short: String = text.chars().take(MAX_LEN).collect();
    if short.len() < text.len() {
        short.push_str("...");
    }
    short
}

fn parse_time(text: &str, now: Timestamp) -> Option<Timestamp> {
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Timestamp::from_parts(seconds, 0));
    }
    if let Some(span) = parse_span(text) {
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        return Some(Timestamp::from_nanos(now.as_nanos().saturating_sub(nanos)));
    }
    parse_rfc3339(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_times_are_rejected() {
        for text in [
            "",
            "Z",
            "now",
            "2025-02-29T00:00:00Z",
            "2025-13-01T00:00:00Z",
            "2025-00-01T00:00:00Z",
            "2025-05-15T24:00:00Z",
            "2025-05-15T10:30Z",
            "2025-05-15T10:30:00",
            "2025-5-15T10:30:00Z",
            "2025-05-15T10:30:00.1234567890Z",
            "2025-05-15T10:30:00+02:00",
            "+5s",
            "-5s",
            "s",
            "5w",
            "9é",
        ] {
            assert_eq!(parse_time(text, Timestamp::ZERO), None, "{text}");
        }
    }

    #[test]
    fn spans_count_back_from_now() {
        let now = Timestamp::from_parts(1_000_000, 0);
        assert_eq!(parse_time("15m", now), Some(Timestamp::from_parts(999_100, 0)));
        assert_eq!(parse_time("99999d", now), Some(Timestamp::ZERO));
        assert_eq!(parse_time("7", now), Some(Timestamp::from_parts(7, 0)));
    }
}
