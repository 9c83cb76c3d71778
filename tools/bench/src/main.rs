//! `bench`: what a packet costs, in nanoseconds, instructions and memory.
//!
//! In: the built program `sentinel`, and traffic that `sentinel-trafficgen` makes. Out: one JSON line per run on
//! standard output; each names commit, target and command. Figures of time hold for one machine only, so each stands
//! beside a reference measured in the same run; instruction counts repeat.
//!
//! It never touches the machine's own interfaces: `memory` works in a network namespace that it makes and removes.
//!
//! The map: [`traffic`] makes captures, [`corpus`] merges them, [`child`] runs programs and says what they cost, [`peers`]
//! knows how others are called, [`wire`] is a namespace with somebody who sends and somebody who listens, [`settings`] is
//! what the program can be told. [`path`], [`instructions`], [`hostile`], [`live`], [`mod@snap`], [`memory`] and [`latency`] are the
//! benches, [`budget`] holds figures to `ci/budgets.toml`, [`report`] writes the lines.

mod budget;
mod child;
mod corpus;
mod hostile;
mod instructions;
mod latency;
mod live;
mod memory;
mod path;
mod peers;
mod report;
mod settings;
mod snap;
mod touch;
mod traffic;
mod wire;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};

use crate::peers::Peer;
use crate::report::Report;
use crate::settings::Settings;
use crate::traffic::Traffic;
use crate::wire::count_ring::count_ring;
use crate::wire::pattern::Pattern;
use crate::wire::probe::probe;
use crate::wire::send::{self, Limits};

/// What a packet costs, in nanoseconds, instructions and memory. One JSON line per run, a table on standard error.
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
    /// Write the instruction counts into the file of --budgets instead of comparing them
    #[arg(long, global = true, requires = "budgets")]
    bless: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Nanoseconds of CPU per packet, net of start-up: the floor, ourselves, and peers that are installed
    Path {
        /// Captures of your own instead of made-up traffic; may be repeated
        #[arg(long, value_name = "FILE")]
        pcap: Vec<PathBuf>,
        /// The Ethernet captures below a directory, merged into one
        #[arg(long, value_name = "DIR")]
        corpus: Option<PathBuf>,
        /// What to make up; may be repeated [default: mixed]
        #[arg(long, value_enum)]
        traffic: Vec<Traffic>,
        /// Packets to make up, or to repeat the corpus for
        #[arg(long, default_value_t = 200_000)]
        packets: u32,
        /// Rounds, in each of which everything runs once
        #[arg(long, default_value_t = 5)]
        repeat: u32,
        /// Of the known peers only tcpdump
        #[arg(long)]
        no_peers: bool,
        /// A peer of your own, as 'NAME=PROGRAM ARGUMENTS' with FILE for the capture and DIR for a directory; may be repeated
        #[arg(long, value_name = "PEER")]
        peer: Vec<Peer>,
    },
    /// Instructions per packet of each sort of traffic, net of start-up (wants valgrind)
    Instructions {
        /// One sort of traffic; all without
        #[arg(long, value_enum)]
        traffic: Option<Traffic>,
        /// Packets by which the two captures differ; only the default is held to a budget
        #[arg(long, default_value_t = instructions::PACKETS)]
        packets: u32,
        /// Functions to name, those that take most first
        #[arg(long, default_value_t = 0)]
        top: usize,
    },
    /// Traffic made to hurt against ordinary traffic: time, and instructions (wants valgrind)
    Hostile {
        /// Packets of each sort
        #[arg(long, default_value_t = 500_000)]
        packets: u32,
        /// Rounds, in each of which everything runs once
        #[arg(long, default_value_t = 7)]
        repeat: u32,
    },
    /// The rate without loss of `sentinel run`, and what a frame costs it, beside a bare ring reader (root only)
    Live {
        /// Frames to send; may be repeated [default: 64, imix, 1514]
        #[arg(long, value_enum)]
        frames: Vec<Pattern>,
        /// KiB of the ring; may be repeated [default: 256, 1024, 4096]
        #[arg(long)]
        ring: Vec<u32>,
        /// How long each rate is sent
        #[arg(long, default_value_t = 1_000)]
        milliseconds: u64,
        /// Tries of a rate before it counts as lossy
        #[arg(long, default_value_t = 3)]
        tries: u32,
    },
    /// Bytes of the ring for each frame, whole and cut by content
    Snap {
        /// Captures of your own; may be repeated
        #[arg(long, value_name = "FILE")]
        pcap: Vec<PathBuf>,
        /// The Ethernet captures below a directory, merged into one
        #[arg(long, value_name = "DIR")]
        corpus: Option<PathBuf>,
    },
    /// Resident memory and start of `sentinel run` on a made-up wire (root only)
    Memory {
        /// Packets of all floods together; 100000000 takes some minutes
        #[arg(long, default_value_t = 500_000)]
        packets: u64,
        /// Profile of the settings; may be repeated
        #[arg(long, default_value = memory::DEFAULT_PROFILE)]
        profile: Vec<String>,
    },
    /// Time from a packet on a made-up wire to its alert at the other end of the sensor's connection (root only)
    Latency {
        /// Packets, each of which raises one alert
        #[arg(long, default_value_t = 200)]
        rounds: u32,
    },
    /// All of them, small: less than a minute
    Light,
    /// Reads a capture as little as one can; the floor of `path`
    #[command(hide = true)]
    Warmup { file: PathBuf, way: touch::Way },
    /// Takes frames out of a ring and does nothing with them; the ceiling of `live`
    #[command(hide = true)]
    CountRing { interface: String, ring_kib: u32, snap_bytes: u32, block_timeout_ms: u64 },
    /// Listens for alerts, and sends packets that raise them; the clock of `latency`
    #[command(hide = true)]
    Probe { interface: String, rounds: u32 },
    /// Sends; the flood of `live` and `memory`
    #[command(hide = true)]
    Send {
        interface: String,
        pattern: Pattern,
        /// Frames a second; 0 is as fast as it goes
        #[arg(long, default_value_t = 0)]
        rate: u64,
        #[arg(long, default_value_t = u64::MAX)]
        packets: u64,
        #[arg(long, default_value_t = 600_000)]
        milliseconds: u64,
    },
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
        Command::Warmup { file, way } => return touch::touch(&file, way),
        Command::CountRing { interface, ring_kib, snap_bytes, block_timeout_ms } => {
            return count_ring(&interface, ring_kib, snap_bytes, Duration::from_millis(block_timeout_ms));
        }
        Command::Probe { interface, rounds } => return probe(&interface, rounds),
        Command::Send { interface, pattern, rate, packets, milliseconds } => {
            let limits = Limits { packets, time: Duration::from_millis(milliseconds) };
            println!("{}", send::send(&interface, pattern, rate, limits)?.to_json());
            return Ok(());
        }
        command => command,
    };
    let sentinel = program(arguments.sentinel)?;
    let mut report = Report::new(&sentinel);
    measure(command, &sentinel, &mut report)?;
    match arguments.budgets {
        Some(file) if arguments.bless => budget::bless(&file, report.figures()),
        Some(file) => budget::check(&file, report.figures()),
        None => Ok(()),
    }
}

fn measure(command: Command, sentinel: &Path, report: &mut Report) -> Result<()> {
    match command {
        Command::Path { pcap, corpus, traffic, packets, repeat, no_peers, peer } => {
            ensure!(repeat > 0, "--repeat wants 1 at least");
            let plan = &path::Plan { rounds: repeat, with_peers: !no_peers, more_peers: peer };
            for file in &pcap {
                path::capture(sentinel, file, plan, report)?;
            }
            if let Some(directory) = &corpus {
                path::corpus(sentinel, directory, packets, plan, report)?;
            }
            let is_own = !pcap.is_empty() || corpus.is_some();
            let made_up = if traffic.is_empty() && !is_own { vec![Traffic::Mixed] } else { traffic };
            made_up
                .into_iter()
                .try_for_each(|traffic| path::made_up(sentinel, traffic, packets, plan, report))
        }
        Command::Instructions { traffic, packets, top } => {
            ensure!(packets > 0, "--packets wants 1 at least");
            instructions::measure(sentinel, traffic, packets, top, report)
        }
        Command::Hostile { packets, repeat } => hostile::measure(sentinel, packets, repeat, report),
        Command::Live { frames, ring, milliseconds, tries } => {
            let or = |given: Vec<u32>, usual: &[u32]| if given.is_empty() { usual.to_vec() } else { given };
            let usual = [Pattern::Small, Pattern::Imix, Pattern::Large];
            let plan = live::Plan {
                frames: if frames.is_empty() { usual.to_vec() } else { frames },
                rings_kib: or(ring, &[256, 1_024, 4_096]),
                time: Duration::from_millis(milliseconds),
                tries: tries.max(1),
            };
            live::measure(sentinel, &plan, report)
        }
        Command::Snap { pcap, corpus } => snap(sentinel, &pcap, corpus.as_deref(), report),
        Command::Memory { packets, profile } => {
            profile.iter().try_for_each(|profile| memory::measure(sentinel, profile, packets, report))
        }
        Command::Latency { rounds } => latency::measure(sentinel, rounds.max(1), report),
        Command::Light => light(sentinel, report),
        Command::Warmup { .. } | Command::CountRing { .. } | Command::Probe { .. } | Command::Send { .. } => {
            Ok(())
        }
    }
}

/// Made-up traffic, and what was named.
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

fn light(sentinel: &Path, report: &mut Report) -> Result<()> {
    let plan = path::Plan { rounds: 5, with_peers: false, more_peers: Vec::new() };
    path::made_up(sentinel, Traffic::Mixed, 100_000, &plan, report)?;
    instructions::measure(sentinel, None, instructions::PACKETS, 0, report)?;
    hostile::measure(sentinel, 100_000, 5, report)?;
    let plan = live::Plan {
        frames: vec![Pattern::Imix],
        rings_kib: vec![1_024],
        time: Duration::from_millis(500),
        tries: 3,
    };
    live::measure(sentinel, &plan, report)?;
    latency::measure(sentinel, 50, report)?;
    [memory::DEFAULT_PROFILE, memory::MIN_PROFILE_KIB]
        .into_iter()
        .try_for_each(|profile| memory::measure(sentinel, profile, 200_000, report))
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
