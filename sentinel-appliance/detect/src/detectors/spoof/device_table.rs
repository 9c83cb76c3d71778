//! Stations of the link, and how steadily each is seen: which are known, and which never leave.
//!
//! Time is cut into periods of ten minutes, in each of which a station is looked for once, and half-hours of three periods, which are
//! counted. A half-hour counts only if some station was seen in it, so that a sensor that sees nothing misses nobody.
//!
//! A full table gives up the station with the fewest half-hours among those of at most one, as addresses that somebody makes up have, and
//! then the one that was not seen for longest, if that is a week. Otherwise it stays as it is, and is no longer complete.

/// Words of the filter of stations that were seen in a period: 1,024 bits.
const PRESENT_WORDS: usize = 32;
/// Length of a period in seconds, and periods of a half-hour.
pub(super) const PERIOD_S: u64 = 600;
const PERIODS: u64 = 3;
/// Length of a half-hour in seconds.
pub(super) const HALF_HOUR_S: u32 = 1_800;
/// Days after which a station may be given up for another one.
const STALE_DAYS: u16 = 7;
/// Half-hours up to which a station is given up for any other.
const BRIEF: u16 = 1;
/// Half-hours without a station after which it was not there without a break: one may be missed.
const BREAK: u8 = 2;

/// Bits of [`Device::state`].
const SEEN: u8 = 1;
const TOLD: u8 = 2;

/// Station of the link, in 20 bytes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Device {
    /// Zero for a free slot.
    mac: [u8; 6],
    /// Day on which it was seen last, since the epoch.
    day: u16,
    /// IPv4 address that it used when it was new; zero if unknown.
    address: u32,
    /// Half-hours in which it was seen.
    seen: u16,
    /// Half-hours without a break up to now.
    run: u16,
    /// Half-hours since.
    missed: u8,
    state: u8,
}

impl Device {
    /// Bytes of a station in a file.
    pub const LEN: usize = 16;

    /// Fields that are kept over a restart.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let [a, b, c, d, e, f] = self.mac;
        let [[g, h], [m, n], [o, p]] = [self.day, self.seen, self.run].map(u16::to_be_bytes);
        let [i, j, k, l] = self.address.to_be_bytes();
        [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
    }

    /// Station from its bytes; `None` if they name no station.
    #[must_use]
    pub fn from_bytes(&[a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]: &[u8; Self::LEN]) -> Option<Self> {
        let mac = [a, b, c, d, e, f];
        let [day, seen, run] = [[g, h], [m, n], [o, p]].map(u16::from_be_bytes);
        let address = u32::from_be_bytes([i, j, k, l]);
        (mac != [0; 6] && a & 1 == 0).then_some(Self { mac, day, address, seen, run, missed: 0, state: 0 })
    }

    /// Returns true if the slot is free.
    #[must_use]
    pub fn is_free(&self) -> bool {
        self.mac == [0; 6]
    }
}

/// Station that was steadily there and is not any more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Missing {
    pub(super) mac: [u8; 6],
    pub(super) address: u32,
    /// Half-hours without a break, and since.
    pub(super) run: u16,
    pub(super) missed: u8,
}

/// Stations of the link.
#[derive(Debug)]
pub(super) struct DeviceTable<'m> {
    slots: &'m mut [Device],
    present: [u32; PRESENT_WORDS],
    /// Odd number that chooses the bits, another one in each period: two stations share theirs by chance and not for ever.
    factor: u32,
    /// Number of the period since the epoch; zero before the first frame.
    period: u64,
    /// The half-hour began before the first frame.
    is_partial: bool,
    /// No station was refused.
    is_complete: bool,
    /// Grows with every change that a file should have.
    revision: u32,
    /// As `revision`, of stations that were added.
    added: u32,
}

impl<'m> DeviceTable<'m> {
    pub(super) fn new(slots: &'m mut [Device]) -> Self {
        slots.fill(Device::default());
        Self {
            slots,
            present: [0; PRESENT_WORDS],
            factor: 1,
            period: 0,
            is_partial: true,
            is_complete: true,
            revision: 0,
            added: 0,
        }
    }

    /// Word and bit of a hash of 32 good bits.
    #[inline]
    const fn bit(&self, hash: u32) -> (u32, u32) {
        let bit = hash.wrapping_mul(self.factor) >> 22;
        (bit >> 5, 1 << (bit & 31))
    }

    /// Returns true if nothing is to be done for the station before the next period.
    #[inline]
    pub(super) fn is_present(&self, hash: u32) -> bool {
        let (word, bit) = self.bit(hash);
        let word = usize::try_from(word).ok().and_then(|word| self.present.get(word));
        word.is_some_and(|word| word & bit != 0)
    }

    /// Returns true if the station is known, and notes that it was seen.
    pub(super) fn mark(&mut self, mac: [u8; 6], hash: u32, day: u16) -> bool {
        // The last four bytes differ between stations of one vendor, and are one comparison.
        let [_, _, tail @ ..] = mac;
        let is_it = |device: &Device| {
            let [_, _, last @ ..] = device.mac;
            u32::from_ne_bytes(last) == u32::from_ne_bytes(tail) && device.mac == mac
        };
        let Some(device) = self.slots.iter_mut().find(|device| is_it(device)) else { return false };
        device.state |= SEEN;
        device.day = day;
        self.set_present(hash);
        true
    }

    fn set_present(&mut self, hash: u32) {
        let (word, bit) = self.bit(hash);
        if let Some(word) = usize::try_from(word).ok().and_then(|word| self.present.get_mut(word)) {
            *word |= bit;
        }
    }

    /// Adds a station that is not in the table, and notes that it was seen. Returns false if all others are worth more.
    pub(super) fn add(&mut self, mac: [u8; 6], hash: u32, day: u16) -> bool {
        let worth = |device: &Device| match device.seen {
            seen @ ..=BRIEF => 1 + u32::from(seen),
            _ if day.wrapping_sub(device.day) >= STALE_DAYS => {
                u32::from(u16::MAX - day.wrapping_sub(device.day)) + 8
            }
            _ => u32::MAX,
        };
        let slots = &mut *self.slots;
        let slot = slots.iter().position(Device::is_free).or_else(|| {
            let (slot, least) = slots.iter().map(worth).enumerate().min_by_key(|(_, worth)| *worth)?;
            (least < u32::MAX).then_some(slot)
        });
        match slot.and_then(|slot| slots.get_mut(slot)) {
            Some(device) => {
                *device = Device { mac, day, state: SEEN, ..Device::default() };
                self.set_present(hash);
                self.added = self.added.wrapping_add(1);
                self.revision = self.revision.wrapping_add(1);
                true
            }
            None => {
                self.is_complete = false;
                false
            }
        }
    }

    /// Forgets a station.
    pub(super) fn remove(&mut self, mac: [u8; 6]) {
        self.slots
            .iter_mut()
            .filter(|device| device.mac == mac)
            .for_each(|device| *device = Device::default());
    }

    /// Notes the address of a station.
    pub(super) fn set_address(&mut self, mac: [u8; 6], address: u32) {
        if let Some(device) = self.slots.iter_mut().find(|device| device.mac == mac) {
            device.address = address;
        }
    }

    /// Moves on to the period of `now_s`. Returns true if a half-hour has ended that counts: then [`Self::missing`] follows.
    pub(super) fn advance(&mut self, now_s: u64) -> bool {
        let period = now_s / PERIOD_S;
        if period == self.period {
            return false;
        }
        let (before, now) = (self.period / PERIODS, period / PERIODS);
        self.present = [0; PRESENT_WORDS];
        let [.., c, d] = period.to_be_bytes();
        self.factor = u32::from(u16::from_be_bytes([c, d])).wrapping_mul(0x9e37_79b2) | 1;
        self.period = period;
        if before == now {
            return false;
        }
        // Half-hours that were skipped, and those before a clock that was set back, say nothing.
        let is_partial = core::mem::replace(&mut self.is_partial, before == 0 || now < before);
        let was_seen = self.slots.iter().any(|device| device.state & SEEN != 0);
        !is_partial && was_seen && before != 0 && now > before
    }

    /// Ends a half-hour. Shows the stations that were there for `run` half-hours without a break and have now been missed for
    /// `missed`, once until they come back.
    pub(super) fn missing(&mut self, run: u16, missed: u8, show: &mut dyn FnMut(Missing)) {
        self.revision = self.revision.wrapping_add(1);
        for device in self.slots.iter_mut().filter(|device| !device.is_free()) {
            if device.state & SEEN != 0 {
                // One that was missed is part of the time without a break.
                let before =
                    if device.missed < BREAK { device.run.saturating_add(device.missed.into()) } else { 0 };
                (device.seen, device.run) = (device.seen.saturating_add(1), before.saturating_add(1));
                (device.missed, device.state) = (0, 0);
                continue;
            }
            device.missed = device.missed.saturating_add(1);
            if device.run >= run && device.missed >= missed && device.state & TOLD == 0 {
                device.state |= TOLD;
                let Device { mac, address, run, missed, .. } = *device;
                show(Missing { mac, address, run, missed });
            }
        }
    }

    /// Stations, whether none was refused, and the revisions of all and of those that were added.
    pub(super) const fn state(&self) -> (&[Device], bool, [u32; 2]) {
        (&*self.slots, self.is_complete, [self.revision, self.added])
    }

    /// Takes over stations of an earlier run. Returns true if all fit.
    pub(super) fn restore(&mut self, devices: &[Device]) -> bool {
        let kept = devices.iter().filter(|device| !device.is_free());
        let count = kept.clone().count();
        for (slot, device) in self.slots.iter_mut().zip(kept) {
            *slot = *device;
        }
        count <= self.slots.len()
    }
}
