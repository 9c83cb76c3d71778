//! Results of one capture: the JSON fields, and the table on standard error.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::rounds::Figures;
use super::subjects::FLOOR_PREFIX;
use crate::peers::REFERENCE;

/// Figures of every subject of one capture, in the order in which they ran.
pub(super) struct Results<'r> {
    pub(super) capture: &'r str,
    pub(super) packets: u64,
    pub(super) figures: Vec<(String, Figures)>,
    /// Peers that are not installed.
    pub(super) absent: Vec<String>,
    /// Subjects that failed, and why.
    pub(super) failed: BTreeMap<String, String>,
}

impl Results<'_> {
    /// Figures of the subject called `name`.
    pub(super) fn of(&self, name: &str) -> Option<&Figures> {
        self.figures.iter().find(|(found, _)| found == name).map(|(_, figures)| figures)
    }

    /// The cheapest program of the read floor.
    fn floor(&self) -> Option<(&str, f64)> {
        self.figures
            .iter()
            .filter(|(name, _)| name.starts_with(FLOOR_PREFIX))
            .map(|(name, figures)| (name.as_str(), figures.best_ns))
            .min_by(|(_, a), (_, b)| a.total_cmp(b))
    }

    /// Best time of `figures` as a share of the reference's; `None` if the reference was not measured.
    pub(super) fn ratio_to_reference(&self, figures: &Figures) -> Option<f64> {
        ratio(figures.best_ns, self.of(REFERENCE).map(|reference| reference.best_ns))
    }

    /// Fields of the JSON line, with `ours` as the figures that are promised.
    pub(super) fn to_json(&self, ours: &Figures) -> Value {
        let floor = self.floor();
        let floor_ns = floor.map(|(_, ns)| ns);
        let subjects: Map<String, Value> =
            self.figures.iter().map(|(name, figures)| (name.clone(), self.subject(figures))).collect();
        json!({
            "bench": "path",
            "capture": self.capture,
            "packets": self.packets,
            "ns_per_packet": round(ours.best_ns),
            "floor": floor.map(|(name, _)| name),
            "floor_ns_per_packet": floor_ns.map(round),
            "ratio_to_floor": ratio(ours.best_ns, floor_ns),
            "ratio_to_tcpdump": self.ratio_to_reference(ours),
            "peak_rss_kib": ours.peak_rss_kib,
            "start_ms": round(ours.start_ms),
            "subjects": subjects,
            "not_installed": self.absent,
            "failed": self.failed,
        })
    }

    fn subject(&self, figures: &Figures) -> Value {
        let reference = self.of(REFERENCE);
        json!({
            "ns": round(figures.best_ns),
            "ns_median": round(figures.median_ns),
            "ratio_to_tcpdump": self.ratio_to_reference(figures),
            "ratio_to_tcpdump_median": ratio(figures.median_ns, reference.map(|it| it.median_ns)),
            "ratio_to_floor": ratio(figures.best_ns, self.floor().map(|(_, ns)| ns)),
            "peak_rss_kib": figures.peak_rss_kib,
            "start_ms": round(figures.start_ms),
            "rounds": figures.rounds,
        })
    }

    /// Table with one line for each subject.
    pub(super) fn to_table(&self) -> String {
        let mut text = format!("{}: {} packets\n", self.capture, self.packets);
        let head = ["", "ns/packet", "median", "x tcpdump", "peak KiB", "start ms", "rounds"];
        let mut line = |cells: [&str; 7]| {
            let [name, best, median, ratio, peak, start, rounds] = cells;
            let _infallible = writeln!(
                text,
                "{name:<24} {best:>9} {median:>9} {ratio:>9} {peak:>9} {start:>9} {rounds:>6}"
            );
        };
        line(head);
        for (name, figures) in &self.figures {
            let ratio =
                self.ratio_to_reference(figures).map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
            line([
                name,
                &format!("{:.1}", figures.best_ns),
                &format!("{:.1}", figures.median_ns),
                &ratio,
                &figures.peak_rss_kib.to_string(),
                &format!("{:.1}", figures.start_ms),
                &figures.rounds.to_string(),
            ]);
        }
        for name in &self.absent {
            let _infallible = writeln!(text, "{name}: skipped, not installed");
        }
        for (name, reason) in &self.failed {
            let _infallible = writeln!(text, "{name}: skipped, {reason}");
        }
        text
    }
}

/// `part` as a share of `whole`, to three digits after the point; `None` without a positive `whole`.
fn ratio(part: f64, whole: Option<f64>) -> Option<f64> {
    whole.filter(|whole| *whole > 0.0).map(|whole| ((part / whole) * 1_000.0).round() / 1_000.0)
}

/// `figure` to one digit after the point.
pub(super) fn round(figure: f64) -> f64 {
    (figure * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_needs_something_to_compare_with() {
        assert_eq!(ratio(100.0, Some(300.0)), Some(0.333));
        assert_eq!((ratio(1.0, Some(0.0)), ratio(1.0, None)), (None, None));
    }
}
