//! `mac_flood`: frames from hardware addresses that were never seen, to push the known ones out of the switches' tables.
//!
//! Read first: IEEE 802.1Q-2022 clauses 8.7 and 8.8 (learning, and what happens to frames for unknown addresses); Bloom, "Space/Time
//! Trade-offs in Hash Coding with Allowable Errors" (CACM 1970).
//!
//! Addresses are remembered in two Bloom filters of 16,384 bits, one filling and the one before it: an address all of whose bits are set
//! is taken for known, so that counts are lower bounds. First packets of flows, requests and link-layer messages are looked at.

use sentinel_alert::{Evidence, Kind, Severity, Subject, Test};
use sentinel_dissect::FiveTuple;
use sentinel_track::hash::HashKey;

use crate::incident::{Finding, Findings};
use crate::registry::{Detector, DetectorConfig, thresholds};
use crate::shared::event::{Event, OtherEvent, Setting};
use crate::shared::rate::Activation;

/// Bits of an address: one in 6,000 of 500 new addresses is taken for known.
const HASHES: u64 = 4;
/// Seconds after the first frame in which twice the threshold holds: every station is new then.
const FIRST_SECONDS: u64 = 10;

thresholds! {
    /// Thresholds of `mac_flood`.
    MacFloodThresholds {
        addresses: "addresses", default 250, 10 to 4000, "new hardware addresses within a second; twice as many in the first ten seconds";
    }
}

/// Hardware addresses that sent frames.
#[derive(Debug)]
pub(crate) struct MacFlood<'m> {
    /// Both filters, the filling one first if `is_swapped` is false.
    bits: &'m mut [u32],
    is_swapped: bool,
    /// Bits of the filling one that are set.
    filled: usize,
    last: [u8; 6],
    second: u64,
    first_second: u64,
    new: u32,
    thresholds: MacFloodThresholds,
    activation: Activation,
}

impl<'m> MacFlood<'m> {
    pub(crate) const DETECTOR: Detector = Detector {
        kind: Kind::MacFlood,
        about: "frames come from many hardware addresses within a second that were never seen before",
        source: "tables of small switches hold 1,000 to 8,000 addresses for five minutes; macof sends hundreds to thousands a second",
        severity: Severity::High,
        thresholds: MacFloodThresholds::SETTINGS,
        ports: None,
    };

    pub(crate) fn new(bits: &'m mut [u32], config: &DetectorConfig) -> Self {
        bits.fill(0);
        Self {
            bits,
            is_swapped: false,
            filled: 0,
            last: [0; 6],
            second: 0,
            first_second: 0,
            new: 0,
            thresholds: config.into(),
            activation: config.into(),
        }
    }

    pub(crate) fn configure(&mut self, config: &DetectorConfig) {
        (self.thresholds, self.activation) = (config.into(), config.into());
    }

    /// Takes the sender of the last frame, and makes it `sender`, whose frames leave no trace from now on.
    pub(crate) const fn replace_last(&mut self, sender: [u8; 6]) -> [u8; 6] {
        core::mem::replace(&mut self.last, sender)
    }

    /// No datagram is needed in full.
    #[inline]
    #[expect(clippy::unused_self, reason = "the table of detectors calls every one alike")]
    pub(crate) const fn reads(&self, _tuple: &FiveTuple) -> bool {
        false
    }

    #[inline]
    pub(crate) fn segment(&mut self, event: &Event<'_, '_>, findings: &mut Findings<'_, '_>) {
        if event.role.is_first {
            self.sender(event.setting, event.packet.sender, findings);
        }
    }

    pub(crate) fn packet(&mut self, event: &OtherEvent<'_, '_>, findings: &mut Findings<'_, '_>) {
        let ethernet = event.packet.ethernet.as_ref();
        self.sender(event.setting, ethernet.map(|ethernet| &ethernet.source.0), findings);
    }

    /// Looks at a sender, unless it is that of the frame before.
    #[inline]
    pub(crate) fn sender(
        &mut self,
        setting: Setting<'_>,
        sender: Option<&[u8; 6]>,
        findings: &mut Findings<'_, '_>,
    ) {
        if let Some(sender) = sender
            && *sender != self.last
        {
            self.look(setting, *sender, findings);
        }
    }

    #[inline(never)] // keeps its callers short
    fn look(&mut self, setting: Setting<'_>, sender: [u8; 6], findings: &mut Findings<'_, '_>) {
        self.last = sender;
        let [a, b, c, d, e, f] = sender;
        let words = [u32::from_be_bytes([a, b, c, d]), u32::from(u16::from_be_bytes([e, f]))];
        if a & 1 != 0 || !self.is_new(setting.key, words) {
            return;
        }
        let second = setting.now.as_secs();
        if self.first_second == 0 {
            self.first_second = second;
        }
        if second != self.second {
            (self.second, self.new) = (second, 0);
        }
        self.new += 1;
        let is_early = second.saturating_sub(self.first_second) < FIRST_SECONDS;
        let threshold = self.thresholds.addresses << u32::from(is_early);
        if self.new < threshold || !self.activation.enabled {
            return;
        }
        findings.add(&Finding {
            test: Test::MacFlood,
            severity: self.activation.severity,
            first: setting.now,
            subject: Subject::default(),
            evidence: Evidence::Packets { count: self.new.into(), threshold, window_s: 1 },
            adds: 1,
            scope: 0,
        });
    }

    /// Sets the bits of an address. Returns true if neither filter had them all.
    fn is_new(&mut self, key: &HashKey, words: [u32; 2]) -> bool {
        let half = self.bits.len() / 2;
        let hash = key.hash64(words);
        let (mut is_known, mut was_known) = (true, true);
        for step in 0..HASHES {
            // Double hashing (Kirsch, Mitzenmacher, 2006), scaled to the number of bits.
            let mixed = (hash >> 32).wrapping_add(hash.wrapping_mul(step)) & u64::from(u32::MAX);
            let bit = usize::try_from((mixed * u64::try_from(half * 32).unwrap_or(0)) >> 32).unwrap_or(0);
            let (word, mask) = (bit / 32, 1_u32 << (bit % 32));
            let (now, before) = if self.is_swapped { (word + half, word) } else { (word, word + half) };
            was_known &= self.bits.get(before).is_some_and(|held| held & mask != 0);
            let Some(held) = self.bits.get_mut(now) else { return false };
            let is_set = *held & mask != 0;
            is_known &= is_set;
            *held |= mask;
            self.filled += usize::from(!is_set);
        }
        if self.filled > half * 16 {
            (self.is_swapped, self.filled) = (!self.is_swapped, 0);
            let (one, other) = self.bits.split_at_mut(half);
            if self.is_swapped { other } else { one }.fill(0);
        }
        !is_known && !was_known
    }
}
