//! Messages for whoever watches the program: lines on standard error, which procd and systemd keep.

use std::fmt::Arguments;
use std::io::Write;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::settings::LogLevel;

/// Least important level that is printed.
static LEVEL: AtomicU8 = AtomicU8::new(rank(LogLevel::Info));

/// Takes over the setting `log_level`.
pub(crate) fn set_level(level: LogLevel) {
    LEVEL.store(rank(level), Ordering::Relaxed);
}

/// Something failed and an operator has to act.
pub(crate) fn error(what: Arguments<'_>) {
    print(LogLevel::Error, what);
}

/// Something is lost or out of order.
pub(crate) fn warn(what: Arguments<'_>) {
    print(LogLevel::Warn, what);
}

/// Something that happens seldom and in order.
pub(crate) fn info(what: Arguments<'_>) {
    print(LogLevel::Info, what);
}

/// One write for each line; a closed standard error must not end the program, as `eprintln` would.
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
