//! TLS: hellos of both sides, the certificate of the server, kinds of other records.

mod cipher;
mod group;

use std::fmt::{Result, Write};

use sentinel_alert::json;
use sentinel_dissect::tls::fingerprint::{self, Carrier};
use sentinel_dissect::tls::{self, PROTOCOL};
use sentinel_dissect::x509;
use sentinel_seal::digest;
use sentinel_track::reassembly::Message;

use super::members::Members;
use super::{Colour, Fields, Payload, Reading, RecordWriter, text};
use crate::terminal::failure::Failure;

/// The first record of a segment.
#[derive(Debug)]
pub(crate) enum Tls<'p> {
    ClientHello(tls::ClientHello<'p>),
    /// As much of a server's first flight as one segment has.
    ServerHello(&'p [u8]),
    /// Another record.
    Record {
        content_type: u8,
        wire_len: u32,
    },
}

impl<'p> Fields<'p> for Tls<'p> {
    const COLOUR: Option<Colour> = Some(Colour::Magenta);

    fn of_segment(payload: &Payload<'p>) -> Reading<Self> {
        if let Ok(hello) = tls::ClientHello::parse(payload.bytes) {
            return Reading::Fields(Self::ClientHello(hello));
        }
        if tls::is_server_hello(payload.bytes) {
            return Reading::Fields(Self::ServerHello(payload.bytes));
        }
        match *payload.bytes {
            // Content type and version of a record (RFC 8446 section 5.1).
            [content_type @ 20..=23, 3, 0..=4, ..] => {
                Reading::Fields(Self::Record { content_type, wire_len: payload.wire_len })
            }
            _ => Reading::OtherProtocol,
        }
    }

    fn title(&self) -> &'static str {
        PROTOCOL.title
    }

    fn line(&self, out: &mut String) -> Result {
        match self {
            Self::ClientHello(hello) => {
                out.push_str("ClientHello ");
                if let Some(name) = hello.sni() {
                    text::printable(name, out);
                    out.push(' ');
                }
                write_version(hello.newest_version(), out)
            }
            Self::ServerHello(flight) => {
                out.push_str("ServerHello ");
                let mut joined = vec![0; flight.len()];
                match tls::ServerHello::parse(flight, &mut joined) {
                    Ok(hello) => write_version(hello.version(), out),
                    Err(_) => Ok(()),
                }
            }
            Self::Record { content_type, wire_len } => {
                let name = match content_type {
                    20 => "ChangeCipherSpec",
                    21 => "Alert",
                    22 => "Handshake",
                    _ => "ApplicationData",
                };
                write!(out, "{name} len {wire_len}")
            }
        }
    }

    fn json(&self, out: &mut String) -> Result {
        match self {
            Self::ClientHello(hello) => write_client(hello, out),
            Self::ServerHello(flight) => {
                let mut joined = vec![0; flight.len()];
                match tls::ServerHello::parse(flight, &mut joined) {
                    Ok(hello) => write_server(&hello, out),
                    Err(_) => Ok(()),
                }
            }
            Self::Record { .. } => Ok(()),
        }
    }

    fn stream_records(
        stream: &Message<'_>,
        records: &mut RecordWriter<'_>,
    ) -> std::result::Result<bool, Failure> {
        let bytes = stream.bytes;
        if !tls::is_client_hello(bytes) && !tls::is_server_hello(bytes) {
            return Ok(false);
        }
        let mut joined = vec![0; bytes.len()];
        if let Ok(hello) = tls::ClientHello::parse_joined(bytes, &mut joined) {
            records.write(PROTOCOL.service.name, |line| write_client(&hello, line))?;
        } else if let Ok(hello) = tls::ServerHello::parse(bytes, &mut joined) {
            records.write(PROTOCOL.service.name, |line| write_server(&hello, line))?;
        }
        Ok(true)
    }
}

/// The fields of a client hello, each behind a comma.
fn write_client(hello: &tls::ClientHello<'_>, line: &mut String) -> Result {
    write_offer(hello, line)?;
    line.push_str(",\"version\":\"");
    write_version(hello.newest_version(), line)?;
    // A hello that is cut would give the fingerprint of another client.
    if hello.malformed.is_none() {
        let mut ja3 = String::new();
        fingerprint::ja3(hello, &mut ja3)?;
        write!(line, "\",\"ja3\":\"{ja3}\",\"ja3_hash\":\"")?;
        fingerprint::hex(&digest::md5(&[ja3.as_bytes()]), line)?;
        line.push('"');
    } else {
        line.push_str("\",\"ja3\":null,\"ja3_hash\":null");
    }
    write_ja4(hello, Carrier::Tcp, line)?;
    write_ech_and_group(hello, line)
}

/// JA4 of a hello that is complete and that has one.
pub(super) fn write_ja4(hello: &tls::ClientHello<'_>, carrier: Carrier, line: &mut String) -> Result {
    let mut ja4 = String::new();
    let is_known =
        hello.malformed.is_none() && fingerprint::ja4(hello, carrier, digest::sha256, &mut ja4).is_ok();
    line.push_str(",\"ja4\":");
    text::optional_json(is_known.then_some(ja4.as_bytes()), line)
}

/// Presence of an encrypted hello, and the post-quantum group that is offered.
pub(super) fn write_ech_and_group(hello: &tls::ClientHello<'_>, line: &mut String) -> Result {
    write!(line, ",\"ech\":{}", hello.has_encrypted_hello())?;
    group::write_offered(hello.groups(), &mut Members::json(line));
    Ok(())
}

/// Server name and application protocols.
pub(super) fn write_offer(hello: &tls::ClientHello<'_>, line: &mut String) -> Result {
    line.push_str(",\"sni\":");
    text::optional_json(hello.sni(), line)?;
    protocols(hello.alpn(), line)
}

fn protocols<'p>(names: impl Iterator<Item = &'p [u8]>, line: &mut String) -> Result {
    line.push_str(",\"alpn\":[");
    for (index, name) in names.enumerate() {
        if index > 0 {
            line.push(',');
        }
        json::string(&String::from_utf8_lossy(name), line)?;
    }
    line.push(']');
    Ok(())
}

/// The fields of a server hello and of the certificate behind it, each behind a comma.
fn write_server(hello: &tls::ServerHello<'_>, line: &mut String) -> Result {
    protocols(hello.alpn().into_iter(), line)?;
    line.push_str(",\"version\":\"");
    write_version(hello.version(), line)?;
    line.push_str("\",\"cipher\":\"");
    cipher::write(hello.cipher_suite, line)?;
    let mut ja3s = String::new();
    fingerprint::ja3s(hello, &mut ja3s)?;
    write!(line, "\",\"ja3s\":\"{ja3s}\",\"ja3s_hash\":\"")?;
    fingerprint::hex(&digest::md5(&[ja3s.as_bytes()]), line)?;
    line.push('"');
    write_certificate(hello.certificate, line)?;
    group::write_chosen(hello.group(), &mut Members::json(line));
    Ok(())
}

fn write_certificate(der: Option<&[u8]>, line: &mut String) -> Result {
    let certificate = der.and_then(|der| x509::Certificate::parse(der).ok());
    let mut value_text = String::new();
    for (name, value) in
        [("subject", certificate.map(|it| it.subject)), ("issuer", certificate.map(|it| it.issuer))]
    {
        write!(line, ",\"cert_{name}\":")?;
        value_text.clear();
        if let Some(value) = value {
            write!(value_text, "{value}")?;
        }
        text::optional_json(value.map(|_| value_text.as_bytes()), line)?;
    }
    match certificate {
        Some(certificate) => write!(line, ",\"cert_not_after\":\"{}\"", certificate.not_after)?,
        None => line.push_str(",\"cert_not_after\":null"),
    }
    line.push_str(",\"cert_sha256\":");
    value_text.clear();
    if let Some(der) = der {
        fingerprint::hex(&digest::sha256(&[der]), &mut value_text)?;
    }
    text::optional_json(der.map(|_| value_text.as_bytes()), line)?;
    let mut members = Members::json(line);
    members.optional(
        "cert_not_before",
        certificate.map(|it| it.not_before.to_string()).as_deref().map(str::as_bytes),
    );
    match certificate {
        Some(certificate) => members.hex("cert_serial", certificate.serial),
        None => members.optional("cert_serial", None),
    }
    Ok(())
}

/// The usual name of a version of TLS, or its number.
fn write_version(version: u16, out: &mut String) -> Result {
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
