//! What a record of the log says.

use sentinel_alert::{Alert, AlertId, wire};
use sentinel_units::Timestamp;
use sentinel_uplink::Gap;
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
    /// Alerts that went before they were delivered.
    Gap(Gap),
    /// An alert written again at the front of the ring, before rotation destroyed its first record.
    Relocated {
        /// As in [`Record::Alert`].
        boot: u32,
        seq: u64,
        alert: &'a [u8],
    },
    /// How far delivering has come. The newest such record counts.
    Delivered {
        /// Number of the first record that the collector has not: those below it are delivered. A number above
        /// that of this record itself would speak of records that are not written yet, and is not believed.
        before: u64,
    },
}

impl Record<'_> {
    /// The run that the record names.
    pub(super) fn boot(&self) -> Option<u32> {
        match self {
            Self::Start { boot, .. }
            | Self::Alert { boot, .. }
            | Self::Relocated { boot, .. }
            | Self::Gap(Gap { boot, .. }) => Some(*boot),
            Self::Delivered { .. } => None,
        }
    }
}

/// What is read back for the collector.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "lives on the stack of one call, and nearly all are alerts")]
pub(crate) enum Item {
    /// An alert to be sent.
    Alert(AlertId, Alert),
    /// A gap to be sent.
    Gap(Gap),
}

/// An alert or a gap; `None` for what the collector does not get and for what this version cannot read.
pub(super) fn decode(bytes: &[u8]) -> Option<Item> {
    match read_record(bytes)? {
        Record::Alert { boot, seq, alert } | Record::Relocated { boot, seq, alert } => {
            let (alert, _) = wire::decode(alert, Timestamp::ZERO).ok()?;
            Some(Item::Alert(AlertId { boot, seq }, alert))
        }
        Record::Gap(gap) => Some(Item::Gap(gap)),
        Record::Start { .. } | Record::Delivered { .. } => None,
    }
}

/// A record of the log; `None` for what this version cannot read.
pub(crate) fn read_record(bytes: &[u8]) -> Option<Record<'_>> {
    postcard::from_bytes(bytes).ok()
}
