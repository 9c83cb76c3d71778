//! Figures of what a sensor sees, from its readings: differences of counters over a span, and the difference of the clocks.
//!
//! A reading that has smaller counters than the one before is of another run, or of interfaces that were made again: spans begin anew.

use std::time::{Duration, Instant};

use sentinel_units::Timestamp;
use sentinel_uplink::{Counter, Telemetry};

use crate::model::{SIGHT_SPAN, Sight};

/// Bytes and time after which the share of a span is taken and another span begins. A ring lags behind the counters of its interface by some
/// milliseconds: in four million bytes that is little.
const SPAN_BYTES: u64 = 4 << 20;
const SPAN_TIME: Duration = Duration::from_secs(60);
/// Bytes below which the whole time since the start of the sensor has no share either; the sensor uses the same limit.
const MIN_BYTES: u64 = 64 << 10;

/// Readings of one sensor in this process. Two of them are kept.
#[derive(Debug, Default)]
pub(super) struct SightSpans {
    latest: Option<(Telemetry, Sight)>,
    /// Reading at which the present span began.
    base: Option<(Telemetry, Instant)>,
    /// Share of the latest span that was long enough, in thousandths, with the dropped frames in it.
    share: Option<(u64, u64)>,
    /// Difference of the clocks at the latest reading, as it came.
    clock_off_ms: i64,
    /// A reading has come in the present session.
    has_reading: bool,
}

impl SightSpans {
    /// A session begins.
    pub(super) const fn begin(&mut self) {
        self.has_reading = false;
    }

    /// Figures of the latest reading.
    pub(super) fn sight(&self) -> Option<Sight> {
        self.latest.as_ref().map(|(_, sight)| *sight)
    }

    /// Takes a reading that came at `at`, when the clock of the collector showed `wall`.
    pub(super) fn record(&mut self, reading: &Telemetry, at: Instant, wall: Timestamp) {
        let before = self
            .latest
            .take()
            .filter(|(telemetry, _)| reading.value(Counter::UptimeMs) >= telemetry.value(Counter::UptimeMs));
        // Frames of an hour between two readings say nothing of the last minutes.
        let near = before.filter(|(_, sight)| at.saturating_duration_since(sight.read_at) <= SIGHT_SPAN);
        let has_frames =
            near.is_some_and(|(telemetry, _)| grown(&telemetry, reading, Counter::FramesAnalysed) > 0);
        let is_first = !std::mem::replace(&mut self.has_reading, true);
        let (seen_permille, dropped_permille) = self.shares(reading, at);
        let sight = Sight {
            first_at: near.map_or(at, |(_, sight)| sight.first_at),
            read_at: at,
            frames_at: if has_frames { Some(at) } else { near.and_then(|(_, sight)| sight.frames_at) },
            seen_permille,
            dropped_permille,
            is_telling: reading.value(Counter::ClockMs) > 0,
            clock_off_ms: self.clock_off(reading, wall, is_first),
            waiting: waiting(reading),
            is_behind: match before.filter(|_| !is_first) {
                None => waiting(reading) > 0,
                Some((telemetry, _)) => settled(reading) < telemetry.value(Counter::AlertsRaised),
            },
            worst: (reading.value(Counter::WorstInterface), reading.value(Counter::WorstInterfacePercent)),
            flow_offload: reading.value(Counter::FlowOffload),
        };
        self.latest = Some((*reading, sight));
    }

    /// Share of the bytes that was seen and not dropped, and of the frames that were dropped, in thousandths.
    fn shares(&mut self, reading: &Telemetry, at: Instant) -> (Option<u64>, u64) {
        const COUNTS: [Counter; 4] =
            [Counter::InterfaceBytes, Counter::HiddenBytes, Counter::FramesSeen, Counter::FramesDropped];
        let is_continued = |(base, _): &(Telemetry, Instant)| {
            COUNTS.iter().all(|counter| reading.value(*counter) >= base.value(*counter))
        };
        let base = self.base.filter(is_continued);
        if base.is_none() {
            self.share = None;
        }
        let (base, begun) = *self.base.insert(base.unwrap_or((*reading, at)));
        let [bytes, ..] = COUNTS.map(|counter| grown(&base, reading, counter));
        if bytes >= SPAN_BYTES {
            self.share = Some(share(COUNTS.map(|counter| grown(&base, reading, counter))));
            if at.saturating_duration_since(begun) >= SPAN_TIME {
                self.base = Some((*reading, at));
            }
        }
        let whole = COUNTS.map(|counter| reading.value(counter));
        let whole = (whole[0] >= MIN_BYTES).then(|| share(whole));
        let known = self.share.or(whole);
        (known.map(|(seen, _)| seen), known.map_or(0, |(_, dropped)| dropped))
    }

    /// Difference of the clocks. A reading that was under way for long makes a clock look late, so of two readings the one nearer to zero
    /// counts.
    fn clock_off(&mut self, reading: &Telemetry, wall: Timestamp, is_first: bool) -> i64 {
        let its = i128::from(reading.value(Counter::ClockMs));
        let off = its - i128::from(wall.as_micros() / 1_000);
        let off = i64::try_from(off).unwrap_or(i64::MAX);
        let before = std::mem::replace(&mut self.clock_off_ms, off);
        if is_first || off.unsigned_abs() <= before.unsigned_abs() { off } else { before }
    }
}

/// Bytes of the interfaces, hidden bytes, seen frames and dropped frames as shares in thousandths: seen and not dropped; dropped.
fn share([bytes, hidden, frames, dropped]: [u64; 4]) -> (u64, u64) {
    let permille = |part: u64, of: u64| u128::from(part.min(of)) * 1_000 / u128::from(of.max(1));
    let kept_bytes = 1_000 - permille(hidden, bytes);
    let lost_frames = permille(dropped, frames);
    let small = |value: u128| u64::try_from(value).unwrap_or(0); // at most 1,000
    (small(kept_bytes * (1_000 - lost_frames) / 1_000), small(lost_frames))
}

fn grown(before: &Telemetry, after: &Telemetry, counter: Counter) -> u64 {
    after.value(counter).saturating_sub(before.value(counter))
}

/// Alerts that are delivered or known to be lost.
fn settled(reading: &Telemetry) -> u64 {
    reading.value(Counter::AlertsDelivered).saturating_add(reading.value(Counter::AlertsEvicted))
}

fn waiting(reading: &Telemetry) -> u64 {
    reading.value(Counter::AlertsRaised).saturating_sub(settled(reading))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WALL_MS: u64 = 1_700_000_000_000;

    fn wall(seconds: u64) -> Timestamp {
        Timestamp::from_micros((WALL_MS + seconds * 1_000) * 1_000)
    }

    /// A reading `seconds` after the start: 100 frames and 100 KiB a second, of which a part is hidden.
    fn reading(seconds: u64, hidden_percent: u64) -> Telemetry {
        let mut reading = Telemetry::new();
        for (counter, value) in [
            (Counter::UptimeMs, seconds * 1_000),
            (Counter::FramesSeen, seconds * 100),
            (Counter::FramesAnalysed, seconds * 100),
            (Counter::InterfaceBytes, seconds * 102_400),
            (Counter::HiddenBytes, seconds * 1_024 * hidden_percent),
            (Counter::ClockMs, WALL_MS + seconds * 1_000),
        ] {
            reading.set(counter, value);
        }
        reading
    }

    /// The sight after readings at the given seconds.
    fn after(readings: &[(u64, Telemetry)]) -> Sight {
        let (mut sight_spans, start) = (SightSpans::default(), Instant::now());
        for (seconds, reading) in readings {
            sight_spans.record(reading, start + Duration::from_secs(*seconds), wall(*seconds));
        }
        sight_spans.sight().unwrap()
    }

    #[test]
    fn two_readings_show_frames_and_one_of_an_hour_later_does_not() {
        assert!(after(&[(30, reading(30, 0))]).frames_at.is_none());
        let sight = after(&[(30, reading(30, 0)), (60, reading(60, 0))]);
        assert_eq!((sight.frames_at, sight.seen_permille), (Some(sight.read_at), Some(1_000)));
        let sight = after(&[(30, reading(30, 0)), (60, reading(60, 0)), (3_660, reading(3_660, 0))]);
        assert!(sight.frames_at.is_none() && sight.first_at == sight.read_at);
    }

    /// Over the whole time since the start a part that is hidden from now on would show after hours only.
    #[test]
    fn what_is_hidden_from_now_on_shows_in_the_next_span() {
        let mut hidden = reading(3_660, 0);
        hidden.set(Counter::HiddenBytes, 60 * 102_400 / 2);
        let sight = after(&[(3_540, reading(3_540, 0)), (3_600, reading(3_600, 0)), (3_660, hidden)]);
        assert_eq!(sight.seen_permille, Some(500));
        assert_eq!(after(&[(60, reading(60, 6)), (120, reading(120, 6))]).seen_permille, Some(940));
    }

    #[test]
    fn dropped_frames_are_not_seen() {
        let mut lossy = reading(120, 0);
        lossy.set(Counter::FramesDropped, 3_000);
        let sight = after(&[(60, reading(60, 0)), (120, lossy)]);
        assert_eq!((sight.seen_permille, sight.dropped_permille), (Some(500), 500));
    }

    #[test]
    fn a_clock_counts_as_the_nearer_of_two_readings() {
        let late = |seconds, late_ms| {
            let mut reading = reading(seconds, 0);
            reading.set(Counter::ClockMs, WALL_MS + seconds * 1_000 - late_ms);
            reading
        };
        assert_eq!(after(&[(30, late(30, 9_000))]).clock_off_ms, -9_000);
        assert_eq!(after(&[(30, late(30, 0)), (60, late(60, 9_000))]).clock_off_ms, 0, "it was under way");
        let thrice = [(30, late(30, 0)), (60, late(60, 9_000)), (90, late(90, 9_000))];
        assert_eq!(after(&thrice).clock_off_ms, -9_000);
        assert_eq!(after(&[(30, late(30, 9_000)), (60, late(60, 2))]).clock_off_ms, -2);
    }

    #[test]
    fn alerts_that_waited_at_the_reading_before_make_it_behind() {
        let alerts = |seconds, raised, delivered| {
            let mut reading = reading(seconds, 0);
            reading.set(Counter::AlertsRaised, raised);
            reading.set(Counter::AlertsDelivered, delivered);
            (seconds, reading)
        };
        assert!(after(&[alerts(30, 5, 0)]).is_behind, "the first of a session");
        assert!(!after(&[alerts(30, 5, 5)]).is_behind);
        assert!(!after(&[alerts(30, 5, 5), alerts(60, 7, 5)]).is_behind, "under way");
        assert!(!after(&[alerts(30, 5, 5), alerts(60, 7, 5), alerts(90, 9, 7)]).is_behind);
        assert!(after(&[alerts(30, 5, 5), alerts(60, 7, 5), alerts(90, 9, 6)]).is_behind);
    }

    #[test]
    fn absurd_numbers_give_bounded_figures() {
        let mut worst = Telemetry::new();
        for counter in Counter::ALL {
            worst.set(counter, u64::MAX);
        }
        let other = Telemetry::new();
        for order in [[worst, other, worst], [other, worst, other], [worst, worst, worst]] {
            let sight = after(&[(0, order[0]), (30, order[1]), (60, order[2])]);
            assert!(sight.seen_permille.is_none_or(|seen| seen <= 1_000) && sight.dropped_permille <= 1_000);
        }
    }
}
