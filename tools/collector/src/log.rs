//! Log lines: time, level, text; to standard error or to one file.
//!
//! Callers pass text of a peer through [`printable`], and never log a secret.

use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crate::clock;

/// Destination of log lines. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Log(Option<Arc<Mutex<File>>>);

impl Log {
    /// Appends to `path`, which is created if need be; standard error if there is no path.
    ///
    /// # Errors
    /// Errors of opening the file.
    pub fn open(path: Option<&Path>) -> io::Result<Self> {
        let Some(path) = path else { return Ok(Self(None)) };
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self(Some(Arc::new(Mutex::new(file)))))
    }

    /// Logs a normal event.
    pub fn info(&self, text: fmt::Arguments<'_>) {
        self.line("info", text);
    }

    /// Logs a fault that the collector works around.
    pub fn warn(&self, text: fmt::Arguments<'_>) {
        self.line("warn", text);
    }

    /// Logs a fault that keeps the collector from its work.
    pub fn error(&self, text: fmt::Arguments<'_>) {
        self.line("error", text);
    }

    /// Writes the line at once, so that lines of different threads never mix. A failing write is ignored: alerts
    /// are stored all the same.
    fn line(&self, level: &str, text: fmt::Arguments<'_>) {
        let mut line = String::with_capacity(160);
        let _ = writeln!(line, "{} {level} {text}", clock::now().rfc3339());
        let _ = match &self.0 {
            Some(file) => file.lock().unwrap_or_else(PoisonError::into_inner).write_all(line.as_bytes()),
            None => io::stderr().write_all(line.as_bytes()),
        };
    }
}

/// `text` with `?` for every character outside printable ASCII, cut to 80 characters: text of a peer can neither
/// control a terminal nor fill the disk.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars()
        .take(80)
        .map(|char| if char == ' ' || char.is_ascii_graphic() { char } else { '?' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_appended_with_time_and_level() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        Log::open(Some(&path)).unwrap().info(format_args!("first"));
        Log::open(Some(&path)).unwrap().warn(format_args!("second"));
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(lines[0].ends_with("Z info first") && lines[1].ends_with("Z warn second"), "{text}");
    }

    #[test]
    fn text_of_a_peer_is_made_printable() {
        assert_eq!(printable("a\x1b[2J\nb"), "a?[2J?b");
        assert_eq!(printable(&"x".repeat(500)).len(), 80);
    }
}
