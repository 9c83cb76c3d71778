//! From frame to alert nothing is allocated once the tables are there.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod support;

use std::fmt::Write;
use std::fs;

use sentinel_alert::{Alert, Phase};
use sentinel_detect::{Capacities, Engine, RawFrame};
use sentinel_testkit::{CountingAllocator, allocations};
use sentinel_units::{LinkType, Timestamp};
use support::engine::engine;
use support::{Record, golden, records};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const PACKETS: usize = 100_000;

/// Plays the capture repeatedly, each repetition 700 s after the one before, so that all incidents and flows of a
/// repetition have ended before the next. Returns the number of allocations, and the alerts raised of each phase.
fn play(engine: &mut Engine<'_>, records: &[Record], line: &mut String) -> (usize, [u32; 3]) {
    let (mut raised, mut packets, mut repetition) = ([0; 3], 0, 0);
    let mut raise = |alert: Alert| {
        let phase = match alert.phase {
            Phase::Open => 0,
            Phase::Update => 1,
            Phase::Close => 2,
        };
        raised[phase] += 1;
        line.clear();
        sentinel_alert::json::write(&alert, None, line).unwrap();
    };
    let before = allocations();
    while packets < PACKETS {
        for record in records {
            let at = Timestamp::from_parts(u64::from(record.seconds) + repetition * 700, record.nanos);
            let (link, bytes) = (LinkType::ETHERNET, &record.bytes);
            engine.frame(
                RawFrame { at, link, bytes, wire_len: record.wire_len, interface: 0, vlan: None },
                &mut raise,
            );
            packets += 1;
        }
        repetition += 1;
    }
    engine.finish(&mut raise);
    (allocations() - before, raised)
}

#[test]
fn a_hundred_thousand_packets_of_attacks_allocate_nothing() {
    let records = records(&fs::read(golden().join("attack-mix.pcap")).unwrap());
    let repetitions = u32::try_from(PACKETS.div_ceil(records.len())).unwrap();
    // The memory of a default sensor, and so little memory that tables overflow and an attack is missed. The forged claim of a station
    // that held the address before the end of the last repetition is none.
    for (bytes, seen) in [(2 << 20, 7), (1 << 16, 6)] {
        let mut engine = engine(Capacities::within(bytes));
        let mut line = String::with_capacity(4_096);
        let (count, raised) = play(&mut engine, &records, &mut line);
        assert_eq!(count, 0, "{bytes} bytes of tables");
        assert!(
            raised[0] >= seen * repetitions && raised[0] == raised[2],
            "{bytes} bytes of tables: {raised:?}"
        );
    }
}

/// Without this, a test that counts nothing would pass too.
#[test]
fn the_counter_counts() {
    let before = allocations();
    let text = String::with_capacity(10);
    assert_eq!((allocations() - before, text.len()), (1, 0));
    let mut text = text;
    write!(text, "longer than the ten bytes that were taken").unwrap();
    assert!(allocations() - before >= 2);
}
