//! Totals of a run: packets received, filtered, dropped.

use std::fmt::{Result, Write};

/// Counts of packets besides those that the pipeline processed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    /// Packets that passed the kernel filter, or that the file has.
    pub(crate) received: u64,
    /// Packets that the filter refused, if they are counted.
    pub(crate) filtered: Option<u64>,
    /// Packets that the kernel dropped because the ring was full; `None` for files.
    pub(crate) dropped: Option<u64>,
    pub(crate) source: PacketSource,
}

/// Origin of packets.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum PacketSource {
    #[default]
    File,
    Live,
}

impl Totals {
    /// Writes a line for each count, in tcpdump's words where it has them. `captured` packets were processed.
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
    fn the_terms_are_those_of_tcpdump() {
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
