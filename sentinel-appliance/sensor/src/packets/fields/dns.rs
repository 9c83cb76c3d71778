//! DNS, multicast DNS and LLMNR.

use std::fmt::{Result, Write};

use sentinel_alert::json;
use sentinel_dissect::Malformed;
use sentinel_dissect::application::{Ports, Protocol};
use sentinel_dissect::dns::{self, DNS, LLMNR, MDNS};
use sentinel_track::reassembly::Message;
use sentinel_units::port;

use super::layout::word;
use super::{Colour, Fields, Payload, Reading, RecordWriter, has_port, members, text};
use crate::terminal::failure::Failure;

/// Most answers of a message in a line.
const MAX_LINE_ANSWERS: usize = 8;
/// Most answers of a message in a record.
const MAX_RECORD_ANSWERS: usize = 64;
/// Most messages read from one piece of a TCP stream.
const MAX_TCP_MESSAGES: usize = 16;

/// A message.
#[derive(Debug)]
pub(crate) struct Dns<'p> {
    title: &'static str,
    message: dns::Message<'p>,
}

impl<'p> Fields<'p> for Dns<'p> {
    const COLOUR: Option<Colour> = Some(Colour::Yellow);

    fn of_segment(payload: &Payload<'p>) -> Reading<Self> {
        if !has_port(payload.ports, port::DNS) {
            return Reading::OtherProtocol;
        }
        match dns::tcp_messages(payload.bytes).next().map(dns::Message::parse) {
            Some(Ok(message)) => Reading::Fields(Self { title: title(payload.ports), message }),
            _ => Reading::OtherProtocol,
        }
    }

    fn of_datagram(payload: &Payload<'p>) -> Reading<Self> {
        if protocol(payload.ports).is_none() {
            return Reading::OtherProtocol;
        }
        match dns::Message::parse(payload.bytes) {
            Ok(message) => Reading::Fields(Self { title: title(payload.ports), message }),
            Err(_) => Reading::Malformed,
        }
    }

    fn title(&self) -> &'static str {
        self.title
    }

    fn line(&self, out: &mut String) -> Result {
        write_line(&self.message, out)
    }

    fn json(&self, out: &mut String) -> Result {
        write_fields(&self.message, out)
    }

    fn datagram_records(
        payload: &Payload<'_>,
        records: &mut RecordWriter<'_>,
    ) -> std::result::Result<bool, Failure> {
        let Some(protocol) = protocol(payload.ports) else { return Ok(false) };
        if let Ok(message) = dns::Message::parse(payload.bytes) {
            records.write(protocol.service.name, |line| write_fields(&message, line))?;
        }
        Ok(true)
    }

    fn stream_records(
        stream: &Message<'_>,
        records: &mut RecordWriter<'_>,
    ) -> std::result::Result<bool, Failure> {
        if stream.channel != 0 || !has_port((stream.source.port, stream.destination.port), port::DNS) {
            return Ok(false);
        }
        for bytes in dns::tcp_messages(stream.bytes).take(MAX_TCP_MESSAGES) {
            let Ok(message) = dns::Message::parse(bytes) else { break };
            records.write(DNS.service.name, |line| write_fields(&message, line))?;
        }
        Ok(true)
    }
}

/// The protocol of a datagram, by its ports.
fn protocol(ports: Ports) -> Option<&'static Protocol> {
    const BY_PORT: &[(sentinel_units::Port, Protocol)] =
        &[(port::DNS, DNS), (port::MULTICAST_DNS, MDNS), (port::LLMNR, LLMNR)];
    BY_PORT.iter().find(|(port, _)| has_port(ports, *port)).map(|(_, protocol)| protocol)
}

/// Name in lines: between ports of two of the protocols the multicast one counts.
fn title(ports: Ports) -> &'static str {
    if has_port(ports, port::MULTICAST_DNS) {
        MDNS.title
    } else if has_port(ports, port::LLMNR) {
        LLMNR.title
    } else {
        DNS.title
    }
}

/// The fields of a DNS message, each behind a comma.
fn write_fields(message: &dns::Message<'_>, line: &mut String) -> Result {
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
        for (index, answer) in
            message.answers().map_while(std::result::Result::ok).take(MAX_RECORD_ANSWERS).enumerate()
        {
            if index > 0 {
                line.push(',');
            }
            text.clear();
            write_answer(&answer, &mut text, &mut buffer)?;
            json::string(&text, line)?;
        }
        line.push(']');
    }
    Ok(())
}

/// The data of a record as zone files write it.
fn write_answer(answer: &dns::Record<'_>, text: &mut String, buffer: &mut dns::NameBuffer) -> Result {
    match answer.parts() {
        Some(mut parts) => write_parts(answer.record_type, &mut parts, text, buffer),
        None => write!(text, "{} ({} bytes)", answer.record_type, answer.bytes.len()),
    }
}

/// Writes the parts of a record with spaces between them, or the fault of one.
fn write_parts(
    record_type: dns::RecordType,
    parts: &mut dyn Iterator<Item = std::result::Result<dns::Part<'_>, Malformed>>,
    text: &mut String,
    buffer: &mut dns::NameBuffer,
) -> Result {
    for (index, part) in parts.enumerate() {
        let part = match part {
            Ok(dns::Part::Parameters([])) => continue,
            Ok(part) => part,
            Err(error) => {
                text.clear();
                return write!(text, "{record_type} ({error})");
            }
        };
        text.push_str(if index == 0 { "" } else { " " });
        match part {
            dns::Part::Address(address) => write!(text, "{address}")?,
            dns::Part::Strings(strings) => {
                strings.for_each(|string| text.push_str(&String::from_utf8_lossy(string)));
            }
            dns::Part::Number(number) => write!(text, "{number}")?,
            dns::Part::Type(kind) => write!(text, "{kind}")?,
            dns::Part::Name(name) if name.is_root() && index > 0 => text.push('.'),
            dns::Part::Name(name) => text.push_str(name.text(buffer)),
            dns::Part::Word(word) => text.push_str(&String::from_utf8_lossy(word)),
            dns::Part::Text(words) => write!(text, "\"{}\"", String::from_utf8_lossy(words))?,
            dns::Part::Hex(bytes) => sentinel_dissect::tls::fingerprint::hex(bytes, text)?,
            dns::Part::Base64(bytes) => text::base64(bytes, text),
            dns::Part::Parameters(bytes) => write_parameters(bytes, text)?,
        }
    }
    Ok(())
}

/// Keys of the parameters of a service binding, by number (RFC 9460 section 14.3.2).
const PARAMETERS: &str = "mandatory,alpn,no-default-alpn,port,ipv4hint,ech,ipv6hint,dohpath,ohttp";

/// Writes `alpn=h2,h3 port=8443 ipv4hint=192.0.2.1`; values of other keys in base 64.
fn write_parameters(mut bytes: &[u8], out: &mut String) -> Result {
    let mut separator = "";
    // Ends: each parameter takes four bytes or more.
    while let [k0, k1, l0, l1, behind @ ..] = bytes
        && let Some((value, behind)) = behind.split_at_checked(u16::from_be_bytes([*l0, *l1]).into())
    {
        bytes = behind;
        let key = u16::from_be_bytes([*k0, *k1]);
        out.push_str(separator);
        separator = " ";
        match word(PARAMETERS, key.into()) {
            Some(name) => out.push_str(name),
            None => write!(out, "key{key}")?,
        }
        if value.is_empty() {
            continue;
        }
        out.push('=');
        let items: Vec<String> = match (key, value) {
            (1, list) => labels(list),
            (3, [high, low]) => vec![u16::from_be_bytes([*high, *low]).to_string()],
            (4, list) => list.chunks(4).filter_map(members::address).collect(),
            (6, list) => list.chunks(16).filter_map(members::address).collect(),
            (7, path) => vec![members::lossy(path)],
            (_, value) => {
                text::base64(value, out);
                continue;
            }
        };
        out.push_str(&items.join(","));
    }
    Ok(())
}

/// Texts with a length of one byte before each.
fn labels(mut list: &[u8]) -> Vec<String> {
    let mut labels = Vec::new();
    while let [len, behind @ ..] = list
        && let Some((label, behind)) = behind.split_at_checked((*len).into())
    {
        labels.push(members::lossy(label));
        list = behind;
    }
    labels
}

/// Writes `example.com A`, and for a response ` = 192.0.2.1, 192.0.2.2` or the reason why there is no answer.
fn write_line(message: &dns::Message<'_>, out: &mut String) -> Result {
    let mut buffer = dns::NameBuffer::new();
    if message.opcode() != 0 {
        write!(out, "opcode {} ", message.opcode())?;
    }
    match message.question() {
        Ok(Some(question)) => {
            let name = if question.name.is_root() { "." } else { question.name.text(&mut buffer) };
            write!(out, "{name} {}", question.qtype)?;
        }
        // Responses of multicast DNS do not repeat the question.
        Ok(None) => match message.answers().next() {
            Some(Ok(answer)) => write!(out, "{} {}", answer.name, answer.record_type)?,
            _ => out.push_str("no question"),
        },
        Err(error) => write!(out, "malformed question: {error}")?,
    }
    if message.is_response() { write_answers(message, &mut buffer, out) } else { Ok(()) }
}

/// Writes the answers of a response, or its error.
fn write_answers(message: &dns::Message<'_>, buffer: &mut dns::NameBuffer, out: &mut String) -> Result {
    out.push_str(" =");
    let mut data = String::new();
    let mut shown = 0;
    for answer in message.answers().map_while(std::result::Result::ok) {
        if shown == MAX_LINE_ANSWERS {
            out.push_str(" ...");
            return Ok(());
        }
        data.clear();
        write_answer(&answer, &mut data, buffer)?;
        out.push_str(if shown == 0 { " " } else { ", " });
        if !matches!(answer.record_type, dns::RecordType::A | dns::RecordType::AAAA) {
            write!(out, "{} ", answer.record_type)?;
        }
        text::printable(data.as_bytes(), out);
        shown += 1;
    }
    match message.response_code() {
        0 if shown == 0 => out.write_str(" none"),
        0 => Ok(()),
        1 => out.write_str(" FORMERR"),
        2 => out.write_str(" SERVFAIL"),
        3 => out.write_str(" NXDOMAIN"),
        4 => out.write_str(" NOTIMP"),
        5 => out.write_str(" REFUSED"),
        other => write!(out, " rcode {other}"),
    }
}
