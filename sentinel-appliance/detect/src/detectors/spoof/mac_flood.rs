//! `mac_flood`: frames from hardware addresses that were never seen, to push the known ones out of the switches' tables.
//!
//! Read first: IEEE 802.1Q-2022 clauses 8.7 and 8.8 (learning, and what happens to frames for unknown addresses); Bloom, "Space/Time
//! Trade-offs in Hash Coding with Allowable Errors" (CACM 1970).
//!
//! Addresses are remembered in two blocked Bloom filters of 16,384 bits (Putze, Sanders, Singler 2007), one filling and the one before it:
//! an address all of whose four bits are set is taken for known, so that counts are lower bounds. First packets of flows, requests and link-layer messages are looked at.

use sentinel_alert::{Evidence, Kind, Severity, Subject, Test};
use sentinel_dissect::FiveTuple;
use sentinel_track::hash::HashKey;

use super::device_table::Device;
use super::new_device::NewDevices;
use crate::incident::{Finding, Findings};
use crate::registry::{Detector, DetectorConfig, thresholds};
use crate::shared::event::{Event, OtherEvent, Setting};
use crate::shared::rate::Activation;

/// Words of a block, in which all bits of an address are: 64 bits.
const BLOCK_WORDS: usize = 2;
/// New addresses within a second that may be devices; more are made up, or a switch was connected.
const MAX_DEVICES_PER_S: u32 = 8;
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
    /// Both filters, the filling one first if `is_swapped` is false: 256 blocks each.
    bits: &'m mut [u32],
    is_swapped: bool,
    /// Bits of the filling one that are set.
    filled: usize,
    last: [u8; 6],
    second: u64,
    first_second: u64,
    new: u32,
    devices: NewDevices<'m>,
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

    pub(crate) fn new(
        bits: &'m mut [u32],
        slots: &'m mut [Device],
        config: &DetectorConfig,
        devices: &DetectorConfig,
        silence: &DetectorConfig,
    ) -> Self {
        bits.fill(0);
        Self {
            bits,
            is_swapped: false,
            filled: 0,
            last: [0; 6],
            second: 0,
            first_second: 0,
            new: 0,
            devices: NewDevices::new(slots, devices, silence),
            thresholds: config.into(),
            activation: config.into(),
        }
    }

    pub(crate) fn configure(
        &mut self,
        config: &DetectorConfig,
        devices: &DetectorConfig,
        silence: &DetectorConfig,
    ) {
        self.devices.configure(devices, silence);
        (self.thresholds, self.activation) = (config.into(), config.into());
    }

    /// From now on this is worker `index` of several; the first one sees the messages by which every station is asked for.
    pub(crate) const fn set_shard(&mut self, index: u32) {
        self.devices.silence.is_elsewhere = index != 0;
    }

    /// Stations that are known, and takes over those of an earlier run.
    pub(crate) const fn devices(&mut self) -> &mut NewDevices<'m> {
        &mut self.devices
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
        if self.devices.is_waiting() {
            self.devices.segment(event);
        }
    }

    /// Reports new devices that were watched for long enough, or all at the end of the traffic.
    pub(crate) fn expire(&mut self, is_end: bool, findings: &mut Findings<'_, '_>) {
        // In a new period the only station that sends is looked at again.
        self.last = [0; 6];
        self.devices.expire(is_end, findings);
    }

    pub(crate) fn packet(&mut self, event: &OtherEvent<'_, '_>, findings: &mut Findings<'_, '_>) {
        let ethernet = event.packet.ethernet.as_ref();
        self.sender(event.setting, ethernet.map(|ethernet| &ethernet.source.0), findings);
        if self.devices.is_waiting() {
            self.devices.packet(event);
        }
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
            self.look(setting, sender, findings);
        }
    }

    #[inline(never)] // keeps its callers short
    fn look(&mut self, setting: Setting<'_>, sender: &[u8; 6], findings: &mut Findings<'_, '_>) {
        self.last = *sender;
        let place = self.place(setting.key, sender);
        // Nearly every sender is known to the filling filter: then nothing changes.
        let [first, ..] = *sender;
        if first & 1 != 0 {
            return;
        }
        if !self.holds(&place) {
            self.add(setting, *sender, &place, findings);
        } else if !self.devices.is_present(place.hash) {
            self.devices.see(*sender, place.hash, false, findings);
        }
    }

    /// Remembers a sender that the filling filter does not know, and counts it if it is new.
    #[inline(never)] // its stack frame is not that of the common case
    fn add(&mut self, setting: Setting<'_>, sender: [u8; 6], place: &Place, findings: &mut Findings<'_, '_>) {
        if !self.is_new(place) {
            self.devices.see(sender, place.hash, false, findings);
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
        match self.new {
            ..=MAX_DEVICES_PER_S => self.devices.see(sender, place.hash, true, findings),
            _ => self.devices.flood(setting.now),
        }
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

    /// Place of an address in both filters.
    #[inline]
    fn place(&self, key: &HashKey, &[a, b, c, d, e, f]: &[u8; 6]) -> Place {
        let half = self.bits.len() / 2;
        let words = [u32::from_be_bytes([a, b, c, d]), u32::from(u16::from_be_bytes([e, f]))];
        let hash = key.hash64(words);
        // The highest bits select the block, scaled to the number of blocks; the next 24 select the bits. The lower half is poorer.
        let blocks = u64::try_from(half / BLOCK_WORDS).unwrap_or(0);
        let block = usize::try_from(((hash >> 32) * blocks) >> 32).unwrap_or(0) * BLOCK_WORDS;
        let bit = |shift: u32| 1_u64 << (hash >> shift & 63);
        let mask = bit(32) | bit(38) | bit(44) | bit(50);
        let (now, before) = if self.is_swapped { (block + half, block) } else { (block, block + half) };
        #[expect(clippy::as_conversions, reason = "the upper half of 64 bits")]
        let hash = (hash >> 32) as u32;
        Place { now, before, mask, hash }
    }

    /// Returns true if the filling filter has all bits of an address.
    #[inline]
    fn holds(&mut self, place: &Place) -> bool {
        self.block(place.now).is_none_or(|held| pair(held) & place.mask == place.mask)
    }

    /// Sets the bits of an address that the filling filter does not have. Returns true if the other one has not either.
    fn is_new(&mut self, &Place { now, before, mask, .. }: &Place) -> bool {
        let half = self.bits.len() / 2;
        let was_known = self.block(before).is_some_and(|held| pair(held) & mask == mask);
        let Some(held) = self.block(now) else { return false };
        let (known, joined) = (pair(held), pair(held) | mask);
        let [low, high] = held;
        #[expect(clippy::as_conversions, reason = "the two halves of 64 bits")]
        {
            (*low, *high) = (joined as u32, (joined >> 32) as u32);
        }
        self.filled += usize::try_from((joined ^ known).count_ones()).unwrap_or(0);
        if self.filled > half * 16 {
            (self.is_swapped, self.filled) = (!self.is_swapped, 0);
            let (one, other) = self.bits.split_at_mut(half);
            if self.is_swapped { other } else { one }.fill(0);
        }
        !was_known
    }

    fn block(&mut self, first: usize) -> Option<&mut [u32; BLOCK_WORDS]> {
        self.bits.get_mut(first..)?.first_chunk_mut()
    }
}

/// First words of the blocks of an address in the filling filter and in the one before, its bits there, and its hash.
struct Place {
    now: usize,
    before: usize,
    mask: u64,
    /// Hash of it.
    hash: u32,
}

/// Bits of a block.
fn pair([low, high]: &[u32; BLOCK_WORDS]) -> u64 {
    u64::from(*high) << 32 | u64::from(*low)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    use crate::testkit::configs;

    /// Also vendors count their addresses up, and so does who makes some up.
    #[test]
    fn few_of_many_new_addresses_are_taken_for_known() {
        let configs = configs();
        for seed in 0..8 {
            let key = HashKey::new(seed);
            let mut bits = std::vec![0; 1_024];
            let mut filter = MacFlood::new(&mut bits, &mut [], &configs[0], &configs[0], &configs[0]);
            let is_new = |filter: &mut MacFlood<'_>, number: u32| {
                let [.., e, f] = number.to_be_bytes();
                let place = filter.place(&key, &[2, 0, 0, 0, e, f]);
                !filter.holds(&place) && filter.is_new(&place)
            };
            let new = (0..1_000_u32).filter(|number| is_new(&mut filter, *number)).count();
            assert!(new >= 990, "seed {seed}: {new} of 1,000");
            // Within the two filters the last 1,000 are known, whatever came before.
            assert!((0..1_000_u32).all(|number| !is_new(&mut filter, number)), "seed {seed}");
        }
    }
}
