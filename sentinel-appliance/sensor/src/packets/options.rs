//! What `read`, `capture` and `replay` are asked to do with packets.

use std::path::PathBuf;
use std::time::Duration;

use sentinel_filter::SimpleFilter;

use crate::packets::save::SaveRequest;

/// All of it.
#[derive(Clone, Debug)]
pub(crate) struct PacketOptions {
    pub(crate) view: View,
    /// Lines in colours.
    pub(crate) colours: bool,
    /// The bytes as well: a dump behind each line, or a field of each object.
    pub(crate) bytes: bool,
    /// Nothing on the terminal.
    pub(crate) quiet: bool,
    /// In tcpdump's language; empty lets everything pass.
    pub(crate) expression: String,
    pub(crate) filter: SimpleFilter,
    /// Stop after so many packets.
    pub(crate) count: Option<u64>,
    /// Stop after so much time.
    pub(crate) duration: Option<Duration>,
    /// Look at, and save, so many bytes of each packet.
    pub(crate) snap_bytes: Option<u32>,
    pub(crate) save: Option<SaveRequest>,
    /// Directory of the results.
    pub(crate) results: Option<PathBuf>,
    /// Sums at the end; while capturing also after each such time, if it is not zero.
    pub(crate) statistics: Option<Duration>,
}

impl PacketOptions {
    /// `, filter: EXPRESSION` for the log, if there is one.
    pub(crate) fn filter_text(&self) -> String {
        if self.expression.is_empty() { String::new() } else { format!(", filter: {}", self.expression) }
    }
}

/// What goes to standard output.
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
    /// Conversations as NDJSON.
    Flows,
    /// The number of packets.
    CountOnly,
    /// Nothing but statistics: the packets are saved or summed up.
    Nothing,
}

impl View {
    /// Whether it comes from the analysis.
    pub(crate) fn has_alerts(self) -> bool {
        matches!(self, Self::Alerts | Self::AlertText)
    }

    /// Whether people read it, who want a summary as well.
    pub(crate) fn is_for_people(self) -> bool {
        matches!(self, Self::Lines | Self::AlertText | Self::Nothing)
    }
}
