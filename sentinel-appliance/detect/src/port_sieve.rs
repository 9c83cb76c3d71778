//! "Certainly not in the list", in one look.

use sentinel_units::Port;

/// A set of ports that answers "no" or "perhaps": one bit for all ports that end in the same eleven bits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PortSieve([u32; WORDS]);

const WORDS: usize = 64;

impl Default for PortSieve {
    fn default() -> Self {
        Self([0; WORDS])
    }
}

impl PortSieve {
    /// `false` if the port is certainly not among those collected.
    #[inline]
    pub(crate) fn may_hold(&self, port: Port) -> bool {
        let (word, bit) = place(port);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }
}

impl FromIterator<Port> for PortSieve {
    fn from_iter<I: IntoIterator<Item = Port>>(ports: I) -> Self {
        let mut sieve = Self::default();
        for (word, bit) in ports.into_iter().map(place) {
            if let Some(word) = sieve.0.get_mut(word) {
                *word |= bit;
            }
        }
        sieve
    }
}

#[inline]
fn place(port: Port) -> (usize, u32) {
    (usize::from(port.0 >> 5) & (WORDS - 1), 1 << (port.0 & 31))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_denies_a_port_that_was_collected_and_denies_most_others() {
        let listed = [22, 443, 4_444, 31_337, 65_535].map(Port);
        let sieve: PortSieve = listed.into_iter().collect();
        assert!(listed.into_iter().all(|port| sieve.may_hold(port)));
        let held = (0..=u16::MAX).filter(|port| sieve.may_hold(Port(*port))).count();
        assert_eq!(held, 5 * 32, "each stands for the 32 ports that end like it");
        assert!(!PortSieve::default().may_hold(Port(22)));
    }
}
