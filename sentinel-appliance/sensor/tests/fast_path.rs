//! The fast path of the engine raises the same alerts as the slow path.
//!
//! Two engines get the same frames. One uses the fast path: it parses common frames as a summary, and ends early for packets of
//! flows that no detector inspects. The other dissects each frame in full and is configured before each, which makes it inspect
//! every flow again.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod support;

use std::fs::{self, File};
use std::path::Path;

use sentinel_alert::Alert;
use sentinel_capture::file::Reader;
use sentinel_detect::{Capacities, RawFrame};
use support::engine::{configs, engine, home_net, incident_limits};
use support::golden;

/// Alerts of the engine with the fast path, and of the one without; `None` if the file is no capture.
fn both_ways(path: &Path, table_bytes: usize) -> Option<(Vec<Alert>, Vec<Alert>)> {
    let mut reader = Reader::open(File::open(path).unwrap()).ok()?;
    let (mut short, mut long) = (Vec::new(), Vec::new());
    let mut quick = engine(Capacities::within(table_bytes));
    let mut thorough = engine(Capacities::within(table_bytes));
    while let Some(frame) = reader.next().unwrap() {
        let raw = RawFrame {
            at: frame.at,
            link: frame.link,
            bytes: frame.bytes,
            wire_len: frame.wire_len,
            interface: frame.interface,
            vlan: frame.vlan,
        };
        quick.frame(raw, &mut |alert| short.push(alert));
        if frame.link.is_supported() {
            thorough.configure(home_net(), incident_limits(), &configs());
            let packet = sentinel_dissect::packet(frame.link, None, frame.bytes, frame.wire_len);
            thorough.packet(frame.at, &packet, &mut |alert| long.push(alert));
        }
    }
    quick.finish(&mut |alert| short.push(alert));
    thorough.finish(&mut |alert| long.push(alert));
    Some((short, long))
}

#[test]
fn alerts_are_the_same_with_and_without_the_fast_path() {
    let (mut captures, mut alerts) = (0, 0);
    for entry in fs::read_dir(golden()).unwrap() {
        let path = entry.unwrap().path();
        // Roomy tables, and such that lose entries all the time.
        for table_bytes in [2 << 20, 1 << 16] {
            let Some((short, long)) = both_ways(&path, table_bytes) else { continue };
            assert_eq!(short, long, "{} over {table_bytes} bytes of tables", path.display());
            captures += 1;
            alerts += short.len();
        }
    }
    assert!(captures > 100 && alerts > 150, "{captures} captures, {alerts} alerts");
}
