//! Alerts: one type, its text forms and its bytes on the wire.
//!
//! In: the finding of a detector. Out: postcard bytes for the log and the uplink ([`wire`]), one JSON
//! object for scripts ([`json`]), one sentence for people ([`Alert::summary`]).
//! Memory: none beyond the alert itself. It never decides whether something is an attack.
//!
//! Everything here is append only: enum variants and wire tags keep their numbers for ever, because
//! logs and collectors of older versions must be able to read them.

#![no_std]
#![forbid(unsafe_code)]

pub mod json;
mod kind;
mod summary;
pub mod wire;

pub use kind::{Colour, Kind, ParseSeverityError, Phase, Severity, Test};
pub use summary::Summary;

use sentinel_units::{Address, ByteCount, Mac, Port, Timestamp};

/// A name taken from traffic (DNS name, host name), cut to what an alert has room for.
pub type ShortName = heapless::String<64>;

/// Identity of an alert, unique for one sensor for ever.
///
/// `boot` is drawn at random at each start, so that numbers given before a power cut and never
/// written down are not given to other alerts afterwards.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct AlertId {
    /// Random number of this run of the sensor; 0 when reading a file.
    pub boot: u32,
    /// Counts the alerts of this run from 1.
    pub seq: u64,
}

/// One message about one incident.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Alert {
    /// Packet time at which this message was decided.
    pub time: Timestamp,
    /// Packet time of the first evidence of the incident.
    pub first: Timestamp,
    /// Test that fired.
    pub test: Test,
    /// Severity, as configured for the kind.
    pub severity: Severity,
    /// Opening, update or closing of the incident.
    pub phase: Phase,
    /// Number of the incident within this run; the messages of one incident share it.
    pub incident: u32,
    /// Messages held back by rate limiting since the previous one of this incident.
    pub suppressed: u32,
    /// Hosts and ports involved.
    pub subject: Subject,
    /// Evidence with its threshold.
    pub evidence: Evidence,
}

/// Hosts and ports that an alert is about. Fields that are unknown or do not apply are `None`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Subject {
    /// The side that acted; `None` if there were so many that they share an incident.
    pub source: Option<Address>,
    /// The side acted upon; `None` if there were several.
    pub destination: Option<Address>,
    /// Port of the source, if it is part of the finding.
    pub source_port: Option<Port>,
    /// Port of the destination, if it is part of the finding.
    pub destination_port: Option<Port>,
    /// Hardware address of the source on the captured link.
    pub mac: Option<Mac>,
    /// Host name of the source, if the sensor learnt one.
    pub host: Option<ShortName>,
}

/// The numbers behind an alert, with units, and bounds where a table was full or approximate.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Evidence {
    /// Distinct destination ports.
    Ports {
        /// Ports certainly seen: the most within one window so far.
        at_least: u32,
        /// Ports that may have been seen: re-visits after an eviction count again.
        at_most: u32,
        /// The configured threshold, in ports.
        threshold: u32,
        /// The configured window, in seconds.
        window_s: u32,
    },
    /// Packets of one type.
    Packets {
        /// Packets: within one window when opening, later in the incident so far.
        count: u64,
        /// The configured threshold, in packets.
        threshold: u32,
        /// The configured window, in seconds.
        window_s: u32,
    },
    /// Connection attempts to a service that asks for a password.
    Attempts {
        /// Attempts: within one window when opening, later in the incident so far.
        count: u64,
        /// The configured threshold, in attempts.
        threshold: u32,
        /// The configured window, in seconds.
        window_s: u32,
    },
    /// Contact with a listed port.
    ListedPort {
        /// Contacts in the incident so far.
        count: u64,
        /// Label of the port in the list.
        label: ShortName,
    },
    /// An address moved from one hardware address to another.
    Binding {
        /// Hardware address that held it before.
        before: Mac,
        /// Hardware address that claims it now.
        after: Mac,
        /// Changes in the incident so far.
        changes: u32,
    },
    /// A DNS name that is too long.
    Name {
        /// Characters of the longest name, in text form without the final dot.
        length: u16,
        /// The configured threshold, in characters.
        threshold: u16,
        /// Such names in the incident so far.
        count: u64,
        /// The end of the name: where it is registered.
        suffix: ShortName,
    },
    /// Volume sent.
    Bytes {
        /// Bytes on the wire: within one window when opening, later in the incident so far.
        count: ByteCount,
        /// The configured threshold, in bytes.
        threshold: ByteCount,
        /// The configured window, in seconds.
        window_s: u32,
    },
}

impl Alert {
    /// One sentence for people, without address of the sensor and without time.
    #[must_use]
    pub const fn summary(&self) -> Summary<'_> {
        Summary(self)
    }
}
