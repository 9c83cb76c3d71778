//! Log lines: time, level, text; to standard error or to one file.
//!
//! Callers pass text of a peer through [`printable`], and never log a secret. Lines that a peer can provoke are limited: at
//! most [`MAX_LINES`] a minute for each reason, then one line with the number of those left out. With some twenty reasons
//! that is at most 70 MB a day, whatever strangers do.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::clock;

/// Lines for one reason in one `WINDOW`.
pub const MAX_LINES: u32 = 10;
/// Time after which a reason has its lines again.
const WINDOW: Duration = Duration::from_secs(60);

/// Destination of log lines. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// Standard error if there is none.
    file: Option<Arc<Mutex<File>>>,
    /// By reason. Reasons are constants of the program, so the map is bounded.
    windows: Arc<Mutex<BTreeMap<&'static str, Window>>>,
}

/// Lines of one reason since its window began.
#[derive(Clone, Copy, Debug)]
struct Window {
    began: Instant,
    lines: u32,
    left_out: u64,
}

impl Log {
    /// Appends to `path`, which is created if need be; standard error if there is no path.
    ///
    /// # Errors
    /// Errors of opening the file.
    pub fn open(path: Option<&Path>) -> io::Result<Self> {
        let Some(path) = path else { return Ok(Self::default()) };
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self { file: Some(Arc::new(Mutex::new(file))), ..Self::default() })
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

    /// Logs a normal event that a peer can provoke, unless `reason` has had its lines.
    pub fn limited_info(&self, reason: &'static str, text: fmt::Arguments<'_>) {
        if self.is_allowed(reason, Instant::now()) {
            self.info(text);
        }
    }

    /// Logs a fault of a peer, unless `reason` has had its lines.
    pub fn limited_warn(&self, reason: &'static str, text: fmt::Arguments<'_>) {
        if self.is_allowed(reason, Instant::now()) {
            self.warn(text);
        }
    }

    fn is_allowed(&self, reason: &'static str, now: Instant) -> bool {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let window = windows.entry(reason).or_insert(Window { began: now, lines: 0, left_out: 0 });
        if window.lines >= MAX_LINES {
            window.left_out = window.left_out.saturating_add(1);
            return false;
        }
        window.lines += 1;
        true
    }

    /// Ends the windows that are over, each with a line about the lines that it left out. To be called every second or so.
    pub fn count_left_out(&self) {
        self.count_left_out_at(Instant::now());
    }

    fn count_left_out_at(&self, now: Instant) {
        let mut over = Vec::new();
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        windows.retain(|reason, window| {
            let is_over = now.saturating_duration_since(window.began) >= WINDOW;
            if is_over && window.left_out > 0 {
                over.push((*reason, window.left_out));
            }
            !is_over
        });
        drop(windows); // a slow disk must not delay those who log
        for (reason, count) in over {
            self.warn(format_args!("{count} more lines of the last minute are left out ({reason})"));
        }
    }

    /// Writes the line at once, so that lines of different threads never mix. A failing write is ignored: alerts
    /// are stored all the same.
    fn line(&self, level: &str, text: fmt::Arguments<'_>) {
        let mut line = String::with_capacity(160);
        let _ = writeln!(line, "{} {level} {text}", clock::now().rfc3339());
        let _ = match &self.file {
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

    /// One line for each rejected connection: 28 GB a day from one host.
    #[test]
    fn lines_are_limited_by_reason_and_those_left_out_are_counted() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let log = Log::open(Some(&path)).unwrap();
        let began = Instant::now();
        for number in 0..1_000 {
            log.limited_warn("unknown_key", format_args!("rejected {number}"));
        }
        log.limited_info("connected", format_args!("another reason"));
        log.count_left_out_at(began);
        let lines = || std::fs::read_to_string(&path).unwrap().lines().count();
        assert_eq!(lines(), 11);
        log.count_left_out_at(began + WINDOW * 2);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(
            text.trim_end().ends_with("990 more lines of the last minute are left out (unknown_key)"),
            "{text}"
        );
        assert_eq!(lines(), 12, "{text}");
        log.limited_warn("unknown_key", format_args!("a new minute"));
        assert_eq!(lines(), 13);
    }

    #[test]
    fn text_of_a_peer_is_made_printable() {
        assert_eq!(printable("a\x1b[2J\nb"), "a?[2J?b");
        assert_eq!(printable(&"x".repeat(500)).len(), 80);
    }
}
