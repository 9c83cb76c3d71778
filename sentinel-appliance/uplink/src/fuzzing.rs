//! Fuzz bodies: arbitrary bytes must not cause a panic. Called by `tools/fuzz` and by a test here.

use sentinel_units::{Timestamp, Uptime};

use crate::batch::Batch;
use crate::compress::History;
use crate::{CollectorEvent, CollectorSession, KeyPair, Limits, Origin, ToCollector, ToSensor, Token};

const NOW: Uptime = Uptime::ZERO;
/// Secret key of the recorded session, so that its first message passes the handshake.
const COLLECTOR_SECRET: [u8; 32] = [0x22; 32];

/// Fuzz body: its name, which is that of its folder in `tests/fuzz-corpus`, and the function.
pub type Body = (&'static str, fn(&[u8]));

/// All bodies of this crate.
pub const BODIES: &[Body] =
    &[("message", message), ("stranger", unauthenticated_peer), ("token", token), ("tokens", compressed)];

/// Bytes of an unauthenticated peer, received by a collector in pieces. The first byte is the size of the pieces.
pub fn unauthenticated_peer(bytes: &[u8]) {
    let Some((piece_len, mut remaining)) = bytes.split_first() else { return };
    let mut session =
        CollectorSession::accept(&KeyPair::from_bytes(&COLLECTOR_SECRET), Limits::COLLECTOR, NOW);
    while !remaining.is_empty() {
        let piece = remaining.get(..usize::from(*piece_len).max(1)).unwrap_or(remaining);
        let Ok(taken) = session.receive(piece) else { return };
        remaining = remaining.get(taken..).unwrap_or_default();
        let needs_admission = match session.poll(NOW) {
            Ok(event) => !matches!(event, CollectorEvent::Idle),
            Err(_) => return,
        };
        if needs_admission && session.admit(NOW).is_err() {
            return;
        }
        if taken == 0 {
            return;
        }
    }
}

/// Plaintext messages of an enrolled sensor or of a collector.
pub fn message(bytes: &[u8]) {
    if let Ok((message, _)) = postcard::take_from_bytes::<ToSensor<'_>>(bytes) {
        let _fault = message.check();
    }
    let Ok((message, _)) = postcard::take_from_bytes::<ToCollector<'_>>(bytes) else { return };
    let _fault = message.check();
    match message {
        ToCollector::Alerts(batch) => entries(batch),
        ToCollector::Gap(gap) => {
            let _named = (gap.last(), gap.lost());
        }
        ToCollector::RunEnd(end) => {
            let _named = (end.last(), end.cause.is_complete());
        }
        ToCollector::Hello(hello) => {
            let _origin = hello.origin();
        }
        _ => {}
    }
}

fn entries(batch: Batch<'_>) {
    let origin = Origin { boot: 1, base: Timestamp::from_micros(1_700_000_000_000_000) };
    let mut previous = None;
    for entry in batch.with_origin(origin).iter().flatten() {
        assert!(previous < Some(entry.id.seq), "sequence numbers rise");
        previous = Some(entry.id.seq);
    }
}

/// Compressed alerts, 40 bytes each. Invalid ones must not read or write outside the history; the result of a valid one,
/// compressed again, must decompress to the same bytes.
pub fn compressed(bytes: &[u8]) {
    let mut history = History::new();
    for codes in bytes.chunks(40) {
        let before = history.clone();
        let Ok(alert) = history.decompress(codes) else { return };
        let mut out = [0; 300];
        let mut encoder = before.clone();
        let mut decoder = before;
        if let Some(codes) = encoder.compress(alert, &mut out) {
            assert_eq!(decoder.decompress(codes), Ok(alert), "a round trip changes nothing");
        }
    }
}

/// Text of an enrollment token.
pub fn token(bytes: &[u8]) {
    if let Ok(token) = core::str::from_utf8(bytes).unwrap_or_default().parse::<Token>() {
        let _shown = (token.address().len(), token.id());
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::{Secret, TokenId};
    use std::string::ToString;
    use std::vec::Vec;

    /// Valid inputs of every body; the first message of a sensor is from the recorded session.
    fn seeds() -> Vec<Vec<u8>> {
        let line = include_str!("../tests/data/session-1.txt").lines().next().unwrap();
        let hex = line.strip_prefix("sensor ").unwrap();
        let first = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap());
        let key = KeyPair::from_bytes(&COLLECTOR_SECRET).public();
        let secret = Secret::from_bytes([2; 16]);
        let token = Token::new("collector.example:7700", key, TokenId([1; 8]), secret).unwrap().to_string();
        [
            [16].into_iter().chain(first).collect(),
            b"\x00\x01\x030.1\x01r\xac\x02\x80\x01\x01e".to_vec(),
            b"\x01\x01\x05attic\x030.1".to_vec(),
            b"\x02\x00\x05\x80\x01\x10\x01\x0a\x02\x02\x03\x00\x80\x06\x88\x00\x82\x23\x02\x02\x9c\x10"
                .to_vec(),
            [3, 0xac, 2, 1, 9, 4, 3, 2, 1, 0, 2].to_vec(),
            [4, 3, 1, 2, 3].to_vec(),
            [6, 0xac, 2, 10, 2].to_vec(),
            [&[7, 0xac, 2, 5][..], &[0xa5; 32]].concat(),
            [2, 2, 3, 0, 0x80, 6, 0x88, 0, 0x82, 0x23, 0x9c, 0x10].to_vec(),
            token.into_bytes(),
        ]
        .into()
    }

    #[test]
    fn mutated_seeds_do_not_panic() {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut below = |bound: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from((state >> 33) % u64::try_from(bound.max(1)).unwrap()).unwrap()
        };
        let seeds = seeds();
        for _ in 0..20_000 {
            let mut bytes = seeds[below(seeds.len())].clone();
            for _ in 0..=below(4) {
                let at = below(bytes.len());
                match below(4) {
                    0 => bytes.truncate(at),
                    1 => bytes.insert(at, u8::try_from(below(256)).unwrap()),
                    2 => bytes.extend_from_within(at..),
                    _ => {
                        if let Some(byte) = bytes.get_mut(at) {
                            *byte = u8::try_from(below(256)).unwrap();
                        }
                    }
                }
            }
            message(&bytes);
            compressed(&bytes);
            token(&bytes);
            if below(20) == 0 {
                unauthenticated_peer(&bytes);
            }
        }
    }
}
