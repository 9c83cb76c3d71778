//! `icmp_flood`: one source sends echo requests at a high rate.
//!
//! Read first: RFC 792 (echo), RFC 4443 section 4.1. Replies and errors are not counted: their sender was
//! asked for them.
//!
//! Monitoring sends as many requests to many hosts, and nearly all are answered. So each reply takes back one request of its
//! receiver: only requests without a reply claim an attack, and only if one destination got most of them or each destination a quarter of
//! the threshold. Fewer for each search for hosts, which `host_sweep` judges, or find that they are out of reach: they are reported at
//! `low`. Destinations are counted in 16 bits by their hash (linear counting, Whang 1990), so a flood of a few hosts that also asks 16
//! others is claimed at four times the threshold. Answered requests are reported at `low` if one destination got most of them, and not at
//! all otherwise. Whoever forges replies to itself has to send one for each request. With several workers the replies of most hosts are
//! seen by another one, and every request counts as unanswered.

use core::time::Duration;

use sentinel_alert::{Kind, Severity, Test};
use sentinel_dissect::Transport;
use sentinel_track::recent::{EventLimit, LimitReached};
use sentinel_track::table::{Recycle, Set, Table};
use sentinel_units::{Address, Timestamp};

use super::per_source::{MARKS, Times, finding};
use crate::incident::Findings;
use crate::registry::{Detector, DetectorConfig, thresholds};
use crate::shared::event::{Counted, OtherEvent, Setting};
use crate::shared::rate::{Activation, Threshold, earlier};

thresholds! {
    /// Thresholds of `icmp_flood`.
    Thresholds {
        packets: "packets", default 100, 2 to 1_000_000, "echo requests of one source that make a flood";
        window_s: "s", default 5, 1 to 600, "length of the sliding window";
        victim_rate: "packets/s", default 60, 10 to 1_000_000,
            "echo requests a second, of many sources, that one destination may get; twice as many replies and errors";
    }
}

/// Echo requests a second that one destination may get.
pub(crate) fn victim_rate(config: &DetectorConfig) -> u32 {
    Thresholds::from(config).victim_rate
}

/// Requests of one source in one window or less.
#[derive(Clone, Copy, Debug, Default)]
struct Balance {
    requests: u32,
    replies: u32,
    /// Requests to the destination that got most of them, less all others (Boyer and Moore 1981).
    lead: u16,
    /// Destinations: a bit for each, by its hash.
    hosts: u16,
    /// Hash of the destination that leads.
    to: u32,
}

/// Echo requests of one source: about 0.6 KiB.
#[derive(Clone, Copy, Debug, Default)]
pub struct EchoRequests {
    times: Times,
    /// Begin of `newer`. `older` is the window before; both together cover the sliding window.
    since: Timestamp,
    newer: Balance,
    older: Balance,
}

impl Recycle for EchoRequests {
    fn recycle(&mut self) {
        self.times.recycle();
        (self.newer, self.older) = Default::default();
    }
}

/// Storage for four sources: about 2.3 KiB.
pub type SourceSet = Set<Address, EchoRequests>;

/// Echo requests of both families, per source.
#[derive(Debug)]
pub(crate) struct IcmpFlood<'m> {
    table: Table<'m, Address, EchoRequests>,
    activation: Activation,
    threshold: Threshold,
    /// The threshold as the log of times takes it.
    prepared: EventLimit,
}

fn threshold(config: &DetectorConfig) -> Threshold {
    let Thresholds { packets, window_s, .. } = config.into();
    Threshold::new(packets, window_s)
}

fn prepared(threshold: Threshold) -> EventLimit {
    EventLimit::new(threshold.limit, threshold.window, MARKS)
}

impl<'m> IcmpFlood<'m> {
    pub(crate) const DETECTOR: Detector = Detector {
        kind: Kind::IcmpFlood,
        about: "one source sends many ICMP or ICMPv6 echo requests within a window (low at most if they are answered), or one \
                destination gets many of many sources",
        source: "common practice: twenty times the rate of ping for five seconds",
        severity: Severity::Medium,
        thresholds: Thresholds::SETTINGS,
        ports: None,
    };

    pub(crate) fn new(sets: &'m mut [SourceSet], config: &DetectorConfig) -> Self {
        let threshold = threshold(config);
        let table = Table::new(sets, threshold.window);
        Self { table, activation: config.into(), threshold, prepared: prepared(threshold) }
    }

    /// Takes over a new threshold. Counts already made stay, as far as it can use them.
    pub(crate) fn configure(&mut self, config: &DetectorConfig) {
        self.activation = config.into();
        self.threshold = threshold(config);
        self.prepared = prepared(self.threshold);
        self.table.set_lifetime(self.threshold.window);
    }

    pub(crate) const fn evictions(&self) -> u64 {
        self.table.evictions()
    }

    pub(crate) fn packet(&mut self, event: &OtherEvent<'_, '_>, findings: &mut Findings<'_, '_>) {
        let (is_request, is_reply) = match &event.packet.transport {
            Transport::Icmp(icmp) => (icmp.is_echo_request(), icmp.is_echo_reply()),
            Transport::Icmpv6(icmpv6) => (icmpv6.is_echo_request(), icmpv6.is_echo_reply()),
            _ => return,
        };
        if !self.activation.enabled || !is_request && !is_reply {
            return;
        }
        let Some(packet) = &Counted::without_ports(event.packet) else { return };
        let Setting { now, key, .. } = event.setting;
        if is_request {
            self.request(
                now,
                packet,
                [packet.source, packet.destination].map(|end| key.address(end)),
                findings,
            );
        } else if let Some(asked) = self.table.find(key.address(packet.destination), packet.destination, now)
        {
            asked.newer.replies = asked.newer.replies.saturating_add(1);
        }
    }

    /// Counts a request for its source, and reports at the threshold.
    fn request(
        &mut self,
        now: Timestamp,
        packet: &Counted<'_>,
        [source_hash, to]: [u32; 2],
        findings: &mut Findings<'_, '_>,
    ) {
        let Some(entry) = self.table.entry(source_hash, packet.source, now) else { return };
        let echo = entry.value;
        if now.since(echo.since) > self.threshold.window {
            (echo.since, echo.older, echo.newer) = (now, echo.newer, Balance::default());
        }
        echo.count(to);
        let Some(reached) = echo.times.add(self.prepared, now) else { return };
        let (unanswered, replies, lead) = echo.balance(now, self.threshold.window);
        let for_each = self.threshold.limit.div_ceil(4).saturating_mul(echo.hosts());
        let is_unanswered = unanswered >= self.threshold.limit || replies < self.threshold.limit / 8;
        let has_leader = lead >= self.threshold.limit / 2;
        let has_victim = has_leader || is_unanswered && unanswered >= for_each;
        if is_unanswered && has_victim && findings.bump_latest(Test::IcmpFloodPerSource, packet)
            || !is_unanswered && !has_victim
        {
            return;
        }
        let destination = Some(packet.destination).filter(|_| echo.has_one_destination());
        self.report(reached, packet, destination, is_unanswered && has_victim, findings);
    }

    #[cold]
    fn report(
        &self,
        reached: LimitReached,
        packet: &Counted<'_>,
        destination: Option<Address>,
        is_claim: bool,
        findings: &mut Findings<'_, '_>,
    ) {
        let first = earlier(findings.now, reached.since());
        let mut found = finding(Test::IcmpFloodPerSource, self.activation, self.threshold, first, packet);
        found.subject.destination = destination;
        if !is_claim {
            // An incident of its own, so that a flood of unanswered requests later is another one.
            (found.severity, found.scope) = (self.activation.ordinary(Self::DETECTOR.severity), 1);
        }
        findings.add(&found);
    }
}

impl EchoRequests {
    fn count(&mut self, to: u32) {
        let newer = &mut self.newer;
        newer.requests = newer.requests.saturating_add(1);
        newer.hosts |= 1 << (to >> 28);
        if newer.lead == 0 {
            newer.to = to;
        }
        newer.lead = if newer.to == to { newer.lead.saturating_add(1) } else { newer.lead - 1 };
    }

    /// Destinations of both windows, less those that share a bit.
    fn hosts(&self) -> u32 {
        (self.newer.hosts | self.older.hosts).count_ones()
    }

    /// Returns true if all requests of both windows had one destination.
    fn has_one_destination(&self) -> bool {
        let [newer, older] = [self.newer, self.older];
        let is_one = |balance: Balance| u32::from(balance.lead) == balance.requests;
        is_one(newer) && is_one(older) && (older.requests == 0 || older.to == newer.to)
    }

    /// Requests of the window without a reply, replies, and the lead of one destination. Of the window before counts the share that the
    /// sliding window still covers.
    fn balance(&self, now: Timestamp, window: Duration) -> (u32, u32, u32) {
        let millis = |span: Duration| u32::try_from(span.as_millis()).unwrap_or(u32::MAX).max(1);
        let (window, elapsed) = (millis(window), millis(now.since(self.since)));
        let left = u64::from(window.saturating_sub(elapsed));
        let share =
            |count: u32| u32::try_from(u64::from(count) * left / u64::from(window)).unwrap_or(u32::MAX);
        let [newer, older] = [self.newer, self.older];
        let open = |balance: Balance| balance.requests.saturating_sub(balance.replies);
        (
            open(newer).saturating_add(share(open(older))),
            newer.replies.saturating_add(older.replies),
            u32::from(newer.lead) + share(older.lead.into()),
        )
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::net::Ipv6Addr;

    use sentinel_alert::Evidence;

    use crate::testkit::{
        ATTACKER, Filling, VICTIM, each, echo, first_alert, halves, ipv6, only, opened, other, play,
    };

    #[test]
    fn it_fires_at_the_threshold_within_any_window() {
        let ping = |_| echo(ATTACKER, VICTIM, 8);
        assert_eq!(opened(each(99, 10, ping)), []);
        let at = play(each(100, 10, ping));
        assert_eq!(only(&at.raised).evidence, Evidence::Packets { count: 100, threshold: 100, window_s: 5 });
        assert_eq!(only(&at.raised).test, Test::IcmpFloodPerSource);
        assert_eq!(opened(each(300, 10, ping)), [Test::IcmpFloodPerSource]);
        assert_eq!(opened(halves(each(198, 10, ping), 99, 5_100)), []);
        assert_eq!(opened(halves(each(100, 10, ping), 50, 3_500)), [Test::IcmpFloodPerSource]);
        assert_eq!(opened(each(300, 10, |_| echo(VICTIM, ATTACKER, 0))), [], "replies were asked for");
        let v6 = |kind: u8| {
            let [source, target]: [Ipv6Addr; 2] = ["fd00::66", "fd00::10"].map(|text| text.parse().unwrap());
            ipv6(source, target, 58, &[kind, 0, 0, 0, 0, 1, 0, 1])
        };
        assert_eq!(opened(each(100, 10, |_| v6(128))), [Test::IcmpFloodPerSource]);
        assert_eq!(opened(each(300, 10, |_| v6(129))), []);
    }

    /// 128 times are kept: up to there the threshold is exact, above it the alert of a burst comes at it as well.
    #[test]
    fn thresholds_are_exact_up_to_the_marks_and_never_early_above() {
        let ping = |_| echo(ATTACKER, VICTIM, 8);
        for packets in [2, 127, 128] {
            assert_eq!(first_alert(Kind::IcmpFlood, "packets", packets, ping), packets);
        }
        for (packets, stride) in [(129, 2), (1_000, 8), (10_000, 79)] {
            let at = first_alert(Kind::IcmpFlood, "packets", packets, ping);
            assert!((packets..packets + stride).contains(&at), "{packets}: {at}");
        }
    }

    /// `hosts` hosts are asked in turn, `count` times in all; of every `of` requests all but one are answered, of one none.
    fn asked(hosts: u8, count: u16, of: u16) -> std::vec::Vec<Severity> {
        let exchange = move |number: u16| {
            let host = std::net::Ipv4Addr::new(10, 20, 31, u8::try_from(number % u16::from(hosts)).unwrap());
            let reply = (!number.is_multiple_of(of)).then(|| echo(host, ATTACKER, 0));
            [Some(echo(ATTACKER, host, 8)), reply]
                .into_iter()
                .flatten()
                .map(move |frame| (u64::from(number) * 10, frame))
        };
        play((0..count).flat_map(exchange)).raised.iter().map(|alert| alert.severity).collect()
    }

    #[test]
    fn answered_requests_claim_nothing() {
        assert_eq!(asked(20, 1_000, 1_000), [], "monitoring of many hosts");
        assert_eq!(asked(1, 300, 1_000), [Severity::Low], "one host");
        assert_eq!(asked(20, 1_000, 7), [], "some are off");
        assert_eq!(asked(20, 300, 1), [Severity::Low], "none is there: a search, or an uplink that is down");
        assert_eq!(asked(1, 300, 1), [Severity::Medium], "one host");
        for hosts in [2, 3, 10] {
            assert!(asked(hosts, 1_000, 1).contains(&Severity::Medium), "{hosts} victims in turn");
        }
    }

    #[test]
    fn a_destination_is_named_if_it_got_all_requests() {
        let destination = |hosts: u32| {
            let raised = play(each(100, 10, |number| echo(ATTACKER, other(u32::from(number) % hosts), 8)));
            only(&raised.raised).subject.destination
        };
        assert!(destination(1).is_some());
        assert_eq!((destination(2), destination(9)), (None, None));
    }

    #[test]
    fn a_few_replies_buy_no_silence() {
        let flood = |number: u16| {
            if number % 10 == 3 { echo(VICTIM, ATTACKER, 0) } else { echo(ATTACKER, VICTIM, 8) }
        };
        let raised = play(each(1_000, 5, flood)).raised;
        assert!(raised.iter().any(|alert| alert.severity == Severity::Medium), "{raised:?}");
    }

    const FILLING: Filling = Filling {
        test: Test::IcmpFloodPerSource,
        use_one: |sensor, number, millis| sensor.frame(millis, &echo(other(number), VICTIM, 8)),
        attack: |sensor, millis| (0..100).for_each(|_| sensor.frame(millis, &echo(ATTACKER, VICTIM, 8))),
    };

    #[test]
    fn a_full_table_counts_its_evictions_and_still_detects() {
        FILLING.a_full_table_counts_its_evictions_and_still_detects();
        FILLING.without_a_table_nothing_fires();
        FILLING.expired_entries_are_no_loss();
    }
}
