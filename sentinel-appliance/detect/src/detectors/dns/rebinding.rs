//! `dns_rebinding`: a name of the Internet moves to an address inside, so that a page of it reaches devices at home.
//!
//! Read first: "Protecting Browsers from DNS Rebinding Attacks" (Jackson, Barth, Bortz, Shao, Boneh, CCS 2007); RFC 1918, RFC 4193,
//! RFC 3927.
//!
//! | test | condition | severity |
//! |---|---|---|
//! | `dns_rebinding` | a name was answered for a client with a public address, and then within a day by the same resolver, or in the same answer, with one of the inside, the host itself or the link | as configured; low if the resolver gives that address for several domains |
//!
//! The move of one name counts: a page may only talk to the name that it came from. A name that only ever has addresses inside
//! is ordinary (media servers, routers, resolvers with a view of their own), and so is one that had such an address first. Each
//! client and each resolver counts for itself, because two resolvers may answer differently for good. Both addresses are of one
//! family, IPv4 inside IPv6 being IPv4: names that test the connection have a public IPv4 and a unique local IPv6 address.
//!
//! Resolvers that block, parents' filters, portals and routers without a line give one address for whatever is asked for. So the
//! claim waits for half a minute: if the resolver has given the address for at least three registered domains within a day by then, it
//! is low. Who owns three domains can have that excuse, and is still reported.
//!
//! Not seen: names whose public answer came before the sensor or was evicted (the newest answer of a set stays); a public
//! IPv4 and an internal IPv6 address; public addresses of one's own network.

use core::time::Duration;

use sentinel_alert::{Kind, Severity, Test};
use sentinel_units::{Address, Timestamp};

use super::answers::Reach;
use super::lookup::Lookup;
use super::suffix::Labels;
use crate::incident::{Finding, Findings};
use crate::registry::{Detector, DetectorConfig, thresholds};
use crate::shared::rate::Activation;

thresholds! {
    /// Thresholds of `dns_rebinding`.
    Thresholds {
        domains: "domains", default 3, 2 to 32,
            "registered domains that a resolver answers with one internal address from which it is taken for a filter or a portal";
        hours: "h", default 24, 1 to 720,
            "time for which a public answer is remembered";
    }
}

/// Name that a client was answered for by a resolver.
#[derive(Clone, Copy, Debug, Default)]
pub struct AnsweredName {
    /// Hash of client, resolver and name; zero if the entry is empty.
    tag: u32,
    /// Minute of the newest answer, which wraps in 45 days.
    minute: u16,
    /// Reaches of its addresses.
    reaches: u8,
}

/// Entries that a name may be in.
const WAYS: usize = 4;
/// Time for which the claim waits for other names with the same address.
const WAIT: Duration = Duration::from_secs(30);
/// Addresses inside that are watched.
const TARGETS: usize = 8;

/// Bits of [`AnsweredName::reaches`]: public and internal by IPv4, the same by IPv6, of the newest answer of each family; and that the
/// first one of the family was internal.
const PUBLIC: u8 = 1;
const INTERNAL: u8 = 2;
const V6_SHIFT: u8 = 2;
const FIRST_SHIFT: u8 = 4;
/// Both families.
const BOTH: u8 = PUBLIC | PUBLIC << V6_SHIFT;

/// Internal address that a resolver gives, and the domains that it gives it for.
#[derive(Clone, Copy, Debug, Default)]
struct Target {
    /// Hash of resolver and address; zero if the entry is empty.
    tag: u32,
    /// Minute of the newest answer.
    minute: u16,
    /// Linear count of the domains: a bit each.
    domains: u32,
}

/// Claim that waits.
#[derive(Debug)]
struct Claim {
    due: Timestamp,
    target: u32,
    finding: Finding,
}

/// Names and their public answers. Capacity: the entries lent, in sets of four; the oldest of a set is evicted, which is counted if it
/// was answered within the last minute.
#[derive(Debug)]
pub(crate) struct DnsRebinding<'m> {
    names: &'m mut [AnsweredName],
    targets: [Target; TARGETS],
    claims: [Option<Claim>; 2],
    evictions: u64,
    activation: Activation,
    thresholds: Thresholds,
}

/// Addresses of one answer by their reaches.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reaches {
    bits: u8,
    /// The first internal address.
    internal: Option<Address>,
}

impl Reaches {
    #[inline]
    pub(super) fn add(&mut self, reach: Reach, address: Address) {
        self.bits |= match reach {
            Reach::Public => PUBLIC,
            Reach::PublicV6 => PUBLIC << V6_SHIFT,
            Reach::Internal => INTERNAL,
            Reach::InternalV6 => INTERNAL << V6_SHIFT,
            Reach::Other => return,
        };
        if matches!(reach, Reach::Internal | Reach::InternalV6) {
            self.internal.get_or_insert(address);
        }
    }
}

impl<'m> DnsRebinding<'m> {
    pub(crate) const DETECTOR: Detector = Detector {
        kind: Kind::DnsRebinding,
        about: "a name had a public address and then has one inside; or, at low severity, so have several domains at once",
        source: "Jackson et al. 2007; a day: pages stay open; three domains: filters and portals answer for all, a rebinding service for its own",
        severity: Severity::Medium,
        thresholds: Thresholds::SETTINGS,
        ports: None,
    };

    pub(super) fn new(names: &'m mut [AnsweredName], config: &DetectorConfig) -> Self {
        Self {
            names,
            targets: [Target::default(); TARGETS],
            claims: [None, None],
            evictions: 0,
            activation: config.into(),
            thresholds: config.into(),
        }
    }

    pub(super) fn configure(&mut self, config: &DetectorConfig) {
        (self.activation, self.thresholds) = (config.into(), config.into());
    }

    pub(super) const fn evictions(&self) -> u64 {
        self.evictions
    }

    /// Takes an answer with addresses. `name_hash` is that of the client and the name.
    #[inline]
    pub(super) fn answer(
        &mut self,
        lookup: &Lookup<'_>,
        (name_hash, server_hash): (u32, u32),
        reaches: Reaches,
        findings: &mut Findings<'_, '_>,
    ) {
        if !self.activation.enabled || reaches.bits == 0 {
            return;
        }
        let key = lookup.setting.key;
        let tag = key.with(name_hash, server_hash).max(1);
        let minute = minute(lookup);
        let limit = u16::try_from(self.thresholds.hours * 60).unwrap_or(u16::MAX);
        let sets = self.names.len() / WAYS;
        let Some(start) = usize::try_from(name_hash).unwrap_or(0).checked_rem(sets) else { return };
        let Some(set) = self.names.get_mut(start * WAYS..start * WAYS + WAYS) else { return };
        let age =
            |entry: &AnsweredName| if entry.tag == 0 { u16::MAX } else { minute.wrapping_sub(entry.minute) };
        let before = if let Some(entry) = set.iter_mut().find(|entry| entry.tag == tag && age(entry) < limit)
        {
            entry.minute = minute;
            let before = entry.reaches;
            entry.reaches = renewed(before, reaches.bits);
            before
        } else {
            let Some(oldest) = set.iter_mut().max_by_key(|entry| age(entry)) else { return };
            self.evictions += u64::from(age(oldest) == 0);
            *oldest = AnsweredName { tag, minute, reaches: renewed(0, reaches.bits) };
            0
        };
        if let Some(internal) = reaches.internal {
            self.internal(lookup, (before, reaches.bits), internal, findings);
        }
    }

    /// Takes an answer with an internal address.
    #[cold]
    fn internal(
        &mut self,
        lookup: &Lookup<'_>,
        (before, now): (u8, u8),
        internal: Address,
        findings: &mut Findings<'_, '_>,
    ) {
        let key = lookup.setting.key;
        let mut labels = Labels::new();
        if lookup.labels(&mut labels).is_none() {
            return;
        }
        let target = key.with(key.address(internal), key.address(lookup.ends.server)).max(1);
        self.note(target, lookup.question.domain, minute(lookup));
        // By either family: it was public before or is at the same time, and the internal one is new.
        let moved = (before | now) & now >> 1 & !(before >> 1) & BOTH;
        if moved == 0 || self.claims.iter().flatten().any(|claim| claim.target == target) {
            return;
        }
        // A name that is internal at home and comes back from elsewhere.
        let is_home = moved & before >> FIRST_SHIFT != 0;
        let weak = self.activation.weak_severity(&Self::DETECTOR);
        let severity = if is_home { weak } else { self.activation.severity };
        let due = lookup.setting.now.after(WAIT);
        findings.incidents.wake_at(due);
        let finding = lookup.finding(
            (Test::DnsRebinding, severity),
            (lookup.setting.now, lookup.question.domain),
            [1, 0, 0, 0],
            (internal, &labels, ""),
        );
        let claim = Claim { due, target, finding };
        // A free place, or that of the older one, which is reported without more waiting.
        let place = self.claims.iter_mut().min_by_key(|claim| claim.as_ref().map(|claim| claim.due));
        if let Some(older) = place.and_then(|place| place.replace(claim)) {
            self.report(older, findings);
        }
    }

    /// Counts a domain for the address that it was answered with.
    fn note(&mut self, tag: u32, domain: u32, minute: u16) {
        let limit = u16::try_from(self.thresholds.hours * 60).unwrap_or(u16::MAX);
        let found = self.targets.iter().position(|target| target.tag == tag);
        let index = found.or_else(|| {
            let evidence = |target: &Target| {
                let is_old = minute.wrapping_sub(target.minute) >= limit;
                if is_old { 0 } else { target.domains.count_ones() }
            };
            let targets = self.targets.iter().enumerate();
            targets.min_by_key(|(_, target)| evidence(target)).map(|(index, _)| index)
        });
        let Some(target) = index.and_then(|index| self.targets.get_mut(index)) else { return };
        if found.is_none() || minute.wrapping_sub(target.minute) >= limit {
            *target = Target { tag, ..Target::default() };
        }
        target.minute = minute;
        target.domains |= 1 << (domain % 32);
    }

    /// Reports the claims that have waited long enough.
    pub(super) fn expire(&mut self, now: Timestamp, findings: &mut Findings<'_, '_>) {
        for index in 0..self.claims.len() {
            let Some(slot) = self.claims.get_mut(index) else { return };
            if let Some(claim) = slot.take_if(|claim| now >= claim.due) {
                self.report(claim, findings);
            } else if let Some(claim) = slot {
                findings.incidents.wake_at(claim.due);
            }
        }
    }

    fn report(&self, Claim { target: tag, mut finding, .. }: Claim, findings: &mut Findings<'_, '_>) {
        let target = self.targets.iter().find(|target| target.tag == tag);
        if target.is_some_and(|target| target.domains.count_ones() >= self.thresholds.domains) {
            finding.severity = finding.severity.min(self.activation.weak_severity(&Self::DETECTOR));
        }
        findings.add(&finding);
    }
}

/// Reaches of a name after an answer; `before` is zero for the first one.
fn renewed(before: u8, now: u8) -> u8 {
    // Families of the answer, and those that no answer had before.
    let families = (now | now >> 1) & BOTH;
    let new = families & !(before | before >> 1);
    let first = new & !now;
    before & !(families | families << 1) | now | first << FIRST_SHIFT
}

fn minute(lookup: &Lookup<'_>) -> u16 {
    u16::try_from((lookup.second() / 60) & 0xffff).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::super::names::tests::{answer, ask, exchange, opened, sensor};
    use super::*;
    use sentinel_alert::Severity;
    use std::format;
    use std::string::ToString;
    use std::vec::Vec;

    use crate::testkit::{CLIENT, OUTSIDE, Sensor, other, udp};

    const KIND: Kind = Kind::DnsRebinding;
    const PUBLIC_ADDRESS: &str = "203.0.113.9";

    /// Answers to one client, for a name each, at their times; the severities of what is opened.
    fn told(answers: &[(u64, &str, &[&str])]) -> Vec<Severity> {
        let mut sensor = sensor(KIND);
        for (id, (millis, name, addresses)) in (1..).zip(answers) {
            exchange(&mut sensor, *millis, CLIENT, id, name, &answer(id, name, 0, 1, addresses));
        }
        sensor.finish();
        opened(&sensor, KIND).into_iter().map(|alert| alert.severity).collect()
    }

    #[test]
    fn a_name_that_moves_inside_is_claimed_after_half_a_minute() {
        let mut sensor = sensor(KIND);
        let name = "login.rebind.example.com";
        for (id, millis, address) in [(1, 0, PUBLIC_ADDRESS), (2, 5_000, "192.168.1.1")] {
            exchange(&mut sensor, millis, CLIENT, id, name, &answer(id, name, 0, 1, &[address]));
        }
        sensor.tick(34_000);
        assert!(sensor.raised.is_empty(), "{:?}", sensor.raised);
        sensor.tick(35_100);
        let [alert] = opened(&sensor, KIND)[..] else { panic!("{:?}", sensor.raised) };
        assert_eq!(alert.severity, Severity::Medium);
        assert_eq!(
            alert.summary().to_string(),
            "10.20.30.11 asked for login.rebind.example.com, which was answered with public addresses and with 192.168.1.1"
        );
    }

    #[test]
    fn every_range_inside_counts_and_every_family_for_itself() {
        for inside in
            ["10.1.2.3", "127.0.0.1", "0.0.0.0", "169.254.169.254", "172.16.0.9", "::ffff:192.168.1.1"]
        {
            let answers = [(0, "a.example.com", &[PUBLIC_ADDRESS][..]), (900, "a.example.com", &[inside])];
            assert_eq!(told(&answers), [Severity::Medium], "{inside}");
        }
        for inside in ["fd00::1", "fe80::1", "::1", "::"] {
            let answers = [(0, "a.example.com", &["2001:db8::9"][..]), (900, "a.example.com", &[inside])];
            assert_eq!(told(&answers), [Severity::Medium], "{inside}");
        }
        // Names that test the connection of Windows.
        let probe = [
            (0, "dns.msftncsi.com", &["131.107.255.255"][..]),
            (9, "dns.msftncsi.com", &["fd3e:4f5a:5b81::1"]),
        ];
        assert_eq!(told(&probe), []);
        assert_eq!(
            told(&[(0, "a.example.com", &[PUBLIC_ADDRESS]), (900, "a.example.com", &["198.18.0.5"])]),
            []
        );
    }

    #[test]
    fn both_in_one_answer_are_a_move() {
        assert_eq!(told(&[(0, "a.example.com", &[PUBLIC_ADDRESS, "192.168.1.1"])]), [Severity::Medium]);
        assert_eq!(told(&[(0, "a.example.com", &["192.168.1.1", PUBLIC_ADDRESS])]), [Severity::Medium]);
    }

    #[test]
    fn names_that_only_have_addresses_inside_are_ordinary() {
        let plex = "192-168-1-9.0123456789abcdef.plex.direct";
        assert_eq!(told(&[(0, plex, &["192.168.1.9"]), (9_000, plex, &["192.168.1.9"])]), []);
        let other = [(0, "203-0-113-9.0f.plex.direct", &[PUBLIC_ADDRESS][..]), (9, plex, &["192.168.1.9"])];
        assert_eq!(told(&other), [], "another name of the domain");
        let home = [(0, "nas.lan", &[PUBLIC_ADDRESS][..]), (9, "nas.lan", &["192.168.1.9"])];
        assert_eq!(told(&home), [], "no name of the Internet");
        let out = [(0, "a.example.com", &["192.168.1.9"][..]), (9, "a.example.com", &[PUBLIC_ADDRESS])];
        assert_eq!(told(&out), [], "outwards");
    }

    #[test]
    fn a_name_that_comes_back_home_is_no_claim() {
        let back = [
            (0, "nas.example.com", &["192.168.1.9"][..]),
            (9_000, "nas.example.com", &[PUBLIC_ADDRESS]),
            (18_000, "nas.example.com", &["192.168.1.9"]),
        ];
        assert_eq!(told(&back), [Severity::Low]);
        // An address inside of the other family does not excuse it.
        let excuse = [
            (0, "a.example.com", &["fd00::9"][..]),
            (5, "a.example.com", &[PUBLIC_ADDRESS]),
            (9_000, "a.example.com", &["192.168.1.1"]),
        ];
        assert_eq!(told(&excuse), [Severity::Medium]);
    }

    #[test]
    fn resolvers_and_clients_count_for_themselves() {
        let name = "nas.example.com";
        let mut sensor = sensor(KIND);
        sensor.frame(0, &udp((CLIENT, 40_000), (OUTSIDE, 53), &ask(1, name)));
        sensor.frame(5, &udp((OUTSIDE, 53), (CLIENT, 40_000), &answer(1, name, 0, 60, &[PUBLIC_ADDRESS])));
        exchange(&mut sensor, 900, other(1), 2, name, &answer(2, name, 0, 60, &[PUBLIC_ADDRESS]));
        exchange(&mut sensor, 999, CLIENT, 3, name, &answer(3, name, 0, 60, &["192.168.1.9"]));
        sensor.finish();
        assert!(sensor.raised.is_empty(), "{:?}", sensor.raised);
    }

    /// A router without a line answers everything with its own address, and all names move at once.
    #[test]
    fn portals_and_filters_are_no_claim() {
        let night = |domains: u16| {
            let names: Vec<_> = (0..domains).map(|number| format!("www.site{number}.com")).collect();
            let mut answers: Vec<(u64, &str, &[&str])> = Vec::new();
            answers.extend(names.iter().map(|name| (0, name.as_str(), &[PUBLIC_ADDRESS][..])));
            let at = |number: u64| 60_000 + 9_000 * number;
            answers.extend(
                names.iter().zip(0..).map(|(name, number)| (at(number), name.as_str(), &["192.168.1.1"][..])),
            );
            told(&answers)
        };
        assert_eq!(night(1), [Severity::Medium]);
        assert_eq!(night(3), [Severity::Low]);
        // Blocked from the beginning, and one name later: the address is known for that.
        let mut answers: Vec<(u64, &str, &[&str])> = Vec::new();
        let ads = ["a.ads.com", "b.track.net", "c.pixel.org"];
        answers.extend(ads.map(|name| (0, name, &["0.0.0.0"][..])));
        answers.extend([
            (9, "www.example.com", &[PUBLIC_ADDRESS][..]),
            (3_600_000, "www.example.com", &["0.0.0.0"]),
        ]);
        assert_eq!(told(&answers), [Severity::Low]);
    }

    #[test]
    fn a_public_answer_is_forgotten_after_a_day() {
        let name = "a.example.com";
        let after =
            |hours: u64| told(&[(0, name, &[PUBLIC_ADDRESS]), (hours * 3_600_000, name, &["192.168.1.1"])]);
        assert_eq!((after(23), after(25)), (std::vec![Severity::Medium], std::vec![]));
    }

    #[test]
    fn answers_from_outside_that_nobody_asked_for_say_nothing() {
        let mut sensor = sensor(KIND);
        for address in [PUBLIC_ADDRESS, "192.168.1.1"] {
            sensor
                .frame(1, &udp((OUTSIDE, 53), (CLIENT, 40_000), &answer(1, "example.com", 0, 1, &[address])));
        }
        sensor.finish();
        assert!(sensor.raised.is_empty(), "{:?}", sensor.raised);
    }

    #[test]
    fn the_oldest_name_of_a_set_makes_room_and_is_counted_if_it_was_fresh() {
        let mut sensor = sensor(KIND);
        let ask_many = |sensor: &mut Sensor, millis: u64, from: u16| {
            for id in from..from + 1_500 {
                let name = format!("www.site{id}.com");
                let millis = millis + u64::from(id - from) * 30;
                exchange(sensor, millis, CLIENT, id, &name, &answer(id, &name, 0, 60, &[PUBLIC_ADDRESS]));
            }
        };
        ask_many(&mut sensor, 0, 0);
        let fresh = sensor.engine.losses().evictions;
        assert!((20..1_500).contains(&fresh), "{fresh}");
        let name = "a.example.com";
        exchange(&mut sensor, 200_000, CLIENT, 1, name, &answer(1, name, 0, 1, &[PUBLIC_ADDRESS]));
        exchange(&mut sensor, 201_000, CLIENT, 2, name, &answer(2, name, 0, 1, &["192.168.1.1"]));
        sensor.finish();
        assert_eq!(opened(&sensor, KIND).len(), 1);
    }

    #[test]
    fn claims_wait_side_by_side() {
        let mut sensor = sensor(KIND);
        for number in 1..=5_u16 {
            let (name, inside) = (format!("a.rebind{number}.com"), format!("192.168.1.{number}"));
            exchange(&mut sensor, 0, CLIENT, number, &name, &answer(number, &name, 0, 1, &[PUBLIC_ADDRESS]));
            let millis = 1_000 + u64::from(number);
            exchange(&mut sensor, millis, CLIENT, number, &name, &answer(number, &name, 0, 1, &[&inside]));
        }
        assert_eq!(opened(&sensor, KIND).len(), 3, "two wait");
        sensor.tick(31_100);
        assert_eq!(opened(&sensor, KIND).len(), 5);
    }
}
