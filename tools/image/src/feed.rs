//! Indices of a directory of packages: `Packages`, `Packages.gz` and `Packages.sig` for opkg, `packages.adb` for apk.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use sha2::{Digest as _, Sha256};

use crate::adb::{Block, Reader, Schema, Value, Writer, read_blocks, write_blocks};
use crate::apk::{self, Apk, Info};
use crate::control::Control;
use crate::gzip;
use crate::ipk::Ipk;
use crate::keys::{ApkPublic, ApkSecret, FeedKeys, UsignPublic, hex};

/// Names of the four files of an index.
pub const PACKAGES: &str = "Packages";
/// `Packages`, compressed.
pub const PACKAGES_GZ: &str = "Packages.gz";
/// Signature of [`PACKAGES`].
pub const PACKAGES_SIG: &str = "Packages.sig";
/// Signed index of apk.
pub const PACKAGES_ADB: &str = "packages.adb";

/// Writes the index of all packages in a directory.
///
/// # Errors
/// If a package is damaged or a file cannot be written.
pub fn write(directory: &Path, keys: &FeedKeys) -> Result<()> {
    let put = |name: &str, bytes: &[u8]| {
        let path = directory.join(name);
        fs::write(&path, bytes).with_context(|| path.display().to_string())
    };
    let packages = opkg_index(directory)?;
    put(PACKAGES, packages.as_bytes())?;
    put(PACKAGES_GZ, &gzip::compress(packages.as_bytes())?)?;
    put(PACKAGES_SIG, keys.usign.sign(packages.as_bytes()).as_bytes())?;
    put(PACKAGES_ADB, &apk_index(&apks(directory)?, Some(&keys.apk))?)
}

/// Text of `Packages`: control data of each `.ipk`, with file name, length and sum before the description.
///
/// # Errors
/// If a package is damaged.
pub fn opkg_index(directory: &Path) -> Result<String> {
    let mut text = String::new();
    for path in with_extension(directory, "ipk")? {
        let name = file_name(&path);
        let bytes = fs::read(&path).with_context(|| path.display().to_string())?;
        let ipk = Ipk::read(&bytes).with_context(|| name.clone())?;
        let (mut stanza, description) = ipk.control.split_at("Description");
        stanza.add("Filename", &name);
        stanza.add("Size", bytes.len().to_string());
        stanza.add("SHA256sum", hex(&Sha256::digest(&bytes)));
        stanza.append(&description);
        text += &stanza.to_text();
        text.push('\n');
    }
    Ok(text)
}

/// Packages of apk in a directory and their lengths.
///
/// # Errors
/// If one is damaged.
pub fn apks(directory: &Path) -> Result<Vec<(Apk, u64)>> {
    let mut found = Vec::new();
    for path in with_extension(directory, "apk")? {
        let bytes = fs::read(&path).with_context(|| path.display().to_string())?;
        found.push((Apk::read(&bytes).with_context(|| file_name(&path))?, u64::try_from(bytes.len())?));
    }
    Ok(found)
}

/// `packages.adb`.
///
/// # Errors
/// If it has too many packages for the format.
pub fn apk_index(packages: &[(Apk, u64)], key: Option<&ApkSecret>) -> Result<Vec<u8>> {
    let mut sorted: Vec<&(Apk, u64)> = packages.iter().collect();
    sorted.sort_by(|(one, _), (other, _)| one.info.text("name").cmp(other.info.text("name")));
    let mut writer = Writer::default();
    let mut entries = Vec::new();
    for (package, length) in sorted {
        entries.push(Info::indexed(&mut writer, package, *length)?);
    }
    let entries = writer.object(&entries)?;
    let root = writer.object(&[Value::NONE, entries])?;
    let database = writer.finish(root);
    let mut blocks = vec![Block::Database(database.clone())];
    if let Some(key) = key {
        blocks.push(Block::Signature(key.sign(Schema::Index, &database)?));
    }
    write_blocks(Schema::Index, &blocks)
}

/// Index of apk, as it was read.
#[derive(Clone, Debug, Default)]
pub struct ApkIndex {
    /// Packages, sorted by name.
    pub packages: Vec<Info>,
    /// Signature blocks.
    pub signatures: Vec<Vec<u8>>,
    /// The database as it is in the file.
    pub database: Vec<u8>,
}

impl ApkIndex {
    /// Reads an index; checks no signature.
    ///
    /// # Errors
    /// If it is cut, altered or not sorted.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let mut index = Self::default();
        for block in read_blocks(bytes, Schema::Index)? {
            match block {
                Block::Database(bytes) => index.database = bytes,
                Block::Signature(bytes) => index.signatures.push(bytes),
                Block::Data(_) => bail!("an index with files"),
            }
        }
        let reader = Reader::new(&index.database)?;
        let packages = reader.root()?.get(1).copied().unwrap_or_default();
        for package in reader.object(packages)? {
            index.packages.push(Info::read(&reader, package)?);
        }
        let is_sorted = index.packages.is_sorted_by(|one, other| one.text("name") <= other.text("name"));
        ensure!(is_sorted, "an index that is not sorted");
        Ok(index)
    }
}

/// Public keys of a feed.
#[derive(Debug, Default)]
pub struct Trusted {
    /// Key of `Packages`.
    pub usign: Option<UsignPublic>,
    /// Key of `.apk` and `packages.adb`.
    pub apk: Option<ApkPublic>,
}

/// Checks that the indices of a directory are of the packages in it and signed; returns how many packages there are.
///
/// # Errors
/// If one is missing, or of other packages, or signed by another key or not at all.
pub fn check(directory: &Path, trusted: &Trusted) -> Result<usize> {
    let bytes =
        |name: &str| fs::read(directory.join(name)).with_context(|| format!("{name}: reading the index"));
    let packages = bytes(PACKAGES)?;
    for stanza in std::str::from_utf8(&packages)?.split_inclusive("\n\n") {
        Control::parse(stanza.strip_suffix('\n').unwrap_or(stanza)).context(PACKAGES)?;
    }
    let wanted = opkg_index(directory)?;
    ensure!(packages == wanted.as_bytes(), "{PACKAGES} is not the index of the .ipk files beside it");
    ensure!(gzip::expand(&bytes(PACKAGES_GZ)?)? == packages, "{PACKAGES_GZ} is not {PACKAGES}");
    let usign = trusted.usign.as_ref().context("want the public key of Packages (--usign-key)")?;
    let signature = String::from_utf8(bytes(PACKAGES_SIG)?).context(PACKAGES_SIG)?;
    usign.verify(&packages, &signature).context(PACKAGES_SIG)?;
    let key = trusted.apk.as_ref().context("want the public key of packages.adb (--apk-key)")?;
    let index = ApkIndex::read(&bytes(PACKAGES_ADB)?).context(PACKAGES_ADB)?;
    apk::verify_any(Schema::Index, &index.database, &index.signatures, key).context(PACKAGES_ADB)?;
    let apks = apks(directory)?;
    for (package, length) in &apks {
        let name = package.info.text("name");
        package.verify(key).with_context(|| format!("{name}: the .apk"))?;
        let known = index.packages.iter().find(|known| known.text("name") == name);
        let known = known.with_context(|| format!("{PACKAGES_ADB} has no {name}"))?;
        let is_it = known.hash == package.identity() && known.file_size == *length;
        ensure!(is_it, "{PACKAGES_ADB} has another {name} than the .apk beside it");
    }
    ensure!(index.packages.len() == apks.len(), "{PACKAGES_ADB} has packages that are not there");
    Ok(apks.len().saturating_add(with_extension(directory, "ipk")?.len()))
}

/// Files of a directory with an extension, sorted.
///
/// # Errors
/// If the directory cannot be read.
pub fn with_extension(directory: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).with_context(|| directory.display().to_string())? {
        let path = entry?.path();
        if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
