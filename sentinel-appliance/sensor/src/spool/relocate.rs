//! Relocation: undelivered records that rotation is about to overwrite are written again at the front of the ring, or counted
//! in a gap.

use std::ops::Range;

use sentinel_alert::{Alert, AlertId, Severity, wire};
use sentinel_ringlog::{Cursor, MAX_RECORD, RecordId};
use sentinel_units::Timestamp;
use sentinel_uplink::{Gap, GapReason, RunEnd};

use super::deliver::Backlog;
use super::{Item, Medium, Record, Spool, decode};

/// Bytes of a record in memory besides its own.
const LENGTH_BYTES: usize = 2;
/// Of the eighth of a segment that is kept free in memory, bytes for gaps, the record of delivery, that of used numbers, the
/// account of writes, and the record that used up the last of the other seven.
const OTHER_BYTES: usize = 384 + 80;

impl<S: Medium> Spool<S> {
    /// Relocates the undelivered records of `range`, which is about to be overwritten: alerts, the most severe first, as many
    /// severities as fit into an eighth of a segment; gap records count the others. Gaps are relocated unchanged if they may
    /// have been sent, otherwise merged. Ends of runs are relocated unchanged.
    pub(super) fn relocate(&mut self, range: Range<RecordId>) {
        let undelivered =
            self.delivery.last_acked().map_or(range.start, |durable| durable.next().max(range.start));
        // The same range is passed again if the write that overwrites it failed: its records are not relocated twice.
        let from = undelivered.max(self.relocated_until);
        self.relocated_until = range.end.max(self.relocated_until);
        if from >= range.end {
            return;
        }
        let range = from..range.end;
        // First pass: bytes of each severity. Second: collect alerts from the cut on, count those below it.
        let cut = self.cut(range.clone());
        let maybe_sent = self.delivery.highest_sent();
        let mut known_as_sent = core::mem::take(&mut self.sent_gaps);
        let (mut relocated, mut sent_gaps, mut gaps) = (Vec::new(), Vec::new(), Vec::new());
        let (mut ends, mut removed) = (Vec::new(), Backlog::default());
        let (own_boot, mut newly_lost, mut lost_earlier) = (self.boot, 0, 0);
        self.each_item(range, |record, item, _| {
            removed.count(&item, own_boot);
            match item {
                Item::Alert(id, alert) if index(alert.severity) >= cut => relocated.push((id, alert)),
                Item::Alert(id, alert) => {
                    newly_lost += 1;
                    lost_earlier += u64::from(id.boot != own_boot);
                    merge_gap(&mut gaps, lost_alert(id, alert.severity, GapReason::SpoolFull));
                }
                Item::Gap(gap) if Some(record) <= maybe_sent || known_as_sent.contains(&gap.last()) => {
                    sent_gaps.push(gap);
                }
                Item::Gap(gap) => merge_gap(&mut gaps, gap),
                Item::End(end) => ends.push(end),
            }
        });
        known_as_sent.extend(sent_gaps.iter().map(Gap::last));
        known_as_sent.sort_unstable();
        known_as_sent.dedup();
        self.sent_gaps = known_as_sent;
        self.undelivered.remove(&removed);
        self.counts.lost_full += newly_lost;
        self.counts.lost_earlier += lost_earlier;
        self.append_relocated(sent_gaps.into_iter().chain(gaps), ends, relocated);
    }

    /// Writes gaps, ends of runs and alerts at the front of the ring; those that the log does not take become part of a gap.
    fn append_relocated(
        &mut self,
        gaps: impl Iterator<Item = Gap>,
        ends: Vec<RunEnd>,
        relocated: Vec<(AlertId, Alert)>,
    ) {
        // From here until the flush overwrites the range, its relocated alerts are in the log twice. After a kill in
        // between both are read back, and the collector drops the second by its number.
        for gap in gaps {
            if self.append(&Record::Gap(gap)).is_err() {
                merge_gap(&mut self.unwritten_gaps, gap);
            }
        }
        for end in ends {
            // Without it the collector shows the run as unknown, which is what is known then.
            let _shown_as_unknown = self.append(&Record::End(end));
        }
        for (id, alert) in relocated {
            let mut bytes = [0; wire::MAX_ALERT_LEN];
            let Ok(bytes) = wire::encode(&alert, Timestamp::ZERO, &mut bytes) else { continue };
            if self.append(&Record::Relocated { boot: id.boot, seq: id.seq, alert: bytes }).is_ok() {
                self.counts.relocated += 1;
            } else {
                self.counts.lost_storage += 1;
                self.counts.lost_earlier += u64::from(id.boot != self.boot);
                merge_gap(&mut self.unwritten_gaps, lost_alert(id, alert.severity, GapReason::StorageLost));
            }
        }
    }

    /// Index of the lowest severity that is relocated.
    fn cut(&mut self, range: Range<RecordId>) -> usize {
        let mut bytes_of = [0_usize; Severity::ALL.len()];
        self.each_item(range, |_, item, length| {
            if let Item::Alert(_, alert) = item
                && let Some(bytes) = bytes_of.get_mut(index(alert.severity))
            {
                *bytes += length + LENGTH_BYTES;
            }
        });
        let room = self.segment_bytes / 8 - OTHER_BYTES;
        // From the most severe down; a severity is relocated as a whole or not at all.
        let (mut used, mut cut) = (0, Severity::ALL.len());
        for (severity, bytes) in bytes_of.iter().enumerate().rev() {
            used += bytes;
            if used > room {
                break;
            }
            cut = severity;
        }
        cut
    }

    /// Visits the alerts and gaps among the records of `range`, with the bytes that each takes.
    pub(super) fn each_item(&mut self, range: Range<RecordId>, mut visit: impl FnMut(RecordId, Item, usize)) {
        let (mut cursor, mut buffer) = (Cursor::new(range.start), [0; MAX_RECORD]);
        while let Ok(Some((record, length))) = self.log.read_next(&mut cursor, &mut buffer) {
            // Records are numbered in the order of reading: the rest lies behind the range as well.
            if record >= range.end {
                break;
            }
            if let Some(item) = buffer.get(..length).and_then(decode) {
                visit(record, item, length);
            }
        }
    }
}

/// Gap of one alert.
pub(super) fn lost_alert(AlertId { boot, seq }: AlertId, severity: Severity, reason: GapReason) -> Gap {
    let mut lost_by_severity = [0; Severity::ALL.len()];
    if let Some(count) = lost_by_severity.get_mut(index(severity)) {
        *count = 1;
    }
    Gap { boot, first_seq: seq, last_seq: seq, lost_by_severity, reason }
}

/// Merges a gap that was never sent into the one of the same run and reason, or adds it.
pub(super) fn merge_gap(gaps: &mut Vec<Gap>, more: Gap) {
    let Some(gap) = gaps.iter_mut().find(|gap| (gap.boot, gap.reason) == (more.boot, more.reason)) else {
        gaps.push(more);
        return;
    };
    // The range may now include numbers that were delivered; the counts by severity stay exact.
    gap.first_seq = gap.first_seq.min(more.first_seq);
    gap.last_seq = gap.last_seq.max(more.last_seq);
    for (count, more) in gap.lost_by_severity.iter_mut().zip(more.lost_by_severity) {
        *count = count.saturating_add(more);
    }
}

fn index(severity: Severity) -> usize {
    Severity::ALL.iter().position(|known| *known == severity).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use sentinel_alert::{Evidence, Phase, Subject, Test};
    use sentinel_units::Uptime;

    use super::*;
    use crate::settings::Settings;
    use crate::system::keys;

    /// A spool of three segments of 16 KiB in a directory of its own.
    fn spool(change: impl FnOnce(&mut Settings)) -> (tempfile::TempDir, Spool) {
        let directory = tempfile::tempdir().unwrap();
        let mut settings = Settings {
            state_dir: directory.path().to_owned(),
            run_dir: directory.path().to_owned(),
            log_segment_kib: 16,
            log_segments: 3,
            alert_daily_messages: 0,
            ..Settings::default()
        };
        change(&mut settings);
        let key = keys::log_key(&settings.state_dir).unwrap();
        let spool = Spool::open(&settings, &key).unwrap().0;
        (directory, spool)
    }

    /// Alert that does not compress well.
    fn alert(number: u64, severity: Severity) -> Alert {
        let noise = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let label = format!("{noise:016x}{:016x}", noise.rotate_left(29).wrapping_mul(noise | 1));
        Alert {
            time: Timestamp::from_nanos(noise >> 8),
            first: Timestamp::ZERO,
            test: Test::SuspiciousPort,
            severity,
            phase: Phase::Open,
            incident: u32::try_from(number).unwrap(),
            suppressed: 0,
            subject: Subject::default(),
            evidence: Evidence::Listed { count: noise, label: label.as_str().try_into().unwrap() },
        }
    }

    /// Number of alerts that can be sent, of alerts in gaps, and of gaps. Checks that no alert is there twice.
    fn delivered_or_lost(spool: &mut Spool) -> (u64, u64, u64) {
        let (mut alerts, mut lost, mut gaps) = (BTreeSet::new(), 0, 0);
        spool.unsent(|_, item| {
            match item {
                Item::Alert(id, _) => assert!(alerts.insert(id.seq), "{} twice", id.seq),
                Item::Gap(gap) => (lost, gaps) = (lost + gap.lost(), gaps + 1),
                Item::End(_) => panic!("the run goes on"),
            }
            true
        });
        (u64::try_from(alerts.len()).unwrap(), lost, gaps)
    }

    /// Gaps of the first round were lost once the ring had wrapped twice without a collector.
    #[test]
    fn every_alert_is_in_the_spool_or_in_a_gap_however_often_the_ring_wraps() {
        let (_directory, mut spool) = spool(|_| {});
        for number in 1..=5_000 {
            let severity = if number % 50 == 0 { Severity::High } else { Severity::Low };
            spool.enqueue(&alert(number, severity), Uptime::ZERO);
        }
        assert!(spool.log().stats().overwritten > 2_000, "the ring wrapped");
        let (alerts, lost, gaps) = delivered_or_lost(&mut spool);
        assert_eq!((alerts + lost, spool.counts().lost_full), (5_000, lost));
        assert_eq!((spool.waiting_items(), gaps <= 3), (alerts + gaps, true), "{gaps} gaps");
    }

    /// A gap that may have been sent keeps its range, by which the collector recognises it.
    #[test]
    fn a_gap_that_was_sent_does_not_change() {
        let (_directory, mut spool) = spool(|_| {});
        spool.welcome(None, sentinel_uplink::PROTOCOL_VERSION);
        spool.record_queue_overflow([7, 0, 0, 0, 0]);
        let (mut sent, mut records, boot) = (None, None, spool.boot());
        spool.unsent(|record, item| {
            crate::spool::SentRecords::add(&mut records, record, &item, boot);
            if let Item::Gap(gap) = item {
                sent = Some(gap);
            }
            false
        });
        let gap = sent.unwrap();
        assert!(spool.sent(gap.last(), records.unwrap(), Uptime::ZERO).is_ok());
        spool.delivery().disconnected();
        for number in 1..=2_000 {
            spool.record_queue_overflow([1, 0, 0, 0, 0]);
            spool.enqueue(&alert(number, Severity::Low), Uptime::ZERO);
        }
        assert!(spool.log().stats().overwritten > 500, "the ring wrapped");
        let mut found = 0;
        spool.unsent(|_, item| {
            found += u32::from(matches!(item, Item::Gap(other) if other == gap));
            true
        });
        let (alerts, lost, _) = delivered_or_lost(&mut spool);
        assert_eq!((found, alerts + lost), (1, 4_007));
    }

    /// The immediate flush for a severe alert overwrote the oldest segment and counted no loss.
    #[test]
    fn a_flush_for_a_severe_alert_counts_every_loss() {
        let (_directory, mut spool) = spool(|settings| {
            (settings.log_flush_severity, settings.log_daily_kib) = (Severity::High, 0);
        });
        for number in 1..=200 {
            spool.enqueue(&alert(number, Severity::High), Uptime::ZERO);
        }
        assert!(spool.log().stats().overwritten > 20, "the ring wrapped");
        let (alerts, lost, _) = delivered_or_lost(&mut spool);
        assert_eq!(alerts + lost, 200);
    }

    /// With the daily limit reached, the same segment was relocated again at each alert.
    #[test]
    fn with_the_daily_limit_reached_no_loss_is_counted_twice() {
        let (_directory, mut spool) = spool(|settings| settings.log_daily_kib = 1);
        for number in 1..=3_000 {
            spool.enqueue(&alert(number, Severity::Low), Uptime::ZERO);
        }
        let (alerts, lost, _) = delivered_or_lost(&mut spool);
        let unwritten: u64 = spool.unwritten_gaps.iter().map(Gap::lost).sum();
        assert_eq!((alerts + lost + unwritten, spool.counts().lost()), (3_000, lost + unwritten));
    }
}
