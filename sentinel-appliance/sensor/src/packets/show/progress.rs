//! Progress bar on the terminal while a large file is read.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use sentinel_units::{ByteCount, Uptime};

use crate::system::clock::Clock;

/// Least file size for a bar: smaller files are read before it could be seen.
const MIN_BYTES: u64 = 8 << 20;
/// Time between two updates of the bar.
const INTERVAL: Duration = Duration::from_millis(100);
/// Packets between two readings of the clock.
const PACKETS: u32 = 4096;

/// The bar, on standard error.
#[derive(Debug)]
pub(crate) struct Progress {
    clock: Clock,
    total: u64,
    due: Uptime,
    packets: u32,
    is_shown: bool,
}

impl Progress {
    /// A bar for a file of this size, if the file is large and standard error is a terminal.
    pub(crate) fn new(total: u64) -> Option<Self> {
        (total >= MIN_BYTES && std::io::stderr().is_terminal()).then(|| Self {
            clock: Clock::start(),
            total,
            due: Uptime::ZERO.after(INTERVAL),
            packets: 0,
            is_shown: false,
        })
    }

    /// Another packet was read, which begins at `offset`.
    pub(crate) fn packet(&mut self, offset: u64) {
        self.packets += 1;
        if self.packets < PACKETS {
            return;
        }
        self.packets = 0;
        let now = self.clock.uptime();
        if now >= self.due {
            self.due = now.after(INTERVAL);
            self.is_shown = true;
            print(&bar(offset, self.total));
        }
    }

    /// Erases the bar.
    pub(crate) fn finish(&mut self) {
        if std::mem::take(&mut self.is_shown) {
            print("\r\x1b[K");
        }
    }
}

fn print(text: &str) {
    let _nobody_looks = std::io::stderr().write_all(text.as_bytes());
}

/// `[#####               ]  25 %  2.0 MiB of 8.0 MiB`, over the line as it is.
fn bar(done: u64, total: u64) -> String {
    const WIDTH: usize = 20;
    let done = done.min(total);
    let percent = usize::try_from(done.saturating_mul(100) / total.max(1)).unwrap_or(100);
    let full = "#".repeat(percent * WIDTH / 100);
    format!("\r[{full:WIDTH$}] {percent:3} %  {} of {}\x1b[K", ByteCount(done), ByteCount(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_grows_from_empty_to_full() {
        let total = 8 << 20;
        for (done, expected) in [
            (0, "\r[                    ]   0 %  0 B of 8.0 MiB\x1b[K"),
            (2 << 20, "\r[#####               ]  25 %  2.0 MiB of 8.0 MiB\x1b[K"),
            (total, "\r[####################] 100 %  8.0 MiB of 8.0 MiB\x1b[K"),
        ] {
            assert_eq!(bar(done, total), expected);
        }
    }
}
