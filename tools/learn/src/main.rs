//! `sentinel-learn`: trains the table of `dga`, and judges it by labelled lists.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "a program that prints tables")]

mod evaluate;
mod families;
mod preload;
mod train;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "Trains and judges the table that the sensor scores names with")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Trains the table from the preload list of browsers and from generators, and writes it
    Train {
        /// `hstspreload.bin` of the Python package `hstspreload` (version in README.md)
        #[arg(long)]
        benign: PathBuf,
        /// The table, `sentinel-appliance/detect/src/detectors/dns/dga.table`
        #[arg(short, long)]
        output: PathBuf,
    },
    /// Prints how well the sensor's table separates a list: lines of name, `dga` or `benign`, family, with tabs between
    Evaluate {
        /// The list
        list: PathBuf,
        /// Leave out benign names that are in the training list
        #[arg(long)]
        benign: Option<PathBuf>,
    },
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Train { benign, output } => train::train(&preload::labels(&benign)?, &output),
        Command::Evaluate { list, benign } => {
            let known = benign.map(|path| preload::labels(&path)).transpose()?;
            print!("{}", evaluate::table(&std::fs::read_to_string(list)?, &known.unwrap_or_default()));
            Ok(())
        }
    }
}
