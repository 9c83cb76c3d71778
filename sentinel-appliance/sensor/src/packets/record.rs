//! `--records`: messages of application protocols, one JSON object for each.
//!
//! Reassembly is here; the records of each protocol are in [`fields`](super::fields), described in `OUTPUT.md`.

use sentinel_capture::Frame;
use sentinel_dissect::{Packet, Transport};
use sentinel_track::flow::Endpoint;
use sentinel_track::flow_record::FlowTuple;
use sentinel_track::hash::HashKey;
use sentinel_track::reassembly::{MAX_MESSAGE_LEN, Message, StreamStorage, Streams};
use sentinel_units::Timestamp;

use crate::packets::decapsulate::{Decapsulator, Extracted, LazyAllocator};
use crate::packets::fields::{Application, Payload, RecordWriter};
use crate::terminal::failure::Failure;
use crate::terminal::output::Output;

/// Directions of connections that are reassembled at a time.
const STREAMS: usize = 4096;
/// Chunks of a kibibyte for messages that span segments, shared by all directions.
const CHUNKS: usize = 2048;

/// Puts messages together and prints their records.
pub(crate) struct RecordView {
    unfold: Decapsulator,
    streams: Streams<'static>,
    key: HashKey,
}

impl RecordView {
    /// Allocates 3 MiB for streams, and the memory of [`Decapsulator`].
    pub(crate) fn new(seed: u64) -> Self {
        let key = HashKey::new(seed);
        let storage = StreamStorage::allocate(STREAMS, CHUNKS, MAX_MESSAGE_LEN, &mut LazyAllocator);
        Self { unfold: Decapsulator::new(key.clone()), streams: Streams::new(storage), key }
    }

    /// Prints the messages that a frame completes.
    ///
    /// # Errors
    /// Standard output does not take the lines.
    pub(crate) fn frame(&mut self, frame: &Frame<'_>, output: &mut Output) -> Result<(), Failure> {
        let Self { unfold, streams, key } = self;
        let mut outcome = Ok(());
        unfold.frame(frame, &mut |found| {
            let (Extracted::Packet(packet) | Extracted::Reassembled(packet, _)) = found else { return };
            if outcome.is_ok() {
                outcome = read(packet, frame.at, streams, key, output);
            }
        });
        outcome
    }

    /// Prints messages that are still incomplete, as far as they go.
    ///
    /// # Errors
    /// Those of [`RecordView::frame`].
    pub(crate) fn finish(&mut self, output: &mut Output) -> Result<(), Failure> {
        let mut outcome = Ok(());
        self.streams.finish(&mut |message| print(message, output, &mut outcome));
        outcome
    }
}

fn read(
    packet: &Packet<'_>,
    at: Timestamp,
    streams: &mut Streams<'static>,
    key: &HashKey,
    output: &mut Output,
) -> Result<(), Failure> {
    let Some(ip) = packet.ip() else { return Ok(()) };
    let endpoint = |address, port| Endpoint { address, port };
    let mut outcome = Ok(());
    match &packet.transport {
        Transport::Tcp(tcp) => {
            let endpoints =
                (endpoint(ip.source, tcp.source_port), endpoint(ip.destination, tcp.destination_port));
            streams.segment(key, endpoints, tcp, at, &mut |message| print(message, output, &mut outcome));
            outcome
        }
        Transport::Udp(udp) => {
            let ports = (udp.source_port, udp.destination_port);
            let endpoints = (endpoint(ip.source, ports.0), endpoint(ip.destination, ports.1));
            let payload = Payload { bytes: udp.payload, ports, wire_len: udp.payload_wire_len };
            if Application::datagram_records(&payload, &mut RecordWriter::new(output, at, endpoints))? {
                return Ok(());
            }
            Application::crypto_data(&payload, &mut |data| {
                streams.crypto_data(key, endpoints, data, at, &mut |message| {
                    print(message, output, &mut outcome);
                });
            });
            outcome
        }
        Transport::Other(number) => {
            let Some(tuple) = FlowTuple::of(packet) else { return Ok(()) };
            let mut records = RecordWriter::new(output, at, (tuple.source, tuple.destination)).over_ip();
            Application::packet_records(*number, ip.payload, &mut records)
        }
        _ => Ok(()),
    }
}

/// Prints the records of a message, unless standard output did not take an earlier one.
fn print(message: &Message<'_>, output: &mut Output, outcome: &mut Result<(), Failure>) {
    if outcome.is_ok() {
        let endpoints = (message.source, message.destination);
        let mut records = RecordWriter::new(output, message.at, endpoints);
        *outcome = Application::stream_records(message, &mut records).map(|_known| ());
    }
}
