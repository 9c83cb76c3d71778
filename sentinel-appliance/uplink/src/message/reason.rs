//! Reasons of gaps and rejections: enums that travel as a number.

use core::fmt;

use serde::{Deserialize, Serialize};

/// Declares an enum that travels as a varint, keeps numbers that this version does not know, and has a text for people.
macro_rules! numbered {
    ($(#[doc = $doc:literal])+ $enum:ident: $($(#[doc = $variant_doc:literal])+ $variant:ident = $number:literal $text:literal,)+) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
        #[serde(from = "u32", into = "u32")]
        #[non_exhaustive]
        pub enum $enum {
            $($(#[doc = $variant_doc])+ $variant,)+
            /// A number of a newer version.
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
    /// Reason why alerts were lost.
    GapReason:
    /// The spool was full; the least severe alerts were evicted first.
    SpoolFull = 0 "the spool was full",
    /// The queue between detection and log was full.
    QueueFull = 1 "alerts came faster than they could be stored",
    /// The storage of the device failed or was cut off.
    StorageLost = 2 "the storage of the sensor failed",
}

numbered! {
    /// Reason why a collector does not serve a sensor.
    RejectReason:
    /// No sensor with this key is enrolled.
    UnknownSensor = 0 "the collector does not know this sensor; enroll it",
    /// The key of the sensor was revoked.
    Revoked = 1 "this sensor was revoked",
    /// The token has expired.
    TokenExpired = 2 "the enrollment token has expired; make a new one",
    /// The token has enrolled a sensor before.
    TokenUsed = 3 "the enrollment token was used before; make a new one",
    /// Another sensor has the requested name.
    NameTaken = 4 "another sensor has this name",
    /// The collector no longer supports the protocol version of the sensor.
    TooOld = 5 "the collector needs a newer sensor",
    /// The collector is at one of its limits; try again later.
    Busy = 6 "the collector is busy",
    /// The collector shuts down; try again later.
    ShuttingDown = 7 "the collector shuts down",
    /// The collector failed to store what the sensor sent; try again later.
    StorageFailed = 8 "the collector cannot store alerts",
    /// The sensor has used up its space at the collector; try again later.
    OverQuota = 9 "this sensor has used up its space at the collector",
    /// The sensor has proved a newer key since, or the key is known to have been copied.
    KeyReplaced = 10 "this key of the sensor was replaced: a copy of it was in use, or is; revoke the sensor and enroll it again",
    /// The session was made for a key of the collector that it has replaced too long ago.
    CollectorKeyReplaced = 11 "the key of the collector was replaced while this sensor was away; enroll it again",
    /// The requested name is empty, only digits, begins with a hyphen, or has other characters.
    NameNotAllowed = 12 "a name has 1 to 48 letters, digits, '.', '_' and '-', does not begin with '-' and is not a number",
}

numbered! {
    /// Way in which a run of the sensor ended.
    EndCause:
    /// The program was stopped and wrote everything that it had.
    Stopped = 0 "stopped",
    /// The program was killed; its journal was complete, so the sensor knows every alert that had a number.
    Killed = 1 "killed",
    /// The journal was lost or incomplete: the power failed, or the storages did.
    PowerLost = 2 "cut off, later alerts may be lost",
    /// The program found that a part of it hangs or has ended, and ended itself to be started again. It wrote every alert that it
    /// had.
    Fault = 3 "restarted by its watchdog",
}

impl EndCause {
    /// Returns true if the run used no number from [`crate::RunEnd::next_seq`] on. False for causes of a newer version.
    #[must_use]
    pub const fn is_complete(self) -> bool {
        matches!(self, Self::Stopped | Self::Killed | Self::Fault)
    }
}

impl RejectReason {
    /// Returns true if the same attempt can succeed later.
    #[must_use]
    pub const fn is_temporary(self) -> bool {
        matches!(self, Self::Busy | Self::ShuttingDown | Self::StorageFailed | Self::OverQuota)
    }
}
