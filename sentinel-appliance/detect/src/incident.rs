//! Findings that belong together become one incident: an opening, updates at a limited rate, a closing.

use core::time::Duration;

use sentinel_alert::{Alert, Evidence, Phase, Severity, Subject, Test};
use sentinel_units::{Address, ByteCount, Port, Timestamp};

/// What a detector reports: evidence that is at or over its threshold.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub(crate) test: Test,
    pub(crate) severity: Severity,
    /// Start of the evidence, if it is older than this packet.
    pub(crate) first: Timestamp,
    pub(crate) subject: Subject,
    /// The numbers as an opening alert shows them.
    pub(crate) evidence: Evidence,
    /// What this finding adds to an incident that is open already, in the unit of the evidence.
    pub(crate) adds: u32,
    /// What tells incidents of one test and one source apart; zero if nothing does.
    pub(crate) scope: u32,
}

/// Storage for one open incident.
#[derive(Clone, Debug, Default)]
pub struct Incident(Option<Open>);

#[derive(Clone, Debug)]
struct Open {
    number: u32,
    scope: u32,
    last: Timestamp,
    last_message: Timestamp,
    /// The alert as it would be sent now, but for its time and phase.
    alert: Alert,
}

/// The open incidents.
///
/// When all slots are taken, the incident quiet for longest is closed early to make room, which bumps
/// `closed_early`; nothing is lost but the chance to go on with it.
#[derive(Debug)]
pub(crate) struct Incidents<'m> {
    slots: &'m mut [Incident],
    /// Silence after which an incident is over.
    pub(crate) quiet: Duration,
    /// Time between two messages of one incident.
    pub(crate) update: Duration,
    numbers: u32,
    /// No incident is over before this.
    next_close: Timestamp,
    closed_early: u64,
    open: u32,
}

impl<'m> Incidents<'m> {
    pub(crate) fn new(slots: &'m mut [Incident], quiet: Duration, update: Duration) -> Self {
        slots.iter_mut().for_each(|slot| slot.0 = None);
        Self { slots, quiet, update, numbers: 0, next_close: Timestamp::MAX, closed_early: 0, open: 0 }
    }

    pub(crate) const fn closed_early(&self) -> u64 {
        self.closed_early
    }

    pub(crate) const fn open(&self) -> u32 {
        self.open
    }

    /// Takes in a finding and raises an alert if one is due.
    pub(crate) fn report(&mut self, now: Timestamp, finding: Finding, raise: &mut impl FnMut(Alert)) {
        let update = self.update;
        if let Some(open) = self.slots.iter_mut().filter_map(|slot| slot.0.as_mut()).find(|open| {
            open.scope == finding.scope
                && open.alert.test == finding.test
                && open.alert.subject.source == finding.subject.source
        }) {
            open.last = now;
            merge(&mut open.alert.evidence, finding.evidence, finding.adds);
            open.alert.subject = finding.subject;
            if now.since(open.last_message) < update {
                open.alert.suppressed = open.alert.suppressed.saturating_add(1);
                return;
            }
            open.last_message = now;
            raise(Alert { time: now, phase: Phase::Update, ..open.alert.clone() });
            open.alert.suppressed = 0;
            return;
        }
        self.open_new(now, finding, raise);
    }

    fn open_new(&mut self, now: Timestamp, finding: Finding, raise: &mut impl FnMut(Alert)) {
        if self.slots.iter().all(|slot| slot.0.is_some()) {
            let quietest =
                self.slots.iter_mut().min_by_key(|slot| slot.0.as_ref().map(|open| (open.last, open.number)));
            if let Some(open) = quietest.and_then(|slot| slot.0.take()) {
                self.closed_early += 1;
                self.open -= 1;
                close(open, now, raise);
            }
        }
        self.numbers = self.numbers.wrapping_add(1);
        let Finding { test, severity, first, subject, evidence, scope, .. } = finding;
        let alert = Alert {
            time: now,
            first: first.min(now),
            test,
            severity,
            phase: Phase::Open,
            incident: self.numbers,
            suppressed: 0,
            subject,
            evidence,
        };
        raise(alert.clone());
        if let Some(slot) = self.slots.iter_mut().find(|slot| slot.0.is_none()) {
            slot.0 = Some(Open { number: self.numbers, scope, last: now, last_message: now, alert });
            self.open += 1;
            self.next_close = self.next_close.min(now.after(self.quiet));
        }
    }

    /// Closes the incidents that have been quiet for long enough, earliest first.
    ///
    /// The closing carries the time at which the silence was long enough, not the time of whatever
    /// packet or tick made us look.
    #[inline]
    pub(crate) fn expire(&mut self, now: Timestamp, raise: &mut impl FnMut(Alert)) {
        if now >= self.next_close {
            self.close_until(now, raise);
        }
    }

    /// Closes all, because the traffic has ended at `now`. No closing lies after that.
    pub(crate) fn close_all(&mut self, now: Timestamp, raise: &mut impl FnMut(Alert)) {
        self.close_until(Timestamp::MAX, &mut |alert: Alert| {
            let time = alert.time.min(now.max(alert.first));
            raise(Alert { time, ..alert });
        });
    }

    #[cold]
    fn close_until(&mut self, now: Timestamp, raise: &mut impl FnMut(Alert)) {
        loop {
            let earliest = self.slots.iter_mut().min_by_key(|slot| {
                slot.0.as_ref().map_or((Timestamp::MAX, u32::MAX), |open| (open.last, open.number))
            });
            let Some(slot) = earliest else { return };
            let Some(over_at) = slot.0.as_ref().map(|open| open.last.after(self.quiet)) else {
                self.next_close = Timestamp::MAX;
                return;
            };
            if over_at > now {
                self.next_close = over_at;
                return;
            }
            if let Some(open) = slot.0.take() {
                self.open -= 1;
                close(open, over_at, raise);
            }
        }
    }

    /// The clock was set back to `now`: incidents of the time it left are closed.
    pub(crate) fn clock_set_back(&mut self, now: Timestamp, raise: &mut impl FnMut(Alert)) {
        for slot in self.slots.iter_mut() {
            if let Some(open) = slot.0.take_if(|open| open.last > now) {
                self.open -= 1;
                let over_at = open.last.after(self.quiet);
                close(open, over_at, raise);
            }
        }
    }
}

fn close(open: Open, time: Timestamp, raise: &mut impl FnMut(Alert)) {
    raise(Alert { time, phase: Phase::Close, ..open.alert });
}

/// Adds a finding's evidence to what the incident holds: peaks stay, counts grow.
fn merge(total: &mut Evidence, finding: Evidence, adds: u32) {
    match (total, finding) {
        (Evidence::Ports { at_least, at_most, .. }, Evidence::Ports { at_least: now, .. }) => {
            *at_least = now.max(*at_least);
            *at_most = at_most.saturating_add(adds).max(*at_least);
        }
        (
            Evidence::Packets { count, .. }
            | Evidence::Attempts { count, .. }
            | Evidence::ListedPort { count, .. },
            _,
        ) => *count = count.saturating_add(adds.into()),
        (Evidence::Binding { before, after, changes }, Evidence::Binding { before: was, after: is, .. }) => {
            (*before, *after) = (was, is);
            *changes = changes.saturating_add(adds);
        }
        (Evidence::Name { length, count, suffix, .. }, Evidence::Name { length: now, suffix: seen, .. }) => {
            *count = count.saturating_add(adds.into());
            if now > *length {
                (*length, *suffix) = (now, seen);
            }
        }
        (Evidence::Bytes { count, .. }, _) => *count = ByteCount(count.0).plus(adds.into()),
        // A test always reports one sort of evidence, so that nothing else meets here.
        _ => {}
    }
}

/// A number that tells addresses and ports apart within one test and source.
pub(crate) fn scope(destination: Address, port: Port) -> u32 {
    let [a, b, c, d] = destination.words();
    let mixed = a.rotate_left(8) ^ b.rotate_left(16) ^ c.rotate_left(24) ^ d;
    mixed.wrapping_mul(0x9e37_79b1).rotate_left(16) ^ u32::from(port.0)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec;
    use std::vec::Vec;

    const QUIET: Duration = Duration::from_secs(60);
    const UPDATE: Duration = Duration::from_secs(30);

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_parts(seconds, 0)
    }

    fn finding(source: u32) -> Finding {
        Finding {
            test: Test::SynFloodPerSource,
            severity: Severity::High,
            first: at(0),
            subject: Subject { source: Some(Address::v4(source)), ..Subject::default() },
            evidence: Evidence::Packets { count: 200, threshold: 200, window_s: 5 },
            adds: 1,
            scope: 0,
        }
    }

    fn count(alert: &Alert) -> u64 {
        match alert.evidence {
            Evidence::Packets { count, .. } => count,
            _ => 0,
        }
    }

    #[test]
    fn an_incident_opens_updates_and_closes() {
        let mut slots = vec![Incident::default(); 4];
        let mut incidents = Incidents::new(&mut slots, QUIET, UPDATE);
        let mut raised = Vec::new();
        for second in 100..=140 {
            incidents.report(at(second), finding(1), &mut |alert| raised.push(alert));
        }
        incidents.expire(at(199), &mut |alert| raised.push(alert));
        assert_eq!(raised.len(), 2);
        incidents.expire(at(500), &mut |alert| raised.push(alert));
        let told: Vec<_> =
            raised.iter().map(|alert| (alert.phase, alert.time, alert.suppressed, count(alert))).collect();
        assert_eq!(
            told,
            [
                (Phase::Open, at(100), 0, 200),
                (Phase::Update, at(130), 29, 230),
                (Phase::Close, at(200), 10, 240),
            ]
        );
        assert!(raised.iter().all(|alert| alert.incident == 1 && alert.first == at(0)));
        assert_eq!(incidents.open(), 0);
    }

    #[test]
    fn sources_and_scopes_are_incidents_of_their_own() {
        let mut slots = vec![Incident::default(); 4];
        let mut incidents = Incidents::new(&mut slots, QUIET, UPDATE);
        let mut raised = Vec::new();
        for finding in [finding(1), finding(2), Finding { scope: 9, ..finding(1) }, finding(1)] {
            incidents.report(at(1), finding, &mut |alert| raised.push(alert));
        }
        assert_eq!(raised.iter().map(|alert| alert.incident).collect::<Vec<_>>(), [1, 2, 3]);
        incidents.close_all(at(5), &mut |alert| raised.push(alert));
        assert!(raised.iter().all(|alert| alert.time <= at(5)), "a closing does not lie in the future");
        assert_eq!(raised.iter().filter(|alert| alert.phase == Phase::Close).count(), 3);
    }

    #[test]
    fn when_full_the_quietest_is_closed_early() {
        let mut slots = vec![Incident::default(); 2];
        let mut incidents = Incidents::new(&mut slots, QUIET, UPDATE);
        let mut raised = Vec::new();
        for (second, source) in [(1, 1), (2, 2), (3, 1), (4, 3)] {
            incidents.report(at(second), finding(source), &mut |alert| raised.push(alert));
        }
        let closed: Vec<_> = raised.iter().filter(|alert| alert.phase == Phase::Close).collect();
        assert_eq!(closed.len(), 1);
        assert_eq!(closed[0].subject.source, Some(Address::v4(2)));
        assert_eq!((incidents.closed_early(), incidents.open()), (1, 2));
    }

    #[test]
    fn closings_come_in_the_order_of_their_times() {
        let mut slots = vec![Incident::default(); 4];
        let mut incidents = Incidents::new(&mut slots, QUIET, UPDATE);
        let mut raised = Vec::new();
        for (second, source) in [(5, 1), (3, 2), (4, 3)] {
            incidents.report(at(second), finding(source), &mut |_| {});
        }
        incidents.expire(at(1_000), &mut |alert| raised.push(alert));
        assert_eq!(raised.iter().map(|alert| alert.time).collect::<Vec<_>>(), [at(63), at(64), at(65)]);
    }

    #[test]
    fn without_slots_every_finding_opens() {
        let mut incidents = Incidents::new(&mut [], QUIET, UPDATE);
        let mut raised = 0;
        for second in 0..3 {
            incidents.report(at(second), finding(1), &mut |_| raised += 1);
        }
        assert_eq!(raised, 3);
    }
}
