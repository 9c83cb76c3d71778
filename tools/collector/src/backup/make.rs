//! `sentinel-collector backup`: the copy of the database and the key files, encrypted.

use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use sentinel_units::Timestamp;

use super::container::{Cost, Sealing};
use super::{BackupError, Manifest, is_known};
use crate::clock;
use crate::store::{DATABASE, Files};

/// A backup that was made.
#[derive(Clone, Debug)]
pub struct Made {
    /// Its first entry.
    pub manifest: Manifest,
    /// Its length in bytes.
    pub bytes: u64,
    /// Names of its files.
    pub names: Vec<String>,
}

/// Writes the backup of `files` to the new file `to`, mode 0600. A collector may run on them. Beside `to` there must be room for two copies
/// of the database: one, encrypted with the key of the database, is removed again.
///
/// # Errors
/// `to` exists; errors of the store and of the file system. No file stays then.
pub fn make(
    files: &Files,
    has_foreign_key: bool,
    to: &Path,
    passphrase: &str,
    cost: Cost,
) -> anyhow::Result<Made> {
    if to.exists() {
        bail!("{} exists; a backup never replaces a file", to.display());
    }
    let beside = |suffix: &str| Temporary(to.with_extension(format!("{suffix}{}", std::process::id())));
    let (copy, sealed) = (beside("copy"), beside("new"));
    drop(create(&copy.0)?);
    let at = Timestamp::from_micros(clock::now().as_micros()); // as the manifest has it
    let store = files.copy_database(&copy.0)?;
    // Keys after the database: one that is announced in it exists by then.
    let mut names = small_files(files.directory(), has_foreign_key)?;
    let manifest = Manifest { at, version: env!("CARGO_PKG_VERSION").into(), store, has_foreign_key };
    let out = BufWriter::new(create(&sealed.0)?);
    let mut sealing = Sealing::begin(out, passphrase, cost)?;
    let text = manifest.json();
    entry(&mut sealing, "manifest", text.as_bytes(), text.len().try_into()?)?;
    for name in &names {
        let content =
            fs::read(files.directory().join(name)).with_context(|| format!("cannot read {name}"))?;
        entry(&mut sealing, name, content.as_slice(), content.len().try_into()?)?;
    }
    let length = fs::metadata(&copy.0)?.len();
    entry(&mut sealing, DATABASE, File::open(&copy.0)?, length)?;
    names.push(DATABASE.into());
    let file = sealing.finish()?.into_inner().map_err(|error| BackupError::Io(error.into_error()))?;
    file.sync_all()?;
    fs::hard_link(&sealed.0, to).with_context(|| format!("cannot write {}", to.display()))?;
    if let Some(directory) = to.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        File::open(directory)?.sync_all()?;
    }
    Ok(Made { manifest, bytes: fs::metadata(to)?.len(), names })
}

/// A file that is removed at the end.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn create(path: &Path) -> anyhow::Result<File> {
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    made.with_context(|| format!("cannot write {}", path.display()))
}

/// Names of the files of the directory beside the database, sorted.
fn small_files(directory: &Path, has_foreign_key: bool) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for (folder, prefix) in [(directory.to_owned(), ""), (directory.join("certs"), "certs/")] {
        let Ok(found) = fs::read_dir(&folder) else { continue }; // there need be no certificates
        for found in found {
            let found = found?;
            let name = format!("{prefix}{}", found.file_name().to_string_lossy());
            let is_wanted = is_known(&name) && name != DATABASE && !(has_foreign_key && name == "db.key");
            if is_wanted && found.file_type()?.is_file() {
                names.push(name);
            }
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn entry(out: &mut impl Write, name: &str, mut content: impl Read, length: u64) -> anyhow::Result<()> {
    out.write_all(&u16::try_from(name.len())?.to_be_bytes())?;
    out.write_all(name.as_bytes())?;
    out.write_all(&length.to_be_bytes())?;
    let copied = std::io::copy(&mut content, out)?;
    if copied != length {
        bail!("{name} had {length} bytes and {copied} were read");
    }
    Ok(())
}
