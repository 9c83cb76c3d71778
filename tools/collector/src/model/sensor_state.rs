//! States of sensors: each with its cause and its next step, the one place that words them.
//!
//! Readings of a sensor can be any numbers and texts: numbers are compared and divided in 128 bits, and only bounded texts come out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Sensor, SessionInfo};

/// Time for which a reading says that a sensor sees frames. Sensors send one at least each 240 s.
pub const SIGHT_SPAN: Duration = Duration::from_secs(300);
/// Share of the bytes of its interfaces, in thousandths, below which a sensor is blind.
pub const MIN_SEEN_PERMILLE: u64 = 950;
/// Difference of clocks above which a clock is wrong, in milliseconds.
pub const MAX_CLOCK_OFF_MS: u64 = 5_000;

/// State of a sensor; the order is that of the list of problems, the worst first.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum SensorState {
    /// Shut out by an operator.
    Revoked,
    /// Enrolled, and has not connected since.
    NeverConnected,
    /// No sign for [`Standing::silence`].
    Offline,
    /// Not heard, and it is too early to call it offline: the collector has just started, or the connection has just ended.
    Returning,
    /// No frames, or less than [`MIN_SEEN_PERMILLE`] of the bytes of its interfaces.
    Blind,
    /// Alerts wait in its spool.
    Behind,
    /// Its clock and that of the collector differ by more than [`MAX_CLOCK_OFF_MS`].
    ClockWrong,
    /// An older version than the collector, or one that does not tell what it sees.
    Outdated,
    /// Has connected before; whether it is connected now only the running collector knows.
    Seen,
    /// Has a session, is heard, and none of the above.
    Connected,
}

impl SensorState {
    /// Every state.
    pub const ALL: [Self; 10] = [
        Self::Revoked,
        Self::NeverConnected,
        Self::Offline,
        Self::Returning,
        Self::Blind,
        Self::Behind,
        Self::ClockWrong,
        Self::Outdated,
        Self::Seen,
        Self::Connected,
    ];

    /// Name in every interface.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::NeverConnected => "never_connected",
            Self::Offline => "offline",
            Self::Returning => "returning",
            Self::Blind => "blind",
            Self::Behind => "behind",
            Self::ClockWrong => "clock_wrong",
            Self::Outdated => "outdated",
            Self::Seen => "seen",
            Self::Connected => "connected",
        }
    }

    /// Returns true if the sensor has a session and is heard.
    #[must_use]
    pub const fn is_heard(self) -> bool {
        matches!(self, Self::Blind | Self::Behind | Self::ClockWrong | Self::Outdated | Self::Connected)
    }
}

/// Reason for a state, in words.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    /// The state that it makes.
    pub state: SensorState,
    /// Cause, as a clause: `no sign for 3 min`.
    pub cause: String,
    /// Next step of the operator; empty if there is nothing to do.
    pub next: &'static str,
}

/// Figures of the readings of a sensor that came in this process.
#[derive(Clone, Copy, Debug)]
pub struct Sight {
    /// Arrival of the first of the readings that followed each other within [`SIGHT_SPAN`].
    pub first_at: Instant,
    /// Arrival of the latest one.
    pub read_at: Instant,
    /// Arrival of the latest one with more analysed frames than the one before it.
    pub frames_at: Option<Instant>,
    /// Share of the bytes of its interfaces that was seen and not dropped, in thousandths; none with too little traffic.
    pub seen_permille: Option<u64>,
    /// Frames that the kernel dropped, of those in the same span, in thousandths.
    pub dropped_permille: u64,
    /// Its readings have the counters of visibility and clock.
    pub is_telling: bool,
    /// Its clock less that of the collector, in milliseconds.
    pub clock_off_ms: i64,
    /// Alerts that waited in its spool.
    pub waiting: u64,
    /// Some of them had waited at the reading before, or it is the first of the session.
    pub is_behind: bool,
    /// Place from 1 on, and percentage, of the interface that is seen least.
    pub worst: (u64, u64),
    /// Flow offloading of its firewall: 0 not known, 1 software, 2 hardware.
    pub flow_offload: u64,
}

/// End of the latest session of a sensor.
#[derive(Clone, Debug)]
pub struct SessionEnd {
    /// Time of it.
    pub at: Instant,
    /// Nothing had come for [`Standing::silence`] before it.
    pub was_silent: bool,
    /// Its reason.
    pub reason: Option<Arc<str>>,
}

/// Knowledge of a sensor that the running collector has beside the store.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Time for which it holds.
    pub now: Instant,
    /// Start of the process.
    pub started: Instant,
    /// Time without a sign after which a sensor is offline: 15 s.
    pub silence: Duration,
    /// Its session, if it has one.
    pub session: Option<SessionInfo>,
    /// End of the one before.
    pub ended: Option<SessionEnd>,
    /// Its readings.
    pub sight: Option<Sight>,
}

impl Standing {
    /// Time after the start for which sensors that have not come back are not offline: 60 s.
    fn return_span(&self) -> Duration {
        self.silence * 4
    }

    fn since(&self, at: Instant) -> Duration {
        self.now.saturating_duration_since(at)
    }

    /// Reasons against "connected" of a sensor that is not revoked, the worst first.
    #[must_use]
    pub fn problems(&self, sensor: &Sensor) -> Vec<Problem> {
        let mut found = Vec::new();
        match &self.session {
            None => found.extend(self.absence(sensor)),
            Some(session) if session.is_silent => found.push(Problem {
                state: SensorState::Offline,
                cause: format!("the connection stands, and no sign came for {}", span(self.silence)),
                next: OFFLINE,
            }),
            Some(session) => {
                found.extend(self.blindness(sensor, session));
                found.extend(self.backlog());
                found.extend(self.wrong_clock());
                found.extend(self.age(sensor));
            }
        }
        found
    }

    /// Absence of a session.
    fn absence(&self, sensor: &Sensor) -> Option<Problem> {
        let problem = |state, cause, next| Some(Problem { state, cause, next });
        if sensor.last_seen_at.is_none() && self.ended.is_none() {
            let cause = "enrolled, and has not connected yet".into();
            return problem(SensorState::NeverConnected, cause, NEVER);
        }
        let Some(ended) = &self.ended else {
            let up = self.since(self.started);
            return if up < self.return_span() {
                let cause = format!("the collector started {} ago", span(up));
                problem(SensorState::Returning, cause, "")
            } else {
                let cause = format!("has not come back since the collector started {} ago", span(up));
                problem(SensorState::Offline, cause, OFFLINE)
            };
        };
        let (gone, reason) = (self.since(ended.at), ended.reason.as_deref().unwrap_or("the session ended"));
        let cause = format!("{} ago: {reason}", span(gone));
        if gone < self.silence && !ended.was_silent {
            problem(SensorState::Returning, cause, "")
        } else {
            problem(SensorState::Offline, cause, OFFLINE)
        }
    }

    fn blindness(&self, sensor: &Sensor, session: &SessionInfo) -> Option<Problem> {
        let problem = |cause, next| Some(Problem { state: SensorState::Blind, cause, next });
        let Some(sight) = &self.sight else {
            let age = self.since(session.begun);
            let cause = format!("has not told for {} what it sees", span(age));
            return (age >= SIGHT_SPAN).then(|| problem(cause, TELLS_SELDOM))?;
        };
        // A sensor that came back after hours tells again at once.
        let age = self.since(sight.read_at.max(session.begun));
        if age >= SIGHT_SPAN {
            return problem(format!("has not told for {} what it sees", span(age)), TELLS_SELDOM);
        }
        let dark = self.since(sight.frames_at.unwrap_or(sight.first_at).max(session.begun));
        if dark >= SIGHT_SPAN {
            let cause = format!("has analysed no frame of {} for {}", interfaces(sensor), span(dark));
            return problem(cause, NO_FRAMES);
        }
        let seen = sight.seen_permille.filter(|seen| *seen < MIN_SEEN_PERMILLE)?;
        if sight.dropped_permille > 1_000 - MIN_SEEN_PERMILLE {
            let cause = format!(
                "sees {} %: the kernel drops {} % of its frames",
                seen / 10,
                sight.dropped_permille / 10
            );
            return problem(cause, DROPS);
        }
        let worst = worst_interface(sensor, sight);
        match sight.flow_offload {
            0 => problem(format!("sees {} % of the bytes of its interfaces{worst}", seen / 10), HIDDEN),
            kind => {
                let kind = if kind == 1 { "software" } else { "hardware" };
                let cause = format!(
                    "sees {} % of the bytes of its interfaces{worst}: {kind} flow offload",
                    seen / 10
                );
                problem(cause, OFFLOAD)
            }
        }
    }

    fn backlog(&self) -> Option<Problem> {
        let sight = self.sight.as_ref().filter(|sight| sight.is_behind)?;
        let cause = format!("{} alerts wait in its spool", sight.waiting);
        Some(Problem { state: SensorState::Behind, cause, next: BEHIND })
    }

    fn wrong_clock(&self) -> Option<Problem> {
        let off = self.sight.as_ref().filter(|sight| sight.is_telling)?.clock_off_ms;
        let side = if off < 0 { "behind" } else { "ahead of" };
        let size = off.unsigned_abs();
        let cause =
            format!("its clock is {} {side} that of the collector", span(Duration::from_millis(size)));
        (size > MAX_CLOCK_OFF_MS).then_some(Problem { state: SensorState::ClockWrong, cause, next: CLOCK })
    }

    fn age(&self, sensor: &Sensor) -> Option<Problem> {
        let problem = |cause| Some(Problem { state: SensorState::Outdated, cause, next: OUTDATED });
        let own = env!("CARGO_PKG_VERSION");
        let is_older = version(&sensor.info.software).zip(version(own)).is_some_and(|(its, own)| its < own);
        if is_older {
            let its: String = sensor.info.software.chars().take(32).collect();
            return problem(format!("version {its}, and the collector is {own}"));
        }
        self.sight.filter(|sight| !sight.is_telling)?;
        problem("its version does not tell what share of its traffic it sees".into())
    }
}

const OFFLINE: &str = "look whether the device has power and a network, then at `sentinel status` on it";
const NEVER: &str =
    "run `sentinel enroll TOKEN` on the device; a new token: `sentinel-collector enroll --name NAME`";
const TELLS_SELDOM: &str = "set uplink_telemetry_s of the sensor to 60 or less";
const NO_FRAMES: &str = "look at `interface` and `filter` of the sensor, at the cable and the mirror port";
const DROPS: &str = "give the sensor a larger ring or another worker (ring_kib, workers), or a faster device";
const HIDDEN: &str =
    "capture on the bridge or on every port of it; `sentinel status` on the device names the parts";
const OFFLOAD: &str = "switch off flow_offloading in the settings of the firewall";
const BEHIND: &str =
    "wait; if the number does not fall, look at the line between the sensor and the collector";
const CLOCK: &str = "set up NTP on the device; if every sensor differs by as much, on the collector";
const OUTDATED: &str = "install the version of the collector on the device";

/// The leading numbers of a version, `1.2.3`; none if it does not begin with three.
fn version(text: &str) -> Option<[u32; 3]> {
    let core = text.split(['-', '+']).next()?;
    let mut parts = core.split('.').map(|part| part.parse::<u32>().ok());
    Some([parts.next()??, parts.next()??, parts.next()??])
}

/// Interfaces as the sensor named them, cut.
fn interfaces(sensor: &Sensor) -> String {
    let names: String = sensor.info.interfaces.chars().take(64).collect();
    if names.is_empty() { "its interfaces".into() } else { names }
}

/// `, 12 % of br-lan`, if the place is one of several in the list of its hello.
fn worst_interface(sensor: &Sensor, sight: &Sight) -> String {
    let (place, percent) = sight.worst;
    let mut names = sensor.info.interfaces.split(", ").filter(|name| !name.is_empty());
    let index = usize::try_from(place).ok().and_then(|place| place.checked_sub(1));
    let name: Option<String> =
        index.and_then(|index| names.nth(index)).map(|name| name.chars().take(32).collect());
    name.map(|name| format!(", {} % of {name}", percent.min(100))).unwrap_or_default()
}

/// A span in its largest unit: `3 min`.
fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// One row of the history of a sensor.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StateChange {
    /// Time at which it was noticed.
    pub at: sentinel_units::Timestamp,
    /// Name of the state, as the version that wrote it had it.
    pub state: String,
    /// Its cause.
    pub cause: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::open;

    const SECOND: Duration = Duration::from_secs(1);

    fn stored() -> Sensor {
        let directory = tempfile::tempdir().unwrap();
        let connection = open(&directory.path().join("db"));
        let mut sensor = crate::store::sensors::all(&connection).unwrap().remove(0);
        sensor.last_seen_at = Some(sentinel_units::Timestamp::from_parts(1, 0));
        sensor.info.interfaces = "eth0, br-lan".into();
        sensor.info.software = env!("CARGO_PKG_VERSION").into();
        sensor
    }

    /// A sensor that has had a session since `up` seconds and sees everything; the collector runs for twice as long.
    fn standing(up: u32) -> Standing {
        let begun = Instant::now();
        let now = begun + SECOND * up;
        let peer = std::net::SocketAddr::from(([192, 0, 2, 1], 1));
        let since = sentinel_units::Timestamp::ZERO;
        let sight = Sight {
            first_at: begun,
            read_at: now,
            frames_at: Some(now),
            seen_permille: Some(1_000),
            dropped_permille: 0,
            is_telling: true,
            clock_off_ms: 0,
            waiting: 0,
            is_behind: false,
            worst: (0, 0),
            flow_offload: 0,
        };
        Standing {
            now,
            started: begun,
            silence: SECOND * 15,
            session: Some(SessionInfo { peer, since, begun, frames_per_s: None, is_silent: false }),
            ended: None,
            sight: Some(sight),
        }
    }

    #[track_caller]
    fn check(standing: &Standing, sensor: &Sensor, state: Option<SensorState>, words: &str) {
        let problems = standing.problems(sensor);
        assert_eq!(problems.first().map(|problem| problem.state), state, "{problems:?}");
        let text = problems.first().map(|problem| problem.cause.as_str()).unwrap_or_default();
        assert!(text.contains(words), "{problems:?}");
    }

    #[test]
    fn a_sensor_without_frames_is_blind_after_five_minutes() {
        let sensor = stored();
        check(&standing(400), &sensor, None, "");
        let dark = |seconds: u32| {
            let mut standing = standing(400);
            let sight = standing.sight.as_mut().unwrap();
            sight.frames_at = Some(sight.read_at - SECOND * seconds);
            standing
        };
        check(&dark(299), &sensor, None, "");
        check(&dark(300), &sensor, Some(SensorState::Blind), "no frame of eth0, br-lan for 5 min");
        let mut seldom = standing(1_000);
        seldom.sight.as_mut().unwrap().read_at -= SECOND * 301;
        check(&seldom, &sensor, Some(SensorState::Blind), "has not told for 5 min what it sees");
        seldom.sight = None;
        check(&seldom, &sensor, Some(SensorState::Blind), "has not told for 16 min");
        let mut back = standing(10);
        back.sight.as_mut().unwrap().read_at = back.started; // of the session before, an hour ago
        back.now = back.started + SECOND * 10;
        check(&back, &sensor, None, "");
    }

    #[test]
    fn less_than_95_percent_is_blind_and_the_cause_is_named() {
        let sensor = stored();
        let seen = |permille, worst, flow_offload, dropped_permille| {
            let mut standing = standing(60);
            let sight = standing.sight.as_mut().unwrap();
            sight.seen_permille = Some(permille);
            (sight.worst, sight.flow_offload, sight.dropped_permille) =
                (worst, flow_offload, dropped_permille);
            standing
        };
        check(&seen(950, (0, 0), 0, 0), &sensor, None, "");
        let words = "sees 94 % of the bytes of its interfaces, 12 % of br-lan: hardware flow offload";
        check(&seen(949, (2, 12), 2, 0), &sensor, Some(SensorState::Blind), words);
        check(&seen(949, (2, 12), 0, 0), &sensor, Some(SensorState::Blind), "94 % of the bytes");
        check(&seen(500, (u64::MAX, u64::MAX), u64::MAX, 0), &sensor, Some(SensorState::Blind), "sees 50 %");
        check(&seen(500, (0, 0), 1, 500), &sensor, Some(SensorState::Blind), "the kernel drops 50 %");
    }

    #[test]
    fn absence_is_returning_first_and_offline_then() {
        let mut sensor = stored();
        let gone = |up, ended: Option<(u32, bool)>| {
            let mut standing = Standing { session: None, ..standing(up) };
            standing.ended = ended.map(|(seconds, was_silent)| SessionEnd {
                at: standing.now - SECOND * seconds,
                was_silent,
                reason: Some("the sensor closed the connection".into()),
            });
            standing
        };
        check(&gone(59, None), &sensor, Some(SensorState::Returning), "the collector started 59 s ago");
        check(&gone(60, None), &sensor, Some(SensorState::Offline), "has not come back");
        check(
            &gone(600, Some((14, false))),
            &sensor,
            Some(SensorState::Returning),
            "14 s ago: the sensor closed",
        );
        check(&gone(600, Some((15, false))), &sensor, Some(SensorState::Offline), "15 s ago");
        check(&gone(600, Some((1, true))), &sensor, Some(SensorState::Offline), "1 s ago");
        let mut silent = standing(600);
        silent.session.as_mut().unwrap().is_silent = true;
        check(&silent, &sensor, Some(SensorState::Offline), "no sign came for 15 s");
        sensor.last_seen_at = None;
        check(&gone(600, None), &sensor, Some(SensorState::NeverConnected), "has not connected yet");
    }

    #[test]
    fn clock_spool_and_version_each_have_their_state() {
        let mut sensor = stored();
        let with = |change: fn(&mut Sight)| {
            let mut standing = standing(60);
            change(standing.sight.as_mut().unwrap());
            standing
        };
        check(&with(|sight| sight.clock_off_ms = -5_000), &sensor, None, "");
        let behind = "5 s behind that of the collector";
        check(&with(|sight| sight.clock_off_ms = -5_001), &sensor, Some(SensorState::ClockWrong), behind);
        check(
            &with(|sight| sight.clock_off_ms = i64::MIN),
            &sensor,
            Some(SensorState::ClockWrong),
            "days behind",
        );
        let wait = |sight: &mut Sight| (sight.is_behind, sight.waiting) = (true, 41);
        check(&with(wait), &sensor, Some(SensorState::Behind), "41 alerts wait");
        check(&with(|sight| sight.is_telling = false), &sensor, Some(SensorState::Outdated), "does not tell");
        for (version, state) in
            [("0.0.9", Some(SensorState::Outdated)), ("99.0.0-rc1", None), ("unknown", None)]
        {
            sensor.info.software = version.into();
            check(&standing(60), &sensor, state, "");
        }
    }
}
