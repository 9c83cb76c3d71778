//! Reading query parameters: each known, each given once, each within its range.

use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use sentinel_units::Timestamp;

use super::Problem;

/// The parameters of one request. Each is taken out when read.
pub(super) struct Parameters {
    given: Vec<(String, String)>,
}

impl Parameters {
    /// # Errors
    /// A parameter that is not in `known`, or comes twice.
    pub(super) fn new(given: Vec<(String, String)>, known: &[&str]) -> Result<Self, Problem> {
        for (place, (name, _)) in given.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                let what = format!("there is no parameter {name:?} here");
                return Err(Problem::parameter(name, what).allowed(known.iter().copied()));
            }
            if given.iter().skip(place + 1).any(|(later, _)| later == name) {
                return Err(Problem::parameter(name, format!("{name} is given twice")));
            }
        }
        Ok(Self { given })
    }

    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        let place = self.given.iter().position(|(given, _)| given == name)?;
        Some(self.given.swap_remove(place).1)
    }

    /// A whole number within `range`.
    pub(super) fn number<T>(&mut self, name: &str, range: RangeInclusive<T>) -> Result<Option<T>, Problem>
    where
        T: FromStr + PartialOrd + std::fmt::Display,
    {
        let Some(text) = self.text(name) else { return Ok(None) };
        match text.parse::<T>() {
            Ok(number) if range.contains(&number) => Ok(Some(number)),
            _ => Err(Problem::parameter(name, format!("{name} is not a number in range: {text:?}"))
                .allowed([format!("{} to {}", range.start(), range.end())])),
        }
    }

    /// Names of a closed set, with commas between.
    pub(super) fn choices<T: Copy>(
        &mut self,
        name: &str,
        all: &[T],
        label: impl Fn(T) -> &'static str,
    ) -> Result<Vec<T>, Problem> {
        let Some(text) = self.text(name) else { return Ok(Vec::new()) };
        text.split(',')
            .map(|part| {
                all.iter().copied().find(|choice| label(*choice) == part).ok_or_else(|| {
                    Problem::parameter(name, format!("there is no {name} {part:?}"))
                        .allowed(all.iter().map(|choice| label(*choice)))
                })
            })
            .collect()
    }

    /// An instant, or a span before `now`.
    pub(super) fn time(&mut self, name: &str, now: Timestamp) -> Result<Option<Timestamp>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        match parse_time(&text, now) {
            Some(time) => Ok(Some(time)),
            None => Err(Problem::parameter(name, format!("{name} is not a time: {text:?}")).allowed([
                "RFC 3339 in UTC, such as 2025-05-15T10:30:00Z",
                "seconds since 1970, such as 1747305000",
                "a span before now, such as 90s, 15m, 24h or 7d",
            ])),
        }
    }
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

/// A whole number and a unit: `90s`, `15m`, `24h`, `7d`.
pub(crate) fn parse_span(text: &str) -> Option<Duration> {
    let unit_s = match text.chars().next_back()? {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return None,
    };
    let number = text.get(..text.len().checked_sub(1)?)?;
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(Duration::from_secs(number.parse::<u64>().ok()?.checked_mul(unit_s)?))
}

/// `2025-05-15T10:30:01[.123456]Z` (RFC 3339 with the offset Z).
pub(crate) fn parse_rfc3339(text: &str) -> Option<Timestamp> {
    let body = text.strip_suffix(['Z', 'z'])?;
    let (whole, fraction) = body.split_once('.').unwrap_or((body, ""));
    let [date, time] = whole.split(['T', 't', ' ']).collect::<Vec<_>>().try_into().ok()?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
    let in_range = (1970..=2500).contains(&year)
        && (1..=12).contains(&month)
        && day >= 1
        && day <= days_of_month(year, month)
        && hour < 24
        && minute < 60
        && second < 61;
    if !in_range || fraction.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nanos: u32 = if fraction.is_empty() { 0 } else { format!("{fraction:0<9}").parse().ok()? };
    let days: u64 = (1970..year).map(|year| if is_leap(year) { 366 } else { 365 }).sum::<u64>()
        + (1..month).map(|month| days_of_month(year, month)).sum::<u64>()
        + (day - 1);
    Some(Timestamp::from_parts(days * 86_400 + hour * 3_600 + minute * 60 + second, nanos))
}

fn numbers(text: &str, between: char, lengths: [usize; 3]) -> Option<[u64; 3]> {
    let parts: [&str; 3] = text.split(between).collect::<Vec<_>>().try_into().ok()?;
    let mut numbers = [0; 3];
    for ((number, part), length) in numbers.iter_mut().zip(parts).zip(lengths) {
        if part.len() != length || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *number = part.parse().ok()?;
    }
    Some(numbers)
}

const fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

const fn days_of_month(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_print_we_read() {
        for nanos in [0, 951_782_400_000_000_000, 1_700_000_009_123_456_000, 4_102_444_799_999_999_000] {
            let time = Timestamp::from_nanos(nanos);
            assert_eq!(parse_rfc3339(&time.rfc3339().to_string()), Some(time));
        }
    }

    #[test]
    fn wrong_times_are_refused() {
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
