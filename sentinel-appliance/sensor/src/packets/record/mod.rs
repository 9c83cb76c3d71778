//! `--records`: what the dissectors read, one JSON object for each message.
//!
//! What the fields mean is in `OUTPUT.md`.

mod cipher;
mod fingerprint;
mod hellos;
mod quic;

use std::fmt::Write;

use sentinel_alert::json;
use sentinel_capture::Frame;
use sentinel_dissect::{Packet, Transport, dns, http, ssh, tls};
use sentinel_track::flow::{Endpoint, looks_like_initiator};
use sentinel_track::hash::HashKey;
use sentinel_track::reassembly::{MAX_MESSAGE_LEN, Message, StreamStorage, Streams};
use sentinel_units::{Port, Timestamp};

use crate::packets::decapsulate::{Found, OnDemand, Unfold};
use crate::terminal::failure::Failure;
use crate::terminal::output::Output;

pub(crate) use hellos::{tls_version, write_client as write_tls, write_server};
pub(crate) use quic::{hello as quic_hello, write as write_quic};

const DNS: Port = Port(53);
const MULTICAST_DNS: Port = Port(5353);
const LLMNR: Port = Port(5355);
/// Discovery of devices, in the syntax of HTTP.
const SSDP: Port = Port(1900);
/// Answers shown of one DNS message.
const MAX_ANSWERS: usize = 64;
/// DNS messages read from one TCP segment.
const MAX_TCP_MESSAGES: usize = 16;

/// Directions whose first messages are followed.
const STREAMS: usize = 4096;
/// Chunks of a kibibyte for messages that span segments.
const CHUNKS: usize = 2048;
/// HTTP messages read from one piece: requests may follow each other without waiting.
const MAX_HTTP_MESSAGES: usize = 16;

/// Puts messages together and prints them.
pub(crate) struct RecordView {
    unfold: Unfold,
    streams: Streams<'static>,
    key: HashKey,
}

impl RecordView {
    /// With memory of its own: 3 MiB for streams, and what [`Unfold`] takes.
    pub(crate) fn new(seed: u64) -> Self {
        let key = HashKey::new(seed);
        let storage = StreamStorage::allocate(STREAMS, CHUNKS, MAX_MESSAGE_LEN, &mut OnDemand);
        Self { unfold: Unfold::new(key.clone()), streams: Streams::new(storage), key }
    }

    /// Prints the messages that a frame completes.
    ///
    /// # Errors
    /// Standard output does not take the lines.
    pub(crate) fn frame(&mut self, frame: &Frame<'_>, output: &mut Output) -> Result<(), Failure> {
        let Self { unfold, streams, key } = self;
        let mut outcome = Ok(());
        unfold.frame(frame, &mut |found| {
            let (Found::Packet(packet) | Found::Reassembled(packet, _)) = found else { return };
            if outcome.is_ok() {
                outcome = read(packet, frame.at, streams, key, output);
            }
        });
        outcome
    }

    /// Prints what there is of messages that never became whole.
    ///
    /// # Errors
    /// As for [`RecordView::frame`].
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
    let end = |address, port| Endpoint { address, port };
    let mut outcome = Ok(());
    match &packet.transport {
        Transport::Tcp(tcp) => {
            let endpoints = (end(ip.source, tcp.source_port), end(ip.destination, tcp.destination_port));
            streams.segment(key, endpoints, tcp, at, &mut |message| print(message, output, &mut outcome));
            outcome
        }
        Transport::Udp(udp) => {
            let endpoints = (end(ip.source, udp.source_port), end(ip.destination, udp.destination_port));
            if let Some(record) = dns_record(udp.source_port, udp.destination_port) {
                let Ok(message) = dns::Message::parse(udp.payload) else { return Ok(()) };
                return output.line(|line| {
                    write_head(at, line, record, endpoints)?;
                    write_dns(&message, line)
                });
            }
            if udp.source_port == SSDP || udp.destination_port == SSDP {
                return match http::Request::parse(udp.payload) {
                    Ok(request) => output.line(|line| {
                        write_head(at, line, "ssdp", endpoints)?;
                        write_request(&request, line)
                    }),
                    Err(_) => Ok(()),
                };
            }
            quic::pieces(udp.payload, &mut |piece| {
                streams.crypto_data(key, endpoints, piece, at, &mut |message| {
                    print(message, output, &mut outcome);
                });
            });
            outcome
        }
        _ => Ok(()),
    }
}

/// Prints a message as what it is; those of TCP are known by their first bytes, on any port, but for DNS.
fn print(message: &Message<'_>, output: &mut Output, outcome: &mut Result<(), Failure>) {
    if outcome.is_ok() {
        *outcome = print_records(message, output);
    }
}

fn print_records(message: &Message<'_>, output: &mut Output) -> Result<(), Failure> {
    let Message { source, destination, bytes, at, channel } = *message;
    let mut record = |name: &str, fields: &dyn Fn(&mut String) -> std::fmt::Result| {
        output.line(|line| {
            write_head(at, line, name, (source, destination))?;
            fields(line)
        })
    };
    if channel != 0 {
        let Ok(hello) = tls::ClientHello::parse_message(bytes) else { return Ok(()) };
        return record("quic", &|line| quic::write(&hello, channel, line));
    }
    if source.port == DNS || destination.port == DNS {
        for bytes in dns::tcp_messages(bytes).take(MAX_TCP_MESSAGES) {
            let Ok(message) = dns::Message::parse(bytes) else { break };
            record("dns", &|line| write_dns(&message, line))?;
        }
        return Ok(());
    }
    if tls::is_client_hello(bytes) || tls::is_server_hello(bytes) {
        let mut joined = vec![0; bytes.len()];
        return match tls::ClientHello::parse_joined(bytes, &mut joined) {
            Ok(hello) => record("tls", &|line| write_tls(&hello, line)),
            Err(_) => match tls::ServerHello::parse(bytes, &mut joined) {
                Ok(hello) => record("tls", &|line| write_server(&hello, line)),
                Err(_) => Ok(()),
            },
        };
    }
    if let Ok(banner) = ssh::Banner::parse(bytes) {
        let from_client = looks_like_initiator(source.port, destination.port);
        return record("ssh", &|line| write_banner(&banner, from_client, line));
    }
    let mut rest = bytes;
    for _ in 0..MAX_HTTP_MESSAGES {
        if let Ok(request) = http::Request::parse(rest) {
            record("http", &|line| write_request(&request, line))?;
            rest = request.head.body;
        } else if let Ok(response) = http::Response::parse(rest) {
            return record("http", &|line| write!(line, ",\"status\":{}}}", response.status));
        } else {
            break;
        }
    }
    Ok(())
}

/// The fields of an SSH banner, each behind a comma, and the end of the object. The side is told by the ports: the
/// client's is the one that systems draw from.
pub(crate) fn write_banner(
    banner: &ssh::Banner<'_>,
    from_client: bool,
    line: &mut String,
) -> std::fmt::Result {
    let name = if from_client { "client_software" } else { "server_software" };
    write!(line, ",\"{name}\":")?;
    json::string(banner.software, line)?;
    line.push_str(",\"comments\":");
    optional_text(banner.comments.map(str::as_bytes), line)?;
    line.push_str(",\"protocol_version\":");
    json::string(banner.protocol_version, line)?;
    line.push('}');
    Ok(())
}

fn write_head(
    at: Timestamp,
    line: &mut String,
    record: &str,
    (source, destination): (Endpoint, Endpoint),
) -> std::fmt::Result {
    write!(line, "{{\"time\":\"{}\",\"record\":\"{record}\"", at.rfc3339())?;
    write!(line, ",\"src\":\"{}\",\"src_port\":{}", source.address, source.port)?;
    write!(line, ",\"dst\":\"{}\",\"dst_port\":{}", destination.address, destination.port)
}

fn dns_record(source: Port, destination: Port) -> Option<&'static str> {
    let either = |port| source == port || destination == port;
    if either(DNS) {
        Some("dns")
    } else if either(MULTICAST_DNS) {
        Some("mdns")
    } else if either(LLMNR) {
        Some("llmnr")
    } else {
        None
    }
}

/// The fields of a DNS message, each behind a comma, and the end of the object.
pub(crate) fn write_dns(message: &dns::Message<'_>, line: &mut String) -> std::fmt::Result {
    let mut buffer = dns::NameBuffer::new();
    write!(line, ",\"id\":{},\"response\":{}", message.id(), message.is_response())?;
    if let Ok(Some(question)) = message.question() {
        line.push_str(",\"query\":");
        json::string(question.name.text(&mut buffer), line)?;
        write!(line, ",\"qtype\":\"{}\"", question.qtype)?;
    } else {
        line.push_str(",\"query\":null,\"qtype\":null");
    }
    if message.is_response() {
        write!(line, ",\"rcode\":{}", message.response_code())?;
        line.push_str(",\"answers\":[");
        let mut text = String::new();
        for (index, answer) in message.answers().map_while(Result::ok).take(MAX_ANSWERS).enumerate() {
            if index > 0 {
                line.push(',');
            }
            text.clear();
            write_answer(&answer, &mut text, &mut buffer)?;
            json::string(&text, line)?;
        }
        line.push(']');
    }
    line.push('}');
    Ok(())
}

/// The data of a record as zone files write it.
pub(crate) fn write_answer(
    answer: &dns::Record<'_>,
    text: &mut String,
    buffer: &mut dns::NameBuffer,
) -> std::fmt::Result {
    match answer.data() {
        Ok(dns::RecordData::A(address) | dns::RecordData::Aaaa(address)) => write!(text, "{address}"),
        Ok(dns::RecordData::Cname(name) | dns::RecordData::Ns(name) | dns::RecordData::Ptr(name)) => {
            text.push_str(name.text(buffer));
            Ok(())
        }
        Ok(dns::RecordData::Mx { preference, exchange }) => {
            write!(text, "{preference} {}", exchange.text(buffer))
        }
        Ok(dns::RecordData::Txt(strings)) => {
            strings.for_each(|string| text.push_str(&String::from_utf8_lossy(string)));
            Ok(())
        }
        Ok(_) => write!(text, "{} ({} bytes)", answer.record_type, answer.bytes.len()),
        Err(error) => write!(text, "{} ({error})", answer.record_type),
    }
}

/// The fields of a request, each behind a comma, and the end of the object.
pub(crate) fn write_request(request: &http::Request<'_>, line: &mut String) -> std::fmt::Result {
    write!(line, ",\"method\":\"{}\",\"host\":", request.method)?;
    optional_text(request.host(), line)?;
    line.push_str(",\"path\":");
    json::string(&String::from_utf8_lossy(request.target), line)?;
    line.push_str(",\"user_agent\":");
    optional_text(request.user_agent(), line)?;
    line.push('}');
    Ok(())
}

pub(super) fn optional_text(bytes: Option<&[u8]>, line: &mut String) -> std::fmt::Result {
    match bytes {
        Some(bytes) => json::string(&String::from_utf8_lossy(bytes), line),
        None => {
            line.push_str("null");
            Ok(())
        }
    }
}
