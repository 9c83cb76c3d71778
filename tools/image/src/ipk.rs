//! Packages of opkg: a gzipped tar of `debian-binary`, `data.tar.gz` and `control.tar.gz`, in this order.
//!
//! Read first: OpenWrt, `include/package-pack.mk` (control data) and `scripts/ipkg-build` (archives, `Installed-Size`).

use anyhow::{Context as _, Result, ensure};

use crate::control::Control;
use crate::files::Files;
use crate::gzip;
use crate::package::{LICENSE, Package};
use crate::scripts;
use crate::tarball;

const FORMAT: &[u8] = b"2.0\n";
const MEMBERS: [&str; 3] = ["debian-binary", "data.tar.gz", "control.tar.gz"];
/// Files that may stand in the control archive.
const CONTROL_FILES: [&str; 6] = ["conffiles", "control", "postinst", "postinst-pkg", "postrm", "prerm"];

/// Package, as it was read.
#[derive(Clone, Debug)]
pub struct Ipk {
    /// Control data.
    pub control: Control,
    /// Conffiles and scripts.
    pub scripts: Files,
    /// Files that are installed.
    pub files: Files,
}

/// Name of the file of a package in a feed.
#[must_use]
pub fn file_name(package: &Package) -> String {
    format!("{}_{}_{}.ipk", package.name, package.version, package.architecture)
}

/// Package.
///
/// # Errors
/// If it has too much of anything for the format.
pub fn write(package: &Package) -> Result<Vec<u8>> {
    let data = tarball::write(&package.files, package.time)?;
    let mut control = Files::default();
    control.file("control", 0o644, control_data(package, data.len()).to_text())?;
    if !package.conffiles.is_empty() {
        control.file("conffiles", 0o644, lines(&package.conffiles))?;
    }
    for (name, text) in scripts::of_ipk(package) {
        control.file(name, 0o755, text)?;
    }
    let control = gzip::compress(&tarball::write(&control, package.time)?)?;
    let data = gzip::compress(&data)?;
    let members: [&[u8]; 3] = [FORMAT, &data, &control];
    let members: Vec<(&str, &[u8])> = MEMBERS.into_iter().zip(members).collect();
    gzip::compress(&tarball::write_members(&members, package.time)?)
}

/// One line each.
#[must_use]
pub fn lines(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn control_data(package: &Package, installed_bytes: usize) -> Control {
    let mut control = Control::default();
    control.add("Package", &package.name);
    control.add("Version", package.version.openwrt());
    control.add("Depends", package.depends.join(", "));
    control.add("Source", &package.source);
    control.add("SourceName", &package.name);
    control.add("License", LICENSE);
    control.add("Section", &package.section);
    control.add("Require-User", package.user.clone().unwrap_or_default());
    control.add("SourceDateEpoch", package.time.to_string());
    control.add("URL", &package.url);
    control.add("Maintainer", &package.maintainer);
    control.add("Architecture", &package.architecture);
    control.add("Installed-Size", installed_bytes.to_string());
    // The distribution's script indents every line of the description, the first one too.
    control.add("Description", format!(" {}", package.description));
    control
}

impl Ipk {
    /// Reads a package.
    ///
    /// # Errors
    /// If it is cut or altered, or has anything that the writer would not have written.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let members = tarball::read_members(&gzip::expand(bytes)?)?;
        let names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
        ensure!(names == MEMBERS, "its members are {names:?}, want {MEMBERS:?}");
        let member = |at: usize| members.get(at).map(|(_, bytes)| bytes.as_slice()).unwrap_or_default();
        ensure!(member(0) == FORMAT, "not format 2.0");
        let data = gzip::expand(member(1)).context("data.tar.gz")?;
        let read = tarball::read(&data).context("data.tar.gz")?;
        let control =
            gzip::expand(member(2)).and_then(|bytes| tarball::read(&bytes)).context("control.tar.gz")?;
        ensure!(control.time == read.time, "data and control archive have different times");
        let (scripts, files) = (control.files, read.files);
        for entry in scripts.iter() {
            let mode = if matches!(entry.path.as_str(), "control" | "conffiles") { 0o644 } else { 0o755 };
            ensure!(
                CONTROL_FILES.contains(&entry.path.as_str()),
                "control.tar.gz: {} is unknown",
                entry.path
            );
            ensure!(
                entry.mode == mode,
                "control.tar.gz: {} has mode {:o}, want {mode:o}",
                entry.path,
                entry.mode
            );
        }
        let text = std::str::from_utf8(scripts.bytes("control")?).context("control data that are no text")?;
        let control = Control::parse(text)?;
        let size = control.want("Installed-Size")?;
        ensure!(size == data.len().to_string(), "Installed-Size is {size}, want {}", data.len());
        for name in ["Package", "Version", "Architecture", "Description"] {
            control.want(name)?;
        }
        let package = Self { control, scripts, files };
        for path in package.conffiles()? {
            package.files.bytes(path.trim_start_matches('/')).context("conffiles")?;
        }
        Ok(package)
    }

    /// Settings that a user may change.
    ///
    /// # Errors
    /// If the list is no text.
    pub fn conffiles(&self) -> Result<Vec<&str>> {
        match self.scripts.get("conffiles").and_then(|entry| entry.bytes()) {
            Some(bytes) => Ok(std::str::from_utf8(bytes)?.lines().collect()),
            None => Ok(Vec::new()),
        }
    }
}
