//! Local time: offset from UTC by `TZ`, `/etc/TZ` (OpenWrt) or `/etc/localtime`.
//!
//! Read first: POSIX.1-2017 section 8.3 (`TZ`), RFC 9636 (`TZif`). The C library's calendar is not used: `localtime(3)` is an unsafe
//! call.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sentinel_units::Timestamp;

/// A time zone.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Zone {
    /// Seconds since the epoch, ascending, and the offset in seconds from then on.
    transitions: Vec<(i64, i64)>,
    /// After the last transition.
    rule: Rule,
}

/// Value of `TZ`: offsets east of Greenwich in seconds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Rule {
    standard: i64,
    /// Offset in summer, its first day and its last.
    summer: Option<(i64, Change, Change)>,
}

/// Day of a change, and the second of that day in local time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Change {
    day: Day,
    second: i64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Day {
    /// Day of the year from 1; 29 February has no number.
    WithoutLeap(i64),
    /// Day of the year from 0.
    OfYear(i64),
    /// Month from 1, week from 1 (5 is the last), day of the week from Sunday 0.
    OfMonth(i64, i64, i64),
}

const DAY: i64 = 86_400;

impl Zone {
    /// UTC.
    pub(crate) const UTC: &'static Self =
        &Self { transitions: Vec::new(), rule: Rule { standard: 0, summer: None } };

    /// The zone of this process, read once at the start.
    pub(crate) fn local() -> &'static Self {
        let bytes = match std::env::var("TZ") {
            Ok(name) => {
                let name = name.strip_prefix(':').unwrap_or(&name);
                // Joining keeps a name that is an absolute path.
                read(&Path::new("/usr/share/zoneinfo").join(name))
                    .unwrap_or_else(|_| name.as_bytes().to_vec())
            }
            Err(_) => {
                read(Path::new("/etc/TZ")).or_else(|_| read(Path::new("/etc/localtime"))).unwrap_or_default()
            }
        };
        Self::parse(bytes.trim_ascii_end()).map_or(Self::UTC, |zone| Box::leak(Box::new(zone)))
    }

    /// The time in this zone, as a timestamp whose date in UTC is the local one.
    pub(crate) fn shift(&self, at: Timestamp) -> Timestamp {
        let offset = self.offset(i64::try_from(at.as_secs()).unwrap_or(i64::MAX));
        let nanos = offset.unsigned_abs().saturating_mul(1_000_000_000);
        Timestamp::from_nanos(if offset < 0 {
            at.as_nanos().saturating_sub(nanos)
        } else {
            at.as_nanos().saturating_add(nanos)
        })
    }

    fn offset(&self, at: i64) -> i64 {
        let after = self.transitions.partition_point(|(from, _)| *from <= at);
        if after == self.transitions.len() {
            return self.rule.offset(at);
        }
        // Before the first transition the first offset holds; that is long before packets were captured.
        self.transitions.get(after.saturating_sub(1)).map_or(0, |(_, offset)| *offset)
    }

    /// Parses a `TZif` file, or the text of `TZ`.
    fn parse(bytes: &[u8]) -> Option<Self> {
        if !bytes.starts_with(b"TZif") {
            return Some(Self { transitions: Vec::new(), rule: Rule::parse(bytes)? });
        }
        // The first block has times of 32 bits, the second of 64; files of version 1 have no second.
        let first = Counts::read(bytes)?;
        let bytes = bytes.get(HEADER_LEN + first.block_len(4)?..)?;
        let second = Counts::read(bytes)?;
        let (body, footer) = bytes.get(HEADER_LEN..)?.split_at_checked(second.block_len(8)?)?;
        let (times, body) = body.split_at_checked(second.times * 8)?;
        let (kinds, body) = body.split_at_checked(second.times)?;
        let mut transitions = Vec::with_capacity(second.times);
        for (time, kind) in times.as_chunks().0.iter().zip(kinds) {
            let record = body.get(usize::from(*kind) * 6..)?.first_chunk()?;
            transitions.push((i64::from_be_bytes(*time), i64::from(i32::from_be_bytes(*record))));
        }
        let rule = Rule::parse(footer.trim_ascii()).unwrap_or_else(|| Rule {
            standard: transitions.last().map_or(0, |(_, offset)| *offset),
            summer: None,
        });
        Some(Self { transitions, rule })
    }
}

/// Reads a file of at most 8 KiB; those of zones have 4 KiB.
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; 8_192];
    let length = File::open(path)?.read(&mut bytes)?;
    bytes.truncate(length);
    Ok(bytes)
}

const HEADER_LEN: usize = 44;

/// Counts in the header of a `TZif` block.
struct Counts {
    times: usize,
    types: usize,
    characters: usize,
    leaps: usize,
    indicators: usize,
}

impl Counts {
    fn read(bytes: &[u8]) -> Option<Self> {
        let header = bytes.get(..HEADER_LEN)?.strip_prefix(b"TZif")?;
        let count = |index: usize| {
            let bytes = header.get(16 + index * 4..)?.first_chunk()?;
            Some(usize::from(u16::try_from(u32::from_be_bytes(*bytes)).ok()?))
        };
        Some(Self {
            times: count(3)?,
            types: count(4)?,
            characters: count(5)?,
            leaps: count(2)?,
            indicators: count(0)? + count(1)?,
        })
    }

    /// Length of the block behind its header. No count exceeds 16 bits, so that this fits.
    fn block_len(&self, time_len: usize) -> Option<usize> {
        let Self { times, types, characters, leaps, indicators } = self;
        Some(times * (time_len + 1) + types * 6 + characters + leaps * (time_len + 4) + indicators)
    }
}

impl Rule {
    /// Parses `EST5EDT,M3.2.0,M11.1.0` and the like.
    fn parse(text: &[u8]) -> Option<Self> {
        let mut text = Text(text);
        text.name()?;
        let standard = -text.time()?;
        if text.name().is_none() {
            return text.0.is_empty().then_some(Self { standard, summer: None });
        }
        let summer =
            if matches!(text.0.first(), None | Some(b',')) { standard + 3_600 } else { -text.time()? };
        if text.0.is_empty() {
            text = Text(b",M3.2.0,M11.1.0"); // what the C libraries take
        }
        let changes = (text.change()?, text.change()?);
        text.0.is_empty().then_some(Self { standard, summer: Some((summer, changes.0, changes.1)) })
    }

    fn offset(&self, at: i64) -> i64 {
        let Some((summer, start, end)) = self.summer else { return self.standard };
        let days = (at + self.standard).max(0) / DAY;
        let mut year = 1_970 + days / 366;
        while first_day(year + 1) <= days {
            year += 1; // once for each 366 leap days since 1970
        }
        let start = start.at(year) - self.standard;
        let end = end.at(year) - summer;
        let is_summer = if start < end { (start..end).contains(&at) } else { !(end..start).contains(&at) };
        if is_summer { summer } else { self.standard }
    }
}

impl Change {
    /// Seconds from the epoch in local time.
    fn at(self, year: i64) -> i64 {
        let first = first_day(year);
        let day = match self.day {
            Day::OfYear(day) => first + day,
            Day::WithoutLeap(day) => first + day - 1 + i64::from(day > 59 && is_leap(year)),
            Day::OfMonth(month, week, day) => {
                let (start, next) = (first_of_month(year, month), first_of_month(year, month + 1));
                // 1970-01-01 was a Thursday.
                let mut day = start + (day - (start + 4) % 7 + 7) % 7 + (week - 1) * 7;
                if day >= next {
                    day -= 7;
                }
                day
            }
        };
        day * DAY + self.second
    }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// Days from 1970-01-01 to the first day of a year.
fn first_day(year: i64) -> i64 {
    let before = year - 1;
    365 * (year - 1_970) + before / 4 - before / 100 + before / 400 - 477
}

fn first_of_month(year: i64, month: i64) -> i64 {
    // 30.6 days a month from March on, which are 31 30 31 30 31 31 30 31 30 31.
    let in_year =
        if month < 3 { (month - 1) * 31 } else { (month * 306 - 324) / 10 + i64::from(is_leap(year)) };
    first_day(year) + in_year
}

/// Rest of the text of `TZ`.
struct Text<'t>(&'t [u8]);

impl Text<'_> {
    fn accept(&mut self, byte: u8) -> Option<()> {
        self.0 = self.0.strip_prefix(&[byte])?;
        Some(())
    }

    /// Three or more letters, or anything in angle brackets.
    fn name(&mut self) -> Option<()> {
        let length = if self.0.first() == Some(&b'<') {
            self.0.iter().position(|byte| *byte == b'>')? + 1
        } else {
            self.0.iter().take_while(|byte| byte.is_ascii_alphabetic()).count()
        };
        self.0 = self.0.get(length..).filter(|_| length >= 3)?;
        Some(())
    }

    fn number(&mut self) -> Option<i64> {
        let length = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, remaining) = self.0.split_at_checked(length).filter(|_| (1..=3).contains(&length))?;
        self.0 = remaining;
        Some(digits.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')))
    }

    /// `[+-]hh[:mm[:ss]]` in seconds.
    fn time(&mut self) -> Option<i64> {
        let is_negative = self.accept(b'-').is_some();
        if !is_negative {
            let _optional = self.accept(b'+');
        }
        let mut seconds = self.number()? * 3_600;
        for unit in [60, 1] {
            if self.accept(b':').is_none() {
                break;
            }
            seconds += self.number()? * unit;
        }
        Some(if is_negative { -seconds } else { seconds })
    }

    /// `,M3.2.0/2` and the like.
    fn change(&mut self) -> Option<Change> {
        self.accept(b',')?;
        let day = if self.accept(b'M').is_some() {
            let month = self.number().filter(|month| (1..=12).contains(month))?;
            self.accept(b'.')?;
            let week = self.number().filter(|week| (1..=5).contains(week))?;
            self.accept(b'.')?;
            Day::OfMonth(month, week, self.number().filter(|day| *day < 7)?)
        } else if self.accept(b'J').is_some() {
            Day::WithoutLeap(self.number()?)
        } else {
            Day::OfYear(self.number()?)
        };
        let second = if self.accept(b'/').is_some() { self.time()? } else { 7_200 };
        Some(Change { day, second })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offset(zone: &str, at: i64) -> i64 {
        Zone::parse(zone.as_bytes()).unwrap().offset(at)
    }

    /// Judged by `TZ=... date -d @SECONDS +%z`.
    #[test]
    fn offsets_are_those_of_the_text() {
        let (january, july) = (1_736_942_400, 1_752_580_800); // 2025-01-15 and 2025-07-15, 12:00
        for (zone, winter, summer) in [
            ("UTC0", 0, 0),
            ("CET-1CEST,M3.5.0,M10.5.0/3", 3_600, 7_200),
            ("EST5EDT,M3.2.0,M11.1.0", -18_000, -14_400),
            ("EST5EDT", -18_000, -14_400),
            ("AEST-10AEDT,M10.1.0,M4.1.0/3", 39_600, 36_000),
            ("<+0545>-5:45", 20_700, 20_700),
            ("IST-1GMT0,M10.5.0,M3.5.0/1", 0, 3_600),
            ("<-03>3<-02>,M3.5.0/-2,M10.5.0/-1", -10_800, -7_200),
            ("AAA0BBB,J100,J200/0", 0, 3_600),
            ("AAA0BBB,0/0,364/25", 3_600, 3_600),
        ] {
            assert_eq!((offset(zone, january), offset(zone, july)), (winter, summer), "{zone}");
        }
        // The seconds of the changes: 2024-03-31 01:00 and 2024-10-27 01:00 UTC, and in a leap year.
        let cet = "CET-1CEST,M3.5.0,M10.5.0/3";
        for (at, expected) in
            [(1_711_846_799, 3_600), (1_711_846_800, 7_200), (1_729_990_799, 7_200), (1_729_990_800, 3_600)]
        {
            assert_eq!(offset(cet, at), expected, "{at}");
        }
        assert_eq!(offset("AAA0BBB,J60/0,J61/0", 1_709_251_200), 3_600); // 2024-03-01 00:00
    }

    #[test]
    fn what_is_no_zone_is_refused() {
        for text in
            ["", "U", "UTC", "5", "CET-1CEST,M3.5.0", "CET-1CEST,M13.1.0,M1.1.0", "A-1", "UTC0 x", "<x"]
        {
            assert_eq!(Zone::parse(text.as_bytes()), None, "{text}");
        }
    }

    /// A file of two blocks: transitions at 0 and 100, and a footer.
    fn file() -> Vec<u8> {
        let header = |times: u32, types: u32| {
            let counts = [0, 0, 0, times, types, 4].map(u32::to_be_bytes).concat();
            [&b"TZif2"[..], &[0; 15], &counts].concat()
        };
        let types =
            [&3_600_i32.to_be_bytes()[..], &[0, 0], &7_200_i32.to_be_bytes(), &[1, 0], b"CET\0"].concat();
        let old = [header(0, 0), b"UTC\0".to_vec()].concat();
        let times = [0_i64, 100].map(i64::to_be_bytes).concat();
        [old, header(2, 2), times, vec![0, 1], types, b"\nEST5\n".to_vec()].concat()
    }

    #[test]
    fn files_have_transitions_and_a_rule_for_the_future() {
        let zone = Zone::parse(&file()).unwrap();
        assert_eq!([-1, 0, 99, 100, 101].map(|at| zone.offset(at)), [3_600, 3_600, 3_600, -18_000, -18_000]);
        for cut in 0..file().len() - 7 {
            assert_eq!(Zone::parse(&file()[..cut]), None, "{cut}");
        }
    }

    #[test]
    fn every_file_of_this_machine_is_read() {
        let Ok(bytes) = std::fs::read("/usr/share/zoneinfo/Europe/Berlin") else { return };
        let zone = Zone::parse(bytes.trim_ascii_end()).unwrap();
        // 1980-07-01, 1996-07-01, 2025-07-15, 2050-07-01.
        assert_eq!(
            [331_257_600, 836_179_200, 1_752_580_800, 2_540_246_400].map(|at| zone.offset(at)),
            [7_200; 4]
        );
        assert_eq!(
            zone.shift(Timestamp::from_parts(1_752_580_800, 7)),
            Timestamp::from_parts(1_752_588_000, 7)
        );
    }
}
