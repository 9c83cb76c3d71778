//! Bloom filter over port numbers.

use sentinel_units::Port;

/// Two-hash Bloom filter (Bloom 1970) over ports: answers "certainly not in the set" with two bit tests, in 512 bytes. One bit
/// stands for all ports with the same low eleven bits, one for all with the same high eleven; both must be set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PortBloom {
    low_bits: [u32; WORDS],
    high_bits: [u32; WORDS],
}

const WORDS: usize = 64;

impl Default for PortBloom {
    fn default() -> Self {
        Self { low_bits: [0; WORDS], high_bits: [0; WORDS] }
    }
}

impl PortBloom {
    /// Returns false if the port is certainly not in the set.
    #[inline]
    pub(crate) fn may_contain(&self, port: Port) -> bool {
        is_set(&self.low_bits, port.0) && is_set(&self.high_bits, port.0 >> 5)
    }
}

impl PortBloom {
    /// Adds a port to the set.
    pub(crate) fn insert(&mut self, port: Port) {
        set(&mut self.low_bits, port.0);
        set(&mut self.high_bits, port.0 >> 5);
    }
}

impl Extend<Port> for PortBloom {
    fn extend<I: IntoIterator<Item = Port>>(&mut self, ports: I) {
        ports.into_iter().for_each(|port| self.insert(port));
    }
}

impl FromIterator<Port> for PortBloom {
    fn from_iter<I: IntoIterator<Item = Port>>(ports: I) -> Self {
        let mut filter = Self::default();
        filter.extend(ports);
        filter
    }
}

#[inline]
fn is_set(words: &[u32; WORDS], number: u16) -> bool {
    words.get(word(number)).is_some_and(|word| word >> (number & 31) & 1 != 0)
}

fn set(words: &mut [u32; WORDS], number: u16) {
    if let Some(word) = words.get_mut(word(number)) {
        *word |= 1 << (number & 31);
    }
}

#[inline]
fn word(number: u16) -> usize {
    usize::from(number >> 5) & (WORDS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_no_false_negatives_and_few_false_positives() {
        let listed = [22, 443, 4_444, 31_337, 65_535].map(Port);
        let filter: PortBloom = listed.into_iter().collect();
        assert!(listed.into_iter().all(|port| filter.may_contain(port)));
        let held = (0..=u16::MAX).filter(|port| filter.may_contain(Port(*port))).count();
        assert!((5..=10).contains(&held), "{held}");
        assert!(!PortBloom::default().may_contain(Port(22)));
    }
}
