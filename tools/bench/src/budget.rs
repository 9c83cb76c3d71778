//! Comparison of figures with `ci/budgets.toml`.
//!
//! A board has two kinds of budget. Its own numbers are limits. The numbers of its table `instructions` are the last
//! measurement: counts repeat, so one percent more means that the program has changed. `--bless` rewrites that table.
//! Figures of time depend on what else the machine does: a short run fails only at twice the budget and notes what is
//! between.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use toml::Table;

/// Growth of a count above which the check fails.
const MAX_GROWTH_PERCENT: f64 = 1.0;
/// Decrease of a count above which a lower budget is suggested.
const NOTED_DECREASE_PERCENT: f64 = 3.0;
/// Figures of time, and ratios of times.
const TIMES: [&str; 5] =
    ["mixed_to_tcpdump", "hostile_ratio", "live_loss_of_rate", "latency_p50_ms", "start_ms"];
/// Table of the counts, and the prefix of their figures' names.
const COUNTS: &str = "instructions";

/// Length of a measurement, which decides how far figures of time are trusted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Run {
    /// Few packets, as CI runs it: a time fails at twice its budget.
    Short,
    /// A bench of its own: a time fails at its budget.
    Full,
}

/// Fails if a figure exceeds its budget for this machine's board. Budgets that were not measured and figures without a
/// budget are ignored.
pub(crate) fn check(file: &Path, figures: &[(String, f64)], run: Run) -> Result<()> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let comparison =
        compare(&text, std::env::consts::ARCH, figures, run).with_context(|| file.display().to_string())?;
    for note in &comparison.notes {
        eprintln!("bench: {note}");
    }
    if comparison.over.is_empty() {
        Ok(())
    } else {
        bail!("over budget:\n  {}", comparison.over.join("\n  "))
    }
}

/// Writes the measured counts into the file as new budgets. Counts that were not measured stay unchanged.
pub(crate) fn bless(file: &Path, figures: &[(String, f64)]) -> Result<()> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let written = blessed(&text, std::env::consts::ARCH, figures)?;
    fs::write(file, written).with_context(|| file.display().to_string())
}

/// Outcome of a comparison.
#[derive(Debug, Default)]
struct Comparison {
    /// Figures over budget, as text.
    over: Vec<String>,
    /// Counts without a budget or far below it; times of a short run over their budget.
    notes: Vec<String>,
}

/// Name of a count: `bulk` of the figure `instructions.bulk`.
fn count_name(figure: &str) -> Option<&str> {
    figure.strip_prefix(COUNTS)?.strip_prefix('.')
}

/// Numbers of a table, by name.
fn numbers(table: &Table) -> BTreeMap<&str, f64> {
    #[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "budgets are small")]
    let number = |value: &toml::Value| value.as_float().or_else(|| value.as_integer().map(|it| it as f64));
    table.iter().filter_map(|(name, limit)| Some((name.as_str(), number(limit)?))).collect()
}

/// Compares `figures` with the budgets of `board` in `text`.
fn compare(text: &str, board: &str, figures: &[(String, f64)], run: Run) -> Result<Comparison> {
    let table: Table = toml::from_str(text)?;
    let board_table =
        table.get("boards").and_then(|boards| boards.get(board)).and_then(toml::Value::as_table);
    let board_table = board_table.with_context(|| format!("no board '{board}'"))?;
    let limits = numbers(board_table);
    let counts = board_table.get(COUNTS).and_then(toml::Value::as_table).map(numbers).unwrap_or_default();
    let mut comparison = Comparison::default();
    for (name, found) in figures {
        let Some(count) = count_name(name) else {
            if let Some(limit) = limits.get(name.as_str()).filter(|limit| found > limit) {
                let text = format!("{name} is {found}, {limit} allowed");
                if run == Run::Short && TIMES.contains(&name.as_str()) && *found <= limit * 2.0 {
                    comparison.notes.push(format!("{text}; a short run does not judge that"));
                } else {
                    comparison.over.push(text);
                }
            }
            continue;
        };
        let Some(before) = counts.get(count) else {
            comparison.notes.push(format!("{count}: {found} instructions, no budget; `--bless` writes one"));
            continue;
        };
        let percent = (found / before - 1.0) * 100.0;
        if found * 100.0 > before * (100.0 + MAX_GROWTH_PERCENT) {
            comparison.over.push(format!(
                "{count} is {found} instructions, {percent:+.1} % over {before}, {MAX_GROWTH_PERCENT} % allowed"
            ));
        } else if percent < -NOTED_DECREASE_PERCENT {
            comparison.notes.push(format!(
                "{count} is {found} instructions, {percent:+.1} % of {before}: tighten the budget with `--bless`"
            ));
        }
    }
    Ok(comparison)
}

/// Returns `text` with the table of counts replaced, or appended if there is none; everything else is unchanged.
fn blessed(text: &str, board: &str, figures: &[(String, f64)]) -> Result<String> {
    let parsed: Table = toml::from_str(text)?;
    let head = format!("[boards.{board}.{COUNTS}]");
    let before = parsed
        .get("boards")
        .and_then(|boards| boards.get(board)?.get(COUNTS))
        .and_then(toml::Value::as_table);
    let mut counts = before.map(numbers).unwrap_or_default();
    counts.extend(figures.iter().filter_map(|(name, found)| Some((count_name(name)?, *found))));
    let mut lines: Vec<&str> = text.lines().collect();
    let at = match lines.iter().position(|line| line.trim() == head) {
        Some(at) => at,
        None => {
            lines.extend(["", head.as_str()]);
            lines.len() - 1
        }
    };
    let is_count = |line: &&&str| line.split_once('=').is_some_and(|_| !line.trim_start().starts_with('#'));
    let after = lines.iter().skip(at + 1).take_while(is_count).count();
    let mut written = String::new();
    for line in lines.iter().take(at + 1) {
        let _infallible = writeln!(written, "{line}");
    }
    for (name, count) in counts {
        let _infallible = writeln!(written, "{name} = {count:.1}");
    }
    for line in lines.iter().skip(at + 1 + after) {
        let _infallible = writeln!(written, "{line}");
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[boards.x86_64]\nmixed_ns = 250\nmixed_to_tcpdump = 0.5\n\n\
                        # Counts.\n[boards.x86_64.instructions]\nbulk = 200.0\nsyn-flood = 300\n\n[boards.vax]\n";

    fn figures(list: &[(&str, f64)]) -> Vec<(String, f64)> {
        list.iter().map(|(name, figure)| ((*name).to_owned(), *figure)).collect()
    }

    fn over(list: &[(&str, f64)]) -> Vec<String> {
        compare(TEXT, "x86_64", &figures(list), Run::Full).unwrap().over
    }

    #[test]
    fn a_figure_over_its_budget_is_named() {
        assert!(over(&[("mixed_ns", 250.0), ("start_ms", 9.0), ("mixed_to_tcpdump", 0.5)]).is_empty());
        assert_eq!(over(&[("mixed_ns", 250.1)]), ["mixed_ns is 250.1, 250 allowed"]);
        assert_eq!(over(&[("mixed_to_tcpdump", 0.51)]), ["mixed_to_tcpdump is 0.51, 0.5 allowed"]);
        assert!(compare(TEXT, "pdp", &[], Run::Full).is_err());
    }

    #[test]
    fn a_short_run_fails_at_twice_the_budget_of_a_time() {
        let short = |figure: (&str, f64)| compare(TEXT, "x86_64", &figures(&[figure]), Run::Short).unwrap();
        let noisy = short(("mixed_to_tcpdump", 0.9));
        assert!(noisy.over.is_empty() && noisy.notes[0].contains("0.9"), "{noisy:?}");
        assert_eq!(short(("mixed_to_tcpdump", 1.1)).over.len(), 1);
        assert_eq!(short(("mixed_ns", 250.1)).over.len(), 1);
        assert_eq!(short(("instructions.bulk", 203.0)).over.len(), 1);
    }

    #[test]
    fn counts_may_grow_by_one_percent() {
        assert!(over(&[("instructions.bulk", 202.0), ("instructions.syn-flood", 303.0)]).is_empty());
        assert_eq!(over(&[("instructions.bulk", 202.1)]).len(), 1);
        let lower = compare(TEXT, "x86_64", &figures(&[("instructions.bulk", 193.9)]), Run::Full).unwrap();
        assert!(lower.over.is_empty() && lower.notes[0].contains("tighten"), "{lower:?}");
        let unknown = compare(TEXT, "x86_64", &figures(&[("instructions.http", 9.0)]), Run::Full).unwrap();
        assert!(unknown.over.is_empty() && unknown.notes[0].contains("no budget"), "{unknown:?}");
    }

    #[test]
    fn blessing_changes_only_the_counts_that_were_measured() {
        let written =
            blessed(TEXT, "x86_64", &figures(&[("instructions.bulk", 180.04), ("mixed_ns", 1.0)])).unwrap();
        assert_eq!(
            written,
            TEXT.replace("bulk = 200.0\nsyn-flood = 300\n", "bulk = 180.0\nsyn-flood = 300.0\n")
        );
        let added = blessed(TEXT, "vax", &figures(&[("instructions.bulk", 7.0)])).unwrap();
        assert_eq!(added, format!("{TEXT}\n[boards.vax.instructions]\nbulk = 7.0\n"));
        let again = blessed(&added, "vax", &figures(&[("instructions.bulk", 7.0)])).unwrap();
        assert_eq!(again, added);
    }
}
