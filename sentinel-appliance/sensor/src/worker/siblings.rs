//! Hand-off of ambiguous flows between workers.
//!
//! The fan-out hashes the source address, so the two directions of a flow are on different workers. When neither flags
//! nor ports identify the initiator, each worker sends a report of the first packet that it saw to the worker of the
//! other direction, over a bounded single-producer single-consumer queue, one for each ordered pair. Each worker also
//! publishes a watermark: it has processed every frame before that time, and reported on it. A worker decides who
//! opened a flow once the watermark of the other worker has passed its own first packet: then either a report of an
//! earlier packet is in the queue, or there was none.
//!
//! Bounds: 255 reports for each pair, 256 pending flows and 256 received reports for each worker. Past any of them a
//! worker decides without the other one, which [`SiblingWorkers::handoff_overflow`] counts.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use heapless::spsc::{Consumer, Producer};
use sentinel_alert::Alert;
use sentinel_detect::{Direction, FirstPacketReport};
use sentinel_units::Timestamp;

use crate::system::prefault;
use crate::system::wake::EventFd;
use crate::worker::analyser::Analyser;
use crate::worker::fanout::FanoutGroup;

/// Slots of each list of reports, and of each queue, which holds one report less.
const QUEUE_LEN: usize = 256;
/// A worker whose watermark stands still for so long is not waited for.
const HANDOFF_TIMEOUT: Duration = Duration::from_secs(1);
/// Time that a frame may be older than two block timeouts when its block is handed over: ticks of the kernel's timer, and
/// the scheduler.
const SCHEDULING_MARGIN: Duration = Duration::from_millis(30);

/// Watermark of a worker: milliseconds of time of day, modulo 2^32.
#[derive(Debug)]
pub(crate) struct Watermark(AtomicU32);

/// Queues and lists of one worker for the hand-off to all others.
pub(crate) struct SiblingWorkers {
    index: u32,
    fanout: &'static FanoutGroup,
    /// Watermarks of all workers, the own one among them.
    watermarks: &'static [Watermark],
    /// Values of `watermarks` when they were last read; as many.
    passed: Vec<u32>,
    /// Queues to and from each worker; `None` for the own one.
    queues: Vec<Option<SiblingQueues>>,
    /// Own reports of flows whose initiator is not known yet. Options, like all lists here, because every slot is
    /// written once at start.
    pending: Vec<Option<FirstPacketReport>>,
    /// Reports of others about frames later than the own watermark.
    received: Vec<Option<FirstPacketReport>>,
    /// Age at which a frame is out of the kernel, whatever the block timeout did.
    ring_delay: Duration,
    handoff_overflow: u64,
    /// Until then reports come in, and sleeps are short.
    active_until: Timestamp,
}

/// Queues to and from one other worker.
struct SiblingQueues {
    to: ReportProducer,
    from: ReportConsumer,
    wake: EventFd,
    /// A report was sent since the other worker was woken.
    has_unnotified: bool,
}

type ReportProducer = Producer<'static, Option<FirstPacketReport>>;
type ReportConsumer = Consumer<'static, Option<FirstPacketReport>>;
/// One value for each ordered pair of different workers.
type PairMatrix<T> = Vec<Vec<Option<T>>>;

/// Makes the queues between all workers, one for each ordered pair, for the life of the program. One entry for each
/// worker; `None` if there is only one.
pub(crate) fn connect(
    fanout: &'static FanoutGroup,
    wakes: &[EventFd],
    block_timeout: Duration,
    now: Timestamp,
) -> Vec<Option<SiblingWorkers>> {
    let count = wakes.len();
    if count < 2 {
        return wakes.iter().map(|_| None).collect();
    }
    // They begin at the present: in serial number arithmetic zero could lie ahead of all frames, and would let every
    // worker decide at once.
    let watermarks: &'static [Watermark] = Box::leak(
        (0..count).map(|_| Watermark(AtomicU32::new(millis(now)))).collect::<Vec<_>>().into_boxed_slice(),
    );
    let (to, from) = queues_between(count);
    let siblings = (0..).zip(to.into_iter().zip(from)).map(|(index, (to, from))| {
        let queues = to.into_iter().zip(from).zip(wakes).map(|((to, from), wake)| {
            Some(SiblingQueues { to: to?, from: from?, wake: wake.clone(), has_unnotified: false })
        });
        Some(SiblingWorkers {
            index,
            fanout,
            watermarks,
            passed: vec![millis(now); count],
            queues: queues.collect(),
            pending: prefault::list(QUEUE_LEN),
            received: prefault::list(QUEUE_LEN),
            ring_delay: block_timeout.saturating_mul(2).saturating_add(SCHEDULING_MARGIN),
            handoff_overflow: 0,
            active_until: Timestamp::ZERO,
        })
    });
    siblings.collect()
}

/// Makes a queue for each ordered pair of workers: producers by sender, then receiver; consumers by receiver, then sender.
/// `None` where sender and receiver are the same.
fn queues_between(count: usize) -> (PairMatrix<ReportProducer>, PairMatrix<ReportConsumer>) {
    let mut to = Vec::new();
    let mut from: PairMatrix<ReportConsumer> = (0..count).map(|_| Vec::new()).collect();
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
    (to, from)
}

impl SiblingWorkers {
    /// Flows decided without the other worker, because a queue or list was full.
    pub(crate) const fn handoff_overflow(&self) -> u64 {
        self.handoff_overflow
    }

    /// Longest sleep of a worker that waits for others, or that others wait for; `None` if neither is so.
    pub(crate) fn max_sleep(&self, now: Timestamp) -> Option<Duration> {
        const ACTIVE_SLEEP: Duration = Duration::from_millis(10);
        (!self.pending.is_empty() || now < self.active_until).then_some(ACTIVE_SLEEP)
    }

    /// Sends the report of a frame to the worker of the other direction, and keeps it if that worker's answer is needed.
    pub(crate) fn hand_off(
        &mut self,
        report: FirstPacketReport,
        analyser: &mut Analyser,
        raise: &mut dyn FnMut(Alert),
    ) {
        let other = self.fanout.worker_for(report.destination.address);
        let is_undecided = report.direction == Direction::Unknown;
        if other == self.index {
            // This worker sees both directions.
            match report.direction {
                Direction::Unknown => analyser.resolve_initiator(&report, raise),
                Direction::Response => analyser.resolve_responder(&report, raise),
            }
            return;
        }
        let index = usize::try_from(other).unwrap_or(usize::MAX);
        // With the list of pending flows full, an undecided report is not sent: its flow is decided here and now.
        let has_room = !is_undecided || self.pending.len() < QUEUE_LEN;
        let queues = self.queues.get_mut(index).and_then(Option::as_mut).filter(|_| has_room);
        let is_sent = queues.is_some_and(|queues| {
            let is_sent = queues.to.enqueue(Some(report)).is_ok();
            // The worker is woken later, with the watermark: one write(2) for all reports of an iteration.
            queues.has_unnotified |= is_sent;
            is_sent
        });
        match (is_sent, is_undecided) {
            (true, true) => self.pending.push(Some(report)),
            (true, false) => {}
            (false, true) => {
                self.handoff_overflow += 1;
                analyser.resolve_initiator(&report, raise);
            }
            // Nothing is pending here: a response decides a flow of the other worker, which now misses it.
            (false, false) => self.handoff_overflow += 1,
        }
    }

    /// Publishes the own watermark, receives the reports of others, and decides the flows that their watermarks have
    /// passed. `complete_until`: every frame before it has been processed here.
    pub(crate) fn synchronize(
        &mut self,
        complete_until: Timestamp,
        now: Timestamp,
        analyser: &mut Analyser,
        raise: &mut dyn FnMut(Alert),
    ) {
        self.publish_watermark(complete_until);
        // The watermarks of the others are read before their queues. A report that is sent between the two is of a frame
        // at or after the watermark read here, so it cannot change a decision that this watermark allows.
        for (passed, watermark) in self.passed.iter_mut().zip(self.watermarks) {
            *passed = watermark.0.load(Ordering::Acquire);
        }
        self.receive(now, analyser, raise);
        // Before `received` is drained below: a report of the other direction may be about a frame later than the own
        // watermark, and still show that the other direction began first.
        let received = &self.received;
        // The other direction began first: its worker decides.
        self.pending
            .retain(|own| own.is_some_and(|own| !received.iter().flatten().any(|other| own.is_after(other))));
        // Only up to the own watermark: a frame that this worker has not read yet could be earlier, and then its own side
        // is the initiator.
        take_if(
            &mut self.received,
            |report| is_before(report.at, millis(complete_until)),
            |report| analyser.apply_remote(report, raise),
        );
        let (fanout, passed) = (self.fanout, &self.passed);
        let is_decided = |own: &FirstPacketReport| {
            let other = usize::try_from(fanout.worker_for(own.destination.address)).ok();
            let passed = other.and_then(|other| passed.get(other));
            // Without a watermark, which no worker lacks, only the timeout decides.
            passed.is_some_and(|passed| is_before(own.at, *passed)) || now.since(own.at) > HANDOFF_TIMEOUT
        };
        take_if(&mut self.pending, is_decided, |own| analyser.resolve_initiator(own, raise));
    }

    /// Release, paired with the Acquire of [`SiblingWorkers::synchronize`]: a worker that reads the watermark finds in
    /// its queue every report that was sent before.
    fn publish_watermark(&mut self, complete_until: Timestamp) {
        let own = usize::try_from(self.index).ok().and_then(|index| self.watermarks.get(index));
        if let Some(own) = own {
            own.0.store(millis(complete_until), Ordering::Release);
        }
        // After the store: a worker that wakes for the reports also finds the watermark that lets it decide.
        for queues in self.queues.iter_mut().flatten() {
            if std::mem::take(&mut queues.has_unnotified) {
                queues.wake.notify();
            }
        }
    }

    /// Moves the reports from the queues to `received`. Sleeps stay short while reports come in.
    fn receive(&mut self, now: Timestamp, analyser: &mut Analyser, raise: &mut dyn FnMut(Alert)) {
        for queues in self.queues.iter_mut().flatten() {
            while let Some(report) = queues.from.dequeue().flatten() {
                self.active_until = now.after(self.ring_delay.saturating_mul(4));
                if self.received.len() == QUEUE_LEN {
                    self.handoff_overflow += 1;
                    analyser.apply_remote(&report, raise);
                } else {
                    self.received.push(Some(report));
                }
            }
        }
    }

    /// Decides everything that is pending with what is known here: no more reports will come.
    pub(crate) fn finish(&mut self, analyser: &mut Analyser, raise: &mut dyn FnMut(Alert)) {
        self.received.drain(..).flatten().for_each(|report| analyser.apply_remote(&report, raise));
        self.pending.drain(..).flatten().for_each(|own| analyser.resolve_initiator(&own, raise));
    }

    /// Watermark of a ring that had no block at `now`: the kernel may still hold back frames that are younger.
    pub(crate) fn idle_watermark(&self, now: Timestamp) -> Timestamp {
        let delay = u64::try_from(self.ring_delay.as_nanos()).unwrap_or(u64::MAX);
        Timestamp::from_nanos(now.as_nanos().saturating_sub(delay))
    }
}

/// Removes the reports that satisfy `condition`, oldest first, and calls `take` with each.
fn take_if(
    reports: &mut Vec<Option<FirstPacketReport>>,
    condition: impl Fn(&FirstPacketReport) -> bool,
    mut take: impl FnMut(&FirstPacketReport),
) {
    reports.retain(|report| {
        let Some(report) = report else { return false };
        let is_taken = condition(report);
        if is_taken {
            take(report);
        }
        !is_taken
    });
}

/// Returns true if `watermark` has passed `at`. In serial number arithmetic (RFC 1982): right as long as the two are
/// less than 2^31 ms, 24 days, apart.
fn is_before(at: Timestamp, watermark: u32) -> bool {
    watermark.wrapping_sub(millis(at)).cast_signed() > 0
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

    /// Packet time: milliseconds after a fixed time of day.
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
        fanout: &'static FanoutGroup,
        workers: Vec<(Box<Analyser>, Option<SiblingWorkers>)>,
        alerts: BTreeSet<(&'static str, Option<Address>)>,
    }

    impl WorkerGroup {
        fn new(count: u32) -> Self {
            let fanout: &'static FanoutGroup = Box::leak(Box::new(FanoutGroup::new(count, 0x9e37_79b1)));
            let settings = Settings::default();
            let lists = crate::settings::lists::Lists::load(&settings, &settings).unwrap();
            let live_config = LiveConfig::new(&settings, &[], lists);
            let wakes: Vec<EventFd> = (0..count).map(|_| EventFd::new().unwrap()).collect();
            let siblings = connect(fanout, &wakes, Duration::from_millis(2), at(0));
            let workers = (0..).zip(siblings).map(|(index, siblings)| {
                let mut analyser = Analyser::new(256, HashKey::new(1), &live_config);
                if count > 1 {
                    analyser.set_shard(index, count);
                }
                (analyser, siblings)
            });
            Self { fanout, workers: workers.collect(), alerts: BTreeSet::new() }
        }

        /// Worker that gets the frames of a source.
        fn worker_for(&self, source: Address) -> usize {
            usize::try_from(self.fanout.worker_for(source)).unwrap()
        }

        /// Worker `index` processes these packets, then synchronizes with the others.
        fn process(&mut self, index: usize, packets: &[(u64, Vec<u8>)], seen_until: u64) {
            let Self { workers, alerts, .. } = self;
            let (analyser, siblings) = &mut workers[index];
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
                if let Some(siblings) = siblings
                    && let Some(report) = analyser.take_report()
                {
                    siblings.hand_off(report, analyser, raise);
                }
            }
            if let Some(siblings) = siblings {
                siblings.synchronize(at(seen_until), at(seen_until), analyser, raise);
            }
        }

        /// Each worker processes the packets of its sources, in the order given; then all synchronize three times, 100 ms
        /// apart.
        fn process_in_order(&mut self, packets: &[(u64, Address, Vec<u8>)], order: &[usize]) {
            let newest = packets.iter().map(|(millis, ..)| *millis).max().unwrap_or(0);
            for index in order {
                let own: Vec<(u64, Vec<u8>)> = packets
                    .iter()
                    .filter(|(_, source, _)| self.worker_for(*source) == *index)
                    .map(|(millis, _, bytes)| (*millis, bytes.clone()))
                    .collect();
                self.process(*index, &own, newest.min(own.last().map_or(0, |(millis, _)| *millis)));
            }
            for round in 1..4 {
                for index in order {
                    self.process(*index, &[], newest + round * 100);
                }
            }
        }
    }

    /// Ports of client and server of a flow, by its number.
    type PortsOf = fn(u16) -> (u16, u16);

    /// A host that opens 20 flows between ports of the same class, and the responses, a millisecond later.
    fn requests_and_responses(
        client: Address,
        server: Address,
        ports_of: PortsOf,
    ) -> Vec<(u64, Address, Vec<u8>)> {
        (0..20_u16)
            .flat_map(|number| {
                let (from, to) = ports_of(number);
                let requested_at = 1_000 + u64::from(number) * 10;
                [
                    (requested_at, client, packet((client, from), (server, to), None)),
                    (requested_at + 1, server, packet((server, to), (client, from), None)),
                ]
            })
            .collect()
    }

    /// Two addresses that belong to different workers.
    fn addresses_of_two_workers(group: &WorkerGroup) -> (Address, Address) {
        let all: Vec<Address> = (1..200).map(|last| Address::v4(0x0a00_0000 + last)).collect();
        let first = all[0];
        let other = all.iter().find(|other| group.worker_for(**other) != group.worker_for(first));
        (first, *other.unwrap_or(&all[1]))
    }

    #[test]
    fn the_initiator_is_found_in_whatever_order_the_workers_run() {
        // A scan of the server's ports, and a busy server that answers many ports of its client.
        let cases: [(PortsOf, bool); 2] =
            [(|number| (50_000, 40_000 + number), true), (|number| (50_000 + number, 40_000), false)];
        for (ports_of, scans) in cases {
            for (workers, order) in [
                (1, vec![0]),
                (2, vec![0, 1]),
                (2, vec![1, 0]),
                (4, vec![3, 1, 0, 2]),
                (4, vec![0, 1, 2, 3]),
                (9, (0..9).rev().collect()),
            ] {
                let mut group = WorkerGroup::new(workers);
                let (one, other) = addresses_of_two_workers(&group);
                for (client, server) in [(one, other), (other, one)] {
                    group.alerts.clear();
                    group.process_in_order(&requests_and_responses(client, server, ports_of), &order);
                    // One worker sees the answers, of which every contact has one: that is no scan.
                    let is_raised = scans && workers > 1;
                    let expected: BTreeSet<_> =
                        is_raised.then_some(("port_scan", Some(client))).into_iter().collect();
                    assert_eq!(group.alerts, expected, "{workers} workers, {order:?}, client {client}");
                    group = WorkerGroup::new(workers);
                }
            }
        }
    }

    #[test]
    fn a_response_raises_one_alert_about_the_initiator() {
        const SYN: Option<u8> = Some(2);
        const SYN_ACK: Option<u8> = Some(0x12);
        for (workers, order) in [(1, vec![0]), (2, vec![0, 1]), (2, vec![1, 0])] {
            for with_request in [true, false] {
                let mut group = WorkerGroup::new(workers);
                let (client, server) = addresses_of_two_workers(&group);
                let request = (1_000, client, packet((client, 50_000), (server, 4_444), SYN));
                let response = (1_001, server, packet((server, 4_444), (client, 50_000), SYN_ACK));
                let packets = if with_request { vec![request, response] } else { vec![response] };
                group.process_in_order(&packets, &order);
                let expected = BTreeSet::from([("suspicious_port", Some(client))]);
                assert_eq!(group.alerts, expected, "{workers} workers, {order:?}, {with_request}");
            }
        }
    }

    #[test]
    fn past_its_bounds_a_worker_decides_alone_and_counts_the_flow() {
        let mut group = WorkerGroup::new(2);
        let (client, server) = addresses_of_two_workers(&group);
        let worker = group.worker_for(client);
        let packets: Vec<(u64, Vec<u8>)> =
            (0..1_000).map(|port| (1_000, packet((client, 50_000), (server, 40_000 + port), None))).collect();
        group.process(worker, &packets, 1_000);
        let siblings = group.workers[worker].1.as_ref().unwrap();
        assert!(
            siblings.handoff_overflow() >= 700 && siblings.pending.len() <= QUEUE_LEN,
            "{}",
            siblings.handoff_overflow()
        );
        assert!(group.alerts.contains(&("port_scan", Some(client))));
    }
}
