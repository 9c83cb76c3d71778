//! Log messages: lines on standard error, which procd and systemd store.

use std::fmt::Arguments;
use std::io::Write;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::settings::LogLevel;

/// Lowest level that is printed.
static LEVEL: AtomicU8 = AtomicU8::new(rank(LogLevel::Info));

/// Applies the setting `log_level`.
pub(crate) fn set_level(level: LogLevel) {
    LEVEL.store(rank(level), Ordering::Relaxed);
}

/// Logs a failure that an operator has to act on.
pub(crate) fn error(what: Arguments<'_>) {
    print(LogLevel::Error, what);
}

/// Logs a loss or an irregularity.
pub(crate) fn warn(what: Arguments<'_>) {
    print(LogLevel::Warn, what);
}

/// Logs a regular, rare event.
pub(crate) fn info(what: Arguments<'_>) {
    print(LogLevel::Info, what);
}

/// One write for each line. Unlike `eprintln`, a closed standard error does not panic.
fn print(level: LogLevel, what: Arguments<'_>) {
    if rank(level) <= LEVEL.load(Ordering::Relaxed) {
        let line = format!("sentinel: {what}\n");
        let _nobody_listens = std::io::stderr().write_all(line.as_bytes());
    }
}

const fn rank(level: LogLevel) -> u8 {
    match level {
        LogLevel::Error => 0,
        LogLevel::Warn => 1,
        LogLevel::Info => 2,
        LogLevel::Debug => 3,
    }
}
