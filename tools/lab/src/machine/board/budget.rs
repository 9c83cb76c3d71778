//! Budgets of a board in `ci/budgets.toml`.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use toml::Table;

/// Limits of one board.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Limits {
    /// Highest resident memory, in KiB.
    pub(super) rss_kib: u64,
    /// Highest resident memory with `memory_kib` `tiny`.
    pub(super) rss_tiny_kib: u64,
    /// Instructions of a frame, by kind of traffic, and of a start.
    pub(super) instructions: BTreeMap<String, f64>,
}

impl Limits {
    /// Limits of `board` in the text of the file.
    pub(super) fn read(text: &str, board: &str) -> Result<Self> {
        let table: Table = toml::from_str(text).context("the budgets")?;
        let table = table.get("boards").and_then(|boards| boards.get(board)?.as_table());
        let table = table.with_context(|| format!("no board '{board}' in the budgets"))?;
        let limit = |name: &str| -> Result<u64> {
            let number = table.get(name).and_then(toml::Value::as_integer);
            let number = number.with_context(|| format!("no budget {name} of '{board}'"))?;
            Ok(u64::try_from(number)?)
        };
        #[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "budgets are small")]
        let number =
            |value: &toml::Value| value.as_float().or_else(|| value.as_integer().map(|it| it as f64));
        let counts = table.get("instructions").and_then(toml::Value::as_table);
        let counts =
            counts.into_iter().flatten().filter_map(|(name, value)| Some((name.clone(), number(value)?)));
        Ok(Self {
            rss_kib: limit("rss_kib")?,
            rss_tiny_kib: limit("rss_tiny_kib")?,
            instructions: counts.collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_board_has_limits() {
        let text = include_str!("../../../../../ci/budgets.toml");
        for board in super::super::kind::BOARDS {
            let limits = Limits::read(text, board.name).unwrap();
            assert!(limits.rss_tiny_kib < limits.rss_kib && limits.rss_kib <= 8_192, "{limits:?}");
        }
        assert!(Limits::read(text, "sparc").unwrap_err().to_string().contains("no board 'sparc'"));
        let error = Limits::read("[boards.a]\nrss_kib = 1\n", "a").unwrap_err().to_string();
        assert_eq!(error, "no budget rss_tiny_kib of 'a'");
    }
}
