//! `cargo xtask`: checks of this repository that need tests of their own. `ci/check.sh` calls them.
//!
//! In: manifests, lock file, budgets, tracked files, one binary. Out: one line if the check passes, else a line per violation on standard error
//! with what is wrong and what is allowed. Only `advisories --update` changes a file.

mod advisories;
mod growth;
mod layers;
mod mips;
mod modules;
mod sbom;
mod size;
mod tree;
mod workspace;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};

const USAGE: &str = "\
usage: cargo xtask <command>

  advisories [--update FOLDER]
                              locked packages against the advisories in ci/advisories.toml; --update
                              writes that file anew from a checkout of the RustSec advisory database
  layers                      order of crates, outside packages, `no_std`, `forbid(unsafe_code)`,
                              circles of modules within a crate
  growth detector|protocol NAME
                              files that name a detector or a protocol, for example `growth detector udp_flood`
  mips-syscalls <binary>      a MIPS program reads no register that Linux has changed during a system call
  sbom PACKAGE [--debian LIST]
                              components of a program and of an image as CycloneDX 1.5
  size <binary> --board NAME  the size of a device binary against ci/budgets.toml
  tree                        what may not stand in a tracked file";

#[expect(clippy::print_stdout, reason = "the result of a command")]
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let root = workspace::root();
    match run(&words, &root) {
        Ok(Verdict::Passed(summary)) => {
            println!("{summary}");
            ExitCode::SUCCESS
        }
        Ok(Verdict::Failed(violations)) => {
            for violation in &violations {
                eprintln!("{violation}");
            }
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Result of a check that could run.
#[derive(Debug, Eq, PartialEq)]
enum Verdict {
    /// One line for standard output.
    Passed(String),
    /// One entry for each violation: what is wrong, and what is allowed.
    Failed(Vec<String>),
}

impl Verdict {
    fn of(violations: Vec<String>, summary: impl FnOnce() -> String) -> Self {
        if violations.is_empty() { Self::Passed(summary()) } else { Self::Failed(violations) }
    }
}

fn run(words: &[&str], root: &Path) -> Result<Verdict> {
    match words {
        ["advisories"] => advisories::check(root),
        ["advisories", "--update", folder] => advisories::update(root, Path::new(folder)),
        ["layers"] => check_layers(root),
        ["size", binary, "--board", board] | ["size", "--board", board, binary] => {
            size::check(root, Path::new(binary), board)
        }
        ["mips-syscalls", binary] => mips::check(Path::new(binary)),
        ["growth", kind, name] => growth::check(root, kind, name),
        ["sbom", program] => sbom::print(root, program, None),
        ["sbom", program, "--debian", list] => sbom::print(root, program, Some(Path::new(list))),
        ["tree"] => tree::check(root),
        ["help" | "--help" | "-h"] => Ok(Verdict::Passed(USAGE.to_owned())),
        _ => bail!("{USAGE}"),
    }
}

fn check_layers(root: &Path) -> Result<Verdict> {
    let crates = workspace::crates(root)?;
    let packages = workspace::device_packages(root)?;
    let mut violations = layers::violations(&crates, &packages);
    for member in &crates {
        let tree = modules::Tree::read(&member.root_file)?;
        let circles = modules::circles(&tree.graph());
        violations.extend(circles.into_iter().map(|circle| format!("{}: {circle}", member.name)));
    }
    Ok(Verdict::of(violations, || {
        let (members, packages) = (crates.len(), packages.len());
        format!("layers: {members} crates in order, {packages} packages on the device, circles: 0")
    }))
}
