//! Options of `read`, `capture` and `replay`.

use std::path::PathBuf;
use std::time::Duration;

use sentinel_filter::SimpleFilter;

use crate::packets::save::SaveRequest;
use crate::terminal::zone::Zone;

/// Options of the packet pipeline.
#[derive(Clone, Debug)]
pub(crate) struct PacketOptions {
    pub(crate) view: View,
    /// Lines in colours.
    pub(crate) colours: bool,
    /// Also the bytes, after each line; of JSON a field of each object.
    pub(crate) dump: Option<Dump>,
    /// Lines with the header fields of IP and TCP.
    pub(crate) verbose: bool,
    /// Lines with the link-layer header.
    pub(crate) link_header: bool,
    /// Zone of the times in lines.
    pub(crate) zone: &'static Zone,
    /// Nothing on the terminal.
    pub(crate) quiet: bool,
    /// Filter in tcpdump's language; empty matches everything.
    pub(crate) expression: String,
    pub(crate) filter: SimpleFilter,
    /// Packets after which to stop.
    pub(crate) count: Option<u64>,
    /// Time after which to stop.
    pub(crate) duration: Option<Duration>,
    /// Bytes of each packet that are analysed and saved.
    pub(crate) snap_bytes: Option<u32>,
    pub(crate) save: Option<SaveRequest>,
    /// Directory for results.
    pub(crate) results: Option<PathBuf>,
    /// Statistics at the end; while capturing also after each such interval, if it is not zero.
    pub(crate) statistics: Option<Duration>,
}

impl PacketOptions {
    /// `, filter: EXPRESSION` for the log, if there is one.
    pub(crate) fn filter_text(&self) -> String {
        if self.expression.is_empty() { String::new() } else { format!(", filter: {}", self.expression) }
    }
}

/// Bytes of a packet after its line, as tcpdump prints them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Dump {
    pub(crate) style: DumpStyle,
    /// With the link-layer header.
    pub(crate) whole_frame: bool,
}

/// Form of a dump.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum DumpStyle {
    /// Offset, hexadecimal digits and ASCII.
    Hex,
    /// ASCII.
    Ascii,
}

/// View on standard output.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum View {
    /// A line for each packet.
    Lines,
    /// A JSON object for each packet.
    Json,
    /// Alerts as NDJSON.
    Alerts,
    /// Alerts as lines for people.
    AlertText,
    /// Protocol records as NDJSON.
    Records,
    /// Flows as NDJSON.
    Flows,
    /// The number of packets.
    CountOnly,
    /// Nothing but statistics: the packets are saved or counted.
    Nothing,
}

impl View {
    /// Returns true if the view needs the detectors.
    pub(crate) fn has_alerts(self) -> bool {
        matches!(self, Self::Alerts | Self::AlertText)
    }

    /// Returns true for views for people, which end with a summary.
    pub(crate) fn is_for_people(self) -> bool {
        matches!(self, Self::Lines | Self::AlertText | Self::Nothing)
    }
}
