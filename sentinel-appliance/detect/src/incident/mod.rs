//! Life of incidents: findings of one test (of searches, of one kind), source and scope become one incident with an opening, updates at a limited rate,
//! and a closing. A simpler test of the kind that fires later is named from the next message on, a more severe one at once.

mod allow;
mod finding;
mod limits;

use sentinel_alert::{Alert, Evidence, Kind, Phase, Subject, Test};
use sentinel_units::Timestamp;

use crate::shared::event::Counted;
use finding::{keep_common, merge, tag_of};
use limits::OpeningBuckets;

pub use allow::{AllowRule, MAX_ALLOW_RULES, ParseAllowRuleError};
pub(crate) use finding::{Finding, scope};
pub use limits::IncidentLimits;

/// Receiver of what detectors find in one packet.
pub(crate) struct Findings<'r, 'm> {
    pub(crate) incidents: &'r mut Incidents<'m>,
    pub(crate) now: Timestamp,
    pub(crate) raise: &'r mut dyn FnMut(Alert),
}

impl Findings<'_, '_> {
    /// Adds a finding.
    #[inline(never)] // rare except under attack, and then one copy of it stays in the cache
    pub(crate) fn add(&mut self, finding: &Finding) {
        self.incidents.report(self.now, finding, self.raise);
    }

    /// Adds one more packet to the latest incident if it belongs there and no message is due: under a flood that is nearly
    /// every packet. Returns false, and changes nothing, otherwise.
    #[inline]
    pub(crate) fn bump_latest(&mut self, test: Test, packet: &Counted<'_>) -> bool {
        self.incidents.bump_latest(self.now, test, packet)
    }
}

/// Storage for one open incident.
#[derive(Clone, Debug, Default)]
pub struct Incident(Option<Open>);

#[derive(Clone, Debug)]
struct Open {
    number: u32,
    scope: u32,
    last: Timestamp,
    next_message: Timestamp,
    /// The alert as it would be sent now, but for its time and phase.
    alert: Alert,
}

/// Incidents at most. They are searched linearly, by a tag of four bytes each.
pub(crate) const MAX_INCIDENTS: usize = 128;

/// The open incidents.
///
/// When all slots are taken, the incident idle for longest is closed early to make room, which bumps
/// `closed_early`; later evidence of it opens a new incident.
#[derive(Debug)]
pub(crate) struct Incidents<'m> {
    slots: &'m mut [Incident],
    /// A hash of kind, source and scope for each slot, never zero; zero for an empty slot.
    tags: [u32; MAX_INCIDENTS],
    /// Slot of the incident that last received a packet.
    latest: usize,
    pub(crate) incident_limits: IncidentLimits,
    /// Number of the newest incident.
    last_id: u32,
    /// Distance from one number to the next.
    id_stride: u32,
    /// No incident expires before this.
    next_close: Timestamp,
    buckets: OpeningBuckets,
    closed_early: u64,
    open: u32,
    allow_rules: heapless::Vec<AllowRule, MAX_ALLOW_RULES>,
    /// Findings that a rule covers.
    allowed: u64,
}

impl<'m> Incidents<'m> {
    /// Over lent storage, of which at most [`MAX_INCIDENTS`] are used.
    pub(crate) fn new(slots: &'m mut [Incident], incident_limits: IncidentLimits) -> Self {
        let used = slots.len().min(MAX_INCIDENTS);
        let slots = slots.get_mut(..used).unwrap_or_default();
        slots.iter_mut().for_each(|slot| slot.0 = None);
        Self {
            slots,
            tags: [0; MAX_INCIDENTS],
            latest: 0,
            incident_limits,
            last_id: 0,
            id_stride: 1,
            next_close: Timestamp::MAX,
            buckets: OpeningBuckets::new(),
            closed_early: 0,
            open: 0,
            allow_rules: heapless::Vec::new(),
            allowed: 0,
        }
    }

    /// Assigns numbers that no other of `engines` engines assigns: index, index + engines, ...
    pub(crate) const fn set_id_stride(&mut self, index: u32, engines: u32) {
        self.last_id = index.wrapping_add(1).wrapping_sub(engines);
        self.id_stride = engines;
    }

    pub(crate) const fn closed_early(&self) -> u64 {
        self.closed_early
    }

    /// Findings that were expected.
    pub(crate) const fn allowed(&self) -> u64 {
        self.allowed
    }

    /// Takes over the rules of the operator; returns the number of those that did not fit. Open incidents that they cover get no further
    /// evidence, and close.
    pub(crate) fn set_allow_rules(&mut self, rules: &[AllowRule]) -> usize {
        self.allow_rules = rules.iter().take(MAX_ALLOW_RULES).cloned().collect();
        rules.len() - self.allow_rules.len()
    }

    pub(crate) const fn open(&self) -> u32 {
        self.open
    }

    /// Adds a finding to its incident, or opens one, and raises an alert if one is due.
    pub(crate) fn report(&mut self, now: Timestamp, finding: &Finding, raise: &mut dyn FnMut(Alert)) {
        if self.allow_rules.iter().any(|rule| rule.covers(finding)) {
            self.allowed += 1;
            return;
        }
        if self.touch(now, finding, raise)
            || self.is_part_of_flood(finding)
            || self.is_part_of_scan(finding)
            || self.is_part_of_exfiltration(finding)
        {
            return;
        }
        if self.buckets.take(finding.test.kind(), self.incident_limits.burst, now) {
            self.open_new(now, finding.clone(), raise);
            return;
        }
        // No token left: from here on new sources share one incident.
        let subject =
            Subject { source: None, source_port: None, mac: None, host: None, ..finding.subject.clone() };
        let shared = Finding { subject, scope: SHARED, ..finding.clone() };
        if !self.touch(now, &shared, raise) {
            self.open_new(now, shared, raise);
        }
    }

    /// Returns true if an incident of a flood on the same destination is open: a source of it that crosses the threshold per source is
    /// part of that behaviour, and gets no incident of its own; nor does a flood of one source that two tests name, or of which
    /// every fragment is a datagram to one of them.
    fn is_part_of_flood(&mut self, finding: &Finding) -> bool {
        let Some(flood) = finding.test.per_victim() else { return false };
        let is_same = |open: &Open| {
            let Alert { test, subject, severity, .. } = &open.alert;
            (*test == finding.test && open.scope.max(finding.scope) == LONE
                || *test == Test::FragmentFloodPerSource
                || finding.test == Test::FragmentFloodPerSource && test.per_victim().is_some())
                && subject.source == finding.subject.source
                && *severity >= finding.severity
        };
        let is_flood = |slot: &Incident| {
            slot.0.as_ref().is_some_and(|open| {
                (open.alert.test == flood || is_same(open))
                    && open.alert.subject.destination == finding.subject.destination
            })
        };
        // Under attack `latest` saves the search.
        if self.slots.get(self.latest).is_some_and(is_flood) {
            return true;
        }
        let found = self.slots.iter().position(is_flood);
        self.latest = found.unwrap_or(self.latest);
        found.is_some()
    }

    /// Returns true for a contact with a listed port by a source that is being reported as a scanner: it tries that port too; and for
    /// nonexistent domains of a host whose domains are being reported as generated; and for addresses that change, of a host that is being
    /// reported for data in its answers.
    fn is_part_of_scan(&self, finding: &Finding) -> bool {
        let is_whole = |test: Test| match finding.test {
            Test::SuspiciousPort => test.kind().is_search(),
            Test::NxdomainBurst => test == Test::DgaHost,
            Test::DnsRebinding | Test::FastFlux => test == Test::DnsTunnelBytesLeaked,
            _ => false,
        };
        let mut open = self.slots.iter().filter_map(|slot| slot.0.as_ref());
        open.any(|Open { alert, .. }| is_whole(alert.test) && alert.subject.source == finding.subject.source)
    }

    /// Returns true for a large transfer by a host whose exfiltration is being reported: it is that.
    fn is_part_of_exfiltration(&self, finding: &Finding) -> bool {
        let is_exfiltration = |open: &Open| {
            open.alert.test.kind() == Kind::Exfiltration
                && open.alert.subject.source == finding.subject.source
        };
        finding.test == Test::LargeTransfer
            && self.slots.iter().filter_map(|slot| slot.0.as_ref()).any(is_exfiltration)
    }

    /// Adds a packet to the latest incident. Returns false, and changes nothing, if it does not belong there.
    #[inline]
    fn bump_latest(&mut self, now: Timestamp, test: Test, packet: &Counted<'_>) -> bool {
        let Some(Incident(Some(open))) = self.slots.get_mut(self.latest) else { return false };
        let Alert { test: known, subject, evidence: Evidence::Packets { count, .. }, .. } = &mut open.alert
        else {
            return false;
        };
        let is_of = *known == test && open.scope == 0 && subject.source == Some(packet.source);
        if !is_of || now >= open.next_message {
            return false;
        }
        open.last = now;
        *count = count.saturating_add(1);
        keep_common(subject, Some(packet.destination), packet.destination_port, packet.sender);
        open.alert.suppressed = open.alert.suppressed.saturating_add(1);
        true
    }

    /// Adds a finding to its incident. Returns false if there is none.
    fn touch(&mut self, now: Timestamp, finding: &Finding, raise: &mut dyn FnMut(Alert)) -> bool {
        // Under attack, consecutive findings belong to one incident: `latest` saves the search. A stale index is harmless, because
        // `is_of` compares kind, source and scope with whatever incident the slot holds now.
        if !self.slots.get(self.latest).is_some_and(|slot| slot.is_of(finding)) {
            let tag = tag_of(finding);
            let mut slots = self.tags.iter().zip(self.slots.iter());
            let Some(found) = slots.position(|(held, slot)| *held == tag && slot.is_of(finding)) else {
                return false;
            };
            self.latest = found;
        }
        let Some(open) = self.slots.get_mut(self.latest).and_then(|slot| slot.0.as_mut()) else {
            return false;
        };
        open.last = now;
        let is_news = open.join(finding);
        let Subject { destination, destination_port, mac, .. } = &finding.subject;
        let sender = mac.as_ref().map(|mac| &mac.0);
        keep_common(&mut open.alert.subject, *destination, *destination_port, sender);
        if now < open.next_message && !is_news {
            // Held back; the next message carries the merged evidence and the number of messages that it stands for.
            open.alert.suppressed = open.alert.suppressed.saturating_add(1);
            return true;
        }
        open.next_message = now.after(self.incident_limits.update);
        raise(Alert { time: now, phase: Phase::Update, ..open.alert.clone() });
        open.alert.suppressed = 0;
        true
    }

    fn open_new(&mut self, now: Timestamp, finding: Finding, raise: &mut dyn FnMut(Alert)) {
        let tag = tag_of(&finding);
        if self.slots.iter().all(|slot| slot.0.is_some()) {
            let longest_idle = self
                .slots
                .iter()
                .enumerate()
                .min_by_key(|(_, slot)| slot.0.as_ref().map(|open| (open.last, open.number)))
                .map(|(index, _)| index);
            if let Some(open) = longest_idle.and_then(|index| self.take(index)) {
                self.closed_early += 1;
                close(open, now, raise);
            }
        }
        self.last_id = self.last_id.wrapping_add(self.id_stride);
        let Finding { test, severity, first, subject, evidence, scope, .. } = finding;
        let alert = Alert {
            time: now,
            first: first.min(now),
            test,
            severity,
            phase: Phase::Open,
            incident: self.last_id,
            suppressed: 0,
            subject,
            evidence,
        };
        raise(alert.clone());
        let mut slots = self.tags.iter_mut().zip(self.slots.iter_mut());
        if let Some((held, slot)) = slots.find(|(_, slot)| slot.0.is_none()) {
            *held = tag;
            let next_message = now.after(self.incident_limits.update);
            slot.0 = Some(Open { number: self.last_id, scope, last: now, next_message, alert });
            self.open += 1;
            self.next_close = self.next_close.min(now.after(self.incident_limits.idle_timeout));
        }
    }

    /// Empties a slot.
    fn take(&mut self, index: usize) -> Option<Open> {
        let open = self.slots.get_mut(index)?.0.take()?;
        if let Some(held) = self.tags.get_mut(index) {
            *held = 0;
        }
        self.open -= 1;
        Some(open)
    }

    /// Returns false if no incident reaches its idle timeout by `now`.
    #[inline]
    pub(crate) fn has_expired(&self, now: Timestamp) -> bool {
        now >= self.next_close
    }

    /// Makes [`Self::has_expired`] return true from this time on, if it does not before.
    pub(crate) fn wake_at(&mut self, at: Timestamp) {
        self.next_close = self.next_close.min(at);
    }

    /// Closes all, because the traffic ended at `now`. No closing is stamped later than that.
    pub(crate) fn close_all(&mut self, now: Timestamp, raise: &mut dyn FnMut(Alert)) {
        self.close_until(Timestamp::MAX, &mut |alert: Alert| {
            let time = alert.time.min(now.max(alert.first));
            raise(Alert { time, ..alert });
        });
    }

    /// Closes the incidents that have reached their idle timeout, earliest first.
    ///
    /// The closing carries the time at which the timeout was reached, not that of the packet or tick that caused the check.
    pub(crate) fn close_until(&mut self, now: Timestamp, raise: &mut dyn FnMut(Alert)) {
        loop {
            let earliest = self
                .slots
                .iter()
                .enumerate()
                .filter_map(|(index, slot)| slot.0.as_ref().map(|open| (open.last, open.number, index)))
                .min();
            let Some((last, _, index)) = earliest else {
                self.next_close = Timestamp::MAX;
                return;
            };
            let over_at = last.after(self.incident_limits.idle_timeout);
            // `next_close` is a lower bound: evidence only moves the end of an incident further away, so that the check in the
            // fast path is one comparison.
            if over_at > now {
                self.next_close = over_at;
                return;
            }
            if let Some(open) = self.take(index) {
                close(open, over_at, raise);
            }
        }
    }

    /// The clock was set back to `now`: closes incidents that are later, and refills all token buckets.
    pub(crate) fn clock_set_back(&mut self, now: Timestamp, raise: &mut dyn FnMut(Alert)) {
        self.buckets = OpeningBuckets::new();
        for index in 0..self.slots.len() {
            let is_later =
                self.slots.get(index).and_then(|slot| slot.0.as_ref()).is_some_and(|open| open.last > now);
            if is_later && let Some(open) = self.take(index) {
                let over_at = open.last.after(self.incident_limits.idle_timeout);
                close(open, over_at, raise);
            }
        }
    }
}

fn close(open: Open, time: Timestamp, raise: &mut dyn FnMut(Alert)) {
    raise(Alert { time, phase: Phase::Close, ..open.alert });
}

impl Open {
    /// Returns true if findings of `test` belong to the incident: those of its own test, and of a search those of all tests of the kind,
    /// because a scan that is suspected after four contacts is the one that has tried fifteen ports later.
    fn joins(&self, test: Test) -> bool {
        let own = self.alert.test;
        own == test || own.kind() == test.kind() && test.kind().is_search()
    }

    /// Adds a finding. Returns true if it is more severe than the messages before. If it is of a simpler test of the kind (tests are in
    /// that order), the alert has that test and its evidence from now on; other tests that join change nothing.
    fn join(&mut self, finding: &Finding) -> bool {
        let Alert { test, severity, evidence, .. } = &mut self.alert;
        let is_worse = finding.severity > *severity;
        if *test == finding.test {
            merge(evidence, &finding.evidence, finding.adds);
        } else if is_worse || test_index(finding.test) < test_index(*test) {
            (*test, *evidence) = (finding.test, finding.evidence.clone());
        }
        *severity = (*severity).max(finding.severity);
        is_worse
    }
}

/// Position of a test among those of all kinds.
fn test_index(test: Test) -> Option<usize> {
    Test::ALL.iter().position(|known| *known == test)
}

/// Scope of the incident of a flood of one source that the counts per victim found.
pub(crate) const LONE: u32 = 2;
/// Scope of the incident that sources share when there are too many of them.
const SHARED: u32 = u32::MAX;

impl Incident {
    /// Returns true if a finding belongs to the incident in this slot.
    #[inline]
    fn is_of(&self, finding: &Finding) -> bool {
        self.0.as_ref().is_some_and(|open| {
            open.scope == finding.scope
                && open.joins(finding.test)
                && open.alert.subject.source == finding.subject.source
        })
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use core::time::Duration;
    use sentinel_alert::Severity;
    use sentinel_units::{Address, Port};
    use std::vec;
    use std::vec::Vec;

    const LIMITS: IncidentLimits =
        IncidentLimits { idle_timeout: Duration::from_secs(60), update: Duration::from_secs(30), burst: 32 };

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
        let mut incidents = Incidents::new(&mut slots, LIMITS);
        let mut raised = Vec::new();
        for second in 100..=140 {
            incidents.report(at(second), &finding(1), &mut |alert| raised.push(alert));
        }
        incidents.close_until(at(199), &mut |alert| raised.push(alert));
        assert_eq!(raised.len(), 2);
        incidents.close_until(at(500), &mut |alert| raised.push(alert));
        let messages: Vec<_> =
            raised.iter().map(|alert| (alert.phase, alert.time, alert.suppressed, count(alert))).collect();
        assert_eq!(
            messages,
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
        let mut incidents = Incidents::new(&mut slots, LIMITS);
        let mut raised = Vec::new();
        for finding in [finding(1), finding(2), Finding { scope: 9, ..finding(1) }, finding(1)] {
            incidents.report(at(1), &finding, &mut |alert| raised.push(alert));
        }
        assert_eq!(raised.iter().map(|alert| alert.incident).collect::<Vec<_>>(), [1, 2, 3]);
        incidents.close_all(at(5), &mut |alert| raised.push(alert));
        assert!(raised.iter().all(|alert| alert.time <= at(5)), "a closing does not lie in the future");
        assert_eq!(raised.iter().filter(|alert| alert.phase == Phase::Close).count(), 3);
    }

    #[test]
    fn when_full_the_longest_idle_is_closed_early() {
        let mut slots = vec![Incident::default(); 2];
        let mut incidents = Incidents::new(&mut slots, LIMITS);
        let mut raised = Vec::new();
        for (second, source) in [(1, 1), (2, 2), (3, 1), (4, 3)] {
            incidents.report(at(second), &finding(source), &mut |alert| raised.push(alert));
        }
        let closed: Vec<_> = raised.iter().filter(|alert| alert.phase == Phase::Close).collect();
        assert_eq!(closed.len(), 1);
        assert_eq!(closed[0].subject.source, Some(Address::v4(2)));
        assert_eq!((incidents.closed_early(), incidents.open()), (1, 2));
    }

    #[test]
    fn closings_come_in_the_order_of_their_times() {
        let mut slots = vec![Incident::default(); 4];
        let mut incidents = Incidents::new(&mut slots, LIMITS);
        let mut raised = Vec::new();
        for (second, source) in [(5, 1), (3, 2), (4, 3)] {
            incidents.report(at(second), &finding(source), &mut |_| {});
        }
        incidents.close_until(at(1_000), &mut |alert| raised.push(alert));
        assert_eq!(raised.iter().map(|alert| alert.time).collect::<Vec<_>>(), [at(63), at(64), at(65)]);
    }

    #[test]
    fn of_several_destinations_none_is_named() {
        let mut slots = vec![Incident::default(); 4];
        let mut incidents = Incidents::new(&mut slots, LIMITS);
        let mut raised = Vec::new();
        for (second, destination, port) in [(0, 7, 80), (40, 7, 80), (80, 7, 22), (120, 8, 22)] {
            let subject = Subject {
                destination: Some(Address::v4(destination)),
                destination_port: Some(Port(port)),
                ..finding(1).subject
            };
            incidents.report(at(second), &Finding { subject, ..finding(1) }, &mut |alert| raised.push(alert));
        }
        let messages: Vec<_> = raised
            .iter()
            .map(|alert| (alert.subject.destination.is_some(), alert.subject.destination_port.is_some()))
            .collect();
        assert_eq!(messages, [(true, true), (true, true), (true, false), (false, false)]);
    }

    /// A hundred thousand spoofed sources once made two hundred thousand alerts.
    #[test]
    fn too_many_sources_share_one_incident() {
        let mut slots = vec![Incident::default(); MAX_INCIDENTS];
        let mut incidents = Incidents::new(&mut slots, LIMITS);
        let mut raised = Vec::new();
        for source in 0..100_000 {
            incidents.report(at(1), &finding(source), &mut |alert| raised.push(alert));
        }
        assert_eq!(raised.len(), 33);
        let shared = raised.last().unwrap();
        assert_eq!((shared.phase, shared.subject.source), (Phase::Open, None));
        raised.clear();
        incidents.close_until(at(1_000), &mut |alert| raised.push(alert));
        assert_eq!(raised.len(), 33, "each is closed");
        let shared = raised.iter().find(|alert| alert.subject.source.is_none()).unwrap();
        assert_eq!(count(shared), 200 + 100_000 - 33);
        // Later a new source has an incident of its own again.
        incidents.report(at(2_000), &finding(5), &mut |alert| raised.push(alert));
        assert_eq!(raised.last().unwrap().subject.source, Some(Address::v4(5)));
    }

    #[test]
    fn without_slots_every_finding_opens() {
        let mut incidents = Incidents::new(&mut [], LIMITS);
        let mut raised = 0;
        for second in 0..3 {
            incidents.report(at(second), &finding(1), &mut |_| raised += 1);
        }
        assert_eq!(raised, 3);
    }
}
