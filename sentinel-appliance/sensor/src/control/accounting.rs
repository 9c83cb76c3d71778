//! Accounting of the frames that the kernel filter refuses, to the frame.
//!
//! The kernel counts frames that pass a ring's filter, and no others. While a filter is set, a second socket without one
//! counts every frame of the interface: the difference was refused.

use sentinel_capture::ring::{FrameCounter, OpenError};

use crate::limits::MAX_INTERFACES;
use crate::terminal::log;
use crate::worker::snapshot::InterfaceCounts;

/// Counts of refused frames, with an entry for each captured interface.
#[derive(Debug)]
pub(crate) struct FilterAccounting {
    names: Vec<String>,
    entries: [Entry; MAX_INTERFACES],
    is_enabled: bool,
}

#[derive(Debug, Default)]
struct Entry {
    counting: Option<Counting>,
    /// Frames refused while earlier counters were open.
    refused_before: u64,
}

/// Frame counter of an interface, and where it began.
#[derive(Debug)]
struct Counting {
    counter: FrameCounter,
    /// Frames of the interface since the counter was opened, as last read.
    all: u64,
    /// Frames that had passed the filters of the rings when the counter was opened.
    base: u64,
}

impl Counting {
    fn refused(&self, passed: u64) -> u64 {
        // Saturating: the rings may have taken frames after the counter was read.
        self.all.saturating_sub(passed.saturating_sub(self.base))
    }
}

impl FilterAccounting {
    /// For the interfaces of these names, disabled.
    pub(crate) fn new(names: Vec<String>) -> Self {
        Self { names, entries: Default::default(), is_enabled: false }
    }

    /// Starts to count anew, or stops; frames counted before stay. Exact if the rings refuse every frame during the call.
    pub(crate) fn restart(&mut self, is_enabled: bool, counts: &[InterfaceCounts; MAX_INTERFACES]) {
        self.refresh();
        self.is_enabled = is_enabled;
        for ((entry, counts), name) in self.entries.iter_mut().zip(counts).zip(&self.names) {
            // The old counter is closed at the counts at which the new one begins: no frame is in both or in neither.
            entry.close(counts);
            if is_enabled {
                entry.open(name, counts);
            }
        }
    }

    /// Reads the counters.
    pub(crate) fn refresh(&mut self) {
        for counting in self.entries.iter_mut().filter_map(|entry| entry.counting.as_mut()) {
            counting.all = counting.counter.count().unwrap_or(counting.all);
        }
    }

    /// Frames refused on each interface, as of the last refresh.
    pub(crate) fn refused(&self, counts: &[InterfaceCounts; MAX_INTERFACES]) -> [u64; MAX_INTERFACES] {
        let mut refused = [0; MAX_INTERFACES];
        for ((refused, entry), counts) in refused.iter_mut().zip(&self.entries).zip(counts) {
            let now = entry.counting.as_ref().map_or(0, |counting| counting.refused(counts.seen()));
            *refused = entry.refused_before + now;
        }
        refused
    }

    /// Closes the counters of interfaces that vanished, and opens those of interfaces that are back. Frames between the
    /// return of an interface and this call are not counted.
    pub(crate) fn follow_interfaces(&mut self, counts: &[InterfaceCounts; MAX_INTERFACES]) {
        self.refresh();
        let is_enabled = self.is_enabled;
        for ((entry, counts), name) in self.entries.iter_mut().zip(counts).zip(&self.names) {
            // Only once the ring is closed too: its last frames must be subtracted from this counter, not from the next.
            let is_gone = entry.counting.as_ref().is_some_and(|counting| !counting.counter.is_attached());
            if is_gone && counts.is_open == 0 {
                entry.close(counts);
            } else if entry.counting.is_none() && is_enabled && counts.is_open != 0 {
                entry.open(name, counts);
            }
        }
    }
}

impl Entry {
    fn close(&mut self, counts: &InterfaceCounts) {
        if let Some(counting) = self.counting.take() {
            self.refused_before += counting.refused(counts.seen());
        }
    }

    fn open(&mut self, name: &str, counts: &InterfaceCounts) {
        match FrameCounter::open(name) {
            Ok(counter) => self.counting = Some(Counting { counter, all: 0, base: counts.seen() }),
            // Absent: opened once its ring is.
            Err(OpenError::UnknownInterface) => {}
            Err(error) => {
                log::warn(format_args!(
                    "interface '{name}': frames that the filter refuses are not counted: {error}"
                ));
            }
        }
    }
}
