//! `sentinel tune`: alerts that a change of the settings adds and removes in a capture file, or in the packets that the running sensor
//! has in memory.
//!
//! Both settings see the same frames in one pass: a file that is a pipe can be judged too. Memory: two engines, each of the
//! `memory_kib` of its settings, and the first alert of each incident.

use std::fmt::Write;
use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use sentinel_alert::{Alert, Phase, Subject, Test, json};
use sentinel_capture::file::Reader;
use sentinel_track::hash::HashKey;
use sentinel_units::{Address, Timestamp};

use crate::commands::ctl;
use crate::commands::read::FILE_SEED;
use crate::packets::input;
use crate::settings::Settings;
use crate::settings::lists::Lists;
use crate::system::clock;
use crate::terminal::count::count;
use crate::terminal::failure::Failure;
use crate::terminal::log;
use crate::terminal::output::{Output, alert_text};
use crate::worker::analyser::{Analyser, LiveConfig};

/// Arguments of `tune`.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) frames: Frames,
    /// NDJSON instead of text.
    pub(crate) json: bool,
}

/// Origin of the frames.
#[derive(Debug)]
pub(crate) enum Frames {
    /// A capture file, `-` for standard input.
    File(PathBuf),
    /// The packet memory of the running sensor, as far as its frames are not older than this.
    Last(Duration),
}

/// Reads a span of time: a whole number with `s`, `m`, `h` or `d`.
pub(crate) fn span(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    let number: u32 = number.parse().ok()?;
    Some(Duration::from_secs(u64::from(number) * seconds))
}

/// Compares the alerts of `before` and `after`.
///
/// # Errors
/// The file is damaged, or no sensor runs: then nothing is compared.
pub(crate) fn tune(request: &Request, before: &Settings, after: &Settings) -> Result<(), Failure> {
    let mut runs = [Run::new(before)?, Run::new(after)?];
    match &request.frames {
        Frames::File(file) => {
            read(input::open(file)?, &input::name(file), Timestamp::ZERO, &mut runs)?;
        }
        Frames::Last(span) => {
            let since = Timestamp::ZERO.after(clock::wall().since(Timestamp::ZERO.after(*span)));
            let memory = ctl::ask("packets 0 \n", &after.run_dir)?;
            match read(memory, "the sensor's answer", since, &mut runs)? {
                Some(first) => log::info(format_args!("packets in memory since {}", first.rfc3339())),
                None => {
                    return Err(Failure::new(format!(
                        "no packet of the last {} s is in memory",
                        span.as_secs()
                    )));
                }
            }
        }
    }
    let [before, after] = runs.map(Run::finish);
    let changes = compare(&before, &after);
    let mut output = Output::new();
    for (change, alert) in &changes {
        output.line(|line| {
            if request.json {
                write!(line, "{{\"change\":\"{}\",", change.name())?;
                json::write_members(alert, None, line)?;
                line.push('}');
                return Ok(());
            }
            write!(line, "{:<8} ", change.name())?;
            alert_text(alert, line)
        })?;
    }
    if !request.json {
        let of = |wanted: Change| changes.iter().filter(|(change, _)| *change == wanted).count();
        output.line(|line| {
            write!(line, "{} before, {} after:", incidents(before.len()), after.len())?;
            write!(line, " {} removed, {} added", of(Change::Removed), of(Change::Added))?;
            write!(line, ", {} of another severity", of(Change::Severity))
        })?;
    }
    output.flush()
}

fn incidents(number: usize) -> String {
    count(u64::try_from(number).unwrap_or(u64::MAX), "incident")
}

/// Engine with one of the two settings, and the opening alerts of its incidents.
struct Run {
    analyser: Box<Analyser>,
    opened: Vec<Alert>,
}

impl Run {
    fn new(settings: &Settings) -> Result<Self, Failure> {
        crate::settings::indicators::begin(settings)?;
        let live_config = LiveConfig::new(settings, &[], Lists::load(settings, settings)?);
        let analyser = Analyser::new(settings.memory_kib, HashKey::new(FILE_SEED), &live_config);
        Ok(Self { analyser, opened: Vec::new() })
    }

    fn step(&mut self, step: impl FnOnce(&mut Analyser, &mut dyn FnMut(Alert))) {
        let Self { analyser, opened } = self;
        step(analyser, &mut |alert| {
            if alert.phase == Phase::Open {
                opened.push(alert);
            }
        });
    }

    fn finish(mut self) -> Vec<Alert> {
        self.step(|analyser, raise| analyser.finish(raise));
        self.opened
    }
}

/// Gives the frames from the time `since` on to both; returns the time of the first.
fn read(
    source: impl Read,
    name: &str,
    since: Timestamp,
    runs: &mut [Run; 2],
) -> Result<Option<Timestamp>, Failure> {
    let wrong = |error: &dyn std::fmt::Display| Failure::new(format!("{name}: {error}"));
    let mut reader = Reader::open(source).map_err(|error| wrong(&error))?;
    let mut first = None;
    while let Some(frame) = reader.next().map_err(|error| wrong(&error))? {
        if frame.at < since {
            continue;
        }
        first = first.or(Some(frame.at));
        for run in &mut *runs {
            run.step(|analyser, raise| analyser.frame(&frame, raise));
        }
    }
    Ok(first)
}

/// Effect of the change on one incident.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Change {
    Removed,
    Added,
    /// Raised by both, with another severity; the alert is that of after the change.
    Severity,
}

impl Change {
    const fn name(self) -> &'static str {
        match self {
            Self::Removed => "removed",
            Self::Added => "added",
            Self::Severity => "severity",
        }
    }
}

/// Incidents that belong together: those of one test, source and hardware address. A threshold moves the time of an alert and so
/// its destination, if there are several; so these are not compared.
fn series(alert: &Alert) -> (Test, Option<Address>, Option<[u8; 6]>) {
    let Subject { source, mac, .. } = &alert.subject;
    (alert.test, *source, mac.as_ref().map(|mac| mac.0))
}

/// Changes in the order of time. Of a series, the first incident of one run belongs to the first of the other, and so on.
///
/// Compares every pair at most, which is little beside reading the file: an incident takes several frames.
fn compare<'a>(before: &'a [Alert], after: &'a [Alert]) -> Vec<(Change, &'a Alert)> {
    let mut unmatched: Vec<Option<&Alert>> = before.iter().map(Some).collect();
    let mut changes: Vec<(Change, &Alert)> = Vec::new();
    for new in after {
        let mut open = unmatched.iter_mut();
        match open.find_map(|slot| slot.take_if(|old| series(old) == series(new))) {
            Some(old) if old.severity == new.severity => {}
            Some(_) => changes.push((Change::Severity, new)),
            None => changes.push((Change::Added, new)),
        }
    }
    for old in unmatched.into_iter().flatten() {
        let place = changes.iter().take_while(|(_, alert)| alert.time <= old.time).count();
        changes.insert(place, (Change::Removed, old));
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use sentinel_alert::{Severity, testing};

    fn alert(second: u64, test: Test, severity: Severity) -> Alert {
        Alert { time: Timestamp::from_parts(second, 0), test, severity, ..testing::sample() }
    }

    #[test]
    fn a_span_is_a_number_with_a_unit() {
        let seconds = |text| span(text).map(|span| span.as_secs());
        assert_eq!(["90s", "30m", "24h", "7d"].map(seconds), [90, 1_800, 86_400, 604_800].map(Some));
        for wrong in ["", "h", "24", "1.5h", "-1h", "24 h", "1w", "4294967296s", "3µ"] {
            assert_eq!(span(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn incidents_of_one_series_are_matched_in_order() {
        use Severity::{High, Low, Medium};
        let (scan, flood) = (Test::PortScanPortsInWindow, Test::SynFloodPerSource);
        let before = [alert(1, scan, Medium), alert(5, flood, High), alert(9, scan, Medium)];
        let after = [alert(2, scan, Medium), alert(5, flood, Low), alert(7, Test::ArpSpoof, High)];
        let changes = compare(&before, &after);
        let seen: Vec<_> =
            changes.iter().map(|(change, alert)| (*change, alert.test, alert.severity)).collect();
        let expected = [
            (Change::Severity, flood, Low),
            (Change::Added, Test::ArpSpoof, High),
            (Change::Removed, scan, Medium),
        ];
        assert_eq!(seen, expected);
        assert!(compare(&before, &before).is_empty());
    }
}
