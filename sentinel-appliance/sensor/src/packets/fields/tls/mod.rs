//! What both sides of TLS say in clear.

use std::fmt::Write;

use sentinel_alert::json;
use sentinel_dissect::{tls, x509};
use sentinel_seal::digest;

use super::{cipher, fingerprint, optional_text};

/// The fields of a client hello, each behind a comma, and the end of the object.
pub(crate) fn write_client(hello: &tls::ClientHello<'_>, line: &mut String) -> std::fmt::Result {
    write_offer(hello, line)?;
    line.push_str(",\"version\":\"");
    tls_version(hello.newest_version(), line)?;
    // A hello that is cut would give the fingerprint of another client.
    if hello.malformed.is_none() {
        let mut ja3 = String::new();
        fingerprint::ja3(hello, &mut ja3)?;
        write!(line, "\",\"ja3\":\"{ja3}\",\"ja3_hash\":\"")?;
        fingerprint::hex(&digest::md5(&[ja3.as_bytes()]), line)?;
        line.push_str("\",\"ja4\":\"");
        fingerprint::ja4(hello, fingerprint::Carrier::Tcp, line)?;
        line.push('"');
    } else {
        line.push_str("\",\"ja3\":null,\"ja3_hash\":null,\"ja4\":null");
    }
    write!(line, ",\"ech\":{}}}", hello.has_encrypted_hello())
}

/// Server name and application protocols.
pub(super) fn write_offer(hello: &tls::ClientHello<'_>, line: &mut String) -> std::fmt::Result {
    line.push_str(",\"sni\":");
    optional_text(hello.sni(), line)?;
    protocols(hello.alpn(), line)
}

fn protocols<'p>(names: impl Iterator<Item = &'p [u8]>, line: &mut String) -> std::fmt::Result {
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

/// The fields of a server hello and of the certificate behind it, each behind a comma, and the end of the object.
pub(crate) fn write_server(hello: &tls::ServerHello<'_>, line: &mut String) -> std::fmt::Result {
    protocols(hello.alpn().into_iter(), line)?;
    line.push_str(",\"version\":\"");
    tls_version(hello.version(), line)?;
    line.push_str("\",\"cipher\":\"");
    cipher::write(hello.cipher_suite, line)?;
    let mut ja3s = String::new();
    fingerprint::ja3s(hello, &mut ja3s)?;
    write!(line, "\",\"ja3s\":\"{ja3s}\",\"ja3s_hash\":\"")?;
    fingerprint::hex(&digest::md5(&[ja3s.as_bytes()]), line)?;
    line.push('"');
    write_certificate(hello.certificate, line)?;
    line.push('}');
    Ok(())
}

fn write_certificate(der: Option<&[u8]>, line: &mut String) -> std::fmt::Result {
    let certificate = der.and_then(|der| x509::Certificate::parse(der).ok());
    let mut text = String::new();
    for (name, value) in
        [("subject", certificate.map(|it| it.subject)), ("issuer", certificate.map(|it| it.issuer))]
    {
        write!(line, ",\"cert_{name}\":")?;
        text.clear();
        if let Some(value) = value {
            write!(text, "{value}")?;
        }
        optional_text(value.map(|_| text.as_bytes()), line)?;
    }
    match certificate {
        Some(certificate) => write!(line, ",\"cert_not_after\":\"{}\"", certificate.not_after)?,
        None => line.push_str(",\"cert_not_after\":null"),
    }
    line.push_str(",\"cert_sha256\":");
    text.clear();
    if let Some(der) = der {
        fingerprint::hex(&digest::sha256(&[der]), &mut text)?;
    }
    optional_text(der.map(|_| text.as_bytes()), line)
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
