//! `lab`: the demonstration, and the network alone for manual experiments.

#![forbid(unsafe_code)]

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::{Parser, Subcommand};
use sentinel_lab::machine::board::{Board, Examination};
use sentinel_lab::{demo, impossible};

/// Whole system on this machine, in network namespaces
#[derive(Parser)]
#[command(name = "lab", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show attacks on a virtual network as alerts on the terminal and on a page
    Demo {
        /// Duration
        #[arg(long, value_name = "NUMBER", default_value_t = 40, value_parser = clap::value_parser!(u64).range(5..=86_400))]
        seconds: u64,
        /// Run until Ctrl+C
        #[arg(long, conflicts_with = "seconds")]
        keep: bool,
        /// Port of the page on 127.0.0.1; any free port if it is taken
        #[arg(long, default_value_t = demo::PORT)]
        port: u16,
    },
    /// Create the namespaces and keep them until Ctrl+C
    Network,
    /// Boot an emulated board with the static program and judge it; needs neither root nor namespaces
    Board {
        /// mipsel, armv7 or aarch64
        name: String,
        /// Static program of the board
        #[arg(long, value_name = "FILE")]
        program: PathBuf,
        /// Do not count instructions, which takes another machine
        #[arg(long)]
        no_counts: bool,
        /// Unpacked packages of its kernel, as `ci/install.sh machine-NAME` leaves them
        #[arg(long, value_name = "FOLDER")]
        packages: PathBuf,
        /// Budgets
        #[arg(long, value_name = "FILE", default_value = "ci/budgets.toml")]
        budgets: PathBuf,
    },
}

fn main() -> ExitCode {
    let command = Arguments::parse().command;
    let needs_namespaces = !matches!(command, Command::Board { .. });
    if let Some(reason) = impossible().filter(|_| needs_namespaces) {
        eprintln!("lab: {reason}");
        return ExitCode::FAILURE;
    }
    let outcome = match command {
        Command::Demo { seconds, keep, port } => {
            let duration = (!keep).then_some(Duration::from_secs(seconds));
            demo::demo(demo::Settings { duration, port })
        }
        Command::Network => demo::network(),
        Command::Board { name, program, no_counts, packages, budgets } => {
            board(&name, program, (packages, budgets), !no_counts)
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lab: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Prints the checks of a board and their numbers; fails if one failed.
fn board(name: &str, program: PathBuf, (packages, budgets): (PathBuf, PathBuf), counts: bool) -> Result<()> {
    let examination = Examination { board: Board::find(name)?, program, counts, packages, budgets };
    let (passed, failed) = examination.run()?;
    writeln!(io::stdout(), "{name}: {passed} passed, {failed} failed")?;
    ensure!(failed == 0, "{failed} checks failed");
    Ok(())
}
