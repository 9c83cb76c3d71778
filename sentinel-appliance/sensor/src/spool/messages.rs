//! Daily budget of messages: of each kind at most so many alerts go to the collector in 24 hours; the log keeps the others.
//!
//! Half of the budget of a kind is for sources inside (private addresses, RFC 1918 and RFC 4193), half for all others: noise from the
//! internet leaves what a host of the home network does to be told, and made-up inside sources leave the rest. Each half is
//! a token bucket that holds half of its tokens and gets the other half back within a day, so that no span of 24 hours sees more.
//! An opening takes two tokens, of which one is for its closing: no incident that the collector knows stays open there.

use std::time::Duration;

use sentinel_alert::{Alert, Kind, Phase};
use sentinel_units::{Address, Uptime};

const DAY: Duration = Duration::from_secs(86_400);
/// Open incidents that the collector knows, at most: eight workers with all their incidents open. Those of a limit that was switched on
/// while more were open stay open there.
const MAX_TOLD: usize = 1_024;

/// Token buckets of all kinds, and the open incidents that the collector knows.
#[derive(Debug)]
pub(super) struct MessageBudget {
    /// Alerts of one kind in 24 hours; 0 for no limit.
    daily: u32,
    /// For each kind, inside sources first: the time at which its bucket is full again (generic cell rate algorithm, ITU-T I.371).
    full_at: [[Uptime; 2]; Kind::ALL.len()],
    told: Vec<u32>,
}

impl MessageBudget {
    pub(super) const fn new(daily: u32) -> Self {
        Self { daily, full_at: [[Uptime::ZERO; 2]; Kind::ALL.len()], told: Vec::new() }
    }

    /// Changes the limit; what was sent before counts as it did.
    pub(super) const fn set_daily(&mut self, daily: u32) {
        self.daily = daily;
    }

    /// Returns true if the alert goes to the collector, and accounts for it.
    pub(super) fn admits(&mut self, alert: &Alert, now: Uptime) -> bool {
        // What the sensor says of itself comes from no traffic.
        if !alert.test.kind().is_detected() {
            return true;
        }
        let known = self.told.iter().position(|incident| *incident == alert.incident);
        match (alert.phase, known) {
            (Phase::Open, _) => {
                let is_told = self.take(alert, 2, now);
                if is_told && self.told.len() < MAX_TOLD {
                    self.told.push(alert.incident);
                }
                is_told
            }
            (Phase::Update, Some(_)) => self.take(alert, 1, now),
            (Phase::Close, Some(place)) => {
                self.told.swap_remove(place);
                true
            }
            (_, None) => self.daily == 0,
        }
    }

    /// Takes tokens from the bucket of the alert's kind and origin. Returns false if it has fewer.
    fn take(&mut self, alert: &Alert, tokens: u32, now: Uptime) -> bool {
        // Of two buckets each holds half of its daily tokens.
        let size = (self.daily / 4).max(2);
        let kind = alert.test.kind();
        let buckets =
            Kind::ALL.iter().position(|known| *known == kind).and_then(|at| self.full_at.get_mut(at));
        let [inside, outside] = match buckets {
            Some(buckets) if self.daily > 0 => buckets,
            _ => return true,
        };
        let full_at = if alert.subject.source.is_some_and(is_private) { inside } else { outside };
        let refilled_at = (*full_at).max(now).after(DAY / size * tokens);
        let has_tokens = refilled_at <= now.after(DAY);
        if has_tokens {
            *full_at = refilled_at;
        }
        has_tokens
    }
}

/// Returns true for the addresses of RFC 1918 and RFC 4193, and for those of a link.
fn is_private(address: Address) -> bool {
    match address.into() {
        std::net::IpAddr::V4(address) => address.is_private() || address.is_link_local(),
        std::net::IpAddr::V6(address) => address.is_unique_local() || address.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sentinel_alert::{Subject, Test, testing::sample};

    const INSIDE: u32 = 0x0a00_0001;
    const OUTSIDE: u32 = 0xcb00_7109;

    fn alert(incident: u32, phase: Phase, source: u32) -> Alert {
        let subject = Subject { source: Some(Address::v4(source)), ..Subject::default() };
        Alert { incident, phase, subject, ..sample() }
    }

    fn hours(hours: u64) -> Uptime {
        Uptime::ZERO.after(Duration::from_secs(3_600 * hours))
    }

    /// A day of openings each second and updates each half minute from both sides.
    #[test]
    fn no_day_has_more_messages_of_a_kind_than_the_budget() {
        for daily in [8, 60, 1_000_usize] {
            let mut budget = MessageBudget::new(u32::try_from(daily).unwrap());
            let mut sent = Vec::new();
            for second in 0..3 * 86_400_u32 {
                let now = Uptime::ZERO.after(Duration::from_secs(second.into()));
                let source = if second % 2 == 0 { INSIDE } else { OUTSIDE };
                for phase in [Phase::Open, Phase::Update, Phase::Close] {
                    if budget.admits(&alert(second, phase, source), now) {
                        sent.push(second);
                    }
                }
            }
            for (at, from) in sent.iter().enumerate() {
                let to = sent.partition_point(|second| *second < from + 86_400);
                assert!(to - at <= daily, "{daily}: {} from second {from}", to - at);
            }
            assert!(sent.len() > daily * 5 / 4, "{daily}: {}", sent.len());
        }
    }

    #[test]
    fn noise_from_outside_leaves_the_budget_of_inside_sources_and_of_other_kinds() {
        let mut budget = MessageBudget::new(60);
        let noise =
            (0..1_000).filter(|at| budget.admits(&alert(*at, Phase::Open, OUTSIDE), hours(0))).count();
        assert_eq!(noise, 7);
        assert!(budget.admits(&alert(2_000, Phase::Open, INSIDE), hours(0)));
        let other = Alert { test: Test::SynFloodPerSource, ..alert(2_001, Phase::Open, OUTSIDE) };
        assert!(budget.admits(&other, hours(0)));
        assert!(!budget.admits(&alert(2_002, Phase::Open, OUTSIDE), hours(1)));
        assert!(budget.admits(&alert(2_002, Phase::Open, OUTSIDE), hours(5)));
    }

    #[test]
    fn an_incident_that_the_collector_knows_is_closed_there_and_no_other_is() {
        let mut budget = MessageBudget::new(8);
        assert!(budget.admits(&alert(1, Phase::Open, INSIDE), hours(0)));
        assert!(!budget.admits(&alert(2, Phase::Open, INSIDE), hours(0)));
        for (incident, phase, expected) in [
            (1, Phase::Update, false),
            (2, Phase::Update, false),
            (2, Phase::Close, false),
            (1, Phase::Close, true),
            (1, Phase::Close, false),
        ] {
            assert_eq!(
                budget.admits(&alert(incident, phase, INSIDE), hours(0)),
                expected,
                "{incident} {phase}"
            );
        }
    }

    #[test]
    fn without_a_limit_every_message_of_a_known_incident_goes() {
        let mut budget = MessageBudget::new(0);
        for incident in 0..10_000 {
            for phase in [Phase::Open, Phase::Update, Phase::Update, Phase::Close] {
                assert!(budget.admits(&alert(incident, phase, OUTSIDE), hours(0)));
            }
        }
        let damage = Alert { test: Test::StateDamage, ..alert(1, Phase::Close, OUTSIDE) };
        assert!(MessageBudget::new(8).admits(&damage, hours(0)));
    }
}
