//! Interleaved rounds, and the figures computed from them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use super::subjects::Subject;
use crate::child::{self, Cost};
use crate::report::{median, per};

/// A program whose run over the whole capture takes longer than this runs in two rounds only.
const SLOW_NS: u64 = 3_000_000_000;
/// Rounds of a slow program.
const SLOW_ROUNDS: u32 = 2;

/// Costs of one subject in each round: for the whole capture, and for its first packet alone.
#[derive(Default)]
pub(super) struct Rounds {
    pub(super) whole: Vec<Cost>,
    pub(super) start: Vec<Cost>,
}

/// Figures of one subject. Times are per packet and net of start-up.
pub(super) struct Figures {
    pub(super) best_ns: f64,
    pub(super) median_ns: f64,
    pub(super) start_ms: f64,
    pub(super) peak_rss_kib: u64,
    pub(super) rounds: usize,
}

/// Runs every subject in every round, so that a disturbance of the machine affects all of them alike. Returns the costs by
/// name, and the reason for each subject that failed; a failed subject is not run again.
pub(super) fn interleaved(
    subjects: &[Subject<'_>],
    file: &Path,
    first: &Path,
    rounds: u32,
) -> (BTreeMap<String, Rounds>, BTreeMap<String, String>) {
    let failed = RefCell::new(BTreeMap::new());
    let mut costs: BTreeMap<String, Rounds> = BTreeMap::new();
    for round in 0..rounds.max(1) {
        for subject in subjects {
            let entry = costs.entry(subject.name.clone()).or_default();
            let is_slow = entry.whole.iter().any(|cost| cost.cpu_ns > SLOW_NS);
            if failed.borrow().contains_key(&subject.name) || round >= SLOW_ROUNDS && is_slow {
                continue;
            }
            let run = |file| child::cost(&mut (subject.command)(file));
            match run(first).and_then(|start| Ok((start, run(file)?))) {
                Ok((start, whole)) => {
                    entry.start.push(start);
                    entry.whole.push(whole);
                }
                Err(error) => {
                    failed.borrow_mut().insert(subject.name.clone(), format!("{error:#}"));
                }
            }
        }
    }
    costs.retain(|name, _| !failed.borrow().contains_key(name));
    (costs, failed.into_inner())
}

/// Figures of `rounds` over a capture of `packets`; `None` without a round.
pub(super) fn figures(rounds: &Rounds, packets: u64) -> Option<Figures> {
    let min = |costs: &[Cost], figure: fn(&Cost) -> u64| -> Option<u64> { costs.iter().map(figure).min() };
    let whole = min(&rounds.whole, |cost| cost.cpu_ns)?;
    let start = min(&rounds.start, |cost| cost.cpu_ns)?;
    // The first packet is part of both costs.
    let net = packets - 1;
    let each: Vec<f64> =
        rounds.whole.iter().map(|cost| per(cost.cpu_ns.saturating_sub(start), net)).collect();
    Some(Figures {
        best_ns: per(whole.saturating_sub(start), net),
        median_ns: median(each)?,
        start_ms: per(min(&rounds.start, |cost| cost.wall_ns)?, 1_000_000),
        peak_rss_kib: rounds.whole.iter().map(|cost| cost.peak_rss_kib).max()?,
        rounds: rounds.whole.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(cpu_ns: u64) -> Cost {
        Cost { cpu_ns, wall_ns: 2_000_000, peak_rss_kib: 100 }
    }

    #[test]
    fn start_up_and_the_first_packet_are_subtracted() {
        let rounds =
            Rounds { whole: [1_600, 1_100, 3_000].map(cost).into(), start: [150, 100, 700].map(cost).into() };
        let figures = figures(&rounds, 11).unwrap();
        assert_eq!((figures.best_ns, figures.median_ns, figures.start_ms), (100.0, 150.0, 2.0));
    }
}
