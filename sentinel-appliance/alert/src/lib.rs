//! Alert: its fields, its text forms and its encoding.
//!
//! In: the finding of a detector. Out: postcard bytes for the log and the uplink ([`wire`]), one JSON object for scripts
//! ([`json`]), one sentence for people ([`Alert::summary`]).
//! Memory: none beyond the alert itself. It never decides whether something is an attack.
//!
//! Everything here is append only: enum variants and wire tags keep their numbers, because logs and collectors of older versions
//! must stay readable.

#![no_std]
#![forbid(unsafe_code)]

#[doc(hidden)]
pub mod fuzzing;
pub mod json;
mod kind;
mod summary;
#[doc(hidden)]
pub mod testing;
mod vendor;
pub mod wire;

pub use kind::{Colour, Kind, ParseSeverityError, Phase, Severity, Test};
pub use summary::Summary;
pub use vendor::vendor;

use sentinel_units::{Address, ByteCount, Mac, Port, Timestamp};

/// Name taken from traffic (DNS name, host name), cut to 64 bytes.
pub type ShortName = heapless::String<64>;

/// Identifier of an alert, unique among all alerts of one sensor.
///
/// `boot` is drawn at random at each start, so that a sequence number that was assigned before a power cut and never stored is
/// not assigned again with the same `boot`.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct AlertId {
    /// Random number of this run of the sensor; 0 when reading a file.
    pub boot: u32,
    /// Sequence number of the alert in this run, from 1.
    pub seq: u64,
}

/// Message about one incident.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Alert {
    /// Packet time at which the message was raised.
    pub time: Timestamp,
    /// Packet time of the first evidence of the incident.
    pub first: Timestamp,
    /// Test that fired; it names the detector.
    pub test: Test,
    /// Severity, as configured for the kind.
    pub severity: Severity,
    /// Phase of the incident: open, update or close.
    pub phase: Phase,
    /// Number of the incident in this run; all messages of an incident share it.
    pub incident: u32,
    /// Messages of this incident suppressed by rate limiting since the previous one.
    pub suppressed: u32,
    /// Source and destination.
    pub subject: Subject,
    /// Measurement and threshold.
    pub evidence: Evidence,
}

/// Source and destination of an alert. Fields that are unknown or do not apply are `None`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Subject {
    /// Address that acted; `None` if there were many, as in a flood with forged sources.
    pub source: Option<Address>,
    /// Address acted upon; `None` if there were several.
    pub destination: Option<Address>,
    /// Port of the source, if it is part of the finding.
    pub source_port: Option<Port>,
    /// Port of the destination, if it is part of the finding.
    pub destination_port: Option<Port>,
    /// MAC address of the source on the captured link.
    pub mac: Option<Mac>,
    /// Host name of the source, if the sensor knows it.
    pub host: Option<ShortName>,
}

/// Measurement that exceeded a threshold, with bounds where a table was full.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Evidence {
    /// Distinct destination ports.
    Ports {
        /// Lower bound of the distinct ports within one window: the maximum so far.
        at_least: u32,
        /// Upper bound of the distinct ports: ports contacted again after an eviction count twice.
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
    /// Contact that a list names.
    Listed {
        /// Contacts in the incident so far.
        count: u64,
        /// Label of a port or service in the list, the list of an address, or the name or user agent seen first.
        label: ShortName,
    },
    /// Change of the MAC address of an IPv4 address.
    Binding {
        /// MAC address of the binding before.
        before: Mac,
        /// MAC address that claims the address now.
        after: Mac,
        /// Changes in the incident so far.
        changes: u32,
    },
    /// DNS name over the length threshold.
    Name {
        /// Characters of the longest name, in text form without the final dot.
        length: u16,
        /// The configured threshold, in characters.
        threshold: u16,
        /// Such names in the incident so far.
        count: u64,
        /// Last two labels of the name; empty if several names differ in them.
        suffix: ShortName,
    },
    /// Bytes sent.
    Bytes {
        /// Bytes on the wire: within one window when opening, later in the incident so far.
        count: ByteCount,
        /// The configured threshold, in bytes.
        threshold: ByteCount,
        /// The configured window, in seconds.
        window_s: u32,
    },
    /// First contacts that failed.
    Contacts {
        /// Failed contacts in the incident so far.
        failed: u32,
        /// Lower bound of the distinct hosts of them.
        hosts: u32,
        /// Lower bound of their distinct ports; one if they have none.
        ports: u32,
    },
    /// Server or router that should not be there, or names what it should not.
    Server {
        /// MAC address of the one that is trusted.
        known: Mac,
        /// MAC address of the other one; the same if it is the trusted one that names something else than before.
        other: Mac,
        /// Router, resolver or prefix that it names.
        named: Address,
        /// Such messages in the incident so far.
        messages: u32,
    },
    /// Damaged file of the sensor.
    Damage {
        /// Name of the file and what is wrong with it, cut to the length of a name.
        what: ShortName,
    },
    /// Packets of many sources to one destination, above the rate at which packets of their type usually stay unanswered.
    ManySources {
        /// Packets, estimated: since the rate was exceeded when opening, later in the incident so far.
        packets: u64,
        /// Distinct source addresses, estimated within 30 % up to 100 and 13 % (standard deviation) above.
        sources: u32,
        /// The configured threshold, in packets a second.
        threshold_per_s: u32,
        /// Leading bits of the destination that are part of the finding: 32 or 128 for one host; fewer if the packets went to
        /// many hosts of one network, whose first address the destination then is.
        prefix_bits: u8,
    },
    /// Domains that look made by an algorithm.
    Domains {
        /// Domains that count, in the incident so far.
        names: u64,
        /// Those of them that do not exist.
        nonexistent: u64,
        /// Evidence or score, in sixteenths of a nat: the maximum so far.
        score: i32,
        /// The configured threshold, in the unit of the score.
        threshold: u32,
        /// One of the domains: the one of the maximum.
        name: ShortName,
    },
    /// Information in DNS names and answers.
    Leak {
        /// Estimated bytes of information in the incident so far, above the allowance.
        bytes: u64,
        /// The configured threshold, in bytes.
        threshold: u32,
        /// Messages with information that no earlier one had, so far.
        messages: u64,
        /// Registered domain of the names; empty if they are spread over several.
        suffix: ShortName,
    },
    /// Answers to questions for names.
    Answers {
        /// Lower bound of what the test counts, distinct domains or addresses: the maximum so far.
        count: u32,
        /// Lower bound of the distinct networks of the addresses: the maximum so far; zero if the test does not count them.
        networks: u32,
        /// The configured threshold, in what the test compares with it; zero without one.
        threshold: u32,
        /// The configured window, in seconds; zero without one.
        window_s: u32,
        /// Address that the test is about; `::` without one.
        named: Address,
        /// A name, the first one of the incident.
        name: ShortName,
    },
    /// Contacts at regular times.
    Rhythm {
        /// Contacts since the pair was first watched, in the incident so far.
        contacts: u64,
        /// Median of the gaps between them, in seconds.
        period_s: u32,
        /// Median absolute deviation of the gaps from it, in percent of it.
        deviation_percent: u8,
        /// Inside hosts that were seen to contact the destination again and again, this one included.
        hosts: u16,
        /// False if no DNS answer that was seen names the destination.
        is_named: bool,
        /// Leading bits of the destination that are part of the finding: fewer than those of its family if the contacts went to several
        /// addresses of one network, whose first address the destination then is.
        prefix_bits: u8,
    },
    /// Device of the inside network; its hardware address and name are in the subject.
    Device {
        /// The hardware address is a locally administered one: made up by the device, which may change it.
        is_random: bool,
    },
    /// Property of connections or messages.
    Observed {
        /// Connections, or messages, in the incident so far that were looked at and had it.
        count: u64,
        /// Its name; empty if they differ in it. Never taken from traffic.
        what: ShortName,
    },
    /// Stations of the inside network: those that went silent, or new ones that are not told one by one.
    Stations {
        /// Stations at least.
        count: u32,
        /// Days without a break for which each of them was seen before; zero for new ones.
        days: u32,
        /// Time since each of them was seen last, in seconds, at least; zero for new ones.
        silent_s: u32,
    },
}

impl Evidence {
    /// Domain that the evidence is about, in lower case, or label of a list; `None` for all other evidence and for several domains.
    #[must_use]
    pub fn domain(&self) -> Option<&str> {
        match self {
            Self::Name { suffix: domain, .. }
            | Self::Leak { suffix: domain, .. }
            | Self::Domains { name: domain, .. } => Some(domain.as_str()).filter(|domain| !domain.is_empty()),
            // Of a URL its host.
            Self::Listed { label, .. } => label.split(['/', ':']).next().filter(|host| !host.is_empty()),
            // Without a window it is about this one name, which what it reads like may follow.
            Self::Answers { window_s: 0, name, .. } => name.split(' ').next(),
            _ => None,
        }
    }
}

impl Alert {
    /// Returns one sentence for people, without time and name of the sensor.
    #[must_use]
    pub const fn summary(&self) -> Summary<'_> {
        Summary(self)
    }
}
