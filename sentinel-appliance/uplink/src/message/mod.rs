//! Messages between sensor and collector, encoded as postcard. The bytes are in PROTOCOL.md ("Messages").
//!
//! Append only: a variant keeps its number, and fields are added at the end only. A reader ignores bytes
//! after the fields it knows.

mod alert_id;
mod reason;

use sentinel_alert::AlertId;
use sentinel_units::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};

use crate::batch::{Batch, GAP_BIT, Origin, RUN_END_BIT};
use crate::error::SessionError;
use crate::key::PublicKey;
use crate::telemetry::Telemetry;

pub use reason::{EndCause, GapReason, RejectReason};

/// Version of the messages in this crate. Both sides use the lower of the two versions that they announce.
pub const PROTOCOL_VERSION: u16 = 3;
/// First version that has [`ToCollector::RunEnd`]. A peer of an earlier one would end the session at its tag.
pub const RUN_END_VERSION: u16 = 2;
/// First version that has [`ToCollector::LogHead`].
pub const LOG_HEAD_VERSION: u16 = 2;
/// First version that has [`Hello::run`], and replaces keys: [`ToCollector::NextKey`], [`ToCollector::KeyPinned`],
/// [`ToSensor::KeyAnswer`], [`ToSensor::CollectorKey`], [`ToSensor::ReplaceKey`].
pub const KEY_VERSION: u16 = 3;
/// First version whose sensors send heartbeats; see [`crate::Limits::heartbeat`].
pub const HEARTBEAT_VERSION: u16 = 2;

/// Longest name of a sensor or host, and longest software version, in bytes.
const MAX_NAME_LEN: usize = 64;
/// Longest summary of interfaces, in bytes.
const MAX_INTERFACES_LEN: usize = 128;

/// Message from a sensor to its collector.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub enum ToCollector<'a> {
    /// First message of every session that does not enroll.
    #[serde(borrow)]
    Hello(Hello<'a>),
    /// Only message of a session that enrolls.
    #[serde(borrow)]
    Enroll(Enroll<'a>),
    /// Alerts, in the order in which they are to be acknowledged.
    #[serde(borrow)]
    Alerts(Batch<'a>),
    /// Alerts that were lost before the collector had them.
    Gap(Gap),
    /// Values of the counters.
    Telemetry(Telemetry),
    /// Answer to [`ToSensor::Ping`], or a heartbeat; sent by the session itself.
    Pong,
    /// End of a run. Only to a collector of [`RUN_END_VERSION`] or later.
    RunEnd(RunEnd),
    /// Head of the sealed log. Only to a collector of [`LOG_HEAD_VERSION`] or later.
    LogHead(LogHead),
    /// Key that is to replace the key of this sensor. Only to a collector of [`KEY_VERSION`] or later.
    NextKey(PublicKey),
    /// The sensor has stored this key of the collector, see [`ToSensor::CollectorKey`].
    KeyPinned(PublicKey),
}

/// Message from a collector to a sensor.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub enum ToSensor<'a> {
    /// Answer to [`ToCollector::Hello`] and to [`ToCollector::Enroll`]: the sensor is known.
    #[serde(borrow)]
    Welcome(Welcome<'a>),
    /// Cumulative acknowledgement: everything that the sensor sent on this connection up to and including
    /// this alert, or the gap with this [`Gap::last`], is durable.
    Ack(#[serde(with = "alert_id")] AlertId),
    /// The collector does not serve this sensor and closes the connection after this message.
    Rejected(RejectReason),
    /// Keep-alive; sent and answered by the sessions themselves.
    Ping,
    /// Answer to [`ToCollector::NextKey`]. Only to a sensor of [`KEY_VERSION`] or later, as those that follow.
    KeyAnswer(KeyAnswer),
    /// Key of the collector besides the one of this session.
    CollectorKey(CollectorKey),
    /// The operator wants the sensor to replace its key.
    ReplaceKey,
}

/// Introduction of a sensor: versions, host and the origin of its batches.
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
    /// Captured interfaces, for display, at most 128 bytes: `br-lan, eth1`.
    pub interfaces: &'a str,
    /// Identity of this run; zeros, which are not sent, before [`KEY_VERSION`].
    #[serde(deserialize_with = "or_default", skip_serializing_if = "RunIdentity::is_none")]
    pub run: RunIdentity,
}

/// Identity of a run, which a copy of the files of the sensor does not have: it tells two devices with one key apart.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct RunIdentity {
    /// Run before this one, by the log of the sensor; 0 without one.
    pub previous: u32,
    /// Random number, drawn by each run and kept in memory only; 0 without one.
    pub witness: u64,
}

impl RunIdentity {
    fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// Reads the fields at the end of a message that an older peer does not send.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(fields: D) -> Result<T, D::Error> {
    Ok(T::deserialize(fields).unwrap_or_default())
}

/// Answer to the announcement of a key.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct KeyAnswer {
    /// The key announced.
    pub key: PublicKey,
    /// Sessions with the key are served from now on, and after the first one no others. False: the key belongs, or belonged, to a
    /// sensor.
    pub is_accepted: bool,
}

/// Announcement of a key of the collector.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct CollectorKey {
    /// The key.
    pub key: PublicKey,
    /// It is the key of the collector by now; that of this session is answered for some time.
    pub is_in_force: bool,
}

impl Hello<'_> {
    /// Run and base time that the batches of the session refer to.
    #[must_use]
    pub const fn origin(&self) -> Origin {
        Origin { boot: self.boot, base: Timestamp::from_micros(self.started_us) }
    }
}

/// Enrollment request of a sensor.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Enroll<'a> {
    /// [`PROTOCOL_VERSION`] of the sensor.
    pub protocol: u16,
    /// Requested name, at most 64 bytes; if it is empty the collector chooses one.
    pub name: &'a str,
    /// Version of the sensor, at most 64 bytes.
    pub software: &'a str,
}

/// Alerts that the sensor lost before the collector acknowledged them.
///
/// `first_seq` and `last_seq` are lost; between them are lost alerts and others. A gap never changes after it
/// was sent: later losses make another one. It is acknowledged by [`Gap::last`]. The counts are exact,
/// unless the sensor was restarted in between: then some of the alerts may have arrived before.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Gap {
    /// Run that raised them.
    pub boot: u32,
    /// First sequence number lost.
    pub first_seq: u64,
    /// Last sequence number lost.
    pub last_seq: u64,
    /// Number lost of each severity, info first.
    pub lost_by_severity: [u32; 5],
    /// Reason of the loss.
    pub reason: GapReason,
}

impl Gap {
    /// Id by which this gap is acknowledged: the last lost sequence number with bit 62 set.
    ///
    /// It must differ from the id of every alert. After a power cut a sensor can report as lost an alert that
    /// had arrived; "everything up to this alert" and "everything up to this gap" are then different positions.
    #[must_use]
    pub const fn last(&self) -> AlertId {
        AlertId { boot: self.boot, seq: self.last_seq | GAP_BIT }
    }

    /// Number of alerts lost, of all severities.
    #[must_use]
    pub fn lost(&self) -> u64 {
        // Five counts of 32 bits: the sum fits.
        self.lost_by_severity.iter().map(|count| u64::from(*count)).sum()
    }
}

/// End of one run of the sensor: the first number that the run may have used and the sensor does not know of.
///
/// Every number below `next_seq` was used: it arrives as an alert or in a gap, or it is missing. Whether there were numbers from
/// `next_seq` on depends on [`EndCause::is_complete`]. Incidents of the run that are open are over. Sent once all alerts and
/// gaps of the run that the sensor has were sent, except those that rotation moved behind it; acknowledged by
/// [`RunEnd::last`].
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct RunEnd {
    /// Run that ended.
    pub boot: u32,
    /// Number after the last one that the sensor knows to be used, 1 to 2^62.
    pub next_seq: u64,
    /// Way in which the run ended.
    pub cause: EndCause,
}

impl RunEnd {
    /// Id by which this message is acknowledged: `next_seq` with bit 63 set, which no alert and no gap has.
    #[must_use]
    pub const fn last(&self) -> AlertId {
        AlertId { boot: self.boot, seq: self.next_seq | RUN_END_BIT }
    }
}

/// Head of the sealed log of the sensor: what the collector remembers of it, so that a log that was cut off, rolled back, sealed
/// again or wiped is found. Not acknowledged; the latest counts.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct LogHead {
    /// Number after the last record that is on flash, at most 2^62. Never falls.
    pub next_id: u64,
    /// Number of the newest segment, at most 2^62. Never falls.
    pub epoch: u64,
    /// Hash chain over everything on flash. The same for the same `next_id`.
    pub chain: [u8; 32],
}

/// Answer to a hello or an enrollment request: the collector knows the sensor.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Welcome<'a> {
    /// [`PROTOCOL_VERSION`] of the collector.
    pub protocol: u16,
    /// Number of the sensor at this collector.
    pub sensor_id: u32,
    /// Name of the sensor at this collector, at most 64 bytes.
    pub name: &'a str,
    /// Last alert or gap, in the sending order of the sensor, that is durable at the collector.
    #[serde(with = "alert_id::optional")]
    pub acked: Option<AlertId>,
}

impl ToCollector<'_> {
    /// Checks the lengths of strings and the numbers of a gap.
    ///
    /// # Errors
    /// [`SessionError::Malformed`].
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
            // Bit 62 marks the id of a gap (`Gap::last`), so no sequence number may reach it.
            Self::Gap(gap) => gap.first_seq <= gap.last_seq && gap.last_seq < GAP_BIT,
            // The number after the last alert, so at most one above it.
            Self::RunEnd(end) => (1..=GAP_BIT).contains(&end.next_seq),
            // Numbers that no log reaches: one record each nanosecond takes 146 years.
            Self::LogHead(head) => head.next_id <= GAP_BIT && head.epoch <= GAP_BIT,
            // The entries of a batch are checked one by one when it is iterated over.
            Self::Alerts(_) | Self::Telemetry(_) | Self::Pong | Self::NextKey(_) | Self::KeyPinned(_) => true,
        };
        if fits { Ok(()) } else { Err(SessionError::Malformed) }
    }
}

impl ToSensor<'_> {
    /// Checks the lengths of strings.
    ///
    /// # Errors
    /// [`SessionError::Malformed`].
    pub(crate) fn check(&self) -> Result<(), SessionError> {
        match self {
            // Postcard bounds a string by its frame only.
            Self::Welcome(welcome) if welcome.name.len() > MAX_NAME_LEN => Err(SessionError::Malformed),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BatchBuilder;

    /// Asserts the bytes of one message, as in section 4 of PROTOCOL.md.
    fn check(message: &impl Serialize, expected: &[u8]) {
        assert_eq!(postcard::to_slice(message, &mut [0; 128]).unwrap(), expected);
    }

    const HELLO: Hello<'static> = Hello {
        protocol: 1,
        software: "0.1",
        host: "r",
        boot: 300,
        started_us: 128,
        interfaces: "e",
        run: RunIdentity { previous: 301, witness: 129 },
    };
    const ID: AlertId = AlertId { boot: 300, seq: 5 };

    #[test]
    fn sensor_messages_keep_their_bytes() {
        check(&ToCollector::Hello(HELLO), b"\x00\x01\x030.1\x01r\xac\x02\x80\x01\x01e\xad\x02\x81\x01");
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
        for (number, cause) in (0..).zip([
            EndCause::Stopped,
            EndCause::Killed,
            EndCause::PowerLost,
            EndCause::Fault,
            EndCause::Other(4),
        ]) {
            let end = RunEnd { boot: 300, next_seq: 10, cause };
            check(&ToCollector::RunEnd(end), &[6, 0xac, 2, 10, number]);
            assert_eq!(end.last(), AlertId { boot: 300, seq: (1 << 63) + 10 });
        }
    }

    #[test]
    fn a_hello_without_identity_of_its_run_is_read() {
        let mut buffer = [0; 64];
        let bytes = postcard::to_slice(&ToCollector::Hello(HELLO), &mut buffer).unwrap();
        let read = |bytes| match postcard::take_from_bytes::<ToCollector<'_>>(bytes) {
            Ok((ToCollector::Hello(hello), _)) => hello.run,
            other => panic!("{other:?}"),
        };
        assert_eq!(read(bytes), HELLO.run);
        // As versions 1 and 2 send it, and cut within the fields.
        for cut in bytes.len() - 4..bytes.len() {
            assert_eq!(read(&bytes[..cut]), RunIdentity::default());
        }
    }

    #[test]
    fn messages_about_keys_keep_their_bytes() {
        let key = PublicKey::from_bytes([0xa5; 32]);
        let with = |first: u8, last: Option<u8>| {
            let mut bytes = [0xa5; 34];
            bytes[0] = first;
            bytes[33] = last.unwrap_or_default();
            (bytes, 33 + usize::from(last.is_some()))
        };
        let (bytes, len) = with(8, None);
        check(&ToCollector::NextKey(key), &bytes[..len]);
        let (bytes, len) = with(9, None);
        check(&ToCollector::KeyPinned(key), &bytes[..len]);
        for flag in [false, true] {
            let (bytes, len) = with(4, Some(flag.into()));
            check(&ToSensor::KeyAnswer(KeyAnswer { key, is_accepted: flag }), &bytes[..len]);
            let (bytes, len) = with(5, Some(flag.into()));
            check(&ToSensor::CollectorKey(CollectorKey { key, is_in_force: flag }), &bytes[..len]);
        }
        check(&ToSensor::ReplaceKey, &[6]);
    }

    #[test]
    fn a_log_head_keeps_its_bytes_and_its_numbers_are_bounded() {
        let head = LogHead { next_id: 300, epoch: 5, chain: [0xa5; 32] };
        let mut expected = [0xa5; 36];
        expected[..4].copy_from_slice(&[7, 0xac, 2, 5]);
        check(&ToCollector::LogHead(head), &expected);
        let is_good =
            |next_id, epoch| ToCollector::LogHead(LogHead { next_id, epoch, ..head }).check().is_ok();
        assert!(is_good(0, 0) && is_good(1 << 62, 1 << 62));
        assert!(!is_good((1 << 62) + 1, 0) && !is_good(0, u64::MAX));
    }

    #[test]
    fn a_run_end_outside_the_numbers_of_alerts_is_malformed() {
        let is_good = |next_seq| {
            ToCollector::RunEnd(RunEnd { boot: 1, next_seq, cause: EndCause::Stopped }).check().is_ok()
        };
        assert!(is_good(1) && is_good(1 << 62));
        assert!(!is_good(0) && !is_good((1 << 62) + 1) && !is_good(1 << 63) && !is_good(u64::MAX));
    }

    #[test]
    fn a_batch_keeps_its_bytes() {
        let alert = sentinel_alert::Alert {
            time: Timestamp::from_micros(128 + 64),
            first: Timestamp::from_micros(128 + 64),
            test: sentinel_alert::Test::IcmpFloodPerSource,
            severity: sentinel_alert::Severity::High,
            subject: sentinel_alert::Subject::default(),
            evidence: sentinel_alert::Evidence::Packets { count: 100, threshold: 100, window_s: 5 },
            ..sentinel_alert::testing::sample()
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
                1, 10,      // number 5, ten compressed bytes
                2, 2, 3, 0, // literals: ICMP flood, high, open
                0x80, 6,    // 3 bytes from 7 back, in the seed: incident 1, none suppressed, at the base
                0x88, 0,    // 7 bytes from 1 back: lasted 0, no subject
                0x82, 0x23, // 4 bytes from 36 back, in the seed: 100 packets, threshold 100, 5 s
                2, 2,       // number 7, two compressed bytes
                0x9c, 0x10, // 17 bytes from 17 back: the alert before
            ];
            assert_eq!(&bytes[head.len()..], entries);
        }
    }

    #[test]
    fn collector_messages_keep_their_bytes() {
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
            RejectReason::OverQuota,
            RejectReason::KeyReplaced,
            RejectReason::CollectorKeyReplaced,
            RejectReason::NameNotAllowed,
            RejectReason::Other(13),
        ]) {
            check(&ToSensor::Rejected(reason), &[2, number]);
            assert_eq!(postcard::from_bytes(&[2, number]), Ok(ToSensor::Rejected(reason)));
        }
        check(&ToSensor::Ping, &[3]);
    }

    #[test]
    fn fields_of_a_newer_version_are_ignored() {
        let bytes = b"\x00\x01\xac\x02\x05attic\x00later";
        let (message, remaining): (ToSensor<'_>, _) = postcard::take_from_bytes(bytes).unwrap();
        assert_eq!(remaining, b"later");
        assert!(matches!(message, ToSensor::Welcome(Welcome { sensor_id: 300, .. })));
    }
}
