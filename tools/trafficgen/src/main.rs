//! `trafficgen`: lists scenarios, writes them as pcap files, sends them on a test network.

#![forbid(unsafe_code)]

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};
use sentinel_trafficgen::pcap::{Resolution, Writer, Written};
use sentinel_trafficgen::{Host, Parameters, Scenario, Topology, scenario, send};
use sentinel_units::{Mac, Timestamp};
use serde_json::json;

/// Generated traffic and attacks, the same bytes every time
#[derive(Parser)]
#[command(name = "trafficgen", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List every scenario with its description and the alerts it must raise
    List {
        /// One JSON array instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Count the frames and bytes of each scenario, and its duration
    Count {
        /// One scenario [default: all]
        name: Option<String>,
        #[command(flatten)]
        choices: Choices,
    },
    /// Write one scenario as a pcap file
    Write {
        /// Name of the scenario
        name: String,
        /// File to write; - is standard output
        #[arg(short, long)]
        output: PathBuf,
        #[command(flatten)]
        file: FileChoices,
        #[command(flatten)]
        choices: Choices,
    },
    /// Write every scenario as NAME.pcap into a directory, and expected.json beside them
    WriteAll {
        /// Directory, created if it does not exist
        directory: PathBuf,
        #[command(flatten)]
        file: FileChoices,
        #[command(flatten)]
        choices: Choices,
    },
    /// Send one scenario on an interface of a test network (root only)
    Send {
        /// Name of the scenario
        name: String,
        /// Interface to send on
        #[arg(short, long)]
        interface: String,
        /// Factor of the recorded speed; 0 is as fast as possible
        #[arg(long, default_value_t = 1.0, value_parser = speed)]
        speed: f64,
        #[command(flatten)]
        choices: Choices,
    },
}

#[derive(Args)]
struct FileChoices {
    /// Time of the scenario's beginning, seconds since 1970 (the times of a pcap file end in 2106)
    #[arg(long, default_value_t = 1_700_000_000, value_name = "UNIX_SECONDS")]
    start: u32,
    /// Resolution of the timestamps
    #[arg(long, value_enum, default_value_t = Stamps::Nanoseconds)]
    stamps: Stamps,
}

#[derive(Clone, Copy, ValueEnum)]
enum Stamps {
    Microseconds,
    Nanoseconds,
}

#[derive(Args)]
struct Choices {
    /// Seed of the pseudo-random numbers
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Number of frames of `mixed`
    #[arg(long, default_value_t = 10_000)]
    packets: u64,
    /// Seconds over which `mixed` spreads its frames
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    duration: u64,
    /// Background sources in the `-table-full` scenarios
    #[arg(long, default_value_t = 20_000)]
    sources: u32,
    #[command(flatten)]
    attacker: Attacker,
    #[command(flatten)]
    victim: Victim,
    #[command(flatten)]
    client: Client,
    #[command(flatten)]
    gateway: Gateway,
    /// IPv4 address of the external host
    #[arg(long, value_name = "ADDRESS")]
    outside_ip: Option<Ipv4Addr>,
}

/// Defines the three options that give one role the addresses of a real machine.
macro_rules! role {
    ($type:ident, $mac:ident, $ip:ident, $ip6:ident, $role:literal) => {
        #[derive(Args)]
        struct $type {
            #[doc = concat!("MAC address of the ", $role)]
            #[arg(long, value_name = "MAC")]
            $mac: Option<Mac>,
            #[doc = concat!("IPv4 address of the ", $role)]
            #[arg(long, value_name = "ADDRESS")]
            $ip: Option<Ipv4Addr>,
            #[doc = concat!("IPv6 address of the ", $role)]
            #[arg(long, value_name = "ADDRESS")]
            $ip6: Option<Ipv6Addr>,
        }

        impl $type {
            fn apply(&self, host: Host) -> Host {
                let host = self.$ip.map_or(host, |address| host.with_v4(address));
                let host = self.$ip6.map_or(host, |address| host.with_v6(address));
                Host { mac: self.$mac.unwrap_or(host.mac), ..host }
            }
        }
    };
}

role!(Attacker, attacker_mac, attacker_ip, attacker_ip6, "attacker");
role!(Victim, victim_mac, victim_ip, victim_ip6, "victim and server");
role!(Client, client_mac, client_ip, client_ip6, "ordinary client");
role!(Gateway, gateway_mac, gateway_ip, gateway_ip6, "gateway and resolver");

impl Choices {
    fn parameters(&self) -> Parameters {
        let topology = Topology::default();
        let gateway = self.gateway.apply(topology.gateway);
        let outside = self.outside_ip.map_or(topology.outside, |address| topology.outside.with_v4(address));
        Parameters {
            seed: self.seed,
            packets: self.packets,
            duration: Duration::from_secs(self.duration),
            sources: self.sources,
            topology: Topology {
                attacker: self.attacker.apply(topology.attacker),
                victim: self.victim.apply(topology.victim),
                client: self.client.apply(topology.client),
                gateway,
                // External hosts are reached through the gateway, so its MAC address is theirs.
                outside: Host { mac: gateway.mac, ..outside },
            },
        }
    }
}

/// Parses a speed factor.
fn speed(text: &str) -> Result<f64> {
    match text.parse::<f64>() {
        Ok(speed) if speed.is_finite() && speed >= 0.0 => Ok(speed),
        _ => bail!("a speed is 0 (as fast as possible) or a positive number"),
    }
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        // The reader closed the pipe, as `trafficgen list | head` does.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("trafficgen: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::List { json } => list(json),
        Command::Count { name, choices } => count(name.as_deref(), &choices.parameters()),
        Command::Write { name, output, file, choices } => {
            let written = write(find(&name)?, &output, &file, &choices.parameters())?;
            eprintln!("{name}: {} frames, {} bytes", written.frames, written.bytes);
            Ok(())
        }
        Command::WriteAll { directory, file, choices } => write_all(&directory, &file, &choices.parameters()),
        Command::Send { name, interface, speed, choices } => {
            let sent = send::send(&interface, speed, find(&name)?.packets(&choices.parameters()))?;
            eprintln!("{name}: {sent}");
            Ok(())
        }
    }
}

fn find(name: &str) -> Result<&'static Scenario> {
    let Some(scenario) = scenario::find(name) else {
        let near: Vec<_> =
            scenario::all().map(|known| known.name).filter(|known| known.contains(name)).collect();
        if near.is_empty() {
            bail!("no scenario {name}; `trafficgen list` shows all");
        }
        bail!("no scenario {name}; did you mean {}?", near.join(", "));
    };
    Ok(scenario)
}

/// The registry as JSON.
fn catalogue() -> serde_json::Value {
    let pairs = |list: &[(&str, &str)]| -> Vec<_> {
        list.iter().map(|(kind, test)| json!({"kind": kind, "test": test})).collect()
    };
    scenario::all()
        .map(|scenario| {
            json!({
                "name": scenario.name,
                "description": scenario.description,
                "expected": pairs(scenario.expected),
                "allowed": pairs(scenario.allowed),
                "well_formed": scenario.well_formed,
            })
        })
        .collect()
}

fn list(json: bool) -> Result<()> {
    let mut out = io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut out, &catalogue()).map_err(io::Error::from)?;
        writeln!(out)?;
        return Ok(());
    }
    for scenario in scenario::all() {
        let kinds: Vec<_> = scenario.expected.iter().map(|(kind, _)| *kind).collect();
        let expected = match kinds.len() {
            0 => "-".to_owned(),
            1 => kinds.concat(),
            more => format!("{more} kinds"),
        };
        writeln!(out, "{:26} {expected:16} {}", scenario.name, scenario.description)?;
    }
    Ok(())
}

fn count(name: Option<&str>, parameters: &Parameters) -> Result<()> {
    let chosen = match name {
        Some(name) => vec![find(name)?],
        None => scenario::all().collect(),
    };
    let mut out = io::stdout().lock();
    writeln!(out, "{:26} {:>9} {:>12} {:>10}", "name", "frames", "bytes", "seconds")?;
    for scenario in chosen {
        let (mut frames, mut bytes, mut last) = (0_u64, 0_usize, Duration::ZERO);
        for frame in scenario.packets(parameters) {
            frames += 1;
            bytes += frame.bytes.len();
            last = frame.offset;
        }
        writeln!(out, "{:26} {frames:>9} {bytes:>12} {:>10.3}", scenario.name, last.as_secs_f64())?;
    }
    Ok(())
}

fn write(scenario: &Scenario, output: &Path, file: &FileChoices, parameters: &Parameters) -> Result<Written> {
    let out: Box<dyn Write> = if output.as_os_str() == "-" {
        Box::new(io::stdout().lock())
    } else {
        Box::new(File::create(output).with_context(|| format!("writing {}", output.display()))?)
    };
    let resolution = match file.stamps {
        Stamps::Microseconds => Resolution::Microseconds,
        Stamps::Nanoseconds => Resolution::Nanoseconds,
    };
    let written = Writer::new(BufWriter::new(out), resolution)
        .and_then(|mut writer| {
            writer.all(Timestamp::from_parts(file.start.into(), 0), scenario.packets(parameters))
        })
        .with_context(|| format!("writing {}", output.display()))?;
    Ok(written)
}

fn write_all(directory: &Path, file: &FileChoices, parameters: &Parameters) -> Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("creating {}", directory.display()))?;
    for scenario in scenario::all() {
        let written = write(scenario, &directory.join(format!("{}.pcap", scenario.name)), file, parameters)?;
        eprintln!("{}: {} frames, {} bytes", scenario.name, written.frames, written.bytes);
    }
    let catalogue = serde_json::to_string_pretty(&catalogue()).context("the list of scenarios")?;
    let path = directory.join("expected.json");
    fs::write(&path, catalogue + "\n").with_context(|| format!("writing {}", path.display()))
}
