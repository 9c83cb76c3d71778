//! Figures against `ci/budgets.toml`.
//!
//! Two sorts of promise stand there for a board. Its own numbers are limits. Those of its table `instructions` are what was
//! measured last: counts repeat, so that one percent more is a change of the program. `--bless` writes that table anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use toml::Table;

/// What a count may grow by.
const ALLOWED_PERCENT: f64 = 1.0;
/// What it shrinks by before it should be written down.
const WORTH_KEEPING_PERCENT: f64 = 3.0;
/// Counts whose names begin so belong into the table of the same name.
const COUNTS: &str = "instructions";

/// Fails if a figure is over what the file allows for this machine's board. A budget that was not measured, and a figure
/// without a budget, are both fine.
pub(crate) fn check(file: &Path, figures: &[(String, f64)]) -> Result<()> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let verdict =
        judge(&text, std::env::consts::ARCH, figures).with_context(|| file.display().to_string())?;
    for note in &verdict.notes {
        eprintln!("bench: {note}");
    }
    if verdict.over.is_empty() { Ok(()) } else { bail!("over budget:\n  {}", verdict.over.join("\n  ")) }
}

/// Writes the counts among the figures into the file, as what is allowed from now on. A count that was not measured this
/// time stays as it was.
pub(crate) fn bless(file: &Path, figures: &[(String, f64)]) -> Result<()> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let written = blessed(&text, std::env::consts::ARCH, figures)?;
    fs::write(file, written).with_context(|| file.display().to_string())
}

#[derive(Debug, Default)]
struct Verdict {
    over: Vec<String>,
    notes: Vec<String>,
}

/// `instructions.bulk` -> `bulk`.
fn count_name(figure: &str) -> Option<&str> {
    figure.strip_prefix(COUNTS)?.strip_prefix('.')
}

fn numbers(table: &Table) -> BTreeMap<&str, f64> {
    #[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "budgets are small")]
    let number = |value: &toml::Value| value.as_float().or_else(|| value.as_integer().map(|it| it as f64));
    table.iter().filter_map(|(name, limit)| Some((name.as_str(), number(limit)?))).collect()
}

fn judge(text: &str, board: &str, figures: &[(String, f64)]) -> Result<Verdict> {
    let table: Table = toml::from_str(text)?;
    let board_table =
        table.get("boards").and_then(|boards| boards.get(board)).and_then(toml::Value::as_table);
    let board_table = board_table.with_context(|| format!("no board '{board}'"))?;
    let limits = numbers(board_table);
    let counts = board_table.get(COUNTS).and_then(toml::Value::as_table).map(numbers).unwrap_or_default();
    let mut verdict = Verdict::default();
    for (name, found) in figures {
        let Some(count) = count_name(name) else {
            if let Some(limit) = limits.get(name.as_str()).filter(|limit| found > limit) {
                verdict.over.push(format!("{name} is {found}, {limit} allowed"));
            }
            continue;
        };
        let Some(before) = counts.get(count) else {
            verdict.notes.push(format!("{count}: {found} instructions, and no budget; `--bless` writes it"));
            continue;
        };
        let percent = (found / before - 1.0) * 100.0;
        if found * 100.0 > before * (100.0 + ALLOWED_PERCENT) {
            verdict.over.push(format!(
                "{count} is {found} instructions, {percent:+.1} % over {before}, {ALLOWED_PERCENT} % allowed"
            ));
        } else if percent < -WORTH_KEEPING_PERCENT {
            verdict.notes.push(format!(
                "{count} is {found} instructions, {percent:+.1} % of {before}: tighten the budget with `--bless`"
            ));
        }
    }
    Ok(verdict)
}

/// The text with the table of counts replaced, or added at the end; everything else as it was.
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
        judge(TEXT, "x86_64", &figures(list)).unwrap().over
    }

    #[test]
    fn a_figure_over_its_budget_is_named() {
        assert!(over(&[("mixed_ns", 250.0), ("start_ms", 9.0), ("mixed_to_tcpdump", 0.5)]).is_empty());
        assert_eq!(over(&[("mixed_ns", 250.1)]), ["mixed_ns is 250.1, 250 allowed"]);
        assert_eq!(over(&[("mixed_to_tcpdump", 0.51)]), ["mixed_to_tcpdump is 0.51, 0.5 allowed"]);
        assert!(judge(TEXT, "pdp", &[]).is_err());
    }

    #[test]
    fn counts_may_grow_by_one_percent() {
        assert!(over(&[("instructions.bulk", 202.0), ("instructions.syn-flood", 303.0)]).is_empty());
        assert_eq!(over(&[("instructions.bulk", 202.1)]).len(), 1);
        let verdict = judge(TEXT, "x86_64", &figures(&[("instructions.bulk", 193.9)])).unwrap();
        assert!(verdict.over.is_empty() && verdict.notes[0].contains("tighten"), "{verdict:?}");
        let verdict = judge(TEXT, "x86_64", &figures(&[("instructions.http", 9.0)])).unwrap();
        assert!(verdict.over.is_empty() && verdict.notes[0].contains("no budget"), "{verdict:?}");
    }

    #[test]
    fn blessing_changes_the_counts_that_were_measured_and_nothing_else() {
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
