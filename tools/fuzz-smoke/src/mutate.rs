//! Mutations of corpus samples: the same for the same seed, on every machine.

use crate::structure::Structure;

/// Values at which lengths, counts and offsets go wrong.
const EDGES: [u8; 10] = [0, 1, 2, 0x3f, 0x40, 0x7f, 0x80, 0xc0, 0xfe, 0xff];
/// Such values of two and four bytes.
const WIDE_EDGES: [u32; 12] =
    [0, 1, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x1_0000, 0x7fff_ffff, 0xffff_ffff];
/// Longest input in bytes.
const MAX_INPUT_LEN: usize = 4_096;
/// Most changes to one input.
const MAX_CHANGES: usize = 5;
/// Largest change of a length or of a number by addition.
const MAX_STEP: usize = 16;
/// Kinds of change.
const CHANGES: usize = 15;

/// Xorshift generator with 64 bits of state (Marsaglia, "Xorshift RNGs", Journal of Statistical Software, 2003).
#[derive(Debug)]
pub(crate) struct Mutator<'c> {
    state: u64,
    corpus: &'c [Vec<u8>],
    structure: Structure,
}

impl<'c> Mutator<'c> {
    pub(crate) fn new(seed: u64, corpus: &'c [Vec<u8>], structure: Structure) -> Self {
        // The generator stays at zero for ever. Neighbouring seeds must not begin alike.
        let mixed = (seed ^ (seed >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self { state: (mixed ^ (mixed >> 29)).max(1), corpus, structure }
    }

    /// Writes a sample with one to six changes into `bytes`.
    ///
    /// A change is a byte (random, an edge value, a flipped bit, a small sum), a number of two or four bytes, a cut, a
    /// range removed, repeated, moved, inserted or taken from another sample at the same place or another, a token of the
    /// format, a length field together with what it covers, or a record of the format repeated, removed or exchanged.
    pub(crate) fn input(&mut self, bytes: &mut Vec<u8>) {
        bytes.clear();
        bytes.extend_from_slice(self.sample());
        for _ in 0..=self.below(MAX_CHANGES) {
            self.change(bytes);
            bytes.truncate(MAX_INPUT_LEN);
        }
    }

    fn change(&mut self, bytes: &mut Vec<u8>) {
        let at = self.below(bytes.len());
        match self.below(CHANGES) {
            0 => bytes.truncate(at),
            1 => {
                let other = self.sample();
                let from = self.below(other.len());
                bytes.splice(at..at, other.iter().skip(from).copied());
            }
            2 => bytes.extend_from_within(at..),
            3 => self.remove(bytes, at),
            4 => self.crossover(bytes, at),
            5 => self.copy_within(bytes, at),
            6 => self.wide_edge(bytes, at),
            7 => self.insert_random(bytes, at),
            8 | 9 => self.token(bytes, at),
            10 | 11 => self.resize_field(bytes),
            12 => self.record(bytes),
            _ => self.change_byte(bytes, at),
        }
    }

    fn change_byte(&mut self, bytes: &mut [u8], at: usize) {
        let [choice, random, index, ..] = self.next().to_le_bytes();
        let Some(byte) = bytes.get_mut(at) else { return };
        *byte = match choice % 4 {
            0 => random,
            1 => EDGES.get(usize::from(index) % EDGES.len()).copied().unwrap_or_default(),
            2 => byte.wrapping_add(random % 33).wrapping_sub(16),
            _ => *byte ^ (1 << (index % 8)),
        };
    }

    fn remove(&mut self, bytes: &mut Vec<u8>, at: usize) {
        let end = at.saturating_add(1 + self.below(4)).min(bytes.len());
        bytes.drain(at.min(end)..end);
    }

    /// Takes a range of another sample at the same offset, so that fields stay in their places.
    fn crossover(&mut self, bytes: &mut [u8], at: usize) {
        let len = 1 + self.below(bytes.len());
        let range = bytes.iter_mut().skip(at).take(len);
        range.zip(self.sample().iter().skip(at)).for_each(|(byte, other)| *byte = *other);
    }

    fn copy_within(&mut self, bytes: &mut [u8], at: usize) {
        let from = self.below(bytes.len());
        let room = bytes.len().saturating_sub(at.max(from));
        let len = self.below(room.saturating_add(1));
        if len > 0 {
            bytes.copy_within(from..from.saturating_add(len), at);
        }
    }

    fn wide_edge(&mut self, bytes: &mut [u8], at: usize) {
        let value = WIDE_EDGES.get(self.below(WIDE_EDGES.len())).copied().unwrap_or_default();
        let order = self.below(4);
        let number = if order & 1 == 0 { value.to_be_bytes() } else { value.to_le_bytes() };
        // The two bytes that hold a small value.
        let skipped = if order == 0 { 2 } else { 0 };
        let len = if order & 2 == 0 { 2 } else { 4 };
        let target = bytes.iter_mut().skip(at);
        target.zip(number.iter().skip(skipped).take(len)).for_each(|(byte, new)| *byte = *new);
    }

    fn insert_random(&mut self, bytes: &mut Vec<u8>, at: usize) {
        let len = 1 + self.below(8);
        let random = self.next().to_le_bytes();
        bytes.splice(at..at, random.iter().take(len).copied());
    }

    /// Inserts a token of the format, or overwrites with it.
    fn token(&mut self, bytes: &mut Vec<u8>, at: usize) {
        let tokens = self.structure.tokens;
        let Some(token) = tokens.get(self.below(tokens.len())) else { return self.change_byte(bytes, at) };
        let end = if self.below(2) == 0 { at } else { at.saturating_add(token.len()).min(bytes.len()) };
        bytes.splice(at..end, token.iter().copied());
    }

    /// Makes what a length field covers longer or shorter and corrects the field, as well as the fields around it: those
    /// of two and three bytes that cover up to the same end or to the end of the input. A parser then reads on behind it.
    fn resize_field(&mut self, bytes: &mut Vec<u8>) {
        let mut field = None;
        for _ in 0..8 {
            let at = self.below(bytes.len());
            let width = 1 + self.below(2);
            if let Some(end) = covered(bytes, at, width) {
                field = Some((at, width, end));
                break;
            }
        }
        let Some((at, width, end)) = field else { return };
        let grows = self.below(2) == 0;
        let room = end.saturating_sub(at.saturating_add(width));
        let step = if grows { 1 + self.below(MAX_STEP) } else { 1 + self.below(room.clamp(1, MAX_STEP)) };
        if !grows && step > room {
            return;
        }
        let total = bytes.len();
        correct(bytes, at, width, step, grows);
        for outer in 0..at {
            for outer_width in [2, 3] {
                let covers = covered(bytes, outer, outer_width);
                if outer.saturating_add(outer_width) <= at && (covers == Some(end) || covers == Some(total)) {
                    correct(bytes, outer, outer_width, step, grows);
                }
            }
        }
        if grows {
            let fill = self.next().to_le_bytes();
            bytes.splice(end..end, fill.into_iter().cycle().take(step));
        } else {
            bytes.drain(end.saturating_sub(step)..end);
        }
    }

    /// Repeats, removes or exchanges whole records of a format that consists of them.
    fn record(&mut self, bytes: &mut Vec<u8>) {
        let Structure { first_record, record_len, .. } = self.structure;
        let count = bytes.len().saturating_sub(first_record).checked_div(record_len).unwrap_or_default();
        if count == 0 {
            let at = self.below(bytes.len());
            return self.change_byte(bytes, at);
        }
        let start = |index: usize| first_record.saturating_add(index.saturating_mul(record_len));
        let (one, other) = (start(self.below(count)), start(self.below(count)));
        let range = one..one.saturating_add(record_len);
        match self.below(3) {
            0 => {
                let copy = bytes.get(range).unwrap_or_default().to_vec();
                bytes.splice(other..other, copy);
            }
            1 => {
                bytes.drain(range);
            }
            _ => {
                for offset in 0..record_len {
                    bytes.swap(one.saturating_add(offset), other.saturating_add(offset));
                }
            }
        }
    }

    fn sample(&mut self) -> &'c [u8] {
        let index = self.below(self.corpus.len());
        self.corpus.get(index).map_or(&[], Vec::as_slice)
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

/// End of what a big-endian length field of `width` bytes at `at` covers, if it is inside the input and not empty.
fn covered(bytes: &[u8], at: usize, width: usize) -> Option<usize> {
    let start = at.checked_add(width)?;
    let len = bytes.get(at..start)?.iter().fold(0_usize, |sum, byte| (sum << 8) | usize::from(*byte));
    let end = start.checked_add(len)?;
    (len > 0 && end <= bytes.len()).then_some(end)
}

/// Adds to a big-endian number of `width` bytes, or subtracts from it; it wraps.
fn correct(bytes: &mut [u8], at: usize, width: usize, step: usize, grows: bool) {
    let Some(field) = bytes.get_mut(at..at.saturating_add(width)) else { return };
    let value = field.iter().fold(0_usize, |sum, byte| (sum << 8) | usize::from(*byte));
    let value = if grows { value.wrapping_add(step) } else { value.wrapping_sub(step) };
    for (byte, new) in field.iter_mut().rev().zip(value.to_le_bytes()) {
        *byte = new;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const TEXT: Structure = Structure { tokens: &[b"token"], first_record: 1, record_len: 3 };

    #[test]
    fn inputs_repeat_with_the_seed_and_vary_without_end() {
        let corpus = [b"the first sample of a corpus".to_vec(), b"the second sample".to_vec(), Vec::new()];
        let inputs = |seed| {
            let mut mutator = Mutator::new(seed, &corpus, TEXT);
            let mut all = Vec::new();
            for _ in 0..2_000 {
                let mut input = Vec::new();
                mutator.input(&mut input);
                all.push(input);
            }
            all
        };
        assert_eq!(inputs(7), inputs(7));
        assert_ne!(inputs(7), inputs(8));
        assert!(inputs(7).iter().collect::<BTreeSet<_>>().len() > 1_000);
        assert!(inputs(0).iter().all(|input| input.len() <= MAX_INPUT_LEN));
        assert!(inputs(1).iter().any(|input| input.windows(5).any(|part| part == b"token")));
    }

    /// A record of three bytes inside a list inside a message: all three lengths fit afterwards, or the change was made
    /// elsewhere.
    #[test]
    fn a_resized_field_keeps_the_lengths_around_it_right() {
        let nested = [0, 9, 1, 0, 6, 9, 9, 3, b'a', b'b', b'c'];
        let corpus = [nested.to_vec()];
        let mut consistent = 0;
        for seed in 0..1_000 {
            let mut bytes = nested.to_vec();
            Mutator::new(seed, &corpus, TEXT).resize_field(&mut bytes);
            let total = bytes.len();
            let is_nested = covered(&bytes, 0, 2) == Some(total)
                && covered(&bytes, 3, 2) == Some(total)
                && covered(&bytes, 7, 1) == Some(total);
            consistent += u32::from(is_nested && total != nested.len());
        }
        assert!(consistent > 60, "{consistent}");
    }

    #[test]
    fn records_stay_whole() {
        let corpus = [b"_aaabbbccc".to_vec()];
        let mut seen = BTreeSet::new();
        for seed in 0..200 {
            let mut bytes = b"_aaabbbccc".to_vec();
            Mutator::new(seed, &corpus, TEXT).record(&mut bytes);
            assert!(bytes[1..].chunks(3).all(|record| record.first() == record.last()));
            seen.insert(bytes);
        }
        assert!(seen.contains(&b"_aaaccc"[..]) && seen.contains(&b"_cccbbbaaa"[..]) && seen.len() > 6);
    }
}
