//! SSH: the first line of either side.

use std::fmt::{Result, Write};

use sentinel_alert::json;
use sentinel_dissect::application::Ports;
use sentinel_dissect::ssh::{self, PROTOCOL};
use sentinel_track::flow::looks_like_initiator;
use sentinel_track::reassembly::Message;

use super::{Colour, Fields, Payload, Reading, RecordWriter, text};
use crate::terminal::failure::Failure;

/// The line of one side.
#[derive(Debug)]
pub(crate) struct Ssh<'p> {
    banner: ssh::Banner<'p>,
    ports: Ports,
}

impl<'p> Fields<'p> for Ssh<'p> {
    const COLOUR: Option<Colour> = Some(Colour::Blue);

    fn of_segment(payload: &Payload<'p>) -> Reading<Self> {
        if (PROTOCOL.segment).is_some_and(|is_ssh| is_ssh(payload.bytes, payload.ports))
            && let Ok(banner) = ssh::Banner::parse(payload.bytes)
        {
            return Reading::Fields(Self { banner, ports: payload.ports });
        }
        Reading::OtherProtocol
    }

    fn title(&self) -> &'static str {
        PROTOCOL.title
    }

    fn line(&self, out: &mut String) -> Result {
        let ssh::Banner { protocol_version, software, comments } = self.banner;
        write!(out, "SSH-{protocol_version}-{software}")?;
        comments.map_or(Ok(()), |comments| write!(out, " {comments}"))
    }

    fn json(&self, out: &mut String) -> Result {
        write_fields(&self.banner, self.ports, out)
    }

    fn stream_records(
        stream: &Message<'_>,
        records: &mut RecordWriter<'_>,
    ) -> std::result::Result<bool, Failure> {
        let Ok(banner) = ssh::Banner::parse(stream.bytes) else { return Ok(false) };
        let ports = (stream.source.port, stream.destination.port);
        records.write(PROTOCOL.service.name, |line| write_fields(&banner, ports, line))?;
        Ok(true)
    }
}

/// The fields of a banner, each behind a comma. The ports identify the side, see [`looks_like_initiator`].
fn write_fields(banner: &ssh::Banner<'_>, (source, destination): Ports, line: &mut String) -> Result {
    let is_client = looks_like_initiator(source, destination);
    let name = if is_client { "client_software" } else { "server_software" };
    write!(line, ",\"{name}\":")?;
    json::string(banner.software, line)?;
    line.push_str(",\"comments\":");
    text::optional_json(banner.comments.map(str::as_bytes), line)?;
    line.push_str(",\"protocol_version\":");
    json::string(banner.protocol_version, line)
}
