//! The device program on a real kernel: boards that qemu emulates.
//!
//! In: the static program of a board, the unpacked packages of its kernel (`ci/install.sh machine-BOARD`), the golden captures and the
//! budgets. Out: one line for each check on the standard output, `N passed, N failed` at the end. The guest
//! (`guest.sh`) only runs commands and reports their output; everything is judged here.
//!
//! qemu-user, under which `ci/cross.sh` runs the programs, preserves registers that a kernel does not, has no packet sockets of a
//! foreign architecture, no seccomp and no Landlock: what was not booted is not known to work.
//!
//! No root and no network: cards are Unix sockets of this process, through which frames come from outside.

mod budget;
mod guest;
mod instructions;
mod judge;
mod kind;
mod report;
mod wire;

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use budget::Limits;
use guest::{Guest, Outside};
use judge::{Checked, Golden};
pub use kind::{BOARDS, Board};
use wire::{Frame, FrameSet};

/// Captures that are replayed inside, each before an empty log.
const INSIDE: [&str; 5] =
    ["syn-flood-at", "listed-names-vlan", "tls-self-signed-vlan", "icmp-flood-below", "attack-mix"];
/// Captures that come from outside, with the card.
const OUTSIDE: [(&str, usize); 2] = [("icmp-flood-at", 0), ("victim-udp", 1)];
/// Captures of the other trials in `guest.sh`.
const OTHERS: [&str; 4] = ["port-scan-ipv6", "credentials-ftp", "suspicious-port-4444", "mac-flood"];
/// Time in which the trials end, on a busy host.
const TRIALS: Duration = Duration::from_secs(400);
/// Time in which the instructions are counted, a minute on an idle host.
const COUNTS: Duration = Duration::from_secs(600);

/// Files of an examination.
#[derive(Debug)]
pub struct Examination {
    /// Board.
    pub board: Board,
    /// Static program of the board.
    pub program: PathBuf,
    /// Instructions are counted as well, if the board has budgets of them.
    pub counts: bool,
    /// Folder of the unpacked packages.
    pub packages: PathBuf,
    /// `ci/budgets.toml`.
    pub budgets: PathBuf,
}

impl Examination {
    /// Boots the board and judges it. Returns the numbers of checks that passed and failed.
    ///
    /// # Errors
    /// If a file is missing, or the machine does not reach its end.
    pub fn run(&self) -> Result<(usize, usize)> {
        let budgets =
            fs::read_to_string(&self.budgets).with_context(|| self.budgets.display().to_string())?;
        let limits = Limits::read(&budgets, self.board.name)?;
        if !self.counts || limits.instructions.is_empty() {
            print("instructions are not counted")?;
            return print_checks(self.trials(&limits)?);
        }
        // At the same time: trials mostly wait, and counts do not depend on what else the host does.
        let checks = std::thread::scope(|scope| {
            let counting = scope.spawn(|| self.instructions(&limits));
            let mut checks = self.trials(&limits)?;
            let counted = counting.join().unwrap_or_else(|_| bail!("counting panicked"));
            checks.extend(counted.unwrap_or_else(|error| vec![("instructions".to_owned(), Err(error))]));
            anyhow::Ok(checks)
        })?;
        print_checks(checks)
    }

    fn guest<'f>(&self, folder: &'f Path) -> Result<Guest<'f>> {
        Guest::new(self.board, &self.packages, &self.program, folder)
    }

    fn trials(&self, limits: &Limits) -> Result<Vec<Checked>> {
        let folder = tempfile::tempdir()?;
        let mut guest = self.guest(folder.path())?;
        let (mut captures, mut sent) = (Vec::new(), FrameSet::default());
        let mut streams: Vec<Vec<Frame>> = Vec::new();
        let names = INSIDE.into_iter().chain(OUTSIDE.map(|(name, _)| name)).chain(OTHERS);
        for name in names {
            let path = golden(name);
            let file = fs::read(path.with_extension("pcap")).with_context(|| path.display().to_string())?;
            let frames = wire::frames(&file)?;
            sent.add(&frames);
            let alerts = fs::read_to_string(path.with_extension("alerts.ndjson"))?;
            captures.push(Golden { name, frames: u64::try_from(frames.len())?, alerts });
            guest.add(&format!("{name}.pcap"), &path.with_extension("pcap"))?;
            streams.push(frames);
        }
        let outside: Vec<Outside<'_>> = OUTSIDE
            .iter()
            .zip(streams.get(INSIDE.len()..).unwrap_or_default())
            .map(|((name, card), frames)| Outside { name, card: *card, frames })
            .collect();
        let asked = outside.iter().map(|one| format!("{} {} {}", one.name, one.card, one.frames.len()));
        guest.add_list("list.outside", &asked.collect::<Vec<_>>())?;
        guest.add_list("list.inside", &INSIDE.map(str::to_owned))?;
        let told = guest.run("trials", &[], &outside, TRIALS)?;
        print(&format!("{}: trials took {} s", self.board.name, told.seconds))?;
        Ok(judge::all(&told.report, &told.left, &sent, &captures, limits))
    }

    /// Counts in a second machine, whose time is counted in instructions.
    fn instructions(&self, limits: &Limits) -> Result<Vec<Checked>> {
        let folder = tempfile::tempdir()?;
        let mut guest = self.guest(folder.path())?;
        let mut list = Vec::new();
        for (traffic, frames, speed) in instructions::TRAFFIC {
            let names = ["-before.pcap", ".pcap"].map(|end| format!("{}{end}", traffic.name()));
            let [before, counted] = names.each_ref().map(|name| folder.path().join(name));
            instructions::write(traffic, frames, &before, &counted)?;
            for (name, path) in names.iter().zip([before, counted]) {
                guest.add(name, &path)?;
            }
            list.push(format!("{} {speed}", traffic.name()));
        }
        guest.add_list("list.counted", &list)?;
        let told = guest.run("instructions", &instructions::OPTIONS, &[], COUNTS)?;
        print(&format!("{}: counting took {} s", self.board.name, told.seconds))?;
        Ok(instructions::all(&told.report, limits))
    }
}

/// Path of a golden capture, without its extension.
fn golden(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../sentinel-appliance/sensor/tests/data/golden"))
        .join(name)
}

fn print(line: &str) -> Result<()> {
    writeln!(io::stdout(), "{line}").context("standard output")
}

fn print_checks(checks: Vec<Checked>) -> Result<(usize, usize)> {
    let (mut passed, mut failed) = (0, 0);
    for (name, outcome) in checks {
        match outcome {
            Ok(found) => {
                passed += 1;
                print(&format!("ok      {name:<22} {found}"))?;
            }
            Err(error) => {
                failed += 1;
                print(&format!("FAILED  {name:<22} {error:#}"))?;
            }
        }
    }
    Ok((passed, failed))
}
