//! Numbers as people write them: counts with their noun, spans of time.

use std::time::Duration;

/// `1 problem`, `2 problems`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// `0.5 s`, `12 s`, `5 min`: under ten seconds with a digit after the point, whole minutes from two minutes on.
pub(crate) fn span(span: Duration) -> String {
    let (seconds, tenths) = (span.as_secs(), span.subsec_millis() / 100);
    match seconds {
        0..10 if tenths > 0 || seconds == 0 => format!("{seconds}.{tenths} s"),
        0..120 => format!("{seconds} s"),
        _ => format!("{} min", seconds / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_singular() {
        assert_eq!(
            [0, 1, 2].map(|number| count(number, "problem")),
            ["0 problems", "1 problem", "2 problems"]
        );
    }

    #[test]
    fn spans_have_the_unit_that_people_use() {
        for (millis, expected) in [
            (0, "0.0 s"),
            (250, "0.2 s"),
            (1_000, "1 s"),
            (1_500, "1.5 s"),
            (12_700, "12 s"),
            (119_999, "119 s"),
            (300_000, "5 min"),
        ] {
            assert_eq!(span(Duration::from_millis(millis)), expected);
        }
    }
}
