//! "Certainly not in the list", in one look.

use sentinel_units::Port;

/// A set of ports that answers "no" or "perhaps": one bit for all ports that end in the same eleven bits, and one for
/// all that begin with them. Both must be set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PortBloom {
    endings: [u32; WORDS],
    beginnings: [u32; WORDS],
}

const WORDS: usize = 64;

impl Default for PortBloom {
    fn default() -> Self {
        Self { endings: [0; WORDS], beginnings: [0; WORDS] }
    }
}

impl PortBloom {
    /// `false` if the port is certainly not among those collected.
    #[inline]
    pub(crate) fn may_contain(&self, port: Port) -> bool {
        is_set(&self.endings, port.0) && is_set(&self.beginnings, port.0 >> 5)
    }
}

impl FromIterator<Port> for PortBloom {
    fn from_iter<I: IntoIterator<Item = Port>>(ports: I) -> Self {
        let mut sieve = Self::default();
        for port in ports {
            set(&mut sieve.endings, port.0);
            set(&mut sieve.beginnings, port.0 >> 5);
        }
        sieve
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
    fn it_never_denies_a_port_that_was_collected_and_denies_most_others() {
        let listed = [22, 443, 4_444, 31_337, 65_535].map(Port);
        let sieve: PortBloom = listed.into_iter().collect();
        assert!(listed.into_iter().all(|port| sieve.may_contain(port)));
        let held = (0..=u16::MAX).filter(|port| sieve.may_contain(Port(*port))).count();
        assert!((5..=10).contains(&held), "{held}");
        assert!(!PortBloom::default().may_contain(Port(22)));
    }
}
