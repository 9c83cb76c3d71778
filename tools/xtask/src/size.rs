//! The size of a device binary against its budget.
//!
//! Flash is the scarcest thing on a router: image, settings and our log share 16 MB, often 8.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;

use crate::Outcome;
use crate::workspace::read;

const BUDGETS: &str = "ci/budgets.toml";

#[derive(Deserialize)]
struct Budgets {
    boards: BTreeMap<String, Board>,
}

/// What one board promises; the other figures belong to `tools/bench`.
#[derive(Deserialize)]
struct Board {
    binary_kib: u64,
}

/// Compares the file `binary` with the budget of `board`.
pub(crate) fn check(root: &Path, binary: &Path, board: &str) -> Outcome {
    let size = fs::metadata(binary).map_err(|error| vec![format!("{}: {error}", binary.display())])?.len();
    let limit = read(&root.join(BUDGETS))
        .and_then(|budgets| limit_kib(&budgets, board))
        .map_err(|problem| vec![problem])?;
    verdict(board, size, limit).map_err(|problem| vec![problem])
}

fn limit_kib(budgets: &str, board: &str) -> Result<u64, String> {
    let budgets: Budgets = toml::from_str(budgets).map_err(|error| format!("{BUDGETS}: {error}"))?;
    let found = budgets.boards.get(board).ok_or_else(|| {
        let known: Vec<&str> = budgets.boards.keys().map(String::as_str).collect();
        format!("{BUDGETS}: no board `{board}`; it has {}", known.join(", "))
    })?;
    if found.binary_kib == 0 {
        return Err(format!("{BUDGETS}: binary_kib of `{board}` is 0"));
    }
    Ok(found.binary_kib)
}

/// Rounds up: a started KiB is a used one.
fn verdict(board: &str, size_bytes: u64, limit_kib: u64) -> Result<String, String> {
    let size_kib = size_bytes.div_ceil(1024);
    let share = size_kib.saturating_mul(100) / limit_kib;
    let line = format!("{board}: {size_kib} KiB of {limit_kib} KiB ({share} %)");
    if size_kib > limit_kib {
        return Err(format!("{line}: over the budget by {} KiB", size_kib.saturating_sub(limit_kib)));
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = "[boards.armv7]\nbinary_kib = 900\nrss_kib = 6144\n[boards.none]\nbinary_kib = 0\n";

    #[test]
    fn a_budget_is_met_to_the_byte() {
        assert_eq!(verdict("armv7", 900 * 1024, 900).unwrap(), "armv7: 900 KiB of 900 KiB (100 %)");
        assert_eq!(
            verdict("armv7", 900 * 1024 + 1, 900).unwrap_err(),
            "armv7: 901 KiB of 900 KiB (100 %): over the budget by 1 KiB"
        );
        assert_eq!(verdict("mips", 450 * 1024, 900).unwrap(), "mips: 450 KiB of 900 KiB (50 %)");
    }

    #[test]
    fn boards_are_found_by_name() {
        assert_eq!(limit_kib(SAMPLE, "armv7").unwrap(), 900);
        assert_eq!(
            limit_kib(SAMPLE, "sparc").unwrap_err(),
            "ci/budgets.toml: no board `sparc`; it has armv7, none"
        );
        assert!(limit_kib(SAMPLE, "none").unwrap_err().ends_with("is 0"));
        assert!(limit_kib("boards = 3", "armv7").is_err());
    }

    #[test]
    fn every_board_that_is_built_has_a_budget() {
        let budgets = read(&crate::workspace::root().join(BUDGETS)).unwrap();
        for board in ["armv7", "aarch64", "mipsel", "mips", "x86_64"] {
            assert!(limit_kib(&budgets, board).unwrap() <= 1_180, "{board}");
        }
    }
}
