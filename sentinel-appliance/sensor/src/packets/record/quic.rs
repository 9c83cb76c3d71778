//! The hello of a QUIC client.

use std::fmt::Write;

use sentinel_dissect::{quic, tls};
use sentinel_seal::quic::{InitialKeys, Sender, Version};
use sentinel_track::reassembly::CryptoData;

use super::fingerprint::{self, Carrier};
use super::hellos;

/// Packets of one datagram: Initial ones come first and are few.
const MAX_PACKETS: usize = 4;
/// Offset from draft numbers to those of [`CryptoData::channel`], which also holds the version: versions that exist are 1 and 2.
const VERSION_BITS: u32 = 6;

/// Opens the Initial packets of a client in a datagram and shows the pieces of its hello.
pub(super) fn pieces(payload: &[u8], visit: &mut dyn FnMut(&CryptoData<'_>)) {
    let mut rest = payload;
    for _ in 0..MAX_PACKETS {
        if !quic::has_long_header(rest) {
            return;
        }
        let Ok(initial) = quic::Initial::parse(rest) else { return };
        let Some(version) = Version::from_number(initial.version) else { return };
        let keys = InitialKeys::new(version, Sender::Client, initial.destination);
        let mut packet = initial.packet.to_vec();
        // Those of the server were sealed with keys that follow from a number that stood in the client's packet.
        let Ok(frames) = keys.open(&mut packet, initial.number_at) else { return };
        let channel = channel(initial.destination, initial.version);
        for crypto in quic::crypto_frames(frames) {
            let Ok(offset) = u32::try_from(crypto.offset) else { continue };
            visit(&CryptoData { channel, offset, bytes: crypto.bytes });
        }
        rest = rest.get(initial.packet.len()..).unwrap_or_default();
    }
}

/// The beginning of the client's hello, as far as one datagram has it, and the channel of [`write()`]; empty if it has none.
pub(crate) fn hello(payload: &[u8]) -> (Vec<u8>, u32) {
    let (mut found, mut channel): (Vec<(u32, Vec<u8>)>, u32) = (Vec::new(), 0);
    pieces(payload, &mut |piece| {
        channel = piece.channel;
        found.push((piece.offset, piece.bytes.to_vec()));
    });
    let mut hello: Vec<u8> = Vec::new();
    // Pieces come in any order: each round takes one that goes on where the hello ends, and there are not many.
    loop {
        let end = u32::try_from(hello.len()).unwrap_or(u32::MAX);
        let more = found.iter().find_map(|(offset, bytes)| {
            let known = usize::try_from(end.checked_sub(*offset)?).ok()?;
            bytes.get(known..).filter(|more| !more.is_empty())
        });
        let Some(more) = more else { return (hello, channel) };
        hello.extend_from_slice(more);
    }
}

/// Tells connections between the same ends apart; the version is in the lowest bits.
fn channel(connection_id: &[u8], version: u32) -> u32 {
    let short = if version == quic::VERSION_2 { 2 } else { version & 0xff };
    // FNV-1a: who makes two of their own connections meet has gained nothing.
    let hash = connection_id
        .iter()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    hash << (VERSION_BITS + 1) | short << 1 | 1
}

/// The fields of the hello, each behind a comma, and the end of the object.
pub(crate) fn write(hello: &tls::ClientHello<'_>, channel: u32, line: &mut String) -> std::fmt::Result {
    match channel >> 1 & ((1 << VERSION_BITS) - 1) {
        version @ (1 | 2) => write!(line, ",\"version\":\"{version}\"")?,
        draft => write!(line, ",\"version\":\"draft-{draft}\"")?,
    }
    hellos::write_offer(hello, line)?;
    if hello.malformed.is_none() {
        line.push_str(",\"ja4\":\"");
        fingerprint::ja4(hello, Carrier::Quic, line)?;
        line.push_str("\"}");
    } else {
        line.push_str(",\"ja4\":null}");
    }
    Ok(())
}
