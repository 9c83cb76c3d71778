//! HTTP/1: requests and responses.

use std::fmt::{Result, Write};

use sentinel_alert::json;
use sentinel_dissect::http::{self, PROTOCOL};
use sentinel_track::reassembly::Message;

use super::members::Members;
use super::{Colour, Fields, Payload, Reading, RecordWriter, text};
use crate::terminal::failure::Failure;

/// Most messages read from one piece of a stream: requests may follow each other without waiting.
const MAX_MESSAGES: usize = 16;

/// The first message of a segment.
#[derive(Debug)]
pub(crate) enum Http<'p> {
    Request(http::Request<'p>),
    Response(http::Response<'p>),
}

impl<'p> Fields<'p> for Http<'p> {
    const COLOUR: Option<Colour> = Some(Colour::Cyan);

    fn of_segment(payload: &Payload<'p>) -> Reading<Self> {
        if let Ok(request) = http::Request::parse(payload.bytes) {
            return Reading::Fields(Self::Request(request));
        }
        match http::Response::parse(payload.bytes) {
            Ok(response) => Reading::Fields(Self::Response(response)),
            Err(_) => Reading::OtherProtocol,
        }
    }

    fn title(&self) -> &'static str {
        PROTOCOL.title
    }

    fn line(&self, out: &mut String) -> Result {
        match self {
            Self::Request(request) => {
                write!(out, "{} ", request.method)?;
                text::printable(request.target, out);
                if let Some(host) = request.host() {
                    out.push(' ');
                    text::printable(host, out);
                }
            }
            Self::Response(response) => {
                write!(out, "{}", response.status)?;
                // The reason may be empty (RFC 9112 section 4), as in answers of many proxies.
                if !response.reason.is_empty() {
                    out.push(' ');
                    text::printable(response.reason, out);
                }
            }
        }
        Ok(())
    }

    fn json(&self, out: &mut String) -> Result {
        match self {
            Self::Request(request) => write_request(request, out),
            Self::Response(response) => write_response(response, out),
        }
    }

    fn stream_records(
        stream: &Message<'_>,
        records: &mut RecordWriter<'_>,
    ) -> std::result::Result<bool, Failure> {
        let mut remaining = stream.bytes;
        for count in 0..MAX_MESSAGES {
            if let Ok(request) = http::Request::parse(remaining) {
                records.write(PROTOCOL.service.name, |line| write_request(&request, line))?;
                remaining = request.head.body;
            } else if let Ok(response) = http::Response::parse(remaining) {
                records.write(PROTOCOL.service.name, |line| write_response(&response, line))?;
                return Ok(true);
            } else {
                return Ok(count > 0);
            }
        }
        Ok(true)
    }
}

/// The fields of a request, each behind a comma.
pub(super) fn write_request(request: &http::Request<'_>, line: &mut String) -> Result {
    write!(line, ",\"method\":\"{}\",\"host\":", request.method)?;
    text::optional_json(request.host(), line)?;
    line.push_str(",\"path\":");
    json::string(&String::from_utf8_lossy(request.target), line)?;
    line.push_str(",\"user_agent\":");
    text::optional_json(request.user_agent(), line)?;
    write_head(&request.head, request.minor_version, &["referer", "content-type"], line);
    Ok(())
}

/// Headers whose values are secrets, of which only the names are shown.
const SECRETS: &[&str] = &["authorization", "proxy-authorization", "cookie", "set-cookie"];

/// Writes the version, the values of some headers, and all headers.
fn write_head(head: &http::Head<'_>, minor_version: u8, values: &[&str], line: &mut String) {
    let mut members = Members::json(line);
    members.display("version", &format_args!("1.{minor_version}"));
    for name in values {
        members.optional(&name.replace('-', "_"), head.value(name));
    }
    let header = |header: http::Header<'_>| {
        let is_secret = SECRETS.iter().any(|secret| header.name.eq_ignore_ascii_case(secret));
        let value = if is_secret { "...".into() } else { String::from_utf8_lossy(header.value) };
        format!("{}: {value}", header.name)
    };
    members.list("headers", &mut head.headers().map(header));
}

fn write_response(response: &http::Response<'_>, line: &mut String) -> Result {
    write!(line, ",\"status\":{}", response.status)?;
    let values = ["server", "content-type", "content-length", "location"];
    write_head(&response.head, response.minor_version, &values, line);
    Ok(())
}
