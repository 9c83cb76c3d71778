//! Bodies for fuzzing. They take any bytes and must not panic; `tools/fuzz` and a test here call them.

use sentinel_units::{Timestamp, Uptime};

use crate::batch::Batch;
use crate::compress::History;
use crate::{CollectorEvent, CollectorSession, KeyPair, Limits, Origin, ToCollector, ToSensor, Token};

const NOW: Uptime = Uptime::ZERO;
/// Of the recorded session, so that its first flight gets past the handshake.
const COLLECTOR_SECRET: [u8; 32] = [0x22; 32];

/// Fuzz body: its name, which is that of its folder in `tests/fuzz-corpus`, and the function.
pub type Body = (&'static str, fn(&[u8]));

/// Every body of this crate.
pub const BODIES: &[Body] = &[("message", message), ("stranger", stranger), ("token", token), ("tokens", tokens)];

/// A stranger's bytes, as a collector sees them. The first byte says in how large pieces they come.
pub fn stranger(bytes: &[u8]) {
    let Some((piece, mut rest)) = bytes.split_first() else { return };
    let mut session =
        CollectorSession::accept(&KeyPair::from_bytes(&COLLECTOR_SECRET), Limits::COLLECTOR, NOW);
    while !rest.is_empty() {
        let piece = rest.get(..usize::from(*piece).max(1)).unwrap_or(rest);
        let Ok(taken) = session.receive(piece) else { return };
        rest = rest.get(taken..).unwrap_or_default();
        let is_known = match session.poll(NOW) {
            Ok(event) => !matches!(event, CollectorEvent::Idle),
            Err(_) => return,
        };
        if is_known && session.admit(NOW).is_err() {
            return;
        }
        if taken == 0 {
            return;
        }
    }
}

/// What an enrolled sensor, or a collector, may say: everything behind the encryption.
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
        ToCollector::Hello(hello) => {
            let _origin = hello.origin();
        }
        _ => {}
    }
}

fn entries(batch: Batch<'_>) {
    let origin = Origin { boot: 1, base: Timestamp::from_micros(1_700_000_000_000_000) };
    let mut before = None;
    for entry in batch.with_origin(origin).iter().flatten() {
        assert!(before < Some(entry.id.seq), "sequence numbers rise");
        before = Some(entry.id.seq);
    }
}

/// Tokens that make no alert must not read or write outside the history; those that make one give one that
/// can be made again.
pub fn tokens(bytes: &[u8]) {
    let mut history = History::new();
    for tokens in bytes.chunks(40) {
        let before = history.clone();
        let Ok(alert) = history.expand(tokens) else { return };
        let mut out = [0; 300];
        let mut again = before.clone();
        let mut back = before;
        if let Some(shorter) = again.compress(alert, &mut out) {
            assert_eq!(back.expand(shorter), Ok(alert), "what is shortened comes back");
        }
    }
}

/// A token as someone types it.
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

    /// Good inputs of every body; the recorded session gives the first flight of a sensor.
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
            [2, 2, 3, 0, 0x80, 6, 0x88, 0, 0x82, 0x23, 0x9c, 0x10].to_vec(),
            token.into_bytes(),
        ]
        .into()
    }

    #[test]
    fn mutated_seeds_do_no_harm() {
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
            tokens(&bytes);
            token(&bytes);
            if below(20) == 0 {
                stranger(&bytes);
            }
        }
    }
}
