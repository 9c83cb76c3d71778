//! Names of time zones and their rules in the form of `TZ`.
//!
//! Read first: RFC 9636 section 3.3 (footer of a `TZif` file), POSIX.1-2017 section 8.3.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

/// Lines of a name, a space, and the rule that is valid from now on, from `usr/share/zoneinfo` of Debian's `tzdata`: 30 KiB
/// instead of 3 MiB of tables. What was valid earlier concerns only alerts that are older than the device.
///
/// # Errors
/// If the directory cannot be read, or has fewer than 300 zones.
pub fn zones(packages: &Path) -> Result<String> {
    let mut found = BTreeMap::new();
    collect(&packages.join("usr/share/zoneinfo"), "", &mut found)?;
    ensure!(found.len() >= 300, "{} time zones, want some 600 (package tzdata)", found.len());
    Ok(found.into_iter().map(|(name, rule)| format!("{name} {rule}\n")).collect())
}

fn collect(folder: &Path, prefix: &str, found: &mut BTreeMap<String, String>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let path = entry.path();
        // The copies with and without leap seconds.
        if path.is_dir() && !matches!(name.as_str(), "posix" | "right") {
            collect(&path, &format!("{prefix}{name}/"), found)?;
        } else if path.is_file()
            && let Some(rule) = rule(&fs::read(&path).with_context(|| path.display().to_string())?)
        {
            found.insert(format!("{prefix}{name}"), rule);
        }
    }
    Ok(())
}

/// Last line of a `TZif` file of version 2 or later.
fn rule(bytes: &[u8]) -> Option<String> {
    let is_file = bytes.starts_with(b"TZif") && bytes.get(4).is_some_and(|version| *version >= b'2');
    let line = bytes.strip_suffix(b"\n").filter(|_| is_file)?.rsplit(|byte| *byte == b'\n').next()?;
    let is_rule = !line.is_empty() && line.iter().all(u8::is_ascii_graphic);
    String::from_utf8(line.to_vec()).ok().filter(|_| is_rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_footer_of_a_zone_is_a_rule() {
        assert_eq!(
            rule(b"TZif2\0\0\nCET-1CEST,M3.5.0,M10.5.0/3\n").as_deref(),
            Some("CET-1CEST,M3.5.0,M10.5.0/3")
        );
        for bytes in [&b"TZif2\0\0\n\n"[..], b"TZif\0\0\nUTC0\n", b"# text\nUTC0\n", b"TZif2\0\nUTC0", b""] {
            assert_eq!(rule(bytes), None);
        }
    }
}
