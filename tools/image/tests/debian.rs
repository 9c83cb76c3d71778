//! The package for Debian: lintian, man, and its scripts with stand-ins that write down what they are called with.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context as _, Result, ensure};
use sentinel_image::boards::Boards;
use sentinel_image::deb::Deb;
use sentinel_image::elf::{Cpu, cpu, head_of};
use sentinel_image::package::Version;
use sentinel_image::recipe::{self, Source};
use tempfile::TempDir;

const HELP: &str = "\
sentinel - network security sensor

Usage:
  sentinel run [-i INTERFACE]...    capture, detect, log, send to the collector
  sentinel read FILE                packets or alerts of a file ('-': standard input)

'sentinel COMMAND --help' lists the options of a command.

Exit codes: 0 success, 1 failure,
3 fault: start it again.
";

fn source() -> Result<Source> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    Ok(Source {
        boards: Boards::read(&repository)?,
        repository,
        version: Version { upstream: "1.2.3".into(), release: 4 },
        time: 1_700_000_000,
        maintainer: "Sentinel Appliance developers <sentinel-appliance@example.invalid>".into(),
        url: String::new(),
    })
}

fn skipped(why: &str) -> Result<()> {
    // Written directly: the test harness captures the output of macros.
    Ok(writeln!(std::io::stderr(), "skipped: {why}")?)
}

/// Output of a tool, or nothing if it is not installed.
fn tool(command: &mut Command) -> Result<Option<Output>> {
    match command.output() {
        Ok(output) => Ok(Some(output)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).context("running a tool"),
    }
}

fn written(directory: &TempDir, program: &[u8], architecture: &str) -> Result<PathBuf> {
    let (name, bytes) = recipe::deb(&source()?, architecture, program, HELP)?;
    fs::write(directory.path().join(&name), bytes)?;
    Ok(directory.path().join(name))
}

/// Debian wants programs that are linked with its C library; that one is static is what lets it run everywhere.
#[test]
fn lintian_finds_nothing_but_the_static_program() -> Result<()> {
    let busybox = fs::read("/bin/busybox").unwrap_or_default();
    if cpu(&busybox).ok() != Some(Cpu::X86_64) {
        return skipped("no static program for x86-64 (/bin/busybox of busybox-static)");
    }
    let directory = TempDir::new()?;
    let path = written(&directory, &busybox, "amd64")?;
    let mut command = Command::new("lintian");
    command.args(["--allow-root", "--fail-on", "none"]).arg(&path);
    let Some(output) = tool(&mut command)? else { return skipped("lintian is not installed") };
    let text = String::from_utf8(output.stdout)?;
    // Busybox has a dpkg of its own, with the path of the database; the sensor has not.
    let is_ours = |line: &&str| line.starts_with(['E', 'W']) && !line.contains("uses-dpkg-database-directly");
    let tags: Vec<&str> = text.lines().filter(is_ours).collect();
    ensure!(tags == ["E: sentinel-appliance: statically-linked-binary [usr/sbin/sentinel]"], "{text}");
    Ok(())
}

#[test]
fn the_manual_page_is_the_help_and_roff_has_no_complaint() -> Result<()> {
    let (directory, page) = (TempDir::new()?, recipe::manual_page(HELP, &source()?)?);
    let path = directory.path().join("sentinel.8");
    fs::write(&path, page)?;
    let mut command = Command::new("man");
    command
        .args(["--warnings", "-E", "ascii", "-l", "-P", "cat"])
        .arg(&path)
        .env("MANWIDTH", "120")
        .env("MAN_KEEP_FORMATTING", "");
    let Some(output) = tool(&mut command)? else { return skipped("man is not installed") };
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success() && errors.is_empty(), "{errors}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for line in
        ["sentinel read FILE                packets or alerts of a file ('-': standard input)", "SENTINEL(8)"]
    {
        ensure!(text.contains(line), "no {line:?} in {text}");
    }
    Ok(())
}

/// Runs a script of the package; what it calls is written down, and `rm` removes nothing.
fn calls(script: &str, arguments: &[&str], enabled: bool) -> Result<Vec<String>> {
    let (directory, package) = (TempDir::new()?, TempDir::new()?);
    let path = written(&package, &head_of(Cpu::Aarch64), "arm64")?;
    let deb = Deb::read(&fs::read(path)?)?;
    fs::write(directory.path().join("script"), deb.scripts.bytes(script)?)?;
    let record = directory.path().join("record");
    for name in ["systemd-sysusers", "deb-systemd-helper", "deb-systemd-invoke", "systemctl", "rm"] {
        let asked = if enabled { "true" } else { "[ \"$2\" != was-enabled ]" };
        let text = format!("#!/bin/sh\necho \"{name} $*\" >>{}\n{asked}\n", record.display());
        fs::write(directory.path().join(name), text)?;
        fs::set_permissions(directory.path().join(name), fs::Permissions::from_mode(0o755))?;
    }
    let mut command = Command::new("/bin/sh");
    command.arg(directory.path().join("script")).args(arguments).env("PATH", directory.path());
    let output = command.output()?;
    ensure!(output.status.success(), "{script} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    let told = fs::read_to_string(record).unwrap_or_default();
    // What is asked of a running systemd depends on this machine.
    let is_for_all = |line: &&str| !line.starts_with("systemctl") && !line.starts_with("deb-systemd-invoke");
    Ok(told.lines().filter(is_for_all).map(str::to_owned).collect())
}

#[test]
fn an_installation_makes_the_user_and_enables_the_service() -> Result<()> {
    let told = calls("postinst", &["configure", ""], true)?;
    assert_eq!(
        told,
        [
            "systemd-sysusers sentinel-appliance.conf",
            "deb-systemd-helper unmask sentinel-appliance.service",
            "deb-systemd-helper --quiet was-enabled sentinel-appliance.service",
            "deb-systemd-helper enable sentinel-appliance.service",
        ]
    );
    // An administrator who has disabled it keeps that over upgrades.
    let told = calls("postinst", &["configure", "1.2.2-1"], false)?;
    ensure!(told.last().is_some_and(|line| line.contains("update-state")), "{told:?}");
    assert_eq!(calls("postinst", &["abort-upgrade", "1.2.2-1"], true)?, [""; 0]);
    Ok(())
}

#[test]
fn only_a_purge_removes_state() -> Result<()> {
    for arguments in [&["remove"][..], &["upgrade", "1.2.4-1"], &["abort-install"], &["disappear", "x", "1"]]
    {
        let told = calls("postrm", arguments, true)?;
        ensure!(!told.iter().any(|line| line.starts_with("rm ")), "{arguments:?}: {told:?}");
    }
    let told = calls("postrm", &["purge"], true)?;
    ensure!(
        told.contains(&"rm -rf /var/lib/sentinel-appliance /run/sentinel-appliance".to_owned()),
        "{told:?}"
    );
    ensure!(told.contains(&"deb-systemd-helper purge sentinel-appliance.service".to_owned()), "{told:?}");
    assert_eq!(calls("prerm", &["upgrade", "1.2.4-1"], true)?, [""; 0]);
    Ok(())
}

#[test]
fn the_package_has_unit_user_settings_and_documents() -> Result<()> {
    let directory = TempDir::new()?;
    let deb = Deb::read(&fs::read(written(&directory, &head_of(Cpu::Arm { hard_float: true }), "armhf")?)?)?;
    assert_eq!(deb.control.want("Version")?, "1.2.3-4");
    assert_eq!(deb.scripts.bytes("conffiles")?, b"/etc/config/sentinel-appliance\n");
    for path in [
        "lib/systemd/system/sentinel-appliance.service",
        "usr/lib/sysusers.d/sentinel-appliance.conf",
        "usr/share/man/man8/sentinel.8.gz",
        "usr/share/doc/sentinel-appliance/changelog.gz",
        "usr/share/doc/sentinel-appliance/changelog.Debian.gz",
        "usr/share/doc/sentinel-appliance/examples/sentinel.conf.sample",
    ] {
        ensure!(!deb.files.bytes(path)?.is_empty(), "{path} is empty");
    }
    let copyright =
        String::from_utf8(deb.files.bytes("usr/share/doc/sentinel-appliance/copyright")?.to_vec())?;
    ensure!(
        copyright.contains("Copyright: 2023 ") && copyright.contains("License: MIT or Apache-2.0"),
        "{copyright}"
    );
    let wrong = recipe::deb(&source()?, "arm64", &head_of(Cpu::X86_64), HELP).err().context("refused")?;
    assert_eq!(wrong.to_string(), "arm64 has 64-bit ARM, but the program is for x86-64");
    Ok(())
}
