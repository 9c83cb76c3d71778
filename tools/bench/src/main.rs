//! `bench`: cost of a packet in CPU time, instructions and memory, and accuracy of detection.
//!
//! In: the built program `sentinel`, and traffic that `sentinel-trafficgen` generates. Out: one JSON line per run on
//! standard output, with commit, target and command. Times are valid for one machine only, so each is reported beside a
//! reference measured in the same run; instruction counts repeat.
//!
//! It never uses the machine's own interfaces: `live`, `memory` and `latency` work in a network namespace that they create
//! and delete.
//!
//! The map: [`stream`](sentinel_trafficgen::stream) generates captures, [`corpus`] merges them, [`child`] runs programs and
//! measures their cost, [`peers`] holds the command lines of other programs, [`touch`] is the read floor, [`wire`] is a namespace with a sender and
//! a receiver, [`settings`] reads the settings of the program under test. [`path`], [`instructions`], [`hostile`], [`live`],
//! [`mod@snap`], [`memory`], [`latency`] and [`accuracy`] are the benches. [`budget`] compares figures with `ci/budgets.toml`, [`report`]
//! collects them, [`output`] prints.

mod accuracy;
mod budget;
mod child;
mod corpus;
mod costs;
mod hostile;
mod instructions;
mod latency;
mod live;
mod memory;
mod output;
mod path;
mod peers;
mod report;
mod settings;
mod snap;
mod touch;
mod wire;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};
use sentinel_trafficgen::stream::Traffic;

use crate::accuracy::form::Form;
use crate::accuracy::households::HouseholdOptions;
use crate::accuracy::{AccuracyOptions, Suite};
use crate::peers::Peer;
use crate::report::Report;
use crate::settings::Settings;
use crate::wire::count_ring::count_ring;
use crate::wire::pattern::Pattern;
use crate::wire::probe::probe;
use crate::wire::send::{self, SendLimits};

/// Cost of a packet in CPU time, instructions and memory: one JSON line per run, a table on standard error
#[derive(Parser)]
#[command(name = "bench", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Program to measure [default: sentinel, beside this program]
    #[arg(long, global = true, value_name = "PROGRAM")]
    sentinel: Option<PathBuf>,
    /// Fail if a figure exceeds the budget in this file for this machine's board
    #[arg(long, global = true, value_name = "FILE")]
    budgets: Option<PathBuf>,
    /// Write the instruction counts into the file of --budgets instead of comparing them with it
    #[arg(long, global = true, requires = "budgets")]
    bless: bool,
}

#[derive(Subcommand)]
enum Command {
    /// CPU nanoseconds per packet, net of start-up: the read floor, sentinel, and peers that are installed
    Path(PathArguments),
    /// Instructions per packet of each kind of traffic, net of start-up (needs valgrind)
    Instructions {
        /// One kind of traffic [default: all]
        #[arg(long, value_enum)]
        traffic: Option<Traffic>,
        /// Packets by which the two captures differ; only the default is compared with the budget
        #[arg(long, default_value_t = instructions::PACKETS)]
        packets: u32,
        /// Number of functions to name, most expensive first
        #[arg(long, default_value_t = 0)]
        top: usize,
    },
    /// Instructions that each detector takes, by kind of traffic, as detect/tests/data/costs.txt (minutes; needs valgrind)
    Costs,
    /// Adversarial against ordinary traffic: CPU time, and instructions (needs valgrind)
    Hostile {
        /// Packets of each kind
        #[arg(long, default_value_t = 500_000)]
        packets: u32,
        /// Rounds; each runs every kind once
        #[arg(long, default_value_t = 7)]
        repeat: u32,
    },
    /// Loss-free rate and CPU time per frame of `sentinel run`, beside a bare ring reader (root only)
    Live(LiveArguments),
    /// Ring bytes per frame, uncut and cut by content
    Snap {
        /// Captures of your own; may be repeated
        #[arg(long, value_name = "FILE")]
        pcap: Vec<PathBuf>,
        /// The Ethernet captures below a directory, merged into one
        #[arg(long, value_name = "DIR")]
        corpus: Option<PathBuf>,
    },
    /// Resident memory and start-up time of `sentinel run` on a virtual wire (root only)
    Memory {
        /// Packets of all floods together; 100000000 take some minutes
        #[arg(long, default_value_t = 500_000)]
        packets: u64,
        /// Value of `memory_kib`, or 'default'; may be repeated
        #[arg(long, default_value = memory::DEFAULT_PROFILE)]
        profile: Vec<String>,
    },
    /// Time from a packet on a virtual wire to its alert, decrypted at the collector's end (root only)
    Latency {
        /// Packets, each of which raises one alert
        #[arg(long, default_value_t = 200)]
        rounds: u32,
    },
    /// Accuracy of detection: ordinary networks, adversaries, scans and floods
    Accuracy(AccuracyArguments),
    /// Every bench with few packets: less than a minute
    Light,
    /// Reads the first cache line of each frame; the floor of `path`
    #[command(hide = true)]
    Touch { file: PathBuf, method: touch::ReadMethod },
    /// Takes frames out of a ring and discards them; the ceiling of `live`
    #[command(hide = true)]
    CountRing { interface: String, ring_kib: u32, snap_bytes: u32, block_timeout_ms: u64 },
    /// Sends packets that raise alerts, and times their arrival; the clock of `latency`
    #[command(hide = true)]
    Probe { interface: String, rounds: u32 },
    /// Sends frames; the source of `live` and `memory`
    #[command(hide = true)]
    Send {
        interface: String,
        pattern: Pattern,
        /// Frames per second; 0 is as fast as possible
        #[arg(long, default_value_t = 0)]
        rate: u64,
        #[arg(long, default_value_t = u64::MAX)]
        packets: u64,
        #[arg(long, default_value_t = 600_000)]
        milliseconds: u64,
    },
}

#[derive(clap::Args)]
struct PathArguments {
    /// Capture of your own instead of generated traffic; may be repeated
    #[arg(long, value_name = "FILE")]
    pcap: Vec<PathBuf>,
    /// The Ethernet captures below a directory, merged into one
    #[arg(long, value_name = "DIR")]
    corpus: Option<PathBuf>,
    /// Kind of traffic to generate; may be repeated [default: mixed]
    #[arg(long, value_enum)]
    traffic: Vec<Traffic>,
    /// Packets to generate; with --corpus, the least number of packets in the merged capture
    #[arg(long, default_value_t = 200_000)]
    packets: u32,
    /// Rounds; each runs every program once
    #[arg(long, default_value_t = 5)]
    repeat: u32,
    /// Leave out all known peers but tcpdump
    #[arg(long)]
    no_peers: bool,
    /// Further peer, as 'NAME=PROGRAM ARGUMENTS' with FILE for the capture and DIR for a directory; may be repeated
    #[arg(long, value_name = "PEER")]
    peer: Vec<Peer>,
}

#[derive(clap::Args)]
struct AccuracyArguments {
    /// Suite; may be repeated [default: all]
    #[arg(long, value_enum)]
    suite: Vec<Suite>,
    /// The form of CI: a few host-days, one seed for each attack; seconds
    #[arg(long)]
    small: bool,
    /// Host-days of the household suite [default: 3000, small: 8]
    #[arg(long)]
    host_days: Option<u64>,
    /// Hours of each household [default: 48, small: 6]
    #[arg(long)]
    hours: Option<u64>,
    /// Seed of the first household
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Households simulated side by side
    #[arg(long, default_value_t = 1)]
    jobs: usize,
}

#[derive(clap::Args)]
struct LiveArguments {
    /// Frames to send; may be repeated [default: 64, imix, 1514]
    #[arg(long, value_enum)]
    frames: Vec<Pattern>,
    /// Ring size in KiB; may be repeated [default: 256, 1024, 4096]
    #[arg(long)]
    ring: Vec<u32>,
    /// Duration of each attempt
    #[arg(long, default_value_t = 1_000)]
    milliseconds: u64,
    /// Attempts at a rate before it counts as lossy
    #[arg(long, default_value_t = 3)]
    tries: u32,
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
    let command = match arguments.command {
        Command::Touch { file, method } => return touch::touch(&file, method),
        Command::CountRing { interface, ring_kib, snap_bytes, block_timeout_ms } => {
            return count_ring(&interface, ring_kib, snap_bytes, Duration::from_millis(block_timeout_ms));
        }
        Command::Probe { interface, rounds } => return probe(&interface, rounds),
        Command::Send { interface, pattern, rate, packets, milliseconds } => {
            let limits = SendLimits { packets, time: Duration::from_millis(milliseconds) };
            output::line(send::send(&interface, pattern, rate, limits)?.to_json());
            return Ok(());
        }
        command => command,
    };
    let sentinel = program(arguments.sentinel)?;
    let mut report = Report::new(&sentinel);
    let length = if matches!(command, Command::Light) { budget::Run::Short } else { budget::Run::Full };
    measure(command, &sentinel, &mut report)?;
    match arguments.budgets {
        Some(file) if arguments.bless => budget::bless(&file, report.figures()),
        Some(file) => budget::check(&file, report.figures(), length),
        None => Ok(()),
    }
}

fn measure(command: Command, sentinel: &Path, report: &mut Report) -> Result<()> {
    match command {
        Command::Path(arguments) => measure_path(arguments, sentinel, report),
        Command::Instructions { traffic, packets, top } => {
            ensure!(packets > 0, "--packets must be at least 1");
            instructions::measure(sentinel, traffic, packets, top, report)
        }
        Command::Costs => costs::measure(sentinel),
        Command::Hostile { packets, repeat } => hostile::measure(sentinel, packets, repeat, report),
        Command::Live(arguments) => live::measure(sentinel, &live_options(arguments), report),
        Command::Snap { pcap, corpus } => snap(sentinel, &pcap, corpus.as_deref(), report),
        Command::Memory { packets, profile } => {
            profile.iter().try_for_each(|profile| memory::measure(sentinel, profile, packets, report))
        }
        Command::Latency { rounds } => latency::measure(sentinel, rounds.max(1), report),
        Command::Accuracy(arguments) => accuracy::measure(sentinel, &accuracy_options(arguments), report),
        Command::Light => light(sentinel, report),
        Command::Touch { .. } | Command::CountRing { .. } | Command::Probe { .. } | Command::Send { .. } => {
            Ok(())
        }
    }
}

/// Options of `accuracy` with the defaults of its form.
fn accuracy_options(arguments: AccuracyArguments) -> AccuracyOptions {
    let AccuracyArguments { suite, small, host_days, hours, seed, jobs } = arguments;
    let (form, usual_days, usual_hours, first_hour) =
        if small { (Form::Small, 8, 6, 15) } else { (Form::Full, 3_000, 48, 0) };
    AccuracyOptions {
        suites: suite,
        form,
        household: HouseholdOptions {
            host_days: host_days.unwrap_or(usual_days),
            hours: hours.unwrap_or(usual_hours).max(1),
            first_hour,
            jobs,
            seed,
        },
    }
}

/// Runs `path` over the captures of the command line, or over generated traffic.
fn measure_path(arguments: PathArguments, sentinel: &Path, report: &mut Report) -> Result<()> {
    let PathArguments { pcap, corpus, traffic, packets, repeat, no_peers, peer } = arguments;
    ensure!(repeat > 0, "--repeat must be at least 1");
    let options = &path::PathOptions { rounds: repeat, with_peers: !no_peers, more_peers: peer };
    for file in &pcap {
        path::capture(sentinel, file, options, report)?;
    }
    if let Some(directory) = &corpus {
        path::corpus(sentinel, directory, packets, options, report)?;
    }
    let has_captures = !pcap.is_empty() || corpus.is_some();
    let generated = if traffic.is_empty() && !has_captures { vec![Traffic::Mixed] } else { traffic };
    generated.into_iter().try_for_each(|traffic| path::generated(sentinel, traffic, packets, options, report))
}

/// Options of `live` with the defaults of what is not given.
fn live_options(arguments: LiveArguments) -> live::LiveOptions {
    let LiveArguments { frames, ring, milliseconds, tries } = arguments;
    let patterns = [Pattern::Small, Pattern::Imix, Pattern::Large];
    live::LiveOptions {
        frames: if frames.is_empty() { patterns.to_vec() } else { frames },
        rings_kib: if ring.is_empty() { vec![256, 1_024, 4_096] } else { ring },
        time: Duration::from_millis(milliseconds),
        attempts: tries.max(1),
    }
}

/// Runs `snap` over generated traffic, the captures of `pcap` and a corpus.
fn snap(sentinel: &Path, pcap: &[PathBuf], corpus: Option<&Path>, report: &Report) -> Result<()> {
    const PACKETS: u32 = 20_000;
    let snap_bytes = Settings::of(sentinel)?.number("snap_bytes")?;
    let directory = tempfile::tempdir()?;
    for traffic in [Traffic::Mixed, Traffic::Bulk] {
        let file = traffic.capture(directory.path(), PACKETS)?;
        snap::measure(traffic.name(), &file, snap_bytes, report)?;
    }
    for file in pcap {
        snap::measure(&file.display().to_string(), file, snap_bytes, report)?;
    }
    if let Some(captures) = corpus {
        let file = directory.path().join("corpus.pcap");
        corpus::merge(captures, 1, &file)?;
        snap::measure("corpus", &file, snap_bytes, report)?;
    }
    Ok(())
}

/// Every bench with few packets, as CI runs it.
fn light(sentinel: &Path, report: &mut Report) -> Result<()> {
    let options = path::PathOptions { rounds: 5, with_peers: false, more_peers: Vec::new() };
    path::generated(sentinel, Traffic::Mixed, 100_000, &options, report)?;
    instructions::measure(sentinel, None, instructions::PACKETS, 0, report)?;
    hostile::measure(sentinel, 100_000, 5, report)?;
    let options = live::LiveOptions {
        frames: vec![Pattern::Imix],
        rings_kib: vec![1_024],
        time: Duration::from_millis(500),
        attempts: 3,
    };
    live::measure(sentinel, &options, report)?;
    latency::measure(sentinel, 50, report)?;
    [memory::DEFAULT_PROFILE, memory::SMALLEST_PROFILE]
        .into_iter()
        .try_for_each(|profile| memory::measure(sentinel, profile, 200_000, report))
}

/// Path of the program to measure: the one named, or the one built beside this program.
fn program(named: Option<PathBuf>) -> Result<PathBuf> {
    let path = match named {
        Some(path) => path,
        None => std::env::current_exe().context("path of the running program")?.with_file_name("sentinel"),
    };
    ensure!(
        path.is_file(),
        "{}: no such program; `cargo build --release -p sentinel-appliance` builds it, --sentinel names another",
        path.display()
    );
    Ok(path.canonicalize()?)
}
