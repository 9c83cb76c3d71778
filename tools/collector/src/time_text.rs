//! Times and spans as people write them: RFC 3339, `15m`, `42 s ago`.

use std::time::Duration;

use sentinel_units::Timestamp;

/// A whole number and a unit: `90s`, `15m`, `24h`, `7d`.
#[must_use]
pub fn parse_span(text: &str) -> Option<Duration> {
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

/// `2025-05-15T10:30:01[.123456]Z` (RFC 3339 section 5.6 with the offset Z), years 1970 to 2500.
#[must_use]
pub fn parse_rfc3339(text: &str) -> Option<Timestamp> {
    let body = text.strip_suffix(['Z', 'z'])?;
    let (seconds, fraction) = body.split_once('.').unwrap_or((body, ""));
    let [date, time] = seconds.split(['T', 't', ' ']).collect::<Vec<_>>().try_into().ok()?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
    let in_range = (1970..=2500).contains(&year)
        && (1..=12).contains(&month)
        && day >= 1
        && day <= days_of_month(year, month)
        && hour < 24
        && minute < 60
        && second < 61; // a leap second is second 60
    if !in_range || fraction.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nanos: u32 = if fraction.is_empty() { 0 } else { format!("{fraction:0<9}").parse().ok()? };
    let days: u64 = (1970..year).map(|year| if is_leap(year) { 366 } else { 365 }).sum::<u64>()
        + (1..month).map(|month| days_of_month(year, month)).sum::<u64>()
        + (day - 1);
    Some(Timestamp::from_parts(days * 86_400 + hour * 3_600 + minute * 60 + second, nanos))
}

/// An elapsed span in its largest unit: `42 s ago`.
#[must_use]
pub fn ago(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0..120 => format!("{seconds} s ago"),
        120..7_200 => format!("{} min ago", seconds / 60),
        7_200..172_800 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} d ago", seconds / 86_400),
    }
}

fn numbers(text: &str, separator: char, lengths: [usize; 3]) -> Option<[u64; 3]> {
    let parts: [&str; 3] = text.split(separator).collect::<Vec<_>>().try_into().ok()?;
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
    fn every_time_that_is_printed_can_be_parsed() {
        for nanos in [0, 951_782_400_000_000_000, 1_700_000_009_123_456_000, 4_102_444_799_999_999_000] {
            let time = Timestamp::from_nanos(nanos);
            assert_eq!(parse_rfc3339(&time.rfc3339().to_string()), Some(time));
        }
    }

    #[test]
    fn spans_are_given_in_their_largest_unit() {
        let texts = [119, 120, 7_199, 7_200, 172_799, 172_800].map(|s| ago(Duration::from_secs(s)));
        assert_eq!(texts, ["119 s ago", "2 min ago", "119 min ago", "2 h ago", "47 h ago", "2 d ago"]);
    }
}
