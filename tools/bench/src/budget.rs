//! Figures against `ci/budgets.toml`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use toml::Table;

/// Fails if a figure is over what the file allows for this machine's board. A budget that was not measured, and a figure
/// without a budget, are both fine.
pub(crate) fn check(file: &Path, figures: &[(&str, f64)]) -> Result<()> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let over = over(&text, std::env::consts::ARCH, figures).with_context(|| file.display().to_string())?;
    if over.is_empty() { Ok(()) } else { bail!("over budget: {}", over.join(", ")) }
}

fn over(text: &str, board: &str, figures: &[(&str, f64)]) -> Result<Vec<String>> {
    let table: Table = toml::from_str(text)?;
    let budgets = table.get("boards").and_then(|boards| boards.get(board)).and_then(toml::Value::as_table);
    let budgets: BTreeMap<&str, i64> = budgets
        .with_context(|| format!("no board '{board}'"))?
        .iter()
        .filter_map(|(name, limit)| Some((name.as_str(), limit.as_integer()?)))
        .collect();
    let mut over = Vec::new();
    for (name, found) in figures {
        let Some(limit) = budgets.get(name) else { continue };
        #[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "budgets are small")]
        if *found > *limit as f64 {
            over.push(format!("{name} is {found}, {limit} allowed"));
        }
    }
    Ok(over)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[boards.x86_64]\nmixed_ns = 250\nrss_kib = 6144\n";

    #[test]
    fn a_figure_over_its_budget_is_named() {
        assert!(over(TEXT, "x86_64", &[("mixed_ns", 250.0), ("start_ms", 9.0)]).unwrap().is_empty());
        assert_eq!(over(TEXT, "x86_64", &[("mixed_ns", 250.1)]).unwrap(), ["mixed_ns is 250.1, 250 allowed"]);
        assert!(over(TEXT, "vax", &[]).is_err());
    }
}
