//! `lab`: the demonstration, and the network alone for manual experiments.

#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
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
}

fn main() -> ExitCode {
    if let Some(reason) = impossible() {
        eprintln!("lab: {reason}");
        return ExitCode::FAILURE;
    }
    let outcome = match Arguments::parse().command {
        Command::Demo { seconds, keep, port } => {
            let duration = (!keep).then_some(Duration::from_secs(seconds));
            demo::demo(demo::Settings { duration, port })
        }
        Command::Network => demo::network(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lab: {error:#}");
            ExitCode::FAILURE
        }
    }
}
