//! The guides in `docs/`: their commands run as they stand there, in order, on a router, a Pi, a server and a laptop.
//!
//! ```text
//!  laptop 192.168.1.66 ---\
//!                          br-lan 192.168.1.1  router  ---  server.example 192.0.2.1
//!  pi     192.168.1.10 ---/
//! ```
//!
//! Each machine is a shell in a network namespace with a root directory of its own. The router's is busybox ash with stand-ins for
//! OpenWrt's programs (`router/`); the others are this machine with all changes kept in memory, real apt and dpkg, and stand-ins for
//! systemd and for what takes a network or minutes (`debian/`). What a `text` block shows has to be printed by the commands before it,
//! `...` standing for anything. A command that is not run is in [`NOT_RUN`] with the reason.
//!
//! Needs root and /bin/busybox; otherwise the test prints `skipped:`. `GUIDES_SHOW=1` prints what every command says.

#![cfg(test)]

mod guide;
mod machine;

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use sentinel_lab::{Lab, experiment, run};

use guide::{Block, blocks, is_printed};
use machine::{Machine, Shared};

/// In the order in which a reader comes to them.
const GUIDES: &[&str] =
    &["quick-start.md", "tuning.md", "alert-to-packets.md", "privacy.md", "upgrade-and-removal.md"];

/// Commands that are not run, and why.
const NOT_RUN: &[(&str, &str)] = &[
    ("ci/install.sh base", "installs packages from a network; CI runs it before every check"),
    ("ci/install.sh cross", "installs packages from a network; CI runs it before the programs are built"),
    ("sysupgrade /tmp/new-firmware.bin", "flashes a device; what it keeps is judged by the test `openwrt`"),
];

/// Commands that run until Ctrl+C, which they get after this many seconds.
const UNTIL_STOPPED: &[(&str, u32)] =
    &[("sentinel-collector watch", 2), ("sentinel capture -i br-lan host 192.168.1.66", 2)];

/// Time within which the last command of a block prints what the guide shows.
const OUTPUT_TIMEOUT: Duration = Duration::from_secs(30);

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

/// Machines of the guides, and what commands replace.
struct World {
    machines: BTreeMap<&'static str, Machine>,
    /// The newest one-time token.
    token: String,
    /// Command and output that `GUIDES_SHOW` printed last.
    shown: String,
}

impl World {
    fn new(lab: &Lab) -> Result<Self> {
        connect(lab)?;
        let shared = Shared::new(lab)?;
        let debian = |name: &str, at, begin: &str| Machine::debian(name, at, lab, &shared, begin);
        let network = &lab.network;
        let machines = BTreeMap::from([
            ("router", Machine::router(lab, &shared)?),
            ("server", debian("server", &network.collector, "/usr/src/sentinel")?),
            ("pi", debian("pi", &network.victim, "/exchange/pi")?),
            ("laptop", debian("laptop", &network.attacker, "/root")?),
        ]);
        Ok(Self { machines, token: String::new(), shown: String::new() })
    }

    /// Runs a block; its last command again until it succeeds and prints what is shown.
    fn run(&mut self, block: &Block) -> Result<()> {
        let mut said = String::new();
        let Some((last, others)) = block.commands.split_last() else { return Ok(()) };
        for command in others {
            said += &self.command(block, command)?;
        }
        let deadline = Instant::now() + OUTPUT_TIMEOUT;
        loop {
            let answer = match self.command(block, last) {
                // A sensor that was started a moment ago.
                Err(_) if !block.printed.is_empty() && Instant::now() < deadline => {
                    thread::sleep(Duration::from_millis(500));
                    continue;
                }
                answer => answer?,
            };
            let both = format!("{said}{answer}");
            let missing = block.printed.iter().find(|line| !is_printed(line, &both));
            match missing {
                None => return Ok(()),
                Some(line) if Instant::now() > deadline => {
                    bail!("{}: not printed: {line}\nbut:\n{both}", block.place)
                }
                Some(_) => thread::sleep(Duration::from_millis(500)),
            }
        }
    }

    fn command(&mut self, block: &Block, command: &str) -> Result<String> {
        if NOT_RUN.iter().any(|(known, _)| *known == command) {
            return Ok(String::new());
        }
        let machine = self.machines.get_mut(block.machine.as_str());
        let machine = machine.with_context(|| format!("{}: no machine {}", block.place, block.machine))?;
        let actual = command.replace("sentinel1-TOKEN", &self.token).replace("arm64", debian_cpu());
        let limit = UNTIL_STOPPED.iter().find(|(known, _)| *known == command).map(|(_, seconds)| *seconds);
        let (said, status) = match limit {
            Some(seconds) => (machine.run(&format!("timeout -s INT {seconds} {actual}"))?.0, 0),
            None => machine.run(&actual)?,
        };
        let shown = format!("{} {}$ {actual}\n{said}", block.place, block.machine);
        if std::env::var_os("GUIDES_SHOW").is_some() && shown != self.shown {
            // Written directly: the test harness captures the output of macros.
            writeln!(io::stderr(), "{shown}")?;
            self.shown = shown;
        }
        ensure!(status == 0, "{}: {}: status {status}: {actual}\n{said}", block.place, block.machine);
        if let Some(token) = said.split_whitespace().find(|word| word.starts_with("sentinel1-")) {
            token.clone_into(&mut self.token);
        }
        Ok(said + "\n")
    }
}

/// Name of this machine's CPU for Debian, in place of the Pi's.
fn debian_cpu() -> &'static str {
    if std::env::consts::ARCH == "aarch64" { "arm64" } else { "amd64" }
}

/// Addresses of the guides, and a way from the LAN to the server.
fn connect(lab: &Lab) -> Result<()> {
    let network = &lab.network;
    network.router.ip(&["address", "add", "192.168.1.1/24", "dev", "br-lan"])?;
    network.attacker.ip(&["address", "add", "192.168.1.66/24", "dev", "eth0"])?;
    network.victim.ip(&["address", "add", "192.168.1.10/24", "dev", "eth0"])?;
    for host in [&network.attacker, &network.victim] {
        host.ip(&["route", "add", "default", "via", "192.168.1.1"])?;
    }
    network.collector.ip(&["route", "add", "192.168.1.0/24", "via", "192.0.2.2"])?;
    run(network.router.command("sh").args(["-c", "echo 1 >/proc/sys/net/ipv4/ip_forward"])).map(drop)
}

#[test]
fn every_command_of_the_guides_works_in_order() -> Result<()> {
    if !Path::new("/bin/busybox").exists() {
        return Ok(writeln!(io::stderr(), "skipped: the router's shell needs /bin/busybox")?);
    }
    experiment(|lab| {
        let mut world = World::new(lab)?;
        for guide in GUIDES {
            for block in blocks(&docs(), guide)? {
                world.run(&block)?;
            }
        }
        Ok(())
    })
}

#[test]
fn every_guide_is_run_and_no_excuse_is_left_over() -> Result<()> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(docs())? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        ensure!(name == "README.md" || GUIDES.contains(&name.as_str()), "{name} is run by no test");
    }
    for guide in GUIDES {
        found.extend(blocks(&docs(), guide)?.into_iter().flat_map(|block| block.commands));
    }
    let excused = NOT_RUN.iter().map(|(command, _)| *command);
    for command in excused.chain(UNTIL_STOPPED.iter().map(|(command, _)| *command)) {
        ensure!(found.iter().any(|known| known == command), "no guide has: {command}");
    }
    ensure!(NOT_RUN.iter().all(|(_, reason)| reason.len() > 10), "a command without a reason");
    Ok(())
}
