//! `cargo xtask`: the chores of this repository that are worth testing. `ci/check.sh` calls them.
//!
//! In: the manifests, the budgets, the files that git tracks, and one binary. Out: nothing but a verdict; a line per
//! offence on standard error, each saying what is wrong and what is allowed. It changes no file.

mod layers;
mod size;
mod tree;
mod workspace;

use std::path::Path;
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask <command>

  layers                      who may use whom: crates, outside packages, `no_std`, `forbid(unsafe_code)`
  size <binary> --board NAME  the size of a device binary against ci/budgets.toml
  tree                        what may not stand in a tracked file";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let root = workspace::root();
    let outcome = match words.as_slice() {
        ["layers"] => run_layers(&root),
        ["size", binary, "--board", board] | ["size", "--board", board, binary] => {
            size::check(&root, Path::new(binary), board)
        }
        ["tree"] => tree::check(&root),
        ["help" | "--help" | "-h"] => Ok(USAGE.to_owned()),
        _ => Err(vec![USAGE.to_owned()]),
    };
    match outcome {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(offences) => {
            for offence in &offences {
                eprintln!("{offence}");
            }
            ExitCode::FAILURE
        }
    }
}

/// What a chore ends with: a line to print, or what is wrong, one entry for each.
type Outcome = Result<String, Vec<String>>;

fn run_layers(root: &Path) -> Outcome {
    let crates = workspace::crates(root).map_err(|problem| vec![problem])?;
    let packages = workspace::device_packages(root).map_err(|problem| vec![problem])?;
    let offences = layers::offences(&crates, &packages);
    if !offences.is_empty() {
        return Err(offences);
    }
    Ok(format!("layers: {} crates in order, {} packages on the device", crates.len(), packages.len()))
}
