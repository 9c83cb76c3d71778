//! What a worker and the others tell each other, if there are several.
//!
//! A queue for each pair, bounded, written by one and read by one. Each worker also shows how far it has come: every
//! frame before that moment it has looked at, and what it had to tell of it is in the queues. So a worker that waits
//! for the others knows when they have nothing more to say about a moment.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use heapless::spsc::{Consumer, Producer};
use sentinel_alert::Alert;
use sentinel_detect::{Direction, FirstPacketReport};
use sentinel_units::Timestamp;

use crate::system::prefault;
use crate::worker::analyser::Analyser;
use crate::worker::event_loop::EventFd;
use crate::worker::interface::FanoutGroup;

/// Sightings that may wait for another worker, and conversations of which one waits to hear from another. Past
/// either, a worker judges alone, which is counted.
const QUEUE_LEN: usize = 256;
/// A worker that has shown nothing for so long is not waited for.
const HANDOFF_TIMEOUT: Duration = Duration::from_secs(1);
/// Beyond two block timeouts: ticks of the kernel's timer, and the scheduler.
const MARGIN: Duration = Duration::from_millis(30);

/// How far a worker has come: milliseconds of time of day, modulo 2^32.
#[derive(Debug)]
pub(crate) struct Progress(AtomicU32);

/// One worker's way to the others.
pub(crate) struct SiblingWorkers {
    index: u32,
    sharing: &'static FanoutGroup,
    progress: &'static [Progress],
    /// Beside each worker; `None` for oneself.
    ways: Vec<Option<Way>>,
    /// Own sightings that another may have to say something about.
    pending: Vec<Option<FirstPacketReport>>,
    /// What others have told of moments that this worker has not come to.
    heard: Vec<Option<FirstPacketReport>>,
    lag: Duration,
    /// Something was told since the bells were rung.
    has_told: Vec<bool>,
    handoff_overflow: u64,
    busy_until: Timestamp,
}

/// To and from one other worker.
struct Way {
    to: Producer<'static, Option<FirstPacketReport>>,
    from: Consumer<'static, Option<FirstPacketReport>>,
    wake: EventFd,
}

/// The queues between all workers, taken once.
pub(crate) fn connect(
    sharing: &'static FanoutGroup,
    wakes: &[EventFd],
    block_timeout: Duration,
    now: Timestamp,
) -> Vec<Option<SiblingWorkers>> {
    let count = wakes.len();
    if count < 2 {
        return wakes.iter().map(|_| None).collect();
    }
    let progress: &'static [Progress] = Box::leak(
        (0..count).map(|_| Progress(AtomicU32::new(millis(now)))).collect::<Vec<_>>().into_boxed_slice(),
    );
    let mut to: Vec<Vec<Option<Producer<'static, Option<FirstPacketReport>>>>> = Vec::new();
    let mut from: Vec<Vec<Option<Consumer<'static, Option<FirstPacketReport>>>>> =
        (0..count).map(|_| Vec::new()).collect();
    for sender in 0..count {
        let mut own = Vec::new();
        for (receiver, inbox) in from.iter_mut().enumerate() {
            let (producer, consumer) = if sender == receiver {
                (None, None)
            } else {
                let (producer, consumer) = prefault::queue::<FirstPacketReport, QUEUE_LEN>().split();
                (Some(producer), Some(consumer))
            };
            own.push(producer);
            inbox.push(consumer);
        }
        to.push(own);
    }
    let peers = (0..).zip(to.into_iter().zip(from)).map(|(index, (to, from))| {
        let ends = to.into_iter().zip(from).zip(wakes);
        let ways = ends.map(|((to, from), wake)| Some(Way { to: to?, from: from?, wake: wake.clone() }));
        Some(SiblingWorkers {
            index,
            sharing,
            progress,
            ways: ways.collect(),
            pending: prefault::list(QUEUE_LEN),
            heard: prefault::list(QUEUE_LEN),
            lag: block_timeout.saturating_mul(2).saturating_add(MARGIN),
            has_told: vec![false; count],
            handoff_overflow: 0,
            busy_until: Timestamp::ZERO,
        })
    });
    peers.collect()
}

impl SiblingWorkers {
    /// Conversations judged without the others, because too many waited.
    pub(crate) const fn handoff_overflow(&self) -> u64 {
        self.handoff_overflow
    }

    /// How long a worker may sleep that others wait for, or who waits for others; `None` if neither is so.
    pub(crate) fn nap(&self, now: Timestamp) -> Option<Duration> {
        const NAP: Duration = Duration::from_millis(10);
        (!self.pending.is_empty() || now < self.busy_until).then_some(NAP)
    }

    /// Passes on what the last frame gave to tell.
    pub(crate) fn tell(
        &mut self,
        report: FirstPacketReport,
        analyser: &mut Analyser,
        raise: &mut dyn FnMut(Alert),
    ) {
        let owner = self.sharing.owner(report.destination.address);
        let is_asking = report.direction == Direction::Unknown;
        if owner == self.index {
            // Both sides are seen here.
            match report.direction {
                Direction::Unknown => analyser.resolve_initiator(&report, raise),
                Direction::Response => analyser.resolve_responder(&report, raise),
            }
            return;
        }
        let place = usize::try_from(owner).unwrap_or(usize::MAX);
        let has_room = !is_asking || self.pending.len() < QUEUE_LEN;
        let way = self.ways.get_mut(place).and_then(Option::as_mut).filter(|_| has_room);
        let is_told = way.is_some_and(|way| way.to.enqueue(Some(report)).is_ok());
        if let Some(has_told) = self.has_told.get_mut(place).filter(|_| is_told) {
            *has_told = true;
        }
        match (is_told, is_asking) {
            (true, true) => self.pending.push(Some(report)),
            (true, false) => {}
            (false, true) => {
                self.handoff_overflow += 1;
                analyser.resolve_initiator(&report, raise);
            }
            (false, false) => self.handoff_overflow += 1,
        }
    }

    /// Hears the others, and judges what they have nothing more to say about. `seen_until`: every frame before that
    /// was looked at here.
    pub(crate) fn listen(
        &mut self,
        seen_until: Timestamp,
        now: Timestamp,
        analyser: &mut Analyser,
        raise: &mut dyn FnMut(Alert),
    ) {
        if let Some(own) = usize::try_from(self.index).ok().and_then(|index| self.progress.get(index)) {
            // Release: who reads it finds in the queues what was told before.
            own.0.store(millis(seen_until), Ordering::Release);
        }
        for (has_told, way) in self.has_told.iter_mut().zip(&self.ways) {
            if let Some(way) = way.as_ref().filter(|_| std::mem::take(has_told)) {
                way.wake.ring();
            }
        }
        // Before the queues are read: what comes later speaks of later frames.
        let mut others = heapless::Vec::<u32, 8>::new();
        others.extend(self.progress.iter().take(8).map(|progress| progress.0.load(Ordering::Acquire)));
        for way in self.ways.iter_mut().flatten() {
            while let Some(heard) = way.from.dequeue().flatten() {
                self.busy_until = now.after(self.lag.saturating_mul(4));
                if self.heard.len() == QUEUE_LEN {
                    self.handoff_overflow += 1;
                    analyser.apply_remote(&heard, raise);
                } else {
                    self.heard.push(Some(heard));
                }
            }
        }
        let (sharing, heard) = (self.sharing, &self.heard);
        // The other side was first.
        self.pending
            .retain(|own| own.is_some_and(|own| !heard.iter().flatten().any(|heard| own.is_after(heard))));
        take_if(
            &mut self.heard,
            |heard| is_before(heard.at, millis(seen_until)),
            |heard| {
                analyser.apply_remote(heard, raise);
            },
        );
        let is_ripe = |own: &FirstPacketReport| {
            let owner = usize::try_from(sharing.owner(own.destination.address)).unwrap_or(usize::MAX);
            let other = others.get(owner).copied().unwrap_or_default();
            is_before(own.at, other) || now.since(own.at) > HANDOFF_TIMEOUT
        };
        take_if(&mut self.pending, is_ripe, |own| analyser.resolve_initiator(own, raise));
    }

    /// Nothing more will be heard: what waits is judged as it looks from here.
    pub(crate) fn finish(&mut self, analyser: &mut Analyser, raise: &mut dyn FnMut(Alert)) {
        self.heard.drain(..).flatten().for_each(|heard| analyser.apply_remote(&heard, raise));
        self.pending.drain(..).flatten().for_each(|own| analyser.resolve_initiator(&own, raise));
    }

    /// Until when every frame has been seen, if no ring had anything at `now`.
    pub(crate) fn quiet_until(&self, now: Timestamp) -> Timestamp {
        let lag = u64::try_from(self.lag.as_nanos()).unwrap_or(u64::MAX);
        Timestamp::from_nanos(now.as_nanos().saturating_sub(lag))
    }
}

/// Takes out what `is_ripe`, oldest first.
fn take_if(
    reports: &mut Vec<Option<FirstPacketReport>>,
    is_ripe: impl Fn(&FirstPacketReport) -> bool,
    mut take: impl FnMut(&FirstPacketReport),
) {
    reports.retain(|report| {
        let Some(report) = report else { return false };
        let is_ripe = is_ripe(report);
        if is_ripe {
            take(report);
        }
        !is_ripe
    });
}

/// Whether a worker that has come to `progress` has looked at everything of that moment.
fn is_before(at: Timestamp, progress: u32) -> bool {
    progress.wrapping_sub(millis(at)).cast_signed() > 0
}

fn millis(at: Timestamp) -> u32 {
    let [a, b, c, d, ..] = (at.as_nanos() / 1_000_000).to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    use sentinel_capture::Frame;
    use sentinel_track::hash::HashKey;
    use sentinel_units::{Address, LinkType};

    use crate::settings::Settings;
    use crate::worker::analyser::LiveConfig;

    /// Milliseconds after some day, of packets.
    fn at(millis: u64) -> Timestamp {
        Timestamp::from_nanos(1_700_000_000_000_000_000 + millis * 1_000_000)
    }

    /// A datagram or segment of 200 bytes; flags make it TCP.
    fn packet(from: (Address, u16), to: (Address, u16), flags: Option<u8>) -> Vec<u8> {
        let address = |address: Address| address.words()[3].to_be_bytes();
        let mut bytes = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
        let protocol = if flags.is_some() { 6 } else { 17 };
        bytes.extend([0x45, 0, 0, 186, 0, 0, 0, 0, 64, protocol, 0, 0]);
        bytes.extend(address(from.0));
        bytes.extend(address(to.0));
        bytes.extend(from.1.to_be_bytes());
        bytes.extend(to.1.to_be_bytes());
        match flags {
            Some(flags) => bytes.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags, 1, 0, 0, 0, 0, 0]),
            None => bytes.extend([0, 166, 0, 0]),
        }
        bytes.resize(200, 7);
        bytes
    }

    struct WorkerGroup {
        sharing: &'static FanoutGroup,
        workers: Vec<(Analyser, Option<SiblingWorkers>)>,
        alerts: BTreeSet<(&'static str, Option<Address>)>,
    }

    impl WorkerGroup {
        fn new(count: u32) -> Self {
            let sharing: &'static FanoutGroup = Box::leak(Box::new(FanoutGroup::new(count, 0x9e37_79b1)));
            let settings = Settings::default();
            let live_config =
                LiveConfig::new(&settings, &[], crate::settings::suspicious_ports::load(None).unwrap());
            let wakes: Vec<EventFd> = (0..count).map(|_| EventFd::new().unwrap()).collect();
            let peers = connect(sharing, &wakes, Duration::from_millis(2), at(0));
            let workers = (0..).zip(peers).map(|(index, peers)| {
                let mut analyser = Analyser::new(256, HashKey::new(1), &live_config);
                if count > 1 {
                    analyser.set_shard(index, count);
                }
                (analyser, peers)
            });
            Self { sharing, workers: workers.collect(), alerts: BTreeSet::new() }
        }

        /// The worker of a source, however many there are.
        fn owner(&self, source: Address) -> usize {
            usize::try_from(self.sharing.owner(source)).unwrap()
        }

        /// Worker `index` looks at these packets, and hears the others.
        fn look(&mut self, index: usize, packets: &[(u64, Vec<u8>)], seen_until: u64) {
            let Self { workers, alerts, .. } = self;
            let (analyser, peers) = &mut workers[index];
            let raise = &mut |alert: Alert| {
                alerts.insert((alert.test.kind().name(), alert.subject.source));
            };
            for (millis, bytes) in packets {
                let frame = Frame {
                    at: at(*millis),
                    wire_len: 200,
                    link: LinkType::ETHERNET,
                    vlan: None,
                    vlan_type: Frame::CUSTOMER_TAG,
                    interface: 0,
                    bytes,
                };
                analyser.frame(&frame, raise);
                if let Some(peers) = peers
                    && let Some(report) = analyser.take_report()
                {
                    peers.tell(report, analyser, raise);
                }
            }
            if let Some(peers) = peers {
                peers.listen(at(seen_until), at(seen_until), analyser, raise);
            }
        }

        /// Each worker looks at what its sources sent, the workers in this order; then time passes.
        fn see(&mut self, packets: &[(u64, Address, Vec<u8>)], order: &[usize]) {
            let newest = packets.iter().map(|(millis, ..)| *millis).max().unwrap_or(0);
            for index in order {
                let own: Vec<(u64, Vec<u8>)> = packets
                    .iter()
                    .filter(|(_, source, _)| self.owner(*source) == *index)
                    .map(|(millis, _, bytes)| (*millis, bytes.clone()))
                    .collect();
                self.look(*index, &own, newest.min(own.last().map_or(0, |(millis, _)| *millis)));
            }
            for round in 1..4 {
                for index in order {
                    self.look(*index, &[], newest + round * 100);
                }
            }
        }
    }

    /// Ports of client and server, by the number of the conversation.
    type PortsOf = fn(u16) -> (u16, u16);

    /// A host that opens 20 conversations between ports of the same class, and the answers, a millisecond later.
    fn flow_records(client: Address, server: Address, opened_on: PortsOf) -> Vec<(u64, Address, Vec<u8>)> {
        (0..20_u16)
            .flat_map(|number| {
                let (from, to) = opened_on(number);
                let asked = 1_000 + u64::from(number) * 10;
                [
                    (asked, client, packet((client, from), (server, to), None)),
                    (asked + 1, server, packet((server, to), (client, from), None)),
                ]
            })
            .collect()
    }

    /// Two addresses that belong to different workers.
    fn strangers(group: &WorkerGroup) -> (Address, Address) {
        let all: Vec<Address> = (1..200).map(|last| Address::v4(0x0a00_0000 + last)).collect();
        let first = all[0];
        let other = all.iter().find(|other| group.owner(**other) != group.owner(first));
        (first, *other.unwrap_or(&all[1]))
    }

    #[test]
    fn who_opened_is_found_in_whatever_order_the_workers_look() {
        // A scan of the server's ports, and a busy server that answers many ports of its client.
        let cases: [(PortsOf, bool); 2] =
            [(|number| (50_000, 40_000 + number), true), (|number| (50_000 + number, 40_000), false)];
        for (opened_on, scans) in cases {
            for (workers, order) in
                [(1, vec![0]), (2, vec![0, 1]), (2, vec![1, 0]), (4, vec![3, 1, 0, 2]), (4, vec![0, 1, 2, 3])]
            {
                let mut group = WorkerGroup::new(workers);
                let (one, other) = strangers(&group);
                for (client, server) in [(one, other), (other, one)] {
                    group.alerts.clear();
                    group.see(&flow_records(client, server, opened_on), &order);
                    let expected: BTreeSet<_> =
                        scans.then_some(("port_scan", Some(client))).into_iter().collect();
                    assert_eq!(group.alerts, expected, "{workers} workers, {order:?}, client {client}");
                    group = WorkerGroup::new(workers);
                }
            }
        }
    }

    #[test]
    fn an_answer_accuses_who_asked_once() {
        const SYN: Option<u8> = Some(2);
        const SYN_ACK: Option<u8> = Some(0x12);
        for (workers, order) in [(1, vec![0]), (2, vec![0, 1]), (2, vec![1, 0])] {
            for with_question in [true, false] {
                let mut group = WorkerGroup::new(workers);
                let (client, server) = strangers(&group);
                let question = (1_000, client, packet((client, 50_000), (server, 4_444), SYN));
                let answer = (1_001, server, packet((server, 4_444), (client, 50_000), SYN_ACK));
                let packets = if with_question { vec![question, answer] } else { vec![answer] };
                group.see(&packets, &order);
                let expected = BTreeSet::from([("suspicious_port", Some(client))]);
                assert_eq!(group.alerts, expected, "{workers} workers, {order:?}, {with_question}");
            }
        }
    }

    #[test]
    fn past_the_bounds_a_worker_judges_alone_and_says_so() {
        let mut group = WorkerGroup::new(2);
        let (client, server) = strangers(&group);
        let owner = group.owner(client);
        let packets: Vec<(u64, Vec<u8>)> =
            (0..1_000).map(|port| (1_000, packet((client, 50_000), (server, 40_000 + port), None))).collect();
        group.look(owner, &packets, 1_000);
        let peers = group.workers[owner].1.as_ref().unwrap();
        assert!(
            peers.handoff_overflow() >= 700 && peers.pending.len() <= QUEUE_LEN,
            "{}",
            peers.handoff_overflow()
        );
        assert!(group.alerts.contains(&("port_scan", Some(client))));
    }
}
