//! Judgement of a network: whether what is counted for it is a flood, and the finding.

use sentinel_alert::{Evidence, Subject, Test};
use sentinel_units::{Mac, Port, Timestamp};

use super::Limit;
use super::class::{Class, RULES};
use super::cusum::Judged;
use super::entry::Victim;
use crate::incident::{Finding, Findings, LONE, scope};
use crate::shared::event::Counted;

/// Requests from which it is clear that nearly every one has another source.
const CLEAR: u32 = 32;
/// Sources from which a flood on a network, and not on one host, is named. Its sum must also be half as much again: what scanners
/// and worms send to a network is spread like this.
const NETWORK_SOURCES: u32 = 16;

/// Judges the buckets that ended, and reports a flood.
#[cold]
pub(super) fn judge(
    entry: &mut Victim,
    class: Class,
    judged: &Judged,
    limit: &Limit,
    usual: u32,
    (source_hash, packet): (u32, &Counted<'_>),
    findings: &mut Findings<'_, '_>,
) {
    entry.sample(class, judged.last_bucket);
    if class == Class::Echo && entry.requests() >= CLEAR {
        entry.is_forged = entry.has_new_sources();
    }
    if entry.cusum.is_usual() {
        entry.forget(findings.now, entry.requests() < kept_requests(class, entry));
        return;
    }
    entry.unanswered = entry.unanswered.saturating_add(judged.unanswered);
    entry.is_named = if entry.is_named {
        entry.cusum.is_over_by_half(usual)
    } else {
        entry.cusum.is_over(usual) && is_flood(entry, class, usual)
    };
    entry.is_lone = if entry.is_lone {
        entry.cusum.is_over_by_half(usual) && entry.has_one_source()
    } else {
        // One worker sees all packets of a source.
        entry.cusum.is_over(usual.max(limit.rate)) && entry.is_lone_flood()
    };
    let per_source = entry.per_source().filter(|_| entry.is_lone);
    if let Some(test) = per_source {
        // Named with the next bucket that begins with a packet of it.
        let count = entry.unanswered.min(entry.lead());
        if entry.top_source == source_hash && count > entry.reported {
            findings.add(&finding_of_one(entry, test, count, limit, packet, findings.now));
            entry.reported = count;
        }
    } else if entry.is_named && entry.unanswered > entry.reported {
        findings.add(&finding(entry, class, limit, usual));
        entry.reported = entry.unanswered;
    }
}

/// Finding of a flood of one source, which sent at least `count` packets.
fn finding_of_one(
    entry: &Victim,
    test: Test,
    count: u32,
    limit: &Limit,
    packet: &Counted<'_>,
    now: Timestamp,
) -> Finding {
    let (destination_port, _) = entry.common();
    let seconds = u32::try_from(now.since(entry.since()).as_secs()).unwrap_or(u32::MAX);
    Finding {
        test,
        severity: limit.severity,
        first: entry.since(),
        subject: Subject {
            source: Some(packet.source),
            destination: Some(entry.destination().0),
            destination_port,
            mac: packet.sender_mac(),
            ..Subject::default()
        },
        evidence: Evidence::Packets {
            count: count.into(),
            threshold: limit.rate.saturating_mul(seconds.max(1)),
            window_s: seconds.saturating_add(1),
        },
        adds: count - entry.reported,
        scope: LONE,
    }
}

/// Requests over which sources are counted at least, because it matters whether the same ones come again.
const fn kept_requests(class: Class, entry: &Victim) -> u32 {
    match class {
        Class::Echo => 4 * CLEAR,
        Class::Datagram if !entry.is_visible => 16 * CLEAR,
        _ => 0,
    }
}

/// Returns true if requests that are far too many come from many sources.
fn is_flood(entry: &Victim, class: Class, usual: u32) -> bool {
    let Some(rule) = RULES.get(usize::from(class)) else { return false };
    let sources = entry.sources.at_least();
    let is_network = matches!(entry.destination().1, 24 | 64);
    sources >= rule.sources
        && !entry.has_one_source()
        && (!is_network || sources >= NETWORK_SOURCES && entry.cusum.is_over(usual + usual / 2))
        && (!rule.needs_new_sources || entry.is_visible || entry.has_new_sources())
}

fn finding(entry: &Victim, class: Class, limit: &Limit, usual: u32) -> Finding {
    let (destination, prefix_bits) = entry.destination();
    let (destination_port, sender) = entry.common();
    let sources = entry.sources().min(entry.unanswered);
    Finding {
        test: RULES.get(usize::from(class)).map_or(Test::TcpFlood, |rule| rule.test),
        severity: limit.severity,
        first: entry.since(),
        subject: Subject {
            destination: Some(destination),
            destination_port,
            mac: sender.map(Mac),
            ..Subject::default()
        },
        evidence: Evidence::ManySources {
            packets: entry.unanswered.into(),
            sources,
            threshold_per_s: usual,
            prefix_bits,
        },
        adds: entry.unanswered - entry.reported,
        // Neither zero nor the scope of the incident that many sources share.
        scope: scope(entry.network, Port(0)) >> 1 | 1,
    }
}
