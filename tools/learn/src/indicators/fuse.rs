//! Construction of a binary fuse filter, and of a second section with the same places.
//!
//! Read first: Graf and Lemire, "Binary Fuse Filters: Fast and Smaller Than Xor Filters", ACM Journal of Experimental Algorithmics 27 (2022),
//! sections 3 and 4, for filters of arity three.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a tool: an index of its own making, and lines for its user"
)]

use anyhow::{Result, bail};
use sentinel_detect::indicators::{Geometry, Slots};

/// Seeds that are tried. One fails with a probability below 0.01 for large sets.
const MAX_TRIES: u64 = 100;

/// Contents of the places: filter and second section.
pub(crate) struct Filter {
    pub(crate) seed: u64,
    pub(crate) filter: Vec<u16>,
    pub(crate) second: Vec<u32>,
}

/// Binary logarithm of the places of a segment, and the segments that a key can begin in, of so many keys.
pub(crate) fn sizes(keys: usize) -> (u32, u32) {
    if keys == 0 {
        return (0, 0);
    }
    let size = f64::from(u32::try_from(keys.max(2)).unwrap_or(u32::MAX));
    let log = (size.ln() / 3.33_f64.ln() + 2.25).floor().clamp(2.0, 18.0);
    let factor = (0.875 + 0.25 * 1e6_f64.ln() / size.ln()).max(1.125);
    #[expect(
        clippy::as_conversions,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "small and positive"
    )]
    let (log, capacity) = (log as u32, (size * factor).round() as u64);
    let segments = capacity.div_ceil(1 << log).saturating_sub(2).max(1);
    (log, u32::try_from(segments).unwrap_or(u32::MAX))
}

/// Makes the filter of distinct keys.
pub(crate) fn build(keys: &[u64], geometry: &Geometry) -> Result<Filter> {
    for seed in 1..=MAX_TRIES {
        let geometry = Geometry { seed: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15), ..*geometry };
        if let Some(order) = peel(keys, &geometry) {
            return Ok(assign(&order, &geometry));
        }
    }
    bail!("no filter of {} keys in {MAX_TRIES} tries", keys.len())
}

fn index(place: u32) -> usize {
    usize::try_from(place).expect("an index is at least 32 bits")
}

/// Keys in the order in which each has a place that no later one has, with that place; `None` if there is no such order.
fn peel(keys: &[u64], geometry: &Geometry) -> Option<Vec<(u64, u32)>> {
    let places = geometry.places();
    // Number of the keys at a place, and their exclusive or: of one key that is itself.
    let (mut counts, mut sums) = (vec![0_u32; places], vec![0_u64; places]);
    let each = |key: u64, change: &mut dyn FnMut(usize)| {
        geometry.slots(key).places.into_iter().for_each(|place| change(index(place)));
    };
    for key in keys {
        each(*key, &mut |place| {
            counts[place] += 1;
            sums[place] ^= key;
        });
    }
    let mut alone: Vec<usize> = (0..places).filter(|place| counts[*place] == 1).collect();
    let mut order = Vec::with_capacity(keys.len());
    while let Some(place) = alone.pop() {
        if counts[place] != 1 {
            continue;
        }
        let key = sums[place];
        order.push((key, u32::try_from(place).ok()?));
        each(key, &mut |place| {
            counts[place] -= 1;
            sums[place] ^= key;
            if counts[place] == 1 {
                alone.push(place);
            }
        });
    }
    (order.len() == keys.len()).then_some(order)
}

/// Fills the places backwards, so that the place of each key is still free.
fn assign(order: &[(u64, u32)], geometry: &Geometry) -> Filter {
    let mut filter = vec![0_u16; geometry.places()];
    let mut second = vec![0_u32; geometry.places()];
    for (key, own) in order.iter().rev() {
        let Slots { places, filter: mut short, second: mut long } = geometry.slots(*key);
        for place in places.into_iter().filter(|place| place != own) {
            short ^= filter[index(place)];
            long ^= second[index(place)];
        }
        filter[index(*own)] = short;
        second[index(*own)] = long;
    }
    Filter { seed: geometry.seed, filter, second }
}
