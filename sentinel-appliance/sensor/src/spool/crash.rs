//! Simulator of crashes: the spool over storages that stop at a write boundary, and a model of the collector.
//!
//! A life of the sensor is a seeded list of steps (alerts, ticks, flushes, messages, lost acknowledgements). It is run once to
//! count its write boundaries, then again up to each of them, where the program is killed or the power is cut. A kill leaves
//! what was written, the write at the boundary in part; a power cut leaves of main what was flushed and any of the sectors
//! written since, and nothing of the journal. Then the sensor starts again, delivers everything, and each alert that was
//! ever raised must be stored once, or the collector must show that it is lost, missing or unknown.
//!
//! `SENTINEL_CRASH_POINTS` is the number of crash points, 300 by default, `SENTINEL_CRASH_SEED` the first seed.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use embedded_io::{ErrorType, Read, Seek, SeekFrom, Write};
use sentinel_alert::testing::sample;
use sentinel_alert::{Evidence, Phase, Subject, Test};
use sentinel_ringlog::RamStorage;
use sentinel_uplink::PROTOCOL_VERSION;

use super::*;

/// Bytes that reach the medium together or not at all when the power fails.
const SECTOR: usize = 512;
const STEPS: u64 = 60;

/// Seeded generator (xorshift64*, Vigna 2016).
#[derive(Clone)]
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) % sides
    }
}

/// Supply of both storages: a number of calls that write or flush, and the share in 256ths of the last one that happens.
#[derive(Clone, Debug)]
struct Power {
    calls_left: Rc<Cell<u64>>,
    last_share: usize,
}

impl Power {
    fn new(calls: u64, last_share: usize) -> Self {
        Self { calls_left: Rc::new(Cell::new(calls)), last_share }
    }

    fn is_off(&self) -> bool {
        self.calls_left.get() == 0
    }

    /// Bytes of `len` that are written by this call.
    fn draw(&self, len: usize) -> io::Result<usize> {
        let left = self.calls_left.get();
        if left == 0 {
            return Err(io::Error::other("off"));
        }
        self.calls_left.set(left - 1);
        Ok(if left == 1 { len * self.last_share / 256 } else { len })
    }
}

/// Storage that records what a power cut leaves.
#[derive(Debug)]
struct Disk {
    current: RamStorage,
    durable: Vec<u8>,
}

#[derive(Clone, Debug)]
struct SimMedium {
    disk: Rc<RefCell<Disk>>,
    power: Power,
}

impl SimMedium {
    fn new(bytes: Vec<u8>, power: &Power) -> Self {
        let disk = Disk { durable: bytes.clone(), current: RamStorage::new(bytes) };
        Self { disk: Rc::new(RefCell::new(disk)), power: power.clone() }
    }

    fn after_kill(&self) -> Vec<u8> {
        self.disk.borrow().current.bytes().to_vec()
    }

    fn after_power_cut(&self, dice: &mut Dice) -> Vec<u8> {
        let disk = self.disk.borrow();
        let mut left = disk.durable.clone();
        for (index, sector) in disk.current.bytes().chunks(SECTOR).enumerate() {
            let start = index * SECTOR;
            if left.get(start..start + sector.len()) != Some(sector) && dice.roll(2) == 0 {
                left.resize(left.len().max(start + sector.len()), 0);
                left[start..start + sector.len()].copy_from_slice(sector);
            }
        }
        left
    }
}

impl ErrorType for SimMedium {
    type Error = io::Error;
}

impl Read for SimMedium {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let Ok(count) = self.disk.borrow_mut().current.read(buf);
        Ok(count)
    }
}

impl Write for SimMedium {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let count = self.power.draw(buf.len())?;
        let Ok(written) = self.disk.borrow_mut().current.write(&buf[..count]);
        if count < buf.len() { Err(io::Error::other("off")) } else { Ok(written) }
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.power.draw(256)? < 256 {
            return Err(io::Error::other("off"));
        }
        let mut disk = self.disk.borrow_mut();
        disk.durable = disk.current.bytes().to_vec();
        Ok(())
    }
}

impl Seek for SimMedium {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let Ok(at) = self.disk.borrow_mut().current.seek(to);
        Ok(at)
    }
}

/// Content of the collector's store, committed with each message.
#[derive(Clone, Debug, Default)]
struct Collector {
    /// Content of each alert: its number in the simulation and its phase.
    stored: BTreeMap<AlertId, (u32, Phase)>,
    gaps: BTreeSet<AlertId>,
    /// Highest number named by a gap, for each run.
    named: BTreeMap<u32, u64>,
    ends: BTreeMap<u32, RunEnd>,
    current: u32,
    acked: Option<AlertId>,
    duplicates: u64,
}

impl Collector {
    fn store(&mut self, item: &Item) {
        match item {
            Item::Alert(id, alert) => {
                let content = (alert.incident, alert.phase);
                let before = self.stored.insert(*id, content);
                assert!(before.is_none_or(|before| before == content), "{id:?}: {before:?}, now {content:?}");
                self.duplicates += u64::from(before.is_some());
            }
            Item::Gap(gap) => {
                self.gaps.insert(gap.last());
                let named = self.named.entry(gap.boot).or_default();
                *named = gap.last_seq.max(*named);
            }
            Item::End(end) => drop(self.ends.entry(end.boot).or_insert(*end)),
        }
    }

    /// Highest number of a run that the collector knows to be used: every one up to it is stored, lost or missing.
    fn highest(&self, boot: u32) -> u64 {
        let run = AlertId { boot, seq: 0 }..=AlertId { boot, seq: u64::MAX };
        let stored = self.stored.range(run).next_back().map_or(0, |(id, _)| id.seq);
        let told = self.ends.get(&boot).map_or(0, |end| end.next_seq - 1);
        stored.max(told).max(self.named.get(&boot).copied().unwrap_or(0))
    }

    /// The collector shows that later alerts of the run may be lost.
    fn is_unknown(&self, boot: u32) -> bool {
        self.ends.get(&boot).map_or(boot != self.current, |end| !end.cause.is_complete())
    }
}

/// Everything outside the program.
#[derive(Clone)]
struct World {
    main: Vec<u8>,
    journal: Vec<u8>,
    key: LogKey,
    collector: Collector,
    /// Content of every alert that was raised, by its identity.
    raised: BTreeMap<AlertId, u32>,
    /// Content of alerts during whose storing the power ended.
    interrupted: BTreeMap<AlertId, u32>,
    next_content: u32,
    now: Uptime,
}

struct Simulator {
    settings: Settings,
}

/// A program that runs.
struct Life<'w> {
    world: &'w mut World,
    main: SimMedium,
    journal: SimMedium,
    power: Power,
    spool: Spool<SimMedium>,
}

impl Simulator {
    fn new(directory: &Path) -> Self {
        let settings = Settings {
            state_dir: directory.to_owned(),
            run_dir: directory.to_owned(),
            log_segment_kib: 16,
            log_segments: 3,
            log_daily_kib: 0,
            alert_daily_messages: 0,
            ..Settings::default()
        };
        Self { settings }
    }

    fn new_world(&self) -> World {
        World {
            main: Vec::new(),
            journal: Vec::new(),
            key: keys::log_key(&self.settings.state_dir).unwrap(),
            collector: Collector::default(),
            raised: BTreeMap::new(),
            interrupted: BTreeMap::new(),
            next_content: 1,
            now: Uptime::ZERO,
        }
    }

    fn open<'w>(&self, world: &'w mut World, power: &Power) -> Option<Life<'w>> {
        let main = SimMedium::new(world.main.clone(), power);
        let journal = SimMedium::new(world.journal.clone(), power);
        keys::store_log_key(&self.settings.state_dir, &world.key).unwrap();
        let opened = Spool::open_on(main.clone(), journal.clone(), &self.settings, world.key.clone());
        let spool = opened.unwrap().0;
        let mut life = Life { world, main, journal, power: power.clone(), spool };
        if life.power.is_off() {
            return Some(life);
        }
        life.world.collector.current = life.spool.boot();
        life.spool.tick(life.world.now);
        Some(life)
    }

    /// Runs one life up to the end of its power. Returns the calls it made.
    fn live(&self, world: &mut World, seed: u64, power: &Power, is_cut: bool) {
        // In some lives the log was damaged before, and is moved aside: what follows meets a crash at every boundary.
        if Dice::new(seed ^ 0xda).roll(8) == 0 {
            world.main.clear();
        }
        let mut dice = Dice::new(seed);
        let mut life = self.open(world, power).unwrap();
        for _ in 0..STEPS {
            if power.is_off() {
                break;
            }
            life.step(&mut dice);
        }
        if !power.is_off() && dice.roll(3) == 0 {
            life.spool.end_run(sentinel_uplink::EndCause::Stopped);
            life.spool.flush();
        }
        life.end(&self.settings.state_dir, &mut dice, is_cut);
    }

    /// Starts the sensor once more, delivers everything, and checks what the collector shows.
    fn recover(&self, world: &mut World) {
        let power = Power::new(u64::MAX, 256);
        let mut life = self.open(world, &power).unwrap();
        life.connect();
        while life.send(64) {
            life.acknowledge();
        }
        assert_eq!(life.spool.waiting_items(), 0);
        let books = life.spool.books();
        assert_eq!(books.raised + books.kept, books.delivered + books.waiting + books.lost, "{books:?}");
        life.end(&self.settings.state_dir, &mut Dice::new(1), false);
        world.check();
    }
}

impl Life<'_> {
    fn step(&mut self, dice: &mut Dice) {
        match dice.roll(20) {
            0..=10 => self.raise(dice),
            11 => self.spool.flush(),
            12 => self.spool.record_queue_overflow([1, 0, 0, 1, 0]),
            13 => self.connect(),
            14 | 15 => drop(self.send(dice.roll(12) + 1)),
            16 => self.acknowledge(),
            17 => self.spool.delivery().disconnected(),
            _ => {
                self.world.now = self.world.now.after(Duration::from_secs(dice.roll(40)));
                self.spool.tick(self.world.now);
                self.spool.note_delivered(self.world.now);
            }
        }
    }

    /// Raises up to eight alerts.
    fn raise(&mut self, dice: &mut Dice) {
        for _ in 0..=dice.roll(8) {
            let severity = Severity::ALL[usize::try_from(dice.roll(5)).unwrap()];
            let phase = if dice.roll(3) == 0 { Phase::Close } else { Phase::Open };
            if !self.power.is_off() {
                self.raise_one(severity, phase);
            }
        }
    }

    /// Raises an alert. One during which the power ends may be in the log or not: nobody has seen its number, as if it were in
    /// the queue of a worker.
    fn raise_one(&mut self, severity: Severity, phase: Phase) {
        let content = self.world.next_content;
        self.world.next_content += 1;
        let id = AlertId { boot: self.spool.boot(), seq: self.spool.books().raised + 1 };
        self.spool.enqueue(&alert(content, severity, phase), self.world.now);
        let raised = if self.power.is_off() { &mut self.world.interrupted } else { &mut self.world.raised };
        raised.insert(id, content);
    }

    fn connect(&mut self) {
        self.spool.delivery().disconnected();
        self.spool.welcome(self.world.collector.acked, PROTOCOL_VERSION);
    }

    /// Sends a message of up to `limit` alerts of one run, or a gap, or an end. False if nothing is to be sent.
    fn send(&mut self, limit: u64) -> bool {
        if !self.spool.delivery().has_room() {
            return false;
        }
        let (mut items, mut records, boot) = (Vec::new(), None, self.spool.boot());
        self.spool.unsent(|record, item| {
            let run = |item: &Item| match item {
                Item::Alert(id, _) => Some(id.boot),
                Item::Gap(_) | Item::End(_) => None,
            };
            let fits = items.first().is_none_or(|first| run(&item).is_some() && run(first) == run(&item));
            if fits {
                SentRecords::add(&mut records, record, &item, boot);
                items.push(item);
            }
            fits && u64::try_from(items.len()).unwrap() < limit
        });
        let (Some(records), Some(last)) = (records, items.last()) else { return false };
        let last = match last {
            Item::Alert(id, _) => *id,
            Item::Gap(gap) => gap.last(),
            Item::End(end) => end.last(),
        };
        self.spool.sent(last, records, self.world.now).unwrap();
        items.iter().for_each(|item| self.world.collector.store(item));
        self.world.collector.acked = Some(last);
        true
    }

    fn acknowledge(&mut self) {
        if let Some(acked) = self.world.collector.acked {
            self.spool.acked(acked);
        }
    }

    /// Leaves the storages as a kill or a power cut does.
    fn end(self, state_dir: &Path, dice: &mut Dice, is_cut: bool) {
        self.world.key = keys::log_key(state_dir).unwrap();
        if is_cut {
            self.world.main = self.main.after_power_cut(dice);
            self.world.journal = Vec::new();
        } else {
            self.world.main = self.main.after_kill();
            self.world.journal = self.journal.after_kill();
        }
    }
}

impl World {
    fn check(&self) {
        let collector = &self.collector;
        // One content under two identities was raised or delivered twice; closing alerts of the next run repeat an incident.
        let mut contents = BTreeSet::new();
        // Alerts of the sensor about damage of its log, which a power cut may leave, are in no model.
        let raised = collector.stored.iter().filter(|(_, (content, _))| *content < u32::MAX - 8);
        for (id, (content, phase)) in raised {
            let interrupted = self.interrupted.get(id).filter(|interrupted| *interrupted == content);
            match self.raised.get(id).or(interrupted) {
                Some(raised) => {
                    assert_eq!(raised, content, "{id:?} is another alert");
                    assert!(contents.insert(content), "{id:?}: doubled");
                }
                None => assert_eq!(*phase, Phase::Close, "{id:?} was never raised"),
            }
        }
        for id in self.raised.keys() {
            let is_accounted = collector.stored.contains_key(id)
                || id.seq <= collector.highest(id.boot)
                || collector.is_unknown(id.boot);
            assert!(is_accounted, "{id:?} is unaccounted: {:?}", collector.ends.get(&id.boot));
        }
    }
}

fn alert(content: u32, severity: Severity, phase: Phase) -> Alert {
    Alert {
        time: Timestamp::from_parts(1_700_000_000 + u64::from(content), 0),
        test: Test::SynFloodPerSource,
        severity,
        phase,
        incident: content,
        // Hardly compresses, so that the ring wraps.
        subject: Subject {
            source: Some(sentinel_units::Address::v6([
                content.wrapping_mul(0x9e37_79b1),
                !content,
                content << 7,
                1,
            ])),
            destination: Some(sentinel_units::Address::v4(content.wrapping_mul(0x85eb_ca6b))),
            ..Subject::default()
        },
        evidence: Evidence::Packets { count: 200, threshold: 200, window_s: 5 },
        ..sample()
    }
}

fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// The journal of an opening that was killed before its first record looked like that of the run before, whose alerts the power
/// cut had taken: their numbers were used again for closing alerts.
#[test]
fn a_kill_during_the_opening_after_a_power_cut_does_not_hide_the_cut() {
    let directory = tempfile::tempdir().unwrap();
    let simulator = Simulator::new(directory.path());
    for boundary in 1..=6 {
        let mut world = simulator.new_world();
        let unlimited = Power::new(u64::MAX, 256);
        let mut life = simulator.open(&mut world, &unlimited).unwrap();
        let mut dice = Dice::new(3);
        life.connect();
        for is_last in [false, true] {
            (0..10).for_each(|_| life.raise_one(Severity::Low, Phase::Open));
            if !is_last {
                life.spool.flush();
            }
            while life.send(64) {}
        }
        // Neither on flash nor sent.
        (0..10).for_each(|_| life.raise_one(Severity::Low, Phase::Close));
        life.end(directory.path(), &mut dice, true);
        let opening = Power::new(boundary, 256);
        let life = simulator.open(&mut world, &opening).unwrap();
        life.end(directory.path(), &mut dice, false);
        simulator.recover(&mut world);
    }
}

#[test]
fn no_crash_leaves_an_alert_unaccounted_or_doubled() {
    let shm = Path::new("/dev/shm");
    let directory = if shm.is_dir() { tempfile::tempdir_in(shm) } else { tempfile::tempdir() }.unwrap();
    let (wanted, mut seed) = (variable("SENTINEL_CRASH_POINTS", 300), variable("SENTINEL_CRASH_SEED", 1));
    let mut simulator = Simulator::new(directory.path());
    let new = simulator.new_world();
    let (mut world, mut points, mut cuts, mut lives) = (new.clone(), 0, 0, 0_u64);
    while points < wanted {
        // A new device after a number of lives; every other one has a limit that it reaches.
        if lives.is_multiple_of(12) {
            world = new.clone();
            simulator.settings.log_daily_kib = if lives.is_multiple_of(24) { 0 } else { 64 };
        }
        lives += 1;
        seed += 1;
        let unlimited = Power::new(u64::MAX, 256);
        simulator.live(&mut world.clone(), seed, &unlimited, false);
        let calls = u64::MAX - unlimited.calls_left.get();
        let mut dice = Dice::new(seed ^ 0x5eed);
        let kept = dice.roll(calls) + 1;
        let mut next = None;
        // Every boundary in the long form; a sample of them in the short one, so that it meets many lives.
        let step = if wanted >= 5_000 { 1 } else { usize::try_from(calls / 12).unwrap().max(1) };
        let sampled = (1..=calls).step_by(step).chain((step > 1).then_some(kept));
        for boundary in sampled {
            let share =
                usize::try_from([0, dice.roll(256), 256][usize::try_from(dice.roll(3)).unwrap()]).unwrap();
            let is_cut = dice.roll(2) == 0;
            let mut crashed = world.clone();
            simulator.live(&mut crashed, seed, &Power::new(boundary, share), is_cut);
            if boundary == kept {
                // Goes on without recovery, so that crashes meet crashes.
                next = Some(crashed.clone());
            }
            simulator.recover(&mut crashed);
            points += 1;
            cuts += u64::from(is_cut);
        }
        world = next.unwrap_or(world);
    }
    println!("{points} crash points ({cuts} power cuts) in {lives} lives: 0 unaccounted, 0 doubled");
}
