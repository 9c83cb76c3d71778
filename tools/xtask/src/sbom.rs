//! List of the components of a program (software bill of materials), as `CycloneDX` 1.5 in JSON.
//!
//! Read first: `CycloneDX` 1.5 (ECMA-424, first edition), <https://github.com/package-url/purl-spec>.
//!
//! Components are the packages that `cargo metadata` links for the released targets (`config/architectures.toml`), with the
//! checksum of the lock file and the features of the program alone (`cargo tree`). Packages that only run while the program is
//! built (build scripts, procedural macros, tests) are left out. The same commit gives the same bytes: packages are sorted, the
//! time is that of the commit or `SOURCE_DATE_EPOCH`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sentinel_units::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Verdict;
use crate::workspace::{cargo, linked_packages, read};

const ARCHITECTURES: &str = "config/architectures.toml";

#[derive(Deserialize)]
struct Architectures {
    program: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    triple: String,
}

#[derive(Deserialize)]
struct Lock {
    package: Vec<Locked>,
}

#[derive(Deserialize)]
struct Locked {
    name: String,
    version: String,
    checksum: Option<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    targets: Vec<Built>,
}

/// Targets that a package builds; a procedural macro runs in the compiler and is in no program.
#[derive(Deserialize)]
struct Built {
    kind: Vec<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Edge>,
}

#[derive(Deserialize)]
struct Edge {
    pkg: String,
    dep_kinds: Vec<EdgeKind>,
}

/// Absent kind: linked; else `dev` or `build`.
#[derive(Deserialize)]
struct EdgeKind {
    kind: Option<String>,
}

/// Prints the components of `program`, and the Debian packages listed in `debian` (lines of name, version, architecture and
/// SHA-256, as `ci/install.sh pi` leaves them).
pub(crate) fn print(root: &Path, program: &str, debian: Option<&Path>) -> Result<Verdict> {
    let lists = debian.map(read).transpose()?;
    let document = document(root, program, lists.as_deref().unwrap_or_default(), time(root)?)?;
    Ok(Verdict::Passed(serde_json::to_string_pretty(&document)?))
}

fn document(root: &Path, program: &str, debian: &str, time: u64) -> Result<Value> {
    let metadata = metadata(root, program)?;
    let lock: Lock = toml::from_str(&read(&root.join("Cargo.lock"))?).context("Cargo.lock")?;
    let linked = linked(&metadata, program)?;
    let main = linked.get(program_id(&metadata, program)?).context("the program itself")?;
    let mut packages: Vec<&&Package> = linked.values().collect();
    packages.sort_by_key(|package| purl(package));
    let (mut components, mut edges) = (Vec::new(), Vec::new());
    for package in packages {
        if package.id != main.id {
            components.push(component(package, &lock)?);
        }
        let targets = depends_on(&metadata, &package.id).filter_map(|target| linked.get(target));
        let targets: BTreeSet<String> = targets.map(|target| purl(target)).collect();
        edges.push(json!({ "ref": purl(package), "dependsOn": targets }));
    }
    for line in debian.lines().filter(|line| !line.is_empty()) {
        components.push(debian_component(line)?);
    }
    let described = json!({
        "type": "application", "bom-ref": purl(main), "name": main.name, "version": main.version,
        "purl": purl(main), "licenses": [{ "expression": main.license }],
    });
    let time = Timestamp::from_parts(time, 0).rfc3339().to_string();
    Ok(json!({
        "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
        "metadata": { "timestamp": time, "component": described },
        "components": components,
        "dependencies": edges,
    }))
}

fn component(package: &Package, lock: &Lock) -> Result<Value> {
    let license = package.license.as_deref().with_context(|| format!("{}: no licence", package.name))?;
    // Some manifests have a slash where SPDX has OR.
    let license = license.replace('/', " OR ");
    let mut value = json!({
        "type": "library", "bom-ref": purl(package), "name": package.name, "version": package.version,
        "purl": purl(package), "licenses": [{ "expression": license }],
    });
    let locked = lock.package.iter();
    let mut locked =
        locked.filter(|locked| (&locked.name, &locked.version) == (&package.name, &package.version));
    let locked = locked.next().with_context(|| format!("{}: not in Cargo.lock", package.name))?;
    if let (Some(checksum), Some(fields)) = (&locked.checksum, value.as_object_mut()) {
        fields.insert("hashes".into(), json!([{ "alg": "SHA-256", "content": checksum }]));
    }
    Ok(value)
}

fn debian_component(line: &str) -> Result<Value> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [name, version, architecture, checksum] = words[..] else {
        anyhow::bail!("{line:?}: want name, version, architecture and SHA-256 of a Debian package");
    };
    // The characters of Debian's versions that a package URL escapes.
    let escaped = version.replace(':', "%3A").replace('+', "%2B").replace('~', "%7E");
    let purl = format!("pkg:deb/debian/{name}@{escaped}?arch={architecture}");
    Ok(json!({
        "type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl,
        "hashes": [{ "alg": "SHA-256", "content": checksum }],
    }))
}

fn purl(package: &Package) -> String {
    format!("pkg:cargo/{}@{}", package.name, package.version.replace('+', "%2B"))
}

/// Packages that are linked into `program`, by identifier.
fn linked<'m>(metadata: &'m Metadata, program: &str) -> Result<BTreeMap<&'m str, &'m Package>> {
    let packages: BTreeMap<&str, &Package> =
        metadata.packages.iter().map(|package| (package.id.as_str(), package)).collect();
    let (mut found, mut open) = (BTreeMap::new(), vec![program_id(metadata, program)?]);
    while let Some(id) = open.pop() {
        let package = packages.get(id).with_context(|| format!("cargo metadata has no {id}"))?;
        let is_macro = package.targets.iter().any(|built| built.kind.iter().any(|kind| kind == "proc-macro"));
        if !is_macro && found.insert(id, *package).is_none() {
            open.extend(depends_on(metadata, id));
        }
    }
    Ok(found)
}

fn program_id<'m>(metadata: &'m Metadata, program: &str) -> Result<&'m str> {
    let mut packages = metadata.packages.iter().filter(|package| package.name == program);
    Ok(&packages.next().with_context(|| format!("no package {program:?} in this workspace"))?.id)
}

fn depends_on<'m>(metadata: &'m Metadata, id: &str) -> impl Iterator<Item = &'m str> {
    let is_linked = |edge: &&Edge| edge.dep_kinds.iter().any(|kind| kind.kind.is_none());
    let node = metadata.resolve.nodes.iter().find(|node| node.id == id);
    node.into_iter().flat_map(move |node| node.deps.iter().filter(is_linked)).map(|edge| edge.pkg.as_str())
}

/// Metadata of cargo about the packages for the released targets. It resolves features of all members together, so what only
/// others need is taken out.
fn metadata(root: &Path, program: &str) -> Result<Metadata> {
    let targets: Architectures = toml::from_str(&read(&root.join(ARCHITECTURES))?).context(ARCHITECTURES)?;
    let mut arguments = vec!["metadata", "--locked", "--format-version", "1"];
    for target in &targets.program {
        arguments.extend(["--filter-platform", &target.triple]);
    }
    let mut metadata: Metadata = serde_json::from_str(&cargo(root, &arguments)?).context("cargo metadata")?;
    program_id(&metadata, program)?;
    let linked = linked_packages(root, program)?;
    let is_linked = |package: &Package| {
        linked.iter().any(|one| (&one.name, &one.version) == (&package.name, &package.version))
    };
    metadata.packages.retain(is_linked);
    let left: BTreeSet<&str> = metadata.packages.iter().map(|package| package.id.as_str()).collect();
    for node in &mut metadata.resolve.nodes {
        node.deps.retain(|edge| left.contains(edge.pkg.as_str()));
    }
    Ok(metadata)
}

fn time(root: &Path) -> Result<u64> {
    if let Ok(epoch) = std::env::var("SOURCE_DATE_EPOCH") {
        return epoch.parse().with_context(|| format!("SOURCE_DATE_EPOCH is {epoch:?}"));
    }
    let said = Command::new("git").args(["log", "-1", "--format=%ct"]).current_dir(root).output();
    let said = said.context("git log, for the time of the last commit; SOURCE_DATE_EPOCH gives one")?;
    ensure!(said.status.success(), "git log: {}", String::from_utf8_lossy(&said.stderr).trim());
    Ok(String::from_utf8(said.stdout)?.trim().parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::{device_packages, root};

    const DEBIAN: &str = "zlib1g 1:1.2.13.dfsg-1 arm64 0123\n";

    fn names(document: &Value, field: &str) -> Vec<String> {
        let components = document["components"].as_array().unwrap();
        components.iter().map(|one| one[field].as_str().unwrap_or_default().to_owned()).collect()
    }

    #[test]
    fn components_are_what_the_device_program_links() {
        let document = document(&root(), "sentinel-appliance", "", 1_700_000_000).unwrap();
        assert_eq!(document["metadata"]["timestamp"], "2023-11-14T22:13:20.000000Z");
        let listed: BTreeSet<String> = names(&document, "name").into_iter().collect();
        let packages = device_packages(&root()).unwrap();
        let all: BTreeSet<String> = packages.into_iter().map(|package| package.name).collect();
        // `cargo tree` lists macros, and packages for other systems too.
        assert!(listed.is_subset(&all), "{listed:?}");
        for name in ["aes", "heapless", "rustix", "sentinel-detect", "snow"] {
            assert!(listed.contains(name), "{name}");
        }
        for name in ["serde_derive", "windows-sys", "sentinel-appliance", "tempfile"] {
            assert!(!listed.contains(name), "{name}");
        }
    }

    #[test]
    fn foreign_components_have_a_licence_and_a_checksum() {
        let document = document(&root(), "sentinel-collector", "", 0).unwrap();
        for one in document["components"].as_array().unwrap() {
            assert!(one["licenses"][0]["expression"].is_string(), "{one}");
            let is_ours = one["name"].as_str().unwrap().starts_with("sentinel-");
            assert_eq!(one["hashes"][0]["content"].as_str().map(str::len), (!is_ours).then_some(64), "{one}");
        }
    }

    #[test]
    fn every_edge_ends_at_a_component() {
        let document = document(&root(), "sentinel-appliance", "", 0).unwrap();
        let mut known: BTreeSet<String> = names(&document, "bom-ref").into_iter().collect();
        assert_eq!(known.len(), document["components"].as_array().unwrap().len());
        known.insert(document["metadata"]["component"]["bom-ref"].as_str().unwrap().to_owned());
        let edges = document["dependencies"].as_array().unwrap();
        assert_eq!(edges.len(), known.len());
        for end in edges.iter().flat_map(|edge| edge["dependsOn"].as_array().unwrap()) {
            assert!(known.contains(end.as_str().unwrap()), "{end}");
        }
    }

    #[test]
    fn packages_of_the_image_are_named_as_debian_does() {
        let document = document(&root(), "sentinel-appliance", DEBIAN, 0).unwrap();
        let purls = names(&document, "purl");
        assert_eq!(purls.last().unwrap(), "pkg:deb/debian/zlib1g@1%3A1.2.13.dfsg-1?arch=arm64");
        for line in ["zlib1g", "zlib1g 1 arm64", "a b c d e"] {
            assert!(debian_component(line).is_err(), "{line}");
        }
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = document(&root(), "sentinel-missing", "", 0).unwrap_err().to_string();
        assert_eq!(error, "no package \"sentinel-missing\" in this workspace");
    }
}
