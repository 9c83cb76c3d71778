//! Userland of the image: an initramfs with busybox, the program, an SSH server, modules of the kernel and our scripts.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

use super::{read, zones};
use crate::files::{Content, Entry, Files};
use crate::recipe::NAME;

/// Scripts and settings as they lie on the device.
const SCRIPTS: [(&str, u32, &str); 13] = [
    ("init", 0o755, include_str!("rootfs/init")),
    ("etc/inittab", 0o644, include_str!("rootfs/inittab")),
    ("etc/group", 0o644, include_str!("rootfs/group")),
    ("etc/passwd", 0o644, include_str!("rootfs/passwd")),
    ("etc/services", 0o644, "ntp 123/udp\n"),
    ("etc/profile", 0o644, "export TZ=$(cat /etc/TZ 2>/dev/null)\n"),
    ("sbin/take-setup", 0o755, include_str!("rootfs/take-setup")),
    ("sbin/network", 0o755, include_str!("rootfs/network")),
    ("sbin/lease", 0o755, include_str!("rootfs/lease")),
    ("sbin/clock", 0o755, include_str!("rootfs/clock")),
    ("sbin/sensor", 0o755, include_str!("rootfs/sensor")),
    ("sbin/enroll", 0o755, include_str!("rootfs/enroll")),
    ("sbin/stop", 0o755, include_str!("rootfs/stop")),
];

/// From packages of Debian: where it lies there, where it lies here.
const PROGRAMS: [(&str, &str); 5] = [
    ("bin/busybox", "bin/busybox"),
    ("usr/sbin/dropbear", "usr/sbin/dropbear"),
    ("usr/sbin/ntpd", "usr/sbin/ntpd"),
    ("usr/bin/dropbearkey", "usr/bin/dropbearkey"),
    ("lib/aarch64-linux-gnu/ld-linux-aarch64.so.1", "lib/ld-linux-aarch64.so.1"),
];

const LIBRARIES: [&str; 2] = ["lib/aarch64-linux-gnu", "usr/lib/aarch64-linux-gnu"];

/// Drivers: card and state, network of the Pi 3 and 4, network adapters with USB for a bridge, watchdog, random numbers, and
/// what qemu's machine `virt` has. What they depend on comes with them.
pub const MODULES: [&str; 35] = [
    "crc32c_generic",
    "bcm2835",
    "sdhci-iproc",
    "ext4",
    "vfat",
    "nls_cp437",
    "nls_ascii", // card
    "reset-raspberrypi",
    "phy-generic",
    "dwc2",
    "xhci-pci", // USB
    "broadcom",
    "mdio-bcm-unimac",
    "genet",
    "smsc95xx",
    "lan78xx",
    "microchip",
    "smsc", // network of the board
    "cdc_ether",
    "cdc_ncm",
    "r8152",
    "asix",
    "ax88179_178a", // adapters
    "bridge",
    "veth",
    "bcm2835_wdt",
    "bcm2835-rng",
    "iproc-rng200",
    "raspberrypi-cpufreq",
    "cpufreq-dt", // the rest
    "virtio_blk",
    "virtio_pci",
    "virtio_net",
    "virtio_mmio",
    "virtio-rng",
];

/// Files of the initramfs for `kernel`; modules are in one directory with a list in the order in which they load.
///
/// # Errors
/// If a package lacks a file.
pub fn initramfs(packages: &Path, kernel: &str, program: &[u8]) -> Result<Files> {
    let mut files = Files::default();
    for (path, mode, text) in SCRIPTS {
        files.file(path, mode, text)?;
    }
    files.file("usr/sbin/sentinel", 0o755, program)?;
    files.file(&format!("etc/{NAME}.default"), 0o644, include_str!("rootfs/settings"))?;
    files.file("etc/timezones", 0o644, zones(packages)?)?;
    link(&mut files, "bin/sh", "busybox")?;
    // The settings in force lie on the partition of the state.
    link(&mut files, &format!("etc/config/{NAME}"), &format!("/data/etc/{NAME}"))?;
    link(&mut files, "etc/TZ", "/data/etc/TZ")?;
    for (from, to) in PROGRAMS {
        files.file(to, 0o755, read(&packages.join(from))?)?;
    }
    add_libraries(&mut files, packages)?;
    let folder = packages.join("lib/modules").join(kernel).join("kernel");
    let mut order = String::new();
    for (name, bytes) in modules_in_order(&folder, &MODULES)? {
        order += &format!("{name}\n");
        files.file(&format!("lib/modules/{name}.ko"), 0o644, bytes)?;
    }
    files.file("lib/modules/order", 0o644, order)?;
    for path in ["data", "dev", "proc", "run", "setup", "sys", "tmp", "root", &format!("var/lib/{NAME}")] {
        files.add(Entry { path: path.to_owned(), mode: 0o755, content: Content::Directory })?;
    }
    Ok(files)
}

fn link(files: &mut Files, path: &str, target: &str) -> Result<()> {
    files.add(Entry { path: path.to_owned(), mode: 0o777, content: Content::Link(target.to_owned()) })
}

/// Adds the libraries that programs name, and those that libraries name.
fn add_libraries(files: &mut Files, packages: &Path) -> Result<()> {
    let mut open: BTreeSet<String> = BTreeSet::new();
    for (_, path) in PROGRAMS {
        open.extend(needed_libraries(files.bytes(path)?)?);
    }
    while let Some(name) = open.pop_first() {
        let path = format!("lib/{name}");
        if files.get(&path).is_some() {
            continue;
        }
        let places = LIBRARIES.map(|folder| packages.join(folder).join(&name));
        let found = places.iter().find(|place| place.exists());
        let bytes = read(found.with_context(|| format!("no package has the library {name}"))?)?;
        open.extend(needed_libraries(&bytes)?);
        files.file(&path, 0o755, bytes)?;
    }
    Ok(())
}

/// Libraries that a 64-bit little-endian program or library names (`DT_NEEDED`).
///
/// Read first: elf(5), program headers and dynamic section. None for a static program.
///
/// # Errors
/// If a table points outside the file.
pub fn needed_libraries(bytes: &[u8]) -> Result<Vec<String>> {
    const LOAD: u64 = 1;
    const DYNAMIC: u64 = 2;
    const NEEDED: u64 = 1;
    const STRINGS: u64 = 5;
    let number = |at: usize, length: usize| -> Result<u64> {
        let field = bytes.get(at..at.saturating_add(length)).context("an ELF file that is cut")?;
        Ok(field.iter().rev().fold(0, |number, byte| (number << 8) | u64::from(*byte)))
    };
    ensure!(bytes.starts_with(b"\x7fELF\x02\x01"), "no 64-bit little-endian ELF file");
    let (table, size, count) = (
        usize::try_from(number(32, 8)?)?,
        usize::try_from(number(54, 2)?)?,
        usize::try_from(number(56, 2)?)?,
    );
    let mut segments = Vec::new();
    for at in (0..count).map(|index| table.saturating_add(index.saturating_mul(size))) {
        segments.push((number(at, 4)?, number(at + 8, 8)?, number(at + 16, 8)?, number(at + 32, 8)?));
    }
    let Some((_, start, _, length)) = segments.iter().find(|segment| segment.0 == DYNAMIC) else {
        return Ok(Vec::new());
    };
    let (mut names, mut strings) = (Vec::new(), None);
    for index in 0..usize::try_from(length / 16)? {
        let at = usize::try_from(*start)?.saturating_add(index.saturating_mul(16));
        match number(at, 8)? {
            0 => break,
            NEEDED => names.push(number(at + 8, 8)?),
            STRINGS => strings = Some(number(at + 8, 8)?),
            _ => {}
        }
    }
    // The table of strings is named by its address, names by their offset in it.
    let address = strings.context("a dynamic section without strings")?;
    let holds = |segment: &&(u64, u64, u64, u64)| {
        segment.0 == LOAD && (segment.2..segment.2.saturating_add(segment.3)).contains(&address)
    };
    let (_, offset, base, _) = segments.iter().find(holds).context("strings outside every segment")?;
    let strings = address.saturating_sub(*base).saturating_add(*offset);
    names.into_iter().map(|name| text(bytes, usize::try_from(strings.saturating_add(name))?)).collect()
}

fn text(bytes: &[u8], at: usize) -> Result<String> {
    let rest = bytes.get(at..).context("a name outside the file")?;
    let end = rest.iter().position(|byte| *byte == 0).context("a name without an end")?;
    Ok(std::str::from_utf8(rest.get(..end).unwrap_or_default())?.to_owned())
}

/// Modules and what they depend on, each after what it depends on, with the names of their files.
///
/// # Errors
/// If a wanted one is missing. What only the kernel itself has is no module and not named by any.
pub fn modules_in_order(folder: &Path, wanted: &[&str]) -> Result<Vec<(String, Vec<u8>)>> {
    let mut paths = BTreeMap::new();
    find_modules(folder, &mut paths)?;
    let (mut order, mut done) = (Vec::new(), BTreeSet::new());
    for name in wanted {
        add_module(name, &paths, &mut done, &mut order)?;
    }
    Ok(order)
}

fn find_modules(folder: &Path, paths: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            find_modules(&path, paths)?;
        } else if let Some(name) = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".ko")) {
            // Names of modules have `_` where files may have `-`.
            paths.insert(name.replace('-', "_"), path.clone());
        }
    }
    Ok(())
}

/// A circle of dependencies ends at what is done: a module counts as done before what it depends on.
fn add_module(
    name: &str,
    paths: &BTreeMap<String, PathBuf>,
    done: &mut BTreeSet<String>,
    order: &mut Vec<(String, Vec<u8>)>,
) -> Result<()> {
    let name = name.replace('-', "_");
    if !done.insert(name.clone()) {
        return Ok(());
    }
    let Some(path) = paths.get(&name) else { bail!("the kernel has no module {name}") };
    let bytes = read(path)?;
    let dependencies =
        dependencies(&bytes).with_context(|| format!("{name} does not say what it depends on"))?;
    for dependency in dependencies.split(',').filter(|dependency| !dependency.is_empty()) {
        add_module(dependency, paths, done, order)?;
    }
    order.push((name, bytes));
    Ok(())
}

/// Value of `depends=` in the section `.modinfo`.
fn dependencies(module: &[u8]) -> Option<&str> {
    const KEY: &[u8] = b"\0depends=";
    let at = module.windows(KEY.len()).position(|window| window == KEY)?.checked_add(KEY.len())?;
    let value = module.get(at..)?.split(|byte| *byte == 0).next()?;
    std::str::from_utf8(value).ok()
}
