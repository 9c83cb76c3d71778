//! Telemetry counters. Append only: a counter keeps its place in the list.

use core::fmt;

use serde::de::{SeqAccess, Visitor};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Declares each counter once: place on the wire, name and meaning.
macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// Counter of a sensor. The order is the order on the wire.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        #[non_exhaustive]
        pub enum Counter {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Counter {
            /// All counters, in wire order.
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$variant),+];

            /// Name in metrics and machine output.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

counters! {
    /// Milliseconds since the sensor started.
    UptimeMs = "uptime_ms",
    /// Frames that the kernel put into the ring, or dropped because it was full.
    FramesSeen = "frames_seen",
    /// Frames that the detectors analysed.
    FramesAnalysed = "frames_analysed",
    /// Frames excluded by a configured filter.
    FramesFiltered = "frames_filtered",
    /// Frames that the kernel dropped because the ring was full.
    FramesDropped = "frames_dropped",
    /// Number of times that the ring became full.
    RingFreezes = "ring_freezes",
    /// Frames that violate their protocol.
    Malformed = "malformed",
    /// Frames that the snap length cut before a needed field.
    Truncated = "truncated",
    /// Entries evicted from full tables.
    TableEvictions = "table_evictions",
    /// Alerts raised, and those of earlier runs that were undelivered at the start. What is neither delivered nor evicted of
    /// them waits.
    AlertsRaised = "alerts_raised",
    /// Alerts that the collector acknowledged.
    AlertsDelivered = "alerts_delivered",
    /// Alerts evicted from a full spool before delivery.
    AlertsEvicted = "alerts_evicted",
    /// Bytes of the spool in use.
    SpoolBytes = "spool_bytes",
    /// Bytes written to the log since start.
    LogBytesWritten = "log_bytes_written",
    /// Resident memory, in KiB.
    ResidentKib = "resident_kib",
    /// Incidents that are open.
    OpenIncidents = "open_incidents",
    /// Number of times that the uplink connected again.
    Reconnects = "reconnects",
    /// Settings that are not in force as they were given: unknown names, and refused values with their defaults in place.
    SettingsSetAside = "settings_set_aside",
    /// Canary frames through the kernel that did not arrive within a second, of all workers.
    CanariesMissed = "canaries_missed",
    /// Bytes that the captured interfaces carried since the start; of a bridge, what its ports received and it sent itself.
    InterfaceBytes = "interface_bytes",
    /// Bytes of them that the rings did not see.
    HiddenBytes = "hidden_bytes",
    /// Place, from 1 on in the list of Hello, of the interface of which the rings saw the smallest part; 0 if too little was carried.
    WorstInterface = "worst_interface",
    /// Percentage of its bytes that the rings saw.
    WorstInterfacePercent = "worst_interface_percent",
    /// Flow offloading of the firewall, which forwards packets past the rings: 0 none known, 1 in software, 2 in hardware.
    FlowOffload = "flow_offload",
    /// Alerts of this run that the collector acknowledged.
    RunDelivered = "run_delivered",
    /// Wall-clock time of the reading, milliseconds since 1970. Never zero: with it the list is complete.
    ClockMs = "clock_ms",
}

const LEN: usize = Counter::ALL.len();
/// Counters of the first version, which are always written.
const FIRST_LEN: usize = 17;

/// Values of all counters. On the wire a list of varints: a reader that knows more counters than the writer gets
/// zeros, one that knows fewer skips the others. Later counters that are zero at the end of the list are not written.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Telemetry {
    values: [u64; LEN],
}

impl Telemetry {
    /// Makes a reading of zeros.
    #[must_use]
    pub const fn new() -> Self {
        Self { values: [0; LEN] }
    }

    /// Value of one counter.
    #[must_use]
    pub fn value(&self, counter: Counter) -> u64 {
        self.iter().find(|(known, _)| *known == counter).map_or(0, |(_, value)| value)
    }

    /// Sets one counter.
    pub fn set(&mut self, counter: Counter, value: u64) {
        for (known, slot) in Counter::ALL.iter().zip(&mut self.values) {
            if *known == counter {
                *slot = value;
            }
        }
    }

    /// Iterates over the counters and their values, in wire order.
    pub fn iter(&self) -> impl Iterator<Item = (Counter, u64)> + '_ {
        Counter::ALL.into_iter().zip(self.values)
    }
}

impl Serialize for Telemetry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let last = self.values.iter().rposition(|value| *value != 0).unwrap_or(0);
        let length = FIRST_LEN.max(last + 1);
        let mut list = serializer.serialize_seq(Some(length))?;
        self.values.iter().take(length).try_for_each(|value| list.serialize_element(value))?;
        list.end()
    }
}

impl<'de> Deserialize<'de> for Telemetry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Telemetry;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a list of counters")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Telemetry, A::Error> {
                let mut telemetry = Telemetry::new();
                let mut known = telemetry.values.iter_mut();
                // Bounded by the frame: each element has at least a byte.
                while let Some(value) = list.next_element::<u64>()? {
                    // Counters of a newer version are read and dropped.
                    if let Some(slot) = known.next() {
                        *slot = value;
                    }
                }
                Ok(telemetry)
            }
        }
        deserializer.deserialize_seq(List)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_longer_and_a_shorter_list_are_read() {
        let mut telemetry = Telemetry::new();
        telemetry.set(Counter::UptimeMs, 300);
        telemetry.set(Counter::Reconnects, 9);
        let mut buffer = [0; 256];
        let bytes = postcard::to_slice(&telemetry, &mut buffer).unwrap();
        assert_eq!(postcard::from_bytes(bytes), Ok(telemetry));
        assert_eq!(bytes[..3], [17, 0xac, 0x02]);

        telemetry.set(Counter::SettingsSetAside, 3);
        let bytes = postcard::to_slice(&telemetry, &mut buffer).unwrap();
        assert_eq!((bytes[0], bytes.last()), (18, Some(&3)), "canaries_missed is zero, and left out");
        assert_eq!(postcard::from_bytes(bytes), Ok(telemetry));

        let mut first_only = Telemetry::new();
        first_only.set(Counter::UptimeMs, 300);
        assert_eq!(postcard::from_bytes(&[1, 0xac, 0x02]), Ok(first_only));

        let mut newer = [7; LEN + 2];
        newer[0] = u8::try_from(LEN + 1).unwrap();
        let read: Telemetry = postcard::from_bytes(&newer).unwrap();
        assert!(read.iter().all(|(_, value)| value == 7));
    }

    #[test]
    fn a_count_beyond_the_bytes_is_an_error() {
        assert!(postcard::from_bytes::<Telemetry>(&[0xff, 0xff, 0xff, 0xff, 0x0f, 1]).is_err());
        assert!(postcard::from_bytes::<Telemetry>(&[2, 1]).is_err());
    }

    #[test]
    fn places_on_the_wire_are_fixed() {
        let names = Counter::ALL.map(Counter::name);
        assert_eq!(names[..4], ["uptime_ms", "frames_seen", "frames_analysed", "frames_filtered"]);
        assert_eq!(names[8..12], ["table_evictions", "alerts_raised", "alerts_delivered", "alerts_evicted"]);
        assert_eq!(names[16..19], ["reconnects", "settings_set_aside", "canaries_missed"]);
        assert_eq!(names[19..22], ["interface_bytes", "hidden_bytes", "worst_interface"]);
        assert_eq!(names[22..], ["worst_interface_percent", "flow_offload", "run_delivered", "clock_ms"]);
    }
}
