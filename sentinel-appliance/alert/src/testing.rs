//! Sample alert for the tests of this crate and of the crates that carry alerts.

use sentinel_units::{Address, Mac, Timestamp};

use crate::{Alert, Evidence, Phase, Severity, Subject, Test};

/// Returns an alert of a port scan by 10.20.30.66 that opened at 2023-11-14 22:13:29 UTC. Tests that need another one replace
/// fields: `Alert { severity, ..sample() }`.
#[must_use]
pub fn sample() -> Alert {
    Alert {
        time: Timestamp::from_parts(1_700_000_009, 0),
        first: Timestamp::from_parts(1_700_000_000, 0),
        test: Test::PortScanPortsInWindow,
        severity: Severity::Medium,
        phase: Phase::Open,
        incident: 1,
        suppressed: 0,
        subject: Subject {
            source: Some(Address::v4(0x0a14_1e42)),
            destination: Some(Address::v4(0x0a14_1e0a)),
            mac: Some(Mac([2, 0x20, 0x30, 0, 0, 0x66])),
            ..Subject::default()
        },
        evidence: Evidence::Ports { at_least: 15, at_most: 15, threshold: 15, window_s: 10 },
    }
}
