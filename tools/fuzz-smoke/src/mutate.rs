//! Mutations of corpus samples: the same for the same seed, on every machine.

/// Values at which lengths, counts and offsets go wrong.
const EDGES: [u8; 10] = [0, 1, 2, 0x3f, 0x40, 0x7f, 0x80, 0xc0, 0xfe, 0xff];
/// Longest input in bytes.
const MAX_INPUT_LEN: usize = 4_096;
/// Most changes to one input.
const MAX_CHANGES: usize = 5;

/// Xorshift generator with 64 bits of state (Marsaglia, "Xorshift RNGs", Journal of Statistical Software, 2003).
#[derive(Debug)]
pub(crate) struct Mutator {
    state: u64,
}

impl Mutator {
    pub(crate) fn new(seed: u64) -> Self {
        // The generator stays at zero for ever.
        Self { state: seed.max(1) }
    }

    /// A sample with one to five changes: a random byte, an edge value, a flipped bit, a cut, a range removed, repeated, or
    /// taken from another sample.
    pub(crate) fn input(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = self.pick(corpus).to_vec();
        for _ in 0..=self.below(MAX_CHANGES) {
            let at = self.below(bytes.len());
            match self.below(7) {
                0 => bytes.truncate(at),
                1 => {
                    let other = self.pick(corpus);
                    let from = self.below(other.len());
                    bytes.splice(at..at, other.iter().skip(from).copied());
                }
                2 => bytes.extend_from_within(at..),
                3 => {
                    let end = at.saturating_add(1 + self.below(4)).min(bytes.len());
                    bytes.drain(at.min(end)..end);
                }
                choice => self.change_byte(&mut bytes, at, choice),
            }
            bytes.truncate(MAX_INPUT_LEN);
        }
        bytes
    }

    fn change_byte(&mut self, bytes: &mut [u8], at: usize, choice: usize) {
        let random = self.next();
        let Some(byte) = bytes.get_mut(at) else { return };
        let index = usize::from(random.to_le_bytes()[1]);
        *byte = match choice {
            4 => random.to_le_bytes()[0],
            5 => EDGES.get(index % EDGES.len()).copied().unwrap_or_default(),
            _ => *byte ^ (1 << (index % 8)),
        };
    }

    fn pick<'c>(&mut self, corpus: &'c [Vec<u8>]) -> &'c [u8] {
        let index = self.below(corpus.len());
        corpus.get(index).map_or(&[], Vec::as_slice)
    }

    fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }

    /// Less than `limit`; zero if that is zero.
    fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit.max(1)).unwrap_or(u64::MAX);
        usize::try_from((self.next() >> 16) % limit).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn inputs_repeat_with_the_seed_and_vary_without_end() {
        let corpus = [b"the first sample of a corpus".to_vec(), b"the second sample".to_vec(), Vec::new()];
        let inputs = |seed| {
            let mut mutator = Mutator::new(seed);
            (0..1_000).map(|_| mutator.input(&corpus)).collect::<Vec<_>>()
        };
        assert_eq!(inputs(7), inputs(7));
        assert_ne!(inputs(7), inputs(8));
        assert!(inputs(7).iter().collect::<BTreeSet<_>>().len() > 500);
        assert!(inputs(0).iter().all(|input| input.len() <= MAX_INPUT_LEN));
    }
}
