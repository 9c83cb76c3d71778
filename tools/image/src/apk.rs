//! Packages of apk-tools 3.
//!
//! Read first: apk-tools, `doc/apk-package.5.scd`, `src/apk_adb.h` (numbers of the members) and `src/app_mkpkg.c` (their order).

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};
use sha2::{Digest as _, Sha256};

use crate::adb::{Block, Reader, Schema, Value, Writer, read_blocks, write_blocks};
use crate::files::{Content, Entry, Files};
use crate::keys::{ApkPublic, ApkSecret, hex};
use crate::package::{LICENSE, Package};
use crate::scripts;

/// Phases with a script, member 1 first.
pub const PHASES: [&str; 7] = [
    "trigger",
    "pre-install",
    "post-install",
    "pre-deinstall",
    "post-deinstall",
    "pre-upgrade",
    "post-upgrade",
];

/// Members of the description, in the order of their numbers.
const INFO: [&str; 21] = [
    "name",
    "version",
    "hashes",
    "description",
    "arch",
    "license",
    "origin",
    "maintainer",
    "url",
    "repo-commit",
    "build-time",
    "installed-size",
    "file-size",
    "provider-priority",
    "depends",
    "provides",
    "replaces",
    "install-if",
    "recommends",
    "layer",
    "tags",
];

/// Type of a symbolic link in front of its target.
const LINK: [u8; 2] = [0x00, 0xa0];
const ID_LENGTH: usize = 20;

/// Names, versions and numbers of a package.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Info {
    /// Members that are text, by name: name, version, description, arch, license, origin, maintainer, url.
    pub texts: BTreeMap<&'static str, String>,
    /// In a package a number that tells two builds apart, in an index SHA-256 of the package's database.
    pub hash: Vec<u8>,
    /// Bytes of the regular files; in a package of scripts only, 1.
    pub installed_size: u64,
    /// Length of the package in bytes, in an index.
    pub file_size: u64,
    /// Packages that must be installed, such as `libc` or `another>=1.0`, sorted by name.
    pub depends: Vec<String>,
    /// Further names of the package.
    pub provides: Vec<String>,
}

impl Info {
    /// A text, or nothing.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        self.texts.get(name).map_or("", String::as_str)
    }
}

/// One file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct File {
    /// Name in its directory.
    pub name: String,
    /// Permission bits.
    pub mode: u64,
    /// Length, or that of a link's target.
    pub size: u64,
    /// Seconds since 1970.
    pub time: u64,
    /// SHA-256 of a regular file.
    pub hash: Vec<u8>,
    /// Type and target of a link.
    pub target: Vec<u8>,
}

/// One directory; the first has no name, it is the root.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Directory {
    /// Path.
    pub name: String,
    /// Permission bits.
    pub mode: u64,
    /// Files in it, sorted.
    pub files: Vec<File>,
}

/// Package, as it is written and read.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Apk {
    /// Description.
    pub info: Info,
    /// Directories, sorted by path.
    pub directories: Vec<Directory>,
    /// Scripts by the index of their phase in [`PHASES`].
    pub scripts: BTreeMap<usize, Vec<u8>>,
    /// Bytes of the regular files that are not empty, in their order.
    pub data: Vec<Vec<u8>>,
    /// Signature blocks.
    pub signatures: Vec<Vec<u8>>,
    /// The database as it is in the file.
    pub database: Vec<u8>,
}

/// Name of the file of a package in a feed.
#[must_use]
pub fn file_name(package: &Package) -> String {
    format!("{}-{}.apk", package.name, package.version)
}

/// Signed package.
///
/// # Errors
/// If it has too much of anything for the format.
pub fn write(package: &Package, key: Option<&ApkSecret>) -> Result<Vec<u8>> {
    let files = with_lists(package)?;
    let named = |name: &'static str, text: &str| (name, text.to_owned());
    let architecture = if package.architecture == "all" { "noarch" } else { &package.architecture };
    let texts = [
        named("name", &package.name),
        named("version", &package.version.openwrt()),
        named("description", &package.description),
        named("arch", architecture),
        named("license", LICENSE),
        named("origin", &package.source),
        named("maintainer", &package.maintainer),
        named("url", &package.url),
    ];
    let info = Info {
        texts: texts.into_iter().collect(),
        depends: package.depends.clone(),
        provides: vec![format!("{}-any", package.name)],
        ..Info::default()
    };
    let phase = |name| PHASES.iter().position(|phase| *phase == name).context("a phase of apk-tools");
    let scripts =
        scripts::of_apk(package).into_iter().map(|(name, text)| Ok((phase(name)?, text.into_bytes())));
    assemble(info, &files, scripts.collect::<Result<_>>()?, package.time, key)
}

/// Files of the package and the four lists that OpenWrt's tools put beside them.
fn with_lists(package: &Package) -> Result<Files> {
    let (mut files, name) = (package.files.clone(), &package.name);
    let list = |kind: &str| format!("lib/apk/packages/{name}.{kind}");
    if let Some(user) = &package.user {
        files.file(&list("rusers"), 0o644, format!("{user}\n"))?;
    }
    let mut paths: Vec<String> = (files.iter())
        .filter(|entry| entry.content != Content::Directory)
        .map(|entry| format!("/{}\n", entry.path))
        .collect();
    paths.sort();
    files.file(&list("list"), 0o644, paths.concat())?;
    if !package.conffiles.is_empty() {
        let (mut names, mut sums) = (String::new(), String::new());
        for path in &package.conffiles {
            let bytes = package.files.bytes(path.trim_start_matches('/'))?;
            names += &format!("{path}\n");
            sums += &format!("{path} {}\n", hex(&Sha256::digest(bytes)));
        }
        files.file(&list("conffiles"), 0o644, names)?;
        files.file(&list("conffiles_static"), 0o644, sums)?;
    }
    Ok(files)
}

/// Package of any description and files.
///
/// # Errors
/// If it has too much of anything for the format.
pub fn assemble(
    mut info: Info,
    files: &Files,
    scripts: BTreeMap<usize, Vec<u8>>,
    time: u64,
    key: Option<&ApkSecret>,
) -> Result<Vec<u8>> {
    let (directories, data, size) = directories(files, time)?;
    info.installed_size = size.max(1);
    let mut apk = Apk { info, directories, scripts, data, ..Apk::default() };
    apk.database = apk.encode()?;
    if let Some(key) = key {
        apk.signatures.push(key.sign(Schema::Package, &apk.database)?);
    }
    apk.to_file()
}

/// Directories, bytes of regular files that are not empty, and the sum of all sizes. Links count with the length of their
/// target only where apk-tools counts them: not at all.
fn directories(files: &Files, time: u64) -> Result<(Vec<Directory>, Vec<Vec<u8>>, u64)> {
    let mut directories: BTreeMap<String, Directory> = BTreeMap::new();
    let root = Entry { path: String::new(), mode: 0o755, content: Content::Directory };
    for entry in
        std::iter::once(&root).chain(files.iter()).filter(|entry| entry.content == Content::Directory)
    {
        let directory =
            Directory { name: entry.path.clone(), mode: u64::from(entry.mode), files: Vec::new() };
        directories.insert(entry.path.clone(), directory);
    }
    let (mut contents, mut size) = (BTreeMap::new(), 0_u64);
    for entry in files.iter() {
        let (parent, name) = entry.path.rsplit_once('/').unwrap_or(("", &entry.path));
        let (bytes, hash, target) = match &entry.content {
            Content::Directory => continue,
            Content::File(bytes) => (bytes.as_slice(), Sha256::digest(bytes).to_vec(), Vec::new()),
            Content::Link(target) => (target.as_bytes(), Vec::new(), [&LINK, target.as_bytes()].concat()),
        };
        let length = u64::try_from(bytes.len())?;
        if target.is_empty() {
            size = size.saturating_add(length);
            contents.insert((parent.to_owned(), name.to_owned()), bytes.to_vec());
        }
        let mode = u64::from(entry.mode);
        let file = File { name: name.to_owned(), mode, size: length, time, hash, target };
        directories.get_mut(parent).context("every path has its directory")?.files.push(file);
    }
    let mut directories: Vec<Directory> = directories.into_values().collect();
    directories
        .iter_mut()
        .for_each(|directory| directory.files.sort_by(|one, other| one.name.cmp(&other.name)));
    // Both are sorted by directory, then by name.
    let data = contents.into_values().filter(|bytes| !bytes.is_empty()).collect();
    Ok((directories, data, size))
}

impl Apk {
    /// The database, in the order in which apk-tools writes it.
    fn encode(&self) -> Result<Vec<u8>> {
        let mut writer = Writer::default();
        let (mut info, at) = (vec![Value::NONE; INFO.len()], |name| member(&INFO, name));
        for (name, text) in self.info.texts_in_order() {
            set(&mut info, at(name)?, writer.blob(text.as_bytes())?);
        }
        set(&mut info, at("depends")?, dependencies(&mut writer, &self.info.depends)?);
        set(&mut info, at("provides")?, dependencies(&mut writer, &self.info.provides)?);
        let paths: Result<Vec<Value>> =
            self.directories.iter().map(|directory| directory.encode(&mut writer)).collect();
        set(&mut info, at("installed-size")?, writer.integer(self.info.installed_size)?);
        // A part of SHA-256 of the database in which it is zero.
        let (id, offset) = writer.own_blob(&[0; ID_LENGTH])?;
        set(&mut info, at("hashes")?, id);
        let info = writer.object(&info)?;
        let paths = writer.object(&paths?)?;
        let mut scripts = vec![Value::NONE; PHASES.len()];
        for (phase, script) in &self.scripts {
            set(&mut scripts, *phase, writer.blob(script)?);
        }
        let scripts = writer.object(&scripts)?;
        let root = writer.object(&[info, paths, scripts])?;
        let mut database = writer.finish(root);
        let digest = Sha256::digest(&database);
        Writer::replace(&mut database, offset, digest.get(..ID_LENGTH).unwrap_or_default());
        Ok(database)
    }

    fn to_file(&self) -> Result<Vec<u8>> {
        let mut blocks = vec![Block::Database(self.database.clone())];
        blocks.extend(self.signatures.iter().cloned().map(Block::Signature));
        for ((directory, file), bytes) in self.with_data().zip(&self.data) {
            let head = [u32::try_from(directory)?.to_le_bytes(), u32::try_from(file)?.to_le_bytes()].concat();
            blocks.push(Block::Data([head.as_slice(), bytes].concat()));
        }
        write_blocks(Schema::Package, &blocks)
    }

    /// Numbers of directory and file, from one, of the files whose bytes are in the package.
    fn with_data(&self) -> impl Iterator<Item = (usize, usize)> {
        self.all_files().filter(|(.., file)| file.target.is_empty() && file.size > 0).map(|(d, f, ..)| (d, f))
    }

    /// Every file, its numbers and its directory.
    fn all_files(&self) -> impl Iterator<Item = (usize, usize, &Directory, &File)> {
        (1..).zip(&self.directories).flat_map(|(number, directory)| {
            (1..).zip(&directory.files).map(move |(file_number, file)| (number, file_number, directory, file))
        })
    }

    /// Reads a package and checks every hash in it, but no signature.
    ///
    /// # Errors
    /// If it is cut or altered, or not in the order of the format.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let mut apk = Self::default();
        let mut blocks = Vec::new();
        for block in read_blocks(bytes, Schema::Package)? {
            match block {
                Block::Database(bytes) => apk.database = bytes,
                Block::Signature(bytes) => apk.signatures.push(bytes),
                Block::Data(bytes) => blocks.push(bytes),
            }
        }
        let database = std::mem::take(&mut apk.database);
        apk.decode(&Reader::new(&database)?)?;
        apk.database = database;
        apk.check_id()?;
        apk.take_data(blocks)?;
        Ok(apk)
    }

    fn decode(&mut self, reader: &Reader<'_>) -> Result<()> {
        let root = reader.root()?;
        ensure!(
            root.get(3..).unwrap_or_default().iter().all(|value| value.is_none()),
            "a package with triggers"
        );
        let at = |number: usize| root.get(number).copied().unwrap_or_default();
        self.info = Info::read(reader, at(0))?;
        for value in reader.object(at(1))? {
            self.directories.push(Directory::read(reader, value)?);
        }
        let is_sorted = self.directories.is_sorted_by(|one, other| one.name < other.name);
        ensure!(is_sorted, "directories that are not sorted");
        for (phase, value) in
            reader.object(at(2))?.into_iter().enumerate().filter(|(_, value)| !value.is_none())
        {
            ensure!(phase < PHASES.len(), "a script of an unknown phase");
            self.scripts.insert(phase, reader.blob(value)?.to_vec());
        }
        Ok(())
    }

    fn check_id(&self) -> Result<()> {
        let mut without = self.database.clone();
        let id = &self.info.hash;
        ensure!(id.len() == ID_LENGTH, "an identity of {} bytes, want {ID_LENGTH}", id.len());
        let at =
            without.windows(ID_LENGTH).position(|bytes| bytes == id).context("a package without identity")?;
        Writer::replace(&mut without, at, &[0; ID_LENGTH]);
        let digest = Sha256::digest(&without);
        ensure!(
            digest.starts_with(id),
            "altered: its identity is {}, its content has {}",
            hex(id),
            hex(&digest)
        );
        Ok(())
    }

    fn take_data(&mut self, blocks: Vec<Vec<u8>>) -> Result<()> {
        let mut blocks = blocks.into_iter();
        let mut data = Vec::new();
        for (directory, number, parent, file) in self.all_files() {
            let path = format!("{}/{}", parent.name, file.name);
            if !file.target.is_empty() {
                continue;
            }
            let bytes = if file.size == 0 {
                Vec::new()
            } else {
                let block = blocks.next().with_context(|| format!("{path}: its content is cut off"))?;
                let head =
                    [u32::try_from(directory)?.to_le_bytes(), u32::try_from(number)?.to_le_bytes()].concat();
                block
                    .strip_prefix(head.as_slice())
                    .with_context(|| format!("{path}: want its content here"))?
                    .to_vec()
            };
            ensure!(u64::try_from(bytes.len())? == file.size, "{path}: its content is cut");
            ensure!(Sha256::digest(&bytes).as_slice() == file.hash, "{path}: altered, its hash is wrong");
            if file.size > 0 {
                data.push(bytes);
            }
        }
        ensure!(blocks.next().is_none(), "content of more files than there are");
        self.data = data;
        Ok(())
    }

    /// Checks that one signature is by `key`.
    ///
    /// # Errors
    /// If there is none, or none by this key, or it is of another content.
    pub fn verify(&self, key: &ApkPublic) -> Result<()> {
        verify_any(Schema::Package, &self.database, &self.signatures, key)
    }

    /// Files as they will lie on the device.
    ///
    /// # Errors
    /// If a path is not plain, or a link is no text.
    pub fn files(&self) -> Result<Files> {
        let (mut files, mut data) = (Files::default(), self.data.iter());
        for directory in self.directories.iter().filter(|directory| !directory.name.is_empty()) {
            let mode = u32::try_from(directory.mode)?;
            files.add(Entry { path: directory.name.clone(), mode, content: Content::Directory })?;
        }
        for (_, _, directory, file) in self.all_files() {
            let path = format!("{}/{}", directory.name, file.name).trim_start_matches('/').to_owned();
            let content = if let Some(target) = file.target.strip_prefix(&LINK) {
                Content::Link(String::from_utf8(target.to_vec())?)
            } else if file.size > 0 {
                Content::File(data.next().context("the content of each file")?.clone())
            } else {
                Content::File(Vec::new())
            };
            files.add(Entry { path, mode: u32::try_from(file.mode)?, content })?;
        }
        Ok(files)
    }

    /// SHA-256 of the database: what an index calls the package.
    #[must_use]
    pub fn identity(&self) -> [u8; 32] {
        Sha256::digest(&self.database).into()
    }
}

/// Checks that one of the signatures of a database is by `key`.
///
/// # Errors
/// If there is none, or none by this key, or it is of another content.
pub fn verify_any(schema: Schema, database: &[u8], signatures: &[Vec<u8>], key: &ApkPublic) -> Result<()> {
    let mut outcome = Err(anyhow::anyhow!("not signed"));
    for signature in signatures {
        outcome = key.verify(schema, database, signature);
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

impl Directory {
    fn encode(&self, writer: &mut Writer) -> Result<Value> {
        let mut files = Vec::new();
        for file in &self.files {
            files.push(file.encode(writer)?);
        }
        let name = writer.blob(self.name.as_bytes())?;
        let owner = owner(writer, self.mode)?;
        let files = writer.object(&files)?;
        writer.object(&[name, owner, files])
    }

    fn read(reader: &Reader<'_>, value: Value) -> Result<Self> {
        let members = reader.object(value)?;
        ensure!(members.len() <= 3, "a directory with {} members", members.len());
        let at = |number: usize| members.get(number).copied().unwrap_or_default();
        let name = reader.text(at(0))?;
        let mode = mode(reader, at(1)).with_context(|| name.clone())?;
        let files: Result<Vec<File>> =
            reader.object(at(2))?.into_iter().map(|file| File::read(reader, file)).collect();
        let files = files.with_context(|| name.clone())?;
        ensure!(files.is_sorted_by(|one, other| one.name < other.name), "{name}: files that are not sorted");
        Ok(Self { name, mode, files })
    }
}

impl File {
    fn encode(&self, writer: &mut Writer) -> Result<Value> {
        let name = writer.blob(self.name.as_bytes())?;
        let hash = writer.blob(&self.hash)?;
        let target = writer.blob(&self.target)?;
        let (time, size) = (writer.integer(self.time)?, writer.integer(self.size)?);
        let owner = owner(writer, self.mode)?;
        writer.object(&[name, owner, size, time, hash, target])
    }

    fn read(reader: &Reader<'_>, value: Value) -> Result<Self> {
        let members = reader.object(value)?;
        ensure!(members.len() <= 6, "a file with {} members", members.len());
        let at = |number: usize| members.get(number).copied().unwrap_or_default();
        let name = reader.text(at(0))?;
        ensure!(!name.is_empty() && !name.contains('/'), "a file called {name:?}");
        let (hash, target) = (reader.blob(at(4))?.to_vec(), reader.blob(at(5))?.to_vec());
        ensure!(target.is_empty() || target.starts_with(&LINK), "{name}: neither file nor symbolic link");
        let wanted = if target.is_empty() { 32 } else { 0 };
        ensure!(hash.len() == wanted, "{name}: a hash of {} bytes, want {wanted}", hash.len());
        let mode = mode(reader, at(1)).with_context(|| name.clone())?;
        Ok(Self { name, mode, size: reader.integer(at(2))?, time: reader.integer(at(3))?, hash, target })
    }
}

/// Mode, user and group of a path.
fn owner(writer: &mut Writer, mode: u64) -> Result<Value> {
    let (mode, root) = (writer.integer(mode)?, writer.blob(b"root")?);
    writer.object(&[mode, root, root])
}

fn mode(reader: &Reader<'_>, owner: Value) -> Result<u64> {
    let members = reader.object(owner)?;
    let [mode, user, group] = members.as_slice() else { bail!("extended attributes, or no owner") };
    ensure!(reader.blob(*user)? == b"root" && reader.blob(*group)? == b"root", "its owner is not root");
    reader.integer(*mode)
}

impl Info {
    fn texts_in_order(&self) -> impl Iterator<Item = (&'static str, &str)> {
        INFO.iter().filter_map(|name| Some((*name, self.texts.get(name)?.as_str())))
    }

    /// Description of a package, from it or from an index.
    ///
    /// # Errors
    /// If it has members that no package of ours has.
    pub fn read(reader: &Reader<'_>, value: Value) -> Result<Self> {
        let mut info = Self::default();
        for (value, name) in reader.object(value)?.into_iter().zip(INFO).filter(|(value, _)| !value.is_none())
        {
            match name {
                "hashes" => info.hash = reader.blob(value)?.to_vec(),
                "installed-size" => info.installed_size = reader.integer(value)?,
                "file-size" => info.file_size = reader.integer(value)?,
                "depends" => info.depends = read_dependencies(reader, value)?,
                "provides" => info.provides = read_dependencies(reader, value)?,
                "name" | "version" | "description" | "arch" | "license" | "origin" | "maintainer" | "url" => {
                    info.texts.insert(name, reader.text(value)?);
                }
                other => bail!("a description with {other}"),
            }
        }
        for name in ["name", "version", "arch"] {
            ensure!(!info.text(name).is_empty(), "a description without {name}");
        }
        Ok(info)
    }

    /// Entry of an index: the description of a package that was read, with its length and identity.
    ///
    /// # Errors
    /// If the package is damaged.
    pub fn indexed(writer: &mut Writer, apk: &Apk, length: u64) -> Result<Value> {
        let reader = Reader::new(&apk.database)?;
        let info = reader.root()?.first().copied().unwrap_or_default();
        let copied: Result<Vec<Value>> =
            reader.object(info)?.into_iter().map(|value| writer.copy(&reader, value)).collect();
        let mut members = copied?;
        members.resize(members.len().max(INFO.len()), Value::NONE);
        set(&mut members, member(&INFO, "file-size")?, writer.integer(length)?);
        set(&mut members, member(&INFO, "hashes")?, writer.blob(&apk.identity())?);
        writer.object(&members)
    }
}

/// Comparisons of versions, the longer ones first, and their numbers; `=` is the default.
const COMPARISONS: [(&str, u64); 6] = [(">=", 5), ("<=", 3), ("~", 9), (">", 4), ("<", 2), ("=", 1)];

fn dependencies(writer: &mut Writer, wanted: &[String]) -> Result<Value> {
    let mut written = Vec::new();
    for text in wanted {
        let found = COMPARISONS.iter().find_map(|(sign, number)| Some((text.split_once(sign)?, *number)));
        let (name, version, number) = match found {
            Some(((name, version), number)) => (name, version, number),
            None => (text.as_str(), "", 1),
        };
        let mut members = vec![writer.blob(name.as_bytes())?, writer.blob(version.as_bytes())?];
        if number != 1 {
            members.push(writer.integer(number)?);
        }
        written.push((name, writer.object(&members)?));
    }
    written.sort_by_key(|(name, _)| *name);
    let values: Vec<Value> = written.into_iter().map(|(_, value)| value).collect();
    writer.object(&values)
}

fn read_dependencies(reader: &Reader<'_>, value: Value) -> Result<Vec<String>> {
    let one = |value: Value| -> Result<String> {
        let members = reader.object(value)?;
        let at = |number: usize| members.get(number).copied().unwrap_or_default();
        let (name, version) = (reader.text(at(0))?, reader.text(at(1))?);
        let number = if at(2).is_none() { 1 } else { reader.integer(at(2))? };
        let sign = COMPARISONS.iter().find(|(_, known)| *known == number).context("an unknown comparison")?.0;
        ensure!(!name.is_empty(), "a dependency without a name");
        Ok(if version.is_empty() { name } else { format!("{name}{sign}{version}") })
    };
    reader.object(value)?.into_iter().map(one).collect()
}

fn member(names: &[&str], name: &str) -> Result<usize> {
    names.iter().position(|known| *known == name).with_context(|| format!("no member {name}"))
}

fn set(members: &mut [Value], at: usize, value: Value) {
    if let Some(member) = members.get_mut(at) {
        *member = value;
    }
}
