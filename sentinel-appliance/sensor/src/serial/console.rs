//! Console on a byte stream: a bounded buffer out, single bytes in.
//!
//! Whoever sends alerts chooses their number and, in names, some of their text; whoever has the line may send anything at any
//! rate, or read nothing. So lines are limited by a token bucket, cut, and free of control characters; a line that does
//! not fit the buffer is left out; input is looked at for Enter only, and one status page a second is the most that it gets.

use std::fmt::{self, Write as _};
use std::time::Duration;

use embedded_io::{Error as _, ErrorKind, Write};
use sentinel_alert::{Alert, Severity};
use sentinel_units::Uptime;

/// Bytes that wait for the line: a status page and a dozen alerts.
const CAPACITY: usize = 3 * 1024;
/// Characters of a line: one less than a terminal has, because some wrap at the last one.
const COLUMNS: usize = 79;
/// Least time between two status pages.
const PAGE_INTERVAL: Duration = Duration::from_secs(1);
const SECOND: Duration = Duration::from_secs(1);

/// Lines that wait for the line, and the limits.
#[derive(Debug)]
pub(crate) struct Console {
    buffer: [u8; CAPACITY],
    /// Part of the buffer that is not written yet.
    start: usize,
    end: usize,
    tokens: u32,
    refilled: Uptime,
    page_due: Uptime,
    /// Alerts left out since the last line.
    unshown: u32,
    /// Alerts printed; wraps.
    pub(crate) shown: u32,
    /// Alerts left out since the start; wraps.
    pub(crate) left_out: u32,
}

impl Console {
    /// Empty, with the tokens of one second.
    pub(crate) const fn new() -> Self {
        Self {
            buffer: [0; CAPACITY],
            start: 0,
            end: 0,
            tokens: 1,
            refilled: Uptime::ZERO,
            page_due: Uptime::ZERO,
            unshown: 0,
            shown: 0,
            left_out: 0,
        }
    }

    /// Takes an alert, if it is of `severity` at least. Past `lines` a second, or without room, it is counted only.
    pub(crate) fn alert(&mut self, alert: &Alert, severity: Severity, lines: u32, now: Uptime) {
        if alert.severity < severity {
            return;
        }
        self.tell_unshown(lines, now);
        let is_written = self.unshown == 0
            && self.takes_token(lines, now)
            && self.line(format_args!(
                "{} {} {} {}: {}",
                TimeOfDay(alert),
                alert.severity,
                alert.test.kind(),
                alert.phase,
                alert.summary()
            ));
        if is_written {
            self.shown = self.shown.wrapping_add(1);
        } else {
            self.unshown = self.unshown.saturating_add(1);
            self.left_out = self.left_out.wrapping_add(1);
        }
    }

    /// Prints how many alerts were left out, as soon as a line may be printed. Returns true while there are any.
    pub(crate) fn tell_unshown(&mut self, lines: u32, now: Uptime) -> bool {
        if self.unshown > 0 && self.has_room(1) && self.takes_token(lines, now) {
            let unshown = self.unshown;
            self.line(format_args!("{unshown} more alerts, not shown here"));
            self.unshown = 0;
        }
        self.unshown > 0
    }

    /// Takes bytes that came in. Returns true if the status is asked for and due.
    pub(crate) fn input(&mut self, bytes: &[u8], now: Uptime) -> bool {
        let is_asked = bytes.iter().any(|byte| matches!(byte, b'\r' | b'\n'));
        if !is_asked || now < self.page_due {
            return false;
        }
        self.page_due = now.after(PAGE_INTERVAL);
        true
    }

    /// Prints `page`, if all of it fits behind what waits.
    pub(crate) fn page(&mut self, page: &str) {
        if self.has_room(page.lines().count()) {
            for line in page.lines() {
                self.line(format_args!("{line}"));
            }
        }
    }

    /// Writes what waits, as far as the device takes it: one that takes nothing now says so by [`ErrorKind::TimedOut`]. Returns
    /// true if all is written.
    ///
    /// # Errors
    /// Any other error of the device; what waits is dropped.
    pub(crate) fn flush<D: Write>(&mut self, device: &mut D) -> Result<bool, D::Error> {
        while let Some(waiting) = self.buffer.get(self.start..self.end).filter(|waiting| !waiting.is_empty())
        {
            match device.write(waiting) {
                Ok(written) => self.start += written.min(waiting.len()),
                Err(error) if error.kind() == ErrorKind::TimedOut => return Ok(false),
                Err(error) => {
                    self.clear();
                    return Err(error);
                }
            }
        }
        self.clear();
        Ok(true)
    }

    const fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }

    /// Takes one of `lines` tokens a second; at most as many are kept.
    fn takes_token(&mut self, lines: u32, now: Uptime) -> bool {
        if now.since(self.refilled) >= SECOND {
            (self.tokens, self.refilled) = (lines, now);
        }
        let has_one = self.tokens > 0;
        self.tokens = self.tokens.saturating_sub(1);
        has_one
    }

    /// Makes room for so many lines; returns false if there is none.
    fn has_room(&mut self, lines: usize) -> bool {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        lines <= (CAPACITY - self.end) / (COLUMNS + 2)
    }

    /// Appends a line, cut to [`COLUMNS`]; returns false without room for the longest. A line begins with the line feed, so
    /// that a page of as many lines as a terminal has stays on it.
    fn line(&mut self, text: fmt::Arguments<'_>) -> bool {
        if !self.has_room(1) {
            return false;
        }
        let mut line = Line { buffer: &mut self.buffer, end: self.end, left: 2 };
        line.byte(b'\r');
        line.byte(b'\n');
        line.left = COLUMNS;
        // Never fails: what is too long is cut.
        let _is_written = line.write_fmt(text);
        self.end = line.end;
        true
    }
}

/// Line that is being written: at most `left` more characters.
struct Line<'b> {
    buffer: &'b mut [u8; CAPACITY],
    end: usize,
    left: usize,
}

impl Line<'_> {
    fn byte(&mut self, byte: u8) {
        if let Some(place) = self.buffer.get_mut(self.end).filter(|_| self.left > 0) {
            *place = byte;
            self.end += 1;
            self.left -= 1;
        }
    }
}

impl fmt::Write for Line<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            let byte = u8::try_from(character).ok().filter(|byte| matches!(byte, b' '..=b'~'));
            self.byte(byte.unwrap_or(b'?'));
        }
        Ok(())
    }
}

/// `22:13:20`, of an alert, UTC.
struct TimeOfDay<'a>(&'a Alert);

impl fmt::Display for TimeOfDay<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let second = self.0.time.as_secs() % 86_400;
        write!(out, "{:02}:{:02}:{:02}", second / 3_600, second / 60 % 60, second % 60)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use sentinel_alert::testing::sample;
    use sentinel_alert::{Evidence, ShortName};

    fn at(millis: u64) -> Uptime {
        Uptime::ZERO.after(Duration::from_millis(10_000 + millis))
    }

    fn alert() -> Alert {
        Alert { severity: Severity::Medium, ..sample() }
    }

    /// Device in memory that takes so many bytes.
    struct Taker {
        taken: Vec<u8>,
        room: usize,
    }

    #[derive(Clone, Copy, Debug)]
    struct Full;

    impl fmt::Display for Full {
        fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            out.write_str("full")
        }
    }

    impl std::error::Error for Full {}

    impl embedded_io::Error for Full {
        fn kind(&self) -> ErrorKind {
            ErrorKind::TimedOut
        }
    }

    impl embedded_io::ErrorType for Taker {
        type Error = Full;
    }

    impl Write for Taker {
        fn write(&mut self, bytes: &[u8]) -> Result<usize, Full> {
            let count = bytes.len().min(self.room).min(7);
            self.room -= count;
            self.taken.extend(&bytes[..count]);
            if count == 0 { Err(Full) } else { Ok(count) }
        }

        fn flush(&mut self) -> Result<(), Full> {
            Ok(())
        }
    }

    fn drained(console: &mut Console) -> String {
        let mut taker = Taker { taken: Vec::new(), room: usize::MAX };
        assert!(console.flush(&mut taker).unwrap());
        String::from_utf8(taker.taken).unwrap()
    }

    #[test]
    fn an_alert_is_one_line_that_fits() {
        let mut console = Console::new();
        console.alert(&alert(), Severity::Medium, 5, at(0));
        console.alert(&alert(), Severity::High, 5, at(0));
        let text = drained(&mut console);
        let line = text.strip_prefix("\r\n").unwrap();
        assert!(line.len() <= COLUMNS && !line.contains(['\r', '\n']), "{text:?}");
        let summary = alert().summary().to_string();
        assert!(line.contains(" medium port_scan ") && line.contains(&summary[..20]), "{text:?}");
        assert_eq!((console.shown, console.left_out), (1, 0));
    }

    /// A name from the network with escape codes would move the cursor of whoever looks.
    #[test]
    fn nothing_but_printable_ascii_leaves() {
        let mut console = Console::new();
        let name = ShortName::try_from("\u{1b}[2J\r\n\u{7}\u{9b}31m\u{e9}").unwrap();
        let hostile = Alert { evidence: Evidence::Listed { count: 1, label: name }, ..alert() };
        console.alert(&hostile, Severity::Info, 5, at(0));
        console.page("a\tb\u{1b}[31m\n\u{0}c");
        let text = drained(&mut console);
        assert!(
            text.split("\r\n").all(|line| line.bytes().all(|byte| matches!(byte, b' '..=b'~'))),
            "{text:?}"
        );
        assert!(text.ends_with("\r\na?b?[31m\r\n?c"), "{text:?}");
    }

    #[test]
    fn lines_past_the_limit_are_counted_and_told() {
        let mut console = Console::new();
        for number in 0..50 {
            console.alert(&alert(), Severity::Info, 5, at(number));
        }
        assert_eq!(drained(&mut console).matches("port_scan").count(), 5);
        assert!(console.tell_unshown(5, at(900)), "the second is not over");
        assert!(!console.tell_unshown(5, at(1_100)));
        assert_eq!(drained(&mut console), "\r\n45 more alerts, not shown here");
        assert_eq!((console.shown, console.left_out), (5, 45));
        for number in 0..50 {
            console.alert(&alert(), Severity::Info, 5, at(2_200 + number));
        }
        assert_eq!(drained(&mut console).matches("port_scan").count(), 5);
        console.alert(&alert(), Severity::Info, 5, at(4_000));
        let text = drained(&mut console);
        assert!(text.starts_with("\r\n45 more") && text.matches("port_scan").count() == 1, "{text}");
        let mut silent = Console::new();
        silent.alert(&alert(), Severity::Info, 0, at(0));
        assert_eq!((drained(&mut silent).as_str(), silent.left_out), ("", 1), "no alerts at all");
    }

    #[test]
    fn a_line_that_nobody_reads_loses_what_does_not_fit() {
        let mut console = Console::new();
        let mut nobody = Taker { taken: Vec::new(), room: 100 };
        for second in 0..1_000 {
            console.alert(&alert(), Severity::Info, 5, at(second * 1_000));
            assert!(console.end <= CAPACITY);
            if second > 2 {
                assert!(!console.flush(&mut nobody).unwrap());
            }
        }
        console.page(&"x\n".repeat(24));
        assert!(console.shown < 50 && console.shown + console.left_out == 1_000, "{}", console.shown);
        // Somebody reads again: whole lines, in order, and how many are missing.
        nobody.room = usize::MAX;
        assert!(console.flush(&mut nobody).unwrap());
        assert!(!console.tell_unshown(5, at(2_000_000)));
        let text = String::from_utf8(nobody.taken).unwrap() + &drained(&mut console);
        let lines = text.split("\r\n").skip(1).filter(|line| line.contains(" port_scan ")).count();
        assert_eq!(lines, usize::try_from(console.shown).unwrap());
        let told = format!("\r\n{} more alerts, not shown here", console.left_out);
        assert!(text.ends_with(&told), "{told}: {}", &text[text.len() - 200..]);
    }

    #[test]
    fn rubbish_and_a_paste_of_a_megabyte_get_a_page_a_second() {
        let mut console = Console::new();
        let paste: Vec<u8> = (0..1_u32 << 20).map(|index| u8::try_from(index * 31 % 251).unwrap()).collect();
        let asked = |console: &mut Console, millis| {
            paste.chunks(64).filter(|chunk| console.input(chunk, at(millis))).count()
        };
        assert_eq!([0, 10, 999, 1_000, 1_500].map(|millis| asked(&mut console, millis)), [1, 0, 0, 1, 0]);
        assert!(!console.input(b"status\t\x1b[A\xff\0 ", at(9_000)), "no Enter");
        assert!(console.input(b"\n", at(9_000)));
    }

    #[test]
    fn a_page_of_a_whole_screen_fits_behind_alerts() {
        let mut console = Console::new();
        for _ in 0..12 {
            console.alert(&alert(), Severity::Info, 100, at(5_000));
        }
        let page = ["z".repeat(200).as_str(); 24].join("\n");
        console.page(&page);
        let text = drained(&mut console);
        assert_eq!(text.split("\r\n").filter(|line| line.starts_with('z')).count(), 24);
        assert!(text.split("\r\n").all(|line| line.len() <= COLUMNS));
        assert!(!text.ends_with('\n'), "it would scroll the first line away");
    }

    #[test]
    fn a_device_that_fails_loses_what_waits() {
        struct Gone;
        impl embedded_io::ErrorType for Gone {
            type Error = ErrorKind;
        }
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> Result<usize, ErrorKind> {
                Err(ErrorKind::BrokenPipe)
            }
            fn flush(&mut self) -> Result<(), ErrorKind> {
                Ok(())
            }
        }
        let mut console = Console::new();
        console.page("x");
        assert_eq!(console.flush(&mut Gone).map(drop), Err(ErrorKind::BrokenPipe));
        assert_eq!(drained(&mut console), "");
        let _never: Option<Infallible> = None;
    }
}
