//! "One source sends many of these within a window", the test that floods share.

use core::time::Duration;

use sentinel_track::hash::HashKey;
use sentinel_track::recent::{Recent, Threshold};
use sentinel_track::table::{Slot, Table};
use sentinel_units::{Address, Timestamp};

/// Events told apart exactly; above, within 1 %.
const MARKS: usize = 256;

/// Storage for one source: about 1 KiB.
pub type SourceSlot = Slot<Address, Recent<MARKS>>;

/// Counts events per source address.
#[derive(Debug)]
pub(crate) struct PerSource<'m> {
    table: Table<'m, Address, Recent<MARKS>>,
    threshold: Threshold,
}

impl<'m> PerSource<'m> {
    pub(crate) fn new(slots: &'m mut [SourceSlot]) -> Self {
        let window = Duration::from_secs(1);
        Self { table: Table::new(slots, window), threshold: Threshold::new(1, window, MARKS) }
    }

    /// Counts already made stay, as far as the new numbers can use them.
    pub(crate) fn configure(&mut self, events: u32, window_s: u32) {
        let window = Duration::from_secs(window_s.into());
        self.threshold = Threshold::new(events, window, MARKS);
        self.table.set_lifetime(window);
    }

    /// Counts one event of the source. At or over the threshold, says when the first of them was.
    #[inline]
    pub(crate) fn add(&mut self, key: &HashKey, source: Address, now: Timestamp) -> Option<Timestamp> {
        let threshold = self.threshold;
        let span = self.table.entry(key.address(source), source, now)?.value.add(threshold, now)?;
        Some(earlier(now, span))
    }

    pub(crate) const fn table(&self) -> &Table<'m, Address, Recent<MARKS>> {
        &self.table
    }
}

/// The instant `span` before `now`.
pub(crate) fn earlier(now: Timestamp, span: Duration) -> Timestamp {
    Timestamp::from_nanos(now.as_nanos().saturating_sub(Timestamp::ZERO.after(span).as_nanos()))
}
