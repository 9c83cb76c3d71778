//! Boards: emulated hardware of a class of devices, with a kernel of Debian.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::program::run;

/// Class of devices.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Board {
    /// Name in `ci/budgets.toml` and on the command line.
    pub name: &'static str,
    /// Program that emulates it.
    pub(super) emulator: &'static str,
    /// Its options for machine and processor.
    pub(super) hardware: &'static [&'static str],
    /// Memory, in MiB.
    pub(super) memory_mib: u32,
    /// Terminal of the kernel.
    pub(super) console: &'static str,
    /// Network cards: one with a driver of real hardware, one of virtio. Both make the host wait if the guest is slow; the pcnet
    /// that malta has by itself drops frames then.
    pub(super) cards: [&'static str; 2],
    /// Port on which the guest reports.
    pub(super) port: Port,
}

/// Port on which a guest reports.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Port {
    /// Second serial line, of this name in the guest.
    Serial(&'static str),
    /// Port of virtio.
    Virtio,
}

/// Boards that have a kernel in Debian 12.
pub const BOARDS: [Board; 3] = [
    // MT7621 and MT7628 are 1004Kc and 24Kc with 64 MiB and more.
    Board {
        name: "mipsel",
        emulator: "qemu-system-mipsel",
        hardware: &["-M", "malta", "-cpu", "24Kf"],
        memory_mib: 64,
        console: "ttyS0",
        // Malta has two interrupts for PCI, both triggered by edges: one that two devices share is lost once both have raised it, and
        // then both stand still. So each card has one, and no other device is on PCI.
        cards: ["e1000,addr=0b", "virtio-net-pci,addr=15"],
        port: Port::Serial("ttyS1"),
    },
    // Raspberry Pi 2 and ipq40xx. Without LPAE the kernel cannot reach a PCI configuration space beyond 4 GiB.
    Board {
        name: "armv7",
        emulator: "qemu-system-arm",
        hardware: &["-M", "virt,highmem=off", "-cpu", "cortex-a7"],
        memory_mib: 128,
        console: "ttyAMA0",
        cards: ["e1000", "virtio-net-pci"],
        port: Port::Virtio,
    },
    // Raspberry Pi 3 and filogic.
    Board {
        name: "aarch64",
        emulator: "qemu-system-aarch64",
        hardware: &["-M", "virt", "-cpu", "cortex-a53"],
        memory_mib: 128,
        console: "ttyAMA0",
        cards: ["e1000", "virtio-net-pci"],
        port: Port::Virtio,
    },
];

/// Kernel modules that the guest loads. Those that are built in are not there.
const MODULES: [&str; 16] = [
    "virtio",
    "virtio_ring",
    "virtio_pci_modern_dev",
    "virtio_pci_legacy_dev",
    "virtio_pci",
    "virtio_console",
    "virtio-rng",
    "failover",
    "net_failover",
    "virtio_net",
    "e1000",
    "veth",
    "llc",
    "stp",
    "bridge",
    "af_packet",
];

impl Board {
    /// Board of this name.
    ///
    /// # Errors
    /// If there is none; with the names of all.
    pub fn find(name: &str) -> Result<Self> {
        BOARDS.into_iter().find(|board| board.name == name).with_context(|| {
            format!("no board '{name}'; there are {}", BOARDS.map(|board| board.name).join(", "))
        })
    }
}

/// Files of the unpacked packages of a board: kernel, modules, busybox.
#[derive(Debug)]
pub(super) struct Packages {
    pub(super) kernel: PathBuf,
    pub(super) busybox: PathBuf,
    pub(super) modules: Vec<PathBuf>,
}

impl Packages {
    /// Files below `folder`.
    pub(super) fn find(folder: &Path) -> Result<Self> {
        let find = |name: &str| -> Option<PathBuf> {
            let text = run(Command::new("find").arg(folder).args(["-name", name, "-type", "f"])).ok()?;
            text.lines().max().map(PathBuf::from)
        };
        let kernel = find("vmlinuz-*").with_context(|| format!("no vmlinuz in {}", folder.display()))?;
        let modules = MODULES.iter().filter_map(|name| find(&format!("{name}.ko"))).collect();
        Ok(Self { kernel, busybox: folder.join("bin/busybox"), modules })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boards_are_found_by_name() {
        assert_eq!(Board::find("armv7").unwrap().emulator, "qemu-system-arm");
        let error = Board::find("sparc").unwrap_err().to_string();
        assert_eq!(error, "no board 'sparc'; there are mipsel, armv7, aarch64");
    }
}
