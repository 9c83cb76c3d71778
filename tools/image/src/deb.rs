//! Packages of dpkg: an ar archive of `debian-binary`, `control.tar.gz` and `data.tar.gz`.
//!
//! Read first: deb(5), ar(5), Debian Policy chapters 3 to 6. gzip and not xz: dpkg reads both, and the packer is in this workspace.

use anyhow::{Context as _, Result, ensure};

use crate::control::Control;
use crate::files::Files;
use crate::gzip;
use crate::ipk::lines;
use crate::keys::hex;
use crate::package::Package;
use crate::tarball;

const MAGIC: &[u8] = b"!<arch>\n";
const HEAD_LENGTH: usize = 60;
const MEMBERS: [&str; 3] = ["debian-binary", "control.tar.gz", "data.tar.gz"];
const CONTROL_FILES: [&str; 6] = ["conffiles", "control", "md5sums", "postinst", "postrm", "prerm"];

/// Package, as it was read.
#[derive(Clone, Debug)]
pub struct Deb {
    /// Control data.
    pub control: Control,
    /// Conffiles and scripts.
    pub scripts: Files,
    /// Files that are installed.
    pub files: Files,
}

/// Name of the file.
#[must_use]
pub fn file_name(package: &Package) -> String {
    format!("{}_{}_{}.deb", package.name, package.version.debian(), package.architecture)
}

/// Package with the given scripts: name in the control archive, text.
///
/// # Errors
/// If it has too much of anything for the format.
pub fn write(package: &Package, scripts: &[(&str, &str)]) -> Result<Vec<u8>> {
    let mut control = Files::default();
    control.file("control", 0o644, control_data(package).to_text())?;
    control.file("md5sums", 0o644, md5sums(package))?;
    if !package.conffiles.is_empty() {
        control.file("conffiles", 0o644, lines(&package.conffiles))?;
    }
    for (name, text) in scripts {
        control.file(name, 0o755, *text)?;
    }
    let control = gzip::compress(&tarball::write(&control, package.time)?)?;
    let data = gzip::compress(&tarball::write(&package.files, package.time)?)?;
    let mut archive = MAGIC.to_vec();
    for (name, bytes) in MEMBERS.into_iter().zip([b"2.0\n".as_slice(), &control, &data]) {
        archive.extend(
            format!("{name:16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", package.time, 0, 0, "100644", bytes.len())
                .bytes(),
        );
        archive.extend(bytes);
        archive.resize(archive.len().next_multiple_of(2), b'\n');
    }
    Ok(archive)
}

fn control_data(package: &Package) -> Control {
    let mut control = Control::default();
    control.add("Package", &package.name);
    control.add("Version", package.version.debian());
    control.add("Architecture", &package.architecture);
    control.add("Maintainer", &package.maintainer);
    control.add("Installed-Size", package.files.file_bytes().div_ceil(1024).to_string());
    control.add("Depends", package.depends.join(", "));
    control.add("Section", &package.section);
    control.add("Priority", "optional");
    control.add("Homepage", &package.url);
    let details = package.details.lines().map(|line| if line.is_empty() { "." } else { line });
    let description: Vec<&str> = std::iter::once(package.description.as_str()).chain(details).collect();
    control.add("Description", description.join("\n"));
    control
}

/// Sums of all regular files but conffiles, which dpkg sums itself.
fn md5sums(package: &Package) -> String {
    let is_summed = |path: &str| !package.conffiles.iter().any(|known| known.trim_start_matches('/') == path);
    let files = package.files.iter().filter(|entry| is_summed(&entry.path));
    let sums = files.filter_map(|entry| {
        let sum = <md5::Md5 as md5::Digest>::digest(entry.bytes()?);
        Some(format!("{}  {}\n", hex(&sum), entry.path))
    });
    sums.collect()
}

impl Deb {
    /// Reads a package.
    ///
    /// # Errors
    /// If it is cut or altered, or has anything that the writer would not have written.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let members = members(bytes)?;
        let names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
        ensure!(names == MEMBERS, "its members are {names:?}, want {MEMBERS:?}");
        let member = |at: usize| members.get(at).map(|(_, bytes)| *bytes).unwrap_or_default();
        ensure!(member(0) == b"2.0\n", "not format 2.0");
        let read = |at: usize| gzip::expand(member(at)).and_then(|bytes| tarball::read(&bytes));
        let (control, data) = (read(1).context("control.tar.gz")?, read(2).context("data.tar.gz")?);
        ensure!(control.time == data.time, "data and control archive have different times");
        let (scripts, files) = (control.files, data.files);
        for entry in scripts.iter() {
            ensure!(
                CONTROL_FILES.contains(&entry.path.as_str()),
                "control.tar.gz: {} is unknown",
                entry.path
            );
        }
        let text = std::str::from_utf8(scripts.bytes("control")?).context("control data that are no text")?;
        let control = Control::parse(text)?;
        for name in ["Package", "Version", "Architecture", "Maintainer", "Description"] {
            control.want(name)?;
        }
        check_sums(std::str::from_utf8(scripts.bytes("md5sums")?)?, &files)?;
        let conffiles = scripts.get("conffiles").and_then(|entry| entry.bytes()).unwrap_or_default();
        for path in std::str::from_utf8(conffiles)?.lines() {
            files.bytes(path.trim_start_matches('/')).context("conffiles")?;
        }
        Ok(Self { control, scripts, files })
    }
}

fn check_sums(sums: &str, files: &Files) -> Result<()> {
    for line in sums.lines() {
        let (sum, path) = line.split_once("  ").context("md5sums: want a sum, two spaces and a path")?;
        let found = hex(&<md5::Md5 as md5::Digest>::digest(files.bytes(path)?));
        ensure!(sum == found, "{path}: md5sums has {sum}, its content has {found}");
    }
    Ok(())
}

fn members(bytes: &[u8]) -> Result<Vec<(String, &[u8])>> {
    let mut rest = bytes.strip_prefix(MAGIC).context("no ar archive")?;
    let mut members = Vec::new();
    while !rest.is_empty() {
        let (head, body) = rest.split_at_checked(HEAD_LENGTH).context("an archive that is cut")?;
        let head = std::str::from_utf8(head).context("a member whose head is no text")?;
        ensure!(head.ends_with("`\n"), "a member whose head is damaged");
        let field = |from: usize, to: usize| head.get(from..to).unwrap_or_default().trim_end();
        ensure!(field(28, 34) == "0" && field(34, 40) == "0", "a member whose owner is not root");
        let length: usize = field(48, 58).parse().context("a member without a length")?;
        let content = body.get(..length).context("a member that is cut")?;
        let padding = body.get(length..length.next_multiple_of(2)).context("a member without its padding")?;
        ensure!(padding.iter().all(|byte| *byte == b'\n'), "a member with wrong padding");
        members.push((field(0, 16).to_owned(), content));
        rest = body.get(length.next_multiple_of(2)..).unwrap_or_default();
    }
    Ok(members)
}
