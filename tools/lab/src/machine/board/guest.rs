//! Machine of a board: its file system in memory, its emulator, and its report.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::kind::{Board, Packages, Port};
use super::report::Report;
use super::wire::{Frame, Wire};
use crate::machine::Initramfs;
use crate::program::Program;

/// Settings of the sensor under test.
const SETTINGS: &str = "config sentinel 'main'
	list interface 'br-lan'
	option state_dir '/data/state'
	option run_dir '/run/sentinel'
";
/// Settings file of the system, whose threshold no golden capture reaches: it must not matter to a command that names another file.
const SYSTEM_SETTINGS: &str = "config detector 'syn_flood'
	option packets '1000000'
	option victim_rate '1000000'
";
/// Account that the sensor becomes.
pub(super) const USER: u32 = 600;
/// Interval at which the report is read.
const POLL: Duration = Duration::from_millis(100);

/// Frames that the guest asks for, by name.
pub(super) struct Outside<'f> {
    pub(super) name: &'static str,
    /// Index of the card.
    pub(super) card: usize,
    pub(super) frames: &'f [Frame],
}

/// Machine that is started once.
#[derive(Debug)]
pub(super) struct Guest<'f> {
    board: Board,
    packages: Packages,
    folder: &'f Path,
    files: Initramfs,
}

/// Everything that a guest has told.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) report: Report,
    /// Frames that have left it, by card.
    pub(super) left: Vec<Vec<Vec<u8>>>,
    pub(super) seconds: u64,
}

impl<'f> Guest<'f> {
    /// Machine with the program under test. `packages` is the folder of its unpacked packages, `folder` an empty one for sockets and
    /// files.
    pub(super) fn new(board: Board, packages: &Path, program: &Path, folder: &'f Path) -> Result<Self> {
        let packages = Packages::find(packages)?;
        let mut files = Initramfs::new()?;
        files.text("/init", 0o755, include_str!("guest.sh"))?;
        files.file(&packages.busybox, "/bin/busybox", 0o755)?;
        files.link("/bin/sh", "busybox")?;
        files.file(program, "/bin/sentinel", 0o755)?;
        for (number, module) in packages.modules.iter().enumerate() {
            files.file(module, &format!("/modules/{number:02}.ko"), 0o644)?;
        }
        files.text("/etc/settings", 0o644, SETTINGS)?;
        files.text("/etc/config/sentinel-appliance", 0o644, SYSTEM_SETTINGS)?;
        files.text(
            "/etc/passwd",
            0o644,
            &format!("root:x:0:0::/:/bin/sh\nsentinel-appliance:x:{USER}:{USER}::/:/bin/false\n"),
        )?;
        files.text("/etc/group", 0o644, &format!("root:x:0:\nsentinel-appliance:x:{USER}:\n"))?;
        Ok(Self { board, packages, folder, files })
    }

    /// Adds a file below `/captures`.
    pub(super) fn add(&mut self, name: &str, from: &Path) -> Result<()> {
        self.files.file(from, &format!("/captures/{name}"), 0o644)
    }

    /// Adds a list below `/captures`, one entry a line.
    pub(super) fn add_list(&mut self, name: &str, lines: &[String]) -> Result<()> {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        self.files.text(&format!("/captures/{name}"), 0o644, &text)
    }

    /// Starts the machine with the part of `guest.sh` that `part` names and waits until it ends. `options` are for the emulator.
    pub(super) fn run(
        self,
        part: &str,
        options: &[&str],
        outside: &[Outside<'_>],
        limit: Duration,
    ) -> Result<Told> {
        let start = Instant::now();
        let image = self.folder.join("initramfs");
        // A file system in memory takes at most half of it, and the archive lies beside it until it is unpacked.
        let archive = self.files.finish();
        let most = usize::try_from(self.board.memory_mib)? * 1024 * 1024 / 3;
        ensure!(
            archive.len() < most,
            "{} bytes of files are too many for {}",
            archive.len(),
            self.board.name
        );
        fs::write(&image, archive)?;
        let wires = (0..self.board.cards.len())
            .map(|card| Wire::new(self.folder, card))
            .collect::<Result<Vec<_>>>()?;
        let report = self.folder.join("report");
        let mut command = emulator(self.board, &self.packages.kernel, &image, &report);
        for (number, (card, wire)) in self.board.cards.iter().zip(&wires).enumerate() {
            let name = format!("net{number}");
            command.args(["-netdev", &wire.netdev(&name)]);
            command.args(["-device", &format!("{card},netdev={name},romfile=")]);
        }
        // A fatal signal of a program is told in the kernel's log; nothing else of the log slows the console.
        let fixed = "quiet panic=-1 print-fatal-signals=1 random.trust_cpu=on";
        let port = match self.board.port {
            Port::Serial(name) => format!("lab.port=/dev/{name}"),
            Port::Virtio => String::new(),
        };
        let words = format!("console={} {fixed} lab.part={part} {port}", self.board.console);
        command.args(["-append", &words]).args(options);
        let mut program = Program::start(command, &self.folder.join("machine"))?;
        let told = attend(&mut program, &report, &wires, outside, start + limit);
        drop(program);
        let report = told.with_context(|| format!("console:\n{}", tail(&self.folder.join("machine.out"))))?;
        let left = wires.into_iter().map(Wire::left).collect::<Result<_>>()?;
        Ok(Told { report, left, seconds: start.elapsed().as_secs() })
    }
}

fn emulator(board: Board, kernel: &Path, image: &Path, report: &Path) -> Command {
    // A judge that is killed leaves no machine behind.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", board.emulator]);
    command.args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio"]);
    command.args(board.hardware).args(["-m", &board.memory_mib.to_string()]);
    command.arg("-kernel").arg(kernel).arg("-initrd").arg(image);
    command.args(["-chardev", &format!("file,id=report,path={}", report.display())]);
    match board.port {
        Port::Serial(_) => command.args(["-serial", "chardev:report"]),
        Port::Virtio => command
            .args(["-device", "virtio-rng-pci", "-device", "virtio-serial-pci"])
            .args(["-device", "virtserialport,chardev=report"]),
    };
    command
}

/// Waits for the end of the report and sends what the guest asks for.
fn attend(
    program: &mut Program,
    report: &Path,
    wires: &[Wire],
    outside: &[Outside<'_>],
    deadline: Instant,
) -> Result<Report> {
    let (mut length, mut sent) = (0, 0);
    loop {
        let runs = program.is_running()?;
        let text = fs::read(report).unwrap_or_default();
        if text.len() > length || !runs {
            length = text.len();
            let told = Report::read(&String::from_utf8_lossy(&text));
            if told.has("end") {
                return Ok(told);
            }
            let asked = outside.get(sent).filter(|next| told.has(&format!("{}.go", next.name)));
            if let Some((next, wire)) = asked.and_then(|next| Some((next, wires.get(next.card)?))) {
                wire.send(next.frames)?;
                sent += 1;
            }
        }
        ensure!(runs, "the machine ended before its end: {}{}", program.errors()?, last_section(&text));
        if Instant::now() > deadline {
            bail!("the machine takes too long{}", last_section(&text));
        }
        thread::sleep(POLL);
    }
}

fn last_section(report: &[u8]) -> String {
    let text = String::from_utf8_lossy(report);
    let line = text.lines().rev().find(|line| line.starts_with("=== ")).unwrap_or("no report");
    format!("; last section: {line}")
}

fn tail(console: &PathBuf) -> String {
    let text = fs::read(console).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(15)..).unwrap_or_default().join("\n")
}
