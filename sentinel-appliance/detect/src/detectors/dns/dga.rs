//! `dga`: a host asks for names that an algorithm has made, to find the server that controls it.
//!
//! Read first: "Sequential Tests of Statistical Hypotheses" (Wald, 1945); "Winning with DNS Failures: Strategies for Faster Botnet
//! Detection" (Yadav, Reddy, 2011); "From Throw-Away Traffic to Bots" (Antonakakis et al., USENIX Security 2012).
//!
//! | test | condition | severity |
//! |---|---|---|
//! | `host` | the evidence of all new domains of a host together: score of the name, answers "no such name", their run | as configured |
//! | `name` | the score of one name alone: weak, names of advertisers and of games look so too | low, unless configured |
//!
//! `host` is a sequential test of the logarithm of likelihood ratios, in sixteenths of a nat, that starts again at zero (Page, 1954).
//! Each registered domain counts once for each host ([`Newness`]): a host repeats the names that it needs, and malware
//! goes through new ones. A new domain adds its [score](super::score), cut at both ends so that no name decides alone. That it does not
//! exist speaks for malware, but little by itself: block lists of routers answer so for every advertiser. The more such
//! answers come one after the other, with no new name in between, the more they say; a browser asks for many names at once. Names
//! made of words are found only by that.
//!
//! Clients are internal hosts. Names with one label, reverse names and names of home networks do not count.

use core::time::Duration;

use sentinel_alert::{Evidence, Kind, Severity, ShortName, Subject, Test};
use sentinel_dissect::{FiveTuple, PacketSummary, dns};
use sentinel_track::hash::HashKey;
use sentinel_track::table::{Recycle, Set, Table};
use sentinel_units::{Address, Timestamp};

use super::information::PathHash;
use super::question::read_question;
use super::score::label_score;
use super::suffix::{Labels, registered_labels};
use crate::incident::{Finding, Findings};
use crate::registry::{Detector, DetectorConfig, thresholds};
use crate::shared::event::{DNS, Event, Question, ReadQuestion, Setting};
use crate::shared::rate::Activation;

thresholds! {
    /// Thresholds of `dga`.
    Thresholds {
        host_evidence: "sixteenths of a nat", default 224, 32 to 4_000,
            "logarithm of the odds, over all new names of a host, that malware makes them";
        name_score: "sixteenths of a nat", default 160, 0 to 1_000,
            "score of one name that is reported, at low severity";
    }
}

/// Time without a new name after which a host begins anew.
const LIFETIME: Duration = Duration::from_hours(1);
/// Least and greatest evidence of the characters of one name: no name decides alone.
const NAME_EVIDENCE: (i32, i32) = (-32, 40);
/// Evidence of a name, as long as no answer says that it does not exist.
const EXISTS: i32 = -10;
/// Evidence of such an answer, and of each one right before it.
const NONEXISTENT: i32 = 16;
const RUN: i32 = 8;
const MAX_RUN: u8 = 4;
/// Longest time between two names of malware, in seconds: it goes through its names, people mistype one now and then.
const MAX_GAP_S: u32 = 10;
/// Response code of a name that does not exist (RFC 1035 section 4.1.1).
pub(super) const NXDOMAIN: u8 = 3;
/// Top-level domains of home networks, and that of reverse names.
pub(super) const LOCAL: [&[u8]; 8] =
    [b"arpa", b"local", b"lan", b"home", b"internal", b"localdomain", b"corp", b"test"];

/// New names of one host.
#[derive(Clone, Copy, Debug, Default)]
pub struct HostNames {
    /// Seconds of the first and of the newest name.
    first_s: u32,
    last_s: u32,
    evidence: i16,
    names: u16,
    nonexistent: u16,
    /// New names without an existing one between them.
    run: u8,
    /// True if no answer has come for the newest name.
    is_pending: bool,
}

impl Recycle for HostNames {
    fn recycle(&mut self) {
        *self = Self::default();
    }
}

/// Storage for four hosts.
pub(crate) type HostNamesSet = Set<Address, HostNames>;

/// Names after which the older half of the filter is given up: two bits of a hash each, so that a new name looks known once in 20.
const MAX_NAMES: u16 = 4_000;

/// Hosts and domains seen: two Bloom filters of 32 Kibit; the older one is given up when the newer one is full.
#[derive(Debug)]
struct Newness<'m> {
    words: &'m mut [u32],
    count: u16,
    is_second_newer: bool,
}

impl Newness<'_> {
    /// Returns true if the newer filter holds the hash.
    #[inline]
    fn knows(&self, hash: u32) -> bool {
        let (first, second) = self.words.split_at(self.words.len() / 2);
        let newer = if self.is_second_newer { second } else { first };
        let mask = u32::try_from(newer.len() * 32).unwrap_or(0).wrapping_sub(1);
        [hash & mask, hash.rotate_left(16) & mask].into_iter().all(|bit| {
            let word = usize::try_from(bit / 32).ok().and_then(|index| newer.get(index));
            word.is_some_and(|word| word >> (bit % 32) & 1 == 1)
        })
    }

    /// Returns true if the hash was in neither filter, and adds it to the newer one.
    fn insert(&mut self, hash: u32) -> bool {
        if self.count >= MAX_NAMES {
            (self.count, self.is_second_newer) = (0, !self.is_second_newer);
            let (older, newer) = self.words.split_at_mut(self.words.len() / 2);
            if self.is_second_newer { newer } else { older }.fill(0);
        }
        let (first, second) = self.words.split_at_mut(self.words.len() / 2);
        let (newer, older) = if self.is_second_newer { (second, first) } else { (first, second) };
        // Halves of a power of two of words; a filter without words knows nothing.
        let mask = u32::try_from(newer.len() * 32).unwrap_or(0).wrapping_sub(1);
        let bits = [hash & mask, hash.rotate_left(16) & mask];
        let place = |bit: u32| (usize::try_from(bit / 32).unwrap_or(0), 1_u32 << (bit % 32));
        let holds = |half: &[u32]| {
            bits.iter().all(|bit| half.get(place(*bit).0).is_some_and(|word| word & place(*bit).1 != 0))
        };
        if holds(newer) {
            return false;
        }
        let is_new = !holds(older);
        for bit in bits {
            if let Some(word) = newer.get_mut(place(bit).0) {
                *word |= place(bit).1;
            }
        }
        self.count += 1;
        is_new
    }
}

/// Evidence of every internal host.
#[derive(Debug)]
pub(crate) struct Dga<'m> {
    hosts: Table<'m, Address, HostNames>,
    seen: Newness<'m>,
    activation: Activation,
    thresholds: Thresholds,
    /// Set if the response to the query seen last is read.
    wants_response: bool,
}

impl<'m> Dga<'m> {
    pub(crate) const DETECTOR: Detector = Detector {
        kind: Kind::Dga,
        about: "a host asks for names as malware makes them; or, at low severity, for one such name",
        source: "Wald 1945: one host in a million by chance, if names were independent; scores: tools/learn",
        severity: Severity::Medium,
        thresholds: Thresholds::SETTINGS,
        ports: None,
    };

    pub(crate) fn new(sets: &'m mut [HostNamesSet], words: &'m mut [u32], config: &DetectorConfig) -> Self {
        Self {
            hosts: Table::new(sets, LIFETIME),
            seen: Newness { words, count: 0, is_second_newer: false },
            activation: config.into(),
            thresholds: config.into(),
            wants_response: true,
        }
    }

    pub(crate) fn configure(&mut self, config: &DetectorConfig) {
        (self.activation, self.thresholds) = (config.into(), config.into());
    }

    pub(crate) const fn evictions(&self) -> u64 {
        self.hosts.evictions()
    }

    /// Messages over TCP repeat those over UDP that did not fit: they have nothing to add.
    pub(crate) const fn enable_reassembly(&mut self) {}

    /// Returns true if payloads between these ports are read, as far as the last message of the flow decides it.
    #[inline]
    pub(crate) fn reads(&self, tuple: &FiveTuple) -> bool {
        self.is_dns(tuple) && (tuple.destination_port == DNS || self.wants_response)
    }

    #[inline]
    fn is_dns(&self, tuple: &FiveTuple) -> bool {
        self.activation.enabled
            && tuple.tcp_flags.is_none()
            && (tuple.destination_port == DNS || tuple.source_port == DNS)
    }

    #[inline]
    pub(crate) fn segment(&mut self, event: &Event<'_, '_>, findings: &mut Findings<'_, '_>) {
        let tuple = &event.packet.tuple;
        if !self.is_dns(tuple) {
            return;
        }
        self.wants_response = false;
        let question = event.question.get();
        // Most queries repeat one.
        if matches!(question, Question::Repeated | Question::Passed) {
            return;
        }
        let payload = event.packet.payload();
        match question {
            // A query for a known domain, which most of those that are not repeated are: needs no parse.
            Question::Read(ReadQuestion { domain, .. })
                if tuple.source_port != DNS
                    && self.seen.knows(domain_hash(event.setting.key, event.source_hash, false, domain)) => {}
            // All responses but those that a name does not exist.
            _ if tuple.source_port == DNS
                && payload.get(2..4).is_none_or(
                    |flags| matches!(flags, [high, low] if high & 0x80 != 0 && low & 0x0f != NXDOMAIN),
                ) => {}
            _ => {
                self.wants_response = true;
                self.read(event.setting, event.packet, payload, findings);
            }
        }
    }

    /// Tests a reassembled datagram.
    pub(crate) fn message(
        &mut self,
        setting: Setting<'_>,
        packet: &PacketSummary<'_>,
        message: &[u8],
        findings: &mut Findings<'_, '_>,
    ) {
        if self.is_dns(&packet.tuple) {
            self.read(setting, packet, message, findings);
        }
    }

    #[inline(never)] // keeps the dispatch of all other packets short
    fn read(
        &mut self,
        setting: Setting<'_>,
        packet: &PacketSummary<'_>,
        bytes: &[u8],
        findings: &mut Findings<'_, '_>,
    ) {
        let Ok(message) = dns::Message::parse(bytes) else { return };
        let FiveTuple { source, destination, source_port, .. } = packet.tuple;
        let is_response = source_port == DNS && message.is_response();
        if is_response && message.response_code() != NXDOMAIN {
            return;
        }
        let client = if is_response { destination } else { source };
        let key = setting.key;
        // One hash of the client, for its names and its entry.
        let client_hash = key.address(client);
        let mut labels = Labels::new();
        if read_question(&message, bytes, &mut labels).is_none() || !setting.home_net.is_internal(client) {
            return;
        }
        let Some(registered) = registered_labels(&labels) else { return };
        let Some(domain) = labels.get(labels.len().saturating_sub(registered)..) else { return };
        let ([label, ..], Some(top)) = (domain, domain.last()) else { return };
        if LOCAL.iter().any(|local| local.eq_ignore_ascii_case(top))
            || !self.seen.insert(domain_hash(
                key,
                client_hash,
                is_response,
                PathHash::new(key).domain(domain),
            ))
        {
            return;
        }
        let Some(entry) = self.hosts.entry(client_hash, client, setting.now) else { return };
        let score = label_score(label, top);
        let host = entry.value;
        if is_response {
            host.nonexistent();
        } else {
            host.name(score, u32::try_from(setting.now.as_secs()).unwrap_or(u32::MAX));
        }
        let host = *host;
        let reaches = |value: i32, threshold: u32| u32::try_from(value).is_ok_and(|value| value >= threshold);
        let Thresholds { host_evidence, name_score } = self.thresholds;
        let mut report = |test, severity, value: i32, threshold| {
            let mut name = ShortName::new();
            super::ends::push_labels(&mut name, domain);
            let (names, nonexistent, first) = match test {
                Test::DgaHost => {
                    (host.names, host.nonexistent, Timestamp::from_parts(host.first_s.into(), 0))
                }
                _ => (1, 0, setting.now),
            };
            findings.add(&Finding {
                test,
                severity,
                first,
                subject: Subject {
                    source: Some(client),
                    mac: packet.sender_mac().filter(|_| !is_response),
                    ..Subject::default()
                },
                evidence: Evidence::Domains {
                    names: names.into(),
                    nonexistent: nonexistent.into(),
                    score: value,
                    threshold,
                    name,
                },
                adds: u32::from(!is_response),
                scope: 0,
            });
        };
        if reaches(host.evidence.into(), host_evidence) {
            report(Test::DgaHost, self.activation.severity, host.evidence.into(), host_evidence);
        }
        if !is_response && reaches(score, name_score) {
            report(Test::DgaName, self.activation.weak_severity(&Self::DETECTOR), score, name_score);
        }
    }
}

/// Hash of a domain that a host asks for, or that does not exist for it.
#[inline]
fn domain_hash(key: &HashKey, client_hash: u32, is_response: bool, domain: u32) -> u32 {
    key.hash32([client_hash, is_response.into(), domain, 0])
}

/// Number of new names, a second apart, after which a host with these scores is reported; for `tools/learn`.
#[doc(hidden)]
#[must_use]
pub fn names_until_reported(scores: &[i32], nonexistent: bool) -> Option<usize> {
    let mut host = HostNames::default();
    let threshold = Thresholds::from(&Dga::DETECTOR.default_config()).host_evidence;
    (1_u32..).zip(scores).find_map(|(number, score)| {
        host.name(*score, number);
        if nonexistent {
            host.nonexistent();
        }
        u32::try_from(host.evidence)
            .is_ok_and(|evidence| evidence >= threshold)
            .then(|| usize::try_from(number).ok())?
    })
}

impl HostNames {
    fn name(&mut self, score: i32, now_s: u32) {
        if self.evidence <= 0 {
            *self = Self { first_s: now_s, ..*self };
            (self.evidence, self.names, self.nonexistent) = (0, 0, 0);
        }
        if self.is_pending || now_s.saturating_sub(self.last_s) > MAX_GAP_S {
            self.run = 0;
        }
        self.last_s = now_s;
        self.is_pending = true;
        self.names = self.names.saturating_add(1);
        let (least, greatest) = NAME_EVIDENCE;
        self.add(score.clamp(least, greatest) + EXISTS);
    }

    fn nonexistent(&mut self) {
        // Answers that the host did not ask for say nothing about it.
        if self.nonexistent >= self.names {
            return;
        }
        // The first answer of a run takes back what the name lost; only a run is evidence of its own.
        self.add(if self.run > 0 && self.is_pending { NONEXISTENT - EXISTS } else { -EXISTS });
        if self.is_pending {
            self.add(RUN * i32::from(self.run));
            self.run = (self.run + 1).min(MAX_RUN);
            self.is_pending = false;
        }
        self.nonexistent += 1;
    }

    fn add(&mut self, evidence: i32) {
        // A name below zero and its answer count together: what the name took away is not lost.
        let sum = i32::from(self.evidence) + evidence;
        self.evidence = i16::try_from(sum.clamp(NAME_EVIDENCE.0 + EXISTS, 16_000)).unwrap_or(i16::MAX);
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::format;
    use std::string::String;
    use std::vec::Vec;

    use crate::testkit::{
        CLIENT, GATEWAY, OUTSIDE, Random, alone, configs_with, dns, each, opened, play, udp,
    };

    const HOST: Test = Test::DgaHost;

    fn letters(number: u16, len: usize) -> String {
        let mut random = Random((u64::from(number) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        (0..len).map(|_| char::from(b'a' + u8::try_from(random.below(26)).unwrap())).collect()
    }

    fn query(name: &str) -> Vec<u8> {
        udp((CLIENT, 40_000), (GATEWAY, 53), &dns(name, false))
    }

    fn nonexistent(name: &str) -> Vec<u8> {
        let mut message = dns(name, true);
        message[3] = NXDOMAIN;
        udp((GATEWAY, 53), (CLIENT, 40_000), &message)
    }

    fn hosts(tests: &[Test]) -> usize {
        tests.iter().filter(|test| **test == HOST).count()
    }

    #[test]
    fn random_names_make_a_host_suspicious_within_20() {
        let tests = opened(each(20, 1_000, |number| query(&format!("{}.com", letters(number, 14)))));
        assert_eq!(hosts(&tests), 1, "{tests:?}");
        let two = opened(each(2, 1_000, |number| query(&format!("{}.com", letters(number, 14)))));
        assert_eq!(hosts(&two), 0, "two names decide nothing");
        let same = opened(each(200, 1_000, |_| query("xqzjkvwpthbnrm.com")));
        assert_eq!(hosts(&same), 0, "a name counts once");
    }

    #[test]
    fn words_count_if_no_such_names_exist_one_after_the_other() {
        let words = ["green", "table", "river", "window", "paper", "simple", "carbon", "little"];
        let name = |number: u16| {
            let [a, b] = [number / 8, number % 8].map(|index| words[usize::from(index)]);
            format!("{a}{b}.net")
        };
        let alone = opened(each(20, 1_000, |number| query(&name(number))));
        assert_eq!(alone, []);
        let answered = |number: u16| {
            if number.is_multiple_of(2) { query(&name(number / 2)) } else { nonexistent(&name(number / 2)) }
        };
        let tests = opened(each(40, 500, answered));
        assert_eq!(tests, [HOST]);
    }

    #[test]
    fn answers_that_nobody_asked_for_accuse_nobody() {
        let stranger = |number| {
            let mut message = dns(&format!("{}.com", letters(number, 14)), true);
            message[3] = NXDOMAIN;
            udp((OUTSIDE, 53), (CLIENT, 40_000), &message)
        };
        assert_eq!(opened(each(200, 100, stranger)), []);
    }

    /// Routers answer so for names of advertisers; a browser asks for many at once.
    #[test]
    fn blocked_names_asked_for_at_once_are_no_malware() {
        let name = |number: u16| {
            format!("{}media.com", ["ad", "track", "pixel", "banner", "stats"][usize::from(number) % 5])
        };
        let page = |number: u16| match number % 10 {
            asked @ 0..5 => query(&format!("s{}{}", number / 10, name(asked))),
            answered => nonexistent(&format!("s{}{}", number / 10, name(answered - 5))),
        };
        assert_eq!(opened(each(100, 10, page)), []);
    }

    #[test]
    fn local_names_servers_and_strangers_do_not_count() {
        let random = |number| letters(number, 14);
        assert_eq!(opened(each(50, 10, |number| query(&random(number)))), [], "one label");
        assert_eq!(opened(each(50, 10, |number| query(&format!("{}.lan", random(number))))), []);
        let server =
            |number| udp((OUTSIDE, 40_000), (GATEWAY, 53), &dns(&format!("{}.com", random(number)), false));
        assert_eq!(opened(each(50, 10, server)), []);
    }

    #[test]
    fn one_name_is_reported_at_low_severity() {
        let configs = configs_with(Kind::Dga, |config| config.thresholds[1] = 20);
        let mut sensor = crate::testkit::Sensor::with(crate::testkit::ROOMY, crate::testkit::KEY, &configs);
        sensor.frame(0, &query("xqzjkvwpthbnrm.com"));
        let [alert] = &sensor.raised[..] else { panic!("{:?}", sensor.raised) };
        assert_eq!((alert.test, alert.severity), (Test::DgaName, Severity::Low));
        assert!(play([(0, query("example.com"))]).raised.is_empty());
        let _only_this_detector = alone(Kind::Dga);
    }

    #[test]
    fn the_filter_forgets_half_at_a_time() {
        let mut words = [0; 2_048];
        let mut seen = Newness { words: &mut words, count: 0, is_second_newer: false };
        let hash = |number: u32| number.wrapping_mul(0x9e37_79b1) ^ number.rotate_left(15);
        let new = (0..u32::from(MAX_NAMES)).filter(|number| seen.insert(hash(*number))).count();
        assert!(new > 3_700, "{new}");
        assert!(!seen.insert(hash(7)), "known");
        (0..6_000).for_each(|number| _ = seen.insert(hash(100_000 + number)));
        let known = (0..100).filter(|number| !seen.insert(hash(105_900 + number))).count();
        assert_eq!(known, 100, "the newest are known");
    }
}
