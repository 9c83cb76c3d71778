//! Known vulnerabilities of the locked packages, from a snapshot of the `RustSec` advisory database.
//!
//! Read first: <https://github.com/rustsec/advisory-db> (facts of the database are in the public domain, CC0).
//!
//! The snapshot, `ci/advisories.toml`, has the identifiers and version ranges of every advisory of every package in the
//! tracked lock files (that of the workspace and that of `tools/fuzz`), so the check needs no network. It also lists the packages that were looked up: a package that is locked
//! later fails until the snapshot is renewed.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use semver::{Version, VersionReq};
use serde::Deserialize;

use crate::Verdict;
use crate::tree::tracked;
use crate::workspace::read;

const LOCK: &str = "Cargo.lock";
/// Lock files of other package managers: their packages have no advisories in the database.
const FOREIGN_LOCKS: [&str; 3] = ["package-lock.json", "pnpm-lock.yaml", "yarn.lock"];
/// Those that are tracked all the same, with the check by hand that there is: it asks a registry.
const CHECKED_BY_HAND: [(&str, &str); 1] = [("tools/collector/web/package-lock.json", "npm audit")];
const SNAPSHOT: &str = "ci/advisories.toml";

#[derive(Deserialize)]
struct Lock {
    package: Vec<Locked>,
}

#[derive(Deserialize)]
struct Locked {
    name: String,
    version: String,
    /// Absent for the members of this workspace.
    source: Option<String>,
}

#[derive(Deserialize)]
struct Snapshot {
    /// Date of the newest advisory in the database.
    date: String,
    /// Packages that were looked up.
    packages: BTreeSet<String>,
    #[serde(default)]
    advisory: Vec<Advisory>,
    #[serde(default)]
    accepted: Vec<Accepted>,
}

#[derive(Deserialize)]
struct Advisory {
    id: String,
    package: String,
    /// Absent for a vulnerability; otherwise `unmaintained`, `unsound` or `notice`.
    informational: Option<String>,
    /// Version ranges of semver, any of which is free of the fault.
    patched: Vec<String>,
    #[serde(default)]
    unaffected: Vec<String>,
}

/// Advisory that is tolerated.
#[derive(Deserialize)]
struct Accepted {
    id: String,
    /// Why it does no harm here.
    reason: String,
}

/// An advisory as its file in the database begins.
#[derive(Deserialize)]
struct Entry {
    advisory: Header,
    #[serde(default)]
    versions: Versions,
}

#[derive(Deserialize)]
struct Header {
    id: String,
    package: String,
    date: String,
    withdrawn: Option<String>,
    informational: Option<String>,
}

#[derive(Default, Deserialize)]
struct Versions {
    #[serde(default)]
    patched: Vec<String>,
    #[serde(default)]
    unaffected: Vec<String>,
}

/// Compares the lock files with the snapshot.
pub(crate) fn check(root: &Path) -> Result<Verdict> {
    let locks = locks(root)?;
    let snapshot: Snapshot = toml::from_str(&read(&root.join(SNAPSHOT))?).context(SNAPSHOT)?;
    let mut violations = accepted_without_reason(&snapshot);
    for (name, lock) in &locks {
        violations.extend(
            affected(lock, &snapshot)
                .with_context(|| name.clone())?
                .into_iter()
                .map(|it| format!("{name}: {it}")),
        );
    }
    Ok(Verdict::of(violations, || {
        let (packages, advisories) = (snapshot.packages.len(), snapshot.advisory.len());
        let files = locks.len();
        let by_hand =
            CHECKED_BY_HAND.map(|(file, check)| format!("; not compared: {file} (`{check}`)")).concat();
        format!(
            "advisories: {advisories} of {packages} packages in {files} lock files up to {}, none applies{by_hand}",
            snapshot.date
        )
    }))
}

/// Every tracked lock file, by its path.
fn locks(root: &Path) -> Result<Vec<(String, Lock)>> {
    let mut locks = Vec::new();
    for name in tracked(root)? {
        let file = name.rsplit('/').next().unwrap_or(&name);
        ensure!(
            !FOREIGN_LOCKS.contains(&file) || CHECKED_BY_HAND.iter().any(|(known, _)| *known == name),
            "{name}: there are no advisories for its packages; check them otherwise"
        );
        if file == LOCK {
            let lock = toml::from_str(&read(&root.join(&name))?).with_context(|| name.clone())?;
            locks.push((name, lock));
        }
    }
    ensure!(!locks.is_empty(), "no {LOCK} is tracked");
    Ok(locks)
}

fn affected(lock: &Lock, snapshot: &Snapshot) -> Result<Vec<String>> {
    let mut violations = Vec::new();
    for package in lock.package.iter().filter(|package| package.source.is_some()) {
        let Locked { name, version, .. } = package;
        if !snapshot.packages.contains(name) {
            violations.push(format!("{name} {version}: not in {SNAPSHOT}; renew it: {RENEW}"));
        }
        let version: Version = version.parse().with_context(|| name.clone())?;
        for advisory in snapshot.advisory.iter().filter(|advisory| advisory.package == *name) {
            if advisory.applies(&version)? && !snapshot.accepts(&advisory.id) {
                let kind = advisory.informational.as_deref().unwrap_or("vulnerability");
                let patched = advisory.patched.join(" or ");
                let remedy = if patched.is_empty() { "no version is free of it" } else { &patched };
                violations.push(format!("{name} {version}: {} ({kind}): {remedy}", advisory.id));
            }
        }
    }
    Ok(violations)
}

fn accepted_without_reason(snapshot: &Snapshot) -> Vec<String> {
    let mut violations = Vec::new();
    for Accepted { id, reason } in &snapshot.accepted {
        let known = snapshot.advisory.iter().any(|advisory| advisory.id == *id);
        if !known || reason.is_empty() {
            violations.push(format!("{SNAPSHOT}: accepted {id} needs a reason and an advisory of that name"));
        }
    }
    violations
}

const RENEW: &str = "cargo xtask advisories --update FOLDER";

impl Snapshot {
    fn accepts(&self, id: &str) -> bool {
        self.accepted.iter().any(|accepted| accepted.id == id)
    }
}

impl Advisory {
    fn applies(&self, version: &Version) -> Result<bool> {
        for range in self.patched.iter().chain(&self.unaffected) {
            let range = VersionReq::parse(range).with_context(|| format!("{}: `{range}`", self.id))?;
            if range.matches(version) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Writes the snapshot anew from a checkout of the database. Accepted advisories stay.
pub(crate) fn update(root: &Path, database: &Path) -> Result<Verdict> {
    let accepted = match fs::read_to_string(root.join(SNAPSHOT)) {
        Ok(text) => toml::from_str::<Snapshot>(&text).context(SNAPSHOT)?.accepted,
        Err(_) => Vec::new(),
    };
    let packages: BTreeSet<String> = locks(root)?
        .into_iter()
        .flat_map(|(_, lock)| lock.package)
        .filter(|package| package.source.is_some())
        .map(|package| package.name)
        .collect();
    let folder = database.join("crates");
    ensure!(folder.is_dir(), "{}: no such folder; a checkout of the database has it", folder.display());
    let date = newest(&folder)?;
    let mut advisory = Vec::new();
    for package in &packages {
        advisory.extend(entries(&folder.join(package))?.into_iter().filter_map(Entry::into_advisory));
    }
    let snapshot = Snapshot { date, packages, advisory, accepted };
    fs::write(root.join(SNAPSHOT), snapshot.text())?;
    check(root)
}

/// Date of the newest advisory.
fn newest(folder: &Path) -> Result<String> {
    let mut newest = String::new();
    for package in fs::read_dir(folder)? {
        for entry in entries(&package?.path())? {
            newest = newest.max(entry.advisory.date);
        }
    }
    ensure!(!newest.is_empty(), "{}: has no advisory", folder.display());
    Ok(newest)
}

/// Advisories of one package in the order of their identifiers; none if it has no folder.
fn entries(folder: &Path) -> Result<Vec<Entry>> {
    let Ok(files) = fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut paths = files.map(|file| Ok(file?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    paths.iter().map(|path| entry(&read(path)?).with_context(|| path.display().to_string())).collect()
}

/// Reads the TOML block that the text begins with.
fn entry(text: &str) -> Result<Entry> {
    let block = text.strip_prefix("```toml").and_then(|rest| rest.split("\n```").next());
    Ok(toml::from_str(block.context("does not begin with ```toml")?)?)
}

impl Entry {
    fn into_advisory(self) -> Option<Advisory> {
        let Self { advisory: Header { id, package, withdrawn, informational, .. }, versions } = self;
        let Versions { patched, unaffected } = versions;
        withdrawn.is_none().then_some(Advisory { id, package, informational, patched, unaffected })
    }
}

impl Snapshot {
    fn text(&self) -> String {
        let mut text = String::from(
            "# Advisories of the locked packages: identifiers and version ranges from the RustSec advisory database\n\
             # (CC0). Written by `cargo xtask advisories --update FOLDER`; only [[accepted]] is edited by hand.\n\n",
        );
        let list = |items: &mut dyn Iterator<Item = &String>| {
            items.map(|item| format!("{item:?}")).collect::<Vec<_>>().join(", ")
        };
        let _infallible = writeln!(text, "date = {:?}\npackages = [", self.date);
        for package in &self.packages {
            let _infallible = writeln!(text, "    {package:?},");
        }
        text.push_str("]\n");
        for Accepted { id, reason } in &self.accepted {
            let _infallible = write!(text, "\n[[accepted]]\nid = {id:?}\nreason = {reason:?}\n");
        }
        for Advisory { id, package, informational, patched, unaffected } in &self.advisory {
            let _infallible = write!(text, "\n[[advisory]]\nid = {id:?}\npackage = {package:?}\n");
            if let Some(kind) = informational {
                let _infallible = writeln!(text, "informational = {kind:?}");
            }
            let _infallible = writeln!(text, "patched = [{}]", list(&mut patched.iter()));
            if !unaffected.is_empty() {
                let _infallible = writeln!(text, "unaffected = [{}]", list(&mut unaffected.iter()));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "```toml\n[advisory]\nid = \"RUSTSEC-2024-0011\"\npackage = \"snow\"\ndate = \"2024-01-23\"\n\n\
        [versions]\npatched = [\">= 0.9.5\"]\nunaffected = [\"< 0.5\"]\n```\n\n# Title\n";

    fn snapshot() -> Snapshot {
        let advisory = vec![entry(FILE).unwrap().into_advisory().unwrap()];
        let packages = BTreeSet::from([String::from("snow")]);
        Snapshot { date: "2024-01-23".into(), packages, advisory, accepted: Vec::new() }
    }

    fn found(version: &str, snapshot: &Snapshot) -> Vec<String> {
        let locked = |name: &str, version: &str, source: Option<&str>| Locked {
            name: name.into(),
            version: version.into(),
            source: source.map(Into::into),
        };
        let package =
            vec![locked("snow", version, Some("registry")), locked("sentinel-units", "0.1.0", None)];
        let mut found = affected(&Lock { package }, snapshot).unwrap();
        found.extend(accepted_without_reason(snapshot));
        found
    }

    #[test]
    fn only_versions_outside_every_range_are_affected() {
        for version in ["0.4.9", "0.9.5", "0.10.0"] {
            assert_eq!(found(version, &snapshot()), [""; 0], "{version}");
        }
        for version in ["0.5.0", "0.9.4"] {
            let expected = format!("snow {version}: RUSTSEC-2024-0011 (vulnerability): >= 0.9.5");
            assert_eq!(found(version, &snapshot()), [expected]);
        }
    }

    #[test]
    fn an_accepted_advisory_needs_a_reason() {
        let mut snapshot = snapshot();
        let accepted = |reason: &str| Accepted { id: "RUSTSEC-2024-0011".into(), reason: reason.into() };
        snapshot.accepted = vec![accepted("the state machine is not used")];
        assert_eq!(found("0.9.4", &snapshot), [""; 0]);
        snapshot.accepted = vec![accepted("")];
        assert_eq!(found("0.9.4", &snapshot).len(), 1);
    }

    #[test]
    fn a_package_that_was_not_looked_up_fails() {
        let mut snapshot = snapshot();
        snapshot.packages.clear();
        assert!(found("0.10.0", &snapshot)[0].contains("not in ci/advisories.toml"));
    }

    #[test]
    fn withdrawn_advisories_do_not_count_and_the_snapshot_can_be_read_again() {
        let withdrawn = FILE.replace("date =", "withdrawn = \"2025-01-01\"\ndate =");
        assert!(entry(&withdrawn).unwrap().into_advisory().is_none());
        assert!(entry("# no block").is_err());
        let written = snapshot().text();
        let read: Snapshot = toml::from_str(&written).unwrap();
        assert_eq!(read.text(), written);
        assert_eq!(found("0.9.4", &read).len(), 1);
    }

    /// The lock file of the fuzz targets, which is outside the workspace, was not looked at.
    #[test]
    fn every_tracked_lock_file_is_read() {
        let names: Vec<String> =
            locks(&crate::workspace::root()).unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["Cargo.lock", "tools/fuzz/Cargo.lock"]);
    }

    #[test]
    fn no_advisory_applies_to_the_locked_packages() {
        let verdict = check(&crate::workspace::root()).unwrap();
        assert!(matches!(verdict, Verdict::Passed(_)), "{verdict:?}");
    }
}
