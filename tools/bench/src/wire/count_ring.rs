//! Bare ring reader, the ceiling of live receivers: takes each frame out of a `TPACKET_V3` ring and reads its first cache
//! line.

use std::hint::black_box;
use std::io::{BufRead, stdin};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use sentinel_capture::ring::{Ring, RingConfig};
use serde_json::json;

use crate::output;

/// Size of a block, the same as the sensor's.
const BLOCK_BYTES: u32 = 64 * 1_024;
/// Least number of blocks of a ring.
const MIN_BLOCKS: u32 = 4;
/// Offset of the last byte of a frame that is read.
const LAST_READ: usize = 63;

fn open(interface: &str, ring_kib: u32, snap_bytes: u32, block_timeout: Duration) -> Result<Ring> {
    let ring_bytes = ring_kib.saturating_mul(1_024);
    let block_bytes = BLOCK_BYTES.min(ring_bytes / MIN_BLOCKS);
    let sizes = RingConfig { ring_bytes, block_bytes, snap_bytes, ..RingConfig::new(interface) };
    Ok(Ring::open(&RingConfig { block_timeout, ..sizes })?)
}

/// Prints `ready`, then, for each line on standard input, the frame counters as JSON. Ends at the end of its input.
pub(crate) fn count_ring(interface: &str, ring_kib: u32, snap_bytes: u32, timeout: Duration) -> Result<()> {
    static REQUESTS: AtomicU32 = AtomicU32::new(0);
    const END_OF_INPUT: u32 = u32::MAX;
    let mut ring = open(interface, ring_kib, snap_bytes, timeout)?;
    let _detached = thread::spawn(|| {
        for _line in stdin().lock().lines().map_while(Result::ok) {
            REQUESTS.fetch_add(1, Ordering::Relaxed);
        }
        REQUESTS.store(END_OF_INPUT, Ordering::Relaxed);
    });
    output::line("ready");
    let (mut taken, mut sum, mut answered) = (0_u64, 0_u8, 0);
    loop {
        while let Some(block) = ring.next_block() {
            for frame in &block {
                taken += 1;
                sum = sum.wrapping_add(frame.bytes.first().copied().unwrap_or(0));
                sum = sum.wrapping_add(frame.bytes.get(LAST_READ).copied().unwrap_or(0));
            }
        }
        black_box(sum);
        let requests = REQUESTS.load(Ordering::Relaxed);
        if requests == END_OF_INPUT {
            return Ok(());
        }
        if requests != answered {
            answered = requests;
            let counters = ring.counters()?;
            output::line(json!({"seen": counters.received, "dropped": counters.dropped, "taken": taken}));
        }
        ring.wait(Duration::from_millis(50))?;
    }
}
