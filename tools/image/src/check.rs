//! Judge of finished packages and feeds.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};

use crate::apk::Apk;
use crate::boards::Boards;
use crate::deb::Deb;
use crate::feed::{self, Trusted};
use crate::files::Files;
use crate::ipk::Ipk;

/// Where a package has its program.
const PROGRAM: &str = "usr/sbin/sentinel";

/// Checks a package or the directory of a feed, and says in a line what it is.
///
/// # Errors
/// If it is cut, altered, wrongly signed or for another CPU than its name says.
pub fn check(path: &Path, boards: &Boards, trusted: &Trusted) -> Result<String> {
    let verdict =
        if path.is_dir() { directory(path, boards, trusted) } else { package(path, boards, trusted) };
    verdict.with_context(|| path.display().to_string())
}

fn directory(path: &Path, boards: &Boards, trusted: &Trusted) -> Result<String> {
    for extension in ["ipk", "apk"] {
        for found in feed::with_extension(path, extension)? {
            check(&found, boards, trusted)?;
        }
    }
    Ok(format!("{}: {} packages, indices signed", path.display(), feed::check(path, trusted)?))
}

fn package(path: &Path, boards: &Boards, trusted: &Trusted) -> Result<String> {
    let bytes = fs::read(path)?;
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let (wanted, architecture, files) = match path.extension().and_then(|extension| extension.to_str()) {
        Some("ipk") => {
            let Ipk { control, files, .. } = Ipk::read(&bytes)?;
            let [package, version, architecture] =
                ["Package", "Version", "Architecture"].map(|name| control.want(name));
            let architecture = architecture?.to_owned();
            (format!("{}_{}_{architecture}.ipk", package?, version?), architecture, files)
        }
        Some("apk") => {
            let apk = Apk::read(&bytes)?;
            if let Some(key) = &trusted.apk {
                apk.verify(key)?;
            }
            let wanted = format!("{}-{}.apk", apk.info.text("name"), apk.info.text("version"));
            (wanted, apk.info.text("arch").replace("noarch", "all"), apk.files()?)
        }
        Some("deb") => {
            let Deb { control, files, .. } = Deb::read(&bytes)?;
            let [package, version, architecture] =
                ["Package", "Version", "Architecture"].map(|name| control.want(name));
            let architecture = architecture?.to_owned();
            (format!("{}_{}_{architecture}.deb", package?, version?), architecture, files)
        }
        _ => bail!("neither .ipk, .apk nor .deb"),
    };
    ensure!(name == wanted, "its name should be {wanted}");
    cpu(&architecture, &files, boards)?;
    Ok(format!("{name}: {architecture}, {} files, {} bytes", files.iter().count(), bytes.len()))
}

fn cpu(architecture: &str, files: &Files, boards: &Boards) -> Result<()> {
    match (architecture, files.get(PROGRAM)) {
        ("all", None) => {
            let is_program = |bytes: &[u8]| bytes.starts_with(b"\x7fELF");
            let found = files.iter().find(|entry| entry.bytes().is_some_and(is_program));
            ensure!(found.is_none(), "a package for all CPUs with a program in it");
            Ok(())
        }
        ("all", Some(_)) => bail!("a package for all CPUs with a program in it"),
        (architecture, _) => boards.check(architecture, files.bytes(PROGRAM)?),
    }
}
