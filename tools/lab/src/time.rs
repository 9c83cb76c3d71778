//! Timestamps in the format of the programs.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Parses a timestamp such as `2025-05-15T10:30:01.123456Z` into the time since 1970; `None` for any other format.
#[must_use]
pub fn since_1970(text: &str) -> Option<Duration> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.splitn(3, '-').map(str::parse::<u64>);
    let mut next = || date.next()?.ok();
    let (year, month, day) = (next()?, next()?, next()?);
    let (clock, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let mut clock = clock.splitn(3, ':').map(str::parse::<u64>);
    let mut next = || clock.next()?.ok();
    let (hours, minutes, seconds) = (next()?, next()?, next()?);
    let micros: u64 = format!("{fraction:0<6}").get(..6)?.parse().ok()?;
    if !(1970..10_000).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Days of the civil calendar with years that begin in March, so that the leap day is the last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    let seconds = (days.checked_sub(719_468)?) * 86_400 + hours * 3_600 + minutes * 60 + seconds;
    Some(Duration::from_secs(seconds) + Duration::from_micros(micros))
}

/// Current time since 1970.
#[must_use]
pub fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_dates_are_parsed() {
        assert_eq!(since_1970("1970-01-01T00:00:00Z"), Some(Duration::ZERO));
        assert_eq!(since_1970("2000-03-01T00:00:00Z"), Some(Duration::from_secs(951_868_800)));
        assert_eq!(
            since_1970("2023-11-14T22:13:20.000250Z"),
            Some(Duration::from_secs(1_700_000_000) + Duration::from_micros(250))
        );
    }

    #[test]
    fn other_formats_are_rejected() {
        for text in ["", "2023-11-14", "2023-11-14T22:13:20", "2023-13-14T22:13:20Z", "yesterdayTnoonZ"] {
            assert_eq!(since_1970(text), None, "{text}");
        }
    }
}
