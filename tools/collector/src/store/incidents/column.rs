//! Integers and blobs of the tables, for values of the domain.

use sentinel_alert::{Kind, Severity, Test};
use sentinel_units::Address;

use crate::model::{IncidentPhase, IncidentState};

/// Roles of an address in table `incident_addresses`.
pub(super) const SOURCE: i64 = 1;
pub(super) const DESTINATION: i64 = 2;

pub(super) fn state(state: IncidentState) -> i64 {
    index(&IncidentState::ALL, &state)
}

pub(super) fn phase(phase: IncidentPhase) -> i64 {
    index(&IncidentPhase::ALL, &phase)
}

pub(super) fn test(test: Test) -> i64 {
    index(&Test::ALL, &test)
}

pub(super) fn kind(kind: Kind) -> i64 {
    index(&Kind::ALL, &kind)
}

pub(super) fn severity(severity: Severity) -> i64 {
    index(&Severity::ALL, &severity)
}

/// The value of a number that [`index`] gave; none for one of a later version.
pub(super) fn value<T: Copy>(all: &[T], stored: i64) -> Option<T> {
    all.get(usize::try_from(stored).ok()?).copied()
}

fn index<T: PartialEq>(all: &[T], value: &T) -> i64 {
    // Every value is in `all`, so -1 is never stored.
    let index = all.iter().position(|known| known == value);
    index.and_then(|index| i64::try_from(index).ok()).unwrap_or(-1)
}

/// The sixteen bytes of an address: blobs are compared byte by byte, so a network is a range of them.
pub(super) fn address(address: Address) -> [u8; 16] {
    let mut bytes = [0; 16];
    for (chunk, word) in bytes.chunks_exact_mut(4).zip(address.words()) {
        chunk.copy_from_slice(&word.to_be_bytes());
    }
    bytes
}
