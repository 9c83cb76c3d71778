//! Frames that the kernel's filter refused, to the frame.
//!
//! The kernel counts what passes a ring's filter, and nothing else. While there is a filter, a meter beside the rings
//! counts every frame of the interface; what it counts and the rings do not was refused.

use sentinel_capture::ring::FrameCounter;

use crate::terminal::log;
use crate::worker::snapshot::{InterfaceCounts, MAX_INTERFACES};

/// One entry for each captured interface.
#[derive(Debug)]
pub(crate) struct FilterAccounting {
    names: Vec<String>,
    entries: [Entry; MAX_INTERFACES],
    is_measuring: bool,
}

#[derive(Debug, Default)]
struct Entry {
    metered: Option<Metered>,
    /// Refused while earlier meters counted.
    before: u64,
}

#[derive(Debug)]
struct Metered {
    meter: FrameCounter,
    /// What the meter had counted when it was last read.
    all: u64,
    /// What the rings had counted when the meter was opened.
    base: u64,
}

impl Metered {
    fn refused(&self, counted: u64) -> u64 {
        self.all.saturating_sub(counted.saturating_sub(self.base))
    }
}

impl FilterAccounting {
    /// For the interfaces of these names, without meters.
    pub(crate) fn new(names: Vec<String>) -> Self {
        Self { names, entries: Default::default(), is_measuring: false }
    }

    /// Begins to measure afresh, or ends it. Exact if nothing passes the filters of the rings now.
    pub(crate) fn measure(&mut self, on: bool, counts: &[InterfaceCounts; MAX_INTERFACES]) {
        self.read();
        self.is_measuring = on;
        for ((entry, counts), name) in self.entries.iter_mut().zip(counts).zip(&self.names) {
            entry.fold(counts);
            if on {
                entry.open(name, counts);
            }
        }
    }

    /// Asks the meters.
    pub(crate) fn read(&mut self) {
        for metered in self.entries.iter_mut().filter_map(|entry| entry.metered.as_mut()) {
            metered.all = metered.meter.count().unwrap_or(metered.all);
        }
    }

    /// Frames refused on each interface, as the meters were last read.
    pub(crate) fn refused(&self, counts: &[InterfaceCounts; MAX_INTERFACES]) -> [u64; MAX_INTERFACES] {
        let mut refused = [0; MAX_INTERFACES];
        for ((refused, entry), counts) in refused.iter_mut().zip(&self.entries).zip(counts) {
            let now = entry.metered.as_ref().map_or(0, |metered| metered.refused(counts.seen()));
            *refused = entry.before + now;
        }
        refused
    }

    /// Closes the meters of interfaces that are gone, and opens those of interfaces that are back: the few frames
    /// before that are not counted anywhere.
    pub(crate) fn tend(&mut self, counts: &[InterfaceCounts; MAX_INTERFACES]) {
        self.read();
        let is_measuring = self.is_measuring;
        for ((entry, counts), name) in self.entries.iter_mut().zip(counts).zip(&self.names) {
            let is_gone = entry.metered.as_ref().is_some_and(|metered| !metered.meter.is_attached());
            if is_gone && counts.is_open == 0 {
                entry.fold(counts);
            } else if entry.metered.is_none() && is_measuring && counts.is_open != 0 {
                entry.open(name, counts);
            }
        }
    }
}

impl Entry {
    fn fold(&mut self, counts: &InterfaceCounts) {
        if let Some(metered) = self.metered.take() {
            self.before += metered.refused(counts.seen());
        }
    }

    fn open(&mut self, name: &str, counts: &InterfaceCounts) {
        match FrameCounter::open(name) {
            Ok(meter) => self.metered = Some(Metered { meter, all: 0, base: counts.seen() }),
            Err(error) => {
                log::warn(format_args!("what the filter refuses on '{name}' is not counted: {error}"));
            }
        }
    }
}
