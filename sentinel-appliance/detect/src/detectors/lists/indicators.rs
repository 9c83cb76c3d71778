//! Compiled indicators: IPv4 addresses exactly, and names, URLs, fingerprints and IPv6 addresses by a filter. The layout is in FORMAT.md.
//!
//! Read first: Elias, "Efficient storage and retrieval by content and address of static files" (1974) and Fano (1971), for addresses; Graf and
//! Lemire, "Binary Fuse Filters: Fast and Smaller Than Xor Filters" (2022), for all others.
//!
//! Of 1.6 million addresses each takes 13.3 bits, of as many keys each 18. A key that is not listed passes the filter once in 65,536 times. The
//! second section, which is not in memory, has 32 more bits of each key: with them it is once in 2^48. A look-up of an address reads three
//! places, that of a key three. The hash of a key has no secret, so that files are compiled once: who makes up a key that passes has gained no more
//! than with a listed one.
//!
//! This file holds no memory and reads any bytes without panic.

/// First bytes of a file.
pub const MAGIC: [u8; 8] = *b"SNTLIND\0";
/// Version that this program reads.
pub const VERSION: u32 = 1;
/// Bytes of the header.
pub const HEADER: usize = 64;
/// Bytes of the file that one checksum is of.
pub const BLOCK: usize = 65_536;
/// Buckets of addresses that share an entry of the directory.
pub const BUCKETS: usize = 256;
/// Bits of an address.
const ADDRESS_BITS: u32 = 32;

/// Look-ups in a compiled list that can be replaced while the sensor runs.
pub trait IndicatorLookup: core::fmt::Debug + Sync {
    /// Contents of the list, one bit for each: [`ADDRESSES`] and `1 << KIND`.
    fn contents(&self) -> u32;
    /// Returns true for a listed IPv4 address.
    fn has_address(&self, address: u32) -> bool;
    /// `None` if the key is not listed; true if all 48 bits say that it is, false if the second section cannot be read.
    fn find(&self, key: u64) -> Option<bool>;
}

/// Bit of [`IndicatorLookup::contents`] for IPv4 addresses.
pub const ADDRESSES: u32 = 1;

/// Type of a key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u32)]
pub enum KeyKind {
    /// Domain name in lower case: itself and all names below it.
    Name = 1,
    /// Host in lower case, port unless it is 80, path and query.
    Url = 2,
    /// JA3 or JA4 in lower case.
    Fingerprint = 3,
    /// Sixteen bytes.
    Ipv6 = 4,
}

impl KeyKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Name, Self::Url, Self::Fingerprint, Self::Ipv6];

    /// Bit of [`IndicatorLookup::contents`].
    #[must_use]
    #[expect(clippy::as_conversions, reason = "the number of the kind")]
    pub const fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// Hash of the end of a text, from its last byte to its first: FNV-1a of 64 bits.
#[derive(Clone, Copy, Debug)]
pub struct KeyHash(u64);

impl Default for KeyHash {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl KeyHash {
    /// Hash with these bytes in front.
    #[must_use]
    pub fn before(self, bytes: &[u8]) -> Self {
        let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        Self(bytes.iter().rev().fold(self.0, step))
    }

    /// Key of the text.
    #[must_use]
    pub fn key(self, kind: KeyKind) -> u64 {
        mixed(self.0 ^ u64::from(kind.bit()).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }
}

/// Finalizer of `MurmurHash3`.
#[must_use]
pub const fn mixed(hash: u64) -> u64 {
    let hash = (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let hash = (hash ^ hash >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ hash >> 33
}

/// Places of a key in both sections, and its bits in them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Slots {
    /// Positions, which the bits are spread over by exclusive or.
    pub places: [u32; 3],
    /// Bits in the filter.
    pub filter: u16,
    /// Bits in the second section.
    pub second: u32,
}

/// Sizes of the parts of a file.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Geometry {
    /// Bits of [`IndicatorLookup::contents`].
    pub contents: u32,
    /// Addresses.
    pub addresses: u32,
    /// Bits of each address that are kept as they are.
    pub low_bits: u32,
    /// Keys.
    pub keys: u32,
    /// Number that the keys are mixed with, for which the filter could be made.
    pub seed: u64,
    /// Binary logarithm of the places of a segment.
    pub segment_log: u32,
    /// Segments in which a key can have its first place.
    pub segments: u32,
    /// True if the file has the second section.
    pub has_second: bool,
}

impl Geometry {
    /// Reads a header, without its checksum; `None` if it is of another version or its numbers fit no file.
    #[must_use]
    pub fn parse(header: &[u8; HEADER]) -> Option<Self> {
        let (magic, rest) = header.split_first_chunk::<8>()?;
        let mut words = rest.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word));
        let [version, contents, addresses, low_bits, keys, low, high, segment_log, segments, has_second] =
            core::array::from_fn(|_| words.next().unwrap_or(0));
        let new = Self {
            contents,
            addresses,
            low_bits,
            keys,
            seed: u64::from(high) << 32 | u64::from(low),
            segment_log,
            segments,
            has_second: has_second == 1,
        };
        let is_known = *magic == MAGIC && version == VERSION;
        (is_known && (4..ADDRESS_BITS).contains(&low_bits) && segment_log <= 18 && segments <= 1 << 20)
            .then_some(new)
    }

    /// Writes the header, without its checksum.
    #[must_use]
    pub fn header(&self) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        #[expect(
            clippy::as_conversions,
            clippy::cast_possible_truncation,
            reason = "the two halves of a number"
        )]
        let (low, high) = (self.seed as u32, (self.seed >> 32) as u32);
        let words = [
            VERSION,
            self.contents,
            self.addresses,
            self.low_bits,
            self.keys,
            low,
            high,
            self.segment_log,
            self.segments,
            self.has_second.into(),
        ];
        let (magic, rest) = header.split_at_mut(MAGIC.len());
        magic.copy_from_slice(&MAGIC);
        for (place, word) in rest.as_chunks_mut().0.iter_mut().zip(words) {
            *place = u32::to_le_bytes(word);
        }
        header
    }

    /// Buckets of addresses with one value of the upper bits.
    const fn buckets(&self) -> usize {
        1 << (ADDRESS_BITS - self.low_bits)
    }

    /// Bytes of the low bits, of the upper bits in unary, and of the directory.
    #[must_use]
    pub fn address_parts(&self) -> [usize; 3] {
        if self.addresses == 0 {
            return [0; 3];
        }
        let addresses = usize::try_from(self.addresses).unwrap_or(usize::MAX);
        let low_bits = usize::try_from(self.low_bits).unwrap_or(0);
        // Four bytes more, so that the last number can be read as one of five bytes.
        [
            addresses.saturating_mul(low_bits).div_ceil(8).saturating_add(4),
            addresses.saturating_add(self.buckets()).div_ceil(8),
            self.buckets().div_ceil(BUCKETS) * 4,
        ]
    }

    /// Places of the filter.
    #[must_use]
    pub fn places(&self) -> usize {
        if self.keys == 0 { 0 } else { usize::try_from(self.segments + 2).unwrap_or(0) << self.segment_log }
    }

    /// Bytes behind the checksums that are kept in memory, and of the second section.
    #[must_use]
    pub fn sections(&self) -> (usize, usize) {
        let filter = self.places().saturating_mul(2);
        let memory = self.address_parts().into_iter().fold(filter, usize::saturating_add);
        (memory, if self.has_second { self.places().saturating_mul(4) } else { 0 })
    }

    /// Bytes of the checksums: eight for each block.
    #[must_use]
    pub fn checksums(&self) -> usize {
        let (memory, second) = self.sections();
        (memory.div_ceil(BLOCK) + second.div_ceil(BLOCK)) * 8
    }

    /// Places of a key.
    #[must_use]
    #[expect(clippy::as_conversions, reason = "parts of a hash")]
    pub fn slots(&self, key: u64) -> Slots {
        let hash = mixed(key.wrapping_add(self.seed));
        let mask = (1_u32 << self.segment_log).wrapping_sub(1);
        let range = u64::from(self.segments) << self.segment_log;
        let first = ((hash >> 32).wrapping_mul(range) >> 32) as u32;
        let step = 1 << self.segment_log;
        let second = first.wrapping_add(step) ^ (hash >> 18) as u32 & mask;
        let third = first.wrapping_add(step).wrapping_add(step) ^ hash as u32 & mask;
        Slots {
            places: [first, second, third],
            filter: (hash ^ hash >> 32) as u16,
            second: mixed(hash) as u32,
        }
    }
}

/// The section that is in memory.
#[derive(Clone, Copy, Debug)]
pub struct Indicators<'i> {
    geometry: Geometry,
    low: &'i [u8],
    upper: &'i [u8],
    directory: &'i [u8],
    filter: &'i [u8],
}

impl<'i> Indicators<'i> {
    /// The section with this geometry; `None` if there are fewer bytes.
    #[must_use]
    pub fn of(geometry: Geometry, section: &'i [u8]) -> Option<Self> {
        let [low, upper, directory] = geometry.address_parts();
        let (low, rest) = section.split_at_checked(low)?;
        let (upper, rest) = rest.split_at_checked(upper)?;
        let (directory, rest) = rest.split_at_checked(directory)?;
        let filter = rest.get(..geometry.places().saturating_mul(2))?;
        Some(Self { geometry, low, upper, directory, filter })
    }

    /// Returns true for a listed IPv4 address.
    #[must_use]
    pub fn has_address(&self, address: u32) -> bool {
        let low_bits = self.geometry.low_bits;
        let bucket = usize::try_from(address >> low_bits).unwrap_or(usize::MAX);
        let Some(start) = self.directory.as_chunks::<4>().0.get(bucket / BUCKETS) else { return false };
        let mut at = usize::try_from(u32::from_le_bytes(*start)).unwrap_or(usize::MAX);
        // Each bucket ends with a zero, each address in it is a one.
        let mut left = bucket % BUCKETS;
        while left > 0 {
            let Some(byte) = self.upper.get(at / 8) else { return false };
            // Ones in front of the position do not count.
            let zeros = !u32::from(*byte) & 0xff & 0xff << (at % 8);
            let count = usize::try_from(zeros.count_ones()).unwrap_or(0);
            if count < left {
                left -= count;
                at = at / 8 * 8 + 8;
                continue;
            }
            // The bit behind the last zero that is needed.
            let mut zeros = zeros;
            while left > 1 {
                zeros &= zeros - 1;
                left -= 1;
            }
            at = at / 8 * 8 + usize::try_from(zeros.trailing_zeros()).unwrap_or(0) + 1;
            left = 0;
        }
        let Some(mut index) = at.checked_sub(bucket) else { return false };
        let wanted = address & ((1 << low_bits) - 1);
        while self.upper.get(at / 8).is_some_and(|byte| byte >> (at % 8) & 1 == 1) {
            if self.low_part(index) == Some(wanted) {
                return true;
            }
            (at, index) = (at + 1, index + 1);
        }
        false
    }

    /// Low bits of an address.
    fn low_part(&self, index: usize) -> Option<u32> {
        let low_bits = self.geometry.low_bits;
        let bit = index.checked_mul(usize::try_from(low_bits).ok()?)?;
        let [a, b, c, d, e] = *self.low.get(bit / 8..)?.first_chunk()?;
        let word = u64::from_le_bytes([a, b, c, d, e, 0, 0, 0]) >> (bit % 8);
        u32::try_from(word & ((1 << low_bits) - 1)).ok()
    }

    /// Places of a key if it passes the filter.
    #[must_use]
    pub fn passes(&self, key: u64) -> Option<Slots> {
        let slots = self.geometry.slots(key);
        let places = self.filter.as_chunks::<2>().0;
        let mut bits = slots.filter;
        for place in slots.places {
            bits ^= u16::from_le_bytes(*places.get(usize::try_from(place).ok()?)?);
        }
        (bits == 0 && !places.is_empty()).then_some(slots)
    }
}
