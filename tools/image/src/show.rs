//! Packages and indices as text, in the form of `apk adbdump`, so that ours and the distribution's can be compared by `diff`.

use std::fmt::Write as _;

use anyhow::Result;

use crate::adb::Schema;
use crate::apk::{Apk, Directory, File, Info, PHASES};
use crate::feed::ApkIndex;
use crate::keys::{ApkPublic, hex};

/// Bytes of a signature that are shown.
const SIGNATURE_BYTES: usize = 38;

/// Everything in a package but the content of its files.
///
/// # Errors
/// None is known: it writes into memory.
pub fn apk(apk: &Apk, key: Option<&ApkPublic>) -> Result<String> {
    let mut text = head(Schema::Package, &apk.database)?;
    writeln!(text, "info:")?;
    info(&apk.info, "  ", "  ", &mut text)?;
    writeln!(text, "paths: # {} items", apk.directories.len())?;
    apk.directories.iter().try_for_each(|found| directory(found, &mut text))?;
    writeln!(text, "scripts:")?;
    for (phase, script) in &apk.scripts {
        writeln!(text, "  {}: |", PHASES.get(*phase).copied().unwrap_or("?"))?;
        let script = String::from_utf8_lossy(script);
        script.lines().try_for_each(|line| writeln!(text, "    {line}"))?;
    }
    signatures(Schema::Package, &apk.database, &apk.signatures, key, &mut text)?;
    for bytes in &apk.data {
        // With the two numbers in front of the content.
        writeln!(text, "# data block, size: {}", bytes.len().saturating_add(8))?;
    }
    Ok(text)
}

/// Everything in an index.
///
/// # Errors
/// None is known: it writes into memory.
pub fn index(index: &ApkIndex, key: Option<&ApkPublic>) -> Result<String> {
    let mut text = head(Schema::Index, &index.database)?;
    writeln!(text, "packages: # {} items", index.packages.len())?;
    index.packages.iter().try_for_each(|package| info(package, "  - ", "    ", &mut text))?;
    signatures(Schema::Index, &index.database, &index.signatures, key, &mut text)?;
    Ok(text)
}

fn head(schema: Schema, database: &[u8]) -> Result<String> {
    let mut text = String::new();
    let magic = schema.magic().into_iter().rev().collect::<Vec<u8>>();
    writeln!(text, "#%SCHEMA: {}", hex(&magic).to_uppercase())?;
    writeln!(text, "# ADB block, size: {}, compat: 0, ver: 0", database.len())?;
    Ok(text)
}

fn info(info: &Info, first: &str, indent: &str, text: &mut String) -> Result<()> {
    let mut lines: Vec<(&str, String)> = Vec::new();
    let hash = hex(&info.hash);
    for name in ["name", "version"] {
        lines.push((name, info.text(name).to_owned()));
    }
    lines.push(("hashes", hash));
    for name in ["description", "arch", "license", "origin", "maintainer", "url"] {
        lines.push((name, info.text(name).to_owned()));
    }
    for (name, number) in [("installed-size", info.installed_size), ("file-size", info.file_size)] {
        lines.push((name, if number == 0 { String::new() } else { number.to_string() }));
    }
    let mut before = first;
    for (name, value) in lines.iter().filter(|(_, value)| !value.is_empty()) {
        writeln!(text, "{before}{name}: {value}")?;
        before = indent;
    }
    for (name, values) in [("depends", &info.depends), ("provides", &info.provides)] {
        if !values.is_empty() {
            writeln!(text, "{indent}{name}: # {} items", values.len())?;
            values.iter().try_for_each(|value| writeln!(text, "{indent}  - {value}"))?;
        }
    }
    Ok(())
}

fn directory(directory: &Directory, text: &mut String) -> Result<()> {
    let mut first = "  - ";
    if !directory.name.is_empty() {
        writeln!(text, "  - name: {}", directory.name)?;
        first = "    ";
    }
    owner(first, "    ", directory.mode, text)?;
    if !directory.files.is_empty() {
        writeln!(text, "    files: # {} items", directory.files.len())?;
    }
    directory.files.iter().try_for_each(|found| file(found, text))
}

fn file(file: &File, text: &mut String) -> Result<()> {
    writeln!(text, "      - name: {}", file.name)?;
    owner("        ", "        ", file.mode, text)?;
    writeln!(text, "        size: {}\n        mtime: {}", file.size, file.time)?;
    match file.target.is_empty() {
        true => writeln!(text, "        hash: {}", hex(&file.hash))?,
        false => writeln!(text, "        target: {}", hex(&file.target))?,
    }
    Ok(())
}

fn owner(first: &str, indent: &str, mode: u64, text: &mut String) -> Result<()> {
    writeln!(text, "{first}acl:\n{indent}  mode: {mode:04o}")?;
    Ok(writeln!(text, "{indent}  user: root\n{indent}  group: root")?)
}

fn signatures(
    schema: Schema,
    database: &[u8],
    signatures: &[Vec<u8>],
    key: Option<&ApkPublic>,
    text: &mut String,
) -> Result<()> {
    for signature in signatures {
        let is_good = key.is_some_and(|key| key.verify(schema, database, signature).is_ok());
        let verdict = if is_good { "OK" } else { "UNTRUSTED signature" };
        let (head, rest) = signature.split_at_checked(2).unwrap_or((signature, &[]));
        let version = head.first().copied().unwrap_or_default();
        let hash = head.get(1).copied().unwrap_or_default();
        let shown = rest.get(..SIGNATURE_BYTES.saturating_add(16)).unwrap_or(rest);
        writeln!(text, "# sig v{version:02x} h{hash:02x} {}..: {verdict}", hex(shown))?;
    }
    Ok(())
}
