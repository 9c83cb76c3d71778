//! Image of a card for the Raspberry Pi 3 and 4: partition table, system, setup, state.
//!
//! | partition | file system | content |
//! |---|---|---|
//! | 1, [`SYSTEM`] | FAT32 | firmware, kernel, initramfs with the whole userland; never mounted by the device |
//! | 2, [`SETUP`] | FAT32 | `setup.txt`, `settings.txt`, `token.txt`: written by the owner's computer, taken at the start |
//! | 3, [`STATE`] | ext4 | settings in force, keys, log |
//!
//! Input is a directory with unpacked Debian packages (`ci/install.sh pi`) and the program. Nothing here depends on the machine
//! but `mke2fs`, which gets time, UUID and seed of directories from us: the same input gives the same bytes.

mod archive;
mod fat;
mod system;
mod zones;

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

pub use archive::archive;
pub use fat::Fat;
pub use system::{MODULES, initramfs, modules_in_order, needed_libraries};
pub use zones::zones;

use crate::gzip;
use crate::recipe::Source;

/// Bytes of a sector.
pub const SECTOR: usize = 512;
const MIB: usize = 1024 * 1024;
/// Bytes of an image.
pub const IMAGE_BYTES: usize = 128 * MIB;

/// Place of one partition.
#[derive(Clone, Copy, Debug)]
pub struct Partition {
    /// Label of its file system, by which the device finds it.
    pub label: &'static str,
    /// Offset in bytes.
    pub start: usize,
    /// Length in bytes.
    pub length: usize,
    /// Type in the partition table: FAT32 with LBA or Linux.
    pub kind: u8,
}

/// The first one: the Pi's boot loader looks for its files there.
pub const SYSTEM: Partition = Partition { label: "SYSTEM", start: MIB, length: 48 * MIB, kind: 0x0C };
/// Partition that the owner writes to. FAT32 begins at 65,525 clusters, with clusters of one sector about 33 MiB.
pub const SETUP: Partition = Partition { label: "SETUP", start: 49 * MIB, length: 34 * MIB, kind: 0x0C };
/// Partition that the device writes to.
pub const STATE: Partition = Partition { label: "STATE", start: 83 * MIB, length: 45 * MIB, kind: 0x83 };

const DISK_SIGNATURE: u32 = 0x5E47_1E01;
const STATE_UUID: &str = "5e471e03-0000-4000-8000-000000000003";
/// Features of ext4 that kernel 6.1 and the computers of owners know.
const EXT4: &str = "none,has_journal,dir_index,dir_nlink,extent,extra_isize,filetype,flex_bg,huge_file,large_file,\
                    metadata_csum,sparse_super,64bit";
const FIRMWARE: [&str; 5] = ["bootcode.bin", "fixup.dat", "fixup4.dat", "start.elf", "start4.elf"];

/// Image of a card: `packages` is the directory of `ci/install.sh pi`.
///
/// # Errors
/// If a package lacks a file, the CPU of the program is another one, `mke2fs` fails, or something does not fit.
pub fn image(source: &Source, packages: &Path, program: &[u8]) -> Result<Vec<u8>> {
    source.boards.check("arm64", program)?;
    let kernel = kernel_version(packages)?;
    let initramfs = gzip::compress(&archive(&initramfs(packages, &kernel, program)?, source.time)?)?;
    let system = system_partition(source, packages, &kernel, initramfs)?;
    let mut setup = Fat::new(SETUP, source.time);
    for (name, text) in
        [("readme.txt", include_str!("rootfs/readme.txt")), ("setup.txt", include_str!("rootfs/setup.txt"))]
    {
        // For editors that know no other end of a line.
        setup.file(name, text.replace('\n', "\r\n").into_bytes())?;
    }
    let mut image = vec![0; IMAGE_BYTES];
    put(&mut image, 0, &partition_table()?)?;
    put(&mut image, SYSTEM.start, &system.bytes()?)?;
    put(&mut image, SETUP.start, &setup.bytes()?)?;
    put(&mut image, STATE.start, &state(source.time)?)?;
    Ok(image)
}

fn system_partition(source: &Source, packages: &Path, kernel: &str, initramfs: Vec<u8>) -> Result<Fat> {
    let mut system = Fat::new(SYSTEM, source.time);
    system.file("config.txt", include_str!("rootfs/config.txt"))?;
    system.file("cmdline.txt", include_str!("rootfs/cmdline.txt"))?;
    system.file("kernel8.img", gzip::compress(&read(&packages.join(format!("boot/vmlinuz-{kernel}")))?)?)?;
    system.file("initramfs.img", initramfs)?;
    system.file("packages.txt", read(&packages.join("packages"))?)?;
    for name in FIRMWARE {
        system.file(name, read(&packages.join("usr/lib/raspi-firmware").join(name))?)?;
    }
    let folder = packages.join(format!("usr/lib/linux-image-{kernel}/broadcom"));
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        names.push(entry?.file_name().into_string().ok().context("a name that is no text")?);
    }
    names.sort();
    for name in names.iter().filter(|name| name.starts_with("bcm2711") || name.starts_with("bcm2837")) {
        system.file(name, read(&folder.join(name))?)?;
    }
    Ok(system)
}

/// The only kernel below `boot/`.
fn kernel_version(packages: &Path) -> Result<String> {
    let folder = packages.join("boot");
    let mut found = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let name = entry?.file_name().into_string().unwrap_or_default();
        found.extend(name.strip_prefix("vmlinuz-").map(str::to_owned));
    }
    ensure!(found.len() == 1, "{}: {} kernels, want one", folder.display(), found.len());
    found.pop().context("a kernel")
}

/// First sector: no boot code, three primary partitions.
///
/// # Errors
/// None is known: offsets and lengths are constants that fit.
pub fn partition_table() -> Result<Vec<u8>> {
    let mut sector = vec![0; SECTOR];
    put(&mut sector, 440, &DISK_SIGNATURE.to_le_bytes())?;
    for (index, partition) in [SYSTEM, SETUP, STATE].into_iter().enumerate() {
        let sectors = |bytes: usize| u32::try_from(bytes / SECTOR).map(u32::to_le_bytes);
        // Cylinders, heads and sectors of 0xFE FF FF: only the addresses that follow count.
        let mut entry =
            vec![if index == 0 { 0x80 } else { 0 }, 0xFE, 0xFF, 0xFF, partition.kind, 0xFE, 0xFF, 0xFF];
        entry.extend(sectors(partition.start)?);
        entry.extend(sectors(partition.length)?);
        put(&mut sector, 446 + 16 * index, &entry)?;
    }
    put(&mut sector, 510, &[0x55, 0xAA])?;
    Ok(sector)
}

/// An empty ext4. Debian 12's `mke2fs` takes the time from a variable; files would keep theirs, therefore there are none.
fn state(time: u64) -> Result<Vec<u8>> {
    let file = tempfile::NamedTempFile::new().context("a file for the partition of the state")?;
    file.as_file().set_len(u64::try_from(STATE.length)?)?;
    let seed =
        format!("hash_seed={STATE_UUID},root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0,nodiscard");
    let mut command = Command::new("mke2fs");
    command
        .args(["-q", "-F", "-b", "1024", "-I", "256", "-i", "8192", "-m", "0", "-O", EXT4])
        .args(["-L", STATE.label, "-U", STATE_UUID, "-E", &seed])
        .arg(file.path())
        .env("E2FSPROGS_FAKE_TIME", time.to_string())
        .env("SOURCE_DATE_EPOCH", time.to_string())
        // An administrator's defaults are not ours.
        .env("MKE2FS_CONFIG", "/dev/null")
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    let output = command.output().context("mke2fs (package e2fsprogs)")?;
    ensure!(output.status.success(), "mke2fs: {}", String::from_utf8_lossy(&output.stderr).trim());
    read(file.path())
}

fn put(room: &mut [u8], at: usize, bytes: &[u8]) -> Result<()> {
    let end = at.saturating_add(bytes.len());
    room.get_mut(at..end)
        .with_context(|| format!("{} bytes do not fit at {at}", bytes.len()))?
        .copy_from_slice(bytes);
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| path.display().to_string())
}
