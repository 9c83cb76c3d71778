//! Size of a device binary against its budget.
//!
//! Flash is scarce on a router: image, settings and our log share 16 MB, often 8.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::Verdict;
use crate::workspace::read;

const BUDGETS: &str = "ci/budgets.toml";

#[derive(Deserialize)]
struct Budgets {
    boards: BTreeMap<String, Board>,
}

/// Budgets of one board that are read here; the other figures belong to `tools/bench`.
#[derive(Deserialize)]
struct Board {
    binary_kib: u64,
}

/// Compares the size of the file `binary` with the budget of `board`.
pub(crate) fn check(root: &Path, binary: &Path, board: &str) -> Result<Verdict> {
    let size = fs::metadata(binary).with_context(|| binary.display().to_string())?.len();
    let limit = limit_kib(&read(&root.join(BUDGETS))?, board)?;
    Ok(verdict(board, size, limit))
}

fn limit_kib(budgets: &str, board: &str) -> Result<u64> {
    let budgets: Budgets = toml::from_str(budgets).context(BUDGETS)?;
    let found = budgets.boards.get(board).with_context(|| {
        let known: Vec<&str> = budgets.boards.keys().map(String::as_str).collect();
        format!("{BUDGETS}: no board `{board}`; it has {}", known.join(", "))
    })?;
    ensure!(found.binary_kib > 0, "{BUDGETS}: binary_kib of `{board}` is 0");
    Ok(found.binary_kib)
}

/// Rounds up: a KiB that is started counts as used.
fn verdict(board: &str, size_bytes: u64, limit_kib: u64) -> Verdict {
    let size_kib = size_bytes.div_ceil(1024);
    let share = size_kib.saturating_mul(100) / limit_kib;
    let line = format!("{board}: {size_kib} KiB of {limit_kib} KiB ({share} %)");
    if size_kib > limit_kib {
        let excess = size_kib.saturating_sub(limit_kib);
        return Verdict::Failed(vec![format!("{line}: over the budget by {excess} KiB")]);
    }
    Verdict::Passed(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = "[boards.armv7]\nbinary_kib = 900\nrss_kib = 6144\n[boards.none]\nbinary_kib = 0\n";

    #[test]
    fn a_budget_is_met_to_the_byte() {
        let passed = |line: &str| Verdict::Passed(line.to_owned());
        assert_eq!(verdict("armv7", 900 * 1024, 900), passed("armv7: 900 KiB of 900 KiB (100 %)"));
        assert_eq!(
            verdict("armv7", 900 * 1024 + 1, 900),
            Verdict::Failed(vec!["armv7: 901 KiB of 900 KiB (100 %): over the budget by 1 KiB".to_owned()])
        );
        assert_eq!(verdict("mips", 450 * 1024, 900), passed("mips: 450 KiB of 900 KiB (50 %)"));
    }

    #[test]
    fn boards_are_found_by_name() {
        assert_eq!(limit_kib(SAMPLE, "armv7").unwrap(), 900);
        assert_eq!(
            limit_kib(SAMPLE, "sparc").unwrap_err().to_string(),
            "ci/budgets.toml: no board `sparc`; it has armv7, none"
        );
        assert!(limit_kib(SAMPLE, "none").unwrap_err().to_string().ends_with("is 0"));
        assert!(limit_kib("boards = 3", "armv7").is_err());
    }

    #[test]
    fn every_board_that_is_built_has_a_budget() {
        let budgets = read(&crate::workspace::root().join(BUDGETS)).unwrap();
        for board in ["armv7", "aarch64", "mipsel", "mips", "x86_64"] {
            assert!(limit_kib(&budgets, board).unwrap() <= 1_700, "{board}");
        }
    }
}
