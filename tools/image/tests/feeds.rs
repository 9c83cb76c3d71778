//! Recipes for the distribution's own feeds install what our packages install.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use sentinel_image::boards::Boards;
use sentinel_image::elf::{Cpu, head_of};
use sentinel_image::files::Content;
use sentinel_image::package::{Package, Version};
use sentinel_image::recipe::{self, Source};

fn source() -> Result<Source> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    Ok(Source {
        boards: Boards::read(&repository)?,
        repository,
        version: Version { upstream: env!("CARGO_PKG_VERSION").into(), release: 1 },
        time: 1_700_000_000,
        maintainer: "Sentinel Appliance developers <sentinel-appliance@example.invalid>".into(),
        url: String::new(),
    })
}

fn appliance() -> Result<Package> {
    recipe::appliance(&source()?, "mips_24kc", &head_of(Cpu::Mips { big_endian: true }))
}

fn makefile(name: &str) -> Result<String> {
    let path = source()?.repository.join("openwrt").join(name).join("Makefile");
    fs::read_to_string(&path).with_context(|| path.display().to_string())
}

/// Folder of the settings of boards in the package.
const BOARDS: &str = "usr/share/sentinel-appliance/boards/";

#[test]
fn the_makefile_of_the_program_installs_what_the_package_has() -> Result<()> {
    let (package, makefile) = (appliance()?, makefile("sentinel-appliance")?);
    let installs = |line: &str, path: &str| {
        // All boards by one line, which ends with their folder.
        let target = if path.starts_with(BOARDS) { BOARDS } else { path };
        line.contains("$(INSTALL_") && line.ends_with(&format!(" $(1)/{target}"))
    };
    for entry in package.files.iter().filter(|entry| entry.content != Content::Directory) {
        let line = makefile.lines().find(|line| installs(line, &entry.path));
        let line = line.with_context(|| format!("the Makefile does not install {}", entry.path))?;
        let wanted = if entry.mode == 0o755 { "$(INSTALL_BIN)" } else { "$(INSTALL_DATA)" };
        ensure!(line.contains(wanted), "{}: want {wanted}", entry.path);
    }
    let files = package.files.iter().filter(|entry| entry.content != Content::Directory);
    let count = files.filter(|entry| !entry.path.starts_with(BOARDS)).count() + 1;
    let lines =
        makefile.lines().filter(|line| line.contains("$(INSTALL_BIN)") || line.contains("$(INSTALL_DATA)"));
    ensure!(lines.count() == count, "the Makefile installs something else, too");
    for line in [
        format!("PKG_VERSION:={}", package.version.upstream),
        format!("  USERID:={}", package.user.context("a user")?),
        package.conffiles.concat(),
    ] {
        ensure!(makefile.lines().any(|found| found == line), "the Makefile has no line {line}");
    }
    for line in package.after_install.lines().chain(package.after_removal.lines()) {
        ensure!(makefile.contains(&line.replace('$', "$$")), "its scripts have no line {line}");
    }
    Ok(())
}

#[test]
fn the_makefile_of_the_pages_has_their_version_and_dependencies() -> Result<()> {
    let (package, makefile) = (recipe::luci(&source()?)?, makefile("luci-app-sentinel-appliance")?);
    ensure!(makefile.contains(&format!("PKG_VERSION:={}\n", package.version.upstream)));
    ensure!(makefile.contains("LUCI_DEPENDS:=+luci-base +sentinel-appliance\n"));
    assert_eq!(package.depends, ["libc", "luci-base", "sentinel-appliance"]);
    let pages = package.files.iter().filter(|entry| entry.path.ends_with(".js")).count();
    assert_eq!((pages, package.architecture.as_str()), (3, "all"));
    Ok(())
}

/// A removal leaves only what a user changed: the settings, which opkg and apk keep by themselves.
#[test]
fn a_removal_takes_keys_and_log_and_an_upgrade_takes_nothing() -> Result<()> {
    let package = appliance()?;
    let run = |arguments: &[&str], upgrade: &str| -> Result<String> {
        // The commands that change something are printed instead.
        let script = format!(
            "rm() {{ echo \"rm $*\"; }}; killall() {{ echo \"killall $*\"; }}\n{}",
            package.after_removal
        );
        let mut command = std::process::Command::new("sh");
        command
            .arg("-c")
            .arg(script)
            .arg("postrm")
            .args(arguments)
            .env("PKG_UPGRADE", upgrade)
            .env_remove("IPKG_INSTROOT");
        let output = command.output()?;
        ensure!(output.status.success(), "{}", output.status);
        Ok(String::from_utf8(output.stdout)?)
    };
    for removal in [&["remove"][..], &[], &["0.1.0-r1"]] {
        let said = run(removal, "")?;
        assert_eq!(said, "rm -rf /etc/sentinel-appliance /var/run/sentinel-appliance\nkillall -HUP rpcd\n");
    }
    assert_eq!(run(&["upgrade", "0.2.0-r1"], "")?, "");
    assert_eq!(run(&["remove"], "1")?, "");
    ensure!(!package.after_removal.contains("/etc/config"), "settings stay");
    Ok(())
}
