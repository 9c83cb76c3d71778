//! Virtual machine with a disk that loses its volatile cache when the power is cut.
//!
//! qemu runs a kernel of Debian, the programs under test and busybox from a file system in memory; the disk is served
//! by this process ([`VolatileDisk`]). Nothing of the machine is installed: `SENTINEL_MACHINE` names a folder with the unpacked
//! kernel package, which `ci/install.sh machine` makes.

pub mod board;
mod disk;
mod initramfs;
mod nbd;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

pub use disk::{Kept, VolatileDisk};
pub use initramfs::Initramfs;
pub use nbd::DiskServer;

use crate::lab::Lab;
use crate::program::{Program, run};

/// Kernel modules in the order in which they are loaded. Those that are built in are not there.
const MODULES: [&str; 11] = [
    "virtio",
    "virtio_ring",
    "virtio_pci_modern_dev",
    "virtio_pci_legacy_dev",
    "virtio_pci",
    "virtio_blk",
    "failover",
    "net_failover",
    "virtio_net",
    "virtio_console",
    "veth",
];

/// Reason why no machine can run here; `None` if one can.
#[must_use]
pub fn impossible() -> Option<String> {
    if let Some(reason) = crate::lab::impossible() {
        return Some(reason.to_owned());
    }
    if !Path::new("/bin/busybox").exists() {
        return Some("there is no /bin/busybox; `ci/install.sh machine` installs it".to_owned());
    }
    for (program, argument) in [("qemu-system-x86_64", "--version"), ("mke2fs", "-V"), ("ldd", "--version")] {
        if run(Command::new(program).arg(argument)).is_err() {
            return Some(format!("{program} is not installed; `ci/install.sh machine` installs it"));
        }
    }
    kernel().err().map(|error| format!("{error:#}"))
}

/// Options of qemu for the processor: KVM only where the processor has it, because a host that is itself a guest may offer
/// /dev/kvm and not run a kernel in it.
fn accelerator() -> [&'static str; 4] {
    let processor = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let has_extension = processor.split_whitespace().any(|flag| flag == "vmx" || flag == "svm");
    if has_extension && Path::new("/dev/kvm").exists() {
        ["-accel", "kvm", "-cpu", "host"]
    } else {
        ["-accel", "tcg", "-cpu", "max"]
    }
}

/// Kernel and modules of a machine.
#[derive(Debug)]
struct Kernel {
    image: PathBuf,
    modules: Vec<PathBuf>,
}

fn kernel() -> Result<Kernel> {
    let root = std::env::var_os("SENTINEL_MACHINE")
        .context("SENTINEL_MACHINE does not name a folder with a kernel")?;
    let root = PathBuf::from(root);
    let find = |name: &str| -> Option<PathBuf> {
        let text = run(Command::new("find").arg(&root).args(["-name", name, "-type", "f"])).ok()?;
        text.lines().min().map(PathBuf::from)
    };
    let image = find("vmlinuz-*").with_context(|| format!("no vmlinuz in {}", root.display()))?;
    let modules = MODULES.iter().filter_map(|name| find(&format!("{name}.ko"))).collect();
    Ok(Kernel { image, modules })
}

/// Files of a machine that stay the same over its starts.
#[derive(Debug)]
pub struct Machine<'l> {
    lab: &'l Lab,
    kernel: Kernel,
    initramfs: PathBuf,
    program: Option<Program>,
}

impl<'l> Machine<'l> {
    /// Machine that starts with `init`, a shell script, and has the programs under test in `/bin`. `files` are written by `add`.
    ///
    /// # Errors
    /// If a file is missing or cannot be written.
    pub fn new(lab: &'l Lab, init: &str, add: impl FnOnce(&mut Initramfs) -> Result<()>) -> Result<Self> {
        let kernel = kernel()?;
        let mut files = Initramfs::new()?;
        files.text("/init", 0o755, init)?;
        files.program(Path::new("/bin/busybox"), "/bin/busybox")?;
        files.link("/bin/sh", "busybox")?;
        files.program(&lab.binaries.sensor, "/bin/sentinel")?;
        files.program(&lab.binaries.trafficgen, "/bin/trafficgen")?;
        for (number, module) in kernel.modules.iter().enumerate() {
            files.file(module, &format!("/modules/{number:02}.ko"), 0o644)?;
        }
        add(&mut files)?;
        let initramfs = lab.path("initramfs");
        std::fs::write(&initramfs, files.finish()).context("the initramfs")?;
        Ok(Self { lab, kernel, initramfs, program: None })
    }

    /// Turns the power on. `words` are added to the kernel's command line, `socket` serves the disk; what the guest writes to
    /// its first and second port is appended to the files `ports`.
    ///
    /// # Errors
    /// If qemu cannot be started.
    pub fn power_on(&mut self, words: &str, socket: &Path, ports: [&Path; 2]) -> Result<()> {
        let mut command = self.lab.network.collector.command(Path::new("qemu-system-x86_64"));
        command.args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]);
        command.args(accelerator()).args(["-m", "192", "-serial", "stdio", "-device", "virtio-serial-pci"]);
        command.arg("-kernel").arg(&self.kernel.image).arg("-initrd").arg(&self.initramfs);
        // On a busy host the interrupts of the timer come later than the kernel waits for at the start.
        let fixed = "console=ttyS0 quiet panic=-1 random.trust_cpu=on no_timer_check";
        command.args(["-append", &format!("{fixed} {words}")]);
        // Flushes of the guest reach the server: that is what decides about the data at a cut.
        let disk = format!("driver=nbd,node-name=disk,server.type=unix,server.path={}", socket.display());
        command.args(["-blockdev", &disk, "-device", "virtio-blk-pci,drive=disk,write-cache=on"]);
        command.args(["-netdev", "user,id=net,ipv6=off", "-device", "virtio-net-pci,netdev=net,romfile="]);
        for (number, path) in ports.iter().enumerate() {
            let chardev = format!("file,id=port{number},append=on,path={}", path.display());
            command.args(["-chardev", &chardev, "-device", &format!("virtserialport,chardev=port{number}")]);
        }
        self.program = Some(Program::start(command, &self.lab.path("machine"))?);
        Ok(())
    }

    /// Cuts the power: the machine ends between two instructions.
    ///
    /// # Errors
    /// If it had ended before.
    pub fn cut(&mut self) -> Result<()> {
        self.program.take().context("the machine is off")?.kill()
    }

    /// # Errors
    /// If the machine has ended by itself; with its console.
    pub fn must_run(&mut self) -> Result<()> {
        let program = self.program.as_mut().context("the machine is off")?;
        let runs = program.is_running()?;
        anyhow::ensure!(runs, "the machine ended: {}{}", program.errors()?, program.output()?);
        Ok(())
    }
}
