//! `--records`: what the dissectors read, one JSON object for each message.

use std::fmt::Write;

use sentinel_alert::json;
use sentinel_capture::Frame;
use sentinel_dissect::{Transport, dns, http, tls};
use sentinel_units::{Address, Port};

use crate::failure::Failure;
use crate::output::Output;

const DNS: Port = Port(53);
const MULTICAST_DNS: Port = Port(5353);
const LLMNR: Port = Port(5355);
/// Answers shown of one DNS message.
const MAX_ANSWERS: usize = 64;
/// DNS messages read from one TCP segment.
const MAX_TCP_MESSAGES: usize = 16;

/// Writes the records of one frame.
pub(crate) fn write(frame: &Frame<'_>, output: &mut Output) -> Result<(), Failure> {
    let packet = sentinel_dissect::packet(frame.link, frame.vlan, frame.bytes, frame.wire_len);
    let Some(ip) = packet.ip() else { return Ok(()) };
    let head = |line: &mut String, record: &str, source: Port, destination: Port| {
        write_head(frame, line, record, (ip.source, source), (ip.destination, destination))
    };
    match &packet.transport {
        Transport::Udp(udp) => {
            let Some(record) = dns_record(udp.source_port, udp.destination_port) else { return Ok(()) };
            let Ok(message) = dns::Message::parse(udp.payload) else { return Ok(()) };
            output.line(|line| {
                head(line, record, udp.source_port, udp.destination_port)?;
                write_dns(&message, line)
            })
        }
        Transport::Tcp(tcp) if !tcp.payload.is_empty() => {
            let ports = (tcp.source_port, tcp.destination_port);
            if ports.0 == DNS || ports.1 == DNS {
                for bytes in dns::tcp_messages(tcp.payload).take(MAX_TCP_MESSAGES) {
                    let Ok(message) = dns::Message::parse(bytes) else { break };
                    output.line(|line| {
                        head(line, "dns", ports.0, ports.1)?;
                        write_dns(&message, line)
                    })?;
                }
                return Ok(());
            }
            application(tcp.payload, output, |line, record| head(line, record, ports.0, ports.1))
        }
        _ => Ok(()),
    }
}

/// TLS and HTTP are known by their first bytes, on any port.
fn application(
    payload: &[u8],
    output: &mut Output,
    head: impl Fn(&mut String, &str) -> std::fmt::Result,
) -> Result<(), Failure> {
    if let Ok(hello) = tls::ClientHello::parse(payload) {
        return output.line(|line| {
            head(line, "tls")?;
            write_tls(&hello, line)
        });
    }
    if let Ok(request) = http::Request::parse(payload) {
        return output.line(|line| {
            head(line, "http")?;
            write_request(&request, line)
        });
    }
    if let Ok(response) = http::Response::parse(payload) {
        return output.line(|line| {
            head(line, "http")?;
            write!(line, ",\"status\":{}}}", response.status)
        });
    }
    Ok(())
}

fn write_head(
    frame: &Frame<'_>,
    line: &mut String,
    record: &str,
    source: (Address, Port),
    destination: (Address, Port),
) -> std::fmt::Result {
    write!(line, "{{\"time\":\"{}\",\"record\":\"{record}\"", frame.at.rfc3339())?;
    write!(line, ",\"src\":\"{}\",\"src_port\":{}", source.0, source.1)?;
    write!(line, ",\"dst\":\"{}\",\"dst_port\":{}", destination.0, destination.1)
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

/// The fields of a client hello, each behind a comma, and the end of the object.
pub(crate) fn write_tls(hello: &tls::ClientHello<'_>, line: &mut String) -> std::fmt::Result {
    line.push_str(",\"sni\":");
    optional_text(hello.sni(), line)?;
    line.push_str(",\"alpn\":[");
    for (index, protocol) in hello.alpn().enumerate() {
        if index > 0 {
            line.push(',');
        }
        json::string(&String::from_utf8_lossy(protocol), line)?;
    }
    line.push_str("],\"version\":\"");
    tls_version(hello.newest_version(), line)?;
    line.push_str("\"}");
    Ok(())
}

/// The usual name of a version of TLS, or its number.
pub(crate) fn tls_version(version: u16, out: &mut String) -> std::fmt::Result {
    out.push_str(match version {
        0x0300 => "SSL 3.0",
        0x0301 => "TLS 1.0",
        0x0302 => "TLS 1.1",
        0x0303 => "TLS 1.2",
        0x0304 => "TLS 1.3",
        other => return write!(out, "0x{other:04x}"),
    });
    Ok(())
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

fn optional_text(bytes: Option<&[u8]>, line: &mut String) -> std::fmt::Result {
    match bytes {
        Some(bytes) => json::string(&String::from_utf8_lossy(bytes), line),
        None => {
            line.push_str("null");
            Ok(())
        }
    }
}
