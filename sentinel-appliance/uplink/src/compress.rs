//! Shortens the alerts of a batch by pointing back at bytes that went before (LZ77).
//!
//! Alerts of one sensor share addresses, hardware addresses and evidence, so most of an alert is a copy.
//! A general compressor would need tens of KiB of state and finds little in 40 bytes; this one needs 768
//! bytes, and both ends begin with the same [`SEED`] so that even a single alert finds something.
//!
//! Tokens: `0nnnnnnn` and n + 1 literal bytes; `1nnnnnnd dddddddd`: copy n + 3 bytes from d + 1 bytes back.
//! The copy may run into the bytes that it makes.

use sentinel_alert::wire::MAX_ALERT_LEN;

/// How far back a copy may point, in bytes.
const WINDOW_LEN: usize = 512;
const MIN_COPY_LEN: usize = 3;
const MAX_COPY_LEN: usize = MIN_COPY_LEN + 0x3f;
const MAX_LITERALS: usize = 0x80;
const COPY_BIT: u8 = 0x80;

/// What stands before the first alert of every batch: fields as most alerts have them. Frozen: it is part
/// of the protocol.
#[rustfmt::skip]
const SEED: [u8; 59] = [
    6, 0, 0, 0xc0, 0x96, 0xb1, 0x02, 60, // 5,000,000 bytes in 60 s
    5, 0, 50, 1,                         // a name of more than 50 characters
    3, 1,                                // a listed port
    4,                                   // an IPv4 address follows
    0, 1, 22, 1, 2,                      // no source port, port 22, a hardware address
    0, 0, 0, 15, 0, 15, 10,              // no host name, 15 ports in 10 s
    0, 0, 1, 0xc8, 1, 0xc8, 1, 5,        // no host name, 200 packets in 5 s
    0, 1, 100, 100, 5,                   // no host name, 100 packets in 5 s
    0, 2, 30, 30, 30,                    // no host name, 30 attempts in 30 s
    10, 0, 0, 10,                        // 10.0.0.10
    0xc0, 0xa8, 1, 4, 0xc0, 0xa8, 1,     // 192.168.1, twice
    0, 0, 1,                             // no ports, a hardware address
];

/// The bytes that copies point into: the last [`WINDOW_LEN`] before the alert at hand, and that alert.
#[derive(Clone, Debug)]
pub(crate) struct History {
    bytes: [u8; WINDOW_LEN + MAX_ALERT_LEN],
    len: usize,
}

/// The tokens are not those of an alert.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct BadTokens;

impl History {
    pub(crate) fn new() -> Self {
        let mut history = Self { bytes: [0; WINDOW_LEN + MAX_ALERT_LEN], len: SEED.len() };
        for (slot, byte) in history.bytes.iter_mut().zip(SEED) {
            *slot = byte;
        }
        history
    }

    /// Forgets what is too old to point at, which leaves room for one alert.
    fn forget_old(&mut self) {
        let surplus = self.len.saturating_sub(WINDOW_LEN);
        self.bytes.copy_within(surplus..self.len, 0);
        self.len -= surplus;
    }

    fn push(&mut self, byte: u8) -> Result<(), BadTokens> {
        *self.bytes.get_mut(self.len).ok_or(BadTokens)? = byte;
        self.len += 1;
        Ok(())
    }

    /// Writes the tokens for `alert` into `out`. `None` if they do not fit, and then nothing is remembered.
    pub(crate) fn compress<'o>(&mut self, alert: &[u8], out: &'o mut [u8]) -> Option<&'o [u8]> {
        self.forget_old();
        let start = self.len;
        let shortened = self.shorten_into(alert, out);
        if shortened.is_none() {
            self.len = start;
        }
        out.get(..shortened?)
    }

    fn shorten_into(&mut self, alert: &[u8], out: &mut [u8]) -> Option<usize> {
        let start = self.len;
        let end = start.checked_add(alert.len())?;
        self.bytes.get_mut(start..end)?.copy_from_slice(alert);
        self.len = end;
        let (mut at, mut literals_from, mut used) = (start, start, 0);
        while at < end {
            match self.longest_copy(at, end) {
                Some((distance, len)) => {
                    used = put_literals(self.bytes.get(literals_from..at)?, out, used)?;
                    let [high, low] =
                        u16::try_from((len - MIN_COPY_LEN) << 9 | (distance - 1)).ok()?.to_be_bytes();
                    out.get_mut(used..)?.first_chunk_mut::<2>()?.copy_from_slice(&[high | COPY_BIT, low]);
                    used += 2;
                    at += len;
                    literals_from = at;
                }
                None => at += 1,
            }
        }
        put_literals(self.bytes.get(literals_from..end)?, out, used)
    }

    /// Distance and length of the longest earlier run of bytes equal to those at `at`; the nearest of those.
    fn longest_copy(&self, at: usize, end: usize) -> Option<(usize, usize)> {
        let ahead = self.bytes.get(at..end.min(at.saturating_add(MAX_COPY_LEN)))?;
        let mut best = None;
        let mut best_len = MIN_COPY_LEN - 1;
        for distance in 1..=at.min(WINDOW_LEN) {
            let behind = self.bytes.get(at - distance..end)?;
            let len = ahead.iter().zip(behind).take_while(|(ahead, behind)| ahead == behind).count();
            if len > best_len {
                (best, best_len) = (Some((distance, len)), len);
            }
        }
        best
    }

    /// Reads the tokens of one alert and returns its bytes.
    ///
    /// # Errors
    /// [`BadTokens`]; the history is then of no more use.
    pub(crate) fn expand(&mut self, tokens: &[u8]) -> Result<&[u8], BadTokens> {
        self.forget_old();
        let start = self.len;
        let mut rest = tokens;
        // Each turn takes a token byte at least, and the room for one alert bounds the bytes made.
        while let Some((token, after)) = rest.split_first() {
            if token & COPY_BIT == 0 {
                let (literals, after) = after.split_at_checked(usize::from(*token) + 1).ok_or(BadTokens)?;
                literals.iter().try_for_each(|byte| self.push(*byte))?;
                rest = after;
            } else {
                let (low, after) = after.split_first().ok_or(BadTokens)?;
                let token = u16::from_be_bytes([token & !COPY_BIT, *low]);
                let distance = usize::from(token & 0x1ff) + 1;
                for _ in 0..usize::from(token >> 9) + MIN_COPY_LEN {
                    let from = self.len.checked_sub(distance).ok_or(BadTokens)?;
                    self.push(*self.bytes.get(from).ok_or(BadTokens)?)?;
                }
                rest = after;
            }
            if self.len > start.saturating_add(MAX_ALERT_LEN) {
                return Err(BadTokens);
            }
        }
        self.bytes.get(start..self.len).ok_or(BadTokens)
    }
}

fn put_literals(literals: &[u8], out: &mut [u8], used: usize) -> Option<usize> {
    let mut used = used;
    for run in literals.chunks(MAX_LITERALS) {
        *out.get_mut(used)? = u8::try_from(run.len() - 1).ok()?;
        out.get_mut(used + 1..)?.get_mut(..run.len())?.copy_from_slice(run);
        used += 1 + run.len();
    }
    Some(used)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    fn both_ways(alerts: &[Vec<u8>]) -> usize {
        let (mut there, mut back) = (History::new(), History::new());
        let mut total = 0;
        for alert in alerts {
            let mut out = [0; MAX_ALERT_LEN + 2];
            let tokens = there.compress(alert, &mut out).unwrap();
            total += tokens.len();
            assert_eq!(back.expand(tokens), Ok(alert.as_slice()));
        }
        total
    }

    #[test]
    fn the_tokens_are_fixed() {
        let mut out = [0; 32];
        let mut history = History::new();
        assert_eq!(
            history.compress(b"abcabcabcd", &mut out),
            Some(&[2, b'a', b'b', b'c', 0x86, 2, 0, b'd'][..])
        );
        // "abcab" stands in the alert before, ten bytes back from the end of "xyz".
        assert_eq!(history.compress(b"xyzabcab", &mut out), Some(&[2, b'x', b'y', b'z', 0x84, 9][..]));
        // The seed: "2, 30, 30, 30" begins 18 bytes before its end.
        assert_eq!(History::new().compress(&[2, 30, 30, 30], &mut out), Some(&[0x82, 17][..]));
    }

    #[test]
    fn everything_comes_back() {
        let mut state = 1_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 16
        };
        for _ in 0..100 {
            let alphabet = next() % 250 + 1;
            let alerts: Vec<Vec<u8>> = (0..next() % 8)
                .map(|_| (0..next() % 257).map(|_| u8::try_from(next() % alphabet).unwrap()).collect())
                .collect();
            both_ways(&alerts);
        }
    }

    #[test]
    fn the_longest_alert_fits_however_it_looks() {
        let noise: Vec<u8> = (0..MAX_ALERT_LEN).map(|at| u8::try_from(at * 167 % 251).unwrap()).collect();
        assert!(both_ways(&[noise]) <= MAX_ALERT_LEN + 2);
        assert!(both_ways(&[std::vec![9; MAX_ALERT_LEN]]) <= 12);
    }

    #[test]
    fn what_does_not_fit_is_forgotten() {
        let mut history = History::new();
        let mut out = [0; 64];
        let before = history.clone();
        assert_eq!(history.compress(b"abcdefgh", &mut out[..8]), None);
        assert_eq!(history.len, before.len);
        let expected = before.clone().compress(b"abcdefgh", &mut [0; 64]).unwrap().to_vec();
        assert_eq!(history.compress(b"abcdefgh", &mut out), Some(expected.as_slice()));
    }

    #[test]
    fn wrong_tokens_are_an_error() {
        for wrong in [
            &[0][..],                              // a literal byte is missing
            &[5, 1, 2],                            // four are missing
            &[0x80],                               // the distance is missing
            &[0x80, 0xff],                         // points before the seed
            &[0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0], // makes 264 bytes
        ] {
            assert_eq!(History::new().expand(wrong), Err(BadTokens), "{wrong:?}");
        }
        assert_eq!(History::new().expand(&[]), Ok(&[][..]));
    }
}
