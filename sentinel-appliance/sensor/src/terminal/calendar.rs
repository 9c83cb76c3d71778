//! Dates in file names.

use std::fmt::{self, Write};

use sentinel_units::Timestamp;

use crate::terminal::zone::Zone;

/// Conversion that [`format()`] does not have; `None` for a percent sign at the end.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct UnknownConversion {
    pattern: String,
    conversion: Option<char>,
}

impl fmt::Display for UnknownConversion {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: %", self.pattern)?;
        if let Some(conversion) = self.conversion {
            write!(out, "{conversion}")?;
        }
        out.write_str(" is not known; %Y %m %d %H %M %S %y %j %s %b %a %F %T %% are")
    }
}

/// Replaces the conversions of `strftime(3)` in `pattern` by the parts of a date: `%Y %m %d %H %M %S %y %j %s %b %a %F
/// %T %%`, in local time of `zone`.
///
/// # Errors
/// A conversion is not one of these.
pub(crate) fn format(
    pattern: &str,
    at: Timestamp,
    zone: &Zone,
    out: &mut String,
) -> Result<(), UnknownConversion> {
    let local = zone.shift(at);
    let text = local.rfc3339().to_string();
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    let mut remaining = pattern.chars();
    while let Some(char) = remaining.next() {
        if char != '%' {
            out.push(char);
            continue;
        }
        match remaining.next() {
            Some('Y') => out.push_str(part(0, 4)),
            Some('y') => out.push_str(part(2, 4)),
            Some('m') => out.push_str(part(5, 7)),
            Some('d') => out.push_str(part(8, 10)),
            Some('H') => out.push_str(part(11, 13)),
            Some('M') => out.push_str(part(14, 16)),
            Some('S') => out.push_str(part(17, 19)),
            Some('F') => out.push_str(part(0, 10)),
            Some('T') => out.push_str(part(11, 19)),
            Some('s') => out.push_str(&at.as_secs().to_string()),
            Some('j') => {
                let _strings_take_all =
                    write!(out, "{:03}", day_of_year(part(0, 4), part(5, 7), part(8, 10)));
            }
            Some('b') => out.push_str(month_name(part(5, 7))),
            Some('a') => out.push_str(weekday(local)),
            Some('%') => out.push('%'),
            other => {
                return Err(UnknownConversion { pattern: pattern.to_owned(), conversion: other });
            }
        }
    }
    Ok(())
}

/// `20250515_103001`, UTC.
pub(crate) fn compact(at: Timestamp) -> String {
    let mut out = String::new();
    let _known_conversions = format("%Y%m%d_%H%M%S", at, Zone::UTC, &mut out);
    out
}

fn day_of_year(year: &str, month: &str, day: &str) -> u32 {
    const BEFORE: [u32; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let [year, month, day]: [u32; 3] = [year, month, day].map(|part| part.parse().unwrap_or(1));
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let before = usize::try_from(month).ok().and_then(|month| BEFORE.get(month.saturating_sub(1)).copied());
    before.unwrap_or(0) + day + u32::from(leap && month > 2)
}

fn month_name(month: &str) -> &'static str {
    const NAMES: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let index = month.parse::<usize>().unwrap_or(1).saturating_sub(1);
    NAMES.get(index).copied().unwrap_or_default()
}

/// 1970-01-01 was a Thursday.
fn weekday(at: Timestamp) -> &'static str {
    const NAMES: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let index = usize::try_from(at.as_secs() / 86_400 % 7).unwrap_or(0);
    NAMES.get(index).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_are_those_of_strftime() {
        // 2024-12-31 23:59:58 UTC was a Tuesday, the 366th day of its year.
        let at = Timestamp::from_parts(1_735_689_598, 5);
        for (pattern, expected) in [
            ("trace-%Y%m%d-%H%M%S.pcap", "trace-20241231-235958.pcap"),
            ("%F %T %y %j %s %b %a %%", "2024-12-31 23:59:58 24 366 1735689598 Dec Tue %"),
            ("no pattern", "no pattern"),
        ] {
            let mut out = String::new();
            format(pattern, at, Zone::UTC, &mut out).unwrap();
            assert_eq!(out, expected);
        }
        assert_eq!(compact(at), "20241231_235958");
        // 2023-03-01 was day 60, a Wednesday.
        let mut out = String::new();
        format("%j%a", Timestamp::from_parts(1_677_628_800, 0), Zone::UTC, &mut out).unwrap();
        assert_eq!(out, "060Wed");
    }

    #[test]
    fn an_unknown_conversion_is_named() {
        for (pattern, unknown) in [("a%Q", "%Q is not known"), ("a%", "% is not known")] {
            let error =
                format(pattern, Timestamp::ZERO, Zone::UTC, &mut String::new()).unwrap_err().to_string();
            assert!(error.contains(unknown), "{error}");
        }
    }
}
