//! Standard output, buffered. A reader that closes the pipe ends the command without a message.

use std::io::{BufWriter, StdoutLock, Write};

use sentinel_alert::{Alert, AlertId};

use crate::terminal::failure::Failure;

/// Lines on standard output.
pub(crate) struct Output {
    out: BufWriter<StdoutLock<'static>>,
    line: String,
}

impl Output {
    /// Locks standard output.
    pub(crate) fn new() -> Self {
        Self { out: BufWriter::new(std::io::stdout().lock()), line: String::new() }
    }

    /// Writes the line that `format` appends to an empty string, and a line end.
    pub(crate) fn line(
        &mut self,
        format: impl FnOnce(&mut String) -> std::fmt::Result,
    ) -> Result<(), Failure> {
        self.line.clear();
        let formatted = format(&mut self.line);
        self.end_line(formatted)
    }

    fn end_line(&mut self, formatted: std::fmt::Result) -> Result<(), Failure> {
        formatted.map_err(|_| Failure::new("formatting a line failed"))?;
        self.line.push('\n');
        self.out.write_all(self.line.as_bytes()).map_err(|error| Failure::output(&error))
    }

    /// Writes text with its own line ends.
    pub(crate) fn text(&mut self, text: &str) -> Result<(), Failure> {
        self.bytes(text.as_bytes())
    }

    /// Writes bytes with their own line ends.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.out.write_all(bytes).map_err(|error| Failure::output(&error))
    }

    /// Writes an alert as one JSON object.
    pub(crate) fn alert_json(&mut self, alert: &Alert, id: Option<AlertId>) -> Result<(), Failure> {
        self.line(|line| sentinel_alert::json::write(alert, id, line))
    }

    /// Writes an alert as one line for people.
    pub(crate) fn alert_text(&mut self, alert: &Alert) -> Result<(), Failure> {
        self.line(|line| alert_text(alert, line))
    }

    /// Writes the buffer.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush().map_err(|error| Failure::output(&error))
    }
}

/// `2023-11-14T22:13:29.000000Z medium   port_scan       open   10.0.0.1 tried 15 ports of 10.0.0.2 within 10 s`
pub(crate) fn alert_text(alert: &Alert, line: &mut String) -> std::fmt::Result {
    use std::fmt::Write;
    let kind = alert.test.kind();
    write!(line, "{} {:8} {kind:15} {:6} ", alert.time.rfc3339(), alert.severity, alert.phase)?;
    write!(line, "{}", alert.summary())
}
