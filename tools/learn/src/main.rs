//! `sentinel-learn`: trains the table of `dga`, judges it by labelled lists, compiles lists of indicators, and packs vendors of hardware addresses.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "a program that prints tables")]

mod evaluate;
mod families;
mod indicators;
mod preload;
mod train;
mod vendors;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(
    about = "Trains and judges the table that the sensor scores names with, and compiles lists of indicators"
)]
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
    /// Compiles lists of indicators for the setting `indicators_file`: lines, hosts files, CSV of abuse.ch, warning lists of MISP
    Indicators {
        /// The lists
        #[arg(required = true)]
        lists: Vec<PathBuf>,
        /// Lists of what is never an indicator: names with those they lie below, addresses and networks
        #[arg(long)]
        allow: Vec<PathBuf>,
        /// Leave out the second section: a third of the size, but all names, URLs and fingerprints stay unconfirmed
        #[arg(long)]
        small: bool,
        /// The file; replaced as a whole
        #[arg(short, long)]
        output: PathBuf,
    },
    /// Packs the prefixes of common vendors from the registry of the IEEE (version in README.md)
    Vendors {
        /// `oui.csv` of the Debian package `ieee-data`
        #[arg(long)]
        registry: PathBuf,
        /// The table, `sentinel-appliance/alert/src/vendors.table`
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
        Command::Indicators { lists, allow, small, output } => {
            println!("{}", indicators::compile(&lists, &allow, small, &output)?);
            Ok(())
        }
        Command::Vendors { registry, output } => {
            println!("{}", vendors::write(&registry, &output)?);
            Ok(())
        }
        Command::Evaluate { list, benign } => {
            let known = benign.map(|path| preload::labels(&path)).transpose()?;
            print!("{}", evaluate::table(&std::fs::read_to_string(list)?, &known.unwrap_or_default()));
            Ok(())
        }
    }
}
