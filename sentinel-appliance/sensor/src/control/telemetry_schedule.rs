//! Schedule of telemetry: often while something changes, rarely in quiet times.

use std::time::Duration;

use sentinel_units::Uptime;
use sentinel_uplink::{Counter, Telemetry};

/// Time without news after which a reading is sent all the same. With the heartbeats between, an idle connection stays below two bytes a
/// second (`PROTOCOL.md`, section 11). The collector says that a sensor sees its traffic for 5 minutes after a reading that shows it.
const QUIET_SPAN: Duration = Duration::from_secs(240);

/// Next reading of a connection, and the last one that was sent. The first reading is due at once.
#[derive(Debug, Default)]
pub(crate) struct TelemetrySchedule {
    /// Time of the next look at the counters.
    pub(crate) due: Uptime,
    sent: Option<Sent>,
}

#[derive(Debug)]
struct Sent {
    reading: Telemetry,
    /// Frames per second up to this reading; none for the first one.
    frame_rate: Option<u64>,
    at: Uptime,
}

impl TelemetrySchedule {
    /// Returns true if the reading is to be sent, and sets the time of the next look `interval` from now.
    pub(crate) fn take(&mut self, reading: &Telemetry, now: Uptime, interval: Duration) -> bool {
        self.due = now.after(interval);
        let mut frame_rate = None;
        if let Some(sent) = &self.sent {
            frame_rate = sent.rate_until(reading);
            if now.since(sent.at) < QUIET_SPAN && !sent.differs_from(reading, frame_rate) {
                return false;
            }
        }
        self.sent = Some(Sent { reading: *reading, frame_rate, at: now });
        true
    }
}

impl Sent {
    /// Frames per second from this reading to a later one; none if no time has passed.
    fn rate_until(&self, later: &Telemetry) -> Option<u64> {
        let grown = |counter| later.value(counter).saturating_sub(self.reading.value(counter));
        grown(Counter::FramesSeen).saturating_mul(1_000).checked_div(grown(Counter::UptimeMs))
    }

    /// Returns true for news: another loss, alert, incident or connection, or a frame rate that has halved or doubled. A sensor
    /// that sees nothing any more is news.
    fn differs_from(&self, reading: &Telemetry, frame_rate: Option<u64>) -> bool {
        let changed = reading.iter().zip(self.reading.iter()).any(|((counter, now), (_, before))| {
            now != before
                && !matches!(
                    counter,
                    Counter::UptimeMs
                        | Counter::FramesSeen
                        | Counter::FramesAnalysed
                        | Counter::FramesFiltered
                        | Counter::ResidentKib
                        | Counter::InterfaceBytes
                        | Counter::HiddenBytes
                        | Counter::WorstInterface
                        | Counter::WorstInterfacePercent
                        | Counter::ClockMs
                )
        });
        let doubled = |from: u64, to: u64| to > from.saturating_mul(2);
        changed
            || match (self.frame_rate, frame_rate) {
                (Some(before), Some(now)) => doubled(before, now) || doubled(now, before),
                _ => true,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(60);

    /// Looks once a minute at counters that `at` gives; minutes at which a reading is sent.
    fn sent(minutes: u64, at: impl Fn(u64, &mut Telemetry)) -> Vec<u64> {
        let mut schedule = TelemetrySchedule::default();
        let mut sent = Vec::new();
        for minute in 0..minutes {
            let now = Uptime::ZERO.after(INTERVAL * u32::try_from(minute).unwrap());
            assert!(now >= schedule.due, "minute {minute}");
            let mut reading = Telemetry::new();
            reading.set(Counter::UptimeMs, minute * 60_000);
            reading.set(Counter::FramesSeen, minute * 6_000);
            at(minute, &mut reading);
            if schedule.take(&reading, now, INTERVAL) {
                sent.push(minute);
            }
            assert_eq!(schedule.due, now.after(INTERVAL));
        }
        sent
    }

    #[test]
    fn quiet_times_need_a_reading_each_four_minutes() {
        let quiet = |minute: u64, reading: &mut Telemetry| reading.set(Counter::ClockMs, 1 + minute * 60_000);
        assert_eq!(sent(11, quiet), [0, 1, 5, 9], "the second gives the first rate");
    }

    #[test]
    fn losses_and_alerts_are_sent_at_the_next_look() {
        let lost = |minute, reading: &mut Telemetry| reading.set(Counter::FramesDropped, minute / 7);
        assert_eq!(sent(16, lost), [0, 1, 5, 7, 11, 14]);
        let raised = |minute, reading: &mut Telemetry| reading.set(Counter::AlertsRaised, minute);
        assert_eq!(sent(5, raised), [0, 1, 2, 3, 4]);
    }

    /// The frames end at minute 2: from minute 4 on the mean rate since the reading at minute 1 is less than half.
    #[test]
    fn a_sensor_that_sees_nothing_any_more_is_news() {
        let blind =
            |minute: u64, reading: &mut Telemetry| reading.set(Counter::FramesSeen, minute.min(2) * 6_000);
        assert_eq!(sent(6, blind), [0, 1, 4, 5]);
        let busy = |minute: u64, reading: &mut Telemetry| {
            reading.set(Counter::FramesSeen, if minute < 4 { minute } else { minute * 10 } * 6_000);
        };
        assert_eq!(sent(6, busy), [0, 1, 4]);
    }
}
