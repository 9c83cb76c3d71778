//! Findings of detectors, and how one adds to the alert of its incident.

use sentinel_alert::{Evidence, Kind, Severity, Subject, Test};
use sentinel_units::{Address, ByteCount, Port, Timestamp};

/// Evidence at or over a detector's threshold.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub(crate) test: Test,
    pub(crate) severity: Severity,
    /// Start of the evidence, if it is older than this packet.
    pub(crate) first: Timestamp,
    pub(crate) subject: Subject,
    /// The numbers as an opening alert shows them.
    pub(crate) evidence: Evidence,
    /// Amount that this finding adds to an open incident, in the unit of the evidence.
    pub(crate) adds: u32,
    /// Number that separates the incidents of one test and one source; zero for a test with one incident per source.
    pub(crate) scope: u32,
}

/// Hash of kind, source and scope, never zero. Findings with equal tags are compared in full.
pub(super) fn tag_of(finding: &Finding) -> u32 {
    let kind = Kind::ALL.iter().position(|known| *known == finding.test.kind()).unwrap_or_default();
    let kind = u16::try_from(kind).unwrap_or_default();
    let address = scope(finding.subject.source.unwrap_or_default(), Port(kind));
    (address ^ finding.scope.rotate_left(7)) | 1
}

/// Keeps the part of the subject that all packets of an incident share: of several destinations or ports none is named.
#[inline]
pub(super) fn keep_common(
    subject: &mut Subject,
    destination: Option<Address>,
    destination_port: Option<Port>,
    sender: Option<&[u8; 6]>,
) {
    if subject.destination != destination {
        subject.destination = None;
    }
    if subject.destination_port != destination_port {
        subject.destination_port = None;
    }
    if subject.mac.as_ref().map(|mac| &mac.0) != sender {
        subject.mac = None;
    }
}

/// Adds a finding's evidence to that of the incident: peaks stay, counts grow.
pub(super) fn merge(total: &mut Evidence, finding: &Evidence, adds: u32) {
    match (total, finding) {
        (Evidence::Ports { at_least, at_most, .. }, Evidence::Ports { at_least: now, .. }) => {
            *at_least = (*now).max(*at_least);
            *at_most = at_most.saturating_add(adds).max(*at_least);
        }
        (
            Evidence::Packets { count, .. }
            | Evidence::Attempts { count, .. }
            | Evidence::Listed { count, .. },
            _,
        ) => *count = count.saturating_add(adds.into()),
        // The move that opened it stays named; moves back and forth are counted.
        (Evidence::Binding { changes, .. }, _) => *changes = changes.saturating_add(adds),
        (Evidence::Name { length, count, suffix, .. }, Evidence::Name { length: now, suffix: seen, .. }) => {
            *count = count.saturating_add(adds.into());
            *length = (*length).max(*now);
            if suffix != seen {
                suffix.clear();
            }
        }
        (Evidence::ManySources { packets, sources, .. }, Evidence::ManySources { sources: now, .. }) => {
            *packets = packets.saturating_add(adds.into());
            *sources = (*sources).max(*now);
        }
        (
            Evidence::Contacts { failed, hosts, ports },
            Evidence::Contacts { failed: now, hosts: more_hosts, ports: more_ports },
        ) => {
            // The source's own totals: of contacts, of hosts and of ports since it was first suspected.
            *failed = failed.saturating_add(adds).max(*now);
            (*hosts, *ports) = ((*hosts).max(*more_hosts), (*ports).max(*more_ports));
        }
        (
            Evidence::Domains { names, nonexistent, score, name, .. },
            Evidence::Domains { nonexistent: now_nonexistent, score: now, name: seen, .. },
        ) => {
            *names = names.saturating_add(adds.into());
            *nonexistent = (*nonexistent).max(*now_nonexistent);
            if *now > *score {
                *score = *now;
                name.clone_from(seen);
            }
        }
        (Evidence::Observed { count, what }, Evidence::Observed { what: seen, .. }) => {
            *count = count.saturating_add(adds.into());
            if what != seen {
                what.clear();
            }
        }
        (Evidence::Leak { bytes, messages, .. }, _) => {
            *bytes = bytes.saturating_add(adds.into());
            *messages = messages.saturating_add(1);
        }
        (Evidence::Server { messages, .. }, _) => *messages = messages.saturating_add(adds),
        (Evidence::Answers { count, networks, .. }, Evidence::Answers { count: now, networks: more, .. }) => {
            (*count, *networks) = ((*count).max(*now), (*networks).max(*more));
        }
        (Evidence::Stations { count, .. }, Evidence::Stations { count: more, .. }) => {
            *count = count.saturating_add(*more);
        }
        (Evidence::Rhythm { contacts, .. }, _) => *contacts = contacts.saturating_add(adds.into()),
        (Evidence::Bytes { count, .. }, _) => *count = ByteCount(count.0).plus(adds.into()),
        // A test always reports one type of evidence, so no other pair occurs.
        _ => {}
    }
}

/// Number that separates destinations within one test and source.
pub(crate) fn scope(destination: Address, port: Port) -> u32 {
    let [a, b, c, d] = destination.words();
    let mixed = a.rotate_left(8) ^ b.rotate_left(16) ^ c.rotate_left(24) ^ d;
    mixed.wrapping_mul(0x9e37_79b1).rotate_left(16) ^ u32::from(port.0)
}
