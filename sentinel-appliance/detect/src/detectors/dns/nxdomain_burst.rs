//! `nxdomain_burst`: a host asks for many domains that do not exist, in a short time.
//!
//! Read first: "Winning with DNS Failures: Strategies for Faster Botnet Detection" (Yadav, Reddy, 2011); RFC 8020 (what the answer
//! means); RFC 2308 section 3 (the answer names the start of authority).
//!
//! | test | condition | severity |
//! |---|---|---|
//! | `nxdomain_burst` | one host was told within the window of this many registered domains that they do not exist | as configured |
//!
//! Each registered domain counts once in a window, so that neither search lists (`printer.example.com`, `wpad.example.com`) nor block
//! lists, which are asked for thousands of names of one domain, come near. Names with one label, as browsers make up to test the
//! resolver, names of home networks and reverse names do not count. Distinct domains are counted by a bitmap with a keyed hash, whose
//! bits are a lower bound: 50 are reached by about 55 domains. Two windows of each host overlap by half: a burst within half a window
//! lies in one of them.
//!
//! A resolver that blocks advertisers says the same of them. Registries say who has the authority, filters mostly do not:
//! if half of the answers name none, the burst only counts while fewer answers than that had addresses, as is the case for malware
//! and not for a page full of advertisements. If a resolver tells everybody that nothing exists, nobody is accused: no answer had
//! records since the window began, and two more hosts were told of several domains.
//!
//! Not seen: less than the threshold in a window; with several workers, answers of which another worker saw the question.

use sentinel_alert::{Kind, Severity, Test};
use sentinel_units::{Address, Timestamp};

use super::lookup::Lookup;
use super::suffix::{Labels, is_data_service};
use crate::incident::Findings;
use crate::registry::{Detector, DetectorConfig, thresholds};
use crate::shared::rate::Activation;

thresholds! {
    /// Thresholds of `nxdomain_burst`.
    Thresholds {
        domains: "domains", default 50, 8 to 200,
            "distinct registered domains that do not exist, asked for by one host within the window";
        window_s: "s", default 60, 10 to 3_600,
            "time within which they count";
    }
}

/// Hosts watched at once. A new one takes the place of the one with the fewest domains.
const HOSTS: usize = 16;
/// Words of the bitmap of a window: 256 bits.
const WORDS: usize = 8;
/// Domains of another host, and such hosts, that make an outage.
const OUTAGE: (u16, usize) = (4, 2);

/// Domains that one host was told of since the beginning of a window.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    /// Second of the first, zero if there is none.
    start_s: u32,
    /// Answers with records for anybody, before it.
    existing: u32,
    bits: [u32; WORDS],
    domains: u16,
    /// Those of them whose answer named no authority.
    unproved: u16,
}

#[derive(Clone, Copy, Debug, Default)]
struct Host {
    client: Address,
    windows: [Window; 2],
}

impl Window {
    fn is_live(&self, now_s: u32, length_s: u32) -> bool {
        self.start_s != 0 && now_s.saturating_sub(self.start_s) < length_s
    }

    /// Begins anew if it is over, half a window after the other one at the earliest.
    fn renew(&mut self, other_s: u32, (now_s, length_s): (u32, u32), existing: u32) {
        if !self.is_live(now_s, length_s) {
            let is_due = now_s.saturating_sub(other_s) >= length_s / 2;
            *self = Self { start_s: if is_due { now_s } else { 0 }, existing, ..Self::default() };
        }
    }

    /// Adds a domain; returns true if it certainly is another than those before.
    fn add(&mut self, hash: u32, is_proved: bool) -> bool {
        let Some(word) = usize::try_from(hash / 32).ok().and_then(|index| self.bits.get_mut(index % WORDS))
        else {
            return false;
        };
        let is_new = *word & 1 << (hash % 32) == 0;
        *word |= 1 << (hash % 32);
        self.domains += u16::from(is_new);
        self.unproved += u16::from(is_new && !is_proved);
        is_new
    }
}

impl Host {
    fn domains(&self, now_s: u32, length_s: u32) -> u16 {
        let live = self.windows.iter().filter(|window| window.is_live(now_s, length_s));
        live.map(|window| window.domains).max().unwrap_or(0)
    }
}

/// Windows of the hosts that were told last.
#[derive(Debug)]
pub(crate) struct NxdomainBurst {
    hosts: [Host; HOSTS],
    /// Answers with records, of all hosts.
    existing: u32,
    evictions: u64,
    activation: Activation,
    thresholds: Thresholds,
}

impl NxdomainBurst {
    pub(crate) const DETECTOR: Detector = Detector {
        kind: Kind::NxdomainBurst,
        about: "a host asks for many domains that do not exist, in a short time",
        source: "Yadav, Reddy 2011 (failures of many domains are the earliest sign of generated names); people mistype one now and then, a page of advertisements that the resolver blocks has fewer",
        severity: Severity::Medium,
        thresholds: Thresholds::SETTINGS,
        ports: None,
    };

    pub(super) fn new(config: &DetectorConfig) -> Self {
        Self {
            hosts: [Host::default(); HOSTS],
            existing: 0,
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

    /// An answer with records, for whomever.
    #[inline]
    pub(super) const fn exists(&mut self) {
        self.existing = self.existing.wrapping_add(1);
    }

    /// An answer that a name does not exist.
    #[inline(never)] // few answers say so
    pub(super) fn nonexistent(&mut self, lookup: &Lookup<'_>, findings: &mut Findings<'_, '_>) {
        let mut labels = Labels::new();
        if !self.activation.enabled {
            return;
        }
        let Some(domain) = lookup.labels(&mut labels).and_then(|start| labels.get(start..)) else { return };
        if is_data_service(domain) {
            return;
        }
        let Thresholds { domains: limit, window_s } = self.thresholds;
        let (now_s, existing) = (lookup.second(), self.existing);
        // Number of authority records; of every answer of a registry one is its start of authority.
        let is_proved = lookup.bytes.get(8..10).is_some_and(|count| count != [0, 0]);
        let Some(host) = self.host(lookup.ends.client, now_s) else { return };
        let [first, second] = &mut host.windows;
        first.renew(second.start_s, (now_s, window_s), existing);
        second.renew(first.start_s, (now_s, window_s), existing);
        let mut reached = None;
        for window in &mut host.windows {
            if window.start_s != 0
                && window.add(lookup.question.domain, is_proved)
                && u32::from(window.domains) >= limit
            {
                reached = Some(*window);
            }
        }
        let Some(window) = reached else { return };
        let answered = existing.wrapping_sub(window.existing);
        let is_filter = window.unproved > window.domains / 2 && answered >= window.domains.into();
        if is_filter || answered == 0 && self.is_outage(lookup.ends.client, now_s) {
            return;
        }
        let first = Timestamp::from_parts(window.start_s.into(), 0);
        findings.add(&lookup.finding(
            (Test::NxdomainBurst, self.activation.severity),
            (first, 0),
            [window.domains.into(), 0, limit, window_s],
            (Address::UNSPECIFIED, domain, ""),
        ));
    }

    /// Entry of a host, new if there was none.
    fn host(&mut self, client: Address, now_s: u32) -> Option<&mut Host> {
        let window_s = self.thresholds.window_s;
        let found = self.hosts.iter().position(|host| host.client == client);
        let index = found.or_else(|| {
            // Of equals the last, so that hosts with a domain each take one another's place.
            let hosts = self.hosts.iter().enumerate().rev();
            hosts.min_by_key(|(_, host)| host.domains(now_s, window_s)).map(|(index, _)| index)
        })?;
        let host = self.hosts.get_mut(index)?;
        if found.is_none() {
            self.evictions += u64::from(host.domains(now_s, window_s) > 0);
            *host = Host { client, ..Host::default() };
        }
        Some(host)
    }

    /// Returns true if other hosts were told of several domains as well.
    fn is_outage(&self, client: Address, now_s: u32) -> bool {
        let (domains, hosts) = OUTAGE;
        let is_told =
            |host: &&Host| host.client != client && host.domains(now_s, self.thresholds.window_s) >= domains;
        self.hosts.iter().filter(is_told).count() >= hosts
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::super::dga::NXDOMAIN;
    use super::super::names::tests::{answer, exchange, opened, sensor};
    use super::*;
    use sentinel_alert::Evidence;
    use std::format;
    use std::string::String;

    use crate::testkit::{CLIENT, KEY, ROOMY, Sensor, configs, other};

    const KIND: Kind = Kind::NxdomainBurst;

    /// Names of words, which do not look generated.
    fn domain(number: u16) -> String {
        format!("station{number}.com")
    }

    /// So many names of `name`, `gap_ms` apart, that do not exist.
    fn play(sensor: &mut Sensor, (from, count, gap_ms): (u64, u16, u64), name: impl Fn(u16) -> String) {
        for id in 0..count {
            let millis = from + u64::from(id) * gap_ms;
            exchange(sensor, millis, CLIENT, id, &name(id), &answer(id, &name(id), NXDOMAIN, 0, &[]));
        }
    }

    fn bursts(count: u16, gap_ms: u64, name: impl Fn(u16) -> String) -> usize {
        let mut sensor = sensor(KIND);
        play(&mut sensor, (0, count, gap_ms), name);
        opened(&sensor, KIND).len()
    }

    #[test]
    fn many_nonexistent_domains_within_the_window_are_a_burst() {
        assert_eq!(bursts(65, 900, domain), 1);
        assert_eq!(bursts(49, 900, domain), 0, "one below");
        assert_eq!(bursts(400, 1_500, domain), 0, "forty a minute, for ten minutes");
    }

    #[test]
    fn the_summary_gives_a_lower_bound() {
        let mut sensor = sensor(KIND);
        play(&mut sensor, (0, 70, 500), domain);
        let [alert] = opened(&sensor, KIND)[..] else { panic!("{:?}", sensor.raised) };
        let Evidence::Answers { count, threshold, window_s, .. } = alert.evidence else {
            panic!("{alert:?}")
        };
        assert_eq!((count, threshold, window_s), (50, 50, 60));
        let summary = format!("{}", alert.summary());
        assert!(
            summary
                .starts_with("10.20.30.11 asked for at least 50 domains that do not exist, such as station")
        );
        assert!(summary.ends_with(".com within 60 s"), "{summary}");
        let asked = alert.time.since(alert.first).as_millis() / 500 + 1;
        assert!((50..=66).contains(&asked), "{asked}");
    }

    /// Found in a draft: windows that follow one another miss a burst that lies across their border.
    #[test]
    fn a_burst_across_the_border_of_windows_is_seen() {
        let mut sensor = sensor(KIND);
        play(&mut sensor, (0, 1, 1), |_| "mistyped.com".into());
        play(&mut sensor, (48_000, 70, 330), domain);
        assert_eq!(opened(&sensor, KIND).len(), 1);
    }

    #[test]
    fn search_lists_block_lists_and_probes_of_browsers_are_no_burst() {
        assert_eq!(bursts(200, 50, |id| format!("printer{id}.corp.example.com")), 0, "search list");
        assert_eq!(bursts(200, 50, |id| format!("{id}.0.0.10.zen.spamhaus.org")), 0, "block list");
        assert_eq!(bursts(200, 50, |id| format!("qwzr{id}")), 0, "one label");
        assert_eq!(bursts(200, 50, |id| format!("domain{id}.lan")), 0, "home network");
        assert_eq!(bursts(200, 50, |id| format!("{}.{id}.113.203.in-addr.arpa", id % 7)), 0, "reverse names");
        assert_eq!(bursts(500, 50, |id| domain(id % 20)), 0, "the same names again and again");
    }

    /// Filters say so of advertisers, and have no start of authority to name; the page itself comes from names that exist.
    #[test]
    fn a_page_of_blocked_advertisements_is_no_burst_and_malware_beside_it_is() {
        let page = |has_authority: bool| {
            let mut sensor = sensor(KIND);
            for id in 0..80 {
                let name = domain(id);
                let mut message = answer(id, &name, NXDOMAIN, 0, &[]);
                message[9] = has_authority.into();
                exchange(&mut sensor, u64::from(id) * 100, CLIENT, id, &name, &message);
                let name = format!("image{id}.example.com");
                let found = answer(id, &name, 0, 3_600, &["203.0.113.80"]);
                exchange(&mut sensor, u64::from(id) * 100 + 50, CLIENT, id, &name, &found);
            }
            opened(&sensor, KIND).len()
        };
        assert_eq!((page(false), page(true)), (0, 1));
    }

    #[test]
    fn an_outage_of_the_resolver_accuses_nobody() {
        let night = |others: u32, works: bool| {
            let mut sensor = sensor(KIND);
            for id in 0..80 {
                let millis = u64::from(id) * 500;
                let name = domain(id);
                if id % 10 == 0 {
                    for number in 0..others {
                        let message = answer(id, &name, NXDOMAIN, 0, &[]);
                        exchange(&mut sensor, millis, other(number), id, &name, &message);
                    }
                }
                exchange(&mut sensor, millis, CLIENT, id, &name, &answer(id, &name, NXDOMAIN, 0, &[]));
                if works && id == 20 {
                    let found = answer(id, "example.org", 0, 60, &["203.0.113.80"]);
                    exchange(&mut sensor, millis + 50, other(0), id, "example.org", &found);
                }
            }
            opened(&sensor, KIND).len()
        };
        assert_eq!((night(0, false), night(1, false), night(2, false), night(2, true)), (1, 1, 0, 1));
    }

    #[test]
    fn failures_of_servers_are_no_names_that_do_not_exist() {
        let mut sensor = sensor(KIND);
        for id in 0..100 {
            exchange(
                &mut sensor,
                u64::from(id),
                CLIENT,
                id,
                &domain(id),
                &answer(id, &domain(id), 2, 0, &[]),
            );
        }
        assert!(sensor.raised.is_empty());
    }

    /// A host whose names are reported as generated is not reported for their failures too.
    #[test]
    fn a_burst_of_generated_names_is_one_incident() {
        let mut sensor = Sensor::with(ROOMY, KEY, &configs());
        for id in 0..120_u16 {
            let mut random = crate::testkit::Random((u64::from(id) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let label: String =
                (0..14).map(|_| char::from(b'a' + u8::try_from(random.below(26)).unwrap())).collect();
            let name = format!("{label}.com");
            exchange(
                &mut sensor,
                u64::from(id) * 300,
                CLIENT,
                id,
                &name,
                &answer(id, &name, NXDOMAIN, 0, &[]),
            );
        }
        let kinds: std::collections::BTreeSet<_> = sensor
            .opened()
            .into_iter()
            .filter(|test| [Test::DgaHost, Test::NxdomainBurst].contains(test))
            .collect();
        assert_eq!(kinds.into_iter().collect::<std::vec::Vec<_>>(), [Test::DgaHost]);
    }

    #[test]
    fn hosts_with_a_name_each_do_not_evict_one_that_counts() {
        let mut sensor = sensor(KIND);
        for id in 0..70_u16 {
            let name = domain(id);
            let told = |id: u16| answer(id, &name, NXDOMAIN, 0, &[]);
            exchange(&mut sensor, u64::from(id) * 500, CLIENT, id, &name, &told(id));
            for number in 0..5 {
                let client = other(u32::from(id) * 5 + number);
                exchange(&mut sensor, u64::from(id) * 500 + 10, client, id, &name, &told(id));
            }
        }
        let [alert] = opened(&sensor, KIND)[..] else { panic!("{:?}", sensor.raised) };
        assert_eq!(alert.subject.source, Some(Address::v4(CLIENT.to_bits())));
        assert!(sensor.engine.losses().evictions > 300, "{:?}", sensor.engine.losses());
    }
}
