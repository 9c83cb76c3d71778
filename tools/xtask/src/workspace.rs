//! Members of this workspace and packages of the device program, as cargo lists them.
//!
//! Read first: `cargo help metadata`, `cargo help tree`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// The package of the program on the device.
const DEVICE_PROGRAM: &str = "sentinel-appliance";

/// A member of the workspace.
#[derive(Clone, Debug)]
pub(crate) struct Crate {
    pub(crate) name: String,
    /// Its folder below the root, for example `sentinel-appliance/units`.
    pub(crate) folder: String,
    pub(crate) dependencies: Vec<Dependency>,
    /// `src/lib.rs` or `src/main.rs`.
    pub(crate) root_file: PathBuf,
    /// Its text, where crate-wide attributes stand.
    pub(crate) source: String,
}

/// One line of a member's manifest.
#[derive(Clone, Debug)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) default_features: bool,
}

/// The table of the manifest that a dependency stands in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Build,
    Dev,
    Normal,
}

/// A package that is linked into the program on the device.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
}

/// The folder of the root manifest. Two levels above this crate, wherever the command was started.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// The members in the order of the root manifest, which is the order of the layers.
pub(crate) fn crates(root: &Path) -> Result<Vec<Crate>> {
    let folders = member_folders(&read(&root.join("Cargo.toml"))?)?;
    let metadata = cargo(root, &["metadata", "--no-deps", "--format-version", "1"])?;
    let metadata: Metadata = serde_json::from_str(&metadata).context("cargo metadata")?;
    folders.into_iter().map(|folder| find_crate(root, &metadata, folder)).collect()
}

/// Every package that the device program links, on whatever target.
pub(crate) fn device_packages(root: &Path) -> Result<Vec<Package>> {
    linked_packages(root, DEVICE_PROGRAM)
}

/// Every package that a program links, on whatever target, with its own features: other members do not add theirs.
pub(crate) fn linked_packages(root: &Path, program: &str) -> Result<Vec<Package>> {
    let tree = cargo(
        root,
        &[
            "tree",
            "--package",
            program,
            "--edges",
            "normal",
            "--target",
            "all",
            "--prefix",
            "none",
            "--format",
            "{p}",
            "--no-dedupe",
        ],
    )?;
    let mut packages: Vec<Package> = tree.lines().filter_map(parse_tree_line).collect();
    packages.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    packages.dedup();
    Ok(packages)
}

/// Reads a file of the tree; the error names it.
pub(crate) fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| path.display().to_string())
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<MetadataPackage>,
}

#[derive(Deserialize)]
struct MetadataPackage {
    name: String,
    manifest_path: PathBuf,
    dependencies: Vec<MetadataDependency>,
}

#[derive(Deserialize)]
struct MetadataDependency {
    name: String,
    kind: Option<String>,
    uses_default_features: bool,
}

#[derive(Deserialize)]
struct RootManifest {
    workspace: Workspace,
}

#[derive(Deserialize)]
struct Workspace {
    members: Vec<String>,
}

fn member_folders(manifest: &str) -> Result<Vec<String>> {
    let manifest: RootManifest = toml::from_str(manifest).context("root Cargo.toml")?;
    Ok(manifest.workspace.members)
}

fn find_crate(root: &Path, metadata: &Metadata, folder: String) -> Result<Crate> {
    let manifest = root.join(&folder).join("Cargo.toml");
    let package = metadata
        .packages
        .iter()
        .find(|package| package.manifest_path == manifest)
        .with_context(|| format!("{}: cargo metadata does not list it", manifest.display()))?;
    let sources = root.join(&folder).join("src");
    let roots = [sources.join("lib.rs"), sources.join("main.rs")];
    let root_file = roots.into_iter().find(|file| file.is_file());
    let root_file = root_file.with_context(|| format!("{}: no lib.rs, no main.rs", sources.display()))?;
    let source = read(&root_file)?;
    let dependencies = package
        .dependencies
        .iter()
        .map(|dependency| Dependency {
            name: dependency.name.clone(),
            kind: match dependency.kind.as_deref() {
                Some("dev") => Kind::Dev,
                Some("build") => Kind::Build,
                _ => Kind::Normal,
            },
            default_features: dependency.uses_default_features,
        })
        .collect();
    Ok(Crate { name: package.name.clone(), folder, dependencies, root_file, source })
}

/// `name v1.2.3` and, for members and macros, more words behind.
fn parse_tree_line(line: &str) -> Option<Package> {
    let mut words = line.split_whitespace();
    let name = words.next()?.to_owned();
    let version = words.next()?.strip_prefix('v')?.to_owned();
    Some(Package { name, version })
}

/// Standard output of a command of cargo.
pub(crate) fn cargo(root: &Path, arguments: &[&str]) -> Result<String> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(program)
        .args(arguments)
        .current_dir(root)
        .output()
        .with_context(|| format!("cargo {}", arguments.join(" ")))?;
    ensure!(
        output.status.success(),
        "cargo {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    String::from_utf8(output.stdout).with_context(|| format!("cargo {}", arguments.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_keep_the_order_of_the_manifest() {
        let manifest = "[workspace]\nmembers = [\n  \"b/second\", # a comment\n  \"a/first\",\n]\n";
        assert_eq!(member_folders(manifest).unwrap(), ["b/second", "a/first"]);
    }

    #[test]
    fn a_broken_manifest_is_named() {
        assert!(member_folders("[workspace").unwrap_err().to_string().starts_with("root Cargo.toml"));
    }

    #[test]
    fn tree_lines_with_and_without_a_path() {
        let package =
            |name: &str, version: &str| Some(Package { name: name.to_owned(), version: version.to_owned() });
        assert_eq!(parse_tree_line("aes v0.9.4"), package("aes", "0.9.4"));
        assert_eq!(parse_tree_line("sentinel-units v0.1.0 (some/where)"), package("sentinel-units", "0.1.0"));
        assert_eq!(parse_tree_line("serde_derive v1.0.229 (proc-macro)"), package("serde_derive", "1.0.229"));
        assert_eq!(parse_tree_line(""), None);
        assert_eq!(parse_tree_line("[build-dependencies]"), None);
    }

    #[test]
    fn this_workspace_is_read() {
        let crates = crates(&root()).unwrap();
        assert_eq!(crates.first().unwrap().name, "sentinel-units");
        assert!(crates.iter().any(|member| member.folder == "tools/xtask" && member.name == "xtask"));
    }
}
