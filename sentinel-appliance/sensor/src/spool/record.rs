//! Records of the log.

use sentinel_alert::{Alert, AlertId, wire};
use sentinel_units::Timestamp;
use sentinel_uplink::{Gap, RunEnd};
use serde::{Deserialize, Serialize};

/// One record of the log. Append only; the layout is in FORMAT.md ("Records").
#[derive(Debug, Deserialize, PartialEq, Serialize)]
pub(crate) enum Record<'a> {
    /// The sensor started.
    Start {
        /// Random number of this run.
        boot: u32,
        /// Time of day, microseconds since 1970.
        at_us: u64,
        /// Version of the sensor.
        version: &'a str,
    },
    /// An alert.
    Alert {
        /// Run and number within it.
        boot: u32,
        seq: u64,
        /// `sentinel_alert::wire` bytes with base zero.
        alert: &'a [u8],
    },
    /// Alerts lost before they were delivered.
    Gap(Gap),
    /// An alert relocated to the front of the ring, before rotation overwrote its first record.
    Relocated {
        /// Run and number of the alert, as in its first record.
        boot: u32,
        seq: u64,
        alert: &'a [u8],
    },
    /// Progress of delivery. The newest such record counts.
    Delivered {
        /// Number of the first record that the collector does not have: those below it are delivered. A number above that of
        /// this record is ignored: such records were not written yet.
        before: u64,
    },
    /// End of a run, written when it is stopped or by the run after it. Delivered like a gap.
    End(RunEnd),
    /// Numbers of a run that no other record may show: written when rotation overwrites a segment, when delivered records
    /// were dropped, and around alerts whose gap the log did not take. The newest of a run counts.
    Numbered {
        /// Run.
        boot: u32,
        /// Numbers below this one are used.
        next_seq: u64,
        /// Numbers from `next_seq` on may be used and in no record.
        is_open: bool,
    },
    /// Account of writes to flash, written with each of them. The newest counts.
    Written {
        /// Hours since 1970, by the clock of the device.
        hour: u32,
        /// End of main before this write, in bytes since epoch 0.
        end: u64,
        /// Pages written in that hour and in each of those before it, 16 bits each, little-endian.
        pages: &'a [u8],
    },
    /// An alert beyond the daily budget of messages of its kind. It has no number, and the collector does not get it.
    LogOnly {
        /// Run.
        boot: u32,
        alert: &'a [u8],
    },
}

impl Record<'_> {
    /// Run that the record names.
    pub(super) fn boot(&self) -> Option<u32> {
        match self {
            Self::Start { boot, .. }
            | Self::Alert { boot, .. }
            | Self::Relocated { boot, .. }
            | Self::End(RunEnd { boot, .. })
            | Self::Numbered { boot, .. }
            | Self::LogOnly { boot, .. }
            | Self::Gap(Gap { boot, .. }) => Some(*boot),
            Self::Delivered { .. } | Self::Written { .. } => None,
        }
    }
}

/// Item that is read back for the collector.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "lives on the stack of one call, and nearly all are alerts")]
pub(crate) enum Item {
    /// An alert to be sent.
    Alert(AlertId, Alert),
    /// A gap to be sent.
    Gap(Gap),
    /// The end of a run, to be sent.
    End(RunEnd),
}

/// Decodes an alert, a gap or the end of a run; `None` for records that the collector does not get, and for those of a later version.
pub(super) fn decode(bytes: &[u8]) -> Option<Item> {
    match read_record(bytes)? {
        Record::Alert { boot, seq, alert } | Record::Relocated { boot, seq, alert } => {
            let (alert, _) = wire::decode(alert, Timestamp::ZERO).ok()?;
            Some(Item::Alert(AlertId { boot, seq }, alert))
        }
        Record::Gap(gap) => Some(Item::Gap(gap)),
        Record::End(end) => Some(Item::End(end)),
        Record::Start { .. }
        | Record::Delivered { .. }
        | Record::Numbered { .. }
        | Record::Written { .. }
        | Record::LogOnly { .. } => None,
    }
}

/// Decodes a record; `None` for one of a later version.
pub(crate) fn read_record(bytes: &[u8]) -> Option<Record<'_>> {
    postcard::from_bytes(bytes).ok()
}
