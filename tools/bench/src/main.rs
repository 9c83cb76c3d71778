//! `bench`: what a packet costs, in nanoseconds, instructions and memory.
//!
//! In: the built program `sentinel`, and traffic that `sentinel-trafficgen` makes. Out: one JSON line per run on
//! standard output; each names commit, target and command. Figures of time hold for one machine only, so each stands
//! beside a reference measured in the same run; instruction counts repeat.
//!
//! It never touches the machine's own interfaces: `memory` works in a network namespace that it makes and removes.
//!
//! The map: [`traffic`] makes captures, [`child`] runs programs and says what they cost, [`path`], [`instructions`] and
//! [`memory`] are the benches, [`budget`] holds figures to `ci/budgets.toml`, [`report`] writes the lines.

mod budget;
mod child;
mod instructions;
mod memory;
mod namespace;
mod path;
mod report;
mod touch;
mod traffic;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};

use crate::report::Report;
use crate::traffic::Traffic;

/// What a packet costs, in nanoseconds, instructions and memory. One JSON line per run.
#[derive(Parser)]
#[command(name = "bench", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// The program to measure [default: sentinel, beside this program]
    #[arg(long, global = true, value_name = "PROGRAM")]
    sentinel: Option<PathBuf>,
    /// Fail if a figure is over the budget that this file has for this machine's board
    #[arg(long, global = true, value_name = "FILE")]
    budgets: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Nanoseconds of CPU per packet of `sentinel read --alerts`, net of start-up
    Path {
        /// A capture of your own instead of made-up mixed traffic
        #[arg(long, value_name = "FILE")]
        pcap: Option<PathBuf>,
        /// What to make up
        #[arg(long, value_enum, default_value_t = Traffic::Mixed)]
        traffic: Traffic,
        /// Packets to make up
        #[arg(long, default_value_t = 200_000)]
        packets: u32,
        /// Runs, of which the best counts
        #[arg(long, default_value_t = 5)]
        repeat: u32,
    },
    /// Instructions per packet of each sort of traffic, net of start-up (wants valgrind)
    Instructions {
        /// One sort of traffic; all without
        #[arg(long, value_enum)]
        traffic: Option<Traffic>,
        /// Packets by which the two captures differ
        #[arg(long, default_value_t = 20_000)]
        packets: u32,
        /// Functions to name, those that take most first
        #[arg(long, default_value_t = 0)]
        top: usize,
    },
    /// Resident memory and start of `sentinel run` with default settings on a made-up wire (root only)
    Memory {
        /// Packets of the flood
        #[arg(long, default_value_t = 200_000)]
        packets: u32,
    },
    /// All three, small: less than a minute
    Light,
    /// Reads a capture as little as one can; the reference of `path`
    #[command(hide = true)]
    Touch { file: PathBuf },
    /// Sends made-up traffic; the flood of `memory`
    #[command(hide = true)]
    Flood { interface: String, traffic: Traffic, packets: u32 },
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<()> {
    match arguments.command {
        Command::Touch { file } => return touch::touch(&file),
        Command::Flood { interface, traffic, packets } => {
            let frames = Box::new(traffic.frames(packets));
            let sent = sentinel_trafficgen::send::send(&interface, 0.0, frames)?;
            println!("{sent}");
            return Ok(());
        }
        _ => {}
    }
    let sentinel = program(arguments.sentinel)?;
    let mut report = Report::new(&sentinel);
    match arguments.command {
        Command::Path { pcap, traffic, packets, repeat } => {
            ensure!(repeat > 0, "--repeat wants 1 at least");
            match pcap {
                Some(file) => path::capture(&sentinel, &file, repeat, &mut report)?,
                None => path::made_up(&sentinel, traffic, packets, repeat, &mut report)?,
            }
        }
        Command::Instructions { traffic, packets, top } => {
            ensure!(packets > 0, "--packets wants 1 at least");
            instructions::measure(&sentinel, traffic, packets, top, &mut report)?;
        }
        Command::Memory { packets } => memory::measure(&sentinel, packets, &mut report)?,
        Command::Light => {
            path::made_up(&sentinel, Traffic::Mixed, 100_000, 5, &mut report)?;
            instructions::measure(&sentinel, None, 2_000, 0, &mut report)?;
            memory::measure(&sentinel, 50_000, &mut report)?;
        }
        Command::Touch { .. } | Command::Flood { .. } => {}
    }
    match arguments.budgets {
        Some(file) => budget::check(&file, report.figures()),
        None => Ok(()),
    }
}

/// The program to measure: the one named, or the one built beside us.
fn program(named: Option<PathBuf>) -> Result<PathBuf> {
    let path = match named {
        Some(path) => path,
        None => std::env::current_exe().context("where am I?")?.with_file_name("sentinel"),
    };
    ensure!(
        path.is_file(),
        "{}: no such program; `cargo build --release -p sentinel-appliance` makes it, --sentinel names another",
        path.display()
    );
    Ok(path.canonicalize()?)
}
