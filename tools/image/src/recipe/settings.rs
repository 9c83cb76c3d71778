//! Registry of the settings for the web interface, from the reference that `sentinel config docs` prints and a test of the sensor
//! keeps equal to its registry. Made on the build machine, so that the program on the device needs no second form of it.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Map, Value, json};

const TITLES: &str = "| name | type | unit | default | allowed | environment | meaning |";
const HEAD: &str = "\
'use strict';
'require baseclass';

/* Written by `image registry` from the reference of the settings; do not edit. */
return baseclass.extend({
	sections: ";

/// Module of the web interface with all settings.
///
/// # Errors
/// If the text is not the reference.
pub fn registry(reference: &str) -> Result<String> {
    let sections = sections(reference)?;
    ensure!(!sections.is_empty(), "a reference without settings");
    Ok(format!("{HEAD}[\n{}\n\t]\n}});\n", sections.join(",\n")))
}

/// One line for each setting, so that a change of one is one in a difference.
fn sections(reference: &str) -> Result<Vec<String>> {
    let mut sections = Vec::new();
    for part in reference.split("\n## `config ").skip(1) {
        let (head, body) = part.split_once('\n').context("a section without settings")?;
        let (kind, name) = head.trim_end_matches('`').split_once(' ').context("a section without a name")?;
        let (about, table) =
            body.split_once(TITLES).with_context(|| format!("{head}: no table of settings"))?;
        let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
        let settings: Result<Vec<String>> =
            rows.map(|row| Ok(format!("\t\t\t{}", setting(row).with_context(|| row.to_owned())?))).collect();
        let about = about.split_whitespace().collect::<Vec<_>>().join(" ");
        let head = json!({ "kind": kind, "name": name.trim_matches('\''), "about": about }).to_string();
        let head = head.trim_end_matches('}');
        sections.push(format!("\t\t{head},\"settings\":[\n{}\n\t\t]}}", settings?.join(",\n")));
    }
    Ok(sections)
}

fn setting(row: &str) -> Result<Value> {
    // A bar within a cell is written as `\|`.
    let row = row.trim().trim_start_matches('|').trim_end_matches('|').replace("\\|", "\u{0}");
    let cells: Vec<String> =
        row.split('|').map(|cell| cell.trim().trim_matches('`').replace('\u{0}', "|")).collect();
    let [name, kind, unit, default, allowed, _environment, help] = cells.as_slice() else {
        anyhow::bail!("{} cells, want 7", cells.len());
    };
    let restarts = help.ends_with("**restart**");
    let help = help.trim_end_matches("**restart**").trim_end().trim_end_matches(';');
    let mut members = Map::new();
    let default = if default == "(empty)" { "" } else { default };
    for (member, text) in [
        ("name", name.as_str()),
        ("type", kind),
        ("unit", unit),
        ("default", default),
        ("allowed", allowed),
        ("help", help),
    ] {
        if !text.is_empty() {
            members.insert(member.into(), text.into());
        }
    }
    if restarts {
        members.insert("restart".into(), true.into());
    }
    match kind.as_str() {
        "choice" => drop(members.insert("values".into(), allowed.split(", ").collect())),
        "number" => range(allowed, &mut members),
        _ => {}
    }
    Ok(Value::Object(members))
}

/// `tiny (384), default (2048), or 256 to 262144`: words, least and most.
fn range(allowed: &str, members: &mut Map<String, Value>) {
    let words: Vec<&str> = allowed
        .split(", ")
        .filter_map(|part| part.split_once(" (").map(|(word, _)| word))
        .filter(|word| word.bytes().all(|byte| byte.is_ascii_lowercase()))
        .collect();
    if let Some((least, most)) = allowed.rsplit_once(" to ") {
        let least = least.rsplit(' ').next().and_then(|least| least.parse::<u64>().ok());
        if let (Some(least), Ok(most)) = (least, most.parse::<u64>()) {
            members.insert("min".into(), least.into());
            members.insert("max".into(), most.into());
        }
    }
    if !words.is_empty() {
        members.insert("words".into(), words.into_iter().collect());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_keeps_its_range_words_and_restart() -> Result<()> {
        let row = "| `memory_kib` | number | KiB | `2048` | tiny (384), full (8192), or 256 to 262144 | `X` | memory; all; **restart** |";
        let found = setting(row)?;
        assert_eq!(found.get("words"), Some(&json!(["tiny", "full"])));
        assert_eq!((found.get("min"), found.get("max")), (Some(&json!(256)), Some(&json!(262_144))));
        assert_eq!(
            (found.get("help"), found.get("restart")),
            (Some(&json!("memory; all")), Some(&json!(true)))
        );
        Ok(())
    }

    #[test]
    fn a_row_with_too_few_cells_is_an_error() {
        assert!(setting("| `a` | number |").is_err());
    }
}
