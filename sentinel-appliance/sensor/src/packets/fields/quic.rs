//! QUIC: packets with a long header, and the hello of the client in them.

use std::fmt::{Result, Write};

use sentinel_dissect::quic::{self, PROTOCOL};
use sentinel_dissect::tls;
use sentinel_dissect::tls::fingerprint::Carrier;
use sentinel_seal::quic::{InitialKeys, Sender, Version};
use sentinel_track::reassembly::{CryptoData, Message};
use sentinel_units::port;

use super::tls as tls_fields;
use super::{Colour, Fields, Payload, Reading, RecordWriter, has_port, text};
use crate::terminal::failure::Failure;

/// Most packets read of one datagram: Initial ones come first and are few.
const MAX_PACKETS: usize = 4;
/// Bits of [`CryptoData::channel`] that hold the version: 1, 2 or the number of a draft.
const VERSION_BITS: u32 = 6;

/// A packet with a long header.
#[derive(Debug)]
pub(crate) struct Quic {
    /// Two bits, whose meaning depends on the version.
    packet_type: u8,
    version: u32,
    /// Beginning of a client's hello, and its channel for [`write_fields`].
    hello: (Vec<u8>, u32),
    wire_len: u32,
}

impl<'p> Fields<'p> for Quic {
    const COLOUR: Option<Colour> = Some(Colour::Magenta);

    fn of_datagram(payload: &Payload<'p>) -> Reading<Self> {
        match *payload.bytes {
            // Bits that all versions of QUIC share, and the type in those of version 1 (RFC 9000 section 17.2).
            [first, a, b, c, d, ..]
                if has_port(payload.ports, port::HTTPS) && quic::has_long_header(payload.bytes) =>
            {
                Reading::Fields(Self {
                    packet_type: first >> 4 & 3,
                    version: u32::from_be_bytes([a, b, c, d]),
                    hello: hello(payload.bytes),
                    wire_len: payload.wire_len,
                })
            }
            _ => Reading::OtherProtocol,
        }
    }

    fn title(&self) -> &'static str {
        PROTOCOL.title
    }

    fn line(&self, out: &mut String) -> Result {
        write_line(self, out)?;
        write!(out, " len {}", self.wire_len)
    }

    fn json(&self, out: &mut String) -> Result {
        let (hello, channel) = &self.hello;
        match tls::ClientHello::parse_message(hello) {
            Ok(hello) => write_fields(&hello, *channel, out),
            Err(_) => Ok(()),
        }
    }

    fn stream_records(
        stream: &Message<'_>,
        records: &mut RecordWriter<'_>,
    ) -> std::result::Result<bool, Failure> {
        if stream.channel == 0 {
            return Ok(false);
        }
        if let Ok(hello) = tls::ClientHello::parse_message(stream.bytes) {
            records.write(PROTOCOL.service.name, |line| write_fields(&hello, stream.channel, line))?;
        }
        Ok(true)
    }

    fn crypto_data(payload: &Payload<'_>, visit: &mut dyn FnMut(&CryptoData<'_>)) {
        crypto_data(payload.bytes, visit);
    }
}

/// Opens the Initial packets of a client in a datagram and passes the CRYPTO frames of its hello to `visit`.
fn crypto_data(payload: &[u8], visit: &mut dyn FnMut(&CryptoData<'_>)) {
    let mut rest = payload;
    for _ in 0..MAX_PACKETS {
        if !quic::has_long_header(rest) {
            return;
        }
        let Ok(initial) = quic::Initial::parse(rest) else { return };
        let Some(version) = Version::from_number(initial.version) else { return };
        let keys = InitialKeys::new(version, Sender::Client, initial.destination);
        let mut packet = initial.packet.to_vec();
        // Packets of the server do not open: their keys follow from the connection ID in the client's packet.
        let Ok(frames) = keys.open(&mut packet, initial.number_at) else { return };
        let channel = channel(initial.destination, initial.version);
        for crypto in quic::crypto_frames(frames) {
            let Ok(offset) = u32::try_from(crypto.offset) else { continue };
            visit(&CryptoData { channel, offset, bytes: crypto.bytes });
        }
        rest = rest.get(initial.packet.len()..).unwrap_or_default();
    }
}

/// The beginning of the client's hello, as far as one datagram has it, and the channel of [`write_fields`]; empty if it has none.
fn hello(payload: &[u8]) -> (Vec<u8>, u32) {
    let (mut found, mut channel): (Vec<(u32, Vec<u8>)>, u32) = (Vec::new(), 0);
    crypto_data(payload, &mut |piece| {
        channel = piece.channel;
        found.push((piece.offset, piece.bytes.to_vec()));
    });
    let mut hello: Vec<u8> = Vec::new();
    // Pieces come in any order: each iteration appends one that continues the hello. A datagram holds a few at most.
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

/// Distinguishes connections between the same endpoints; the version is in the lowest bits.
fn channel(connection_id: &[u8], version: u32) -> u32 {
    let short = if version == quic::VERSION_2 { 2 } else { version & 0xff };
    // FNV-1a, which is not collision resistant: a client that makes two of its own connections collide only mixes those.
    let hash = connection_id
        .iter()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    hash << (VERSION_BITS + 1) | short << 1 | 1
}

/// The fields of the hello, each behind a comma.
fn write_fields(hello: &tls::ClientHello<'_>, channel: u32, line: &mut String) -> Result {
    match channel >> 1 & ((1 << VERSION_BITS) - 1) {
        version @ (1 | 2) => write!(line, ",\"version\":\"{version}\"")?,
        draft => write!(line, ",\"version\":\"draft-{draft}\"")?,
    }
    tls_fields::write_offer(hello, line)?;
    tls_fields::write_ja4(hello, Carrier::Quic, line)?;
    tls_fields::write_ech_and_group(hello, line)
}

/// Writes the type of packet, the server's name if it is there, and the version.
fn write_line(packet: &Quic, out: &mut String) -> Result {
    // Version 2 numbers the kinds from one on (RFC 9369 section 3.2).
    let kind = if packet.version == quic::VERSION_2 {
        packet.packet_type.wrapping_sub(1) & 3
    } else {
        packet.packet_type
    };
    out.push_str(match (kind, packet.version) {
        (_, 0) => "VersionNegotiation ",
        (0, _) => "Initial ",
        (1, _) => "0-RTT ",
        (2, _) => "Handshake ",
        _ => "Retry ",
    });
    let hello = tls::ClientHello::parse_message(&packet.hello.0);
    if let Ok(Some(name)) = hello.as_ref().map(tls::ClientHello::sni) {
        text::printable(name, out);
        out.push(' ');
    }
    write!(out, "version 0x{:x}", packet.version)
}
