//! `sentinel-collector restore`: a new data directory from a backup, or the check of one.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{BufReader, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::container::{BackupError, Opening};
use super::{MAX_SMALL, Manifest, is_known};
use crate::clock;
use crate::store::key::private_directory;
use crate::store::{DATABASE, Files, StoreError, mark_restored, schema_version};

/// Contents of a backup, all of it read and authenticated.
#[derive(Clone, Debug)]
pub struct Contents {
    /// Its first entry.
    pub manifest: Manifest,
    /// Names and lengths of its files.
    pub files: Vec<(String, u64)>,
}

/// Reads all of the backup `from`, and writes nothing.
///
/// # Errors
/// [`BackupError`].
pub fn check(from: &Path, passphrase: &str) -> anyhow::Result<Contents> {
    Ok(read(from, passphrase, None)?)
}

/// Makes the data directory `to` of the backup `from`. The database is checked and marked as restored; `key` is the value of
/// `SENTINEL_DB_KEY`.
///
/// # Errors
/// `to` exists and is not empty; [`BackupError`]; [`StoreError`]. `to` is as it was then.
pub fn restore(from: &Path, passphrase: &str, to: &Path, key: Option<&str>) -> anyhow::Result<Contents> {
    if to.exists() && fs::read_dir(to)?.next().is_some() {
        bail!("{} is not empty; restore into a new directory, or move what is there away", to.display());
    }
    let mut name = OsString::from(to);
    name.push(format!(".restoring{}", std::process::id()));
    let partial = Partial(PathBuf::from(name));
    private_directory(&partial.0)?;
    let contents = read(from, passphrase, Some(&partial.0))?;
    if contents.manifest.has_foreign_key && key.is_none() {
        bail!(
            "the key of this store was in SENTINEL_DB_KEY when the backup was made, and is not in it: set it"
        );
    }
    let key = key.filter(|_| contents.manifest.has_foreign_key);
    let files = Files::locate(&partial.0, key)?;
    mark_restored(&files, contents.manifest.at, clock::now()).map_err(|error| match error {
        StoreError::WrongKey(_) => {
            anyhow::anyhow!("SENTINEL_DB_KEY is not the key that the store had when the backup was made")
        }
        error => error.into(),
    })?;
    File::open(&partial.0)?.sync_all()?;
    // Onto an empty directory as well (rename(2)).
    fs::rename(&partial.0, to).with_context(|| format!("cannot make {}", to.display()))?;
    Ok(contents)
}

/// A directory that is removed unless it got another name.
struct Partial(PathBuf);

impl Drop for Partial {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Reads the entries; writes the files into `to`, if there is one.
fn read(from: &Path, passphrase: &str, to: Option<&Path>) -> Result<Contents, BackupError> {
    let file = File::open(from)
        .map_err(|error| std::io::Error::new(error.kind(), format!("{}: {error}", from.display())))?;
    let mut opening = Opening::begin(BufReader::new(file), passphrase)?;
    let first = next(&mut opening)?.filter(|(name, length)| name == "manifest" && *length <= MAX_SMALL);
    let (_, length) = first.ok_or(BackupError::Contents("no manifest"))?;
    let mut text = Vec::new();
    content(&mut opening, length, &mut text)?;
    let manifest = Manifest::parse(&text).ok_or(BackupError::Contents("a manifest of another format"))?;
    if manifest.store.schema > schema_version() {
        return Err(BackupError::Newer(manifest.store.schema));
    }
    let mut files: Vec<(String, u64)> = Vec::new();
    while let Some((name, length)) = next(&mut opening)? {
        if !is_known(&name) || files.iter().any(|(known, _)| *known == name) {
            return Err(BackupError::Contents("a file of an unknown name"));
        }
        match to {
            None => content(&mut opening, length, &mut std::io::sink())?,
            Some(directory) => {
                let path = directory.join(&name);
                if let Some(folder) = path.parent() {
                    private_directory(folder).map_err(|error| std::io::Error::other(error.to_string()))?;
                }
                let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
                content(&mut opening, length, &mut file)?;
                file.sync_all()?;
            }
        }
        files.push((name, length));
    }
    opening.end()?;
    if !files.iter().any(|(name, _)| name == DATABASE) {
        return Err(BackupError::Contents("no database"));
    }
    Ok(Contents { manifest, files })
}

/// Name and length of the next entry; none at the end.
fn next(opening: &mut Opening<BufReader<File>>) -> Result<Option<(String, u64)>, BackupError> {
    const BROKEN: BackupError = BackupError::Contents("an entry without an end");
    let mut length = [0; 2];
    if !opening.read_exact(&mut length)? {
        return Ok(None);
    }
    let mut name = vec![0; u16::from_be_bytes(length).into()];
    let mut size = [0; 8];
    if !(opening.read_exact(&mut name)? && opening.read_exact(&mut size)?) {
        return Err(BROKEN);
    }
    let name = String::from_utf8(name).map_err(|_| BackupError::Contents("a file of an unknown name"))?;
    Ok(Some((name, u64::from_be_bytes(size))))
}

/// Copies the content of an entry to `out`.
fn content(
    opening: &mut Opening<BufReader<File>>,
    mut length: u64,
    out: &mut impl Write,
) -> Result<(), BackupError> {
    let mut buffer = vec![0; 64 * 1024];
    while length > 0 {
        let size = usize::try_from(length).unwrap_or(usize::MAX).min(buffer.len());
        let part = buffer.get_mut(..size).unwrap_or_default();
        if !opening.read_exact(part)? {
            return Err(BackupError::Contents("an entry without an end"));
        }
        out.write_all(part)?;
        length -= u64::try_from(size).unwrap_or(length);
    }
    Ok(())
}
