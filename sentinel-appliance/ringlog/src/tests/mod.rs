//! Tests of the whole log, one file for each kind of fault.

mod basics;
mod evidence;
mod manipulations;
mod model;
mod power_cut;
mod replay;
mod tamper;

use std::ops::Range;

use sentinel_seal::Key;

use crate::testing::{FaultyStorage, Power};
use crate::{Cursor, Finding, Geometry, LogKey, MAX_RECORD, Mode, RecordId, Recovery, Report, RingLog, Salt};

pub(crate) type Log = RingLog<FaultyStorage, FaultyStorage>;

/// Step through the cases of the long tests. Big-endian machines are emulated: one case in seven there keeps the run below a
/// minute or two, and the code is the same.
pub(crate) const STEP: usize = if cfg!(target_endian = "big") { 7 } else { 1 };

/// The smallest log: two segments of four pages.
pub(crate) fn smallest() -> Geometry {
    Geometry::new(16_384, 2).unwrap()
}

pub(crate) fn four_segments() -> Geometry {
    Geometry::new(16_384, 4).unwrap()
}

pub(crate) fn first_key() -> LogKey {
    LogKey::new(0, Key::from_bytes([0x5a; 32]))
}

pub(crate) fn salt(number: u64) -> Salt {
    let mut salt = [0; 16];
    salt[8..].copy_from_slice(&number.to_be_bytes());
    Salt(salt)
}

/// Content of the two storages.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Image {
    pub(crate) main: Vec<u8>,
    pub(crate) journal: Vec<u8>,
}

impl Image {
    /// Content that a killed program leaves.
    pub(crate) fn of(log: Log) -> Self {
        let (main, journal) = log.into_storages();
        Self { main: main.bytes().to_vec(), journal: journal.bytes().to_vec() }
    }

    pub(crate) fn open_with(
        &self,
        geometry: Geometry,
        key: LogKey,
        number: u64,
        power: &Power,
    ) -> (Log, Recovery) {
        let main = FaultyStorage::new(self.main.clone(), power);
        let journal = FaultyStorage::new(self.journal.clone(), power);
        RingLog::open(main, journal, geometry, key, Mode::Append(salt(number))).unwrap()
    }

    pub(crate) fn open(&self, geometry: Geometry, number: u64) -> (Log, Recovery) {
        self.open_with(geometry, first_key(), number, &Power::lasting())
    }
}

/// A record that contains its number, has a length that depends on it, and resembles its neighbours, as alerts do.
pub(crate) fn record(number: u64) -> Vec<u8> {
    let mut bytes =
        format!("{number:06} port_scan 192.168.1.{} -> 10.0.0.{}", number % 7, number % 5).into_bytes();
    bytes.truncate(20 + usize::try_from(number * 5 % 24).unwrap());
    bytes
}

/// An incompressible record.
pub(crate) fn noise(number: u64, len: usize) -> Vec<u8> {
    let mut dice = Dice::new(number + 1);
    (0..len).map(|_| dice.roll(256).to_le_bytes()[0]).collect()
}

/// Seeded generator (xorshift64*, Vigna 2016), so that every run makes the same choices.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) % sides
    }
}

/// Reads all records from `from` on.
pub(crate) fn read_from(log: &mut Log, from: u64) -> Vec<(u64, Vec<u8>)> {
    let mut cursor = Cursor::new(RecordId(from));
    let mut buf = [0; MAX_RECORD];
    let mut found = Vec::new();
    while let Some((id, len)) = log.read_next(&mut cursor, &mut buf).unwrap() {
        assert_eq!(cursor.position(), id.next());
        found.push((id.0, buf[..len].to_vec()));
    }
    found
}

/// Asserts that the log holds exactly the records of these numbers.
#[track_caller]
pub(crate) fn assert_holds(log: &mut Log, numbers: Range<u64>) {
    let expected: Vec<_> = numbers.map(|number| (number, record(number))).collect();
    assert_eq!(read_from(log, 0), expected);
}

/// Verifies the log and returns all findings.
pub(crate) fn verify(log: &mut Log) -> (Report, Vec<Finding>) {
    let mut findings = Vec::new();
    let report = log.verify(None, &mut |finding| findings.push(finding.clone())).unwrap();
    assert_eq!(report.findings, u64::try_from(findings.len()).unwrap());
    (report, findings)
}

#[track_caller]
pub(crate) fn assert_sound(log: &mut Log) -> Report {
    let (report, findings) = verify(log);
    assert_eq!(findings, []);
    report
}
