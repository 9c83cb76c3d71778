//! How many packets there were, and what became of them.

use std::fmt::{Result, Write};

/// What became of the packets that were not handled here.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    /// Packets that there were, if that is known.
    pub(crate) received: u64,
    /// Those that the filter refused, if they were counted.
    pub(crate) filtered: Option<u64>,
    /// Those for which the kernel had no room; `None` for files.
    pub(crate) dropped: Option<u64>,
    pub(crate) source: PacketSource,
}

/// Where packets come from.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum PacketSource {
    #[default]
    File,
    Live,
}

impl Totals {
    /// In tcpdump's words, and what it does not say; a line each. `captured` were handled.
    pub(crate) fn write(&self, captured: u64, text: &mut String) -> Result {
        let received = match self.source {
            PacketSource::Live => "received by filter",
            PacketSource::File => "read",
        };
        let counts = [
            (Some(captured), "captured"),
            (Some(self.received), received),
            (self.filtered, "filtered"),
            (self.dropped, "dropped by kernel"),
        ];
        for (count, what) in counts {
            match count {
                Some(1) => writeln!(text, "1 packet {what}")?,
                Some(count) => writeln!(text, "{count} packets {what}")?,
                None => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_those_of_tcpdump() {
        let live = Totals { received: 3, filtered: Some(7), dropped: Some(0), source: PacketSource::Live };
        let file = Totals { received: 2, filtered: Some(1), dropped: None, source: PacketSource::File };
        for (totals, captured, expected) in [
            (
                live,
                1,
                "1 packet captured\n3 packets received by filter\n7 packets filtered\n0 packets dropped by kernel\n",
            ),
            (file, 1, "1 packet captured\n2 packets read\n1 packet filtered\n"),
        ] {
            let mut text = String::new();
            totals.write(captured, &mut text).unwrap();
            assert_eq!(text, expected);
        }
    }
}
