//! `icmp_tunnel`: data in echo messages.
//!
//! Read first: RFC 792 and RFC 4443 section 4.2: the data of a request come back in its reply, unchanged. Singh, Nordström, Lu, dos
//! Santos, "Malicious ICMP tunneling: defense against the vulnerability" (2003); the programs ptunnel, icmpsh, hans and icmptunnel.
//!
//! - Replies that differ from their request, and from the reply before: nobody but the end of a tunnel sends them. A reply that is a
//!   shorter beginning of its request is ordinary (some resolvers cut), and so is a host that always sends the same.
//! - Requests of one pair that differ behind their first [`HEAD`] bytes: in the next eight, or anywhere if they have one length. The programs `ping` and `fping`, those of monitoring, and
//!   searches for the MTU put times and numbers into the first bytes and repeat a pattern behind them, whatever the length is.
//!
//! Of a payload its length and three keyed digests are kept, which cover 104 bytes and 32 more in a place that the key chooses. 16 pairs of hosts are kept in
//! sets of four; the one with the least evidence makes room. Not seen: tunnels in fewer than [`HEAD`] bytes of requests whose replies are right, and replies that are
//! captured by another worker.

use core::cmp::Ordering;

use sentinel_alert::{Evidence, Kind, Severity, ShortName, Subject, Test};
use sentinel_dissect::Transport;
use sentinel_track::hash::HashKey;
use sentinel_units::{Address, Timestamp};

use crate::incident::{Finding, Findings, scope};
use crate::registry::{Detector, DetectorConfig, thresholds};
use crate::shared::event::OtherEvent;
use crate::shared::rate::Activation;

thresholds! {
    /// Thresholds of `icmp_tunnel`.
    Thresholds {
        replies: "replies", default 5, 2 to 200,
            "replies of one host to another that differ from their requests and from each other that make a tunnel";
        requests: "requests", default 30, 4 to 200,
            "requests of one host to another, not a minute apart, that differ behind the first 40 bytes that make a tunnel";
    }
}

/// Bytes that programs fill with times and numbers.
const HEAD: usize = 40;
/// Bytes behind them that are compared of payloads of any length.
const NEXT: usize = 8;
/// Bytes behind the head that are compared of payloads of one length, beside those in the place that the key chooses.
const TAIL: usize = 64;
const CHOSEN: usize = 32;
/// Seconds without a message of data after which the evidence of a pair is forgotten.
const LIFETIME_S: u32 = 60;
/// Requests of a pair whose replies are waited for.
const OUTSTANDING: usize = 4;
const WAYS: usize = 4;

/// A request whose reply is waited for.
#[derive(Clone, Copy, Debug, Default)]
struct Sent {
    /// Identifier and sequence number.
    number: u32,
    /// Length and one; zero for none.
    len: u32,
    head: u32,
    tail: u32,
}

/// Two hosts of which one asks the other: 92 bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct EchoPair {
    /// Keyed hash of both; zero for a free place.
    tag: u32,
    /// Second of the last evidence, or of the first message.
    last_s: u32,
    sent: [Sent; OUTSTANDING],
    /// Length of the last request that was longer than its head, with its digests behind that.
    last: [u32; 3],
    /// Digest of the last reply that was wrong.
    last_reply: u32,
    /// Requests, and replies, that are evidence.
    counts: [u8; 2],
}

/// Echo messages between pairs of hosts.
#[derive(Debug)]
pub(crate) struct IcmpTunnel<'m> {
    pairs: &'m mut [EchoPair],
    activation: Activation,
    /// Requests, and replies, that make a tunnel.
    limits: [u32; 2],
}

/// By whether it is a reply.
const NAMES: [&str; 2] = ["requests that differ from each other", "replies that differ from their requests"];

fn limits(config: &DetectorConfig) -> [u32; 2] {
    let Thresholds { replies, requests } = config.into();
    [requests, replies]
}

impl<'m> IcmpTunnel<'m> {
    pub(crate) const DETECTOR: Detector = Detector {
        kind: Kind::IcmpTunnel,
        about: "two hosts exchange data in echo messages: replies that differ from their requests, or requests that differ behind the \
                part that ping programs fill",
        source: "RFC 792, RFC 4443 section 4.2; the payloads of ptunnel, icmpsh, hans and icmptunnel, and of the ping of five systems",
        severity: Severity::Medium,
        thresholds: Thresholds::SETTINGS,
        ports: None,
    };

    pub(crate) fn new(pairs: &'m mut [EchoPair], config: &DetectorConfig) -> Self {
        Self { pairs, activation: config.into(), limits: limits(config) }
    }

    pub(crate) fn configure(&mut self, config: &DetectorConfig) {
        (self.activation, self.limits) = (config.into(), limits(config));
    }

    pub(crate) fn packet(&mut self, event: &OtherEvent<'_, '_>, findings: &mut Findings<'_, '_>) {
        let (is_reply, number, payload, len) = match &event.packet.transport {
            Transport::Icmp(icmp) if icmp.is_echo_request() || icmp.is_echo_reply() => {
                (icmp.is_echo_reply(), icmp.rest_of_header, icmp.payload, icmp.payload_wire_len)
            }
            Transport::Icmpv6(icmp) if icmp.is_echo_request() || icmp.is_echo_reply() => {
                (icmp.is_echo_reply(), icmp.rest_of_header, icmp.payload, icmp.payload_wire_len)
            }
            _ => return,
        };
        if !self.activation.enabled {
            return;
        }
        let Some(ip) = event.packet.ip() else { return };
        let ends = if is_reply { (ip.destination, ip.source) } else { (ip.source, ip.destination) };
        let key = event.setting.key;
        let (now_s, message) = (seconds(event.setting.now), Message::new(key, number, payload, len));
        let tag = key.with(key.address(ends.0), key.address(ends.1).rotate_left(1)) | 1;
        let Some(pair) = self.pair(tag, now_s, is_reply) else { return };
        let side = usize::from(is_reply);
        if !(if is_reply { pair.reply(&message) } else { pair.request(&message) }) {
            return;
        }
        if now_s.wrapping_sub(pair.last_s) > LIFETIME_S {
            pair.counts = [0; 2];
        }
        pair.last_s = now_s;
        let Some(count) = pair.counts.get_mut(side) else { return };
        *count = count.saturating_add(1);
        let (count, limit) = (u32::from(*count), self.limits.get(side).copied().unwrap_or(u32::MAX));
        if count >= limit {
            self.report(event, ends, side, if count == limit { limit } else { 1 }, findings);
        }
    }

    /// The place of a pair; a reply takes none.
    fn pair(&mut self, tag: u32, now_s: u32, is_reply: bool) -> Option<&mut EchoPair> {
        let sets = self.pairs.len() / WAYS;
        let set = usize::try_from(tag >> 8).unwrap_or_default().checked_rem(sets)? * WAYS;
        let set = self.pairs.get_mut(set..set + WAYS)?;
        if let Some(found) = set.iter().position(|pair| pair.tag == tag) {
            return set.get_mut(found);
        }
        if is_reply {
            return None;
        }
        let evidence = |pair: &EchoPair| {
            let is_live = now_s.wrapping_sub(pair.last_s) <= LIFETIME_S;
            (is_live.then_some(pair.counts.iter().map(|count| u32::from(*count)).sum::<u32>()), pair.last_s)
        };
        let least = set.iter_mut().min_by_key(|pair| evidence(pair))?;
        *least = EchoPair { tag, last_s: now_s, ..EchoPair::default() };
        Some(least)
    }

    #[cold]
    fn report(
        &self,
        event: &OtherEvent<'_, '_>,
        (asking, asked): (Address, Address),
        side: usize,
        adds: u32,
        findings: &mut Findings<'_, '_>,
    ) {
        let what = NAMES.get(side).copied().unwrap_or_default();
        findings.add(&Finding {
            test: Test::IcmpTunnel,
            severity: self.activation.severity,
            first: event.setting.now,
            subject: Subject { source: Some(asking), destination: Some(asked), ..Subject::default() },
            evidence: Evidence::Observed {
                count: adds.into(),
                what: ShortName::try_from(what).unwrap_or_default(),
            },
            adds,
            scope: scope(asked, sentinel_units::Port(0)),
        });
    }
}

/// A message as it is compared.
struct Message {
    number: u32,
    /// Length and one.
    len: u32,
    /// Of the first bytes, of those behind them, and of the rest; zero for nothing.
    digests: [u32; 3],
}

impl Message {
    fn new(key: &HashKey, number: u32, payload: &[u8], len: u32) -> Self {
        let (head, tail) = payload.split_at_checked(HEAD).unwrap_or((payload, &[]));
        let next = tail.get(..NEXT).unwrap_or_default();
        let digest = |before: u32, bytes: &[u8]| {
            let (words, rest) = bytes.as_chunks();
            let digest =
                words.iter().fold(before, |digest, word| key.with(digest, u32::from_be_bytes(*word)) | 1);
            if rest.is_empty() {
                return digest;
            }
            // The one in front tells lengths apart.
            key.with(digest, rest.iter().fold(1, |all, byte| all << 8 | u32::from(*byte))) | 1
        };
        // A multiple of the length that only the key knows.
        let behind = u64::try_from(tail.len()).unwrap_or_default();
        let start = (u64::from(key.with(len, 0x1c3d)) * behind) >> 32;
        let chosen = tail.get(usize::try_from(start).unwrap_or_default()..).unwrap_or_default();
        let rest = digest(0, tail.get(..TAIL).unwrap_or(tail));
        let rest = digest(rest, chosen.get(..CHOSEN).unwrap_or(chosen));
        Self {
            number,
            len: len.saturating_add(1),
            digests: [digest(0, head), digest(0, next), if tail.is_empty() { 0 } else { rest }],
        }
    }
}

impl EchoPair {
    /// Notes a request. Returns true if it differs from the one before where those of ping programs do not.
    fn request(&mut self, message: &Message) -> bool {
        let [head, next, tail] = message.digests;
        let place = usize::try_from(message.number).unwrap_or_default() % OUTSTANDING;
        if let Some(sent) = self.sent.get_mut(place) {
            *sent = Sent { number: message.number, len: message.len, head, tail };
        }
        if next == 0 {
            return false;
        }
        let [len, last_next, last_tail] = core::mem::replace(&mut self.last, [message.len, next, tail]);
        len != 0 && (last_next != next || len == message.len && last_tail != tail)
    }

    /// Returns true if a reply differs from its request, and from the reply before that did.
    fn reply(&mut self, message: &Message) -> bool {
        let place = usize::try_from(message.number).unwrap_or_default() % OUTSTANDING;
        let Some(sent) = self.sent.get(place).filter(|sent| sent.number == message.number && sent.len > 0)
        else {
            return false;
        };
        let [head, _, tail] = message.digests;
        let is_wrong = match message.len.cmp(&sent.len) {
            Ordering::Equal => (head, tail) != (sent.head, sent.tail),
            Ordering::Greater => true,
            // Cut: the head says whether it is the beginning, if all of it is there.
            Ordering::Less => tail != 0 && head != sent.head,
        };
        let digest = head ^ tail.rotate_left(16) | 1;
        is_wrong && core::mem::replace(&mut self.last_reply, digest) != digest
    }
}

#[expect(clippy::as_conversions, reason = "seconds of the packet clock, compared modulo 2^32")]
const fn seconds(now: Timestamp) -> u32 {
    (now.as_nanos() / 1_000_000_000) as u32
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};
    use std::vec;
    use std::vec::Vec;

    use crate::testkit::{
        CLIENT, KEY, OUTSIDE, ROOMY, Random, Sensor, TINY, VICTIM, alone, ipv4, ipv6, other,
    };

    fn echo(from: Ipv4Addr, to: Ipv4Addr, is_reply: bool, number: u16, data: &[u8]) -> Vec<u8> {
        let kind = if is_reply { 0 } else { 8 };
        ipv4(from, to, 1, &[&[kind, 0, 0, 0, 0x12, 0x34][..], &number.to_be_bytes(), data].concat())
    }

    fn sensor() -> Sensor {
        Sensor::with(ROOMY, KEY, &alone(Kind::IcmpTunnel))
    }

    /// Requests and replies of one pair, a second apart: data of each, by number.
    fn exchange(count: u16, request: impl Fn(u16) -> Vec<u8>, reply: impl Fn(u16) -> Vec<u8>) -> usize {
        let mut sensor = sensor();
        for number in 0..count {
            let millis = u64::from(number) * 1_000;
            sensor.fast(millis, &echo(CLIENT, OUTSIDE, false, number, &request(number)));
            sensor.fast(millis + 20, &echo(OUTSIDE, CLIENT, true, number, &reply(number)));
        }
        sensor.opened().len()
    }

    /// As the ping of Linux, macOS and the BSDs fills a payload: a time, and a byte for each place behind it.
    fn unix_ping(number: u16, length: usize) -> Vec<u8> {
        let mut data: Vec<u8> = (0..length).map(|at| u8::try_from(at & 0xff).unwrap()).collect();
        let time = u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
        data[..8].copy_from_slice(&time);
        data[8..12].copy_from_slice(&time[..4]);
        data
    }

    fn random(seed: u16, length: usize) -> Vec<u8> {
        let mut random = Random(u64::from(seed) + 1);
        (0..length).map(|_| random.byte()).collect()
    }

    #[test]
    fn ping_programs_are_silent() {
        let same = |data: fn(u16) -> Vec<u8>| exchange(300, data, data);
        assert_eq!(same(|number| unix_ping(number, 56)), 0, "Linux, macOS");
        assert_eq!(same(|number| unix_ping(number, 1_472 - usize::from(number))), 0, "a search for the MTU");
        assert_eq!(
            same(|number| unix_ping(number, if number % 2 == 0 { 56 } else { 1_400 })),
            0,
            "two programs"
        );
        assert_eq!(same(|_| b"abcdefghijklmnopqrstuvwabcdefghi".to_vec()), 0, "Windows");
        assert_eq!(same(|number| [&unix_ping(number, 24)[..], &[0; 32]].concat()), 0, "fping");
        assert_eq!(same(|number| vec![b'x'; usize::from(number % 200)]), 0, "a sweep of sizes");
        assert_eq!(same(|_| Vec::new()), 0, "hping");
    }

    #[test]
    fn hosts_that_do_not_echo_as_they_should_are_silent() {
        // Resolvers cut replies; some appliances answer with what they always answer.
        assert_eq!(
            exchange(
                300,
                |number| unix_ping(number, 1_400),
                |number| unix_ping(number, 1_400)[..68].to_vec()
            ),
            0
        );
        assert_eq!(exchange(300, |number| unix_ping(number, 56), |_| vec![0; 56]), 0);
        assert_eq!(exchange(300, |number| unix_ping(number, 56), |_| Vec::new()), 0);
        // A reply of long ago, to a number that comes again.
        assert_eq!(exchange(4, |number| unix_ping(number, 56), |number| unix_ping(number + 7, 56)), 0);
    }

    #[test]
    fn tunnels_are_found() {
        let fires = |request: fn(u16) -> Vec<u8>, reply: fn(u16) -> Vec<u8>| exchange(40, request, reply) > 0;
        assert!(fires(|number| random(number, 200), |number| random(number + 1_000, 300)), "hans, ptunnel");
        assert!(
            fires(|_| Vec::new(), |number| random(number, 12)),
            "icmpsh: commands in replies to empty requests"
        );
        assert!(
            fires(|number| random(number, 64), |number| random(number, 64)),
            "data out, and true replies"
        );
        assert!(
            fires(|number| unix_ping(0, 56 + usize::from(number)), |number| unix_ping(number, 56)),
            "wrong replies"
        );
        assert!(
            fires(
                |number| [&[7; 104][..], &random(number, 900)].concat(),
                |number| [&[7; 104][..], &random(number, 900)].concat()
            ),
            "a constant front"
        );
    }

    #[test]
    fn the_thresholds_are_exact() {
        let wrong = |count| exchange(count, |number| unix_ping(number, 56), |number| random(number, 56));
        assert_eq!((wrong(4), wrong(5)), (0, 1));
        let data = |count| exchange(count, |number| random(number, 64), |number| random(number, 64));
        assert_eq!((data(30), data(31)), (0, 1), "the first differs from nothing");
    }

    #[test]
    fn evidence_of_more_than_a_minute_ago_is_forgotten() {
        let mut sensor = sensor();
        for number in 0..60 {
            let millis = u64::from(number) * 61_000;
            sensor.fast(millis, &echo(CLIENT, OUTSIDE, false, number, &random(number, 64)));
            sensor.fast(millis + 20, &echo(OUTSIDE, CLIENT, true, number, &random(number + 99, 64)));
        }
        assert_eq!(sensor.opened(), []);
    }

    #[test]
    fn ipv6_is_the_same_and_the_asking_host_is_named() {
        let [client, server]: [Ipv6Addr; 2] = ["fd00::11", "2001:db8::7"].map(|text| text.parse().unwrap());
        let mut sensor = sensor();
        for number in 0..5_u16 {
            let message =
                |kind: u8, data: &[u8]| [&[kind, 0, 0, 0, 0, 9][..], &number.to_be_bytes(), data].concat();
            sensor.fast(1, &ipv6(client, server, 58, &message(128, &random(1, 60))));
            sensor.fast(2, &ipv6(server, client, 58, &message(129, &random(number + 9, 80))));
        }
        let alert = &sensor.raised[0];
        assert_eq!(
            std::format!("{}", alert.summary()),
            "fd00::11 exchanged data in echo messages (replies that differ from their requests) with 2001:db8::7"
        );
    }

    /// Thousands of other pairs ping meanwhile; without memory nothing is found and nothing panics.
    #[test]
    fn other_pairs_do_not_take_the_place_of_a_tunnel() {
        let mut sensor = Sensor::with(TINY, KEY, &alone(Kind::IcmpTunnel));
        for number in 0..12 {
            let millis = u64::from(number) * 1_000;
            sensor.fast(millis, &echo(CLIENT, OUTSIDE, false, number, &random(number, 64)));
            sensor.fast(millis + 1, &echo(OUTSIDE, CLIENT, true, number, &random(number + 99, 64)));
            for pair in 0..100 {
                sensor.fast(millis + 2, &echo(other(pair), VICTIM, false, number, &unix_ping(number, 56)));
            }
        }
        assert_eq!(sensor.opened(), [Test::IcmpTunnel]);
        let none = crate::Capacities { flows: 0, incidents: 0, tables: crate::TableCapacities::uniform(0) };
        let mut sensor = Sensor::with(none, KEY, &alone(Kind::IcmpTunnel));
        for number in 0..40 {
            sensor.fast(1, &echo(CLIENT, OUTSIDE, false, number, &random(number, 64)));
        }
        assert_eq!(sensor.opened(), []);
    }
}
