//! Compression of the alerts of a batch: LZ77 (Ziv and Lempel, "A Universal Algorithm for Sequential Data
//! Compression", IEEE Transactions on Information Theory 23(3), 1977) with a history window of 512 bytes and a
//! preset dictionary (as in zlib, RFC 1950 section 2.2).
//!
//! Alerts of one sensor share IP addresses, MAC addresses and evidence, so most bytes of an alert repeat earlier
//! ones. A general compressor would need tens of KiB of state and gains little on 40 bytes; this one needs 768
//! bytes, and thanks to [`DICTIONARY`] even a single alert has something to refer to.
//!
//! | code | meaning |
//! |---|---|
//! | `0nnnnnnn`, then n + 1 bytes | literals, 1 to 128 |
//! | `1nnnnnnd dddddddd` | match: copy n + 3 bytes (3 to 66) from d + 1 bytes back (1 to 512) |
//!
//! A match may overlap its own output. Only the encoder searches (greedily, by trying every distance: 512 x 66
//! comparisons at most for each position); decoding is one pass.

use sentinel_alert::wire::MAX_ALERT_LEN;

/// Longest distance of a match, in bytes.
const WINDOW_LEN: usize = 512;
const MIN_MATCH_LEN: usize = 3;
const MAX_MATCH_LEN: usize = MIN_MATCH_LEN + 0x3f;
/// Longest run of literals.
const MAX_LITERALS_LEN: usize = 0x80;
const MATCH_BIT: u8 = 0x80;

/// Preset dictionary: the history before the first alert of every batch, made of fields that most alerts have.
/// Part of the protocol; must not change.
#[rustfmt::skip]
const DICTIONARY: [u8; 59] = [
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

/// History window: the last [`WINDOW_LEN`] bytes before the current alert, then that alert. 768 bytes.
///
/// Encoder and decoder of a batch must have seen the same alerts in the same order; matches are relative to the
/// end of the history.
#[derive(Clone, Debug)]
pub(crate) struct History {
    bytes: [u8; WINDOW_LEN + MAX_ALERT_LEN],
    len: usize,
}

/// The bytes are not the output of [`History::compress`]: a code is cut off, a match reaches before the history,
/// or the result is longer than [`MAX_ALERT_LEN`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct DecompressError;

impl History {
    pub(crate) fn new() -> Self {
        let mut history = Self { bytes: [0; WINDOW_LEN + MAX_ALERT_LEN], len: DICTIONARY.len() };
        for (slot, byte) in history.bytes.iter_mut().zip(DICTIONARY) {
            *slot = byte;
        }
        history
    }

    /// Drops bytes that are too old for a match. Afterwards there is room for one alert.
    fn drop_old(&mut self) {
        let surplus = self.len.saturating_sub(WINDOW_LEN);
        self.bytes.copy_within(surplus..self.len, 0);
        self.len -= surplus;
    }

    fn push(&mut self, byte: u8) -> Result<(), DecompressError> {
        *self.bytes.get_mut(self.len).ok_or(DecompressError)? = byte;
        self.len += 1;
        Ok(())
    }

    /// Compresses `alert` into `out`. `None` if it does not fit; then the alert is not part of the history.
    pub(crate) fn compress<'o>(&mut self, alert: &[u8], out: &'o mut [u8]) -> Option<&'o [u8]> {
        self.drop_old();
        let start = self.len;
        let len = self.encode(alert, out);
        if len.is_none() {
            self.len = start;
        }
        out.get(..len?)
    }

    /// Appends `alert` to the history and writes its codes. The whole alert is in the buffer before the search, so
    /// that a match can overlap its own output.
    fn encode(&mut self, alert: &[u8], out: &mut [u8]) -> Option<usize> {
        let start = self.len;
        let end = start.checked_add(alert.len())?;
        self.bytes.get_mut(start..end)?.copy_from_slice(alert);
        self.len = end;
        let (mut at, mut literals_from, mut used) = (start, start, 0);
        while at < end {
            match self.longest_match(at, end) {
                Some((distance, len)) => {
                    used = put_literals(self.bytes.get(literals_from..at)?, out, used)?;
                    // Length in bits 9 to 14, distance in bits 0 to 8.
                    let code = u16::try_from((len - MIN_MATCH_LEN) << 9 | (distance - 1)).ok()?;
                    let [high, low] = code.to_be_bytes();
                    out.get_mut(used..)?.first_chunk_mut::<2>()?.copy_from_slice(&[high | MATCH_BIT, low]);
                    used += 2;
                    at += len;
                    literals_from = at;
                }
                None => at += 1,
            }
        }
        put_literals(self.bytes.get(literals_from..end)?, out, used)
    }

    /// Distance and length of the longest match for the bytes at `at`; of equally long ones the nearest. The order
    /// decides the bytes on the wire, which a recorded session pins.
    fn longest_match(&self, at: usize, end: usize) -> Option<(usize, usize)> {
        let ahead = self.bytes.get(at..end.min(at.saturating_add(MAX_MATCH_LEN)))?;
        let mut best = None;
        let mut best_len = MIN_MATCH_LEN - 1;
        for distance in 1..=at.min(WINDOW_LEN) {
            let behind = self.bytes.get(at - distance..end)?;
            let len = ahead.iter().zip(behind).take_while(|(ahead, behind)| ahead == behind).count();
            // Strictly longer, so that of equal matches the nearest is kept.
            if len > best_len {
                (best, best_len) = (Some((distance, len)), len);
            }
        }
        best
    }

    /// Decompresses one alert and returns its bytes.
    ///
    /// # Errors
    /// [`DecompressError`]; the history must not be used again.
    pub(crate) fn decompress(&mut self, compressed: &[u8]) -> Result<&[u8], DecompressError> {
        self.drop_old();
        let start = self.len;
        let mut remaining = compressed;
        // Bounded: each iteration consumes a byte at least, and a code produces at most 128 bytes. The buffer ends
        // one alert behind the window, so the output is bounded whatever the codes say.
        while let Some((code, after)) = remaining.split_first() {
            if code & MATCH_BIT == 0 {
                let (literals, after) =
                    after.split_at_checked(usize::from(*code) + 1).ok_or(DecompressError)?;
                literals.iter().try_for_each(|byte| self.push(*byte))?;
                remaining = after;
            } else {
                let (low, after) = after.split_first().ok_or(DecompressError)?;
                let code = u16::from_be_bytes([code & !MATCH_BIT, *low]);
                let distance = usize::from(code & 0x1ff) + 1;
                // Byte by byte, because the match may overlap what it produces.
                for _ in 0..usize::from(code >> 9) + MIN_MATCH_LEN {
                    let from = self.len.checked_sub(distance).ok_or(DecompressError)?;
                    self.push(*self.bytes.get(from).ok_or(DecompressError)?)?;
                }
                remaining = after;
            }
            if self.len > start.saturating_add(MAX_ALERT_LEN) {
                return Err(DecompressError);
            }
        }
        self.bytes.get(start..self.len).ok_or(DecompressError)
    }
}

fn put_literals(literals: &[u8], out: &mut [u8], used: usize) -> Option<usize> {
    let mut used = used;
    for run in literals.chunks(MAX_LITERALS_LEN) {
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

    fn round_trip(alerts: &[Vec<u8>]) -> usize {
        let (mut encoder, mut decoder) = (History::new(), History::new());
        let mut total = 0;
        for alert in alerts {
            let mut out = [0; MAX_ALERT_LEN + 2];
            let compressed = encoder.compress(alert, &mut out).unwrap();
            total += compressed.len();
            assert_eq!(decoder.decompress(compressed), Ok(alert.as_slice()));
        }
        total
    }

    #[test]
    fn codes_are_fixed() {
        let mut out = [0; 32];
        let mut history = History::new();
        assert_eq!(
            history.compress(b"abcabcabcd", &mut out),
            Some(&[2, b'a', b'b', b'c', 0x86, 2, 0, b'd'][..])
        );
        // "abcab" is in the alert before, ten bytes back from the end of "xyz".
        assert_eq!(history.compress(b"xyzabcab", &mut out), Some(&[2, b'x', b'y', b'z', 0x84, 9][..]));
        // The dictionary: "2, 30, 30, 30" begins 18 bytes before its end.
        assert_eq!(History::new().compress(&[2, 30, 30, 30], &mut out), Some(&[0x82, 17][..]));
    }

    #[test]
    fn random_alerts_are_decompressed_unchanged() {
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
            round_trip(&alerts);
        }
    }

    #[test]
    fn the_longest_alert_fits_whatever_its_bytes() {
        let noise: Vec<u8> = (0..MAX_ALERT_LEN).map(|at| u8::try_from(at * 167 % 251).unwrap()).collect();
        assert!(round_trip(&[noise]) <= MAX_ALERT_LEN + 2);
        assert!(round_trip(&[std::vec![9; MAX_ALERT_LEN]]) <= 12);
    }

    #[test]
    fn an_alert_that_does_not_fit_leaves_the_history_unchanged() {
        let mut history = History::new();
        let mut out = [0; 64];
        let before = history.clone();
        assert_eq!(history.compress(b"abcdefgh", &mut out[..8]), None);
        assert_eq!(history.len, before.len);
        let expected = before.clone().compress(b"abcdefgh", &mut [0; 64]).unwrap().to_vec();
        assert_eq!(history.compress(b"abcdefgh", &mut out), Some(expected.as_slice()));
    }

    #[test]
    fn invalid_codes_are_an_error() {
        for wrong in [
            &[0][..],                              // a literal byte is missing
            &[5, 1, 2],                            // four are missing
            &[0x80],                               // the distance is missing
            &[0x80, 0xff],                         // points before the dictionary
            &[0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0], // makes 264 bytes
        ] {
            assert_eq!(History::new().decompress(wrong), Err(DecompressError), "{wrong:?}");
        }
        assert_eq!(History::new().decompress(&[]), Ok(&[][..]));
    }
}
