//! Alert in postcard encoding. The layout is in PROTOCOL.md ("Alert").
//!
//! Read first: the postcard wire format, <https://postcard.jamesmunns.com/wire-format> (varints, zigzag).
//!
//! Times are microseconds relative to a base that the enclosing record or batch gives, so that the time of an alert in a batch
//! takes two or three bytes instead of eight.

use sentinel_units::{Address, ByteCount, Mac, Port, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Alert, Evidence, Phase, Severity, ShortName, Subject, Test};

/// Maximum length of an encoded alert, in bytes.
pub const MAX_ALERT_LEN: usize = 256;

/// Latest time that a [`Timestamp`] holds, in microseconds since 1970.
const LATEST_US: u64 = u64::MAX / 1_000;

/// Error of [`encode`] or [`decode`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum WireError {
    /// The bytes end early, or have a variant, length or time that this version does not know.
    Malformed,
    /// The buffer is smaller than the alert; [`MAX_ALERT_LEN`] bytes are always enough.
    BufferTooSmall,
}

impl core::fmt::Display for WireError {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.write_str(match self {
            Self::Malformed => "bytes are not an alert of this version",
            Self::BufferTooSmall => "buffer is smaller than the alert",
        })
    }
}

impl core::error::Error for WireError {}

/// Encodes `alert` into `buffer` and returns the bytes written.
///
/// # Errors
/// [`WireError::BufferTooSmall`]; the contents of `buffer` are then undefined.
pub fn encode<'b>(alert: &Alert, base: Timestamp, buffer: &'b mut [u8]) -> Result<&'b mut [u8], WireError> {
    let time_us = alert.time.as_micros();
    let subject = &alert.subject;
    let (source, destination) = (Packed::new(subject.source), Packed::new(subject.destination));
    let wire = Wire {
        test: alert.test,
        severity: alert.severity,
        phase: alert.phase,
        incident: alert.incident,
        suppressed: alert.suppressed,
        // Wraps to a negative difference for an alert from before the base, which zigzag encodes as shortly
        // as a positive one.
        after_base_us: time_us.wrapping_sub(base.as_micros()).cast_signed(),
        lasted_us: time_us.saturating_sub(alert.first.as_micros()),
        source: source.bytes(),
        destination: destination.bytes(),
        source_port: subject.source_port.map(|port| port.0),
        destination_port: subject.destination_port.map(|port| port.0),
        mac: subject.mac.map(|mac| mac.0),
        host: subject.host.as_deref(),
        evidence: WireEvidence::from(&alert.evidence),
    };
    postcard::to_slice(&wire, buffer).map_err(|_| WireError::BufferTooSmall)
}

/// Decodes one alert from the front of `bytes` and returns it with the bytes behind it.
///
/// # Errors
/// [`WireError::Malformed`]; the start of a following alert is then unknown, so the caller must drop the remaining bytes.
pub fn decode(bytes: &[u8], base: Timestamp) -> Result<(Alert, &[u8]), WireError> {
    let (wire, remaining): (Wire<'_>, _) =
        postcard::take_from_bytes(bytes).map_err(|_| WireError::Malformed)?;
    // Hostile bytes may give any difference; a time that a `Timestamp` cannot hold is rejected, not wrapped.
    let time_us = base.as_micros().checked_add_signed(wire.after_base_us).filter(|time| *time <= LATEST_US);
    let time_us = time_us.ok_or(WireError::Malformed)?;
    let host = wire.host.map(ShortName::try_from).transpose().map_err(|_| WireError::Malformed)?;
    let alert = Alert {
        time: Timestamp::from_micros(time_us),
        first: Timestamp::from_micros(time_us.saturating_sub(wire.lasted_us)),
        test: wire.test,
        severity: wire.severity,
        phase: wire.phase,
        incident: wire.incident,
        suppressed: wire.suppressed,
        subject: Subject {
            source: unpack(wire.source)?,
            destination: unpack(wire.destination)?,
            source_port: wire.source_port.map(Port),
            destination_port: wire.destination_port.map(Port),
            mac: wire.mac.map(Mac),
            host,
        },
        evidence: wire.evidence.try_into()?,
    };
    Ok((alert, remaining))
}

/// Encoded form of [`Alert`]: fields in this order, strings borrowed.
#[derive(Deserialize, Serialize)]
struct Wire<'a> {
    test: Test,
    severity: Severity,
    phase: Phase,
    incident: u32,
    suppressed: u32,
    after_base_us: i64,
    lasted_us: u64,
    /// No address, IPv4 or IPv6: 0, 4 or 16 bytes.
    source: &'a [u8],
    destination: &'a [u8],
    source_port: Option<u16>,
    destination_port: Option<u16>,
    mac: Option<[u8; 6]>,
    host: Option<&'a str>,
    #[serde(borrow)]
    evidence: WireEvidence<'a>,
}

/// Encoded form of [`Evidence`]. The order of variants is their tag on the wire: append only.
#[derive(Deserialize, Serialize)]
enum WireEvidence<'a> {
    Ports {
        at_least: u32,
        above: u32,
        threshold: u32,
        window_s: u32,
    },
    Packets {
        count: u64,
        threshold: u32,
        window_s: u32,
    },
    Attempts {
        count: u64,
        threshold: u32,
        window_s: u32,
    },
    Listed {
        count: u64,
        label: &'a str,
    },
    Binding {
        before: [u8; 6],
        after: [u8; 6],
        changes: u32,
    },
    Name {
        length: u16,
        threshold: u16,
        count: u64,
        suffix: &'a str,
    },
    Bytes {
        count: u64,
        threshold: u64,
        window_s: u32,
    },
    Damage {
        what: &'a str,
    },
    ManySources {
        packets: u64,
        sources: u32,
        threshold_per_s: u32,
        prefix_bits: u8,
    },
    Contacts {
        failed: u32,
        hosts: u32,
        ports: u32,
    },
    Leak {
        bytes: u64,
        threshold: u32,
        messages: u64,
        suffix: &'a str,
    },
    Domains {
        names: u64,
        nonexistent: u64,
        score: i32,
        threshold: u32,
        name: &'a str,
    },
    Server {
        known: [u8; 6],
        other: [u8; 6],
        named: [u32; 4],
        messages: u32,
    },
    Answers {
        count: u32,
        networks: u32,
        threshold: u32,
        window_s: u32,
        named: [u32; 4],
        name: &'a str,
    },
    Rhythm {
        contacts: u64,
        period_s: u32,
        deviation_percent: u8,
        hosts: u16,
        is_named: bool,
        prefix_bits: u8,
    },
    Device {
        is_random: bool,
    },
    Observed {
        count: u64,
        what: &'a str,
    },
    Stations {
        count: u32,
        days: u32,
        silent_s: u32,
    },
}

impl<'a> From<&'a Evidence> for WireEvidence<'a> {
    fn from(evidence: &'a Evidence) -> Self {
        match *evidence {
            Evidence::Ports { at_least, at_most, threshold, window_s } => {
                Self::Ports { at_least, above: at_most.saturating_sub(at_least), threshold, window_s }
            }
            Evidence::Packets { count, threshold, window_s } => Self::Packets { count, threshold, window_s },
            Evidence::Attempts { count, threshold, window_s } => {
                Self::Attempts { count, threshold, window_s }
            }
            Evidence::Listed { count, ref label } => Self::Listed { count, label },
            Evidence::Observed { count, ref what } => Self::Observed { count, what },
            Evidence::Binding { before, after, changes } => {
                Self::Binding { before: before.0, after: after.0, changes }
            }
            Evidence::Name { length, threshold, count, ref suffix } => {
                Self::Name { length, threshold, count, suffix }
            }
            Evidence::Bytes { count, threshold, window_s } => {
                Self::Bytes { count: count.0, threshold: threshold.0, window_s }
            }
            Evidence::Damage { ref what } => Self::Damage { what },
            Evidence::ManySources { packets, sources, threshold_per_s, prefix_bits } => {
                Self::ManySources { packets, sources, threshold_per_s, prefix_bits }
            }
            Evidence::Contacts { failed, hosts, ports } => Self::Contacts { failed, hosts, ports },
            Evidence::Domains { names, nonexistent, score, threshold, ref name } => {
                Self::Domains { names, nonexistent, score, threshold, name }
            }
            Evidence::Leak { bytes, threshold, messages, ref suffix } => {
                Self::Leak { bytes, threshold, messages, suffix }
            }
            Evidence::Server { known, other, named, messages } => {
                Self::Server { known: known.0, other: other.0, named: named.words(), messages }
            }
            Evidence::Answers { count, networks, threshold, window_s, named, ref name } => {
                Self::Answers { count, networks, threshold, window_s, named: named.words(), name }
            }
            Evidence::Rhythm { contacts, period_s, deviation_percent, hosts, is_named, prefix_bits } => {
                Self::Rhythm { contacts, period_s, deviation_percent, hosts, is_named, prefix_bits }
            }
            Evidence::Device { is_random } => Self::Device { is_random },
            Evidence::Stations { count, days, silent_s } => Self::Stations { count, days, silent_s },
        }
    }
}

impl TryFrom<WireEvidence<'_>> for Evidence {
    type Error = WireError;

    fn try_from(wire: WireEvidence<'_>) -> Result<Self, WireError> {
        let name = |text| ShortName::try_from(text).map_err(|_| WireError::Malformed);
        Ok(match wire {
            WireEvidence::Ports { at_least, above, threshold, window_s } => {
                Self::Ports { at_least, at_most: at_least.saturating_add(above), threshold, window_s }
            }
            WireEvidence::Packets { count, threshold, window_s } => {
                Self::Packets { count, threshold, window_s }
            }
            WireEvidence::Attempts { count, threshold, window_s } => {
                Self::Attempts { count, threshold, window_s }
            }
            WireEvidence::Listed { count, label } => Self::Listed { count, label: name(label)? },
            WireEvidence::Observed { count, what } => Self::Observed { count, what: name(what)? },
            WireEvidence::Binding { before, after, changes } => {
                Self::Binding { before: Mac(before), after: Mac(after), changes }
            }
            WireEvidence::Name { length, threshold, count, suffix } => {
                Self::Name { length, threshold, count, suffix: name(suffix)? }
            }
            WireEvidence::Bytes { count, threshold, window_s } => {
                Self::Bytes { count: ByteCount(count), threshold: ByteCount(threshold), window_s }
            }
            WireEvidence::Damage { what } => Self::Damage { what: name(what)? },
            WireEvidence::ManySources { packets, sources, threshold_per_s, prefix_bits } => {
                Self::ManySources { packets, sources, threshold_per_s, prefix_bits }
            }
            WireEvidence::Contacts { failed, hosts, ports } => Self::Contacts { failed, hosts, ports },
            WireEvidence::Domains { names, nonexistent, score, threshold, name: text } => {
                Self::Domains { names, nonexistent, score, threshold, name: name(text)? }
            }
            WireEvidence::Leak { bytes, threshold, messages, suffix } => {
                Self::Leak { bytes, threshold, messages, suffix: name(suffix)? }
            }
            WireEvidence::Server { known, other, named, messages } => {
                Self::Server { known: Mac(known), other: Mac(other), named: Address::v6(named), messages }
            }
            WireEvidence::Answers { count, networks, threshold, window_s, named, name: text } => {
                let (named, name) = (Address::v6(named), name(text)?);
                Self::Answers { count, networks, threshold, window_s, named, name }
            }
            WireEvidence::Rhythm { contacts, period_s, deviation_percent, hosts, is_named, prefix_bits } => {
                Self::Rhythm { contacts, period_s, deviation_percent, hosts, is_named, prefix_bits }
            }
            WireEvidence::Device { is_random } => Self::Device { is_random },
            WireEvidence::Stations { count, days, silent_s } => Self::Stations { count, days, silent_s },
        })
    }
}

/// Optional address in the bytes that its family needs: 0, 4 or 16.
struct Packed {
    bytes: [u8; 16],
    len: usize,
}

impl Packed {
    fn new(address: Option<Address>) -> Self {
        let mut packed = Self { bytes: [0; 16], len: 0 };
        let Some(address) = address else { return packed };
        let words = address.words();
        let used = if address.is_v4() { &words[3..] } else { &words[..] };
        for (chunk, word) in packed.bytes.chunks_exact_mut(4).zip(used) {
            chunk.copy_from_slice(&word.to_be_bytes());
            packed.len += 4;
        }
        packed
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

fn unpack(bytes: &[u8]) -> Result<Option<Address>, WireError> {
    // `zip` leaves out bytes behind the 16th; all lengths but 0, 4 and 16 are rejected below.
    let mut words = [0; 4];
    for (word, chunk) in words.iter_mut().zip(bytes.chunks(4)) {
        *word = u32::from_be_bytes(chunk.try_into().map_err(|_| WireError::Malformed)?);
    }
    let [first, ..] = words;
    match bytes.len() {
        0 => Ok(None),
        4 => Ok(Some(Address::v4(first))),
        16 => Ok(Some(Address::v6(words))),
        _ => Err(WireError::Malformed),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::Kind;
    use crate::testing::sample;

    pub(crate) fn every_evidence() -> [Evidence; 18] {
        let long = ShortName::try_from("x".repeat(64).as_str()).unwrap();
        [
            sample().evidence,
            Evidence::Packets { count: u64::MAX, threshold: u32::MAX, window_s: u32::MAX },
            Evidence::Attempts { count: 30, threshold: 30, window_s: 30 },
            Evidence::Listed { count: u64::MAX, label: long.clone() },
            Evidence::Binding { before: Mac::BROADCAST, after: Mac::ZERO, changes: u32::MAX },
            Evidence::Name { length: 253, threshold: 50, count: u64::MAX, suffix: long.clone() },
            Evidence::Bytes { count: ByteCount(u64::MAX), threshold: ByteCount(u64::MAX), window_s: 60 },
            Evidence::Damage { what: long.clone() },
            Evidence::ManySources { packets: 70, sources: 64, threshold_per_s: 60, prefix_bits: 32 },
            Evidence::Contacts { failed: u32::MAX, hosts: 64, ports: 64 },
            Evidence::Leak { bytes: u64::MAX, threshold: u32::MAX, messages: u64::MAX, suffix: long.clone() },
            Evidence::Domains {
                names: u64::MAX,
                nonexistent: u64::MAX,
                score: i32::MIN,
                threshold: u32::MAX,
                name: long.clone(),
            },
            Evidence::Server {
                known: Mac::BROADCAST,
                other: Mac::BROADCAST,
                named: Address::v6([u32::MAX; 4]),
                messages: u32::MAX,
            },
            Evidence::Answers {
                count: u32::MAX,
                networks: u32::MAX,
                threshold: u32::MAX,
                window_s: u32::MAX,
                named: Address::v6([u32::MAX; 4]),
                name: long,
            },
            Evidence::Rhythm {
                contacts: u64::MAX,
                period_s: u32::MAX,
                deviation_percent: 100,
                hosts: u16::MAX,
                is_named: true,
                prefix_bits: 128,
            },
            Evidence::Device { is_random: true },
            Evidence::Observed {
                count: u64::MAX,
                what: ShortName::try_from("x".repeat(64).as_str()).unwrap(),
            },
            Evidence::Stations { count: u32::MAX, days: u32::MAX, silent_s: u32::MAX },
        ]
    }

    extern crate std;
    use std::vec::Vec;

    #[test]
    fn the_encoding_is_fixed() {
        let mut buffer = [0; MAX_ALERT_LEN];
        let bytes = encode(&sample(), Timestamp::from_parts(1_700_000_000, 0), &mut buffer).unwrap();
        #[rustfmt::skip]
        let expected = [
            0, 2, 0,                      // ports_in_window, medium, open
            1, 0,                         // incident 1, none suppressed
            0x80, 0xd1, 0xca, 0x08,       // 9,000,000 us after the base, zigzag
            0xc0, 0xa8, 0xa5, 0x04,       // lasted 9,000,000 us
            4, 10, 20, 30, 66,            // source
            4, 10, 20, 30, 10,            // destination
            0, 0,                         // no ports
            1, 2, 0x20, 0x30, 0, 0, 0x66, // hardware address
            0,                            // no host name
            0, 15, 0, 15, 10,             // ports: at least 15, none above, threshold 15, 10 s
        ];
        assert_eq!(bytes, expected);
    }

    #[test]
    fn wire_tags_are_fixed() {
        let mut buffer = [0; MAX_ALERT_LEN];
        for (tag, evidence) in every_evidence().iter().enumerate() {
            let bytes = postcard::to_slice(&WireEvidence::from(evidence), &mut buffer).unwrap();
            assert_eq!(usize::from(bytes[0]), tag);
        }
        for (tag, kind) in Kind::ALL.iter().enumerate() {
            assert_eq!(usize::from(postcard::to_slice(kind, &mut buffer).unwrap()[0]), tag);
        }
        for (tag, severity) in Severity::ALL.iter().enumerate() {
            assert_eq!(usize::from(postcard::to_slice(severity, &mut buffer).unwrap()[0]), tag);
        }
        for (tag, test) in Test::ALL.iter().enumerate() {
            assert_eq!(usize::from(postcard::to_slice(test, &mut buffer).unwrap()[0]), tag);
        }
    }

    #[test]
    fn every_evidence_is_decoded_as_encoded_and_fits() {
        let extreme = Subject {
            source: Some(Address::v6([u32::MAX; 4])),
            destination: Some(Address::v6([1, 2, 3, 4])),
            source_port: Some(Port(u16::MAX)),
            destination_port: Some(Port(u16::MAX)),
            mac: Some(Mac::BROADCAST),
            host: Some(ShortName::try_from("h".repeat(64).as_str()).unwrap()),
        };
        for evidence in every_evidence() {
            let alert = Alert {
                evidence,
                subject: extreme.clone(),
                incident: u32::MAX,
                suppressed: u32::MAX,
                time: Timestamp::from_micros(u64::MAX / 1_000),
                ..sample()
            };
            let mut buffer = [0; MAX_ALERT_LEN];
            let bytes = encode(&alert, Timestamp::ZERO, &mut buffer).unwrap();
            let (back, rest) = decode(bytes, Timestamp::ZERO).unwrap();
            assert_eq!(back, alert);
            assert!(rest.is_empty());
        }
    }

    #[test]
    fn every_truncation_is_an_error() {
        let mut buffer = [0; MAX_ALERT_LEN];
        let bytes = encode(&sample(), Timestamp::ZERO, &mut buffer).unwrap().to_vec();
        for cut in 0..bytes.len() {
            assert_eq!(decode(&bytes[..cut], Timestamp::ZERO), Err(WireError::Malformed), "cut at {cut}");
        }
    }

    #[test]
    fn wrong_bytes_are_an_error_not_a_panic() {
        let mut buffer = [0; MAX_ALERT_LEN];
        let bytes: Vec<u8> = encode(&sample(), Timestamp::ZERO, &mut buffer).unwrap().to_vec();
        for at in 0..bytes.len() {
            for value in 0..=u8::MAX {
                let mut wrong = bytes.clone();
                wrong[at] = value;
                if let Ok((alert, _)) = decode(&wrong, Timestamp::ZERO) {
                    let mut text = heapless::String::<2048>::new();
                    crate::json::write(&alert, None, &mut text).unwrap();
                }
            }
        }
    }

    /// Found by fuzzing: such a time became the year 2554, and encoding the alert again gave other bytes.
    #[test]
    fn a_time_before_1970_or_past_the_last_is_malformed() {
        let mut buffer = [0; MAX_ALERT_LEN];
        let bytes = encode(&sample(), sample().time, &mut buffer).unwrap().to_vec();
        // The sixth byte is the time after the base: here none, then one microsecond before it.
        assert_eq!(bytes[5], 0);
        let mut before = bytes.clone();
        before[5] = 1;
        assert_eq!(decode(&before, Timestamp::ZERO), Err(WireError::Malformed));
        let mut after = bytes.clone();
        after[5] = 2;
        assert_eq!(decode(&after, Timestamp::MAX), Err(WireError::Malformed));
        assert!(decode(&bytes, Timestamp::MAX).is_ok());
    }

    #[test]
    fn an_alert_before_its_base_is_decoded_as_encoded() {
        let mut buffer = [0; MAX_ALERT_LEN];
        let base = Timestamp::from_parts(1_700_000_100, 0);
        let bytes = encode(&sample(), base, &mut buffer).unwrap();
        assert_eq!(decode(bytes, base).unwrap().0, sample());
    }
}
