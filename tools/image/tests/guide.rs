//! Commands of the README's sections "On OpenWrt" and "On a Raspberry Pi", run as they stand there: the tool is real, what is on a
//! router or a Pi only has stand-ins that check what they are given (`tests/guide/stand-ins.sh`).

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use sentinel_image::elf::{Cpu, head_of};
use tempfile::TempDir;

/// More would be no quick start.
const MAX_COMMANDS: usize = 10;

fn repository() -> Result<PathBuf> {
    Ok(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?)
}

/// Lines of the code blocks of a section.
fn commands(section: &str) -> Result<Vec<String>> {
    let readme = fs::read_to_string(repository()?.join("README.md"))?;
    let (_, rest) = readme.split_once(&format!("\n### {section}\n")).context("a section of the README")?;
    let body = rest.lines().take_while(|line| !line.starts_with('#') && !line.starts_with('|'));
    let found: Vec<String> = body.filter_map(|line| line.strip_prefix("    ")).map(str::to_owned).collect();
    ensure!((2..=MAX_COMMANDS).contains(&found.len()), "{section}: {} commands", found.len());
    Ok(found)
}

/// Directory with programs, and files of a device.
fn place() -> Result<TempDir> {
    let place = TempDir::new()?;
    let at = |name: &str| place.path().join(name);
    for folder in
        ["dist", "etc/apk/keys", "etc/apk/repositories.d", "etc/opkg/keys", "tmp", "unpacked", "home"]
    {
        fs::create_dir_all(at(folder))?;
    }
    for (triple, cpu) in [
        ("mipsel-unknown-linux-musl", Cpu::Mips { big_endian: false }),
        ("aarch64-unknown-linux-musl", Cpu::Aarch64),
        ("x86_64-unknown-linux-musl", Cpu::X86_64),
    ] {
        fs::create_dir_all(at("programs").join(triple))?;
        fs::write(at("programs").join(triple).join("sentinel"), head_of(cpu))?;
    }
    fs::write(at("etc/apk/arch"), "mipsel_24kc\n")?;
    fs::write(at("etc/openwrt_release"), "DISTRIB_ID='OpenWrt'\nDISTRIB_ARCH='mipsel_24kc'\n")?;
    fs::write(at("etc/opkg/customfeeds.conf"), "# own feeds\n")?;
    let help = "#!/bin/sh\ncat <<'END'\nsentinel - network sensor\n\nUsage:\n  sentinel interfaces\n  sentinel status\nEND\n";
    fs::write(at("help"), help)?;
    fs::set_permissions(at("help"), fs::Permissions::from_mode(0o755))?;
    Ok(place)
}

fn run(section: &str, place: &TempDir) -> Result<String> {
    let root = place.path().display().to_string();
    let mut script =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guide/stand-ins.sh"))?;
    for command in commands(section)? {
        // Names that no shell function can have, and files of the device.
        let command = command.replace("ci/cross.sh", "cross").replace("opkg-key", "opkg_key");
        // The Pi's files are in the package, a router's below the place.
        let command = if command.contains("editor") { command } else { command.replace("/etc/", "@/etc/") };
        let command = command.replace(" /tmp/", " @/tmp/").replace("@/", &format!("{root}/"));
        script += &format!("\n{command} || fail '{}'\n", command.replace('\'', ""));
    }
    let mut shell = if Path::new("/bin/busybox").exists() {
        Command::new("/bin/busybox")
    } else {
        Command::new("/bin/sh")
    };
    if Path::new("/bin/busybox").exists() {
        shell.arg("sh");
    }
    shell.arg("-c").arg(&script).current_dir(place.path()).env("PLACE", place.path());
    shell.env("HOME", place.path().join("home")).env("IMAGE", env!("CARGO_BIN_EXE_image"));
    let output = shell.env("REPOSITORY", repository()?).output()?;
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && !said.contains("FAILED"), "{said}");
    Ok(said)
}

#[test]
fn the_commands_for_openwrt_lead_to_an_installed_package() -> Result<()> {
    let said = run("On OpenWrt", &place()?)?;
    ensure!(
        said.matches("installed luci-app-sentinel-appliance").count() == 2,
        "with apk and with opkg: {said}"
    );
    ensure!(said.matches("indices signed").count() == 2, "{said}");
    Ok(())
}

#[test]
fn the_commands_for_a_pi_lead_to_an_installed_package() -> Result<()> {
    if Command::new("dpkg-deb").arg("--version").output().is_err() {
        // Written directly: the test harness captures the output of macros.
        return Ok(writeln!(std::io::stderr(), "skipped: dpkg-deb is not installed")?);
    }
    let said = run("On a Raspberry Pi", &place()?)?;
    ensure!(said.contains("installed ./sentinel-appliance_"), "{said}");
    Ok(())
}
