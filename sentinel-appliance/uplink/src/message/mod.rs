//! What sensor and collector say to each other, as postcard.
//!
//! Append only: variants keep their numbers for ever, and fields are only ever added at the end. A reader
//! ignores bytes after the fields it knows. The bytes are in PROTOCOL.md ("Messages").

use core::fmt;

use sentinel_alert::AlertId;
use sentinel_units::Timestamp;
use serde::{Deserialize, Serialize};

use crate::batch::{Batch, Origin};
use crate::error::SessionError;
use crate::telemetry::Telemetry;

/// Version of the messages that this crate speaks. Both sides use the lower of the two that they announce.
pub const PROTOCOL_VERSION: u16 = 1;

/// Sequence numbers of alerts are below this one; it is set in the id that acknowledges a gap.
pub(crate) const GAP_BIT: u64 = 1 << 62;

/// Longest name of a sensor, host or software version in a message, in bytes.
const MAX_NAME_LEN: usize = 64;
/// Longest summary of interfaces, in bytes.
const MAX_INTERFACES_LEN: usize = 128;

/// From a sensor to its collector.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub enum ToCollector<'a> {
    /// First message of every session but those that enroll.
    #[serde(borrow)]
    Hello(Hello<'a>),
    /// First and only message of a session that enrolls.
    #[serde(borrow)]
    Enroll(Enroll<'a>),
    /// Alerts, in the order in which they are to be acknowledged.
    #[serde(borrow)]
    Alerts(Batch<'a>),
    /// Alerts that will never come.
    Gap(Gap),
    /// A reading of the counters.
    Telemetry(Telemetry),
    /// Answer to [`ToSensor::Ping`]. Sessions send it by themselves.
    Pong,
}

/// From a collector to a sensor.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub enum ToSensor<'a> {
    /// Answer to [`ToCollector::Hello`] and to [`ToCollector::Enroll`]: the sensor is known.
    #[serde(borrow)]
    Welcome(Welcome<'a>),
    /// Everything that the sensor sent up to and including this alert, or the gap with this [`Gap::last`],
    /// is durable.
    Ack(#[serde(with = "wire_alert_id")] AlertId),
    /// The collector will not serve this sensor; it closes the connection after this.
    Rejected(RejectReason),
    /// Are you there? Sessions send and answer it by themselves.
    Ping,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Hello<'a> {
    /// [`PROTOCOL_VERSION`] of the sensor.
    pub protocol: u16,
    /// Version of the sensor, at most 64 bytes.
    pub software: &'a str,
    /// Host name of the device, at most 64 bytes.
    pub host: &'a str,
    /// Random number of this run: [`AlertId::boot`] of the alerts it raises.
    pub boot: u32,
    /// Wall-clock time at the start of the sensor, microseconds since 1970; 0 if the clock was not set.
    /// The times of all batches of the session are relative to it.
    pub started_us: u64,
    /// The captured interfaces, for people, at most 128 bytes: `br-lan, eth1`.
    pub interfaces: &'a str,
}

impl Hello<'_> {
    /// What the batches of the session refer to.
    #[must_use]
    pub const fn origin(&self) -> Origin {
        Origin { boot: self.boot, base: Timestamp::from_micros(self.started_us) }
    }
}

/// A sensor that wants to be known.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Enroll<'a> {
    /// [`PROTOCOL_VERSION`] of the sensor.
    pub protocol: u16,
    /// The name it asks for, at most 64 bytes; empty lets the collector choose.
    pub name: &'a str,
    /// Version of the sensor, at most 64 bytes.
    pub software: &'a str,
}

/// Alerts that were given up before the collector had them.
///
/// `first_seq` and `last_seq` are themselves lost; between them are lost ones and others. Once sent, a gap
/// never changes: later losses make another one. It is acknowledged by [`Gap::last`]. The counts are exact,
/// unless the sensor was restarted in between: then some of the alerts may have arrived before.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Gap {
    /// The run that raised them.
    pub boot: u32,
    /// The first one lost.
    pub first_seq: u64,
    /// The last one lost.
    pub last_seq: u64,
    /// How many of each severity, least first.
    pub lost_by_severity: [u32; 5],
    /// Why.
    pub reason: GapReason,
}

impl Gap {
    /// The id by which this gap is acknowledged: the last alert lost, with bit 62 of its number set.
    ///
    /// Never the id of an alert. It must not be: after a power cut a sensor can give up an alert that had
    /// arrived, and then "everything up to this alert" and "everything up to the gap that names it" differ.
    #[must_use]
    pub const fn last(&self) -> AlertId {
        AlertId { boot: self.boot, seq: self.last_seq | GAP_BIT }
    }

    /// Alerts lost, of all severities.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost_by_severity.iter().map(|count| u64::from(*count)).sum()
    }
}

/// Declares an enum that travels as a number, keeps numbers it does not know, and is named in output.
macro_rules! numbered {
    ($(#[doc = $doc:literal])+ $enum:ident: $($(#[doc = $variant_doc:literal])+ $variant:ident = $number:literal $text:literal,)+) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
        #[serde(from = "u32", into = "u32")]
        #[non_exhaustive]
        pub enum $enum {
            $($(#[doc = $variant_doc])+ $variant,)+
            /// A number that a later version gave a meaning.
            Other(u32),
        }

        impl From<u32> for $enum {
            fn from(number: u32) -> Self {
                match number {
                    $($number => Self::$variant,)+
                    other => Self::Other(other),
                }
            }
        }

        impl From<$enum> for u32 {
            fn from(value: $enum) -> Self {
                match value {
                    $($enum::$variant => $number,)+
                    $enum::Other(number) => number,
                }
            }
        }

        impl fmt::Display for $enum {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$variant => out.write_str($text),)+
                    Self::Other(number) => write!(out, "reason {number}, unknown to this version"),
                }
            }
        }
    };
}

numbered! {
    /// Why alerts were lost.
    GapReason:
    /// The spool was full; the least severe went first.
    SpoolFull = 0 "the spool was full",
    /// The queue between detection and log was full.
    QueueFull = 1 "alerts came faster than they could be stored",
    /// The storage of the device failed or was cut off.
    StorageLost = 2 "the storage of the sensor failed",
}

numbered! {
    /// Why a collector turns a sensor away.
    RejectReason:
    /// No sensor with this key is enrolled.
    UnknownSensor = 0 "the collector does not know this sensor; enroll it",
    /// The sensor was enrolled once, and its key was revoked.
    Revoked = 1 "this sensor was revoked",
    /// The token is known but too old.
    TokenExpired = 2 "the enrollment token has expired; make a new one",
    /// The token has enrolled a sensor before.
    TokenUsed = 3 "the enrollment token was used before; make a new one",
    /// Another sensor has the name asked for.
    NameTaken = 4 "another sensor has this name",
    /// The collector no longer speaks the protocol version of the sensor.
    TooOld = 5 "the collector needs a newer sensor",
    /// The collector is at one of its limits; try again later.
    Busy = 6 "the collector is busy",
    /// The collector shuts down; try again later.
    ShuttingDown = 7 "the collector shuts down",
    /// The collector failed to store what the sensor sent; try again later.
    StorageFailed = 8 "the collector cannot store alerts",
}

impl RejectReason {
    /// Whether trying again later, unchanged, can succeed.
    #[must_use]
    pub const fn is_temporary(self) -> bool {
        matches!(self, Self::Busy | Self::ShuttingDown | Self::StorageFailed)
    }
}

/// The sensor is known.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Welcome<'a> {
    /// [`PROTOCOL_VERSION`] of the collector.
    pub protocol: u16,
    /// Number of the sensor at this collector.
    pub sensor_id: u32,
    /// Name of the sensor at this collector, at most 64 bytes.
    pub name: &'a str,
    /// The last alert or gap, in the sending order of the sensor, that is durable at the collector.
    #[serde(with = "wire_optional_alert_id")]
    pub acked: Option<AlertId>,
}

impl ToCollector<'_> {
    /// Finds strings longer than the protocol allows.
    pub(crate) fn check(&self) -> Result<(), SessionError> {
        let fits = match self {
            Self::Hello(hello) => {
                hello.software.len() <= MAX_NAME_LEN
                    && hello.host.len() <= MAX_NAME_LEN
                    && hello.interfaces.len() <= MAX_INTERFACES_LEN
            }
            Self::Enroll(enroll) => {
                enroll.name.len() <= MAX_NAME_LEN && enroll.software.len() <= MAX_NAME_LEN
            }
            Self::Gap(gap) => gap.first_seq <= gap.last_seq && gap.last_seq < GAP_BIT,
            Self::Alerts(_) | Self::Telemetry(_) | Self::Pong => true,
        };
        if fits { Ok(()) } else { Err(SessionError::Malformed) }
    }
}

impl ToSensor<'_> {
    /// Finds strings longer than the protocol allows.
    pub(crate) fn check(&self) -> Result<(), SessionError> {
        match self {
            Self::Welcome(welcome) if welcome.name.len() > MAX_NAME_LEN => Err(SessionError::Malformed),
            _ => Ok(()),
        }
    }
}

/// [`AlertId`] as `boot`, `seq`.
#[derive(Deserialize, Serialize)]
struct WireAlertId {
    boot: u32,
    seq: u64,
}

impl From<AlertId> for WireAlertId {
    fn from(AlertId { boot, seq }: AlertId) -> Self {
        Self { boot, seq }
    }
}

impl From<WireAlertId> for AlertId {
    fn from(WireAlertId { boot, seq }: WireAlertId) -> Self {
        Self { boot, seq }
    }
}

mod wire_alert_id {
    use super::{AlertId, WireAlertId};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(id: &AlertId, serializer: S) -> Result<S::Ok, S::Error> {
        WireAlertId::from(*id).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<AlertId, D::Error> {
        WireAlertId::deserialize(deserializer).map(AlertId::from)
    }
}

mod wire_optional_alert_id {
    use super::{AlertId, WireAlertId};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(id: &Option<AlertId>, serializer: S) -> Result<S::Ok, S::Error> {
        id.map(WireAlertId::from).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<AlertId>, D::Error> {
        Ok(Option::<WireAlertId>::deserialize(deserializer)?.map(AlertId::from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BatchBuilder;

    /// The bytes of one message, as section 4 of PROTOCOL.md has them.
    fn check(message: &impl Serialize, expected: &[u8]) {
        assert_eq!(postcard::to_slice(message, &mut [0; 128]).unwrap(), expected);
    }

    const HELLO: Hello<'static> =
        Hello { protocol: 1, software: "0.1", host: "r", boot: 300, started_us: 128, interfaces: "e" };
    const ID: AlertId = AlertId { boot: 300, seq: 5 };

    #[test]
    fn messages_of_the_sensor_keep_their_bytes() {
        check(&ToCollector::Hello(HELLO), b"\x00\x01\x030.1\x01r\xac\x02\x80\x01\x01e");
        let enroll = Enroll { protocol: 1, name: "attic", software: "0.1" };
        check(&ToCollector::Enroll(enroll), b"\x01\x01\x05attic\x030.1");
        let gap = Gap {
            boot: 300,
            first_seq: 1,
            last_seq: 9,
            lost_by_severity: [4, 3, 2, 1, 0],
            reason: GapReason::StorageLost,
        };
        check(&ToCollector::Gap(gap), &[3, 0xac, 2, 1, 9, 4, 3, 2, 1, 0, 2]);
        let counters = [4, 17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        check(&ToCollector::Telemetry(Telemetry::new()), &counters);
        check(&ToCollector::Pong, &[5]);
    }

    #[test]
    fn a_batch_keeps_its_bytes() {
        let alert = sentinel_alert::Alert {
            time: Timestamp::from_micros(128 + 64),
            first: Timestamp::from_micros(128 + 64),
            test: sentinel_alert::Test::IcmpFloodPerSource,
            severity: sentinel_alert::Severity::High,
            phase: sentinel_alert::Phase::Open,
            incident: 1,
            suppressed: 0,
            subject: sentinel_alert::Subject::default(),
            evidence: sentinel_alert::Evidence::Packets { count: 100, threshold: 100, window_s: 5 },
        };
        for (boot, head) in [(300, &[2, 0, 5, 0x80, 1][..]), (301, &[2, 1, 0xad, 2, 5, 0x80, 1])] {
            let mut buffer = [0; 64];
            let mut builder = BatchBuilder::new(HELLO.origin(), &mut buffer);
            builder.push(AlertId { boot, seq: 5 }, &alert).unwrap();
            builder.push(AlertId { boot, seq: 7 }, &alert).unwrap();
            let mut bytes = [0; 64];
            let bytes =
                postcard::to_slice(&ToCollector::Alerts(builder.batch().unwrap()), &mut bytes).unwrap();
            assert_eq!(&bytes[..head.len()], head);
            #[rustfmt::skip]
            let entries = [
                16,         // bytes of both entries
                1, 10,      // number 5, ten bytes of tokens
                2, 2, 3, 0, // literals: ICMP flood, high, open
                0x80, 6,    // 3 bytes from 7 back, in the seed: incident 1, none suppressed, at the base
                0x88, 0,    // 7 bytes from 1 back: lasted 0, no subject
                0x82, 0x23, // 4 bytes from 36 back, in the seed: 100 packets, threshold 100, 5 s
                2, 2,       // number 7, two bytes of tokens
                0x9c, 0x10, // 17 bytes from 17 back: the alert before
            ];
            assert_eq!(&bytes[head.len()..], entries);
        }
    }

    #[test]
    fn messages_of_the_collector_keep_their_bytes() {
        let welcome = Welcome { protocol: 1, sensor_id: 300, name: "attic", acked: None };
        check(&ToSensor::Welcome(welcome), b"\x00\x01\xac\x02\x05attic\x00");
        let welcome = Welcome { acked: Some(ID), ..welcome };
        check(&ToSensor::Welcome(welcome), b"\x00\x01\xac\x02\x05attic\x01\xac\x02\x05");
        check(&ToSensor::Ack(ID), &[1, 0xac, 2, 5]);
        let gap = AlertId { boot: 0, seq: 9 | 1 << 62 };
        check(&ToSensor::Ack(gap), &[1, 0, 0x89, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40]);
        for (number, reason) in (0..).zip([
            RejectReason::UnknownSensor,
            RejectReason::Revoked,
            RejectReason::TokenExpired,
            RejectReason::TokenUsed,
            RejectReason::NameTaken,
            RejectReason::TooOld,
            RejectReason::Busy,
            RejectReason::ShuttingDown,
            RejectReason::StorageFailed,
            RejectReason::Other(9),
        ]) {
            check(&ToSensor::Rejected(reason), &[2, number]);
            assert_eq!(postcard::from_bytes(&[2, number]), Ok(ToSensor::Rejected(reason)));
        }
        check(&ToSensor::Ping, &[3]);
    }

    #[test]
    fn bytes_of_a_later_version_are_ignored() {
        let bytes = b"\x00\x01\xac\x02\x05attic\x00later";
        let (message, rest): (ToSensor<'_>, _) = postcard::take_from_bytes(bytes).unwrap();
        assert_eq!(rest, b"later");
        assert!(matches!(message, ToSensor::Welcome(Welcome { sensor_id: 300, .. })));
    }
}
