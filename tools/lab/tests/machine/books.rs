//! Alerts that a sensor raised and gaps that it told, run by run, against those that the collector has.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use sentinel_lab::{AlertKey, Collector, json};
use serde_json::Value;

/// One run of the sensor, as its own answers show it.
#[derive(Debug, Default)]
struct Run {
    /// Most alerts that any answer of it named.
    raised: u64,
    /// End that a later run told: number of the next alert, and whether nothing can be lost behind it.
    told: Option<(u64, bool)>,
}

/// Runs by number.
#[derive(Debug, Default)]
pub(crate) struct Books {
    runs: BTreeMap<u64, Run>,
}

/// Sums over all runs.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Sums {
    pub(crate) runs: usize,
    /// Runs of which a later one told that their end is not known.
    pub(crate) cut_runs: u64,
    /// Least number of alerts raised: the greatest that an answer named or that is stored.
    pub(crate) raised: u64,
    pub(crate) stored: u64,
    /// Raised and not stored, from the number on that was told.
    pub(crate) told_unknown: u64,
    /// Reported as discarded by the sensor, or shown as missing by the collector.
    pub(crate) told_lost: u64,
    /// Raised, not stored and not told.
    pub(crate) unaccounted: u64,
    /// Stored more than once.
    pub(crate) doubled: usize,
}

impl Books {
    /// Enters answers of `sentinel status --json`, one a line; the last one may be torn. Returns the newest whole one.
    pub(crate) fn enter(&mut self, answers: &str) -> Result<Option<Value>> {
        let mut newest = None;
        for line in answers.split_inclusive('\n').filter(|line| line.ends_with("}\n")) {
            let Ok(status) = serde_json::from_str::<Value>(line) else { continue };
            let boot = json::number(&status, "/boot")?;
            let run = self.runs.entry(boot).or_default();
            run.raised = run.raised.max(json::number(&status, "/alerts/raised")?);
            if let Some(previous) =
                status.pointer("/alerts/previous_run").filter(|previous| !previous.is_null())
            {
                let complete = previous["complete"].as_bool().context("whether the end is complete")?;
                let next = json::number(previous, "/next_seq")?;
                self.runs.entry(json::number(previous, "/boot")?).or_default().told = Some((next, complete));
            }
            newest = Some(status);
        }
        Ok(newest)
    }

    /// Enters the ends that the messages of a run tell: those of a run that was cut before it answered.
    pub(crate) fn enter_messages(&mut self, messages: &str) {
        for line in messages.lines() {
            let ended = || {
                let (_, rest) = line.split_once("run ")?;
                let (boot, rest) = rest.split_once(" ended without a shutdown; its alerts from number ")?;
                let (next, _) = rest.split_once(' ')?;
                Some((boot.parse::<u64>().ok()?, next.parse::<u64>().ok()?))
            };
            if let Some((boot, next)) = ended() {
                self.runs.entry(boot).or_default().told = Some((next, false));
            }
        }
    }

    /// Compares with the row of the sensor and with the alerts that are stored.
    pub(crate) fn compare(&self, collector: &Collector<'_>, name: &str) -> Result<Sums> {
        let row = collector.sensor(name)?;
        let told_lost = json::number(&row, "/alerts_lost")? + json::number(&row, "/alerts_missing")?;
        let sums = self.sums(&collector.stored()?, told_lost);
        let unclean = json::number(&row, "/runs_unclean")?;
        ensure!(
            unclean >= sums.cut_runs,
            "{unclean} runs without a known end at the collector: {row}, {sums:?}"
        );
        let state = json::text(&row, "/accounting/state")?;
        ensure!(sums.cut_runs == 0 || state == "unknown", "the collector shows {state}: {row}");
        Ok(sums)
    }

    fn sums(&self, stored: &BTreeMap<AlertKey, u32>, told_lost: u64) -> Sums {
        let mut sums = Sums { runs: self.runs.len(), told_lost, ..Sums::default() };
        sums.doubled = stored.values().filter(|times| **times != 1).count();
        let mut holes = 0;
        let all: BTreeSet<u64> =
            self.runs.keys().copied().chain(stored.keys().map(|(boot, _)| *boot)).collect();
        for boot in all {
            let numbers: BTreeSet<u64> =
                stored.range((boot, 0)..=(boot, u64::MAX)).map(|((_, seq), _)| *seq).collect();
            let run = self.runs.get(&boot);
            let last_stored = numbers.last().copied().unwrap_or(0);
            let raised = run.map_or(0, |run| run.raised).max(last_stored);
            // As the collector counts: from the number told, or the one behind the last that is stored.
            let unknown_from = match run.and_then(|run| run.told) {
                Some((next, false)) => next.max(last_stored + 1),
                Some((_, true)) | None => u64::MAX,
            };
            sums.cut_runs += u64::from(unknown_from != u64::MAX);
            let is_absent = |seq: &u64| !numbers.contains(seq);
            holes += u64::try_from((1..=raised.min(unknown_from - 1)).filter(is_absent).count())
                .unwrap_or(u64::MAX);
            sums.told_unknown += (raised + 1).saturating_sub(unknown_from);
            sums.raised += raised;
            sums.stored += u64::try_from(numbers.len()).unwrap_or(u64::MAX);
        }
        sums.unaccounted = holes.saturating_sub(told_lost);
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(boot: u64, raised: u64, previous: &str) -> String {
        format!("{{\"boot\":{boot},\"alerts\":{{\"raised\":{raised},\"previous_run\":{previous}}}}}\n")
    }

    fn stored(keys: &[AlertKey]) -> BTreeMap<AlertKey, u32> {
        keys.iter().map(|key| (*key, 1)).collect()
    }

    #[test]
    fn what_is_neither_stored_nor_told_is_unaccounted() {
        let mut books = Books::default();
        let cut = r#"{"boot":1,"next_seq":3,"complete":false}"#;
        books.enter(&(status(1, 5, "null") + &status(2, 2, cut) + "{\"boot\":2,\"al")).unwrap();
        let sums = books.sums(&stored(&[(1, 1), (1, 2), (1, 3), (2, 1), (2, 2)]), 0);
        // Number 3 arrived before the cut, so 4 and 5 are unknown.
        assert_eq!((sums.unaccounted, sums.told_unknown, sums.raised, sums.cut_runs), (0, 2, 7, 1));
        let sums = books.sums(&stored(&[(1, 2), (2, 1)]), 0);
        assert_eq!((sums.unaccounted, sums.told_unknown), (2, 3), "1 of run 1 and 2 of run 2");
        assert_eq!(books.sums(&stored(&[(1, 2), (2, 1)]), 2).unaccounted, 0, "reported as lost");
    }

    #[test]
    fn a_run_whose_end_was_never_told_has_no_unknown_range() {
        let mut books = Books::default();
        books.enter(&status(1, 5, "null")).unwrap();
        assert_eq!(books.sums(&stored(&[(1, 1)]), 0).unaccounted, 4);
        books.enter_messages(
            "warning: run 1 ended without a shutdown; its alerts from number 2 on may be lost\n",
        );
        assert_eq!(books.sums(&stored(&[(1, 1)]), 0).unaccounted, 0);
    }

    #[test]
    fn a_complete_end_below_what_was_raised_is_a_lie() {
        let mut books = Books::default();
        books.enter(&status(1, 5, "null")).unwrap();
        books.enter(&status(2, 0, r#"{"boot":1,"next_seq":3,"complete":true}"#)).unwrap();
        assert_eq!(books.sums(&stored(&[(1, 1), (1, 2)]), 0).unaccounted, 3);
        let twice = BTreeMap::from([((1, 1), 2)]);
        assert_eq!(books.sums(&twice, 0).doubled, 1);
    }
}
