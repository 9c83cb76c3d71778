//! Image of the Raspberry Pi without the machine: partitions and their files, and the script that takes the owner's files.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context as _, Result, ensure};
use sentinel_image::boards::Boards;
use sentinel_image::elf::{Cpu, head_of};
use sentinel_image::package::Version;
use sentinel_image::pi::{self, Fat, SECTOR, SETUP, STATE, SYSTEM};
use sentinel_image::recipe::Source;
use tempfile::TempDir;

const TIME: u64 = 1_700_000_000;

fn skipped(why: &str) -> Result<()> {
    // Written directly: the test harness captures the output of macros.
    Ok(writeln!(std::io::stderr(), "skipped: {why}")?)
}

fn number(bytes: &[u8], at: usize, length: usize) -> Result<usize> {
    let field = bytes.get(at..at + length).with_context(|| format!("{length} bytes at {at}"))?;
    Ok(field.iter().rev().fold(0, |number, byte| (number << 8) | usize::from(*byte)))
}

/// Files of the root directory, read as a boot loader does: over the chain of clusters, short names and long ones.
fn files_of(partition: &[u8]) -> Result<Vec<(String, Vec<u8>)>> {
    let (reserved, tables, table_sectors) =
        (number(partition, 14, 2)?, number(partition, 16, 1)?, number(partition, 36, 4)?);
    let data = reserved + tables * table_sectors;
    let content = |first: usize| -> Result<Vec<u8>> {
        let (mut bytes, mut cluster) = (Vec::new(), first);
        while (2..0x0FFF_FFF8).contains(&cluster) {
            let at = (data + cluster - 2) * SECTOR;
            bytes.extend(partition.get(at..at + SECTOR).context("a cluster outside the partition")?);
            cluster = number(partition, reserved * SECTOR + cluster * 4, 4)?;
        }
        Ok(bytes)
    };
    let (mut files, mut long) = (Vec::new(), String::new());
    for entry in content(number(partition, 44, 4)?)?.chunks(32).take_while(|entry| entry.first() != Some(&0))
    {
        match number(entry, 11, 1)? {
            0x0F => {
                let units =
                    (0..13).map(|index| [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30].get(index).copied());
                let part: String = units
                    .map_while(|at| {
                        at.and_then(|at| number(entry, at, 2).ok()).filter(|unit| (1..0x80).contains(unit))
                    })
                    .filter_map(|unit| u8::try_from(unit).ok().map(char::from))
                    .collect();
                long.insert_str(0, &part);
            }
            0x20 => {
                let text = String::from_utf8_lossy(entry.get(..11).context("a name")?).to_lowercase();
                let (stem, ending) = text.split_at(8);
                let short = format!("{}.{}", stem.trim_end(), ending.trim_end());
                let name = if long.is_empty() { short } else { std::mem::take(&mut long) };
                let first = (number(entry, 20, 2)? << 16) | number(entry, 26, 2)?;
                let mut bytes = content(first)?;
                bytes.truncate(number(entry, 28, 4)?);
                files.push((name, bytes));
            }
            _ => {}
        }
    }
    Ok(files)
}

#[test]
fn what_is_written_to_fat_is_read_again() -> Result<()> {
    let wanted: Vec<(String, Vec<u8>)> = [
        ("setup.txt", 1),
        ("bcm2711-rpi-4-b.dtb", SECTOR),
        ("kernel8.img", 3 * SECTOR + 1),
        ("exactly13.txt", SECTOR - 1),
        ("a-name-of-exactly-26-ch.txt", 0),
        ("bcm2711-rpi-400.dtb", 2 * SECTOR),
    ]
    .into_iter()
    .enumerate()
    .map(|(index, (name, length))| {
        (name.to_owned(), vec![u8::try_from(index).unwrap_or_default() + 1; length])
    })
    .collect();
    let mut fat = Fat::new(SYSTEM, TIME);
    for (name, bytes) in &wanted {
        fat.file(name, bytes.clone())?;
    }
    let bytes = fat.bytes()?;
    assert_eq!(files_of(&bytes)?, wanted);
    assert_eq!(bytes, fat.bytes()?);
    let directory = TempDir::new()?;
    let path = directory.path().join("fat");
    fs::write(&path, bytes)?;
    let checked =
        Command::new("fsck.fat").arg("-n").arg(&path).env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin").output();
    let Ok(checked) = checked else { return skipped("fsck.fat is not installed (ci/install.sh pi)") };
    ensure!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
    Ok(())
}

#[test]
fn partitions_follow_each_other_up_to_the_end() -> Result<()> {
    let table = pi::partition_table()?;
    assert_eq!(table.get(510..), Some(&[0x55, 0xAA][..]));
    let mut end = SYSTEM.start;
    for (index, partition) in [SYSTEM, SETUP, STATE].iter().enumerate() {
        let entry = table.get(446 + 16 * index..462 + 16 * index).context("an entry")?;
        assert_eq!(number(entry, 4, 1)?, usize::from(partition.kind));
        assert_eq!(number(entry, 8, 4)? * SECTOR, partition.start);
        assert_eq!(number(entry, 12, 4)? * SECTOR, partition.length);
        assert_eq!(partition.start, end);
        end += partition.length;
    }
    assert_eq!(end, pi::IMAGE_BYTES);
    Ok(())
}

/// A directory as `ci/install.sh pi` leaves it, with stand-ins for what Debian's packages have.
fn packages(directory: &Path) -> Result<()> {
    let file = |path: &str, bytes: &[u8]| -> Result<()> {
        let path = directory.join(path);
        fs::create_dir_all(path.parent().context("a directory")?)?;
        Ok(fs::write(path, bytes)?)
    };
    file("packages", b"zlib1g 1 arm64 00\n")?;
    file("boot/vmlinuz-6.1.0-1-arm64", b"kernel")?;
    for name in ["bootcode.bin", "fixup.dat", "fixup4.dat", "start.elf", "start4.elf"] {
        file(&format!("usr/lib/raspi-firmware/{name}"), name.as_bytes())?;
    }
    for name in ["bcm2711-rpi-4-b.dtb", "bcm2837-rpi-3-b.dtb", "bcm2835-rpi-zero.dtb"] {
        file(&format!("usr/lib/linux-image-6.1.0-1-arm64/broadcom/{name}"), name.as_bytes())?;
    }
    for index in 0..300 {
        file(&format!("usr/share/zoneinfo/Area/City{index}"), b"TZif2\0\nUTC0\n")?;
    }
    // Heads of ELF files that name no library.
    for path in [
        "bin/busybox",
        "usr/sbin/dropbear",
        "usr/sbin/ntpd",
        "usr/bin/dropbearkey",
        "lib/aarch64-linux-gnu/ld-linux-aarch64.so.1",
    ] {
        file(path, &head_of(Cpu::Aarch64))?;
    }
    for name in pi::MODULES {
        let depends = if name == "genet" { "libphy" } else { "" };
        let folder = "lib/modules/6.1.0-1-arm64/kernel/drivers";
        file(&format!("{folder}/{name}.ko"), format!("ELF\0license=GPL\0depends={depends}\0").as_bytes())?;
    }
    file("lib/modules/6.1.0-1-arm64/kernel/net/libphy.ko", b"ELF\0depends=\0")
}

fn source() -> Result<Source> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    Ok(Source {
        boards: Boards::read(&repository)?,
        repository,
        version: Version { upstream: "1.2.3".into(), release: 4 },
        time: TIME,
        maintainer: "Sentinel Appliance developers <sentinel-appliance@example.invalid>".into(),
        url: String::new(),
    })
}

fn part(image: &[u8], partition: pi::Partition) -> Result<&[u8]> {
    image.get(partition.start..partition.start + partition.length).context("a partition")
}

#[test]
fn the_same_packages_give_the_same_image() -> Result<()> {
    let places = ["/usr/sbin/mke2fs", "/sbin/mke2fs", "/usr/bin/mke2fs"];
    if !places.iter().any(|place| Path::new(place).exists()) {
        return skipped("mke2fs is not installed (e2fsprogs)");
    }
    let (one, other) = (TempDir::new()?, TempDir::new()?);
    packages(one.path())?;
    packages(other.path())?;
    let program = head_of(Cpu::Aarch64);
    let image = pi::image(&source()?, one.path(), &program)?;
    ensure!(image == pi::image(&source()?, other.path(), &program)?, "two images of the same input differ");
    assert_eq!(image.len(), pi::IMAGE_BYTES);
    let names: Vec<String> = files_of(part(&image, SYSTEM)?)?.into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [
            "config.txt",
            "cmdline.txt",
            "kernel8.img",
            "initramfs.img",
            "packages.txt",
            "bootcode.bin",
            "fixup.dat",
            "fixup4.dat",
            "start.elf",
            "start4.elf",
            "bcm2711-rpi-4-b.dtb",
            "bcm2837-rpi-3-b.dtb",
        ]
    );
    let setup = files_of(part(&image, SETUP)?)?;
    let (name, text) = setup.get(1).context("two files")?;
    ensure!(name == "setup.txt" && String::from_utf8_lossy(text).contains("\r\nport = mirror\r\n"), "{name}");
    // Magic number of ext4, label.
    let state = part(&image, STATE)?;
    assert_eq!(
        (state.get(1080..1082), state.get(1144..1149)),
        (Some(&[0x53, 0xEF][..]), Some(&b"STATE"[..]))
    );
    let wrong = pi::image(&source()?, one.path(), &head_of(Cpu::X86_64)).err().context("refused")?;
    assert_eq!(wrong.to_string(), "arm64 has 64-bit ARM, but the program is for x86-64");
    fs::remove_file(one.path().join("lib/modules/6.1.0-1-arm64/kernel/net/libphy.ko"))?;
    let lacks = pi::image(&source()?, one.path(), &program).err().context("refused")?;
    assert_eq!(lacks.to_string(), "the kernel has no module libphy");
    Ok(())
}

#[test]
fn modules_load_after_what_they_depend_on() -> Result<()> {
    let directory = TempDir::new()?;
    for (name, depends) in [("a-b", "c,d"), ("c", "d"), ("d", ""), ("other", "")] {
        fs::write(directory.path().join(format!("{name}.ko")), format!("ELF\0depends={depends}\0name=x\0"))?;
    }
    let names = |wanted: &[&str]| -> Result<Vec<String>> {
        Ok(pi::modules_in_order(directory.path(), wanted)?.into_iter().map(|(name, _)| name).collect())
    };
    assert_eq!(names(&["a-b"])?, ["d", "c", "a_b"]);
    assert_eq!(names(&["c", "a_b", "c"])?, ["d", "c", "a_b"]);
    assert_eq!(names(&["none"]).err().context("refused")?.to_string(), "the kernel has no module none");
    Ok(())
}

#[test]
fn libraries_of_a_program_are_found() -> Result<()> {
    let own = fs::read("/proc/self/exe")?;
    if !own.starts_with(b"\x7fELF\x02\x01") {
        return skipped("this machine is not a 64-bit little-endian one");
    }
    ensure!(
        pi::needed_libraries(&own)?.iter().any(|name| name.starts_with("libc.so")),
        "{:?}",
        pi::needed_libraries(&own)?
    );
    assert_eq!(pi::needed_libraries(&head_of(Cpu::Aarch64))?, [""; 0]);
    Ok(())
}

/// The partitions SETUP and STATE as directories, and stand-ins for `mount` and `sentinel` that write down their calls.
struct Card {
    directory: TempDir,
}

impl Card {
    fn new() -> Result<Self> {
        let card = Self { directory: TempDir::new()? };
        for folder in ["setup", "state", "bin"] {
            fs::create_dir(card.path(folder))?;
        }
        card.tool("mount", "exit 0")?;
        card.tool("sync", "exit 0")?;
        card.tool("sentinel", "! grep -q wrong \"$3\" || { echo 'line 1: wrong'; exit 1; }")?;
        fs::write(card.path("zones"), "Etc/UTC UTC0\nEurope/Berlin CET-1CEST,M3.5.0,M10.5.0/3\n")?;
        fs::write(card.path("defaults"), "\tlist interface 'eth0'\n")?;
        Ok(card)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn tool(&self, name: &str, body: &str) -> Result<()> {
        let path = self.path("bin").join(name);
        fs::write(
            &path,
            format!("#!/bin/sh\necho \"{name} $*\" >>{}\n{body}\n", self.path("calls").display()),
        )?;
        Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o755))?)
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        Ok(fs::write(self.path("setup").join(name), text)?)
    }

    fn state(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.path("state/etc").join(name)).ok()
    }

    fn answer(&self) -> String {
        fs::read_to_string(self.path("setup/result.txt")).unwrap_or_default()
    }

    /// Output; the calls of `mount` since the last time.
    fn take(&self, shell: &[&str]) -> Result<(String, usize)> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/pi/rootfs/take-setup");
        let _absent_the_first_time = fs::remove_file(self.path("calls"));
        let (program, arguments) = shell.split_first().context("a shell")?;
        let output: Output = Command::new(program)
            .args(arguments)
            .arg(script)
            .args([self.path("setup"), self.path("state")])
            .env("PATH", format!("{}:/usr/bin:/bin", self.path("bin").display()))
            .env("MOUNT", self.path("bin/mount"))
            .env("SYNC", self.path("bin/sync"))
            .env("ZONES", self.path("zones"))
            .env("DEFAULTS", self.path("defaults"))
            .output()?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(errors.is_empty(), "{errors}");
        let calls = fs::read_to_string(self.path("calls")).unwrap_or_default();
        let mounts = calls.lines().filter(|line| line.starts_with("mount")).count();
        Ok((String::from_utf8(output.stdout)?, mounts))
    }
}

/// Every shell that is here: the device has busybox.
fn with_shells(test: impl Fn(&[&str]) -> Result<()>) -> Result<()> {
    test(&["/bin/sh"]).context("sh")?;
    if Path::new("/bin/busybox").exists() {
        test(&["/bin/busybox", "sh"]).context("busybox sh")
    } else {
        skipped("busybox is not installed")
    }
}

#[test]
fn setup_is_taken_once_and_again_when_it_changes() -> Result<()> {
    with_shells(|shell| {
        let card = Card::new()?;
        card.write(
            "setup.txt",
            "\u{feff}port = bridge\r\n# port = mirror\r\n ssh_key=ssh-ed25519 AAAAC3Nz me\r\nssh_key = ssh-rsa AAAAB3 you \r\n\
             timezone = Europe/Berlin\r\nname = attic\r\ntime_server = 192.168.1.1\r\n",
        )?;
        let (_, mounts) = card.take(shell)?;
        assert_eq!(mounts, 2, "writable for the answer, and back");
        assert_eq!(card.state("port").as_deref(), Some("bridge\n"));
        assert_eq!(
            card.state("authorized_keys").as_deref(),
            Some("ssh-ed25519 AAAAC3Nz me\nssh-rsa AAAAB3 you\n")
        );
        assert_eq!(card.state("TZ").as_deref(), Some("CET-1CEST,M3.5.0,M10.5.0/3\n"));
        assert_eq!(card.state("name").as_deref(), Some("attic\n"));
        assert_eq!(card.state("time_server").as_deref(), Some("192.168.1.1\n"));
        assert_eq!(card.state("sentinel-appliance").as_deref(), Some("\tlist interface 'br0'\n"));
        ensure!(card.answer().contains("time zone: Europe/Berlin\r\n"), "{}", card.answer());
        // The owner of the device has changed it since, over SSH.
        fs::write(card.path("state/etc/port"), "mirror\n")?;
        assert_eq!(card.take(shell)?, (String::new(), 0));
        assert_eq!(card.state("port").as_deref(), Some("mirror\n"));
        card.write("setup.txt", "port = mirror\n")?;
        card.take(shell)?;
        assert_eq!(card.state("sentinel-appliance").as_deref(), Some("\tlist interface 'eth0'\n"));
        assert_eq!((card.state("authorized_keys").as_deref(), card.state("name")), (Some(""), None));
        assert_eq!(card.state("TZ").as_deref(), Some("CET-1CEST,M3.5.0,M10.5.0/3\n"));
        Ok(())
    })
}

#[test]
fn a_token_is_taken_and_nothing_of_it_stays() -> Result<()> {
    with_shells(|shell| {
        let card = Card::new()?;
        card.write("token.txt", "secret-token\r\n")?;
        // What the sectors hold once the file has no name any more.
        fs::hard_link(card.path("setup/token.txt"), card.path("sectors"))?;
        let (said, mounts) = card.take(shell)?;
        assert_eq!(card.state("token").as_deref(), Some("secret-token\n".trim_end()));
        let mode = fs::metadata(card.path("state/etc/token"))?.permissions().mode();
        assert_eq!((mode & 0o777, mounts), (0o600, 2));
        ensure!(
            !card.path("setup/token.txt").exists()
                && !said.contains("secret")
                && !card.answer().contains("secret"),
            "{said}"
        );
        assert_eq!(fs::read(card.path("sectors"))?, [0; 512]);
        assert_eq!(card.take(shell)?, (String::new(), 0));
        // The power went after the token was stored and before it was wiped.
        card.write("token.txt", "secret-token\r\n")?;
        card.take(shell)?;
        ensure!(!card.path("setup/token.txt").exists(), "it is there again");
        Ok(())
    })
}

#[test]
fn what_is_wrong_leaves_what_was_valid_and_is_told() -> Result<()> {
    with_shells(|shell| {
        let card = Card::new()?;
        card.write("setup.txt", "port = bridge\ntimezone = Europe/Berlin\nname = attic\n")?;
        card.write("settings.txt", "\tlist interface 'br0'\r\n")?;
        card.take(shell)?;
        card.write(
            "setup.txt",
            "port = tap\ntimezone = ../../etc/passwd\nname = a;reboot\nssh_key = command=\"x\" ssh-rsa AAAA\ntime_server = -f\n",
        )?;
        card.write("settings.txt", "wrong\n")?;
        card.write("token.txt", &"x".repeat(5000))?;
        card.take(shell)?;
        for (name, value) in [
            ("port", Some("bridge\n")),
            ("TZ", Some("CET-1CEST,M3.5.0,M10.5.0/3\n")),
            ("name", Some("attic\n")),
            ("sentinel-appliance", Some("\tlist interface 'br0'\n")),
            ("authorized_keys", Some("")),
            ("time_server", None),
            ("token", None),
        ] {
            assert_eq!(card.state(name).as_deref(), value, "{name}");
        }
        let answer = card.answer();
        for told in [
            "port is neither mirror nor bridge; it stays bridge",
            "no time zone ../../etc/passwd",
            "name has characters other than",
            "1 of 1 values of ssh_key are no public key",
            "settings.txt: not taken\r\n  line 1: wrong",
            "token.txt: longer than 4096 bytes",
        ] {
            ensure!(answer.contains(told), "no {told:?} in {answer}");
        }
        ensure!(!card.path("setup/token.txt").exists(), "the token stays");
        assert_eq!(card.take(shell)?, (String::new(), 0));
        Ok(())
    })
}

#[test]
fn a_card_without_files_gets_the_defaults() -> Result<()> {
    with_shells(|shell| {
        let card = Card::new()?;
        card.write("settings.txt", "")?;
        card.write("setup.txt", &"#".repeat(70_000))?;
        let (said, _) = card.take(shell)?;
        ensure!(said.contains("setup.txt: longer than 65536 bytes, not taken"), "{said}");
        assert_eq!(card.state("sentinel-appliance").as_deref(), Some("\tlist interface 'eth0'\n"));
        assert_eq!(card.take(shell)?, (String::new(), 0));
        fs::remove_dir_all(card.path("setup"))?;
        assert_eq!(card.take(shell)?, (String::new(), 0));
        Ok(())
    })
}
